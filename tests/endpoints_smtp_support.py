"""What the tests of the SMTP server share: a backend in memory, a server on loopback, a client that says exactly what it is told."""

import asyncio
import base64
import functools
import hmac
import inspect
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvloop

from mailferry.endpoints.smtp.server import Listener, Server
from mailferry.endpoints.smtp.session import Envelope, Limits, Peer, Reply
from tests.fakes.certificates import Certificates, make

USER, PASSWORD = "pelican", "hunter2-hunter2"
WRONG_LOGIN = Reply(535, "5.7.0", "Invalid login or password")
QUEUED = Reply(250, "2.0.0", "Ok: queued")
# A test that hangs has failed; nothing else depends on it.
PATIENCE = 20.0


class MemoryBackend:
    """Accepts mail of one user and remembers it. `hold` makes calls of that name wait for `release`."""

    greeting_name = "mx.mailferry.test"

    def __init__(self) -> None:
        self.messages: list[tuple[Envelope, bytes]] = []
        self.peers: list[Peer] = []
        self.answers: dict[str, Reply] = {}
        self.errors: dict[str, Exception] = {}
        self.hold: set[str] = set()
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self.cancelled: list[str] = []
        self.calls: list[str] = []

    async def _pass(self, name: str) -> Reply | None:
        self.calls.append(name)
        if name in self.hold:
            self.entered.set()
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.cancelled.append(name)
                raise
        if name in self.errors:
            raise self.errors[name]
        return self.answers.get(name)

    async def authenticate(self, peer: Peer, username: str, password: str) -> Any:
        self.peers.append(peer)
        answer = await self._pass("authenticate")
        if answer is not None:
            return answer
        return username if (username, password) == (USER, PASSWORD) else WRONG_LOGIN

    async def challenged(self, peer: Peer, username: str, challenge: bytes, digest: str) -> Any:
        right = hmac.new(PASSWORD.encode(), challenge, "md5").hexdigest()
        return username if (username, digest) == (USER, right) else WRONG_LOGIN

    def words(self, identity: Any) -> dict[Reply, Reply]:
        return {}

    def account(self, identity: Any) -> str:
        return str(identity)

    async def mail(self, identity: Any, sender: str, size: int, peer: Peer) -> Reply | None:
        return await self._pass("mail")

    async def rcpt(self, identity: Any, envelope: Envelope, address: str) -> Reply | None:
        answer = await self._pass("rcpt")
        return Reply(550, "5.1.1", "No such user") if address.startswith("nobody@") else answer

    async def data(self, identity: Any, envelope: Envelope, message: bytes) -> Reply:
        self.messages.append((envelope, message))
        return await self._pass("data") or QUEUED


class Running:
    """A server that runs, its backend and what it logged."""

    def __init__(self, server: Server, backend: MemoryBackend, events: list[dict[str, object]]) -> None:
        self.server = server
        self.backend = backend
        self.events = events
        self.port = server.addresses[0][1]

    async def connect(self) -> "Client":
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        return Client(reader, writer)

    async def greeted(self, *, login: bool = True) -> "Client":
        """A client after the greeting, EHLO and, unless told otherwise, AUTH."""
        client = await self.connect()
        assert (await client.reply()).startswith("220 ")
        assert (await client.talk("EHLO client.test")).startswith("250-")
        if login:
            assert (await client.talk(plain(USER, PASSWORD))).startswith("235 ")
        return client

    async def until_empty(self) -> None:
        """Wait until no session is left."""
        async with asyncio.timeout(PATIENCE):
            while self.server.connections:
                await asyncio.sleep(0.005)


class Client:
    """Octets to the server, replies from it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    async def reply(self) -> str:
        """The next reply, its lines joined by LF; "" when the server has closed."""
        lines = []
        async with asyncio.timeout(PATIENCE):
            while line := (await self.reader.readline()).decode():
                assert line.endswith("\r\n")
                lines.append(line[:-2])
                if line[3:4] != "-":
                    break
        return "\n".join(lines)

    async def talk(self, line: str | bytes) -> str:
        await self.send((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return await self.reply()

    async def rest(self) -> str:
        """All that the server still says until it closes."""
        async with asyncio.timeout(PATIENCE):
            try:
                return (await self.reader.read()).decode()
            except ConnectionResetError:
                return ""

    async def begin(self, sender: str = "a@example.com", recipient: str = "b@example.net") -> None:
        """A transaction up to and with 354."""
        assert (await self.talk(f"MAIL FROM:<{sender}>")).startswith("250 ")
        assert (await self.talk(f"RCPT TO:<{recipient}>")).startswith("250 ")
        assert (await self.talk("DATA")).startswith("354 ")

    async def start_tls(self) -> None:
        await self.writer.start_tls(certificates().client, server_hostname="localhost")

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()


def plain(username: str, password: str, authorize: str = "") -> str:
    return "AUTH PLAIN " + base64_of(f"{authorize}\0{username}\0{password}")


def base64_of(text: str) -> str:

    return base64.b64encode(text.encode()).decode()


@asynccontextmanager
async def serving(
    *,
    limits: Limits | None = None,
    tls: bool = True,
    backend: MemoryBackend | None = None,
    listener: Listener | None = None,
) -> AsyncIterator[Running]:
    """A server on a free port of loopback; by default it offers STARTTLS and takes passwords in clear."""
    backend = backend or MemoryBackend()
    events: list[dict[str, object]] = []

    def log(facts: Mapping[str, object]) -> None:
        events.append(dict(facts))

    listener = listener or Listener("127.0.0.1", 0, plain_auth=True)
    context = certificates().server if tls else None
    server = Server(backend, [listener], tls=context, limits=limits, log=log)
    await server.start()
    try:
        yield Running(server, backend, events)
    finally:
        await server.close(0)
    assert server.connections == 0
    assert server.budget.left == server.limits.budget


def on_both_loops(story: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Make a test of `story` that runs on asyncio's loop and on uvloop, and leaves no task behind."""

    async def whole(**arguments: Any) -> None:
        await story(**arguments)
        # Transports and streams end in callbacks of their own.
        for _ in range(100):
            left = asyncio.all_tasks() - {asyncio.current_task()}
            if not left:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"tasks left: {left}")

    @functools.wraps(story)
    def test(run: Callable[..., None], **arguments: Any) -> None:
        run(whole(**arguments))

    parameters = [inspect.Parameter("run", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    parameters += inspect.signature(story).parameters.values()
    test.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # pytest reads it
    del test.__wrapped__  # type: ignore[attr-defined]  # or pytest would see the coroutine function
    return pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])(test)


@functools.cache
def certificates() -> Certificates:
    """One for all tests: making keys is slow."""
    return make("localhost", "127.0.0.1")
