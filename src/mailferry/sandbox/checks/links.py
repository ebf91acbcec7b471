"""Where the links and images of a message lead: what answers, over which redirects, and what is not encrypted.

Finding them is pure; asking goes through net/http, so that each hop passes the guard, and is bounded in number and time.
Nobody's mail is acted upon by it as far as that can be helped: HEAD is asked first, GET reads no body, and links of
List-Unsubscribe are left alone.
"""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal
from urllib.parse import urljoin, urlsplit

from mailferry.mail.reading import Reading
from mailferry.net.http import HttpClient
from mailferry.net.http_call import BadUrl, Reply, parse_url
from mailferry.sandbox.checks import page

MOST = 100
"""URLs that are asked. A newsletter has thirty."""
MOST_TOLD = 500
"""URLs that are told of at all."""
HOPS = 10
"""Redirects that are followed; browsers stop at twenty."""
AT_ONCE = 8
SECONDS = 10.0
"""For one URL with all of its hops."""
TOTAL_SECONDS = 45.0
"""For all of them."""
USUAL_PORTS = (80, 443, 8080, 8443)
"""Ports that are asked where private addresses are not allowed: whoever may name any port may knock at any service."""

Kind = Literal["link", "image", "style", "form", "text"]
State = Literal["ok", "broken", "unreachable", "not_asked", "wrong"]
#: What may be asked again by GET: servers that know no HEAD say all of these.
_AGAIN = range(400, 600)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_IN_TEXT = re.compile(r"https?://[^\s<>\"'\]]{1,2000}", re.IGNORECASE)
_IN_STYLE = re.compile(r"url\(\s*([\"']?)([^\"')]{1,2000})\1\s*\)", re.IGNORECASE)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_QUIET = frozenset({"mailto", "tel", "sms", "data"})
#: Of the mail's own parts, "#" and "" within it.
_ATTRIBUTES: tuple[tuple[str, str, Kind], ...] = (
    ("a", "href", "link"),
    ("area", "href", "link"),
    ("img", "src", "image"),
    ("input", "src", "image"),
    ("link", "href", "style"),
    ("form", "action", "form"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """A URL of a message; `line` is that of its first place in the HTML (0: in the plain text), `count` says how often."""

    url: str
    kind: Kind
    line: int
    count: int
    words: str = ""


@dataclass(frozen=True, slots=True)
class Hop:
    url: str
    status: int


@dataclass(frozen=True, slots=True)
class Link:
    """`status` is the last one heard, 0 where none was; `hops` are the redirects on the way; `problems` are sentences."""

    found: Found
    state: State
    status: int = 0
    hops: tuple[Hop, ...] = ()
    problems: tuple[str, ...] = ()
    ms: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """`left_out`: URLs beyond the bound, of which nothing is told."""

    links: tuple[Link, ...]
    left_out: int = 0


def find(reading: Reading) -> tuple[list[Found], int]:
    """The URLs of a message, each once and in order; and how many were beyond `MOST_TOLD`."""
    found: dict[tuple[str, Kind], Found] = {}
    left_out = 0
    for each in _places(reading):
        if (before := found.get((each.url, each.kind))) is not None:
            found[each.url, each.kind] = replace(before, count=before.count + 1)
        elif len(found) < MOST_TOLD:
            found[each.url, each.kind] = each
        else:
            left_out += 1
    return list(found.values()), left_out


def _places(reading: Reading) -> Iterable[Found]:
    if reading.html is None:
        for url in _IN_TEXT.findall(reading.text or ""):
            yield Found(url.rstrip(".,;:!?)"), "text", 0, 1)
        return
    for element in page.read(reading.html).root.walk():
        for name, attribute, kind in _ATTRIBUTES:
            if element.name == name and (url := element.attributes.get(attribute)) is not None:
                words = " ".join(element.text(alt=True)[:500].split())[:100] if kind == "link" else ""
                yield Found(url.strip(), kind, element.line, 1, words)
        if background := element.attributes.get("background"):
            yield Found(background.strip(), "image", element.line, 1)
        styles = [element.attributes.get("style", "")]
        styles += [child for child in element.children if isinstance(child, str)] if element.name == "style" else []
        for style in styles:
            for _, url in _IN_STYLE.findall(style):
                yield Found(url.strip(), "image", element.line, 1)


def judge(found: Found, content_ids: frozenset[str]) -> Link | None:
    """What can be said of a URL without asking anybody; None where somebody must be asked."""
    scheme = match[1].lower() if (match := _SCHEME.match(found.url)) else ""
    if scheme == "cid":
        there = found.url[4:] in content_ids
        return Link(found, "ok") if there else _wrong(found, "no part of the message has this Content-ID")
    if scheme in ("javascript", "vbscript"):
        return _wrong(found, "scripts do not run in mail")
    if scheme == "file":
        return _wrong(found, "a file of the sender's machine is not there for its reader")
    if scheme in ("http", "https"):
        return None
    if scheme:
        return Link(found, "ok" if scheme in _QUIET else "not_asked")
    if not found.url or found.url == "#":
        return _wrong(found, "it leads nowhere") if found.kind != "form" else Link(found, "ok")
    if found.url.startswith("#"):
        return Link(found, "not_asked")
    if found.url.startswith("//"):
        return _wrong(found, "a URL without a scheme leads nowhere in a mail")
    return _wrong(found, "a relative URL leads nowhere in a mail")


def _wrong(found: Found, why: str) -> Link:
    return Link(found, "wrong", problems=(why,))


class Links:
    """`any_port`: not only the usual ones, where private addresses are allowed too."""

    def __init__(
        self, http: HttpClient, *, any_port: bool, seconds: float = SECONDS, total_seconds: float = TOTAL_SECONDS
    ) -> None:
        self._http = http
        self._any_port = any_port
        self._seconds = seconds
        self._total = total_seconds

    async def check(self, reading: Reading) -> Report:
        """Finding takes a second for the largest HTML: see `checked`, where a thread has done it."""
        return await self.checked(*find(reading), frozenset(each.content_id for each in reading.tree.walk()))

    async def checked(self, found: list[Found], left_out: int, content_ids: frozenset[str]) -> Report:
        links = {each: judge(each, content_ids) for each in found}
        asked = list(dict.fromkeys(each.url for each in found if links[each] is None))
        answers = await self._ask_all(asked[:MOST])
        return Report(tuple([links[each] or _told(each, answers.get(each.url)) for each in found]), left_out)

    async def _ask_all(self, urls: list[str]) -> dict[str, Link]:
        answers: dict[str, Link] = {}
        turn = asyncio.Semaphore(AT_ONCE)

        async def ask(url: str) -> None:
            async with turn:
                answers[url] = await self._ask(url)

        with_time = asyncio.timeout(self._total)
        try:
            async with with_time, asyncio.TaskGroup() as group:
                for url in urls:
                    group.create_task(ask(url))
        except TimeoutError:
            pass  # what was heard until then is told
        return answers

    async def _ask(self, url: str) -> Link:
        hops: list[Hop] = []
        try:
            async with asyncio.timeout(self._seconds):
                return await self._follow(url, hops)
        except TimeoutError:
            why = f"no answer within {self._seconds:g} s"
            return Link(_NOWHERE, "unreachable", hops=tuple(hops), problems=(why,))

    async def _follow(self, url: str, hops: list[Hop]) -> Link:
        took = 0
        while True:
            reply = await self._one(url)
            took += reply.ms
            if reply.status in _REDIRECTS and reply.location:
                hops.append(Hop(url, reply.status))
                if len(hops) > HOPS:
                    return Link(
                        _NOWHERE, "broken", reply.status, tuple(hops[:HOPS]), (f"more than {HOPS} redirects",), took
                    )
                try:
                    url = urljoin(url, reply.location)
                except ValueError:
                    return Link(
                        _NOWHERE, "broken", reply.status, tuple(hops), ("it redirects to what is no URL",), took
                    )
                continue
            if not reply.status:
                return Link(_NOWHERE, "unreachable", 0, tuple(hops), (reply.error,), took)
            state: State = "broken" if reply.status >= 400 else "ok"
            problems = (f"it answers with status {reply.status}",) if state == "broken" else ()
            return Link(
                _NOWHERE, state, reply.status, tuple(hops), problems + _insecure([*[h.url for h in hops], url]), took
            )

    async def _one(self, text: str) -> Reply:
        try:
            url = parse_url(text)
        except BadUrl as error:
            return Reply(0, f"the URL {error}", reached=False)
        if not self._any_port and url.port not in USUAL_PORTS:
            return Reply(0, f"port {url.port} is not asked; links usually have 443 and 80", reached=False)
        reply = await self._http.call("HEAD", url, _HEADERS, seconds=self._seconds, octets=0)
        if reply.status in _AGAIN or (not reply.status and reply.reached):
            again = await self._http.call("GET", url, _HEADERS, seconds=self._seconds, octets=0)
            return replace(again, ms=reply.ms + again.ms)
        return reply


_HEADERS = {"User-Agent": "Mailferry link check", "Accept": "*/*"}
_NOWHERE = Found("", "link", 0, 0)


def _insecure(urls: list[str]) -> tuple[str, ...]:
    schemes = pairwise([urlsplit(url).scheme.lower() for url in urls])
    return ("a redirect leads from https to http",) if ("https", "http") in schemes else ()


def _told(found: Found, answer: Link | None) -> Link:
    late = Link(found, "not_asked", problems=("there was no time to ask it",))
    link = replace(answer, found=found) if answer else late
    if not found.url.lower().startswith("http:"):
        return link
    # Mixed content: readers over https show no such image, or a warning.
    why = "is not encrypted (http)"
    told = f"an image {why}, and some readers do not show it" if found.kind == "image" else f"it {why}"
    return replace(link, problems=(told, *link.problems))
