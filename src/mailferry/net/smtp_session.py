"""An SMTP client's connection made ready: greeting, EHLO, STARTTLS (RFC 3207), AUTH (RFC 4954)."""

import asyncio
import re
import ssl
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from mailferry.mail.reply import Answer, clean
from mailferry.net.smtp_habits import Habits
from mailferry.net.smtp_wire import Fault, Reply, Wire, reason

TlsMode = Literal["none", "opportunistic", "required", "implicit"]
"""opportunistic and required: by STARTTLS. implicit: from the first octet. The context says what is verified."""

_ENHANCED = re.compile(rb"([245])\.\d{1,3}\.\d{1,3}(?:\s+|$)")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for each reply. RFC 5321 4.5.3.2 wants minutes because of the hosts of its day.

    To give up before the message is sent costs a retry, so those waits are shorter than the RFC's: a host that hangs
    holds one of the few connections that its destination may have. To give up after the final dot may deliver twice
    (RFC 1047): that wait is the RFC's.
    """

    connect: float = 30  # what Postfix waits; TCP has sent its SYN five times by then
    greeting: float = 120  # RFC: 5 minutes. Hosts that let spammers run into a pause make it 30 s at most
    hello: float = 120
    tls: float = 30
    auth: float = 60
    mail: float = 120  # RFC: 5 minutes. The host's look-ups for SPF happen here
    rcpt: float = 120  # RFC: 5 minutes. Call-outs and greylisting
    data: float = 120  # as the RFC
    block: float = 180  # as the RFC
    dot: float = 600  # as the RFC
    quit: float = 2  # for the goodbye, and once more for TLS's: a program that ends waits for both


@dataclass(frozen=True, slots=True)
class Credentials:
    """What AUTH proves who we are with."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approach:
    """How a connection is made: our name in EHLO, the address to leave from, TLS, AUTH; and the transport's word."""

    helo: str
    transport: str = "mx"
    tls: TlsMode = "opportunistic"
    context: ssl.SSLContext | None = None  # needed unless `tls` is "none"
    credentials: Credentials | None = None
    local_ip: str = ""
    timeouts: Timeouts = Timeouts()


