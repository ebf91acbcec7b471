"""Delivery over a smarthost."""

import pytest

from mailferry.delivery.transports.relay import Relay
from mailferry.mail.reply import classify
from mailferry.net.guard import Guard
from mailferry.net.smtp import Credentials
from tests.fakes import certificates
from tests.fakes.internet import internet, parcel


@pytest.fixture
async def net(clock):
    async with internet(clock) as made:
        yield made


@pytest.fixture(scope="module")
def certificate():
    return certificates.make("relay.test", "127.0.0.1")


def relay(net, host="relay.test", **options):
    return net.closed(Relay(host, net.port, helo="us.test", **net.surroundings(**options)))


async def test_every_domain_goes_to_the_relay(net):
    host = await net.host("relay.test")
    transport = relay(net, tls="none")
    answers = [await transport.deliver(parcel(f"b@{domain}.test")) for domain in ("one", "two")]
    assert [(answer.code, answer.transport, answer.host) for answer in answers] == [(250, "relay", "relay.test")] * 2
    assert host.sessions == 1
    assert [name for name, rtype, _ in net.dns.asked if rtype == "MX"] == []


async def test_relay_by_address(net):
    host = await net.host("relay.test")
    assert (await relay(net, host.ip, tls="none").deliver(parcel())).code == 250
    assert net.dns.asked == []


@pytest.mark.parametrize("mode", ["required", "implicit"])
async def test_verified_tls_and_password(net, certificate, mode):
    users = {"us": "secret"}
    host = await net.host("relay.test", tls=certificate.server, implicit_tls=mode == "implicit", users=users)
    transport = relay(net, tls=mode, context=certificate.client, credentials=Credentials("us", "secret"))
    answer = await transport.deliver(parcel())
    assert (answer.code, answer.tls) == (250, "TLSv1.3")
    assert host.transactions[0].tls == "TLSv1.3"


@pytest.mark.parametrize("mode", ["required", "implicit"])
async def test_certificate_that_nobody_vouches_for_is_refused(net, certificate, mode):
    host = await net.host("relay.test", tls=certificate.server, implicit_tls=mode == "implicit")
    answer = await relay(net, tls=mode).deliver(parcel())
    assert (answer.code, answer.enhanced, answer.stage) == (0, "4.7.5", "tls")
    assert not any(command.startswith("MAIL") for command in host.commands)


async def test_opportunistic_tls_takes_any_certificate_and_none(net, certificate):
    host = await net.host("relay.test", tls=certificate.server, broken_tls="")
    assert (await relay(net, tls="opportunistic").deliver(parcel())).tls == "TLSv1.3"
    host.broken_tls = "close"
    answer = await relay(net, tls="opportunistic").deliver(parcel())
    assert (answer.code, answer.tls) == (250, "")


async def test_password_is_not_sent_where_tls_breaks(net, certificate):
    users = {"us": "secret"}
    host = await net.host("relay.test", tls=certificate.server, broken_tls="close", users=users)
    transport = relay(net, tls="opportunistic", credentials=Credentials("us", "secret"))
    answer = await transport.deliver(parcel())
    assert (answer.code, answer.enhanced, answer.stage) == (0, "4.7.5", "tls")
    assert not any(command.startswith("AUTH") for command in host.commands)


async def test_wrong_password_makes_the_queue_wait(net):
    await net.host("relay.test", users={"us": "secret"})
    answer = await relay(net, tls="none", credentials=Credentials("us", "wrong")).deliver(parcel())
    assert (answer.code, answer.enhanced, answer.text) == (0, "4.7.8", "535 5.7.8 wrong")
    assert answer.stage == "auth"
    assert classify(answer).outcome == "later"


@pytest.mark.parametrize(
    ("answers", "text"),
    [({"CONNECT": "554 go away"}, "554 go away"), ({"EHLO": "550 5.7.1 no", "HELO": "550 5.7.1 no"}, "550 5.7.1 no")],
)
async def test_relay_that_wants_none_of_us_makes_the_queue_wait(net, answers, text):
    (await net.host("relay.test")).answers = answers
    answer = await relay(net, tls="none").deliver(parcel())
    assert (answer.code, answer.enhanced[0], answer.text) == (0, "4", text)


async def test_relay_without_an_address_makes_the_queue_wait(net):
    await net.host("other.test")
    answer = await relay(net, tls="none").deliver(parcel())
    assert (answer.code, answer.enhanced, answer.stage) == (0, "4.4.4", "dns")


async def test_relay_behind_the_guard_makes_the_queue_wait(net):
    host = await net.host("relay.test")
    for guard in (Guard(False, set()), Guard(True, {(host.ip, host.port)})):
        answer = await relay(net, tls="none", guard=guard).deliver(parcel())
        assert (answer.code, answer.enhanced, answer.stage) == (0, "4.4.4", "connect")
    assert host.sessions == 0


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_what_the_relay_says_about_the_recipient_is_the_answer(net, step):
    (await net.host("relay.test")).answers = {step: "550 5.1.1 no such user"}
    answer = await relay(net, tls="none").deliver(parcel())
    assert (answer.code, answer.enhanced, answer.stage) == (550, "5.1.1", step.lower())
