"""HTTP listeners: uvicorn inside our own loop, on sockets that we bind, with a limit on the time that headers may take."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Seconds from the connection, or from the first octet of a further request, until its headers are there. Uvicorn has no
#: such limit, and a client that sends one octet a minute would hold a connection for ever.
HEADER_SECONDS = 20.0
KEEP_ALIVE_SECONDS = 75
#: Running requests get this long when the process ends.
GRACE_SECONDS = 4


class ImpatientProtocol(HttpToolsProtocol):
    """Closes a connection whose request headers do not come in time."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEADER_SECONDS, self._too_slow)

    def on_message_begin(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self._too_slow)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        self.transport.close()


class Listener(uvicorn.Server):
    """One listening socket. Signals are the caller's."""

    def __init__(self, app: ASGIApp, bound: socket.socket, context: ssl.SSLContext | None) -> None:
        config = uvicorn.Config(
            app,
            http=ImpatientProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            h11_max_incomplete_event_size=None,
        )
        config.load()
        config.ssl = context
        super().__init__(config)
        self._bound = bound
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def open(self) -> None:
        self._task = asyncio.create_task(self.serve(sockets=[self._bound]))
        while not self.started:
            if self._task.done():
                self._task.result()
                raise RuntimeError("the HTTP listener ended before it began")
            await asyncio.sleep(0.005)

    async def close(self) -> None:
        self.should_exit = True
        if self._task is not None:
            await self._task
        self._bound.close()


def bind(host: str, port: int) -> socket.socket:
    """A bound and listening socket. Raises OSError, whose text the caller completes with the setting's name."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
        bound.listen(2048)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def address_of(bound: socket.socket) -> tuple[str, int]:
    name: Any = bound.getsockname()
    return str(name[0]), int(name[1])
