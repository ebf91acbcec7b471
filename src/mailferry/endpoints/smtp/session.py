"""The SMTP conversation of a server (RFC 5321; RFC 1870, 2034, 2920, 3207, 4954, 6152, 6531). It knows no product.

What a command means for users, senders and messages is asked of a `Backend`, whose answers are values: None, or a
`Reply` that goes to the client as it is. The order of commands, the amounts and the line ends are decided here.
"""

from __future__ import annotations

import asyncio
import ssl
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from mailferry.endpoints.smtp import replies
from mailferry.endpoints.smtp.auth import MECHANISMS, Challenge, Credentials, Exchange, Outcome
from mailferry.endpoints.smtp.backend import Backend, Envelope, Gate, Identity, Log, Peer
from mailferry.endpoints.smtp.commands import Auth, Hello, Mail, Plain, Rcpt, parse
from mailferry.endpoints.smtp.connection import Connection, Step
from mailferry.endpoints.smtp.data import CRLF, CRLF_OCTETS, Fault, Kind, Scanner
from mailferry.endpoints.smtp.limits import Budget, Limits
from mailferry.endpoints.smtp.replies import Reply

__all__ = ["Backend", "Envelope", "Gate", "Host", "Identity", "Limits", "Log", "Peer", "Reply", "Session", "Terms"]

