"""`/share/{secret}`: what a share link opens, to read and nothing else. Whoever has no right link learns nothing at all.

No cookie is read or set; the secret in the path is all that is asked for, so it stands in no log (endpoints/hosts.py), and
no page tells another one where its reader came from.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from mailferry.endpoints.bodies import BodyBudget, Share, aside
from mailferry.endpoints.share_paths import ROOT
from mailferry.endpoints.shared import lists, message, reports
from mailferry.endpoints.shared.frame import Crumb, page
from mailferry.endpoints.shared.message import TABS, Shown, View
from mailferry.mail import reading
from mailferry.resources import inboxes, projects, share_links
from mailferry.resources.inboxes import Glance
from mailferry.resources.permissions import Resource
from mailferry.resources.share_links import Shared
from mailferry.sandbox import inbox
from mailferry.sandbox.checks import headers, links
from mailferry.sandbox.inbox import PAGE as MAILS
from mailferry.sandbox.inbox import Caught
from mailferry.sandbox.preview import preview
from mailferry.sandbox.report import Report, clock_time
from mailferry.store.captured import CapturedContent
from mailferry.store.content import ContentGone
from mailferry.store.database import Database
from mailferry.store.threads import Busy

#: Seconds that a reader waits for room.
PATIENCE = 5.0
#: A message is read as its bytes, and what is decoded and written of them beside.
_TIMES = 4
#: Checks that ask the network for people without an account, at once.
ASKED_AT_ONCE = 4
MOST_SEARCHED = 200
MOST_PAGE = 100_000

_DOWNLOAD = {
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}
_PREVIEW = {name: value for name, value in _DOWNLOAD.items() if name != "Content-Security-Policy"}
_PREVIEW |= {"X-DNS-Prefetch-Control": "off", "Cross-Origin-Resource-Policy": "same-origin"}
#: Which checks a tab asks, of those that look at the message alone, and of those that ask the network.
_CHECKS = {"spam": ("spam",), "check": ("html", "accessibility")}
_ASKING = {"links": ("links",), "tech": ("authentication", "blocklists")}

T = TypeVar("T")


class Checker(Protocol):
    """See sandbox/report.py."""

    async def check(self, raw: bytes, names: Collection[str]) -> Report: ...


@dataclass(frozen=True, slots=True)
class Deps:
    database: Database
    captured: CapturedContent
    checker: Checker
    #: What of caught messages is being shown, all together, over whichever way in.
    downloads: BodyBudget
    clock: Callable[[], int]


@dataclass(frozen=True, slots=True)
class _Opened:
    """``path`` is that of what the link opens. Of a project there is an inbox when the path names one."""

    shared: Shared
    name: str
    path: str
    inboxes: list[Glance]
    caught: Caught | None = None

    @property
    def inbox(self) -> Glance:
        return self.inboxes[0]

    @property
    def inbox_path(self) -> str:
        return f"{self.path}/inboxes/{self.inbox.id}"

    @property
    def crumbs(self) -> list[Crumb]:
        """To the inbox."""
        return [(self.name, self.path)] if self.shared.kind is Resource.PROJECT else []

    def shown(self, tab: str) -> Shown:
        assert self.caught is not None
        crumbs = [] if self.shared.message_id else [*self.crumbs, (self.inbox.name, self.inbox_path)]
        return Shown(self.caught, f"{self.inbox_path}/messages/{self.caught.id}", tab, crumbs)


class _Refused(Exception):
    """With the page that says why."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def routes(deps: Deps) -> list[Route]:
    site = _Site(deps)
    of_inbox = f"{ROOT}{{secret}}/inboxes/{{inbox_id:int}}"
    of_message = f"{of_inbox}/messages/{{message_id:int}}"
    served = {
        f"{ROOT}{{secret}}": site.first,
        of_inbox: site.inbox,
        of_message: site.message,
        f"{of_message}/preview": site.preview,
        f"{of_message}/message.eml": site.eml,
        f"{of_message}/attachments/{{number:int}}": site.attachment,
        f"{of_message}/{{tab}}": site.tab,
    }
    found = [
        Route(path, _answered(function), methods=["GET", "POST"] if function == site.tab else ["GET"])
        for path, function in served.items()
    ]
    return [*found, Route(f"{ROOT}{{rest:path}}", _answered(site.missing), methods=["GET", "POST"])]


