"""Runs the checks of one message: at once, each within its time, and each failing alone.

What takes the processor goes to threads of its own, so that nobody else waits for it; what asks the network is bounded where
it asks. Results are plain values; whoever shows them gives them their shape.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Generic, Protocol, TypeVar

import structlog

from mailferry.mail.reading import Reading, read
from mailferry.net.dns import Resolver
from mailferry.sandbox.checks import accessibility, authentication, blocklists, headers, html, links
from mailferry.sandbox.checks.blocklists import Report as BlocklistsReport
from mailferry.sandbox.checks.blocklists import Zone
from mailferry.sandbox.checks.finding import Finding
from mailferry.sandbox.checks.html import HtmlReport
from mailferry.sandbox.checks.links import Links
from mailferry.sandbox.checks.links import Report as LinksReport
from mailferry.sandbox.checks.spam import builtin
from mailferry.sandbox.checks.spam.verdict import Verdict
from mailferry.store.threads import Busy, Threads

log = structlog.get_logger(__name__)
T = TypeVar("T")

SECONDS = 60.0
"""For one check, whatever it does. Each bounds itself below that."""

NAMES = ("html", "spam", "links", "headers", "authentication", "blocklists", "accessibility")
NO_HTML = "The message has no HTML."
NOT_ASKED = "This check was not asked for."


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What a check found, or why there is nothing: `problem` is a sentence, and `value` is None then."""

    value: T | None = None
    problem: str = ""
    ms: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """Checks that were not asked for say so in their `problem`."""

    html: Outcome[HtmlReport] = field(default_factory=lambda: Outcome(problem=NOT_ASKED))
    spam: Outcome[Verdict] = field(default_factory=lambda: Outcome(problem=NOT_ASKED))
    links: Outcome[LinksReport] = field(default_factory=lambda: Outcome(problem=NOT_ASKED))
    headers: Outcome[list[Finding]] = field(default_factory=lambda: Outcome(problem=NOT_ASKED))
    authentication: Outcome[list[Finding]] = field(default_factory=lambda: Outcome(problem=NOT_ASKED))
    blocklists: Outcome[BlocklistsReport] = field(default_factory=lambda: Outcome(problem=NOT_ASKED))
    accessibility: Outcome[list[Finding]] = field(default_factory=lambda: Outcome(problem=NOT_ASKED))


class Filter(Protocol):
    """SpamAssassin or rspamd."""

    async def judge(self, raw: bytes) -> Verdict: ...


class Impossible(LookupError):
    """A check that cannot be made of this message, or here; the text says why."""


class Checker:
    """Belongs to one event loop. `filter` None: our own rules judge. `now` is the time that dates are compared with."""

    def __init__(
        self,
        *,
        filter: Filter | None,
        links: Links,
        resolver: Resolver,
        zones: Sequence[Zone],
        now: Callable[[], datetime],
        threads: Threads,
        seconds: float = SECONDS,
    ) -> None:
        self._filter = filter
        self._links = links
        self._resolver = resolver
        self._zones = zones
        self._now = now
        self._threads = threads
        self._seconds = seconds

    async def check(self, raw: bytes, names: Collection[str] = NAMES) -> Report:
        """The checks of `names`, at once. Never raises for what a message or the network does, only Busy."""
        reading, domain = await self._threads.run(partial(_read, raw))
        works: dict[str, Callable[[], Awaitable[object]]] = {
            "html": partial(self._html, reading),
            "spam": partial(self._spam, raw, reading),
            "links": partial(self._check_links, reading),
            "headers": partial(self._headers, raw, reading),
            "authentication": partial(authentication.check, raw, domain, self._resolver),
            "blocklists": partial(blocklists.check, domain, self._zones, self._resolver),
            "accessibility": partial(self._accessibility, reading),
        }
        asked = [name for name in NAMES if name in names]
        outcomes = await asyncio.gather(*[self._outcome(name, works[name]) for name in asked])
        return Report(**dict(zip(asked, outcomes, strict=True)))  # type: ignore[arg-type]

    async def _outcome(self, name: str, work: Callable[[], Awaitable[T]]) -> Outcome[T]:
        began = time.monotonic()
        value, problem = None, ""
        try:
            async with asyncio.timeout(self._seconds):
                value = await work()
        except TimeoutError:
            problem = f"The check took more than {self._seconds:g} s."
        except Impossible as error:
            problem = str(error)
        except Busy as error:
            problem = f"The check was not begun: {error}."
        except Exception as error:  # a fault of ours, which must not take the other checks along
            log.exception("check_failed", check=name)
            problem = f"The check failed ({type(error).__name__}); the server's log has the reason."
        return Outcome(value, problem, round((time.monotonic() - began) * 1000))

    async def _html(self, reading: Reading) -> HtmlReport:
        text = _html_of(reading)
        try:
            return await self._threads.run(partial(html.check, text))
        except html.DataMissing as error:
            raise Impossible(str(error)) from error

    async def _spam(self, raw: bytes, reading: Reading) -> Verdict:
        if self._filter is not None:
            return await self._filter.judge(raw)
        return await self._threads.run(partial(builtin.judge, reading))

    async def _check_links(self, reading: Reading) -> LinksReport:
        found, left_out = await self._threads.run(partial(links.find, reading))
        return await self._links.checked(found, left_out, frozenset(each.content_id for each in reading.tree.walk()))

    async def _headers(self, raw: bytes, reading: Reading) -> list[Finding]:
        return await self._threads.run(partial(headers.check, raw, reading, self._now()))

    async def _accessibility(self, reading: Reading) -> list[Finding]:
        return await self._threads.run(partial(accessibility.check, _html_of(reading)))


def _read(raw: bytes) -> tuple[Reading, str]:
    reading = read(raw)
    return reading, authentication.sender_domain(reading)


def _html_of(reading: Reading) -> str:
    if reading.html is None:
        raise Impossible(NO_HTML)
    return reading.html


def clock_time(milliseconds: int) -> datetime:
    """The moment of a clock that counts milliseconds since 1970."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
