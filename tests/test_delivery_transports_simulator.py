"""Recipients whose fate is known beforehand."""

import pytest

from mailferry.delivery.transports.simulator import FATES, Simulator
from mailferry.delivery.transports.transport import Peer, Prepared
from mailferry.mail.reply import Answer, classify
from tests.fakes.internet import MESSAGE, parcel

DOMAINS = ["simulator.demo.test", "simulator.amazonses.com"]


@pytest.fixture
def simulator():
    return Simulator("demo.test")


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize(
    ("local", "code", "enhanced", "outcome"),
    [
        ("success", 250, "2.1.5", "delivered"),
        ("bounce", 550, "5.1.1", "failed"),
        ("softbounce", 452, "4.2.2", "later"),
        ("complaint", 250, "2.1.5", "delivered"),
        ("ooto", 250, "2.1.5", "delivered"),
        ("open", 250, "2.1.5", "delivered"),
        ("click", 250, "2.1.5", "delivered"),
        ("unsubscribe", 250, "2.1.5", "delivered"),
        ("suppressionlist", 550, "5.1.1", "failed"),
    ],
)
@pytest.mark.parametrize("label", ["", "+order-7", "+"])
async def test_fate_is_in_the_name(simulator, domain, local, code, enhanced, outcome, label):
    answer = await simulator.deliver(parcel(f"{local}{label}@{domain}"))
    stage = "suppressed" if local == "suppressionlist" else "simulator"
    assert (answer.code, answer.enhanced, answer.stage, answer.transport) == (code, enhanced, stage, "simulator")
    assert answer.host == domain
    assert classify(answer).outcome == outcome


@pytest.mark.parametrize("local", FATES)
async def test_who_does_something_with_the_mail_is_told_of(simulator, local):
    told = []
    simulator.react = lambda fate, parcel, prepared: told.append((fate, prepared.chunks))
    await simulator.deliver(parcel(f"{local}+x@simulator.demo.test"))
    expected = [(local, MESSAGE)] if local in ("open", "click", "unsubscribe", "complaint") else []
    assert told == expected


async def test_case_does_not_matter(simulator):
    assert simulator.is_simulated("Bounce@Simulator.Demo.test")
    assert (await simulator.deliver(parcel("Bounce+X@Simulator.Demo.test"))).code == 550


async def test_unknown_names_are_told_the_known_ones(simulator):
    answer = await simulator.deliver(parcel("nobody+success@simulator.demo.test"))
    assert (answer.code, answer.enhanced) == (550, "5.1.1")
    assert all(name in answer.text for name in FATES)


async def test_texts_have_no_control_characters(simulator):
    answer = await simulator.deliver(parcel('"a\r\n250 ok\x1b[31m\u202e"@simulator.demo.test'))
    assert answer.text.isprintable()
    assert answer.code == 550


@pytest.mark.parametrize(
    "address",
    ["success@demo.test", "success@simulator.test", "success@x.simulator.demo.test", "success@simulator.demo.test.x",
     "simulator.demo.test", "success@amazonses.com", "", "success@simulator.demo.test@other.test"],
)  # fmt: skip
def test_such_names_mean_nothing_elsewhere(simulator, address):
    assert not simulator.is_simulated(address)


@pytest.mark.parametrize("address", [f"any@{domain}" for domain in DOMAINS])
def test_whole_domains_are_simulated(simulator, address):
    assert simulator.is_simulated(address)


async def test_message_is_prepared_as_for_any_host(simulator):
    peers = []

    async def prepare(peer):
        peers.append(peer)
        return Prepared((b"",))

    await simulator.deliver(parcel("success@simulator.demo.test", prepare=prepare))
    assert peers == [Peer(eight_bit=True, utf8=True, size=0)]


async def test_refusal_to_prepare_is_the_answer(simulator):
    async def prepare(_):
        return Answer(0, "5.6.3", "no\x00 way")

    answer = await simulator.deliver(parcel("success@simulator.demo.test", prepare=prepare))
    assert answer == Answer(0, "5.6.3", "no way", "prepare", "simulator")


async def test_lost_lease_is_no_delivery(simulator):
    answer = await simulator.deliver(parcel("success@simulator.demo.test", may_commit=lambda: False))
    assert (answer.code, answer.enhanced) == (0, "4.4.2")
