"""The SMTP conversation of a server (RFC 5321; RFC 1870, 2034, 2920, 3207, 4954, 6152, 6531). It knows no product.

What a command means for users, senders and messages is asked of a `Backend`, whose answers are values: None, or a
`Reply` that goes to the client as it is. The order of commands, the amounts and the line ends are decided here.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace

from mailferry.endpoints.connection import Step
from mailferry.endpoints.sasl import Challenge, Credentials, Digest
from mailferry.endpoints.smtp import replies
from mailferry.endpoints.smtp.backend import Backend, Envelope, Identity, Log, Peer
from mailferry.endpoints.smtp.commands import Auth, Hello, Mail, Plain, Rcpt, parse
from mailferry.endpoints.smtp.conversation import Conversation
from mailferry.endpoints.smtp.host import Host, Terms
from mailferry.endpoints.smtp.incoming import Faulty, Incoming
from mailferry.endpoints.smtp.limits import Limits
from mailferry.endpoints.smtp.lines import Lines
from mailferry.endpoints.smtp.login import Login, Outcome
from mailferry.endpoints.smtp.replies import Reply

__all__ = ["Backend", "Envelope", "Host", "Identity", "Limits", "Log", "Peer", "Reply", "Session", "Terms"]

# A browser that is made to post to our port sends SMTP commands in the body, and behind BDAT (RFC 3030, not offered)
# comes a message: nothing behind such a line is a command.
BLIND = frozenset({b"BDAT", b"CONNECT", b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PUT"})

MAIL_OK = replies.MAIL_OK.wire()
RCPT_OK = replies.RCPT_OK.wire()
DATA_GO = replies.DATA_GO.wire()


class Session(Conversation):
    """One conversation, from the greeting to the end."""

    def __init__(self, host: Host, terms: Terms, number: int) -> None:
        super().__init__(host, number)
        self._terms = terms
        self._backend = host.backend
        self._esmtp = False
        self._lines = Lines(host.limits)
        self._login = Login(host, terms)
        self._envelope: Envelope | None = None
        self._incoming = Incoming(host.limits, host.budget)
        self._mail_refused = False  # what was pipelined behind it is out of sequence by no fault of the client

    def closed(self) -> None:
        self._login.forget()
        self._incoming.release()
        super().closed()

    # One step.

    def step(self) -> Step:
        if self._incoming.arriving:
            return self._receive()
        if self.stopping:
            return self.say(replies.SHUTDOWN)
        login = self._login
        line = self._lines.take(self.buffer, login.in_exchange)
        if line is None:
            return None
        if isinstance(line, Reply):
            return self._refuse_line(line)
        if login.in_exchange:
            return self._proceed(login.answer(line))
        return self._execute(line)

    def _refuse_line(self, reply: Reply) -> Step:
        self._login.break_off()
        self.refuse(reply)
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
        self.refuse(reply)
        if verb in BLIND:
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
        if mechanisms := self._login.offered(self.peer):
            names.append(f"AUTH {' '.join(mechanisms)}")
        return names

    def _starttls(self) -> Step:
        if self.peer.tls:
            return self.refuse(replies.TLS_ACTIVE)
        if self._terms.tls is None:
            return self.refuse(replies.NOT_OFFERED)
        return self._upgrade(self._terms.tls)

    async def _upgrade(self, context: ssl.SSLContext) -> None:
        if not await self.start_tls(context, replies.TLS_GO.wire()):
            self.note("smtp_tls_failed")
            return
        # RFC 3207 section 4.2: nothing that was said in clear is remembered.
        self._forget_transaction()
        self._login.forget()
        self._esmtp = False
        self.peer = replace(self.peer, tls=self.tls_name(), helo="")
        self.note("smtp_tls", tls=self.peer.tls)

    def _mail(self, mail: Mail) -> Step:
        refusal = self._mail_refusal(mail)
        if refusal is None:
            return self._begin(mail)
        self._mail_refused = True
        return self.refuse(refusal)

    def _must_start_tls(self) -> bool:
        return self._terms.tls is not None and not self._login.is_offered(self.peer)

    def _mail_refusal(self, mail: Mail) -> Reply | None:
        if not self.peer.helo:
            return replies.HELLO_FIRST
        if self._terms.require_auth and not self._login.done:
            # Before STARTTLS no AUTH is offered, and a client that has a password would look for its mistake there.
            return replies.TLS_REQUIRED if self._must_start_tls() else replies.AUTH_REQUIRED
        if self._envelope is not None:
            return replies.NESTED_MAIL
        if self.messages >= self.limits.messages:
            return replies.TOO_MANY_MESSAGES
        if mail.size > self.limits.message:
            return replies.TOO_BIG
        if mail.size > self.host.budget.left:
            return replies.NO_MEMORY
        return None

    async def _begin(self, mail: Mail) -> None:
        try:
            reply = await self._backend.mail(self._login.identity, mail.sender, mail.size, self.peer)
        except Exception as error:
            reply = self.error(error)
        accepted = reply is None or reply.code < 300
        if accepted:
            self._envelope = Envelope(mail.sender, mail.size, mail.body8bit, mail.smtputf8)
        self._mail_refused = not accepted
        self.send(MAIL_OK) if reply is None else self.say(reply)

    def _rcpt(self, rcpt: Rcpt) -> Step:
        envelope = self._envelope
        if envelope is None:
            return self._out_of_sequence()
        if not rcpt.ascii and not envelope.smtputf8:
            return self.refuse(replies.NON_ASCII)
        if len(envelope.recipients) >= self.limits.recipients:
            return self.refuse(replies.TOO_MANY_RECIPIENTS)
        return self._add(envelope, rcpt.address)

    async def _add(self, envelope: Envelope, address: str) -> None:
        try:
            reply = await self._backend.rcpt(self._login.identity, envelope, address)
        except Exception as error:
            reply = self.error(error)
        if reply is None or reply.code < 300:
            envelope.recipients.append(address)
        self.send(RCPT_OK) if reply is None else self.say(reply)

    def _data(self) -> Step:
        envelope = self._envelope
        if envelope is not None and envelope.recipients and self._incoming.has_room(envelope.size):
            self._incoming.begin()
            self.begin_receiving()
            self.send(DATA_GO)
            return True
        pipelined = bool(self.buffer)
        if envelope is None:
            self._out_of_sequence()
        else:
            self.refuse(replies.NO_MEMORY if envelope.recipients else replies.NO_RECIPIENTS)
        if pipelined:
            # RFC 2920 3.1: DATA ends a group. What is behind it already is a message sent blindly, and must not be
            # read as commands.
            self.leave()
        return True

    def _rset(self) -> Step:
        self._forget_transaction()
        return self.say(replies.OK)

    def _quit(self) -> Step:
        self.say(replies.BYE)
        self.leave()
        return True

    def _out_of_sequence(self) -> Step:
        if self._mail_refused:
            # RFC 2920: it was sent before the client could know.
            return self.say(replies.MAIL_FIRST)
        return self.refuse(replies.MAIL_FIRST)

    # The message.

    def _receive(self) -> Step:
        found = self._incoming.take(self.buffer)
        if found is None:
            return None
        envelope = self._envelope
        self.receiving = False
        self._forget_transaction()
        self.messages += 1
        if isinstance(found, Faulty):
            return self._refuse_message(found)
        assert envelope is not None  # DATA is refused without one
        return self._hand_over(envelope, found)

    def _refuse_message(self, message: Faulty) -> Step:
        fault = message.fault
        self.note("smtp_message_refused", reason=str(fault.kind), line=fault.line, ambiguous=message.ambiguous)
        self.say(fault.reply(self.limits.text_line))
        if message.ambiguous:
            self.leave()
        return True

    async def _hand_over(self, envelope: Envelope, message: bytes) -> None:
        try:
            reply = await self._backend.data(self._login.identity, envelope, message)
        except Exception as error:
            reply = self.error(error)
        self._incoming.release()
        if reply.code < 300:
            self.mistakes = 0
        self.say(reply)

    # AUTH.

    def _auth(self, auth: Auth) -> Step:
        refusal = self._login.refusal(auth, self.peer, extended=self._esmtp)
        return self._proceed(self._login.begin(auth)) if refusal is None else self.refuse(refusal)

    def _proceed(self, outcome: Outcome) -> Step:
        if isinstance(outcome, Challenge):
            self.send(f"334 {outcome.base64}\r\n".encode())
            return True
        if isinstance(outcome, Credentials | Digest):
            return self._log_in(outcome)
        return self.refuse(outcome) if outcome.code != 535 else self._reject_login(outcome)

    async def _log_in(self, claim: Credentials | Digest) -> None:
        login = self._login
        try:
            identity = await self._identity(claim)
        except Exception as error:
            self.error(error)
            identity = replies.AUTH_UNAVAILABLE
        if isinstance(identity, Reply):
            self._reject_login(identity)
        elif (refusal := login.take(identity)) is not None:
            self.note("smtp_auth_full", mechanism=login.mechanism, code=refusal.code)
            self.say(refusal)
        else:
            self.note("smtp_auth", mechanism=login.mechanism)
            self.say(replies.AUTH_OK)

    async def _identity(self, claim: Credentials | Digest) -> Identity | Reply:
        if isinstance(claim, Digest):
            return await self._backend.challenged(self.peer, claim.username, claim.challenge, claim.digest)
        return await self._backend.authenticate(self.peer, claim.username, claim.password)

    def _reject_login(self, reply: Reply) -> Step:
        failures = self._login.count(reply)
        self.note("smtp_auth_failed", mechanism=self._login.mechanism, code=reply.code, failures=failures)
        self.say(reply)
        if failures >= self.limits.auth_failures:
            # A dialect without enhanced codes has none here either.
            self.say(replace(replies.TOO_MANY_FAILURES, enhanced=reply.enhanced and replies.TOO_MANY_FAILURES.enhanced))
        return True

    # What is used by all.

    def say(self, reply: Reply) -> Step:
        return super().say(self._login.words.get(reply, reply))

    def _forget_transaction(self) -> None:
        self._envelope = None
        self._mail_refused = False


PLAIN: dict[str, Callable[[Session], Step]] = {
    "DATA": Session._data,
    "RSET": Session._rset,
    "QUIT": Session._quit,
    "STARTTLS": Session._starttls,
    "NOOP": lambda session: session.say(replies.OK),
    "HELP": lambda session: session.say(replies.HELP),
    "VRFY": lambda session: session.say(replies.VRFY),
}
