"""A server that talks in lines, SMTP or POP3: its listeners, who may connect, and how it stops."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from prometheus_client import Gauge

from mailferry.endpoints.connection import Connection
from mailferry.endpoints.connection_limits import ConnectionLimits, Gate, count_down

# Connections that wait in the kernel while the loop is busy; the kernel cuts it to net.core.somaxconn.
BACKLOG = 1024
# Seconds of a server's deadline that are left for calls to the product, which are cancelled then, to undo what they must.
UNDO = 0.5
# An IPv6 customer has a /64 (RFC 6177): addresses inside it are one client.
IPV6_CLIENT_PREFIX = 64

# Told what happens, as facts with an "event". Passwords, user names and unknown commands never are among them.
Log = Callable[[Mapping[str, object]], None]


class Crowd(Enum):
    """Why a connection is one too many."""

    ALL = auto()
    FROM_ADDRESS = auto()


@dataclass(frozen=True, slots=True)
class Listener:
    """One address to listen on.

    `tls` means TLS from the first octet (RFC 8314); otherwise it is offered by command when there is a certificate.
    `plain_auth` takes passwords in clear and is for loopback alone.
    """

    host: str
    port: int
    tls: bool = False
    plain_auth: bool = False


class LineServer:
    """All sessions of one protocol in a process. ``open_now``: the metric that counts them."""

    def __init__(
        self,
        listeners: Sequence[tuple[Listener, Callable[[], Connection]]],
        limits: ConnectionLimits,
        open_now: Gauge,
        *,
        tls: ssl.SSLContext | None = None,
        log: Log | None = None,
    ) -> None:
        self.loop: asyncio.AbstractEventLoop
        self.gate = Gate(limits.connections_per_account)
        self.log: Log = log or _no_log
        self._bounds = limits
        self._open_now = open_now
        self._tls = tls
        self._listeners = tuple(listeners)
        for listener, _ in self._listeners:
            _check(listener, tls)
        self._servers: list[asyncio.Server] = []
        self._sessions: dict[Connection, str] = {}
        self._by_client: Counter[Hashable] = Counter()
        self._empty = asyncio.Event()

    async def start(self) -> None:
        """Listen on every address, or on none: raises OSError when one is taken."""
        self.loop = asyncio.get_running_loop()
        try:
            for listener, session in self._listeners:
                self._servers.append(await self._listen(listener, session))
        except BaseException:
            self._stop_listening()
            raise

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """What each listener is bound to, in their order; a port that was 0 is the real one."""
        return [server.sockets[0].getsockname()[:2] for server in self._servers]

    @property
    def connections(self) -> int:
        """Sessions that are open now; TLS handshakes of implicit TLS are not sessions yet."""
        return len(self._sessions)

    async def close(self, deadline: float) -> None:
        """Stop within `deadline` seconds, or UNDO where that is more.

        Nobody is let in; who is idle hears that it ends; a message that is arriving and a call to the product may end
        and are answered. What is left shortly before the deadline is cut off.
        """
        self._stop_listening()
        end = self.loop.time() + deadline - UNDO
        for session in tuple(self._sessions):
            session.stop()
        await self._wait_until(end)
        tasks = [task for session in tuple(self._sessions) if (task := session.running()) is not None]
        for session in tuple(self._sessions):
            session.abort()
        # A cancelled call may have something to undo; it is not waited for without end.
        if tasks:
            await asyncio.wait(tasks, timeout=UNDO)

    # For the sessions.

    def arrived(self, session: Connection, ip: str) -> Crowd | None:
        """A session has begun; why it must go, where it is one too many."""
        client = _client(ip)
        self._open_now.inc()
        self._sessions[session] = client
        self._by_client[client] += 1
        if len(self._sessions) > self._bounds.connections:
            return Crowd.ALL
        return Crowd.FROM_ADDRESS if self._by_client[client] > self._bounds.connections_per_address else None

    def left(self, session: Connection) -> None:
        """It is over, and nothing of it runs."""
        self._open_now.dec()
        count_down(self._by_client, self._sessions.pop(session))
        if not self._sessions:
            self._empty.set()

    async def _listen(self, listener: Listener, session: Callable[[], Connection]) -> asyncio.Server:
        return await self.loop.create_server(
            session,
            listener.host,
            listener.port,
            backlog=BACKLOG,
            ssl=self._tls if listener.tls else None,
            ssl_handshake_timeout=self._bounds.handshake if listener.tls else None,
        )

    def _stop_listening(self) -> None:
        for server in self._servers:
            server.close()

    async def _wait_until(self, end: float) -> None:
        while self._sessions and (left := end - self.loop.time()) > 0:
            self._empty.clear()
            try:
                await asyncio.wait_for(self._empty.wait(), left)
            except TimeoutError:
                return


def _check(listener: Listener, tls: ssl.SSLContext | None) -> None:
    if listener.tls and tls is None:
        raise ValueError(f"TLS on {listener.host}:{listener.port} needs a certificate")
    if listener.plain_auth and not _is_loopback(listener.host):
        raise ValueError(f"passwords in clear are for loopback, not for {listener.host}:{listener.port}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _client(ip: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 of an IPv6 address."""
    if ":" not in ip:
        return ip
    address = ipaddress.IPv6Address(ip.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, IPV6_CLIENT_PREFIX), strict=False))


def _no_log(facts: Mapping[str, object]) -> None:
    pass
