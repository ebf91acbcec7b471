"""Messages of an inbox that answer a query, found step by step, and the wait for those that come."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence

from sqlalchemy import Connection

from mailferry.endpoints.bodies import ClientGoneError, Share, aside
from mailferry.endpoints.mailtrap import message_parts
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault
from mailferry.endpoints.mailtrap.forms import invalid, refuse
from mailferry.mail import reading
from mailferry.mail.reading import Reading
from mailferry.sandbox.arrivals import TooManyWait, Watch
from mailferry.sandbox.inbox import Caught
from mailferry.sandbox.query import Candidate, Query, candidates, differences
from mailferry.store.content import ContentGone

#: Rows of one step.
STEP = 500
#: Messages whose bytes one request may read, and octets of those read at once.
MOST_READ = 1_000
READ_AT_ONCE = 4 * 1024 * 1024
#: Seconds between two looks of one who waits: an inbox may catch thousands a second that nobody asked for.
PAUSE = 0.02


async def matches(
    call: Call, inbox_id: int, query: Query, *, oldest: bool = False, bounded: bool = True, likely: int = STEP
) -> AsyncGenerator[Caught]:
    """The newest first, or the oldest.

    ``bounded``: the request ends where it would have to read more than one may. ``likely``: so many will do, and where few
    answer, looking for more of them is looking through the whole inbox.
    """
    beyond, step, looked = 0, min(likely, STEP), 0
    while True:
        found = await call.read(_step(inbox_id, query, step, beyond, oldest))
        rows = [each for each in found if not differences(query, each)]
        if query.reads:
            looked += len(rows)
            if bounded and looked > MOST_READ:
                wrong = f"has more than {MOST_READ} messages to be read: say more by 'after', 'since', 'to', 'from' or 'subject'"
                invalid({"query": [wrong]})
        for piece in _pieces(rows) if query.reads else [rows]:
            readings = await read(call, piece) if query.reads else [None] * len(piece)
            for each, known in zip(piece, readings, strict=True):
                if known is None and query.reads:
                    continue  # it was deleted in this very moment
                if not differences(query, each, known):
                    yield each.caught
        if len(found) < step:
            return
        beyond, step = found[-1].caught.id, STEP


async def first(call: Call, inbox_id: int, query: Query, *, most: int, oldest: bool = False) -> list[Caught]:
    """At most so many."""
    found = []
    async with contextlib.aclosing(matches(call, inbox_id, query, oldest=oldest, likely=most)) as all_of_them:
        async for each in all_of_them:
            found.append(each)
            if len(found) == most:
                break
    return found


async def read(call: Call, piece: Sequence[Candidate]) -> list[Reading | None]:
    """None: its bytes are gone."""
    octets = sum(each.caught.size for each in piece)
    with Share(call.deps.downloads, message_parts.PATIENCE) as share:
        if not await share.take(min(message_parts.TIMES * octets, share.largest)):
            refuse(call, Fault.BUSY)
        messages = await call.read(lambda c: [_bytes(call, c, each.caught) for each in piece])
        return await aside(octets, lambda: [None if each is None else reading.read(each) for each in messages])


class Wait:
    """Of one request, whose client may hang up."""

    def __init__(self, watch: Watch, call: Call, seconds: float) -> None:
        self._watch, self._call = watch, call
        self._until = asyncio.get_running_loop().time() + seconds
        self._looks = 0
        self.gone = False

    async def more(self) -> bool:
        """True: look again. False: the time is over. Ends the request when its client hung up, or the process ends."""
        self._looks += 1
        if self._looks > 1:
            await asyncio.sleep(PAUSE)
        left = self._until - asyncio.get_running_loop().time()
        came = left > 0 and await self._watch.wait(left)
        if self.gone:
            raise ClientGoneError
        if self._watch.ended:
            refuse(self._call, Fault.UNAVAILABLE)
        return came

    async def until_gone(self) -> None:
        while (await self._call.request.receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self._watch.came.set()


@contextlib.asynccontextmanager
async def waiting(call: Call, inbox_id: int, seconds: float) -> AsyncIterator[Wait]:
    """Begin to wait before the first look. Ends the request where nobody more may wait."""
    try:
        with call.deps.arrivals.watch(call.account_id, inbox_id) as watch:
            wait = Wait(watch, call, seconds)
            listening = asyncio.ensure_future(wait.until_gone())
            try:
                yield wait
            finally:
                listening.cancel()
    except TooManyWait:
        refuse(call, Fault.BUSY)


def _step(inbox_id: int, query: Query, most: int, beyond: int, oldest: bool) -> Callable[[Connection], list[Candidate]]:
    return lambda c: candidates(c, inbox_id, query, most=most, beyond=beyond, oldest=oldest)


def _pieces(rows: Sequence[Candidate]) -> Iterator[list[Candidate]]:
    piece: list[Candidate] = []
    for each in rows:
        piece.append(each)
        if sum(row.caught.size for row in piece) >= READ_AT_ONCE:
            yield piece
            piece = []
    if piece:
        yield piece


def _bytes(call: Call, connection: Connection, caught: Caught) -> bytes | None:
    try:
        return call.deps.captured.read(connection, caught.where)
    except ContentGone:
        return None
