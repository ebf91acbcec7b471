"""Request bodies: counted while they arrive, bounded one by one and all together (RFC 9110 8.6, 15.5).

The budget counts octets received, and what decoding them will take beyond the usual (weight.py). A request holds its
share until it is answered, since what is made of a body (the decoded JSON, attachments, the composed message) lives
that long; all in all about four times the budget in memory.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import TypeVar

from starlette.datastructures import Headers
from starlette.types import Receive

T = TypeVar("T")

#: A body of this size is worked on in a thread, so that other requests do not wait for its attachments.
LARGE_BODY = 256 * 1024


@dataclass(frozen=True, slots=True)
class BodyRules:
    """``limit``: Mailtrap's 50 MB, for one body. Times in seconds."""

    limit: int = 50 * 1024 * 1024
    #: Between two pieces: a client that stops in the middle must not hold memory.
    idle: float = 30.0
    #: From the first piece to the last.
    total: float = 600.0
    #: How long a request waits for memory before it is sent away with 429, which clients know as "try again".
    patience: float = 5.0


class ClientGoneError(Exception):
    """The client hung up; nobody is there to be answered."""


class Flaw(StrEnum):
    """Why a body is not taken."""

    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    #: There is no memory for it now.
    BUSY = "busy"
    ENCODING = "encoding"
    CHARSET = "charset"


class BadBody(Exception):
    """``detail``: the limit in octets, the encoding or the charset that it has."""

    def __init__(self, flaw: Flaw, detail: str = "") -> None:
        super().__init__(flaw, detail)
        self.flaw = flaw
        self.detail = detail


class BodyBudget:
    """Octets that all requests together may hold. First come, first served: nobody is overtaken for ever."""

    def __init__(self, total_octets: int) -> None:
        self.total = total_octets
        self.used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, octets: int, patience: float) -> bool:
        """False when there was no room for that long; nothing is taken then."""
        if not self._waiting and self.used + octets <= self.total:
            self.used += octets
            return True
        if octets > self.total:
            return False
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((octets, future))
        try:
            async with asyncio.timeout(patience):
                await future
        except (TimeoutError, asyncio.CancelledError) as error:
            if future.done() and not future.cancelled():
                self.give(octets)  # granted in the very moment in which the patience ended
            else:
                self._waiting = deque(waiter for waiter in self._waiting if waiter[1] is not future)
                self._admit()  # a smaller one may have waited behind
            if isinstance(error, TimeoutError):
                return False
            raise
        return True

    def give(self, octets: int) -> None:
        self.used -= octets
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.used + self._waiting[0][0] <= self.total:
            octets, future = self._waiting.popleft()
            if not future.done():
                self.used += octets
                future.set_result(None)


class Share:
    """What one request holds of the budget; given back when its ``with`` ends, however it ends."""

    def __init__(self, budget: BodyBudget, patience: float) -> None:
        self._budget = budget
        self._patience = patience
        self._held = 0

    async def take(self, octets: int) -> bool:
        """False when there was no room for as long as the patience lasts."""
        if not await self._budget.take(octets, self._patience):
            return False
        self._held += octets
        return True

    @property
    def largest(self) -> int:
        """More than this never fits, however long one waits."""
        return self._budget.total

    def give_back(self, keep: int = 0) -> None:
        """All but so many octets."""
        given = max(self._held - keep, 0)
        self._held -= given
        self._budget.give(given)

    def __enter__(self) -> "Share":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()


async def aside(size: int, work: Callable[[], T]) -> T:
    """In a thread where the body is large."""
    return await asyncio.to_thread(work) if size > LARGE_BODY else work()


async def read_body(receive: Receive, headers: Headers, share: Share, rules: BodyRules) -> bytearray:
    """The whole body. Raises :class:`BadBody` and :class:`ClientGoneError`.

    The type that a client gives its body is not asked: curl calls JSON a form, and SDKs leave it out. What it says of a
    charset counts only where it matters.
    """
    limit = min(rules.limit, share.largest)
    _refuse_early(headers, limit)
    body = bytearray()
    loop = asyncio.get_running_loop()
    ends = loop.time() + rules.total
    try:
        async with asyncio.timeout(rules.idle) as alarm:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                piece: bytes = message.get("body", b"")
                if len(body) + len(piece) > limit:
                    raise BadBody(Flaw.TOO_LARGE, str(limit))
                alarm.reschedule(None)
                if not await share.take(len(piece)):
                    raise BadBody(Flaw.BUSY)
                body += piece
                if not message.get("more_body", False):
                    break
                alarm.reschedule(min(loop.time() + rules.idle, ends))
    except TimeoutError:
        raise BadBody(Flaw.TOO_SLOW) from None
    _refuse_charset(headers, body)
    return body


def _refuse_early(headers: Headers, limit: int) -> None:
    length = headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:18]) > limit:
        raise BadBody(Flaw.TOO_LARGE, str(limit))
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        # Ten megabytes of gzip can be ten gigabytes of JSON; no SDK sends it.
        raise BadBody(Flaw.ENCODING, encoding)


def _refuse_charset(headers: Headers, body: bytearray) -> None:
    """RFC 8259 8.1: JSON is UTF-8. A wrong label on plain ASCII harms nobody, and old HTTP clients write Latin-1."""
    _, _, parameters = headers.get("content-type", "").partition(";")
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        charset = value.strip().strip('"').lower()
        if name.strip().lower() == "charset" and charset not in ("", "utf-8", "utf8") and not body.isascii():
            raise BadBody(Flaw.CHARSET, charset)