def _answered(function: Callable[[Request], object]) -> Callable[[Request], object]:
    async def answer(request: Request) -> Response:
        try:
            return await function(request)  # type: ignore[misc, no-any-return]
        except _Refused as refused:
            return refused.response

    return answer


class _Site:
    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._asking = asyncio.Semaphore(ASKED_AT_ONCE)

    async def missing(self, request: Request) -> Response:
        return _missing()

    async def first(self, request: Request) -> Response:
        opened = await self._opened(request)
        if opened.shared.message_id or opened.shared.kind is Resource.INBOX:
            only = f"/messages/{opened.shared.message_id}" if opened.shared.message_id else ""
            return _moved(opened.inbox_path + only) if opened.inboxes else _missing()
        return lists.project(opened.name, opened.path, opened.inboxes)

    async def inbox(self, request: Request) -> Response:
        opened = await self._opened(request)
        if opened.shared.message_id:
            return _missing()
        search = request.query_params.get("search", "").strip()[:MOST_SEARCHED]
        number = _number(request.query_params.get("page", ""))
        caught = await self._deps.database.read(
            lambda c: inbox.page(c, opened.inbox.id, search=search, skip=(number - 1) * MAILS)
        )
        return lists.inbox(opened.inbox, opened.inbox_path, opened.crumbs, caught, search, number)

    async def message(self, request: Request) -> Response:
        opened = await self._opened(request)
        assert opened.caught is not None
        return _moved(opened.shown("").base + "/" + message.default_tab(opened.caught))

    async def tab(self, request: Request) -> Response:
        tab = request.path_params["tab"]
        if tab not in TABS:
            return _missing()
        opened = await self._opened(request)
        shown, view = opened.shown(tab), View.of(request.query_params)
        asks = request.method == "POST" and tab in _ASKING
        names = _CHECKS.get(tab, ()) if not asks else _ASKING[tab]
        report = await self._report(shown.caught, names, asks) if names else Report()
        content = await self._read(shown.caught, partial(self._content, shown, view, report, asks))
        return page(shown.caught.subject or "Message", message.framed(shown, content), shown.crumbs)

    async def preview(self, request: Request) -> Response:
        opened, view = await self._opened(request), View.of(request.query_params)
        assert opened.caught is not None

        def made(octets: bytes) -> Response:
            found = preview(reading.read(octets), dark=view.dark, images=view.images)
            if found is None:
                return _missing()
            policy = {"Content-Security-Policy": found.policy}
            return Response(
                found.document.encode("utf-8", "replace"), headers=_PREVIEW | policy, media_type="text/html"
            )

        return await self._read(opened.caught, made)

    async def eml(self, request: Request) -> Response:
        opened = await self._opened(request)
        assert opened.caught is not None
        name = {"Content-Disposition": 'attachment; filename="message.eml"'}
        return await self._read(
            opened.caught, lambda octets: Response(octets, headers=_DOWNLOAD | name, media_type="message/rfc822")
        )

    async def attachment(self, request: Request) -> Response:
        opened, number = await self._opened(request), int(request.path_params["number"])
        assert opened.caught is not None

        def made(octets: bytes) -> Response:
            found = reading.read(octets).attachments
            if not 1 <= number <= len(found):
                return _missing()
            name = quote(found[number - 1].filename or f"attachment-{number}", safe="", errors="replace")
            disposition = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
            # Never as what the mail calls it: it is to be kept, and not to be opened here.
            media = "application/octet-stream"
            return Response(found[number - 1].content(), headers=_DOWNLOAD | disposition, media_type=media)

        return await self._read(opened.caught, made)

    # --- what they have in common ---

    async def _opened(self, request: Request) -> _Opened:
        """What the path names, as far as its link opens it. Raises :class:`_Refused`."""
        names = request.path_params
        secret, inbox_id, message_id = names["secret"], names.get("inbox_id", 0), names.get("message_id", 0)
        opened = await self._deps.database.read(lambda c: _open(c, secret, inbox_id, message_id))
        if opened is None:
            raise _Refused(_missing())
        return opened

    async def _read(self, caught: Caught, shown: Callable[[bytes], T]) -> T:
        """What is made of its bytes, in a thread where it is large, and within the room that all readers share."""
        share = Share(self._deps.downloads, PATIENCE)
        if not await share.take(min(_TIMES * caught.size, share.largest)):
            raise _Refused(_busy())
        with share:
            try:
                octets = await self._deps.database.read(lambda c: self._deps.captured.read(c, caught.where))
            except ContentGone:  # it was deleted in this very moment
                raise _Refused(_missing()) from None
            return await aside(caught.size, lambda: shown(octets))

    async def _report(self, caught: Caught, names: tuple[str, ...], asks: bool) -> Report:
        if asks and self._asking.locked():
            raise _Refused(_busy())
        octets = await self._read(caught, bytes)
        try:
            if not asks:
                return await self._deps.checker.check(octets, names)
            async with self._asking:
                return await self._deps.checker.check(octets, names)
        except Busy:
            raise _Refused(_busy()) from None

    def _content(self, shown: Shown, view: View, report: Report, asked: bool, octets: bytes) -> str:
        if shown.tab == "raw":
            return message.raw(shown, octets)
        if shown.tab == "spam":
            return reports.spam(report)
        if shown.tab == "check":
            return reports.html_check(shown, report)
        if shown.tab == "links" and asked:
            return reports.links(shown, report)
        read = reading.read(octets)
        match shown.tab:
            case "html":
                return message.html(shown, read, view)
            case "source":
                return message.source(shown, read)
            case "text":
                return message.text(shown, read)
            case "headers":
                return message.headers(shown, read, headers.check(octets, read, clock_time(self._deps.clock())))
            case "attachments":
                return message.attachments(shown, read)
            case "links":
                return reports.links_unasked(shown, links.find(read)[0])
        return message.tech(shown, read, reports.network(report) if asked else reports.network_unasked(shown))


