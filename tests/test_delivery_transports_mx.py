"""Delivery to mail hosts found in the DNS, over real sockets."""

import asyncio
import random
from collections import Counter

import pytest

from mailferry.delivery.transports import tour
from mailferry.delivery.transports.mx import Mx
from mailferry.delivery.transports.pool import Pool
from mailferry.delivery.transports.transport import Peer, Prepared
from mailferry.mail.reply import Answer, classify
from mailferry.net.guard import Guard
from mailferry.net.smtp import Timeouts
from mailferry.net.smtp_habits import PLAIN_MS
from tests.conftest import eventually
from tests.fakes import certificates
from tests.fakes.internet import MESSAGE, internet, parcel
from tests.fakes.mx import DROP


@pytest.fixture
async def net(clock):
    async with internet(clock) as made:
        yield made


@pytest.fixture(scope="module")
def certificate():
    return certificates.make("mx.y.test")


# Which host.


async def test_message_comes_to_the_mail_host(net):
    mx = await net.host("mx.y.test")
    net.mail("y.test", "10 mx.y.test")
    answer = await net.transport().deliver(parcel())
    assert (answer.code, answer.stage, answer.transport, answer.host, answer.ip) == (
        250,
        "dot",
        "mx",
        "mx.y.test",
        mx.ip,
    )
    assert [(taken.sender, taken.recipients, taken.content) for taken in mx.transactions] == [
        ("a@x.test", ("b@y.test",), b"".join(MESSAGE))
    ]


async def test_hosts_are_tried_by_preference(net):
    hosts = [await net.host(f"mx{number}.y.test") for number in (1, 2, 3)]
    net.mail("y.test", "30 mx3.y.test", "20 mx2.y.test", "10 mx1.y.test")
    assert (await net.transport().deliver(parcel())).host == "mx1.y.test"
    await hosts[0].stop()
    assert (await net.transport().deliver(parcel())).host == "mx2.y.test"
    await hosts[1].stop()
    assert (await net.transport().deliver(parcel())).host == "mx3.y.test"


async def test_hosts_of_equal_preference_share_the_load(net):
    for number in (1, 2, 3):
        await net.host(f"mx{number}.y.test")
    net.mail("y.test", "10 mx1.y.test", "10 mx2.y.test", "10 mx3.y.test", "5 gone.y.test")
    rng = random.Random(1)
    used = Counter([(await net.transport(rng=rng).deliver(parcel())).host for _ in range(60)])
    assert set(used) == {"mx1.y.test", "mx2.y.test", "mx3.y.test"}
    assert min(used.values()) > 8


async def test_addresses_of_one_host_share_the_load(net):
    await net.host("a.y.test")
    await net.host("b.y.test")
    net.dns.zone["mx.y.test"] = {"A": [net.dns.zone["a.y.test"]["A"], net.dns.zone["b.y.test"]["A"]]}
    net.mail("y.test", "10 mx.y.test")
    rng = random.Random(1)
    used = Counter([(await net.transport(rng=rng).deliver(parcel())).ip for _ in range(30)])
    assert len(used) == 2


async def test_domain_without_mx_is_its_own_host(net):
    await net.host("y.test")
    assert (await net.transport().deliver(parcel())).host == "y.test"


async def test_null_mx_is_final_at_once(net):
    await net.host("y.test")
    net.dns.zone["y.test"] = {"MX": "0 .", "A": "127.0.0.10"}
    answer = await net.transport().deliver(parcel())
    assert (answer.code, answer.enhanced, answer.stage, answer.transport) == (0, "5.1.10", "dns", "mx")
    assert classify(answer).outcome == "failed"


async def test_domain_that_does_not_exist_is_final(net):
    answer = await net.transport().deliver(parcel())
    assert (answer.code, answer.enhanced, answer.stage) == (0, "5.1.2", "dns")


async def test_domain_without_any_host_is_final(net):
    net.dns.zone["y.test"] = {"TXT": "no mail here"}
    assert (await net.transport().deliver(parcel())).enhanced == "5.4.4"
    net.mail("z.test", "10 gone.z.test", "20 text.z.test")
    net.dns.zone["text.z.test"] = {"TXT": "no address"}
    answer = await net.transport().deliver(parcel("b@z.test"))
    assert (answer.enhanced, answer.stage, answer.host) == ("5.4.4", "dns", "gone.z.test")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1%1"])
async def test_an_address_in_place_of_a_mail_host_is_not_connected_to(net, host):
    mx = await net.host("mx.y.test")
    net.mail("y.test", f"10 {host}.")
    answer = await net.transport().deliver(parcel())
    assert (answer.code, answer.enhanced, answer.stage, answer.ip) == (0, "5.4.4", "dns", "")
    assert not mx.sessions


