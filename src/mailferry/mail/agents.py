"""Machines that open pixels and follow links: told from people by what a request says of itself, and when it comes.

A machine's hit is no lie, only no reader: mail proxies fetch pictures whether anybody looks or not, and scanners follow
every link. So each hit keeps its machine and the reason; whoever counts readers leaves these out. What looks like a
person counts as one, because a wrong "machine" would hide a reader.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

#: Milliseconds after delivery in which nobody has read anything yet.
TOO_SOON_MS = 2_000


@dataclass(frozen=True, slots=True)
class Machine:
    """``name`` is a word for counting, ``why`` a sentence for people."""

    name: str
    why: str


TOO_SOON = Machine("scanner", f"it came within {TOO_SOON_MS // 1000} seconds of delivery, or before it")
_NAMELESS = Machine("unknown", "it says no user agent")
_HEAD = Machine("scanner", "it asked by HEAD, and looked at nothing")

#: What fetches ahead says so; Sec-Purpose is Fetch's (2.2.7), the others are older browsers'.
_AHEAD = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_AHEAD_VALUES = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)

_APPLE = Machine("apple_mail_privacy", "Apple's Mail Privacy Protection fetches all pictures, read or not")
#: The first that matches the user agent. Apple's says nothing but this, which no browser does.
_AGENTS: tuple[tuple[re.Pattern[str], Machine], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), Machine(name, why))
    for pattern, name, why in (
        (r"Mozilla/5\.0", _APPLE.name, _APPLE.why),
        (r".*GoogleImageProxy.*", "gmail_proxy", "Gmail's proxy fetches pictures for its readers"),
        (r".*YahooMailProxy.*", "yahoo_proxy", "Yahoo's proxy fetches pictures for its readers"),
        (
            r".*(SafeLinks|BingPreview|SkypeUriPreview|Microsoft Office Existence|Microsoft-ATL|ms-office).*",
            "microsoft_scanner",
            "Microsoft's link check follows links before readers do",
        ),
        (
            r".*(Barracuda|Proofpoint|Mimecast|Symantec|MessageLabs|Trend ?Micro|Zscaler|Forti(Guard|Mail|Sandbox)|Sophos"
            r"|IronPort|Cisco|Trustwave|VirusTotal|urlscan|CloudMark|Vade|Avanan|Check ?Point).*",
            "scanner",
            "a mail gateway's scanner follows links before readers do",
        ),
        (
            r".*(Slackbot|facebookexternalhit|WhatsApp|TelegramBot|Twitterbot|LinkedInBot|Discordbot|Applebot|Googlebot"
            r"|bingbot|YandexBot|DuckDuckBot|Baiduspider).*",
            "preview",
            "a preview or search engine followed the link",
        ),
        (
            r".*(HeadlessChrome|PhantomJS|Playwright|Puppeteer|Selenium|python-requests|python-urllib|aiohttp|httpx|curl/"
            r"|Wget|libwww|Go-http-client|Java/|okhttp|Apache-HttpClient|node-fetch|axios|Scrapy|PostmanRuntime).*",
            "program",
            "a program asked, no browser",
        ),
        (r".*(\bbot\b|bot/|crawler|spider|scanner|prefetch|link ?check|monitor).*", "bot", "it calls itself a machine"),
    )
)


def judge(method: str, headers: Mapping[str, str]) -> Machine | None:
    """None: as far as the request tells, a person. ``headers`` by their lower-case names."""
    for name in _AHEAD:
        if _AHEAD_VALUES.search(headers.get(name, "")):
            return Machine("prefetch", "it was fetched ahead, before anybody asked for it")
    agent = headers.get("user-agent", "").strip()
    if not agent:
        return _NAMELESS
    for pattern, machine in _AGENTS:
        if pattern.fullmatch(agent):
            return machine
    return _HEAD if method == "HEAD" else None
