"""The octets of an SMTP client's connection: replies in, commands and message content out (RFC 5321 4.2 and 4.5.2)."""

import asyncio
import os
import ssl
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, cast

MOST_LINES = 512
"""Of one reply that are kept; further ones are read and dropped, since the code says all: after the final dot a reply
that is not understood means that the message is sent twice."""
MOST_OCTETS = 65_536
"""Of one line. RFC 5321 4.5.3.1.5 allows 512; what is longer than this is no mail host."""
MOST_REPLY_OCTETS = 1 << 20
"""Of one reply with all its lines, kept or dropped."""
PIECE = 262_144
"""Octets handed to the kernel at once; before the next piece we wait until it has taken most of this one."""
SHUTDOWN_S = 2
"""How long a host may take to answer TLS's farewell before the connection is cut."""
STUFFED = b"\r\n."


_ONE_LINE = {b"%d " % code: code for code in range(200, 600)}
"""How a reply of one line begins. RFC 5321 4.2.1: its first digit is 2 to 5."""


class Reply(NamedTuple):
    """A complete reply: its code, and the text of each line after code and separator.

    A tuple, because four of them are made for each message, and a frozen dataclass takes three times as long.
    """

    code: int
    lines: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a connection is of no more use: an enhanced code (RFC 3463) and a sentence."""

    enhanced: str
    text: str


class Wire(asyncio.Protocol):
    """One TCP connection, plain or under TLS. Each reply is counted against the commands that asked for it.

    A reply that nobody asked for means that the host and we no longer speak of the same command; such a connection is
    cut at once, and `on_surplus` is told. Used by one task at a time.
    """

    def __init__(self, on_surplus: Callable[[], None]) -> None:
        self._on_surplus = on_surplus
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._owed = 1  # the greeting
        self._arrived: list[Reply] = []
        self._partial = b""  # a line whose end has not come yet
        self._lines: list[bytes] = []  # of a reply whose last line has not come yet
        self._code = b""
        self._octets = 0
        self._waiter: asyncio.Future[None] | None = None
        self._wanted = 0
        self._timer: asyncio.TimerHandle | None = None
        self._patience = 0.0  # seconds of the wait that is on
        self._deadline = 0.0
        self._paused = False
        self._gone = self._loop.create_future()
        self.fault: Fault | None = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are no subclass of it

    def data_received(self, data: bytes) -> None:
        lines = (self._partial + data if self._partial else data).split(b"\n")
        self._partial = lines.pop()
        for line in lines:
            if self.fault is not None:
                return
            code = _ONE_LINE.get(line[:4])
            if code and not self._lines and len(line) <= MOST_OCTETS:
                self._receive(Reply(code, (line[4:].rstrip(b"\r"),)))
            else:
                self._read_line(line.rstrip(b"\r"))
        if self._partial or self._lines:
            self._check_unfinished()

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(Fault("4.4.2", f"connection lost: {reason(exc)}" if exc else "connection closed by the host"))
        if not self._gone.done():
            self._gone.set_result(None)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._wake()

    # What the client calls.

    def write(self, data: bytes, *, replies: int) -> None:
        """Sends `data` as long as the connection lives; from now on the host may give so many `replies` more."""
        self._owed += replies
        if self.fault is None:
            assert self._transport is not None
            self._transport.write(data)

    async def replies(self, count: int, seconds: float) -> list[Reply]:
        """The next `count` replies; fewer when the connection failed before (see `fault`). Cut after `seconds`."""
        self._wanted = count
        self._limit(seconds)
        while len(self._arrived) < count and self.fault is None:
            await self._wait()
        arrived, self._arrived = self._arrived, []
        return arrived

    async def drained(self, seconds: float) -> bool:
        """Waits until more may be written; False when that is pointless: a fault, or a reply that came early."""
        self._wanted = 1
        self._limit(seconds)
        while self._paused and not self._arrived and self.fault is None:
            await self._wait()
        return not self._arrived and self.fault is None

    async def start_tls(self, context: ssl.SSLContext, host: str, seconds: float) -> Fault | None:
        """Puts the connection under TLS; a Fault is what went wrong, and the connection is dead then."""
        if self.fault is not None or self._transport is None:
            return self.fault  # RFC 3207 5: after the host's yes nothing may come in plain text
        try:
            transport = await self._loop.start_tls(
                self._transport,
                self,
                context,
                server_hostname=host,
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=SHUTDOWN_S,
            )
        except (OSError, ValueError) as error:  # ValueError: a name that cannot be sent as SNI
            fault = Fault("4.7.5", f"TLS handshake failed: {reason(error)}")
            self.fail(fault)
            return fault
        if transport is None:  # lost between the handshake's end and our turn
            return self.fault or Fault("4.7.5", "connection lost after the TLS handshake")
        self._transport = transport
        return self.fault

    def tls_version(self) -> str:
        """ "TLSv1.3" and the like, "" for a plain connection."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport else None
        return (tls.version() or "") if tls else ""

    def local_ip(self) -> str:
        """The address that the connection leaves from."""
        name = self._transport.get_extra_info("sockname") if self._transport else None
        return str(name[0]) if name else ""

    def fail(self, fault: Fault) -> None:
        """Cuts the connection; the first fault is the one that is kept."""
        if self.fault is None:
            self.fault = fault
            if self._timer is not None:
                self._timer.cancel()
            if self._transport is not None:
                self._transport.abort()
        self._wake()

    async def close(self, seconds: float) -> None:
        """Ends the connection in order, and by force when that takes longer than `seconds`."""
        if self._transport is None:
            return
        self.leave()
        await asyncio.wait([self._gone], timeout=seconds)
        self._transport.abort()

    def leave(self) -> None:
        """Closes after what was written has left, and waits for nothing."""
        # Python 3.11.2 (Debian 12) loses the TLS layer when it is closed twice, and abort() raises from then on.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()

    # Within.

    def _check_unfinished(self) -> None:
        if len(self._partial) > MOST_OCTETS:
            self._protocol_error("reply is too long")
        elif not self._owed:
            self._surplus()

    def _read_line(self, line: bytes) -> None:
        code, separator = line[:3], line[3:4]
        # RFC 5321 4.2.1: a reply begins with three digits, 2yz to 5yz; all lines of a reply bear the same code.
        if separator not in b" -" or not code.isdigit() or not b"200" <= code <= b"599" or (self._code or code) != code:
            return self._protocol_error("invalid reply")
        self._octets += len(line)
        if len(line) > MOST_OCTETS or self._octets > MOST_REPLY_OCTETS:
            return self._protocol_error("reply is too long")
        if len(self._lines) < MOST_LINES:
            self._lines.append(line[4:])
        if separator == b"-":
            self._code = code
            return None
        reply = Reply(int(code), tuple(self._lines))
        self._lines, self._code, self._octets = [], b"", 0
        return self._receive(reply)

    def _receive(self, reply: Reply) -> None:
        if self._owed:
            self._owed -= 1
            self._arrived.append(reply)
            if len(self._arrived) >= self._wanted:
                self._wake()
        elif reply.code != 421:
            self._surplus()
        # RFC 5321 3.8: 421 may come at any time and announces the end; the other replies we wait for may never come.
        if reply.code == 421:
            self.fail(Fault("4.4.2", "the host closes the connection (421)"))

    def _surplus(self) -> None:
        self._on_surplus()
        self._protocol_error("reply to no command")

    def _protocol_error(self, text: str) -> None:
        self.fail(Fault("4.5.0", f"protocol error: {text}"))

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _limit(self, seconds: float) -> None:
        """How long the wait that begins may last.

        A timer for each of a message's waits costs as much as its replies do, so one is left running: it looks at the
        deadline of the day when it rings, and is set anew only when it would ring too late.
        """
        self._patience = seconds
        self._deadline = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._ring) if self.fault is None else None

    def _ring(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if self._deadline > self._loop.time():
            self._set_timer()
        else:
            self.fail(Fault("4.4.2", f"no reply within {self._patience:g} s"))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def stuff(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Message content as it goes over the wire, without the final dot (RFC 5321 4.5.2), chunk by chunk.

    Lines that begin with a dot get another, and the last line gets its CRLF where it is missing. A chunk in which
    nothing changes is not copied.
    """
    tail = b"\r\n"  # the last two octets so far; the message begins a line
    for chunk in chunks:
        if not chunk:
            continue
        # A line that begins with a dot may have its CRLF in the chunk before, or be cut between CR and LF.
        if tail == b"\r\n" and chunk.startswith(b"."):
            yield b"."
        elif tail.endswith(b"\r") and chunk.startswith(b"\n."):
            yield b"\n."
            chunk = chunk[1:]
        tail = (tail + chunk[-2:])[-2:]
        yield chunk.replace(STUFFED, b"\r\n..") if chunk.find(STUFFED) >= 0 else chunk
    if tail != b"\r\n":
        yield b"\r\n"


def pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks in pieces of at most PIECE octets."""
    for chunk in chunks:
        for start in range(0, len(chunk), PIECE):
            yield chunk[start : start + PIECE]


def reason(error: Exception) -> str:
    """An error of the operating system or of TLS in its own words, without Python's."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS error").lower().replace("_", " ")
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__
