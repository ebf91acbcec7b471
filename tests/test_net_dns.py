"""The resolver against a name server over real sockets."""

import asyncio

import pytest

from mailferry.net import dns as subject
from mailferry.net.dns import Lookup, MailHosts, Resolver
from tests.fakes.dns import FakeDNS


@pytest.fixture
async def server():
    async with FakeDNS() as running:
        yield running


@pytest.fixture
async def resolver(server, clock):
    made = Resolver([server.address], clock=clock, timeout=1.0)
    yield made
    await made.close()


async def test_each_type_is_answered_in_presentation_form(server, resolver):
    server.zone = {
        "a.test": {
            "A": ["192.0.2.1", "192.0.2.2"],
            "AAAA": "2001:db8::1",
            "TXT": ["v=DKIM1; p=" + "A" * 600, 'say "hi" \\o/', "grüße"],
            "MX": "10 MX.A.test",
        },
        "c.test": {"CNAME": "A.test"},
        "1.2.0.192.in-addr.arpa": {"PTR": "Host.A.test"},
    }
    assert set((await resolver.query("a.test", "A")).values) == {"192.0.2.1", "192.0.2.2"}
    assert await resolver.query("a.test", "AAAA") == Lookup("ok", ("2001:db8::1",), (), 60)
    assert set((await resolver.query("a.test", "TXT")).values) == set(server.zone["a.test"]["TXT"])
    assert (await resolver.query("a.test", "MX")).values == ("10 mx.a.test",)
    assert await resolver.query("c.test", "CNAME") == Lookup("ok", ("a.test",), (), 60)
    assert (await resolver.query("1.2.0.192.in-addr.arpa", "PTR")).values == ("host.a.test",)


async def test_names_are_asked_without_regard_to_case_and_final_dot(server, resolver):
    server.zone = {"a.test": {"A": "192.0.2.1"}}
    assert await resolver.query("A.Test.", "A") == await resolver.query("a.test", "A")
    assert server.count("a.test", "A") == 1


async def test_cname_chain_is_followed_and_reported(server, resolver):
    server.zone = {"a.test": {"CNAME": "b.test"}, "b.test": {"CNAME": "c.test"}, "c.test": {"A": "192.0.2.9"}}
    assert await resolver.query("a.test", "A") == Lookup("ok", ("192.0.2.9",), ("b.test", "c.test"), 60)


async def test_cname_chain_is_followed_where_the_server_does_not(server, resolver):
    server.zone = {"a.test": {"CNAME": "b.test"}, "b.test": {"CNAME": "c.test"}, "c.test": {"A": "192.0.2.9"}}
    server.trouble = {"a.test": "chain-by-question", "b.test": "chain-by-question"}
    assert await resolver.query("a.test", "A") == Lookup("ok", ("192.0.2.9",), ("b.test", "c.test"), 60)


@pytest.mark.parametrize("trouble", [None, "chain-by-question"])
async def test_cname_circle_is_a_failure(server, resolver, trouble):
    server.zone = {"a.test": {"CNAME": "b.test"}, "b.test": {"CNAME": "a.test"}}
    if trouble:
        server.trouble = {"a.test": trouble, "b.test": trouble}
    assert (await resolver.query("a.test", "A")).status == "servfail"


async def test_no_such_name_and_no_such_record_differ(server, resolver):
    server.zone = {
        "a.test": {"A": "192.0.2.1"},
        "x.deep.test": {"A": "192.0.2.1"},
        "dangling.test": {"CNAME": "n.test"},
    }
    assert await resolver.query("none.test", "A") == Lookup("nxdomain", ttl=30)
    assert await resolver.query("a.test", "TXT") == Lookup("nodata", ttl=30)
    assert (await resolver.query("deep.test", "A")).status == "nodata"  # exists, since a name below it does
    assert await resolver.query("dangling.test", "A") == Lookup("nxdomain", chain=("n.test",), ttl=30)


@pytest.mark.parametrize("name", ["a..test", "a" * 64 + ".test", ".".join(["a" * 50] * 6), "münchen.test"])
async def test_impossible_names_do_not_exist(server, resolver, name):
    assert (await resolver.query(name, "A")).status == "nxdomain"
    assert server.asked == []


async def test_answers_are_kept_for_their_ttl(server, resolver, clock):
    server.zone = {"a.test": {"A": "192.0.2.1"}}
    await resolver.query("a.test", "A")
    server.zone = {"a.test": {"A": "192.0.2.2"}}
    clock.now += 59_999
    assert (await resolver.query("a.test", "A")).values == ("192.0.2.1",)
    clock.now += 1
    assert (await resolver.query("a.test", "A")).values == ("192.0.2.2",)


async def test_fresh_asks_again_and_renews_what_is_kept(server, resolver):
    await resolver.query("a.test", "A")
    server.zone = {"a.test": {"A": "192.0.2.2"}}
    assert (await resolver.query("a.test", "A")).status == "nxdomain"
    assert (await resolver.query("a.test", "A", fresh=True)).status == "ok"
    assert (await resolver.query("a.test", "A")).status == "ok"


