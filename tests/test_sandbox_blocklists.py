"""Blocklists: those that list, that do not, and those whose answers must not be believed."""

from collections.abc import Mapping

import pytest

from mailferry.endpoints.mailtrap.sandbox_reports import blacklists_report_info
from mailferry.net.dns import Resolver
from mailferry.sandbox.checks.blocklists import Listing, Report, Zone, check, parse_zone
from tests.fakes.dns import FakeDNS, Records, Trouble

#: 192.0.2.7 and example.com, whose lists have their test entries.
ZONE: dict[str, Records] = {
    "example.com": {"A": "192.0.2.7", "AAAA": "2001:db8::7"},
    "2.0.0.127.bl.test": {"A": "127.0.0.2"},
    "test.dbl.test": {"A": "127.0.1.2"},
}
BY_ADDRESS, BY_DOMAIN = Zone("bl.test"), Zone("dbl.test", by_domain=True)


async def report(
    zone: Mapping[str, Records],
    *zones: Zone,
    domain: str = "example.com",
    trouble: Mapping[str, Trouble] | None = None,
    delay: float = 0.0,
    seconds: float = 15.0,
) -> Report:
    async with FakeDNS(zone) as dns:
        dns.trouble.update(trouble or {})
        dns.delay = delay
        resolver = Resolver([dns.address], clock=lambda: 0, timeout=0.3)
        try:
            return await check(domain, zones, resolver, seconds=seconds)
        finally:
            await resolver.close()


async def one(
    more: Mapping[str, Records], zone: Zone = BY_ADDRESS, trouble: Mapping[str, Trouble] | None = None
) -> Listing:
    (listing,) = (await report({**ZONE, **more}, zone, trouble=trouble)).listings
    return listing


async def test_a_sender_that_no_list_has() -> None:
    found = await report(ZONE, BY_ADDRESS, BY_DOMAIN)
    assert (found.result, found.domain, found.ip, found.problem) == ("success", "example.com", "192.0.2.7", "")
    assert [(each.state, each.sentence) for each in found.listings] == [("clear", ""), ("clear", "")]


async def test_a_sender_that_is_listed_by_address_or_by_name() -> None:
    listed: Mapping[str, Records] = {
        "7.2.0.192.bl.test": {"A": ["127.0.0.2", "127.0.0.4"], "TXT": "see https://bl.test/7"},
        "example.com.dbl.test": {"A": "127.0.1.2"},
    }
    listing = await one(listed)
    assert listing.state == "listed"
    assert listing.sentence in (
        "192.0.2.7 is listed (127.0.0.2, 127.0.0.4): see https://bl.test/7",
        "192.0.2.7 is listed (127.0.0.4, 127.0.0.2): see https://bl.test/7",
    )
    assert await one(listed, BY_DOMAIN) == Listing(BY_DOMAIN, "listed", "example.com is listed (127.0.1.2)")


async def test_an_address_of_ipv6_is_asked_for_by_its_nibbles() -> None:
    name = ".".join(reversed("20010db8000000000000000000000007")) + ".bl.test"
    listing = await one({"example.com": {"AAAA": "2001:db8::7"}, name: {"A": "127.0.0.2"}})
    assert listing.sentence == "2001:db8::7 is listed (127.0.0.2)"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"1.0.0.127.bl.test": {"A": "127.0.0.2"}}, "It lists everybody, so it is not kept any more."),
        ({"2.0.0.127.bl.test": {"TXT": "x"}}, "It does not have its own test entry, so it is not kept any more."),
        ({"2.0.0.127.bl.test": {"A": "203.0.113.1"}}, "It answers with 203.0.113.1, which is no entry of a blocklist."),
        (
            {"7.2.0.192.bl.test": {"A": "127.255.255.254"}},
            "It refuses to answer our name server (127.255.255.254).",
        ),
        ({"7.2.0.192.bl.test": {"A": "127.0.0.1"}}, "It refuses to answer our name server (127.0.0.1)."),
    ],
)
async def test_an_answer_that_must_not_be_believed(more: Mapping[str, Records], sentence: str) -> None:
    assert await one(more) == Listing(BY_ADDRESS, "unknown", sentence)


async def test_a_list_that_does_not_answer() -> None:
    names = ("7.2.0.192.bl.test", "2.0.0.127.bl.test", "1.0.0.127.bl.test")
    broken: dict[str, Trouble] = dict.fromkeys(names, "servfail")
    assert (await one({}, trouble=broken)).sentence == "Its name servers answer with an error."
    silent: dict[str, Trouble] = dict.fromkeys(names, "timeout")
    found = await report(ZONE, BY_ADDRESS, BY_DOMAIN, trouble=silent)
    assert [each.state for each in found.listings] == ["unknown", "clear"] and found.result == "success"


async def test_without_name_servers_the_report_says_so() -> None:
    resolver = Resolver(["127.0.0.1:1"], clock=lambda: 0, timeout=0.3)
    found = await check("example.com", [BY_ADDRESS], resolver)
    assert (found.result, found.listings[0].state) == ("error", "unknown")
    assert blacklists_report_info(found) == {
        "result": "error",
        "domain": "example.com",
        "ip": "",
        "report": [
            {
                "name": "bl.test",
                "url": "https://bl.test/",
                "in_black_list": False,
                "status": "unknown",
                "details": "The domain has no address.",
            }
        ],
        "message": "None of the blocklists gave an answer that counts.",
    }
    slow = await report(ZONE, BY_ADDRESS, delay=5.0)
    assert (slow.result, slow.problem) == ("error", "The DNS did not answer for example.com: nothing is known.")
    bounded = await report(ZONE, BY_ADDRESS, delay=5.0, seconds=0.05)
    assert (bounded.result, bounded.problem) == ("error", "The DNS did not answer within 0.05 s.")


async def test_without_lists_nobody_is_asked() -> None:
    found = await report(ZONE)
    assert found.result == "off" and blacklists_report_info(found) is False


async def test_the_report_in_mailtrap_s_shape() -> None:
    zones = {"2.0.0.127.bl.spamcop.net": {"A": "127.0.0.2"}, "7.2.0.192.bl.spamcop.net": {"A": "127.0.0.2"}}
    found = await report({**ZONE, **zones}, parse_zone("bl.SpamCop.net"))
    shape = blacklists_report_info(found)
    assert isinstance(shape, dict)
    assert (shape["result"], shape["domain"], shape["ip"]) == ("success", "example.com", "192.0.2.7")
    (listed,) = shape["report"]
    assert (listed["name"], listed["url"], listed["in_black_list"]) == (
        "SPAMCOP",
        "https://www.spamcop.net/bl.shtml",
        True,
    )
    pending = blacklists_report_info(None)
    assert isinstance(pending, dict) and pending["result"] == "pending"


def test_zones_as_they_are_configured() -> None:
    assert parse_zone("domain:dbl.example.org") == Zone("dbl.example.org", by_domain=True)
    for text in ("", "x", "http://x.test", "a b.test", "domain:"):
        with pytest.raises(ValueError, match="is no zone of a blocklist"):
            parse_zone(text)