def opportunistic_context() -> ssl.SSLContext:
    """TLS against those who only listen (RFC 7435): no certificate is checked, for what else is there is plain text."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Session:
    """A connection to a host, what the host can do, and how its replies become Answers."""

    def __init__(self, host: str, ip: str, port: int, approach: Approach, habits: Habits) -> None:
        self.host, self.ip, self.port = host, ip, port
        self.tls = ""
        # What the host can take; `size` is the largest message in octets, 0 when it did not say.
        self.eight_bit, self.utf8, self.size = False, False, 0
        self._approach = approach
        self._timeouts = approach.timeouts
        self._habits = habits
        self._wire = Wire(on_surplus=lambda: habits.surplus.note(ip))
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._extensions: dict[bytes, bytes] = {}
        self._local_ip = ""

    @property
    def usable(self) -> bool:
        """Whether the connection may carry another transaction."""
        return self._wire.fault is None

    async def open(self) -> Answer | None:
        """Makes the connection ready; an Answer is the step that failed."""
        return (
            await self._dial()
            or await self._greeting()
            or await self._hello()
            or await self._secure()
            or await self._authenticate()
        )

    async def quit(self) -> None:
        """Says goodbye and closes (RFC 5321 4.1.1.10). Takes a few seconds at most."""
        if self.usable:
            await self._command("QUIT", self._timeouts.quit)
        await self._wire.close(self._timeouts.quit)

    def leave(self) -> None:
        """Says goodbye without waiting for the answer."""
        self._wire.write(b"QUIT\r\n", replies=1)
        self._wire.leave()

    def refused(self, answer: Answer) -> Answer:
        """An Answer that was found before this host was asked, with the facts of the connection."""
        return self._answer(answer.code, answer.enhanced, answer.text, answer.stage or "prepare")

    def abort(self) -> None:
        """Cuts the connection: the host throws away what it was told half-way."""
        self._wire.fail(Fault("4.4.2", "connection closed by us"))

    # The steps.

    async def _dial(self) -> Answer | None:
        approach = self._approach
        local = (approach.local_ip, 0) if approach.local_ip else None
        try:
            async with asyncio.timeout(self._timeouts.connect):
                await self._loop.create_connection(lambda: self._wire, self.ip, self.port, local_addr=local)
        except TimeoutError:
            return self._unreached(f"no answer within {self._timeouts.connect:g} s")
        except OSError as error:
            return self._unreached(reason(error))
        self._local_ip = self._wire.local_ip()
        return await self._handshake() if approach.tls == "implicit" else None

    def _unreached(self, text: str) -> Answer:
        fault = Fault("4.4.1", text)
        self._wire.fail(fault)
        return self._failed("connect", fault)

    async def _greeting(self) -> Answer | None:
        reply = await self._reply(self._timeouts.greeting)
        return None if _positive(reply) else self._refusal(reply, "connect")

    async def _hello(self) -> Answer | None:
        reply = await self._command(f"EHLO {self._approach.helo}", self._timeouts.hello)
        lines = reply.lines[1:] if reply else ()
        if reply is not None and reply.code >= 500:
            # RFC 5321 3.2: a host that knows no EHLO may know HELO; it has no extensions then.
            reply = await self._command(f"HELO {self._approach.helo}", self._timeouts.hello)
            lines = ()
        self._learn(_extensions(lines))
        return None if _positive(reply) else self._refusal(reply, "ehlo")

    def _learn(self, extensions: dict[bytes, bytes]) -> None:
        self._extensions = extensions
        self.eight_bit = b"8BITMIME" in extensions
        # RFC 6531 3.1: SMTPUTF8 stands beside 8BITMIME; a host without the latter could not take the message.
        self.utf8 = b"SMTPUTF8" in extensions and self.eight_bit
        limit = extensions.get(b"SIZE", b"")
        # RFC 1870 4: twenty digits at most.
        self.size = int(limit) if limit.isdigit() and len(limit) <= 20 else 0

    async def _secure(self) -> Answer | None:
        """STARTTLS where the approach asks for it and the host offers it."""
        mode = self._approach.tls
        if mode in ("none", "implicit"):
            return None
        must = mode == "required"
        if b"STARTTLS" not in self._extensions:
            return self._failed("tls", Fault("4.7.5", "the host offers no STARTTLS")) if must else None
        reply = await self._command("STARTTLS", self._timeouts.hello)
        if reply is None or (must and reply.code != 220):
            return _unsafe(self._refusal(reply, "tls"))
        if reply.code != 220:
            return None  # RFC 3207 4: whether to go on in plain text is ours to decide
        failure = await self._handshake()
        if failure is not None:
            return failure
        # RFC 3207 4.2: what was said before is forgotten. In TLS 1.3 a host may find fault after our side of the
        # handshake is done, so a connection that is lost at this point counts as a failed handshake.
        failure = await self._hello()
        return _unsafe(failure) if failure and not failure.code else failure

    async def _handshake(self) -> Answer | None:
        assert self._approach.context is not None, "TLS needs a context"
        trouble = await self._wire.start_tls(self._approach.context, self.host, self._timeouts.tls)
        self.tls = self._wire.tls_version()
        return self._failed("tls", Fault("4.7.5", trouble.text)) if trouble else None

    async def _authenticate(self) -> Answer | None:
        credentials = self._approach.credentials
        if credentials is None:
            return None
        if not self.tls and self._approach.tls != "none":
            # Whoever sits on the way can hide STARTTLS; the password is not for them. "none" is the operator's word.
            return self._failed("auth", Fault("4.7.5", "no TLS, and the password is not sent without it"))
        username, password = credentials.username.encode(), credentials.password.encode()
        mechanisms = self._extensions.get(b"AUTH", b"").split()
        if b"PLAIN" in mechanisms:  # RFC 4616
            lines = [b"AUTH PLAIN " + b64encode(b"\0" + username + b"\0" + password)]
        elif b"LOGIN" in mechanisms:
            lines = [b"AUTH LOGIN", b64encode(username), b64encode(password)]
        else:
            return self._failed("auth", Fault("4.7.0", "the host offers neither AUTH PLAIN nor AUTH LOGIN"))
        reply: Reply | None = None
        for line in lines:
            reply = await self._command(line.decode(), self._timeouts.auth)
            if reply is None or reply.code != 334:
                break
        return None if _positive(reply) else self._refusal(reply, "auth")

    # Replies, and what they become.

    async def _command(self, line: str, seconds: float) -> Reply | None:
        self._wire.write(line.encode() + b"\r\n", replies=1)
        return await self._reply(seconds)

    async def _reply(self, seconds: float) -> Reply | None:
        replies = await self._wire.replies(1, seconds)
        return replies[0] if replies else None

    def _refusal(self, reply: Reply | None, stage: str) -> Answer:
        """What a step ended in that did not succeed: the host's refusal, or the connection's fault."""
        if reply is not None and reply.code < 400:
            self._lose_thread(f"reply {reply.code} has no meaning here")
        if reply is None or reply.code < 400:
            assert self._wire.fault is not None, "no reply without a fault"
            return self._failed(stage, self._wire.fault)
        return self._heard(reply, stage)

    def _lose_thread(self, text: str) -> None:
        """The host speaks of another command than we do."""
        self._habits.surplus.note(self.ip)
        self._wire.fail(Fault("4.5.0", f"protocol error: {text}"))

    def _heard(self, reply: Reply, stage: str) -> Answer:
        enhanced, text = read(reply)
        return self._answer(reply.code, enhanced, text, stage)

    def _failed(self, stage: str, fault: Fault) -> Answer:
        return self._answer(0, fault.enhanced, clean(fault.text), stage)

    def _answer(self, code: int, enhanced: str, text: str, stage: str) -> Answer:
        word, ms = self._approach.transport, self._milliseconds()
        return Answer(code, enhanced, text, stage, word, self.host, self.ip, self.tls, self._local_ip, ms)

    def _milliseconds(self) -> int:
        return int((self._loop.time() - self._began) * 1000)


def read(reply: Reply) -> tuple[str, str]:
    """Enhanced code and text of a reply. The code stands on each line (RFC 2034 4) and is taken out of the text."""
    lines = reply.lines
    found = _ENHANCED.match(lines[0])
    # RFC 2034 4: its class is that of the reply's code; what differs is text that happens to look like one.
    if found is None or found[1][0] - ord("0") != reply.code // 100:
        return "", clean(b" ".join(lines))
    enhanced = found[0].rstrip()
    return enhanced.decode(), clean(b" ".join(line.removeprefix(enhanced).lstrip() for line in lines))


def _extensions(lines: Sequence[bytes]) -> dict[bytes, bytes]:
    """EHLO's keywords with their parameters, in upper case (RFC 5321 4.1.1.1)."""
    # "AUTH=PLAIN" is how a draft of RFC 2554 wrote it, and some hosts offer nothing else.
    words = [line.upper().replace(b"AUTH=", b"AUTH ").split(None, 1) for line in lines]
    return {word[0]: word[1] if len(word) > 1 else b"" for word in words if word}


def _positive(reply: Reply | None) -> bool:
    return reply is not None and reply.code // 100 == 2


def _unsafe(answer: Answer) -> Answer:
    """A failure on the way to TLS: to be tried again, whatever the host calls it."""
    text = f"{answer.code} {answer.text}" if answer.code else answer.text
    return replace(answer, code=0, enhanced="4.7.5", text=text, stage="tls")