async def test_missing_records_are_kept_by_the_soa_minimum(server, resolver, clock):
    await resolver.query("a.test", "A")
    server.zone = {"a.test": {"A": "192.0.2.2"}}
    clock.now += 29_999
    assert (await resolver.query("a.test", "A")).status == "nxdomain"
    clock.now += 1
    assert (await resolver.query("a.test", "A")).status == "ok"


async def test_ttls_are_bounded(server, resolver):
    server.ttl, server.negative_ttl = 1_000_000, 1_000_000
    server.zone = {"a.test": {"A": "192.0.2.1"}}
    assert (await resolver.query("a.test", "A")).ttl == subject.LONGEST_TTL
    assert (await resolver.query("b.test", "A")).ttl == subject.LONGEST_NEGATIVE_TTL


async def test_ttl_zero_is_not_kept(server, resolver):
    server.ttl = 0
    server.zone = {"a.test": {"A": "192.0.2.1"}}
    await resolver.query("a.test", "A")
    await resolver.query("a.test", "A")
    assert server.count("a.test", "A") == 2


async def test_failures_are_not_kept(server, resolver):
    server.zone = {"a.test": {"A": "192.0.2.1"}}
    server.trouble = {"a.test": "servfail"}
    assert await resolver.query("a.test", "A") == Lookup("servfail")
    server.trouble = {"a.test": "refused"}
    assert (await resolver.query("a.test", "A")).status == "servfail"
    server.trouble = {}
    assert (await resolver.query("a.test", "A")).status == "ok"


async def test_silence_is_a_timeout(server, clock):
    server.trouble = {"a.test": "timeout", "b.test": "garbage"}
    resolver = Resolver([server.address], clock=clock, timeout=0.1)
    assert await resolver.query("a.test", "A") == Lookup("timeout")
    assert await resolver.query("b.test", "A") == Lookup("timeout")
    assert server.count("a.test", "A") == subject.TRIES


async def test_next_name_server_is_asked(server, clock):
    async with FakeDNS({"a.test": {"A": "192.0.2.7"}, "b.test": {"A": "192.0.2.8"}}) as second:
        server.trouble = {"a.test": "servfail", "b.test": "timeout"}
        resolver = Resolver([server.address, second.address], clock=clock, timeout=0.4)
        assert (await resolver.query("a.test", "A")).values == ("192.0.2.7",)
        assert (await resolver.query("b.test", "A")).values == ("192.0.2.8",)


async def test_dead_name_server_is_noticed_without_waiting(server, clock):
    server.zone = {"a.test": {"A": "192.0.2.7"}}
    async with FakeDNS() as gone:
        address = gone.address
    resolver = Resolver([address, server.address], clock=clock, timeout=600.0)  # the test would hang
    assert (await resolver.query("a.test", "A")).status == "ok"
    assert (await Resolver([address], clock=clock, timeout=600.0).query("a.test", "A")).status == "servfail"


async def test_cut_off_answers_come_over_tcp(server, resolver):
    server.zone = {"large.test": {"TXT": ["x" * 2000]}, "small.test": {"TXT": ["x"]}}
    server.trouble = {"small.test": "truncate"}
    assert (await resolver.query("large.test", "TXT")).values == ("x" * 2000,)
    assert (await resolver.query("small.test", "TXT")).values == ("x",)
    assert [over for _, _, over in server.asked] == ["udp", "tcp", "udp", "tcp"]
    assert set(server.payloads) == {subject.PAYLOAD}


async def test_equal_questions_at_once_are_one(server, resolver):
    server.zone = {"a.test": {"A": "192.0.2.1"}}
    server.delay = 0.05
    found = await asyncio.gather(*(resolver.query("a.test", "A") for _ in range(50)))
    assert {lookup.status for lookup in found} == {"ok"}
    assert server.count("a.test", "A") == 1


async def test_cancelled_caller_leaves_the_answer_to_the_others(server, resolver):
    server.zone = {"a.test": {"A": "192.0.2.1"}}
    server.delay = 0.05
    first = asyncio.create_task(resolver.query("a.test", "A"))
    second = asyncio.create_task(resolver.query("a.test", "A"))
    await asyncio.sleep(0.01)
    first.cancel()
    assert (await second).status == "ok"
    assert first.cancelled()


async def test_cache_is_bounded_and_drops_what_was_not_used(server, resolver, monkeypatch):
    monkeypatch.setattr(subject, "CACHE_ENTRIES", 2)
    server.zone = {name: {"A": "192.0.2.1"} for name in ("a.test", "b.test", "c.test")}
    for name in ("a.test", "b.test", "a.test", "c.test", "a.test", "b.test"):
        await resolver.query(name, "A")
    assert (server.count("a.test", "A"), server.count("b.test", "A"), server.count("c.test", "A")) == (1, 2, 1)


