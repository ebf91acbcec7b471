"""HTTP listeners: uvicorn inside our own loop, on sockets that we bind."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from mailferry.endpoints.http_protocol import HttpProtocol

KEEP_ALIVE_SECONDS = 75
#: Running requests get this long when the process ends, and the rest of their connections is cut off.
GRACE_SECONDS = 4


class Listener(uvicorn.Server):
    """One listening socket. Signals are the caller's."""

    def __init__(
        self,
        app: ASGIApp,
        bound: socket.socket,
        context: ssl.SSLContext | None,
        protocol: type[HttpProtocol] = HttpProtocol,
    ) -> None:
        config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
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
        """Within GRACE_SECONDS and some ticks of uvicorn's clock."""
        self.should_exit = True
        if self._task is not None:
            await self._task
        self._bound.close()
        for connection in tuple(self.server_state.connections):
            # uvicorn leaves them: whoever dribbles a body would be listened to for as long as the loop runs.
            transport: Any = connection.transport
            # Python 3.11.2 (Debian 12) raises from abort() of a TLS layer that is closed already.
            if not transport.is_closing():
                transport.abort()


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
