"""ASGI middleware in front of every HTTP route: the allowed host, its role, the client's address, a request id.

A host that is not served gets 421 (RFC 9110 15.5.20). Nothing behind this looks at Host or X-Forwarded-* again.
"""

import secrets
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mailferry import metrics
from mailferry.net.hosts import HostRules, Network, client_address

log = structlog.get_logger(__name__)

ROLE = "mailferry.role"
CLIENT = "mailferry.client_ip"
REQUEST_ID = "mailferry.request_id"


class Hosts:
    """``rules`` may be exchanged while requests run (``mailferry certificates`` adds names)."""

    def __init__(self, app: ASGIApp, rules: HostRules, trusted: Sequence[Network]) -> None:
        self._app = app
        self.rules = rules
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name: value.decode("latin-1") for name, value in reversed(scope["headers"])}
        client = client_address(
            (scope.get("client") or ("", 0))[0],
            headers.get(b"x-forwarded-for"),
            headers.get(b"x-forwarded-host"),
            headers.get(b"x-forwarded-proto"),
            self._trusted,
        )
        request_id = secrets.token_hex(16)
        match = self.rules.match(client.host or headers.get(b"host", ""))
        scope[CLIENT], scope[REQUEST_ID] = client.ip, request_id
        if client.scheme:
            scope["scheme"] = client.scheme
        started = perf_counter()
        status = 500

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        if match is None:
            await _misdirected(observed)
        else:
            scope[ROLE] = match.role
            await self._app(scope, receive, observed)
        metrics.HTTP_SECONDS.labels(f"{status // 100}xx").observe(perf_counter() - started)
        log.debug(
            "http",
            request_id=request_id,
            method=scope["method"],
            path=scope["path"],
            status=status,
            client_ip=client.ip,
        )


async def _misdirected(send: Any) -> None:
    body = b'{"error":"Misdirected Request: this host name is not served here; allow it with [http] hosts"}'
    headers = [(b"content-type", b"application/json; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 421, "headers": headers})
    await send({"type": "http.response.body", "body": body})