# Codes that say that the client is wrong about the protocol (RFC 5321 4.2.2), and 530, 538 for one that will not
# authenticate. A bad address (5.1.x) is a user's mistake: a list of a thousand recipients may hold twenty.
MISTAKES = frozenset({500, 501, 502, 503, 504, 530, 538, 555})
# A browser that is made to post to our port sends SMTP commands in the body: nothing behind such a line is a command.
HTTP = frozenset({b"CONNECT", b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PUT"})

MAIL_OK = replies.MAIL_OK.wire()
RCPT_OK = replies.RCPT_OK.wire()
DATA_GO = replies.DATA_GO.wire()


@dataclass(frozen=True, slots=True)
class Terms:
    """What a listener grants: the context for STARTTLS (None: not offered), AUTH in clear, and mail without AUTH."""

    tls: ssl.SSLContext | None = None
    plain_auth: bool = False
    require_auth: bool = True


class Host(Protocol):
    """The server, as a session needs it."""

    loop: asyncio.AbstractEventLoop
    backend: Backend
    limits: Limits
    budget: Budget
    gate: Gate | None
    log: Log

    def arrived(self, session: Session, ip: str) -> Reply | None:
        """A session has begun: None, or the 421 that it says instead of a greeting."""

    def left(self, session: Session) -> None:
        """The session is over and nothing of it runs."""


class Session(Connection):
    """One conversation, from the greeting to the end."""

    def __init__(self, host: Host, terms: Terms, number: int) -> None:
        super().__init__(host.loop, host.limits)
        self.number = number
        self.peer = Peer("", 0)
        self._host = host
        self._terms = terms
        self._backend = host.backend
        self._esmtp = False
        self._identity: Identity | None = None
        self._authenticated = False
        self._exchange: Exchange | None = None
        self._envelope: Envelope | None = None
        self._scanner: Scanner | None = None
        self._mail_refused = False  # what was pipelined behind it is out of sequence by no fault of the client
        self._skipping: Reply | None = None  # the rest of a line that is too long is being skipped, then this is said
        self._held = 0  # octets taken from the budget
        self._messages = 0
        self._mistakes = 0
        self._auth_failures = 0

    def stop(self) -> None:
        """Say 421 as soon as no message is arriving and no call to the backend runs."""
        self.stopping = True
        self.go_on()

    # The life of the connection.

    def opened(self) -> None:
        ip, port = self.peer_name("peername")
        local, local_port = self.peer_name("sockname")
        self.peer = Peer(ip, port, self.tls_name(), f"{local}:{local_port}")
        refusal = self._host.arrived(self, ip)
        self._note("smtp_connected", tls=self.peer.tls, local=self.peer.local, refused=refusal is not None)
        self._say(refusal or Reply(220, "", f"{self._backend.greeting_name} ESMTP"))

    def expired(self) -> None:
        self._note("smtp_timeout", receiving=self.receiving)
        self._say(replies.TIMEOUT)

    def failed(self, error: Exception) -> None:
        self._error(error)
        self._say(replies.BROKEN)

    def closed(self) -> None:
        self._forget_identity()
        self._hold(0)
        self._host.left(self)
        self._note("smtp_closed", messages=self._messages, mistakes=self._mistakes)

    # One step.

    def step(self) -> Step:
        if self._scanner is not None:
            return self._receive(self._scanner)
        if self.stopping:
            return self._say(replies.SHUTDOWN)
        line = self._take_line()
        if line is None:
            return None
        if isinstance(line, Reply):
            return self._refuse_line(line)
        if self._exchange is not None:
            return self._advance_auth(self._exchange, self._exchange.answer(line))
        return self._execute(line)

    def _take_line(self) -> bytes | Reply | None:
        """The next line without its CRLF, the reply to one that is not acceptable, or None while it is not complete."""
        buffer = self.buffer
        end = buffer.find(CRLF)
        if end < 0:
            return self._judge_unfinished()
        line = bytes(buffer[:end])
        if b"\n" in line or b"\r" in line:
            return _bare(line)
        del buffer[: end + CRLF_OCTETS]
        if self._skipping is not None:
            too_long, self._skipping = self._skipping, None
            return too_long
        if end + CRLF_OCTETS > self.limits.command_line and end + CRLF_OCTETS > self._line_limit(line):
            return self._too_long(line)
        return line if b"\0" not in line else replies.NUL_OCTET

    def _judge_unfinished(self) -> Reply | None:
        buffer = self.buffer
        if b"\n" in buffer or b"\r" in buffer[:-1]:
            return _bare(buffer)
        if self._skipping is not None or len(buffer) > self._line_limit(buffer):
            # Refused when it ends, and as a whole. Only a CR that may belong to its end is kept.
            self._skipping = self._skipping or self._too_long(buffer)
            del buffer[:-1]
        return None

    def _line_limit(self, line: bytes | bytearray) -> int:
        return self.limits.auth_line if self._is_auth(line) else self.limits.command_line

    def _too_long(self, line: bytes | bytearray) -> Reply:
        return replies.LONG_AUTH_LINE if self._is_auth(line) else replies.LONG_LINE

    def _is_auth(self, line: bytes | bytearray) -> bool:
        return self._exchange is not None or line[:5].upper() == b"AUTH "

    def _refuse_line(self, reply: Reply) -> Step:
        self._exchange = None
        self._refuse(reply)
        if reply is replies.BARE_LF or reply is replies.BARE_CR:
            # One side sees one command where the other sees two: what follows cannot be trusted (smuggling).
            self.leave()
        return True

    def _execute(self, line: bytes) -> Step:
        command = parse(line)
        match command:
            case Rcpt():
                return self._rcpt(command)
            case Mail():
                return self._mail(command)
            case Plain():
                return PLAIN[command.verb](self)
            case Hello():
                return self._hello(command)
            case Auth():
                return self._auth(command)
            case Reply():
                return self._refuse_command(command, line)

    def _refuse_command(self, reply: Reply, line: bytes) -> Step:
        verb = line.partition(b" ")[0].upper()
        self._mail_refused = self._mail_refused or verb == b"MAIL"
        self._refuse(reply)
        if verb in HTTP:
            self.leave()
        return True

    # The commands.

    def _hello(self, hello: Hello) -> Step:
        # RFC 5321 4.1.4: EHLO in the middle of a transaction ends it as RSET does.
        self._forget_transaction()
        self._esmtp = hello.extended
        self.peer = replace(self.peer, helo=hello.name)
        lines = [self._backend.greeting_name]
        if hello.extended:
            lines += self._extensions()
        # RFC 2034 section 4: no enhanced codes here.
        self.send("".join(f"250-{line}\r\n" for line in lines[:-1]).encode() + f"250 {lines[-1]}\r\n".encode())
        return True

    def _extensions(self) -> list[str]:
        names = ["PIPELINING", "8BITMIME", f"SIZE {self.limits.message}", "SMTPUTF8", "ENHANCEDSTATUSCODES"]
        if self._terms.tls is not None and not self.peer.tls:
            names.append("STARTTLS")
        if self._terms.require_auth and self._may_auth():
            names.append(f"AUTH {' '.join(MECHANISMS)}")
        return names

    def _starttls(self) -> Step:
        if self.peer.tls:
            return self._refuse(replies.TLS_ACTIVE)
        if self._terms.tls is None:
            return self._refuse(replies.NOT_OFFERED)
        return self._upgrade(self._terms.tls)

    async def _upgrade(self, context: ssl.SSLContext) -> None:
        if not await self.start_tls(context, replies.TLS_GO.wire()):
            self._note("smtp_tls_failed")
            return
        # RFC 3207 section 4.2: nothing that was said in clear is remembered.
        self._forget_transaction()
        self._forget_identity()
        self._esmtp = False
        self.peer = replace(self.peer, tls=self.tls_name(), helo="")
        self._note("smtp_tls", tls=self.peer.tls)

    def _mail(self, mail: Mail) -> Step:
        refusal = self._mail_refusal(mail)
        if refusal is None:
            return self._begin(mail)
        self._mail_refused = True
        return self._refuse(refusal)

    def _mail_refusal(self, mail: Mail) -> Reply | None:
        if not self.peer.helo:
            return replies.HELLO_FIRST
        if self._terms.require_auth and not self._authenticated:
            return replies.AUTH_REQUIRED
        if self._envelope is not None:
            return replies.NESTED_MAIL
        if self._messages >= self.limits.messages:
            return replies.TOO_MANY_MESSAGES
        if mail.size > self.limits.message:
            return replies.TOO_BIG
        if mail.size > self._host.budget.left:
            return replies.NO_MEMORY
        return None

    async def _begin(self, mail: Mail) -> None:
        try:
            reply = await self._backend.mail(self._identity, mail.sender, mail.size, self.peer)
        except Exception as error:
            reply = self._error(error)
        accepted = reply is None or reply.code < 300
        if accepted:
            self._envelope = Envelope(mail.sender, mail.size, mail.body8bit, mail.smtputf8)
        self._mail_refused = not accepted
        self.send(MAIL_OK) if reply is None else self._say(reply)

    def _rcpt(self, rcpt: Rcpt) -> Step:
        envelope = self._envelope
        if envelope is None:
            return self._out_of_sequence()
        if not rcpt.ascii and not envelope.smtputf8:
            return self._refuse(replies.NON_ASCII)
        if len(envelope.recipients) >= self.limits.recipients:
            return self._refuse(replies.TOO_MANY_RECIPIENTS)
        return self._add(envelope, rcpt.address)

    async def _add(self, envelope: Envelope, address: str) -> None:
        try:
            reply = await self._backend.rcpt(self._identity, envelope, address)
        except Exception as error:
            reply = self._error(error)
        if reply is None or reply.code < 300:
            envelope.recipients.append(address)
        self.send(RCPT_OK) if reply is None else self._say(reply)

    def _data(self) -> Step:
        envelope = self._envelope
        if envelope is not None and envelope.recipients and self._host.budget.left > envelope.size:
            self._scanner = Scanner(self.limits.message, self.limits.text_line)
            self.begin_receiving()
            self.send(DATA_GO)
            return True
        pipelined = bool(self.buffer)
        if envelope is None:
            self._out_of_sequence()
        else:
            self._refuse(replies.NO_MEMORY if envelope.recipients else replies.NO_RECIPIENTS)
        if pipelined:
            # RFC 2920 3.1: DATA ends a group. What is behind it already is a message sent blindly, and must not be
            # read as commands.
            self.leave()
        return True

    def _rset(self) -> Step:
        self._forget_transaction()
        return self._say(replies.OK)

    def _quit(self) -> Step:
        self._say(replies.BYE)
        self.leave()
        return True

    def _out_of_sequence(self) -> Step:
        if self._mail_refused:
            # RFC 2920: it was sent before the client could know.
            return self._say(replies.MAIL_FIRST)
        return self._refuse(replies.MAIL_FIRST)

    # The message.

    def _receive(self, scanner: Scanner) -> Step:
        buffer = self.buffer
        if not scanner.scan(buffer):
            if not self._hold(0 if scanner.fault else len(buffer)):
                scanner.drop(buffer, Kind.NO_MEMORY)
                self._hold(0)
            return None
        message = scanner.take(buffer)
        envelope, fault = self._envelope, scanner.fault
        self._scanner, self.receiving = None, False
        self._forget_transaction()
        self._messages += 1
        if fault is None and not self._hold(len(message)):
            fault = Fault(Kind.NO_MEMORY)
        if fault is not None:
            return self._refuse_message(fault, ambiguous=scanner.ambiguous)
        assert envelope is not None  # DATA is refused without one
        return self._hand_over(envelope, message)

    def _refuse_message(self, fault: Fault, *, ambiguous: bool) -> Step:
        self._hold(0)
        self._note("smtp_message_refused", reason=str(fault.kind), line=fault.line, ambiguous=ambiguous)
        self._say(fault.reply(self.limits.text_line))
        if ambiguous:
            # The client, or a relay before it, may think that its message ended earlier and that the rest was commands.
            self.leave()
        return True

    async def _hand_over(self, envelope: Envelope, message: bytes) -> None:
        try:
            reply = await self._backend.data(self._identity, envelope, message)
        except Exception as error:
            reply = self._error(error)
        self._hold(0)
        if reply.code < 300:
            self._mistakes = 0
        self._say(reply)

    def _hold(self, octets: int) -> bool:
        """Take from the budget, or give back, until the session holds `octets`; False when there are not so many."""
        more = octets - self._held
        if more > 0 and not self._host.budget.take(more):
            return False
        if more < 0:
            self._host.budget.give(-more)
        self._held = octets
        return True

    # AUTH.

    def _may_auth(self) -> bool:
        return bool(self.peer.tls) or self._terms.plain_auth

    def _auth(self, auth: Auth) -> Step:
        refusal = self._auth_refusal(auth)
        if refusal is not None:
            return self._refuse(refusal)
        exchange = Exchange(auth.mechanism)
        return self._advance_auth(exchange, exchange.begin(auth.initial))

    def _auth_refusal(self, auth: Auth) -> Reply | None:
        if not self._terms.require_auth:
            return replies.NOT_OFFERED
        if not self._esmtp:
            return replies.HELLO_FIRST
        if self._authenticated:
            return replies.AUTH_TWICE  # and so never within a transaction, which RFC 4954 section 4 forbids
        if not self._may_auth():
            return replies.TLS_REQUIRED if self._terms.tls is not None else replies.ENCRYPTION_REQUIRED
        return None if auth.mechanism in MECHANISMS else replies.AUTH_MECHANISM

    def _advance_auth(self, exchange: Exchange, outcome: Outcome) -> Step:
        self._exchange = None
        if isinstance(outcome, Challenge):
            self._exchange = exchange
            self.send(f"334 {outcome.base64}\r\n".encode())
            return True
        if isinstance(outcome, Credentials):
            return self._log_in(exchange.mechanism, outcome)
        return self._refuse(outcome) if outcome.code != 535 else self._reject_login(exchange.mechanism, outcome)

    async def _log_in(self, mechanism: str, credentials: Credentials) -> None:
        try:
            identity = await self._backend.authenticate(self.peer, credentials.username, credentials.password)
        except Exception as error:
            self._error(error)
            identity = replies.AUTH_UNAVAILABLE
        if isinstance(identity, Reply):
            self._reject_login(mechanism, identity)
            return
        refusal = self._host.gate.enter(identity) if self._host.gate is not None else None
        if refusal is not None:
            self._note("smtp_auth_full", mechanism=mechanism, code=refusal.code)
            self._say(refusal)
            return
        self._identity, self._authenticated = identity, True
        self._note("smtp_auth", mechanism=mechanism)
        self._say(replies.AUTH_OK)

    def _reject_login(self, mechanism: str, reply: Reply) -> Step:
        self._auth_failures += reply.code >= 500
        self._note("smtp_auth_failed", mechanism=mechanism, code=reply.code, failures=self._auth_failures)
        self._say(reply)
        if self._auth_failures >= self.limits.auth_failures:
            self._say(replies.TOO_MANY_FAILURES)
        return True

    # What is used by all.

    def _forget_transaction(self) -> None:
        self._envelope = None
        self._mail_refused = False

    def _forget_identity(self) -> None:
        if self._authenticated and self._host.gate is not None:
            self._host.gate.leave(self._identity)
        self._identity, self._authenticated = None, False

    def _say(self, reply: Reply) -> Step:
        self.send(reply.wire())
        if reply.code == 421:  # RFC 5321 3.8: after 421 the server closes, whoever said it
            self.leave()
        return True

    def _refuse(self, reply: Reply) -> Step:
        """Say `reply`, and count it when the client should have known better."""
        self._say(reply)
        if reply.code in MISTAKES and not reply.enhanced.startswith("5.1."):
            self._mistakes += 1
            self._note("smtp_mistake", code=reply.code, enhanced=reply.enhanced, mistakes=self._mistakes)
            if self._mistakes >= self.limits.bad_commands:
                self._say(replies.TOO_MANY_ERRORS)
        return True

    def _note(self, event: str, **facts: object) -> None:
        self._host.log({"event": event, "session": self.number, "ip": self.peer.ip, **facts})

    def _error(self, error: Exception) -> Reply:
        """Note a bug of the backend or of ours; what the client hears of it."""
        # Where, and never what: messages of exceptions quote parameters, and those of `authenticate` are secrets.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
        self._note("smtp_error", error=type(error).__name__, where=where)
        return replies.LOCAL_ERROR


def _bare(line: bytes | bytearray) -> Reply:
    """The reply to a line with a bare CR or LF: the one that comes first."""
    lf, cr = line.find(b"\n"), line.find(b"\r")
    return replies.BARE_LF if lf >= 0 and not 0 <= cr < lf else replies.BARE_CR


PLAIN: dict[str, Callable[[Session], Step]] = {
    "DATA": Session._data,
    "RSET": Session._rset,
    "QUIT": Session._quit,
    "STARTTLS": Session._starttls,
    "NOOP": lambda session: session._say(replies.OK),
    "HELP": lambda session: session._say(replies.HELP),
    "VRFY": lambda session: session._say(replies.VRFY),
}
