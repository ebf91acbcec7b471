"""Whether a sender's domain and address stand on DNS blocklists (RFC 5782).

A list that is dead, that refuses our resolver or that lists everybody says nothing: each is asked for its test entries too,
and its answer counts only where these are as they must be.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import Literal, Protocol

from mailferry.net.dns import Lookup, Status, Type

SECONDS = 15.0
"""For all lists together; the resolver bounds each question by itself."""
MOST = 50

State = Literal["listed", "clear", "unknown"]
Result = Literal["success", "error", "off"]

#: Names and pages of lists that people know; another one is called by its zone.
KNOWN = {
    "zen.spamhaus.org": ("SPAMHAUS ZEN", "https://www.spamhaus.org/blocklists/zen-blocklist/"),
    "dbl.spamhaus.org": ("SPAMHAUS DBL", "https://www.spamhaus.org/blocklists/domain-blocklist/"),
    "multi.surbl.org": ("SURBL", "https://surbl.org/"),
    "ips.backscatterer.org": ("BACKSCATTERER", "https://www.backscatterer.org/"),
    "b.barracudacentral.org": ("BARRACUDA", "https://www.barracudacentral.org/rbl"),
    "spamrbl.imp.ch": ("Spamrbl IMP-SPAM", "http://antispam.imp.ch/"),
    "wormrbl.imp.ch": ("Wormrbl IMP-SPAM", "http://antispam.imp.ch/"),
    "ubl.unsubscore.com": ("LASHBACK", "https://blacklist.lashback.com/"),
    "psbl.surriel.com": ("PSBL", "https://psbl.org/"),
    "bl.spamcop.net": ("SPAMCOP", "https://www.spamcop.net/bl.shtml"),
    "truncate.gbudb.net": ("TRUNCATE", "https://www.gbudb.com/truncate/"),
    "bl.mailspike.net": ("MAILSPIKE", "https://mailspike.io/"),
}
_ZONE = re.compile(r"(domain:)?([a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})+)")


class Resolver(Protocol):
    async def query(self, name: str, rtype: Type, *, fresh: bool = False) -> Lookup: ...
    async def addresses(self, host: str) -> tuple[Status, tuple[str, ...]]: ...


@dataclass(frozen=True, slots=True)
class Zone:
    """`by_domain`: it lists names; else it lists addresses."""

    zone: str
    by_domain: bool = False

    @property
    def name(self) -> str:
        return KNOWN.get(self.zone, (self.zone, ""))[0]

    @property
    def url(self) -> str:
        return KNOWN.get(self.zone, ("", f"https://{self.zone}/"))[1]


def parse_zone(text: str) -> Zone:
    """`bl.example.org`, or `domain:dbl.example.org` for a list of names. Raises ValueError."""
    found = _ZONE.fullmatch(text.lower())
    if found is None:
        raise ValueError(f"{text!r} is no zone of a blocklist, e.g. bl.spamcop.net or domain:dbl.spamhaus.org")
    return Zone(found[2], bool(found[1]))


@dataclass(frozen=True, slots=True)
class Listing:
    """`sentence` says why a list is on its side: the reason of an entry, or what is unknown; empty when it is clear."""

    zone: Zone
    state: State
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """`ip` is empty where the domain has no address. `problem` is a sentence where the result is no success."""

    result: Result
    domain: str
    ip: str = ""
    listings: tuple[Listing, ...] = ()
    problem: str = ""


async def check(domain: str, zones: Sequence[Zone], resolver: Resolver, *, seconds: float = SECONDS) -> Report:
    """The address is that which the domain's own name has, as Mailtrap takes it."""
    if not zones:
        return Report("off", domain, problem="No blocklists are configured ([sandbox] blocklists).")
    if not domain:
        return Report("error", domain, problem="From names no domain that could be looked for.")
    try:
        async with asyncio.timeout(seconds):
            return await _check(domain, zones[:MOST], resolver)
    except TimeoutError:
        return Report("error", domain, problem=f"The DNS did not answer within {seconds:g} s.")


async def _check(domain: str, zones: Sequence[Zone], resolver: Resolver) -> Report:
    status, found = await resolver.addresses(domain)
    if status == "timeout":
        return Report("error", domain, problem=f"The DNS did not answer for {domain}: nothing is known.")
    # Most lists know no IPv6.
    ip = next((each for each in found if "." in each), found[0] if found else "")
    listings = await asyncio.gather(*[_ask(zone, domain if zone.by_domain else ip, resolver) for zone in zones])
    if all(each.state == "unknown" for each in listings):
        return Report("error", domain, ip, tuple(listings), "None of the blocklists gave an answer that counts.")
    return Report("success", domain, ip, tuple(listings))


async def _ask(zone: Zone, subject: str, resolver: Resolver) -> Listing:
    if not subject:
        return Listing(zone, "unknown", "The domain has no address.")
    # RFC 5782 section 5: what every list must have, and what none may.
    there, absent = ("test", "invalid") if zone.by_domain else ("2.0.0.127", "1.0.0.127")
    answer, must, must_not = await asyncio.gather(
        *[resolver.query(f"{label}.{zone.zone}", "A") for label in (_label(zone, subject), there, absent)]
    )
    if (why := _unusable(answer)) or (why := _unusable(must)):
        return Listing(zone, "unknown", why)
    if _entries(must_not):
        return Listing(zone, "unknown", "It lists everybody, so it is not kept any more.")
    if not _entries(must):
        return Listing(zone, "unknown", "It does not have its own test entry, so it is not kept any more.")
    if not _entries(answer):
        return Listing(zone, "clear")
    reason = await resolver.query(f"{_label(zone, subject)}.{zone.zone}", "TXT")
    told = f": {' '.join(reason.values)[:300]}" if reason.values else ""
    return Listing(zone, "listed", f"{subject} is listed ({', '.join(_entries(answer))}){told}")


def _label(zone: Zone, subject: str) -> str:
    """RFC 5782 2.1, 2.4: octets or nibbles in reverse."""
    if zone.by_domain:
        return subject
    return ip_address(subject).reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


def _entries(answer: Lookup) -> list[str]:
    return [value for value in answer.values if IPv4Address(value).packed[0] == 127]


def _unusable(answer: Lookup) -> str:
    """Why an answer says nothing of what was asked for; empty when it does."""
    if answer.status == "timeout":
        return "Its name servers did not answer in time."
    if answer.status == "servfail":
        return "Its name servers answer with an error."
    for value in answer.values:
        if value.startswith("127.255.255."):  # Spamhaus: public resolver, too many questions, a wrong name
            return f"It refuses to answer our name server ({value})."
        if value == "127.0.0.1":  # URIBL, SURBL: likewise
            return f"It refuses to answer our name server ({value})."
        if IPv4Address(value).packed[0] != 127:
            return f"It answers with {value}, which is no entry of a blocklist."
    return ""