@pytest.mark.parametrize("trouble", ["servfail", "timeout"])
async def test_name_servers_in_trouble_are_asked_again_later(net, trouble):
    await net.host("mx.y.test")
    net.mail("y.test", "10 mx.y.test")
    transport = net.transport()
    net.dns.trouble = {"y.test": trouble}
    answer = await transport.deliver(parcel())
    assert (answer.code, answer.enhanced, answer.stage) == (0, "4.4.3", "dns")
    net.dns.trouble = {"mx.y.test": trouble}
    answer = await transport.deliver(parcel())
    assert (answer.code, answer.enhanced, answer.stage, answer.host) == (0, "4.4.3", "dns", "mx.y.test")
    assert classify(answer).outcome == "later"
    net.dns.trouble = {}
    assert (await transport.deliver(parcel())).code == 250


async def test_mx_that_is_a_cname_is_followed(net):
    await net.host("real.y.test")
    net.dns.zone["mx.y.test"] = {"CNAME": "real.y.test"}
    net.mail("y.test", "10 mx.y.test")
    assert (await net.transport().deliver(parcel())).host == "mx.y.test"


async def test_hosts_without_address_are_passed_by(net):
    await net.host("mx.y.test")
    net.mail("y.test", "10 gone.y.test", "20 mx.y.test")
    assert (await net.transport().deliver(parcel())).host == "mx.y.test"


async def test_ipv6_is_tried_first_and_ipv4_after_it(net):
    four = await net.host("mx.y.test")
    six = await net.host("six.y.test", ip="::1")
    net.dns.zone["mx.y.test"] = {"A": four.ip, "AAAA": "::1"}
    net.mail("y.test", "10 mx.y.test")
    assert (await net.transport().deliver(parcel())).ip == "::1"
    await six.stop()
    assert (await net.transport().deliver(parcel())).ip == four.ip


async def test_families_take_turns(net):
    net.dns.zone["mx.y.test"] = {"A": ["127.0.0.1", "127.0.0.2"], "AAAA": ["::1", "::2", "::3"]}
    found, failures = await net.transport()._dialer.addresses("mx.y.test")
    assert [":" in ip for ip in found] == [True, False, True, False, True]
    assert failures == []


async def test_own_address_chooses_the_family(net):
    four = await net.host("mx.y.test")
    net.dns.zone["mx.y.test"] = {"A": four.ip, "AAAA": "::1"}
    net.mail("y.test", "10 mx.y.test")
    answer = await net.transport(local_ip="127.0.0.99").deliver(parcel())
    assert (answer.ip, answer.local_ip) == (four.ip, "127.0.0.99")
    answer = await net.transport(local_ip="::1").deliver(parcel())
    assert answer.ip == "::1"
    net.dns.zone["other.test"] = {"A": four.ip}
    answer = await net.transport(local_ip="::1").deliver(parcel("b@other.test"))
    assert (answer.code, answer.enhanced) == (0, "4.4.4")


async def test_own_host_cuts_the_list_off(net):
    await net.host("backup.y.test")
    await net.host("us.test")
    first = await net.host("first.y.test")
    net.mail("y.test", "10 first.y.test", "20 US.test", "20 equal.y.test", "30 backup.y.test")
    transport = net.transport()
    assert (await transport.deliver(parcel())).host == "first.y.test"
    await first.stop()
    assert (await net.transport().deliver(parcel())).stage == "connect"
    net.mail("z.test", "10 mail.us.test", "20 backup.y.test")
    answer = await net.transport(own_hosts=["Mail.us.test."]).deliver(parcel("b@z.test"))
    assert (answer.code, answer.enhanced) == (0, "5.4.6")


# What the guard refuses.


async def test_refused_addresses_are_final(net):
    mx = await net.host("mx.y.test")
    net.mail("y.test", "10 mx.y.test")
    answer = await net.transport(guard=Guard(False, set())).deliver(parcel())
    assert (answer.code, answer.enhanced, answer.stage, answer.ip) == (0, "5.4.4", "connect", mx.ip)
    assert "loopback" in answer.text
    assert mx.sessions == 0


async def test_own_listeners_are_never_connected_to(net):
    mx = await net.host("mx.y.test")
    net.mail("y.test", "10 mx.y.test")
    answer = await net.transport(guard=Guard(True, {("0.0.0.0", net.port)})).deliver(parcel())
    assert "listener of our own" in answer.text
    assert mx.sessions == 0