async def test_closing_ends_what_is_being_asked(server, clock):
    server.trouble = {"a.test": "timeout"}
    resolver = Resolver([server.address], clock=clock, timeout=600.0)
    asking = asyncio.create_task(resolver.query("a.test", "A"))
    await asyncio.sleep(0.01)
    await resolver.close()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_mail_hosts_come_by_preference(server, resolver):
    server.zone = {"a.test": {"MX": ["20 two.test", "5 One.test", "20 also.test"]}}
    assert await resolver.mail_hosts("a.test") == MailHosts(
        "ok", ((5, "one.test"), (20, "also.test"), (20, "two.test"))
    )


async def test_mail_hosts_of_a_cname_are_its_target_s(server, resolver):
    server.zone = {"a.test": {"CNAME": "b.test"}, "b.test": {"MX": "1 mx.b.test"}}
    assert (await resolver.mail_hosts("a.test")).hosts == ((1, "mx.b.test"),)


async def test_domain_without_mx_is_its_own_mail_host(server, resolver):
    server.zone = {"four.test": {"A": "192.0.2.1"}, "six.test": {"AAAA": "2001:db8::1"}}
    assert await resolver.mail_hosts("four.test") == MailHosts("ok", ((0, "four.test"),), implicit=True)
    assert await resolver.mail_hosts("six.test") == MailHosts("ok", ((0, "six.test"),), implicit=True)


async def test_null_mx(server, resolver):
    server.zone = {"a.test": {"MX": "0 .", "A": "192.0.2.1"}, "b.test": {"MX": ["0 .", "10 mx.b.test"]}}
    assert await resolver.mail_hosts("a.test") == MailHosts("null")
    assert await resolver.mail_hosts("b.test") == MailHosts("ok", ((10, "mx.b.test"),))


@pytest.mark.parametrize(
    "host",
    [
        *("::1%1", "::1", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "mx.b.test.1"),
        *("[127.0.0.1]", "[ipv6:::1]", r"127\.0\.0\.1", r"mx\032.b.test", r"\000"),
    ],
)
async def test_an_address_in_an_mx_is_no_host(server, resolver, host):
    # An address record of the name makes no host of it, neither its own nor the domain's.
    server.zone = {"a.test": {"MX": f"0 {host}.", "A": "192.0.2.1"}, host: {"A": "192.0.2.1"}}
    server.zone["b.test"] = {"MX": [f"0 {host}.", "10 mx_1.b.test", "20 1.mx-2.xb0"]}
    assert await resolver.mail_hosts("a.test") == MailHosts("none")
    assert (await resolver.mail_hosts("b.test")).hosts == ((10, "mx_1.b.test"), (20, "1.mx-2.xb0"))


async def test_domains_without_mail_hosts_say_why(server, resolver):
    server.zone = {"text.test": {"TXT": "hello"}}
    server.trouble = {"sick.test": "servfail"}
    assert await resolver.mail_hosts("text.test") == MailHosts("none")
    assert await resolver.mail_hosts("gone.test") == MailHosts("nxdomain")
    assert await resolver.mail_hosts("sick.test") == MailHosts("servfail")


async def test_failing_address_look_up_does_not_make_a_domain_unreachable_for_good(server, resolver):
    server.zone = {"a.test": {"TXT": "hello"}}
    server.trouble = {"a.test AAAA": "servfail"}
    assert await resolver.mail_hosts("a.test") == MailHosts("servfail")


async def test_addresses_of_both_families(server, resolver):
    server.zone = {
        "both.test": {"A": "192.0.2.1", "AAAA": "2001:db8::1"},
        "half.test": {"A": "192.0.2.1"},
        "none.test": {"TXT": "x"},
    }
    assert await resolver.addresses("both.test") == ("ok", ("2001:db8::1", "192.0.2.1"))
    assert await resolver.addresses("none.test") == ("nodata", ())
    assert await resolver.addresses("gone.test") == ("nxdomain", ())
    server.trouble = {"half.test AAAA": "servfail"}
    assert await resolver.addresses("half.test") == ("ok", ("192.0.2.1",))


def test_name_servers_as_settings_write_them(clock):
    made = Resolver(["192.0.2.1", "192.0.2.1:5353", "[2001:db8::1]:5353", "2001:db8::1"], clock=clock)
    expected = [("192.0.2.1", 53), ("192.0.2.1", 5353), ("2001:db8::1", 5353), ("2001:db8::1", 53)]
    assert made._servers == expected


@pytest.mark.parametrize("text", ["resolver.test", "resolver.test:53", "192.0.2.1:x", ""])
def test_name_servers_are_addresses(clock, text):
    with pytest.raises(ValueError, match="no name server"):
        Resolver([text], clock=clock)


def test_name_servers_of_the_system(clock):
    assert Resolver([], clock=clock)._servers
