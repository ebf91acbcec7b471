"""A mail host that answers as it is told and keeps what it is sent.

    async with FakeMX() as mx:
        mx.answers["RCPT"] = "550 5.1.1 unknown"
        ...                       # connect to mx.ip, mx.port
        mx.transactions[0].content

`answers` is by step: CONNECT, EHLO, HELO, STARTTLS, AUTH, MAIL, RCPT, DATA, BODY (as soon as content comes), DOT, RSET,
NOOP, QUIT. A value is a reply (lines joined by CRLF are sent as they stand; two replies are two lines), DROP (the
connection is cut instead of a reply), a list of such (used up one by one), or a function of the command's argument; None
and an empty list mean the usual answer. `delays` (seconds, by step) come before the answer. All may be changed while it
runs.
"""

import asyncio
import base64
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

DROP = "drop"
Scripted = str | None | list[str] | Callable[[str], str | None]
EXTENSIONS = ("PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")


@dataclass(frozen=True, slots=True)
class Transaction:
    sender: str
    sender_options: tuple[str, ...]  # "SIZE=5", "BODY=8BITMIME"
    recipients: tuple[str, ...]
    content: bytes  # without the dots that travelling adds
    session: int  # the connection's number, from 1
    tls: str  # "TLSv1.3", "" in plain text
    helo: str


