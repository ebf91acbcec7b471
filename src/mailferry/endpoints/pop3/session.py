"""The POP3 conversation (RFC 1939) with CAPA (RFC 2449), STLS (RFC 2595), AUTH (RFC 5034) and response codes (RFC 3206).

It has two states: before the login, and after it, when a maildrop is open. What is marked as deleted goes at QUIT alone.
"""

from __future__ import annotations

import asyncio
import ssl
import traceback
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from mailferry.endpoints.bodies import BodyBudget, Share
from mailferry.endpoints.connection import Connection, Step
from mailferry.endpoints.connection_limits import Gate
from mailferry.endpoints.line_server import Crowd, Log
from mailferry.endpoints.pop3 import replies
from mailferry.endpoints.pop3.limits import PATIENCE, Limits
from mailferry.endpoints.pop3.maildrop import Maildrop, Maildrops
from mailferry.endpoints.sasl import PASSWORD_MECHANISMS, Challenge, Credentials, Exchange, Failure, Outcome
from mailferry.net.smtp_wire import pieces, stuff
from mailferry.resources.inboxes import Inbox

FAILURES = {
    Failure.CANCELLED: replies.CANCELLED,
    Failure.NOT_BASE64: replies.NOT_BASE64,
    Failure.MALFORMED: replies.MALFORMED,
    Failure.PROXY: replies.PROXY,
}
#: Lines of a listing that leave together.
LINES = 2_000
#: A message's number, or how many lines of it: nobody has more digits.
MAX_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Terms:
    """What a listener grants: the context for STLS (None: not offered), and passwords in clear."""

    tls: ssl.SSLContext | None = None
    plain_auth: bool = False


class Host(Protocol):
    """The server, as a session needs it."""

    loop: asyncio.AbstractEventLoop
    limits: Limits
    maildrops: Maildrops
    reading: BodyBudget
    gate: Gate
    log: Log

    def arrived(self, session: Connection, ip: str) -> Crowd | None: ...

    def left(self, session: Connection) -> None: ...


