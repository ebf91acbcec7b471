"""A webhook's receiver: a real HTTP server that keeps every request and answers as it is told."""

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    #: Names in lower case.
    headers: dict[str, str]
    body: bytes
    status: int
    method: str = "POST"

    @property
    def events(self) -> list[dict[str, Any]]:
        if self.headers["content-type"] == "application/jsonl":
            return [json.loads(line) for line in self.body.decode().split("\n")]
        return list(json.loads(self.body)["events"])


class Receiver:
    """``answer`` is called with each request (its status still 0) and gives the status, or None to say nothing at all."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], int | None] = lambda request: 200
        self.delay = 0.0
        self.headers = ""
        self.body = b"ok"
        self.port = 0
        self.most_at_once = self._at_once = 0
        self._context = context
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "Receiver":
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Nobody listens on the port then; :meth:`open` opens the same again."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.close()

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"http{'s' if self._context else ''}://{host}:{self.port}{path}"

    @property
    def taken(self) -> list[dict[str, Any]]:
        """The events of all requests that were answered with 200, in their order."""
        return [event for request in self.requests if request.status == 200 for event in request.events]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(first.split(" ")[1], headers, body, 0, first.split(" ")[0])
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await asyncio.sleep(self.delay)
            status = self.answer(request)
        finally:
            self._at_once -= 1
        self.requests.append(replace(request, status=status or 0))
        if status is None:
            return False
        body = b"" if status == 204 else self.body  # RFC 9110 15.3.5
        length = "" if status == 204 else f"Content-Length: {len(body)}\r\n"
        writer.write(f"HTTP/1.1 {status} Whatever\r\n{length}{self.headers}\r\n".encode())
        writer.write(b"" if request.method == "HEAD" else body)
        await writer.drain()
        return True