class FakeMX:
    def __init__(
        self,
        *,
        ip: str = "127.0.0.1",
        port: int = 0,
        extensions: Sequence[str] = EXTENSIONS,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        broken_tls: Literal["", "garbage", "close", "after"] = "",
        users: dict[str, str] | None = None,
        greylist: bool = False,
    ) -> None:
        self.ip, self.port = ip, port
        self.extensions = list(extensions)
        self.answers: dict[str, Scripted] = {}
        self.delays: dict[str, float] = {}
        self.users = users or {}
        self.greylist = greylist
        self.loses_pipelined = False  # reads the first command of a packet and throws the rest away
        self.broken_tls = broken_tls  # "after": the handshake succeeds, then the connection is cut
        self.transactions: list[Transaction] = []
        self.commands: list[str] = []
        self.violations: list[str] = []  # commands sent without waiting where that is not allowed (RFC 2920)
        self.contents_for_nobody: list[bytes] = []
        self.sessions = 0
        self.open = 0
        self.most_open = 0
        self._context = tls
        self._implicit = implicit_tls
        self._seen: set[tuple[str, str]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        context = self._context if self._implicit else None
        self._server = await asyncio.start_server(self._serve, self.ip, self.port, ssl=context, limit=1 << 27)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Closes the port and cuts all connections."""
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def cut(self) -> None:
        """Cuts all connections; new ones are taken."""
        for writer in self._writers:
            writer.transport.abort()

    def say(self, text: str) -> None:
        """Tells every connected client something that it did not ask for."""
        for writer in self._writers:
            writer.write(text.encode() + b"\r\n")

    async def received(self, count: int) -> list[Transaction]:
        """Waits until `count` transactions have been completed."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: len(self.transactions) >= count)
        return self.transactions

    @property
    def offers_tls(self) -> bool:
        return bool(self._context or self.broken_tls) and not self._implicit

    def script(self, step: str, argument: str) -> str | None:
        """What was told to be said at this step, if anything was."""
        scripted = self.answers.get(step)
        if isinstance(scripted, list):
            return scripted.pop(0) if scripted else None
        return scripted(argument) if callable(scripted) else scripted

    def is_greylisted(self, sender: str, recipient: str) -> bool:
        known = (sender, recipient) in self._seen
        self._seen.add((sender, recipient))
        return self.greylist and not known

    async def add(self, transaction: Transaction) -> None:
        async with self._changed:
            self.transactions.append(transaction)
            self._changed.notify_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.sessions += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        session = _Session(self, reader, writer, self.sessions)
        try:
            await session.run(self._context)
        except (_DroppedError, OSError, EOFError, asyncio.CancelledError):  # cancelled by stop() in a delay
            writer.transport.abort()
        finally:
            self.open -= 1
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.close()


class _DroppedError(Exception):
    pass


class _Session:
    def __init__(self, server: FakeMX, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self._server = server
        self._reader, self._writer = reader, writer
        self._number = number
        self._buffer = b""
        self._helo = ""
        self._tls = self._version()
        self._sender: str | None = None
        self._sender_options: tuple[str, ...] = ()
        self._recipients: list[str] = []

    async def run(self, context: ssl.SSLContext | None) -> None:
        await self._reply("CONNECT", "", "220 fake.test ESMTP")
        while True:
            line = await self._line()
            self._server.commands.append(line)
            verb, _, argument = line.partition(" ")
            verb = verb.upper()
            self._check_pipelining(verb, line)
            if verb == "QUIT":
                await self._reply("QUIT", "", "221 2.0.0 bye")
                return
            if verb == "STARTTLS":
                await self._starttls(context)
            elif verb == "AUTH":
                await self._auth(argument)
            elif verb == "DATA":
                await self._data()
            else:
                await self._simple(verb, argument)

    async def _simple(self, verb: str, argument: str) -> None:
        usual = {
            "EHLO": self._ehlo,
            "HELO": lambda _: "250 fake.test",
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "RSET": lambda _: "250 2.0.0 reset",
            "NOOP": lambda _: "250 2.0.0 ok",
        }.get(verb, lambda _: "500 5.5.2 what?")
        said = await self._reply(verb, argument, usual(argument))
        if verb == "MAIL" and said.startswith("2"):
            self._sender, self._sender_options = _path(argument)
        elif verb == "RCPT" and said.startswith("2"):
            self._recipients.append(_path(argument)[0])
        elif verb in ("EHLO", "HELO") and said.startswith("2"):
            self._helo = argument
            self._clear()
        elif verb == "RSET":
            self._clear()

    def _ehlo(self, _: str) -> str:
        lines = ["fake.test greets you", *self._server.extensions]
        if self._server.offers_tls and not self._tls:
            lines.append("STARTTLS")
        if self._server.users:
            lines.append("AUTH PLAIN LOGIN")
        return "\r\n".join([f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"])

    def _mail(self, _: str) -> str:
        return "250 2.1.0 ok" if self._sender is None else "503 5.5.1 nested MAIL"

    def _rcpt(self, argument: str) -> str:
        if self._sender is None:
            return "503 5.5.1 MAIL first"
        if self._server.is_greylisted(self._sender, _path(argument)[0]):
            return "451 4.7.1 greylisted, come back later"
        return "250 2.1.5 ok"

    async def _data(self) -> None:
        said = await self._reply("DATA", "", "354 go on" if self._recipients else "503 5.5.1 RCPT first")
        if not said.startswith("354"):
            return
        content = await self._content()
        if self._recipients:
            said = await self._reply("DOT", "", "250 2.0.0 taken")
        else:
            self._server.contents_for_nobody.append(content)
            said = await self._reply("", "", "554 5.5.1 no valid recipients")
        if said.startswith("2"):
            await self._server.add(
                Transaction(
                    self._sender or "",
                    self._sender_options,
                    tuple(self._recipients),
                    content,
                    self._number,
                    self._tls,
                    self._helo,
                )
            )
        self._clear()

    async def _content(self) -> bytes:
        while not (self._buffer.startswith(b".\r\n") or b"\r\n.\r\n" in self._buffer):
            await self._more()
            said = self._server.script("BODY", "")
            if said == DROP:
                raise _DroppedError
            if said:
                self._writer.write(said.encode() + b"\r\n")
        if self._buffer.startswith(b".\r\n"):
            content, self._buffer = b"", self._buffer[3:]
        else:
            end = self._buffer.index(b"\r\n.\r\n")
            content, self._buffer = self._buffer[: end + 2], self._buffer[end + 5 :]
        # RFC 5321 4.5.2; a line ends with CRLF and nothing else.
        return b"\r\n".join(line.removeprefix(b".") for line in content.split(b"\r\n"))

    async def _starttls(self, context: ssl.SSLContext | None) -> None:
        said = await self._reply("STARTTLS", "", "220 2.0.0 go on")
        if not said.startswith("220"):
            return
        if self._server.broken_tls == "garbage":
            await self._reader.read(1 << 16)  # the client's first words, so that ours are taken for an answer to them
            self._writer.write(b"this is no handshake\r\n")
            await self._writer.drain()
        if self._server.broken_tls in ("garbage", "close"):
            raise _DroppedError
        assert context is not None
        self._buffer = b""
        await self._writer.start_tls(context)
        self._tls, self._helo = self._version(), ""
        self._clear()
        if self._server.broken_tls == "after":
            raise _DroppedError

    async def _auth(self, argument: str) -> None:
        mechanism, _, initial = argument.partition(" ")
        if mechanism == "PLAIN":
            _, username, password = base64.b64decode(initial).decode().split("\0")
        else:
            username, password = [await self._ask(prompt) for prompt in (b"Username:", b"Password:")]
        right = self._server.users.get(username) == password
        await self._reply("AUTH", username, "235 2.7.0 welcome" if right else "535 5.7.8 wrong")

    async def _ask(self, prompt: bytes) -> str:
        self._writer.write(b"334 " + base64.b64encode(prompt) + b"\r\n")
        return base64.b64decode(await self._line()).decode()

    async def _reply(self, step: str, argument: str, usual: str) -> str:
        if delay := self._server.delays.get(step):
            await asyncio.sleep(delay)
        said = self._server.script(step, argument)
        if said == DROP:
            raise _DroppedError
        text = usual if said is None else said
        self._writer.write(text.encode("utf-8", "surrogateescape") + b"\r\n")
        await self._writer.drain()
        return text

    async def _line(self) -> str:
        while b"\n" not in self._buffer:
            await self._more()
        line, _, self._buffer = self._buffer.partition(b"\n")
        if self._server.loses_pipelined:
            self._buffer = b""
        return line.rstrip(b"\r").decode("utf-8", "replace")

    async def _more(self) -> None:
        data = await self._reader.read(1 << 18)
        if not data:
            raise EOFError
        self._buffer += data

    def _check_pipelining(self, verb: str, line: str) -> None:
        # RFC 2920 3.1: some commands must come last in a group, whatever the host offers.
        last = verb in ("EHLO", "HELO", "STARTTLS", "AUTH", "DATA", "QUIT", "NOOP")
        if self._buffer and (last or "PIPELINING" not in self._server.extensions):
            self._server.violations.append(line)

    def _version(self) -> str:
        tls = self._writer.get_extra_info("ssl_object")
        return (tls.version() or "") if tls else ""

    def _clear(self) -> None:
        self._sender, self._sender_options, self._recipients = None, (), []


def _path(argument: str) -> tuple[str, tuple[str, ...]]:
    """'FROM:<a@b> SIZE=5' is 'a@b' and its options."""
    start, end = argument.index("<"), argument.rindex(">")
    return argument[start + 1 : end], tuple(argument[end + 1 :].split())
