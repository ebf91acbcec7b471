"""The SMTP server (RFC 5321): its listeners, who may connect, what all sessions share, and how it stops."""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import ssl
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from mailferry import metrics
from mailferry.endpoints.smtp import replies
from mailferry.endpoints.smtp.backend import Backend, Log
from mailferry.endpoints.smtp.connection import Connection
from mailferry.endpoints.smtp.host import CramMd5
from mailferry.endpoints.smtp.limits import Budget, Gate, Limits, count_down
from mailferry.endpoints.smtp.replies import Reply
from mailferry.endpoints.smtp.session import Session, Terms

# Connections that wait in the kernel while the loop is busy; the kernel cuts it to net.core.somaxconn.
BACKLOG = 1024
# Seconds of a server's deadline that are left for calls to the backend, which are cancelled then, to undo what they must.
UNDO = 0.5
# An IPv6 customer has a /64 (RFC 6177): addresses inside it are one client.
IPV6_CLIENT_PREFIX = 64


@dataclass(frozen=True, slots=True)
class Listener:
    """One address to listen on.

    `tls` means TLS from the first octet (RFC 8314); otherwise STARTTLS is offered when there is a certificate.
    `plain_auth` takes passwords in clear and is for loopback alone. `require_auth` off is for mail from other
    servers.
    """

    host: str
    port: int
    tls: bool = False
    plain_auth: bool = False
    cram_md5: CramMd5 = ""
    require_auth: bool = True


class Server:
    """All SMTP sessions of a process.

    `limits.budget` bounds the message octets of all sessions together (see `Budget`): beyond it MAIL and DATA answer
    451 4.3.1, and so does the end of a message that no longer fitted.
    """

    def __init__(
        self,
        backend: Backend,
        listeners: Sequence[Listener],
        *,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        log: Log | None = None,
    ) -> None:
        self.loop: asyncio.AbstractEventLoop
        self.backend = backend
        self.limits = limits or Limits()
        self.budget = Budget(self.limits.budget)
        self.gate = Gate(self.limits.connections_per_account)
        self.log: Log = log or _no_log
        self._tls = tls
        self._listeners = tuple(listeners)
        for listener in self._listeners:
            _check(listener, tls)
        self._servers: list[asyncio.Server] = []
        self._sessions: dict[Connection, str] = {}
        self._by_client: Counter[Hashable] = Counter()
        self._numbers = itertools.count(1)
        self._empty = asyncio.Event()

    async def start(self) -> None:
        """Listen on every address, or on none: raises OSError when one is taken."""
        self.loop = asyncio.get_running_loop()
        try:
            for listener in self._listeners:
                self._servers.append(await self._listen(listener))
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

        Nobody is let in; who is idle hears 421; a message that is arriving and a call to the backend may end and are
        answered. What is left shortly before the deadline is cut off.
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

    def arrived(self, session: Connection, ip: str) -> Reply | None:
        client = _client(ip)
        metrics.SMTP_SESSIONS.inc()
        self._sessions[session] = client
        self._by_client[client] += 1
        if len(self._sessions) > self.limits.connections:
            return replies.TOO_MANY_CONNECTIONS
        if self._by_client[client] > self.limits.connections_per_address:
            return replies.TOO_MANY_FROM_ADDRESS
        return None

    def left(self, session: Connection) -> None:
        metrics.SMTP_SESSIONS.dec()
        count_down(self._by_client, self._sessions.pop(session))
        if not self._sessions:
            self._empty.set()

    async def _listen(self, listener: Listener) -> asyncio.Server:
        terms = Terms(self._tls, listener.plain_auth, listener.require_auth, listener.cram_md5)
        return await self.loop.create_server(
            lambda: Session(self, terms, next(self._numbers)),
            listener.host,
            listener.port,
            backlog=BACKLOG,
            ssl=self._tls if listener.tls else None,
            ssl_handshake_timeout=self.limits.handshake if listener.tls else None,
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
