"""An HTTP proxy that takes every connection to one local port, whatever name it asks for.

It stands for DNS and for port 443: a client with `HTTPS_PROXY` set reaches `send.api.mailtrap.io:443` here and checks the
certificate for that name, as it would once DNS points at Mailferry.
"""

import asyncio
import contextlib
from typing import Self


class ConnectProxy:
    def __init__(self, port: int) -> None:
        self._target = port
        self.asked: list[str] = []  # "send.api.mailtrap.io:443"
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in [*self._writers]:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, name, _ = head.split(b" ", 2)
            assert method == b"CONNECT"
            self.asked.append(name.decode())
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(back)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
            self._writers.discard(back)
        except (OSError, EOFError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
