"""The load program, the same for everybody: `python -m bench.load`, one JSON order on stdin, one JSON result on stdout.

By SMTP: sessions that stay, with STARTTLS and AUTH once each where asked for; MAIL, RCPT and DATA in one packet
(RFC 2920), then the content, then the next message. By HTTP: keep-alive connections that post to `/api/send`, or signed
to SES v2's SendEmail. The clock starts when all sessions are ready, so neither greetings nor handshakes are in the figures.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import uvloop

from .messages import Envelope, HttpMessages, Requests, SesMessages, SmtpMessages

READY_LIMIT = 30.0  # seconds for all sessions to be greeted
LOAD_LIMIT = 300.0  # seconds for one load; then what was answered counts, and the rest is named as unanswered
KEPT_REFUSALS = 5


@dataclass(frozen=True, slots=True)
class Order:
    """What to send where. `port` is on 127.0.0.1; `size` in octets; an empty username means no AUTH."""

    way: str  # "smtp", "http" or "ses"
    port: int
    sender: str
    destination: str
    count: int
    size: int
    sessions: int
    run: str
    username: str = ""  # of SMTP, or an access key and its secret
    password: str = ""
    token: str = ""
    path: str = "/api/send"
    ca_file: str = ""  # STARTTLS, or HTTPS, when given
    members: str = ""  # JSON members that say what a message is, instead of subject and text of that size

    @property
    def envelope(self) -> Envelope:
        return Envelope(self.sender, self.destination)


@dataclass(slots=True)
class Result:
    """What happened. Times are on the monotonic clock, which all processes of a machine share; `cpu` is in seconds."""

    started_ns: int = 0
    last_ns: int = 0
    accepted: int = 0
    refused: int = 0
    refusals: list[str] = field(default_factory=list)
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        """Accepted messages a second."""
        return self.accepted * 1e9 / (self.last_ns - self.started_ns) if self.accepted else 0.0


class Work:
    """The numbers that are still to be sent, shared by all sessions, and the answers to them."""

    def __init__(self, count: int):
        self._numbers: Iterator[int] = iter(range(count))
        self._count = count
        self._latencies: list[int] = []
        self.result = Result()
        self.done = asyncio.Event()
        self.start = asyncio.Event()

    def next(self) -> int | None:
        return next(self._numbers, None)

    def answered(self, asked_ns: int, accepted: bool, answer: str) -> None:
        now = time.monotonic_ns()
        self._latencies.append(now - asked_ns)
        result = self.result
        if accepted:
            result.accepted += 1
            result.last_ns = now
        else:
            result.refused += 1
            if len(result.refusals) < KEPT_REFUSALS:
                result.refusals.append(answer)
        if len(self._latencies) == self._count:
            self.done.set()

    def lost(self, why: str) -> None:
        """A session ended before its time: the load is over."""
        self.result.refusals.append(why)
        self.done.set()

    def summary(self) -> Result:
        latencies = sorted(self._latencies) or [0]
        self.result.p50_ms = latencies[len(latencies) // 2] / 1e6
        self.result.p99_ms = latencies[len(latencies) * 99 // 100] / 1e6
        return self.result


class Session(asyncio.Protocol):
    """A connection that asks and waits; the two ways differ in what is asked and how an answer is read."""

    def __init__(self, work: Work):
        self._work = work
        self._asked_ns = 0
        self._buffer = b""
        self._finished = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass, so isinstance would say no.
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._finished and not self._work.done.is_set():
            self._work.lost(f"connection lost: {exc}")

    def close(self) -> None:
        self._finished = True
        self.transport.close()


class SmtpSession(Session):
    def __init__(self, work: Work, messages: SmtpMessages):
        super().__init__(work)
        self._messages = messages
        self._replies: list[bytes] = []
        self._waiting: asyncio.Future[bytes] | None = None
        self._expected = 0
        self._number = 0

    async def greet(self, order: Order, context: ssl.SSLContext | None) -> None:
        """Everything before the first MAIL."""
        await self._reply(b"220")
        await self._say(b"EHLO load.bench.test\r\n", b"250")
        if context:
            await self._say(b"STARTTLS\r\n", b"220")
            loop = asyncio.get_running_loop()
            secured = await loop.start_tls(self.transport, self, context, server_hostname="localhost")
            assert secured
            self.transport = secured
            await self._say(b"EHLO load.bench.test\r\n", b"250")
        if order.username:
            await self._say(_auth_plain(order.username, order.password), b"235")

    def send_next(self) -> None:
        number = self._work.next()
        if number is None:
            self._finished, self._expected = True, 0
            self.transport.write(b"QUIT\r\n")
            return
        self._number, self._expected = number, 3
        self._asked_ns = time.monotonic_ns()
        self.transport.write(self._messages.envelope(number))

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        *lines, self._buffer = data.split(b"\r\n")
        for line in lines:
            if line[3:4] != b"-":
                self._replies.append(line)
        if self._waiting and self._replies:
            self._waiting.set_result(self._replies.pop(0))
            self._waiting = None
        elif self._expected and len(self._replies) >= self._expected:
            replies, self._replies = self._replies, []
            self._go_on(replies)

    def _go_on(self, replies: list[bytes]) -> None:
        if self._expected == 3 and replies[2].startswith(b"354"):
            self._expected = 1
            self.transport.write(self._messages.content(self._number))
            return
        # Refused in the envelope, or answered after the final dot.
        refused = next((reply for reply in replies if reply[:1] not in b"23"), replies[-1])
        self._work.answered(self._asked_ns, replies[-1].startswith(b"250"), refused.decode(errors="replace"))
        self.send_next()

    async def _say(self, command: bytes, wanted: bytes) -> None:
        self.transport.write(command)
        await self._reply(wanted)

    async def _reply(self, wanted: bytes) -> None:
        if not self._replies:
            self._waiting = asyncio.get_running_loop().create_future()
            reply = await self._waiting
        else:
            reply = self._replies.pop(0)
        if not reply.startswith(wanted):
            raise ConnectionError(f"expected {wanted.decode()}, heard {reply.decode(errors='replace')}")


class HttpSession(Session):
    LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)

    def __init__(self, work: Work, messages: Requests):
        super().__init__(work)
        self._messages = messages

    def send_next(self) -> None:
        number = self._work.next()
        if number is None:
            self.close()
            return
        self._asked_ns = time.monotonic_ns()
        self.transport.write(self._messages.request(number))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        length = self.LENGTH.search(head)
        if not length:
            self._work.lost(f"an answer without Content-Length: {head[:200]!r}")
            return
        if len(body) < int(length[1]):
            return
        self._buffer = b""
        accepted = head.startswith(b"HTTP/1.1 200")
        self._work.answered(self._asked_ns, accepted, "" if accepted else (head[:40] + body[:300]).decode())
        self.send_next()


async def run(order: Order) -> Result:
    """Carries out one order."""
    work = Work(order.count)
    async with asyncio.timeout(READY_LIMIT):
        sessions = await (_open_smtp if order.way == "smtp" else _open_http)(order, work)
    cpu_before = time.process_time()
    work.result.started_ns = time.monotonic_ns()
    for session in sessions:
        session.send_next()
    try:
        await asyncio.wait_for(work.done.wait(), LOAD_LIMIT)
    except TimeoutError:
        work.result.refusals.append(f"not all were answered within {LOAD_LIMIT:.0f} s")
    work.result.cpu = time.process_time() - cpu_before
    for session in sessions:
        session.close()
    return work.summary()


async def _open_smtp(order: Order, work: Work) -> list[SmtpSession]:
    messages = SmtpMessages(order.envelope, order.size, order.run)
    context = ssl.create_default_context(cafile=order.ca_file) if order.ca_file else None
    loop = asyncio.get_running_loop()

    async def open_one() -> SmtpSession:
        _, session = await loop.create_connection(lambda: SmtpSession(work, messages), "127.0.0.1", order.port)
        await session.greet(order, context)
        return session

    return list(await asyncio.gather(*(open_one() for _ in range(order.sessions))))


async def _open_http(order: Order, work: Work) -> list[HttpSession]:
    messages = _requests(order)
    context = ssl.create_default_context(cafile=order.ca_file) if order.ca_file else None
    loop = asyncio.get_running_loop()
    sessions = []
    for _ in range(order.sessions):
        _, session = await loop.create_connection(
            lambda: HttpSession(work, messages),
            "127.0.0.1",
            order.port,
            ssl=context,
            server_hostname="localhost" if context else None,
        )
        sessions.append(session)
    return sessions


def _requests(order: Order) -> Requests:
    host = f"127.0.0.1:{order.port}"
    if order.way == "ses":
        key = {"key_id": order.username, "secret": order.password}
        return SesMessages(order.envelope, order.size, host=host, count=order.count, **key)
    given = {"path": order.path, "token": order.token, "members": order.members}
    return HttpMessages(order.envelope, order.size, host=host, **given)


def _auth_plain(username: str, password: str) -> bytes:
    secret = f"\0{username}\0{password}".encode()
    return b"AUTH PLAIN " + base64.b64encode(secret) + b"\r\n"


def start(order: Order) -> Result:
    """Carries out an order in a process of its own and waits for it."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(asdict(order)),
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    if done.returncode != 0:
        raise RuntimeError(f"the load program failed: {done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    return Result(**told)


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(run(Order(**json.load(sys.stdin)))))))
