"""Where all mail of the benchmark ends: an SMTP server that counts messages, notes when the last one came, keeps none.

Run as `python -m bench.sink`, a process of its own; prints its port, then answers each line on its standard input with
one line of JSON: "reset", "count" (messages, those that carried a DKIM-Signature, when the last one came, CPU seconds),
"sample" (the first message since the reset). It costs less CPU than smtp-sink, and the same for everybody who delivers
into it; what it costs is printed with the results.
"""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import uvloop

END = b"\r\n.\r\n"
REPLIES = {
    b"EHLO": b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 104857600\r\n250-ENHANCEDSTATUSCODES\r\n"
    b"250 SMTPUTF8\r\n",
    b"HELO": b"250 sink.test\r\n",
    b"MAIL": b"250 2.1.0 Ok\r\n",
    b"RCPT": b"250 2.1.5 Ok\r\n",
    b"RSET": b"250 2.0.0 Ok\r\n",
    b"NOOP": b"250 2.0.0 Ok\r\n",
    b"DATA": b"354 Go on\r\n",
    b"QUIT": b"221 2.0.0 Bye\r\n",
}


@dataclass(slots=True)
class Tally:
    """What has come since the last reset; `last_ns` is on the monotonic clock, which all processes share."""

    count: int = 0
    signed: int = 0
    octets: int = 0
    last_ns: int = 0
    sample: list[bytes] = field(default_factory=list)


class Receiver(asyncio.Protocol):
    """One connection."""

    def __init__(self, tally: Tally):
        self._tally = tally
        self._buffer = b""
        self._in_data = False
        self._chunks: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass, so isinstance would say no.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(b"220 sink.test ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        replies: list[bytes] = []
        data = self._buffer + data if self._buffer else data
        self._buffer = b""
        while data:
            data = self._content(data, replies) if self._in_data else self._command(data, replies)
        if replies:
            self._transport.write(b"".join(replies))
            if replies[-1].startswith(b"221"):
                self._transport.close()

    def _command(self, data: bytes, replies: list[bytes]) -> bytes:
        line, end, rest = data.partition(b"\r\n")
        if not end:
            self._buffer = data
            return b""
        verb = line[:4].upper()
        replies.append(REPLIES.get(verb, b"502 5.5.1 No\r\n"))
        if verb == b"DATA":
            self._in_data = True
            self._chunks = []
        return rest

    def _content(self, data: bytes, replies: list[bytes]) -> bytes:
        found = data.find(END)
        if found < 0:
            # The end may be cut in two: keep what could be its beginning.
            keep = len(END) - 1
            self._chunks.append(data[:-keep])
            self._buffer = data[-keep:]
            return b""
        self._chunks.append(data[:found])
        self._in_data = False
        self._count()
        replies.append(b"250 2.0.0 Ok\r\n")
        return data[found + len(END) :]

    def _count(self) -> None:
        tally, chunks = self._tally, self._chunks
        tally.count += 1
        # Fields of a signer lie on top.
        tally.signed += b"DKIM-Signature:" in chunks[0][:8192] or b"DKIM-Signature:" in b"".join(chunks)[:8192]
        tally.octets += sum(map(len, chunks))
        tally.last_ns = time.monotonic_ns()
        if not tally.sample:
            tally.sample.append(b"".join(chunks) + b"\r\n")
        self._chunks = []


async def serve(port: int) -> None:
    tally = Tally()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Receiver(tally), "127.0.0.1", port, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while question := (await reader.readline()).strip():
        print(json.dumps(_answer(tally, question)), flush=True)


def _answer(tally: Tally, question: bytes) -> dict[str, Any]:
    if question == b"sample":
        return {"sample": base64.b64encode(tally.sample[0] if tally.sample else b"").decode()}
    if question == b"reset":
        tally.count = tally.signed = tally.octets = tally.last_ns = 0
        tally.sample.clear()
    counted = {"count": tally.count, "signed": tally.signed, "octets": tally.octets, "last_ns": tally.last_ns}
    return counted | {"cpu": time.process_time()}


class Sink:
    """The sink's process as seen from the benchmark. Use it with `with`."""

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "bench.sink"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[1],
        )
        assert self._child.stdout
        self.port = int(self._child.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The end of its input ends it.
        self._child.communicate()

    def reset(self) -> dict[str, Any]:
        return self._ask("reset")

    def count(self) -> dict[str, Any]:
        return self._ask("count")

    def sample(self) -> bytes:
        return base64.b64decode(self._ask("sample")["sample"])

    def _ask(self, question: str) -> dict[str, Any]:
        assert self._child.stdin and self._child.stdout
        self._child.stdin.write(question.encode() + b"\n")
        self._child.stdin.flush()
        answer: dict[str, Any] = json.loads(self._child.stdout.readline())
        return answer


if __name__ == "__main__":
    uvloop.run(serve(0))
