"""One connection of a server that talks in lines, SMTP or POP3: octets in, replies out, TLS, the end (RFC 5321, 2920,
3207; RFC 1939, 2449, 2595).

`Connection` knows no command. The conversation on top of it implements `step`, which takes one thing out of `buffer`
and does it; what needs the product is a coroutine, and only then is there a task. So a pipelined group costs one task
and one write.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from abc import abstractmethod
from collections.abc import Coroutine
from typing import Any, Literal, cast

from mailferry.endpoints.connection_limits import ConnectionLimits
from mailferry.endpoints.deadlines import Deadlines, Doing

# Commands that one client may have executed before the others have their turn: a read of 256 KiB holds 40,000 NOOPs. It
# is also how many replies are held back at most (RFC 2920 3.2 asks to send them together).
TURN = 100

# What `step` answers: True, done, go on; a coroutine to be awaited, then go on; or None, more input is needed.
Call = Coroutine[Any, Any, None]
Step = Literal[True] | Call | None


class Connection(asyncio.Protocol):
    """The octets of one client, on asyncio's loop and on uvloop. `receiving`: a message is arriving."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: ConnectionLimits) -> None:
        self.buffer = bytearray()
        self.receiving = False
        self.leaving = False
        self.stopping = False  # the server stops: take no more input than a message that is arriving
        self.limits = limits
        self._loop = loop
        self._transport: asyncio.Transport
        self._out: list[bytes] = []
        self._task: asyncio.Task[None] | None = None
        self._lost = False
        self._closed = False  # `closed` has been called
        self._ended = False  # the client has said all it will say
        self._choked = False  # the client does not read its replies
        self._drained: asyncio.Future[None] | None = None  # `drain` waits for it
        self._paused = False
        self._deadlines = Deadlines(loop, limits, self._doing, self._too_slow)

    # What the conversation implements.

    @abstractmethod
    def opened(self) -> None:
        """The connection is there; for implicit TLS, with its handshake done."""

    @abstractmethod
    def step(self) -> Step:
        """Take one thing out of `buffer` and do it."""

    @abstractmethod
    def expired(self) -> None:
        """The client was too slow. Say so and `leave`."""

    @abstractmethod
    def failed(self, error: Exception) -> None:
        """A step raised: a bug. Say so and `leave`."""

    @abstractmethod
    def stop(self) -> None:
        """The server ends: say so and `leave` as soon as nothing of the client's is under way."""

    @abstractmethod
    def closed(self) -> None:
        """The connection is gone and nothing runs for it any more; called once."""

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._deadlines.begin()
        self.opened()
        self._flush()
        self._deadlines.set()

    def data_received(self, data: bytes) -> None:
        if self.leaving:
            return
        self.buffer += data
        if self.receiving:
            self._deadlines.progress()
        if self._task is None:
            self._pump()
        elif len(self.buffer) > self.limits.input:
            self._pause()

    def eof_received(self) -> bool:
        self._ended = True
        if self.leaving or self._task is None:
            return False
        # `printf ... | nc` half-closes and waits for its answers; a client that is gone looks the same. The work goes
        # on for a moment. Under TLS there is no half-close in asyncio: the transport closes, and that cancels the
        # work.
        self._deadlines.progress()
        self._deadlines.set()
        return self._transport.get_extra_info("ssl_object") is None

    def pause_writing(self) -> None:
        self._choked = True
        self._pause()

    def resume_writing(self) -> None:
        self._choked = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if self._task is None:
            self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose()

    # What the conversation calls.

    def send(self, reply: bytes) -> None:
        """Queue `reply`; it leaves with the others when input has run out."""
        self._out.append(reply)

    def begin_sending(self) -> None:
        """What is sent piece by piece from now on has `limits.data` seconds in all to be read."""
        self._deadlines.begin_message()

    async def drain(self) -> None:
        """Send what is queued, and wait until the client has read most of it. Others have a turn meanwhile.

        A client that reads nothing for `limits.idle` seconds, or is not through by the end of `begin_sending`, is cut off.
        """
        self._flush()
        if not self._choked:
            await asyncio.sleep(0)
            return
        self._drained = self._loop.create_future()
        self._deadlines.progress()
        self._deadlines.set()
        try:
            await self._drained
        finally:
            self._drained = None

    def begin_receiving(self) -> None:
        """A message is arriving from now on; it has `limits.data` seconds in all."""
        self.receiving = True
        self._deadlines.begin_message()

    def leave(self) -> None:
        """Send what is queued and close. What still arrives is thrown away.

        Closing a socket with unread input resets the connection, and a reset can overtake the last reply. So when the
        client was in the middle of something, our side is shut first and input is read on for `limits.linger`
        seconds.
        """
        if self.leaving:
            return
        self._flush()
        busy = self.receiving or bool(self.buffer)
        self.leaving, self.receiving = True, False
        self.buffer.clear()
        self._deadlines.progress()
        if self._lost:
            return
        if not busy or self._ended:
            self._transport.close()
        else:
            if self._paused:
                self._resume()
            if self._transport.can_write_eof():
                self._transport.write_eof()
        self._deadlines.set()

    def go_on(self) -> None:
        """Take the steps that can be taken, if none is being taken."""
        if self._task is None:
            self._pump()

    def abort(self) -> None:
        """Close at once; what runs is cancelled and what is queued is lost."""
        if not self._lost:
            self._transport.abort()
        self._lose()

    def running(self) -> asyncio.Task[None] | None:
        """The task that waits for the product, if there is one."""
        return self._task

    async def start_tls(self, context: ssl.SSLContext, go: bytes) -> bool:
        """Send `go` and do the server's side of a TLS handshake; False when the connection did not survive it.

        RFC 3207 section 4.2: what arrived before the handshake is forgotten. Between the clearing and the switch of
        protocols there is no moment in which the loop could deliver more, and what is in the socket goes into the
        handshake, which fails on it.
        """
        self.send(go)
        self._flush()
        self.buffer.clear()
        try:
            transport = await self._loop.start_tls(
                self._transport, self, context, server_side=True, ssl_handshake_timeout=self.limits.handshake
            )
        except (OSError, TimeoutError):  # ssl.SSLError is an OSError
            transport = None
        if transport is None or self._lost:
            # asyncio answers None when the peer closes in the handshake, and then never calls connection_lost.
            self.abort()
            return False
        self._transport = transport
        self._paused = self._choked = False
        return True

    def peer_name(self, key: str) -> tuple[str, int]:
        """Address and port of `peername` or `sockname`; empty for a socket that is not IP."""
        name = self._transport.get_extra_info(key)
        return (str(name[0]), int(name[1])) if isinstance(name, tuple) and len(name) >= 2 else ("", 0)

    def tls_name(self) -> str:
        """Protocol version and cipher as in "TLSv1.3 TLS_AES_256_GCM_SHA384", or ""."""
        tls = self._transport.get_extra_info("ssl_object")
        cipher = tls.cipher() if tls is not None else None
        return f"{tls.version()} {cipher[0]}" if cipher else ""

    # The engine.

    def _pump(self) -> None:
        step = self._work()
        if step is None:
            return
        if sys.version_info >= (3, 12):
            # A backend that answers at once, as for MAIL and RCPT, then costs no turn of the loop.
            task = asyncio.Task(self._run(step), loop=self._loop, eager_start=True)
            self._task = None if task.done() else task
        else:
            self._task = self._loop.create_task(self._run(step))

    def _work(self) -> Call | None:
        """Take steps until input runs out; a step that must be awaited is handed back."""
        taken = 0
        while (self.buffer or self.stopping) and not (self.leaving or self._choked):
            try:
                step = self.step()
            except Exception as error:
                self.failed(error)
                break
            if step is None:
                break
            taken += 1
            if step is not True:
                return step
            if taken == TURN:
                self._flush()
                return asyncio.sleep(0)
        self._flush()
        self._rest(taken > 0)
        return None

    def _rest(self, progress: bool) -> None:
        """Nothing more to do before input comes."""
        if self.leaving:
            return
        if self._ended and not self._choked:
            self.leave()
            return
        if self._paused and not self._choked:
            self._resume()
        if progress:
            self._deadlines.progress()
        if self._deadlines.lived_too_long and not self.receiving:
            self.expired()
        self._deadlines.keep()

    async def _run(self, step: Call) -> None:
        following: Call | None = step
        taken = 0
        try:
            while following is not None:
                await following
                taken += 1
                if taken % TURN == 0:
                    await asyncio.sleep(0)
                self._deadlines.progress()
                following = self._work()
        except Exception as error:
            self.failed(error)
        finally:
            self._task = None
            if self._lost:
                self._close()
            else:
                self._deadlines.keep()

    def _lose(self) -> None:
        """The connection is gone: nothing of it may stay."""
        if self._lost:
            return
        self._lost = self.leaving = True
        self.buffer.clear()
        self._out.clear()
        self._deadlines.end()
        if self._task is None:
            self._close()
        elif self._task is not asyncio.current_task(self._loop):
            self._task.cancel()

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            self.closed()

    def _flush(self) -> None:
        if self._out:
            data = b"".join(self._out)
            self._out.clear()
            if not self._lost:
                self._transport.write(data)

    def _pause(self) -> None:
        if not self._paused and not self._lost:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        self._paused = False
        self._transport.resume_reading()

    # Deadlines.

    def _doing(self) -> Doing:
        if self.leaving:
            return Doing.LEAVING
        if self._drained is not None:
            return Doing.SENDING
        if self._task is not None:
            return Doing.WORKING_FOR_NONE if self._ended else Doing.WORKING
        return Doing.RECEIVING if self.receiving else Doing.TALKING

    def _too_slow(self) -> None:
        if self.leaving or self._task is not None:
            self.abort()
        else:
            self.expired()
