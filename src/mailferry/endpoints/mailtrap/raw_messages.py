"""The stored message behind a log's ``raw_message_url``: a link for an hour, while the bytes are kept.

Whoever has the link reads mail without a token, so it is good for no longer than a client needs to follow it, and what it
serves is never shown as a page of ours.
"""

import msgspec
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mailferry.endpoints.bodies import BodyBudget, Share
from mailferry.endpoints.mailtrap import links
from mailferry.endpoints.mailtrap.deps import Call, Deps
from mailferry.endpoints.mailtrap.errors import Fault
from mailferry.journal import raw
from mailferry.resources import system_mail
from mailferry.store.content import Content, ContentGone, Place

FILE = "/api/raw_messages/{sealed}/message.eml"
LINK_MS = 3_600_000
#: Octets of messages that are being downloaded, all together; a client that reads slowly holds its message for as long.
ROOM = 256 * 1024 * 1024
#: Seconds that a download waits for room.
PATIENCE = 5.0

_PURPOSE = "raw message link"
_HEADERS = {
    "Content-Disposition": 'attachment; filename="message.eml"',
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
}


class _Link(msgspec.Struct, array_like=True, frozen=True):
    account_id: int
    message_id: str
    #: Unix milliseconds.
    ends_at: int


async def url(call: Call, message_id: str) -> str | None:
    """For whoever may see the message's log. None: its bytes are gone, or are Mailferry's own."""
    place = await call.read(lambda connection: _kept(connection, call.deps.content, call.account_id, message_id))
    link = _Link(call.account_id, message_id, call.deps.clock() + LINK_MS)
    return links.address(call, _PURPOSE, link, FILE) if place else None


def routes(deps: Deps) -> list[Route]:
    """Outside of the table: whoever has the link needs no token."""
    room = BodyBudget(ROOM)

    async def download(request: Request) -> Response:
        link = links.opened(deps, _PURPOSE, request.path_params["sealed"], _Link)
        if isinstance(link, Response):
            return link
        place = await deps.db.read(lambda connection: _kept(connection, deps.content, link.account_id, link.message_id))
        if place is None:
            return links.refused(Fault.NOT_FOUND)
        share = Share(room, PATIENCE)
        if not await share.take(place.size):
            return links.refused(Fault.BUSY)
        try:
            body = await deps.db.read(lambda connection: deps.content.read(connection, place))
        except ContentGone:  # in this very moment
            share.give_back()
            return links.refused(Fault.NOT_FOUND)
        except BaseException:
            share.give_back()
            raise
        return _Download(body, share)

    return [links.route(FILE, download)]


class _Download(Response):
    """Gives its room back when it was sent, or could not be."""

    def __init__(self, body: bytes, share: Share) -> None:
        super().__init__(body, headers=_HEADERS, media_type="message/rfc822")
        self._share = share

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._share.give_back()


def _kept(connection: Connection, content: Content, account_id: int, message_id: str) -> Place | None:
    place = raw.place(connection, account_id, message_id, but_of=system_mail.ENDPOINT)
    return place if place and content.kept(connection, place) else None