async def test_one_host_that_may_come_back_makes_it_temporary(net):
    mx = await net.host("mx.y.test")
    await mx.stop()
    net.dns.zone["local.y.test"] = {"A": "127.0.0.1"}
    net.mail("y.test", "10 local.y.test", "20 mx.y.test")
    answer = await net.transport(guard=Guard(True, {("127.0.0.1", net.port)})).deliver(parcel())
    assert (answer.enhanced, answer.host) == ("4.4.1", "mx.y.test")


# A host that fails, and a host that answers.


@pytest.mark.parametrize(
    "answers",
    [
        {"CONNECT": "421 4.3.2 busy"},
        {"CONNECT": "450 4.3.2 busy"},
        {"CONNECT": "554 5.7.1 not you"},
        {"CONNECT": DROP},
        {"EHLO": "450 4.3.2 later"},
        {"EHLO": DROP},
        {"MAIL": "421 4.3.2 shutting down"},
        {"MAIL": DROP},
        {"RCPT": "421 4.3.2 shutting down"},
        {"RCPT": DROP},
        {"DATA": "421 4.3.2 shutting down"},
        {"DATA": DROP},
    ],
)
async def test_host_that_fails_is_followed_by_the_next(net, answers):
    first = await net.host("mx1.y.test")
    await net.host("mx2.y.test")
    net.mail("y.test", "10 mx1.y.test", "20 mx2.y.test")
    first.answers = answers
    answer = await net.transport().deliver(parcel())
    assert (answer.code, answer.host) == (250, "mx2.y.test")
    assert first.sessions == 1


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize("said", ["450 4.2.0 later", "550 5.1.1 no"])
async def test_what_a_host_says_about_the_recipient_is_the_answer(net, step, said):
    first = await net.host("mx1.y.test")
    second = await net.host("mx2.y.test")
    net.mail("y.test", "10 mx1.y.test", "20 mx2.y.test")
    first.answers = {step: said}
    answer = await net.transport().deliver(parcel())
    assert (answer.code, answer.stage, answer.host) == (int(said[:3]), step.lower(), "mx1.y.test")
    assert second.sessions == 0


async def test_host_that_fails_in_the_middle_of_a_message_is_followed_by_the_next(net):
    first = await net.host("mx1.y.test")
    await net.host("mx2.y.test")
    net.mail("y.test", "10 mx1.y.test", "20 mx2.y.test")
    first.answers = {"BODY": DROP}

    async def large(_):
        return Prepared(((b"x" * 78 + b"\r\n") * 100_000,))

    answer = await net.transport().deliver(parcel(prepare=large))
    assert (answer.code, answer.host) == (250, "mx2.y.test")


@pytest.mark.parametrize("said", [DROP, "421 4.3.2 shutting down"])
async def test_message_that_may_have_been_taken_is_next_offered_to_another_host(net, clock, said):
    first = await net.host("mx1.y.test")
    second = await net.host("mx2.y.test")
    net.mail("y.test", "10 mx1.y.test", "20 mx2.y.test")
    first.answers = {"DOT": [said]}
    transport = net.transport()
    answer = await transport.deliver(parcel())
    assert (answer.code, answer.stage, answer.host) == (0 if said == DROP else 421, "dot", "mx1.y.test")
    assert second.sessions == 0, "in one attempt it is offered to nobody else"
    assert (await transport.deliver(parcel("c@y.test"))).host == "mx1.y.test", "others are not concerned"
    assert (await transport.deliver(parcel())).host == "mx2.y.test", "and the open connection is none for it"
    await transport._pool.close()
    clock.forward(seconds=tour.DOUBT_MS / 1000)
    assert (await transport.deliver(parcel())).host == "mx1.y.test"


async def test_host_that_left_a_message_in_doubt_is_tried_last_and_not_never(net):
    only = await net.host("mx1.y.test")
    net.mail("y.test", "10 mx1.y.test", "20 gone.y.test")
    only.answers = {"DOT": [DROP]}
    transport = net.transport()
    assert (await transport.deliver(parcel())).code == 0
    assert (await transport.deliver(parcel())).code == 250


async def test_all_hosts_refusing_for_good_is_heard_as_that(net):
    for name in ("mx1.y.test", "mx2.y.test"):
        (await net.host(name)).answers = {"CONNECT": "554 5.7.1 your address is listed"}
    net.mail("y.test", "10 mx1.y.test", "20 mx2.y.test")
    answer = await net.transport().deliver(parcel())
    assert (answer.code, answer.enhanced, answer.host) == (554, "5.7.1", "mx1.y.test")


