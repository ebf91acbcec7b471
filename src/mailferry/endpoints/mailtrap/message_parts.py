"""What a caught message is shown as: its bodies, its bytes, its attachments; and the links to them, which need no token.

Mailtrap's clients are given ``/api/testing_message_parts/{sealed}/body.html`` and the like with each message, relative to
the host they asked. Whoever has such a link reads mail, so it is good for a day. What was sent is never shown as a page
of ours: nothing in it runs, and nothing is fetched for it.
"""

import re
from collections.abc import Callable, Mapping
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mailferry.endpoints.bodies import Share, aside
from mailferry.endpoints.mailtrap import links
from mailferry.endpoints.mailtrap.deps import Deps
from mailferry.endpoints.mailtrap.errors import Fault
from mailferry.endpoints.sealed import seal
from mailferry.mail import reading
from mailferry.mail.reading import Node
from mailferry.sandbox import inbox
from mailferry.sandbox.inbox import Caught
from mailferry.store.content import ContentGone

ROOT = "/api/testing_message_parts/{sealed}"
#: Member of a message -> the path behind the root.
PATHS: Mapping[str, str] = {
    "html_path": "/body.html",
    "txt_path": "/body.txt",
    "raw_path": "/body.raw",
    "download_path": "/body.eml",
    "html_source_path": "/body.htmlsource",
}
DOWNLOAD = "/attachment_download"
LINK_MS = 86_400_000

#: Seconds that a reader waits for room.
PATIENCE = 5.0
#: A message is read as its bytes, and what is decoded of them beside.
TIMES = 3
_PURPOSE = "message part link"
_SAFE = {
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
}
_MEDIA = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")


class _Link(msgspec.Struct, array_like=True, frozen=True):
    inbox_id: int
    message_id: int
    #: Of an attachment; 0: the bodies.
    number: int
    #: Unix milliseconds.
    ends_at: int


def link(deps: Deps, caught: Caught, number: int = 0) -> str:
    """Where the bodies are read, or the attachment of this number is downloaded."""
    opens = _Link(caught.inbox_id, caught.id, number, deps.clock() + LINK_MS)
    return ROOT.format(sealed=seal(deps.sealer, _PURPOSE, opens))


def routes(deps: Deps) -> list[Route]:
    """Outside of the table: whoever has the link needs no token."""

    def body(shown: Callable[[bytes], Response]) -> Callable[[Request], object]:
        async def answer(request: Request) -> Response:
            found = await _opened(deps, request, bodies=True)
            return found if isinstance(found, Response) else await read(deps, found[0], shown)

        return answer

    async def attachment(request: Request) -> Response:
        found = await _opened(deps, request, bodies=False)
        if isinstance(found, Response):
            return found
        caught, number = found
        return await read(deps, caught, lambda message: _attachment(message, number))

    found = [links.route(ROOT + path, body(SHOWN[path])) for path in PATHS.values()]  # type: ignore[arg-type]
    return [*found, links.route(ROOT + DOWNLOAD, attachment)]


async def read(deps: Deps, caught: Caught, shown: Callable[[bytes], Response]) -> Response:
    """What is shown of its bytes, in a thread where it is large, and within the room that all readers share."""
    share = Share(deps.downloads, PATIENCE)
    if not await share.take(min(TIMES * caught.size, share.largest)):
        return links.refused(Fault.BUSY)
    try:
        message = await deps.db.read(lambda connection: deps.captured.read(connection, caught.where))
        response = await aside(caught.size, lambda: shown(message))
    except ContentGone:  # it was deleted in this very moment
        share.give_back()
        return links.refused(Fault.NOT_FOUND)
    except BaseException:
        share.give_back()
        raise
    return _Held(response, share)


def text(message: bytes) -> Response:
    return _shown(reading.read(message).text, "text/plain")


def html(message: bytes) -> Response:
    return _shown(reading.read(message).html, "text/html")


def raw(message: bytes) -> Response:
    return Response(message, headers=_SAFE, media_type="text/plain")


def eml(message: bytes) -> Response:
    headers = _SAFE | {"Content-Disposition": 'attachment; filename="message.eml"'}
    return Response(message, headers=headers, media_type="message/rfc822")


SHOWN: Mapping[str, Callable[[bytes], Response]] = {
    "/body.txt": text,
    "/body.html": html,
    # The source is the same text: what a browser makes of it is the reader's choice.
    "/body.htmlsource": html,
    "/body.raw": raw,
    "/body.eml": eml,
}


class _Held(Response):
    """Gives its room back when it was sent, or could not be."""

    def __init__(self, response: Response, share: Share) -> None:
        super().__init__(response.body, response.status_code)
        self.raw_headers = response.raw_headers
        self._share = share

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._share.give_back()


def _shown(found: str | None, media: str) -> Response:
    if found is None:
        return PlainTextResponse("Conflict", 409)
    # Half a surrogate pair has no UTF-8 form; no charset that is read here makes one.
    return Response(found.encode("utf-8", "replace"), headers=_SAFE, media_type=media)


def _attachment(message: bytes, number: int) -> Response:
    found = reading.read(message).attachments
    if not 1 <= number <= len(found):
        return links.refused(Fault.NOT_FOUND)
    return _downloaded(number, found[number - 1])


def _downloaded(number: int, node: Node) -> Response:
    name = quote(node.filename or f"attachment-{number}", safe="", errors="replace")
    headers = _SAFE | {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    response = Response(node.content(), headers=headers)
    # As it is: Starlette would add a charset to texts, which we do not know.
    response.headers["Content-Type"] = node.media if _MEDIA.fullmatch(node.media) else "application/octet-stream"
    return response


async def _opened(deps: Deps, request: Request, *, bodies: bool) -> tuple[Caught, int] | Response:
    found = links.opened(deps, _PURPOSE, request.path_params["sealed"], _Link)
    if isinstance(found, Response):
        return found
    if bodies is bool(found.number):
        return links.refused(Fault.NOT_FOUND)
    caught = await deps.db.read(lambda connection: inbox.by_id(connection, found.inbox_id, found.message_id))
    return (caught, found.number) if caught else links.refused(Fault.NOT_FOUND)
