"""What the tests of the POP3 server share: an inbox on a real database, a server on loopback, a client that says what it is told."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from mailferry.endpoints.line_server import Listener
from mailferry.endpoints.pop3.limits import Limits
from mailferry.endpoints.pop3.maildrop import Maildrops
from mailferry.endpoints.pop3.server import Server
from mailferry.journal.ids import Ids
from mailferry.resources import accounts, inboxes, projects
from mailferry.resources.inboxes import InboxBook
from mailferry.sandbox.capture import Capture, Sandbox
from mailferry.store.database import Database
from mailferry.store.secrets import Sealer
from tests.conftest import Clock
from tests.endpoints_smtp_support import PATIENCE, certificates
from tests.fakes.captured import MemoryContent

SEALER = Sealer(bytes(32))
CLEAR, STARTTLS, IMPLICIT = range(3)
CLOSED = "(closed)"
LISTENERS = (
    Listener("127.0.0.1", 0, plain_auth=True),
    Listener("127.0.0.1", 0),
    Listener("127.0.0.1", 0, tls=True),
)


class Mailbox:
    """An inbox and the server by which it is read; three listeners: passwords in clear, under STLS, under TLS."""

    def __init__(self, database: Database, clock: Clock, limits: Limits | None) -> None:
        self.database, self.clock = database, clock
        self.content = MemoryContent()
        self.book = InboxBook(database, SEALER, clock)
        self.sandbox = Sandbox(database, self.content, Ids(clock), clock)
        self.events: list[dict[str, object]] = []
        maildrops = Maildrops(database, self.content, self.book)
        self.server = Server(maildrops, LISTENERS, tls=certificates().server, limits=limits, log=self._log)
        self.inbox: inboxes.Inbox
        self.clients: list[Client] = []

    def _log(self, facts: Mapping[str, object]) -> None:
        self.events.append(dict(facts))

    async def furnish(self, **more: Any) -> None:
        def make(connection: Any) -> inboxes.Inbox:
            account = accounts.create_account(connection, "Shop", self.clock())
            project = projects.create(connection, account, "Project", self.clock()).id
            return inboxes.create(connection, SEALER, account, project, "Inbox", self.clock(), **more)

        self.inbox = await self.database.write(make)

    async def catch(self, *messages: bytes) -> list[int]:
        return await self.sandbox.capture([Capture(self.inbox.id, message, "smtp") for message in messages])

    def port(self, which: int = CLEAR) -> int:
        return self.server.addresses[which][1]

    async def connect(self, which: int = CLEAR) -> "Client":
        context = certificates().client if which == IMPLICIT else None
        name = "localhost" if which == IMPLICIT else None
        opened = await asyncio.open_connection("127.0.0.1", self.port(which), ssl=context, server_hostname=name)
        client = Client(*opened)
        self.clients.append(client)
        assert await client.line() == "+OK Mailferry POP3 ready"
        return client

    async def logged_in(self) -> "Client":
        client = await self.connect()
        assert await client.say(f"USER {self.inbox.username}") == "+OK Password?"
        assert (await client.say(f"PASS {self.inbox.password}")).startswith("+OK ")
        return client

    async def until_empty(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.server.connections:
                await asyncio.sleep(0.005)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def line(self) -> str:
        """The next one; CLOSED when the server has closed."""
        async with asyncio.timeout(PATIENCE):
            line = (await self.reader.readline()).decode()
        return line.removesuffix("\r\n") if line else CLOSED

    async def say(self, line: str) -> str:
        self.writer.write(line.encode() + b"\r\n")
        return await self.line()

    async def lines(self) -> list[str]:
        """The rest of an answer of several lines."""
        found = []
        while (line := await self.line()) != ".":
            assert line != CLOSED, "the answer has no end"
            found.append(line)
        return found

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()


@asynccontextmanager
async def mailbox(
    database: Database, clock: Clock, *, limits: Limits | None = None, **more: Any
) -> AsyncIterator[Mailbox]:
    """``more``: columns of the inbox."""
    made = Mailbox(database, clock, limits)
    await made.furnish(**more)
    await made.server.start()
    try:
        yield made
    finally:
        await made.server.close(0)
        for client in made.clients:
            await client.close()
    assert made.server.connections == 0
    assert made.server.reading.used == 0
    assert [event for event in made.events if event["event"] == "pop3_error"] == []
