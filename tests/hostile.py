"""A server under bad input: octets to it as they are, what its process uses, and whether it came out unharmed."""

import asyncio
import contextlib
import http.client
import io
import json
import smtplib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.commands import first_run
from tests.conftest import eventually
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.server import Mailferry, add_domain, message, running

ZONE = {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}
MEGABYTE = 1_000_000
#: A test that hangs has failed; nothing else depends on it.
PATIENCE = 30.0
#: Connections that a healthy server may have open, more than after its first message: to the MX, to the database.
SPARE_FILES = 25
#: What the injections of the tests try to smuggle in; no message that arrives may hold it.
EVE = "eve@dest.test"


@dataclass(frozen=True)
class Answer:
    """One HTTP response as it came over the wire."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def errors(self) -> list[str]:
        """Of a refusal in the shape of sending."""
        body = self.json
        assert body["success"] is False and body["errors"], body
        assert all(isinstance(text, str) and text for text in body["errors"]), body
        return list(body["errors"])


class Target:
    """The server, and the good messages that it was given among the bad ones."""

    def __init__(self, server: Mailferry, mx: FakeMX, context: ssl.SSLContext) -> None:
        self.server = server
        self.mx = mx
        self.context = context
        self.token: str = first_run(server)["api_token"]
        self.good = 0

    # --- octets to it ---

    def head(self, line: str = "POST /api/send", *fields: str) -> bytes:
        """A request's head up to and without its last fields, with the right token; HTTP/1.1."""
        own = [f"{line} HTTP/1.1", "Host: localhost", f"Api-Token: {self.token}", *fields]
        return "\r\n".join(own).encode() + b"\r\n"

    def request(self, body: Any, *fields: str, line: str = "POST /api/send") -> bytes:
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.head(line, *fields) + b"Content-Length: %d\r\n\r\n" % len(octets) + octets

    def http(self, *octets: bytes, count: int = 1, tls: bool = False) -> list[Answer]:
        """The first ``count`` answers to these octets; fewer when the server closes before."""
        port, context = (self.server.https, self.context) if tls else (self.server.http, None)
        return talk(port, octets, count, context)

    def post(self, body: Any, *fields: str, line: str = "POST /api/send") -> Answer:
        (answer,) = self.http(self.request(body, *fields, line=line))
        return answer

    # --- what its process uses ---

    def open_files(self) -> int:
        return sum(1 for _ in (self._proc / "fd").iterdir())

    def forget_peak(self) -> int:
        """Octets of memory in use; ``peak`` counts from here."""
        (self._proc / "clear_refs").write_text("5")  # proc(5)
        return self._memory("VmRSS")

    def peak(self) -> int:
        return self._memory("VmHWM")

    def _memory(self, name: str) -> int:
        lines = (self._proc / "status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

    @property
    def _proc(self) -> Path:
        assert self.server.process is not None
        return Path(f"/proc/{self.server.process.pid}")

    # --- is it well ---

    async def settle_in(self) -> None:
        """A first message warms it up: then the files that it holds are those that it needs."""
        await self.send_good()
        self.files = self.open_files()

    async def send_good(self) -> None:
        body = message(f"good{self.good}@dest.test")
        answer = await asyncio.to_thread(self.post, body)
        assert answer.status == 200, answer
        await asyncio.to_thread(self.submit, b"From: app@sender.test\r\n\r\nIt works.\r\n")
        self.good += 2

    def submit(self, text: bytes) -> None:
        """By SMTP, as a client in order does."""
        with smtplib.SMTP("127.0.0.1", self.server.smtp, timeout=PATIENCE) as client:
            client.starttls(context=self.context)
            client.login("api", self.token)
            client.sendmail("app@sender.test", ["a@dest.test"], text)

    async def unharmed(self) -> None:
        """It is healthy, takes and delivers good messages, kept nothing else, and let go of what it had opened."""
        status, _ = await asyncio.to_thread(self.server.request, "GET", "/health")
        assert status == 200
        await self.send_good()
        await self.mx.received(self.good)
        await eventually(lambda: not self.server.ask("queue.list")["waiting"])
        kept = self.server.ask("messages.list", limit=10_000)
        assert len(kept) == self.good and {each["state"] for each in kept} == {"delivered"}
        assert len(self.mx.transactions) == self.good
        assert not [each for each in self.mx.transactions if EVE in each.recipients or EVE.encode() in each.content]
        await eventually(lambda: self.open_files() <= self.files + SPARE_FILES, PATIENCE)


@contextlib.asynccontextmanager
async def besieged(folder: Path, **settings: Any) -> AsyncIterator[Target]:
    async with FakeDNS(ZONE) as dns, FakeMX() as mx, running(folder, dns, smtp_port=mx.port, **settings) as server:
        await add_domain(server, dns)
        context = ssl.create_default_context(cafile=server.data / "ca" / "ca.pem")
        target = Target(server, mx, context)
        await target.settle_in()
        yield target


@contextlib.contextmanager
def connected(port: int, context: ssl.SSLContext | None = None) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain:
        if context is None:
            yield plain
            return
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            yield secure


def talk(port: int, octets: tuple[bytes, ...], count: int = 1, context: ssl.SSLContext | None = None) -> list[Answer]:
    with connected(port, context) as wire:
        with contextlib.suppress(ConnectionError):  # it may have heard enough, and says so below
            for piece in octets:
                wire.sendall(piece)
        return read_answers(wire, count, bodiless=octets[0].startswith(b"HEAD"))


def read_answers(wire: socket.socket, count: int = 1, *, bodiless: bool = False) -> list[Answer]:
    """The next ``count`` answers without those of 1xx; fewer when the connection ends before."""
    got = b""
    while len(found := list(_parse(got, bodiless))) < count:
        more = wire.recv(1 << 16)
        if not more:
            return found
        got += more
    return found


def said_until_closed(wire: socket.socket) -> bytes:
    """All that still comes; waits for the end."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while more := wire.recv(1 << 16):
            got += more
    return got


def _parse(octets: bytes, bodiless: bool) -> Iterator[Answer]:
    rest = io.BytesIO(octets)
    while b"\r\n\r\n" in octets[rest.tell() :]:
        line = rest.readline().decode()
        assert line.startswith("HTTP/1.1 "), octets
        status = int(line.split()[1])
        fields = {name.lower(): value for name, value in http.client.parse_headers(rest).items()}
        size = 0 if bodiless else int(fields.get("content-length", 0))
        body = rest.read(size)
        if len(body) < size:
            return
        if status >= 200:
            yield Answer(status, fields, body)
