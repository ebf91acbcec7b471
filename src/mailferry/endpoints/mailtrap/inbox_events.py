"""`.../messages/events`: what an inbox catches, as server-sent events (the WHATWG's HTML standard, 9.2). Ours.

An event's id is its message's, so whoever connects again with `Last-Event-ID` has missed nothing. A stream ends after some
minutes, and the client's next connection shows whether its token is good still.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec
from starlette.responses import Response, StreamingResponse

from mailferry.endpoints.mailtrap import auth
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault
from mailferry.endpoints.mailtrap.forms import AnsweredError, refuse
from mailferry.endpoints.mailtrap.inbox_conditions import Asked, asked, timeout
from mailferry.endpoints.mailtrap.inbox_finding import PAUSE, matches
from mailferry.endpoints.mailtrap.inbox_messages import shown
from mailferry.endpoints.mailtrap.inboxes import visible
from mailferry.sandbox import inbox
from mailferry.sandbox.arrivals import TooManyWait, Watch
from mailferry.sandbox.inbox import Caught
from mailferry.sandbox.query import Query
from mailferry.store.database import unavailable

#: Seconds of a stream.
LONGEST = 600
#: Seconds without an event after which a comment is sent: proxies cut what is silent for a minute.
SILENCE = 15
#: Milliseconds after which a client connects again.
RETRY_MS = 1_000


async def events(call: Call) -> Response:
    """From now on, or behind `Last-Event-ID` or `after`; the oldest first."""
    found = await visible(call)
    given = asked(call, "timeout")
    longest, after = timeout(call, given, LONGEST, LONGEST), await _begin(call, found.id, given)
    if call.deps.arrivals.full(call.account_id):
        refuse(call, Fault.BUSY)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    content = _stream(call, replace(given.query, after=after), found.id, longest)
    return StreamingResponse(
        content if call.request.method == "GET" else _nothing(), headers=headers, media_type="text/event-stream"
    )


async def _begin(call: Call, inbox_id: int, given: Asked) -> int:
    last = call.request.headers.get("last-event-id", "")
    if re.fullmatch(r"[0-9]{1,18}", last):
        return int(last)
    return given.query.after if "after" in given.named else await call.read(lambda c: inbox.newest(c, inbox_id))


async def _stream(call: Call, query: Query, inbox_id: int, longest: float) -> AsyncIterator[bytes]:
    until = asyncio.get_running_loop().time() + longest
    # Whoever reads this knows that nothing is missed from here on.
    yield b": listening\nretry: %d\n\n" % RETRY_MS
    try:
        with call.deps.arrivals.watch(call.account_id, inbox_id) as watch:
            while not watch.ended and await _may_go_on(call):
                seen = await call.read(lambda c: inbox.newest(c, inbox_id))
                async with contextlib.aclosing(matches(call, inbox_id, query, oldest=True, bounded=False)) as found:
                    async for each in found:
                        query = replace(query, after=each.id)
                        yield _event(call, each)
                query = replace(query, after=max(query.after, seen))
                async for silence in _silence(watch, until):
                    yield silence
                if asyncio.get_running_loop().time() >= until:
                    return
    except (TooManyWait, AnsweredError):
        return
    except Exception as error:  # it has begun, so there is no other answer any more
        if not unavailable(error):
            raise


async def _silence(watch: Watch, until: float) -> AsyncIterator[bytes]:
    """Until something comes, or the time is over."""
    clock = asyncio.get_running_loop().time
    await asyncio.sleep(min(PAUSE, max(until - clock(), 0)))
    while (left := until - clock()) > 0 and not await watch.wait(min(left, SILENCE)):
        yield b":\n\n"


async def _may_go_on(call: Call) -> bool:
    """The token may have been revoked, or its rights changed, since the stream began."""
    secret = auth.secret(call.request.headers)
    token = await call.deps.credentials.token(secret) if secret else None
    return token is not None and token.rights == call.token.rights


def _event(call: Call, caught: Caught) -> bytes:
    return b"id: %d\ndata: %b\n\n" % (caught.id, msgspec.json.encode(shown(call, caught)))


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield
