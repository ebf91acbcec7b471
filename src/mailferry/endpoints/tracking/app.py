"""`/t/...`: the pixel, clicks, unsubscribing. A link that we did not sign leads nowhere; no cookies, no scripts.

| path | what |
|---|---|
| `GET /t/o/{token}.gif` | a picture of one pixel; the open is recorded |
| `GET /t/c/{token}` | 302 to the URL that was signed, and to no other; the click is recorded |
| `GET /t/u/{token}` | a page with a button; link scanners open it too, so nothing changes |
| `POST /t/u/{token}` | `List-Unsubscribe=One-Click` (RFC 8058) and the page's button unsubscribe at once; the page offers undo |
| `GET`, `POST /t/l/{token}` | the same for a topic of a contact list, and what else of the list somebody wants |
| `GET`, `POST /t/p/{token}` | what the recipient wants: each stream, and whether it may be followed |
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from mailferry.endpoints.hosts import CLIENT
from mailferry.endpoints.tracking import pages
from mailferry.endpoints.tracking.forms import ONE_CLICK, printable, read_form
from mailferry.endpoints.tracking.pages import Reader
from mailferry.endpoints.tracking.topics import Topics
from mailferry.feedback import hits
from mailferry.feedback.hits import Hit, Hits
from mailferry.journal.events import Kind
from mailferry.mail import agents, links, tracking
from mailferry.mail.links import Link
from mailferry.resources import domains, suppressions, tracking_opt_outs
from mailferry.resources.domains import DomainBook
from mailferry.store.database import Database

#: The smallest transparent GIF that all mail programs take.
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")

_GONE = frozenset((domains.SUSPENDED, domains.NON_COMPLIANT))
_STREAMS = ("bulk", "transactional")
_UNREAD = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}


@dataclass(frozen=True, slots=True)
class Deps:
    """``keys``: by their numbers, old ones too."""

    hits: Hits
    keys: Mapping[int, bytes]
    database: Database
    book: DomainBook
    clock: Callable[[], int]


def routes(deps: Deps) -> list[Route]:
    site = _Site(deps)
    found = [
        Route("/t/o/{token}", site.pixel, methods=["GET"]),
        Route("/t/c/{token}", site.click, methods=["GET"]),
        Route("/t/u/{token}", site.unsubscribe, methods=["GET", "POST"]),
        Route("/t/l/{token}", Topics(deps.keys, deps.database, deps.clock).answer, methods=["GET", "POST"]),
        Route("/t/p/{token}", site.choose, methods=["GET", "POST"]),
    ]
    return [*found, Route("/t/{rest:path}", site.missing, methods=["GET", "POST"])]


class _Site:
    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def missing(self, request: Request) -> Response:
        return pages.missing()

    async def pixel(self, request: Request) -> Response:
        link = self._link(links.Kind.OPEN, request, suffix=".gif")
        if link is None:
            return pages.missing()
        self._deps.hits.offer(self._hit(Kind.OPEN, link, request))
        return Response(PIXEL, media_type="image/gif", headers=_UNREAD)

    async def click(self, request: Request) -> Response:
        link = self._link(links.Kind.CLICK, request)
        if link is None:
            return pages.missing()
        if await self._is_blocked(link):
            return pages.blocked()
        self._deps.hits.offer(self._hit(Kind.CLICK, link, request, url=link.url, tags=tracking.link_tags(link.tags)))
        response = RedirectResponse(link.url, 302, _UNREAD)
        # As it was signed: the framework would quote it a second time.
        response.headers["Location"] = link.url
        return response

    async def unsubscribe(self, request: Request) -> Response:
        link = self._link(links.Kind.CHOICE, request)
        if link is None:
            return pages.missing()
        if request.method != "POST":
            return pages.ask(await self._reader(link, request))
        form = await read_form(request)
        if form.get(ONE_CLICK) == ["One-Click"] or form.get("action") == ["unsubscribe"]:
            await self._unsubscribe(link, request, link.stream)
            return pages.done(await self._reader(link, request))
        if form.get("action") == ["resubscribe"]:
            await self._resubscribe(link, link.stream, suppressions.ANY)
            return pages.undone(await self._reader(link, request))
        return pages.odd()

    async def choose(self, request: Request) -> Response:
        link = self._link(links.Kind.CHOICE, request)
        if link is None:
            return pages.missing()
        if request.method != "POST":
            return pages.choices(await self._reader(link, request))
        form = await read_form(request)
        if form.get("action") != ["choose"]:
            return pages.odd()
        wanted = frozenset(form.get("want", ()))
        before = (await self._reader(link, request)).streams
        lifted = [each for each in _STREAMS if each in wanted and {each, suppressions.ANY} & before]
        # An unsubscription from both is lifted with either: what is not wanted of them stands by itself first.
        standing = before - {suppressions.ANY} if lifted else before
        for stream in _STREAMS:
            if stream not in wanted and not {stream, suppressions.ANY} & standing:
                await self._unsubscribe(link, request, stream)
        if lifted:
            await self._resubscribe(link, *lifted, suppressions.ANY)
        await self._follow(link, "tracking" in wanted)
        return pages.choices(await self._reader(link, request), saved=True)

    # --- what is done ----------------------------------------------------------------------------------------------

    async def _unsubscribe(self, link: Link, request: Request, stream: str) -> None:
        hit = self._hit(Kind.UNSUBSCRIBE, link, request, stream=stream)
        await self._deps.hits.record(hit)

    async def _resubscribe(self, link: Link, *streams: str) -> None:
        now = self._deps.clock()
        await self._deps.database.write(
            lambda connection: hits.resubscribe(connection, link.domain_id, link.address, streams, now)
        )

    async def _follow(self, link: Link, allowed: bool) -> None:
        now = self._deps.clock()

        def write(connection: Connection) -> None:
            if allowed:
                tracking_opt_outs.remove(connection, link.domain_id, link.address)
            else:
                tracking_opt_outs.add(connection, link.domain_id, link.address, now)

        await self._deps.database.write(write)

    # --- what is known ---------------------------------------------------------------------------------------------

    def _link(self, kind: links.Kind, request: Request, suffix: str = "") -> Link | None:
        token: str = request.path_params["token"]
        return links.read(kind, token.removesuffix(suffix), self._deps.keys)

    async def _is_blocked(self, link: Link) -> bool:
        """Links of a sender whom the operator stopped would go on under the operator's name."""
        domain = await self._deps.book.by_id(link.domain_id)
        return domain is not None and domain.state in _GONE

    async def _reader(self, link: Link, request: Request) -> Reader:
        def read(connection: Connection) -> tuple[str, frozenset[str], bool]:
            domain = domains.name_of(connection, link.domain_id)
            streams = frozenset(each.stream for each in hits.standing(connection, link.domain_id, link.address))
            return domain, streams, tracking_opt_outs.stands(connection, link.domain_id, link.address)

        domain, streams, opted_out = await self._deps.database.read(read)
        choices = f"/t/p/{request.path_params['token']}"
        return Reader(link.address, domain, link.stream, streams, opted_out, choices)

    def _hit(self, kind: Kind, link: Link, request: Request, *, stream: str = "", **more: Any) -> Hit:
        """``more``: facts of a click."""
        headers = request.headers
        peer = request.client.host if request.client else ""
        facts = {
            "ip": str(request.scope.get(CLIENT, peer)),
            "user_agent": printable(headers.get("user-agent", "")),
            **more,
        }
        machine = None if kind is Kind.UNSUBSCRIBE else agents.judge(request.method, headers)
        return Hit(
            kind,
            link.domain_id,
            link.recipient_id,
            self._deps.clock(),
            facts,
            machine,
            stream=stream,
            address=link.address,
        )