async def test_words_are_reported_rather_than_silence(net):
    await (await net.host("mx1.y.test")).stop()
    (await net.host("mx2.y.test")).answers = {"CONNECT": "450 4.7.1 not now"}
    net.mail("y.test", "10 mx1.y.test", "20 mx2.y.test")
    assert (await net.transport().deliver(parcel())).code == 450


async def test_connections_tried_are_bounded_and_every_preference_is_reached(net, monkeypatch):
    backup = await net.host("mx.y.test")
    net.dns.zone["many.y.test"] = {"A": [f"127.0.1.{number}" for number in range(1, 40)]}
    net.mail("y.test", "10 many.y.test", "20 mx.y.test")
    dialled = []
    connect = tour.connect

    async def counting(host, *rest):
        dialled.append(host)
        return await connect(host, *rest)

    monkeypatch.setattr(tour, "connect", counting)
    assert (await net.transport().deliver(parcel())).ip == backup.ip
    assert dialled == ["many.y.test"] * 5 + ["mx.y.test"]
    dialled.clear()
    await backup.stop()
    assert (await net.transport().deliver(parcel())).enhanced == "4.4.1"
    assert len(dialled) == tour.MOST_CONNECTIONS


async def test_many_dead_hosts_of_one_preference_do_not_hide_the_next(net):
    await net.host("backup.y.test")
    for number in range(tour.MOST_HOSTS + 5):
        net.dns.zone[f"mx{number}.y.test"] = {"A": f"127.0.1.{number + 1}"}
    dead = [f"10 mx{number}.y.test" for number in range(tour.MOST_HOSTS + 5)]
    net.mail("y.test", *dead, "20 backup.y.test")
    assert (await net.transport().deliver(parcel())).host == "backup.y.test"


async def test_dead_addresses_of_one_host_do_not_hide_its_equal(net):
    live = await net.host("live.y.test")
    net.dns.zone["dead.y.test"] = {"A": [f"127.0.1.{number}" for number in range(1, 40)]}
    net.mail("y.test", "10 live.y.test", "10 dead.y.test")
    for _ in range(8):  # whichever comes first
        assert (await net.transport(rng=random.Random(_)).deliver(parcel())).ip == live.ip


async def test_greylisted_recipient_comes_through_later(net):
    await net.host("mx.y.test", greylist=True)
    net.mail("y.test", "10 mx.y.test")
    transport = net.transport()
    assert [(await transport.deliver(parcel())).code for _ in range(2)] == [451, 250]


async def test_silent_host_ends_in_an_answer(net):
    mx = await net.host("mx.y.test")
    net.mail("y.test", "10 mx.y.test")
    mx.delays = {"CONNECT": 60}
    answer = await net.transport(timeouts=Timeouts(greeting=0.02)).deliver(parcel())
    assert (answer.code, answer.enhanced, answer.stage) == (0, "4.4.2", "connect")


# TLS.


async def test_what_needs_tls_is_sent_in_plain_text_to_nobody(net, certificate):
    """Neither over a new connection nor over one that is open, nor where the host breaks the handshake off."""
    plain = await net.host("mx.y.test")
    net.mail("y.test", "10 mx.y.test")
    transport = net.transport()
    assert (await transport.deliver(parcel())).code == 250
    answer = await transport.deliver(parcel(needs_tls=True))
    assert (answer.code, answer.stage, answer.enhanced) == (0, "tls", "4.7.5")
    assert classify(answer).outcome == "later"
    assert len(plain.transactions) == 1
    broken = await net.host("mx.z.test", tls=certificate.server, broken_tls="close")
    net.mail("z.test", "10 mx.z.test")
    assert (await transport.deliver(parcel("b@z.test", needs_tls=True))).stage == "tls"
    broken.broken_tls = ""
    assert (await transport.deliver(parcel("b@z.test", needs_tls=True))).tls == "TLSv1.3"


async def test_tls_is_used_where_offered(net, certificate):
    mx = await net.host("mx.y.test", tls=certificate.server)
    net.mail("y.test", "10 mx.y.test")
    assert (await net.transport().deliver(parcel())).tls == mx.transactions[0].tls == "TLSv1.3"


@pytest.mark.parametrize("how", ["garbage", "close", "after"])
async def test_broken_tls_falls_back_and_is_remembered_for_a_while(net, certificate, clock, how):
    mx = await net.host("mx.y.test", tls=certificate.server, broken_tls=how)
    net.mail("y.test", "10 mx.y.test")

    async def deliver():
        answer = await transport.deliver(parcel())
        await transport._pool.close()  # so that the next one connects anew
        return answer

    transport = net.transport()
    answer = await deliver()
    assert (answer.code, answer.tls) == (250, "")
    assert mx.sessions == 2
    assert (await deliver()).code == 250
    assert mx.sessions == 3
    clock.forward(seconds=PLAIN_MS / 1000)
    mx.broken_tls = ""
    assert (await deliver()).tls == "TLSv1.3"