def _open(connection: Connection, secret: str, inbox_id: int, message_id: int) -> _Opened | None:
    shared = share_links.opened(connection, secret)
    if shared is None or (shared.message_id and message_id not in (0, shared.message_id)):
        return None
    found = inboxes.glances(connection, shared.account_id, shared.kind, shared.resource_id)
    if inbox_id:
        found = [each for each in found if each.id == inbox_id]
    name = found[0].name if found else ""
    if shared.kind is Resource.PROJECT:
        project = projects.by_id(connection, shared.account_id, shared.resource_id)
        name = project.name if project else ""
    if not name or (inbox_id and not found):
        return None
    caught = inbox.by_id(connection, inbox_id, message_id) if message_id else None
    if message_id and caught is None:
        return None
    return _Opened(shared, name, ROOT + secret, found, caught)


def _number(text: str) -> int:
    return min(int(text), MOST_PAGE) or 1 if text.isascii() and text.isdigit() and len(text) < 10 else 1


def _moved(path: str) -> Response:
    return RedirectResponse(path, 302, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})


def _missing() -> Response:
    text = "This link is damaged, was ended by whoever made it, or the message that it leads to is gone."
    return page("Nothing here", f"<h1>Nothing here</h1><p>{text}</p>", status=404)


def _busy() -> Response:
    found = page("Too busy", "<h1>Too busy just now</h1><p>Try again in a moment.</p>", status=503)
    found.headers["Retry-After"] = "5"
    return found