class Session(Connection):
    """One conversation, from the greeting to the end."""

    limits: Limits

    def __init__(self, host: Host, terms: Terms, number: int) -> None:
        super().__init__(host.loop, host.limits)
        self.number = number
        self._host = host
        self._terms = terms
        self._maildrops = host.maildrops
        self._ip = self._tls = ""
        self._username = ""
        self._exchange: Exchange | None = None
        self._inbox: Inbox | None = None  # it is locked, and counted, by this session
        self._maildrop: Maildrop | None = None
        self._midway = False  # part of a longer answer is sent
        self._failures = self._mistakes = 0

    # The life of the connection.

    def opened(self) -> None:
        self._ip, _ = self.peer_name("peername")
        self._tls = self.tls_name()
        crowd = self._host.arrived(self, self._ip)
        self._note("pop3_connected", tls=self._tls, refused=crowd is not None)
        if crowd is None:
            self.send(replies.GREETING)
        else:
            self._end(replies.TOO_MANY)

    def stop(self) -> None:
        self.stopping = True
        self.go_on()

    def expired(self) -> None:
        """RFC 1939 section 3: without a word, and nothing is deleted."""
        self._note("pop3_timeout")
        self.leave()

    def failed(self, error: Exception) -> None:
        self._error(error)

    def closed(self) -> None:
        self._release()
        self._host.left(self)
        self._note("pop3_closed", mistakes=self._mistakes)

    # One step.

    def step(self) -> Step:
        if self.stopping:
            return self._end(replies.SHUTDOWN)
        line = self._line()
        if not isinstance(line, bytes):
            return line
        if self._exchange is not None:
            return self._proceed(self._exchange.answer(line))
        verb, _, argument = line.partition(b" ")
        command = COMMANDS.get(verb.upper())
        if command is None:
            return self._refuse(replies.UNKNOWN)
        if command.after_login is not None and command.after_login is not (self._maildrop is not None):
            return self._refuse(replies.LOGIN_FIRST if command.after_login else replies.LOGGED_IN)
        return command.run(self, argument)

    def _line(self) -> bytes | Step:
        """The next one, without its end, or the step that stands for one that cannot be taken.

        A bare LF ends it as well: people type it, and there is nobody between whom a line could mean two things.
        """
        longest = self._longest()
        end = self.buffer.find(b"\n", 0, longest)
        if end < 0:
            return None if len(self.buffer) < longest else self._end(replies.LONG_LINE)
        line = bytes(self.buffer[:end]).removesuffix(b"\r")
        del self.buffer[: end + 1]
        return line if b"\0" not in line else self._refuse(replies.NUL_OCTET)

    def _longest(self) -> int:
        in_auth = self._exchange is not None or self.buffer[:5].upper() == b"AUTH "
        return self.limits.auth_line if in_auth else self.limits.command_line

    # Before the login.

    def _capa(self, argument: bytes) -> Step:
        lines = ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING"]
        if self._may_say_password():
            lines += ["USER", f"SASL {' '.join(PASSWORD_MECHANISMS)}"]
        if self._terms.tls is not None and not self._tls and self._maildrop is None:
            lines.append("STLS")
        return self._say("".join(f"{line}\r\n" for line in ["+OK", *lines, "."]).encode())

    def _stls(self, argument: bytes) -> Step:
        if self._tls:
            return self._refuse(replies.TLS_ACTIVE)
        return self._refuse(replies.TLS_NOT_OFFERED) if self._terms.tls is None else self._upgrade(self._terms.tls)

    async def _upgrade(self, context: ssl.SSLContext) -> None:
        if not await self.start_tls(context, replies.TLS_GO):
            self._note("pop3_tls_failed")
            return
        # RFC 2595 section 4: nothing that was said in clear is remembered.
        self._username, self._tls = "", self.tls_name()

    def _user(self, argument: bytes) -> Step:
        if refusal := self._password_refusal():
            return self._refuse(refusal)
        if not argument:
            return self._refuse(replies.ARGUMENTS)
        self._username = argument.decode("utf-8", "replace")
        return self._say(replies.PASSWORD_NEXT)  # whether there is such a user is not told

    def _pass(self, argument: bytes) -> Step:
        if refusal := self._password_refusal():
            return self._refuse(refusal)
        if not self._username:
            return self._refuse(replies.USER_FIRST)
        # RFC 1939 section 7: a password may hold spaces.
        username, self._username = self._username, ""
        return self._call(self._log_in(Credentials(username, argument.decode("utf-8", "replace"))))

    def _auth(self, argument: bytes) -> Step:
        if refusal := self._password_refusal():
            return self._refuse(refusal)
        mechanism, _, initial = argument.decode("ascii", "replace").partition(" ")
        if not mechanism:  # older than RFC 5034, and asked by mail programs
            return self._say("".join(f"{line}\r\n" for line in ["+OK", *PASSWORD_MECHANISMS, "."]).encode())
        if mechanism.upper() not in PASSWORD_MECHANISMS:
            return self._refuse(replies.MECHANISM)
        self._exchange = Exchange(mechanism.upper())
        return self._proceed(self._exchange.begin(initial or None))

    def _proceed(self, outcome: Outcome) -> Step:
        if isinstance(outcome, Challenge):
            return self._say(f"+ {outcome.base64}\r\n".encode())
        self._exchange = None
        if isinstance(outcome, Credentials):
            return self._call(self._log_in(outcome))
        assert isinstance(outcome, Failure), "no mechanism with a challenge of ours is offered"
        return self._refuse(FAILURES[outcome])

    async def _log_in(self, claim: Credentials) -> None:
        inbox = await self._maildrops.authenticate(claim.username, claim.password)
        if inbox is None:
            self._failures += 1
            self._note("pop3_auth_failed", failures=self._failures)
            self._say(replies.BAD_LOGIN)
            if self._failures >= self.limits.auth_failures:
                self.leave()
            return
        if not self._host.gate.enter(inbox.account_id):
            self._say(replies.TOO_MANY)
            return
        if not self._maildrops.lock(inbox):
            self._host.gate.leave(inbox.account_id)
            self._say(replies.IN_USE)
            return
        self._inbox = inbox
        try:
            self._maildrop = await self._maildrops.open(inbox)
        finally:
            if self._maildrop is None:
                self._release()
        self._note("pop3_auth", inbox_id=inbox.id)
        self._say(b"+OK %d messages (%d octets)\r\n" % (self._maildrop.count, self._maildrop.octets))

    def _release(self) -> None:
        if self._inbox is not None:
            self._maildrops.unlock(self._inbox)
            self._host.gate.leave(self._inbox.account_id)
            self._inbox = None

    def _may_say_password(self) -> bool:
        return bool(self._tls) or self._terms.plain_auth

    def _password_refusal(self) -> bytes:
        """Why no password may be said now; nothing when it may."""
        if self._may_say_password():
            return b""
        return replies.TLS_FIRST if self._terms.tls is not None else replies.NO_PASSWORDS

    # After it.

    def _stat(self, argument: bytes) -> Step:
        return self._say(b"+OK %d %d\r\n" % (self._open.count, self._open.octets))

    def _list(self, argument: bytes) -> Step:
        return self._listing(argument, self._open.size)

    def _uidl(self, argument: bytes) -> Step:
        return self._listing(argument, self._open.id)

    def _listing(self, argument: bytes, shown: Callable[[int], int]) -> Step:
        if argument:
            number = self._number(argument)
            return self._say(b"+OK %d %d\r\n" % (number, shown(number))) if number else self._refuse(replies.NO_MESSAGE)
        return self._call(self._stream(replies.OK, _listed(self._open, shown)))

    def _retr(self, argument: bytes) -> Step:
        number = self._number(argument)
        return self._call(self._send_message(number)) if number else self._refuse(replies.NO_MESSAGE)

    def _top(self, argument: bytes) -> Step:
        which, _, lines = argument.partition(b" ")
        if not _is_number(lines):
            return self._refuse(replies.ARGUMENTS)
        number = self._number(which)
        return self._call(self._send_message(number, int(lines))) if number else self._refuse(replies.NO_MESSAGE)

    async def _send_message(self, number: int, lines: int | None = None) -> None:
        """All of it, or its header and so many lines; the budget is held until the client has read it."""
        maildrop = self._open
        if not await self._maildrops.may_still(maildrop.inbox):
            self._end(replies.LOGIN_ENDED)
            return
        with Share(self._host.reading, PATIENCE) as share:
            if not await share.take(min(maildrop.size(number), share.largest)):
                self._say(replies.BUSY)
                return
            if lines is None:
                found = await self._maildrops.message(maildrop, number)
            else:
                found = await self._maildrops.top(maildrop, number, lines)
            if found is None:
                self._say(replies.GONE)
            else:
                await self._stream(b"+OK %d octets\r\n" % len(found), stuff(pieces([found])))

    def _dele(self, argument: bytes) -> Step:
        number = self._number(argument)
        if not number:
            return self._refuse(replies.NO_MESSAGE)
        self._open.delete(number)
        return self._say(replies.OK)

    def _rset(self, argument: bytes) -> Step:
        self._open.undelete()
        return self._say(replies.OK)

    def _noop(self, argument: bytes) -> Step:
        return self._say(replies.OK)

    def _quit(self, argument: bytes) -> Step:
        if self._maildrop is None or not self._maildrop.deleted:
            return self._end(replies.BYE)
        return self._update(self._maildrop)

    async def _update(self, maildrop: Maildrop) -> None:
        """RFC 1939 section 6: what is not removed now is told."""
        try:
            if not await self._maildrops.may_still(maildrop.inbox):
                self._end(replies.LOGIN_ENDED)
                return
            await self._maildrops.remove_deleted(maildrop)
        except Exception as error:
            self._note_error(error)
            self._end(replies.NOT_REMOVED)
            return
        self._note("pop3_deleted", inbox_id=maildrop.inbox.id, messages=len(maildrop.deleted))
        self._end(replies.BYE)

    @property
    def _open(self) -> Maildrop:
        assert self._maildrop is not None  # the table of commands sees to it
        return self._maildrop

    def _number(self, argument: bytes) -> int:
        """Of a message that there is; else 0."""
        number = int(argument) if _is_number(argument) else 0
        return number if self._open.has(number) else 0

    # What is used by all.

    async def _call(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            self._error(error)

    async def _stream(self, first: bytes, parts: Iterable[bytes]) -> None:
        self.begin_sending()
        self._midway = True
        self.send(first)
        for part in parts:
            self.send(part)
            await self.drain()
        self._midway = False
        self.send(replies.END)

    def _say(self, reply: bytes) -> Step:
        self.send(reply)
        return True

    def _end(self, reply: bytes) -> Step:
        self.send(reply)
        self.leave()
        return True

    def _refuse(self, reply: bytes) -> Step:
        self._mistakes += 1
        return self._say(reply) if self._mistakes < self.limits.bad_commands else self._end(replies.TOO_MANY_ERRORS)

    def _error(self, error: Exception) -> None:
        """The database is away, or a bug of ours. In the middle of an answer nothing can be said that would be heard."""
        self._note_error(error)
        if self._midway:
            self.abort()
        else:
            self._say(replies.LOCAL_ERROR)

    def _note(self, event: str, **facts: object) -> None:
        self._host.log({"event": event, "session": self.number, "ip": self._ip, **facts})

    def _note_error(self, error: Exception) -> None:
        # Where, and never what: messages of exceptions quote parameters, and those of a login are secrets.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
        self._note("pop3_error", error=type(error).__name__, where=where)


def _is_number(argument: bytes) -> bool:
    return argument.isdigit() and len(argument) <= MAX_DIGITS


def _listed(maildrop: Maildrop, shown: Callable[[int], int]) -> Iterator[bytes]:
    numbers = maildrop.numbers()
    while some := list(islice(numbers, LINES)):
        yield b"".join(b"%d %d\r\n" % (number, shown(number)) for number in some)


@dataclass(frozen=True, slots=True)
class Command:
    run: Callable[[Session, bytes], Step]
    #: Whether it belongs behind the login or before it; None: it may come always.
    after_login: bool | None = None


COMMANDS: dict[bytes, Command] = {
    b"CAPA": Command(Session._capa),
    b"QUIT": Command(Session._quit),
    b"STLS": Command(Session._stls, False),
    b"USER": Command(Session._user, False),
    b"PASS": Command(Session._pass, False),
    b"AUTH": Command(Session._auth, False),
    b"STAT": Command(Session._stat, True),
    b"LIST": Command(Session._list, True),
    b"UIDL": Command(Session._uidl, True),
    b"RETR": Command(Session._retr, True),
    b"TOP": Command(Session._top, True),
    b"DELE": Command(Session._dele, True),
    b"RSET": Command(Session._rset, True),
    b"NOOP": Command(Session._noop, True),
}