async def test_host_that_fails_in_plain_text_too_is_not_remembered(net, certificate):
    mx = await net.host("mx.y.test", tls=certificate.server, broken_tls="close")
    net.mail("y.test", "10 mx.y.test")
    transport = net.transport()
    mx.answers = {"CONNECT": ["220 hello", "450 4.3.2 busy"]}
    assert (await transport.deliver(parcel())).code == 450
    mx.broken_tls = ""
    assert (await transport.deliver(parcel())).tls == "TLSv1.3"


# What is prepared for whom.


async def test_message_is_prepared_for_the_host_s_abilities(net):
    await net.host("mx.y.test", extensions=["8BITMIME", "SIZE 5000"])
    net.mail("y.test", "10 mx.y.test")
    peers = []

    async def prepare(peer):
        peers.append(peer)
        return Prepared(MESSAGE, eight_bit=True)

    transport = net.transport()
    await transport.deliver(parcel(prepare=prepare))
    await transport.deliver(parcel(prepare=prepare))
    assert peers == [Peer(eight_bit=True, utf8=False, size=5000)] * 2


async def test_message_is_prepared_anew_only_for_other_abilities(net):
    hosts = [
        await net.host("mx1.y.test", extensions=["8BITMIME"]),
        await net.host("mx2.y.test", extensions=["8BITMIME"]),
        await net.host("mx3.y.test", extensions=[]),
    ]
    net.mail("y.test", "10 mx1.y.test", "20 mx2.y.test", "30 mx3.y.test")
    for host in hosts[:2]:
        host.answers = {"MAIL": "421 4.3.2 closing"}
    peers = []

    async def prepare(peer):
        peers.append(peer)
        return Prepared((b"eight: %d\r\n" % peer.eight_bit,), eight_bit=peer.eight_bit)

    assert (await net.transport().deliver(parcel(prepare=prepare))).host == "mx3.y.test"
    assert [peer.eight_bit for peer in peers] == [True, False]
    assert hosts[2].transactions[0].content == b"eight: 0\r\n"


async def test_refusal_to_prepare_is_the_answer(net):
    mx = await net.host("mx.y.test")
    net.mail("y.test", "10 mx.y.test")

    async def prepare(_):
        return Answer(0, "5.6.7", "needs SMTPUTF8")

    transport = net.transport()
    answer = await transport.deliver(parcel(prepare=prepare))
    assert (answer.enhanced, answer.text, answer.stage) == ("5.6.7", "needs SMTPUTF8", "prepare")
    assert (answer.transport, answer.host, answer.ip) == ("mx", "mx.y.test", mx.ip)
    assert (await transport.deliver(parcel())).code == 250
    assert mx.sessions == 1


async def test_failure_to_prepare_leaves_no_connection_behind(net):
    mx = await net.host("mx.y.test")
    net.mail("y.test", "10 mx.y.test")

    async def prepare(_):
        raise RuntimeError("the key is gone")

    transport = net.transport()
    with pytest.raises(RuntimeError, match="the key is gone"):
        await transport.deliver(parcel(prepare=prepare))
    await eventually(lambda: mx.open == 0)
    assert (await transport.deliver(parcel())).code == 250


async def test_lost_lease_leaves_no_message_behind(net):
    mx = await net.host("mx.y.test")
    net.mail("y.test", "10 mx.y.test")
    answer = await net.transport().deliver(parcel(may_commit=lambda: False))
    assert (answer.code, answer.enhanced, answer.stage) == (0, "4.4.2", "dot")
    await eventually(lambda: mx.open == 0)
    assert mx.transactions == []


async def test_cancelled_delivery_cuts_its_connection(net):
    mx = await net.host("mx.y.test")
    net.mail("y.test", "10 mx.y.test")
    mx.delays = {"DOT": 60}
    transport = net.transport(pool=Pool(connections=1))
    task = asyncio.create_task(transport.deliver(parcel()))
    await eventually(lambda: "DATA" in mx.commands)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    mx.delays = {}
    assert (await transport.deliver(parcel())).code == 250
    assert mx.sessions == 2


def test_helo_name_counts_as_our_own(clock):
    transport = Mx(resolver=None, guard=Guard(True, set()), clock=clock, rng=random.Random(), helo="US.test")
    assert transport._own_hosts == {"us.test"}
