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
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

import httpcore2
import idna
from httpcore2 import AnyIOBackend, AsyncNetworkBackend, AsyncNetworkStream

from mailferry.net.dns import Resolver
from mailferry.net.guard import Guard

#: Seconds from the first octet sent to the last one read.
TOTAL_SECONDS = 30.0
#: Of them, for one address to let itself be connected, and for the TLS handshake.
CONNECT_SECONDS = 8.0
#: Many servers close an idle connection after five seconds; a request into one that is just being closed is lost.
IDLE_SECONDS = 4.0
#: Octets of an answer that are read. What is longer is cut, and its connection closed.
ANSWER_LIMIT = 64 * 1024
LONGEST_URL = 2048

_UNSAFE = re.compile(r"[^\x21-\x7e]")


class BadUrl(ValueError):
    """The text says why."""


@dataclass(frozen=True, slots=True)
class Url:
    """``host`` in ASCII and without brackets; ``userinfo`` decoded, empty where there is none."""

    scheme: str
    host: str
    port: int
    target: str
    userinfo: str = ""

    @property
    def authority(self) -> str:
        """As the Host field has it (RFC 9110 7.2): the usual port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """Without user and password."""
        return f"{self.scheme}://{self.authority}{self.target}"


@dataclass(frozen=True, slots=True)
class Reply:
    """``status`` 0: no answer came, and ``error`` says why in one sentence without a stop.

    ``reached``: the request was sent, at least in part; the other side may have acted on it.
    """

    status: int
    error: str = ""
    reached: bool = True
    body: bytes = b""
    retry_after: int = 0
    ms: int = 0


_PORTS = {"http": 80, "https": 443}


def parse_url(text: str) -> Url:
    """Raises :class:`BadUrl`. A fragment is not part of what is asked for."""
    if len(text) > LONGEST_URL:
        raise BadUrl(f"is longer than {LONGEST_URL} characters")
    if any(each.isspace() or not each.isprintable() for each in text):
        raise BadUrl("holds a space or a control character")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadUrl("is no URL") from None
    if parts.scheme not in _PORTS:
        raise BadUrl("must begin with https:// or http://")
    if port == 0:
        raise BadUrl("names port 0")
    path = _UNSAFE.sub(_percent, parts.path) or "/"
    query = _UNSAFE.sub(_percent, parts.query)
    # An address has as many spellings as there are @ in it; what stands before the last one is the user.
    userinfo = parts.netloc.rpartition("@")[0]
    return Url(
        parts.scheme,
        _host(host),
        port or _PORTS[parts.scheme],
        f"{path}?{query}" if query else path,
        ":".join(unquote(part) for part in userinfo.split(":", 1)),
    )


def _host(name: str) -> str:
    if not name:
        raise BadUrl("names no host")
    try:
        return str(ip_address(name))
    except ValueError:
        pass
    if re.fullmatch(r"[0-9.]+|0x[0-9a-f]*", name.rpartition(".")[2]):
        raise BadUrl("has a host that is neither a name nor an IP address")  # 127.1, 0x7f.1: addresses in disguise
    try:
        ascii_name = idna.encode(name.removesuffix("."), uts46=True).decode()
    except idna.IDNAError:
        ascii_name = name if re.fullmatch(r"[a-z0-9_.-]{1,253}", name) else ""
    if not ascii_name:
        raise BadUrl("has a host that is no name")
    return ascii_name


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{octet:02X}" for octet in found.group().encode("utf-8", "surrogatepass"))


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
        began = time.monotonic()

        def took() -> int:
            return round((time.monotonic() - began) * 1000)

        try:
            async with asyncio.timeout(seconds):
                reply = await self._exchange(url, body, headers)
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
        return Reply(reply.status, body=reply.body, retry_after=reply.retry_after, ms=took())

    async def close(self) -> None:
        await self._pool.aclose()

    async def _exchange(self, url: Url, body: bytes, headers: Mapping[str, str]) -> Reply:
        sent = {"Host": url.authority, "Content-Length": str(len(body)), **headers}
        asked = httpcore2.URL(
            scheme=url.scheme.encode(), host=url.host.encode(), port=url.port, target=url.target.encode()
        )
        timeouts = {"connect": CONNECT_SECONDS, "read": None, "write": None, "pool": None}  # all of it has one bound
        fields = [(name.encode(), value.encode()) for name, value in sent.items()]
        async with self._pool.stream(
            "POST", asked, headers=fields, content=body, extensions={"timeout": timeouts}
        ) as response:
            text = bytearray()
            async for chunk in response.aiter_stream():
                text += chunk
                if len(text) >= ANSWER_LIMIT:
                    break
            return Reply(response.status, body=bytes(text[:ANSWER_LIMIT]), retry_after=_retry_after(response.headers))


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
        problem = ""
        failure: Exception | None = None
        for ip in await self._addresses(host):
            refusal = self._guard.check(ip, port)
            if refusal:
                problem = problem or f"{host} is not connected to: {refusal}" if ip != host else refusal
                continue
            try:
                return await self._sockets.connect_tcp(ip, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error  # the next address may do better
        raise failure or _Refused(problem)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str) -> tuple[str, ...]:
        try:
            return (str(ip_address(host)),)
        except ValueError:
            pass
        if host == "localhost" or host.endswith(".localhost"):  # RFC 6761 6.3: never asked of the DNS
            return ("127.0.0.1", "::1")
        status, found = await self._resolver.addresses(host)
        if not found:
            raise _Refused(_UNRESOLVED[status].format(host=host))
        return found


_UNRESOLVED = {
    "nxdomain": "there is no host {host}",
    "nodata": "{host} has no address",
    "servfail": "the address of {host} cannot be found out now",
    "timeout": "the DNS did not answer for {host}",
    "ok": "{host} has no address",
}


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Seconds; a date is not read (RFC 9110 10.2.3 allows both), 0 then and where there is none."""
    for name, value in headers:
        if name.lower() == b"retry-after" and re.fullmatch(rb"[0-9]{1,9}", value.strip()):
            return int(value)
    return 0


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
