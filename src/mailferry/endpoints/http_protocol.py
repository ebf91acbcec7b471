"""The HTTP/1.1 conversation of a server (RFC 9110, RFC 9112): uvicorn's, with bounds on what a client can make it hold.

Uvicorn alone reads heads and trailers of any size, reads on while thousands of pipelined requests wait, answers what is
no HTTP in words of its own and ahead of requests that stand before it, and leaves a connection open for ever once a
client was answered in the middle of its body.
"""

import asyncio
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import httptools
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import CLOSE_HEADER, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from mailferry.endpoints import fallback
from mailferry.endpoints.http_limits import HttpLimits
from mailferry.net.hosts import parse_host

log = structlog.get_logger(__name__)

_FRAMING = (b"content-length", b"transfer-encoding")
_ABSOLUTE = re.compile(rb"https?://([^/?#]+)(.*)", re.IGNORECASE)


class HttpProtocol(HttpToolsProtocol):
    """One connection. A subclass may have other ``limits``."""

    limits = HttpLimits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        self._alarm: asyncio.TimerHandle | None = None
        self._write_alarm: asyncio.TimerHandle | None = None
        self._answering: RequestResponseCycle | None = None  # uvicorn's `cycle` is the one that came last
        self._in_head = False
        self._head = 0
        self._chunks = self._octets = 0  # of the body
        self._moved = False
        self._stray = 0
        self._declining = False
        self._deaf = False  # what still comes is thrown away
        self._ended = False  # the client has said all it will say, and may still listen
        self._refusal: tuple[int, str] | None = None
        if len(self.connections) > self.limits.connections:
            self._write_refusal(503, "Service Unavailable: too many connections, try again later")
            transport.close()
        self._wait(self.limits.head_time)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self.resume_writing()
        self.pipeline.clear()
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn always closes
        """`printf ... | nc` half-closes and waits for its answer. asyncio has no half-close under TLS."""
        cycle = self._answering
        self._ended = self._busy() and not (cycle is not None and cycle.more_body)
        return self._ended and self.transport.get_extra_info("ssl_object") is None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_alarm = self.loop.call_later(self.limits.write, self.transport.abort)

    def resume_writing(self) -> None:
        if self._write_alarm is not None:
            self._write_alarm.cancel()
            self._write_alarm = None
        super().resume_writing()

    # What comes in.

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._deaf:
            return
        self._moved = False
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            self._refuse(*_reason(error))
            return
        # Octets that bring no body and end no request: heads, but also trailers, chunk extensions, empty lines.
        self._stray = 0 if self._moved else self._stray + len(data)
        if self._stray > self.limits.head:
            self._refuse(431, self._too_large())
        elif self._alarm is None and not self._busy():
            self._wait(self.limits.head_time)

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                self._decline_upgrade()
                data = data[upgrade.args[0] :]

    def _decline_upgrade(self) -> None:
        """RFC 9110 7.8: an upgrade may be ignored. Java and curl offer h2c with ordinary requests, whose body the parser
        then takes for the other protocol; so a new one is told again how this request ends.
        """
        framing = [name + b": " + value + b"\r\n" for name, value in self.headers if name in _FRAMING]
        self.parser = httptools.HttpRequestParser(self)
        self._declining = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n" + b"".join(framing) + b"\r\n")
        self._declining = False

    def on_message_begin(self) -> None:
        if self._declining:
            return
        if len(self.pipeline) >= self.limits.pipelined:
            text = f"Bad Request: too many requests sent ahead (maximum is {self.limits.pipelined})"
            raise _RefusedError(400, text)
        self._in_head, self._head = True, 0
        self._chunks = self._octets = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._declining:
            return
        self._head += len(url)
        if self._head > self.limits.head:
            text = f"URI Too Long: request target is too long (maximum is {self.limits.head} bytes)"
            raise _RefusedError(414, text)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._declining or not self._in_head:
            return  # trailers say nothing that is known here (RFC 9110 6.5.1), and must not pass for header fields
        self._head += len(name) + len(value) + len(b": \r\n")
        if self._head > self.limits.head:
            raise _RefusedError(431, self._too_large())
        if len(self.headers) >= self.limits.fields:
            raise _RefusedError(
                431, f"Request Header Fields Too Large: too many fields (maximum is {self.limits.fields})"
            )
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._declining:
            return
        self._refuse_codings()
        self._heed_target()
        super().on_headers_complete()
        self._in_head = False
        self._stop_waiting()

    def _refuse_codings(self) -> None:
        """The parser takes the chunks apart, and would hand on what is compressed within them as if it were the body."""
        given = b",".join(value for name, value in self.headers if name == b"transfer-encoding").lower()
        codings = [coding.strip() for coding in given.split(b",") if coding.strip()]
        if codings not in ([], [b"chunked"]):
            # RFC 9112 6.1. Where chunked does not come last, nobody can tell where the body ends (6.3).
            word = "Not Implemented" if codings[-1] == b"chunked" else "Bad Request"
            status = 501 if codings[-1] == b"chunked" else 400
            raise _RefusedError(status, f"{word}: no other Transfer-Encoding than chunked is understood")

    def _heed_target(self) -> None:
        """RFC 9112 3.2.2: ``GET http://other/path`` names the host itself, and Host is to be ignored then."""
        if self.url.startswith((b"/", b"*")):
            return
        found = _ABSOLUTE.fullmatch(self.url)
        if found is None or parse_host(found[1].decode("latin-1")) is None:
            raise _RefusedError(400, "Bad Request: the request target is malformed")
        authority, self.url = found[1], b"/" + found[2].removeprefix(b"/")
        # In place, as the scope has this very list. That there is one Host and no more is looked at later (3.2).
        self.headers[:] = [(name, authority if name == b"host" else value) for name, value in self.headers]

    def on_chunk_header(self) -> None:
        self._chunks += 1
        if self._chunks > self.limits.chunks and self._octets < (self._chunks - 1) * self.limits.chunk_size:
            raise _RefusedError(
                400,
                f"Bad Request: the body comes in too many small chunks (beyond {self.limits.chunks} they must have "
                f"{self.limits.chunk_size} bytes on average)",
            )

    def on_body(self, body: bytes) -> None:
        self._moved = True
        self._octets += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # it takes the head for all there is; `_decline_upgrade` finds out where the request ends
        self._moved = True
        super().on_message_complete()

    # What goes out.

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, partial(self._converse, cycle, app))

    async def _converse(
        self, cycle: RequestResponseCycle, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        async def say(message: Message) -> None:
            if cycle.more_body:  # answered in the middle of its body: what follows cannot be another request
                if message["type"] == "http.response.start":
                    message["headers"] = [*message["headers"], CLOSE_HEADER]
                elif not message.get("more_body", False):
                    cycle.keep_alive = True  # or uvicorn closes at once; see `_part`
            await send(message)

        await app(scope, receive, say)

    def on_response_complete(self) -> None:
        cycle = self._answering
        super().on_response_complete()
        if self.transport.is_closing():
            self._wait(self.limits.linger)
        elif self._refusal is not None:
            self._tell_refusal()
        elif cycle is not None and cycle.more_body:
            self._part()
        elif self._ended and not self._busy():
            self.transport.close()

    def _busy(self) -> bool:
        running = self._answering
        return bool(self.pipeline) or (running is not None and not (running.response_complete or running.disconnected))

    # The end.

    def _refuse(self, status: int, text: str) -> None:
        """Nothing more can be read from here."""
        self._deaf = True
        self._stop_waiting()
        log.info("http_refused", status=status, error=text, client_ip=self.client[0] if self.client else "")
        last = self.cycle
        if last is not None and last.more_body and not last.response_complete:
            # It is this request's own body: what is refused is the request, and nobody else may answer it.
            if self.pipeline and self.pipeline[0][0] is last:
                self.pipeline.popleft()
            last.disconnected = True
            last.message_event.set()
            if last.response_started:
                self.transport.close()
        self._refusal = (status, text)
        self._tell_refusal()

    def _tell_refusal(self) -> None:
        """Once the requests before it are answered: earlier, it would be taken for the answer to one of them."""
        if self._refusal is None or self._busy() or self.transport.is_closing():
            return
        self._write_refusal(*self._refusal)
        self._refusal = None
        self._part()

    def _write_refusal(self, status: int, text: str) -> None:
        body = fallback.body(text)
        fields = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            CLOSE_HEADER,
        ]
        head = b"".join([STATUS_LINE[status], *(name + b": " + value + b"\r\n" for name, value in fields), b"\r\n"])
        self.transport.write(head + body)

    def _part(self) -> None:
        """Closing a socket with unread input resets the connection, and the reset can overtake the last answer, which
        says what was wrong. So input is read on and thrown away for a while.
        """
        self._deaf = True
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._wait(self.limits.linger)

    def _too_large(self) -> str:
        return f"Request Header Fields Too Large: the head is too large (maximum is {self.limits.head} bytes)"

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._alarm = self.loop.call_later(seconds, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _too_slow(self) -> None:
        self._alarm = None
        if self._deaf or self.transport.is_closing():
            self.transport.abort()
        elif self._in_head:
            self._refuse(408, "Request Timeout: the head did not arrive in time")
        else:
            self.transport.close()
            self._wait(self.limits.linger)


class _Flow(FlowControl):
    """Reads on only when no request waits: uvicorn does at every answer, so that the queue grows faster than it ends."""

    def __init__(self, transport: asyncio.Transport, pipeline: Sequence[Any]) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if not self._pipeline:
            super().resume_reading()


class _RefusedError(Exception):
    """Raised through the parser, which has no other way to be stopped."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text


def _reason(error: httptools.HttpParserError) -> tuple[int, str]:
    cause = error.__context__
    if isinstance(cause, _RefusedError):
        return cause.status, cause.text
    if isinstance(error, httptools.HttpParserCallbackError):
        return 400, "Bad Request: the request target is malformed"
    # The parser's words are constants ("Content-Length can't be present with Transfer-Encoding"): no client's.
    return 400, f"Bad Request: malformed HTTP: {error}"
