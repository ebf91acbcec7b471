"""ASGI middleware in front of every HTTP route: the allowed host, its role, the client's address, a request id.

A host that is not served gets 421 (RFC 9110 15.5.20). Nothing behind this looks at Host or X-Forwarded-* again.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mailferry import metrics
from mailferry.endpoints import fallback
from mailferry.net.hosts import HostMatch, HostRules, Network, client_address, parse_host
from mailferry.store.database import unavailable

log = structlog.get_logger(__name__)

ROLE = "mailferry.role"
CLIENT = "mailferry.client_ip"
#: Host and port that the client asked, also behind a trusted proxy.
HOST = "mailferry.host"
REQUEST_ID = "mailferry.request_id"

_FORWARDED = (b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto")
#: All that a tracking host serves.
TRACKING = "/t/"
#: Whoever has such a path may unsubscribe its reader, accept in place of who was invited, or read what an inbox caught: no
#: log has more of it.
SECRET = (TRACKING, "/invitations/", "/share/")

_MISDIRECTED = "Misdirected Request: this host name is not served here; allow it with [http] hosts"


class Hosts:
    """``rules`` may be exchanged while requests run (``mailferry certificates`` adds names).

    ``tracks`` says of a name that no rule knows whether it is the tracking host of some sending domain.
    """

    def __init__(
        self,
        app: ASGIApp,
        rules: HostRules,
        trusted: Sequence[Network],
        tracks: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        self._app = app
        self.rules = rules
        self._trusted = trusted
        self._tracks = tracks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        peer = (scope.get("client") or ("", 0))[0]
        said = [_list(scope, name) if self._trusted else None for name in _FORWARDED]
        client = client_address(peer, said[0], said[1], said[2], self._trusted)
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        request_id = secrets.token_hex(16)
        scope[CLIENT], scope[REQUEST_ID] = client.ip, request_id
        if client.scheme:
            scope["scheme"] = client.scheme
        started = perf_counter()
        status = 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        if len(hosts) != 1:
            # RFC 9112 3.2. Of two, a proxy before us may have looked at the other one.
            await fallback.refuse(observed, 400, "Bad Request: exactly one Host header is needed")
        elif (match := await self._match(host := client.host or hosts[0].decode("latin-1"))) is None:
            await fallback.refuse(observed, 421, _MISDIRECTED)
        elif match.role == "tracking" and not scope["path"].startswith(TRACKING):
            await fallback.refuse(observed, 404, "Not Found")
        else:
            scope[ROLE], scope[HOST] = match.role, host
            failed = await self._run(scope, receive, observed)
            if failed and not status:
                await fallback.refuse(observed, *failed)
        metrics.HTTP_SECONDS.labels(f"{status // 100}xx" if status else "gone").observe(perf_counter() - started)
        log.debug(
            "http",
            request_id=request_id,
            method=scope["method"],
            path=_told(scope["path"]),
            status=status,
            client_ip=client.ip,
        )

    async def _match(self, host: str) -> HostMatch | None:
        match = self.rules.match(host)
        if match is not None or self._tracks is None:
            return match
        named = parse_host(host)
        if named is None or named.is_address or not await self._tracks(named.name):
            return None
        return HostMatch(named.name, named.port, "tracking")

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> tuple[int, str] | None:
        """What to say for an application that could not."""
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            # Only the end of the process cancels; raised on, uvicorn would answer 500 in words of its own.
            return 503, "Service Unavailable: the server is shutting down, try again later"
        except Exception as error:
            facts = {"request_id": scope[REQUEST_ID], "path": _told(scope["path"])}
            if unavailable(error):
                log.warning("http_unavailable", error=type(error).__name__, **facts)
                return 503, "Service Unavailable: try again later"
            log.exception("http_failed", **facts)
            return 500, "Internal server error"
        return None


def _told(path: str) -> str:
    """As logs may have it."""
    return next((prefix for prefix in SECRET if path.startswith(prefix)), path)


def _list(scope: Scope, name: bytes) -> str | None:
    """Several fields of a name are one list (RFC 9110 5.3): a proxy may add its own below what a client made up."""
    found = [value for given, value in scope["headers"] if given == name]
    return b",".join(found).decode("latin-1") if found else None
