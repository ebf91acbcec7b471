"""An HTTP client for calls to addresses that customers name: nothing that they can write makes it go where it must not.

Names are resolved here, each address is asked of net/guard, and the connection goes to that very address: an answer that
changes between the two (DNS rebinding) gains nothing. Redirects are not followed, environment proxies not used, time and
the answer are bounded. What happens is a value: a :class:`Reply`, also when nobody answered.
"""

import asyncio
import re
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

import httpcore2
from httpcore2 import AnyIOBackend, AsyncNetworkBackend, AsyncNetworkStream

from mailferry.net.dns import Resolver
from mailferry.net.guard import Guard
from mailferry.net.http_call import TOTAL_SECONDS, Reply, Url
from mailferry.net.reach import reachable

#: Of them, for one address to let itself be connected, and for the TLS handshake.
CONNECT_SECONDS = 8.0
#: Many servers close an idle connection after five seconds; a request into one that is just being closed is lost.
IDLE_SECONDS = 4.0
#: Octets of an answer that are read. What is longer is cut, and its connection closed.
ANSWER_LIMIT = 64 * 1024


class HttpClient:
    """Belongs to one event loop. ``context`` is what certificates are checked with; None: the system's authorities."""

    def __init__(self, resolver: Resolver, guard: Guard, *, context: ssl.SSLContext | None = None) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context or ssl.create_default_context(),
            max_connections=None,
            max_keepalive_connections=100,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=_Guarded(resolver, guard),
        )

    async def post(self, url: Url, body: bytes, headers: Mapping[str, str], *, seconds: float = TOTAL_SECONDS) -> Reply:
        """Never raises for what the other side does or lacks."""
        return await self.call("POST", url, headers, body=body, seconds=seconds)

    async def call(
        self,
        method: str,
        url: Url,
        headers: Mapping[str, str],
        *,
        body: bytes = b"",
        seconds: float = TOTAL_SECONDS,
        octets: int = ANSWER_LIMIT,
    ) -> Reply:
        """`octets`: how much of the answer's body is wanted. Never raises for what the other side does or lacks."""
        began = time.monotonic()

        def took() -> int:
            return round((time.monotonic() - began) * 1000)

        try:
            async with asyncio.timeout(seconds):
                reply = await self._exchange(method, url, body, headers, octets)
        except _Refused as error:
            return Reply(0, str(error), reached=False, ms=took())
        except httpcore2.ConnectTimeout:
            return Reply(0, f"{url.authority} did not let itself be connected in time", reached=False, ms=took())
        except httpcore2.ConnectError as error:
            return Reply(0, f"no connection to {url.authority}: {_words(error)}", reached=False, ms=took())
        except (TimeoutError, httpcore2.TimeoutException):
            return Reply(0, f"no whole answer within {seconds:g} s", ms=took())
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            return Reply(0, f"the connection ended before an answer: {_words(error)}", ms=took())
        return replace(reply, ms=took())

    async def close(self) -> None:
        await self._pool.aclose()

    async def _exchange(self, method: str, url: Url, body: bytes, headers: Mapping[str, str], octets: int) -> Reply:
        length = {"Content-Length": str(len(body))} if body or method == "POST" else {}
        sent = {"Host": url.authority, **length, **headers}
        asked = httpcore2.URL(
            scheme=url.scheme.encode(), host=url.host.encode(), port=url.port, target=url.target.encode()
        )
        timeouts = {"connect": CONNECT_SECONDS, "read": None, "write": None, "pool": None}  # all of it has one bound
        fields = [(name.encode(), value.encode()) for name, value in sent.items()]
        async with self._pool.stream(
            method, asked, headers=fields, content=body, extensions={"timeout": timeouts}
        ) as response:
            text = bytearray()
            if octets:
                async for chunk in response.aiter_stream():
                    text += chunk
                    if len(text) >= octets:
                        break
            return Reply(
                response.status,
                body=bytes(text[:octets]),
                retry_after=_retry_after(response.headers),
                location=_location(response.headers),
            )


class _Refused(httpcore2.ConnectError):
    """Not connected, for a reason of ours or of the DNS."""


class _Guarded(AsyncNetworkBackend):
    def __init__(self, resolver: Resolver, guard: Guard) -> None:
        self._resolver = resolver
        self._guard = guard
        self._sockets = AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the library's own
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        allowed, problem = await reachable(self._resolver, self._guard, host, port)
        failure: Exception | None = None
        for ip in allowed:
            try:
                return await self._sockets.connect_tcp(ip, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error  # the next address may do better
        raise failure or _Refused(problem)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Seconds; a date is not read (RFC 9110 10.2.3 allows both), 0 then and where there is none."""
    for name, value in headers:
        if name.lower() == b"retry-after" and re.fullmatch(rb"[0-9]{1,9}", value.strip()):
            return int(value)
    return 0


def _location(headers: Iterable[tuple[bytes, bytes]]) -> str:
    return next((value.decode("latin-1").strip() for name, value in headers if name.lower() == b"location"), "")


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
