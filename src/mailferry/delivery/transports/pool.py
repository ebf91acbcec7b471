"""Connections that stay open for the next parcel to the same destination, and how many there may be at once.

A fresh connection costs a parcel four times the work of a reused one, forty times with TLS.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import lru_cache

from mailferry.delivery.transports.tour import Tour
from mailferry.delivery.transports.transport import Parcel, Peer, Prepared
from mailferry.mail.reply import Answer
from mailferry.net.smtp import Client

CONNECTIONS = 20
"""To one destination at once. What Postfix opens, and what large receivers expect of a sender that they do not know."""
ATTEMPTS = 500
"""Parcels under way at once, to all sites together. One that waits for its site's turn is none of them: hosted mail is most
of the mail, and hundreds of waiting domains of one slow host must not use up what the others need."""
IDLE_S = 15
"""Receivers take a connection that idles for long as a fault; many cut it after 30 s."""
TRANSACTIONS = 500
"""On one connection, as Exim sends. A receiver that allows fewer says 421, and then a fresh one is made; with 100 the making
of connections was a tenth of all work."""
MAX_IDLE = 200
"""Idle connections to all destinations together; each is a file descriptor, of which a process often has 1,024."""


@dataclass(slots=True)
class _Site:
    """One destination's connections: who may have one, and those that are free."""

    slots: asyncio.Semaphore
    users: int = 0  # parcels that wait for a connection or have one
    idle: list[Client] = field(default_factory=list)


class Pool:
    """Carries parcels over connections to sites. Belongs to one event loop."""

    def __init__(
        self,
        *,
        connections: int = CONNECTIONS,
        attempts: int = ATTEMPTS,
        idle_s: float = IDLE_S,
        transactions: int = TRANSACTIONS,
    ) -> None:
        self._attempts = asyncio.Semaphore(attempts)
        self._connections = connections
        self._idle_s = idle_s
        self._transactions = transactions
        self._sites: dict[Hashable, _Site] = {}
        self._idle: OrderedDict[Client, tuple[Hashable, float]] = OrderedDict()  # and when it has idled enough
        self._timer: asyncio.TimerHandle | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    async def carry(self, key: Hashable, tour: Callable[[], Tour], parcel: Parcel) -> Answer:
        """One parcel to the site `key`: over an idle connection, else over one from a new `tour` of its hosts.

        Waits while the site has as many connections as it may, and then while all sites together have.
        """
        site = self._sites.get(key)
        if site is None:
            site = self._sites[key] = _Site(asyncio.Semaphore(self._connections))
        site.users += 1
        try:
            async with site.slots, self._attempts:
                return await self._carry(key, site, tour, parcel)
        finally:
            site.users -= 1
            self._forget(key, site)

    async def close(self) -> None:
        """Ends the idle connections. Parcels on their way are their callers' to wait for or to cancel."""
        while self._idle:
            self._retire(next(iter(self._idle)))
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self._leaving)

    async def _carry(self, key: Hashable, site: _Site, tour: Callable[[], Tour], parcel: Parcel) -> Answer:
        prepared: dict[Peer, Prepared | Answer] = {}
        client = self._take(site)
        if client is not None:
            answer = await self._transact(key, site, client, parcel, prepared)
            # The host may have closed just as we began: it has taken nothing, and a fresh connection will tell.
            if not _host_failed(answer):
                return answer
        journey = tour()
        while True:
            found = await journey.next()
            if isinstance(found, Answer):
                return found
            answer = await self._transact(key, site, found, parcel, prepared)
            if not _host_failed(answer):
                return answer
            journey.note(answer)

    async def _transact(
        self, key: Hashable, site: _Site, client: Client, parcel: Parcel, prepared: dict[Peer, Prepared | Answer]
    ) -> Answer:
        try:
            peer = _peer(client.eight_bit, client.utf8, client.size)
            ready = prepared.get(peer)
            if ready is None:
                ready = prepared[peer] = await parcel.prepare(peer)
            if isinstance(ready, Answer):
                answer = client.refused(ready)
            else:
                answer = await client.send(
                    parcel.sender,
                    parcel.recipient,
                    ready.chunks,
                    eight_bit=ready.eight_bit,
                    utf8=ready.utf8,
                    may_commit=parcel.may_commit,
                )
        except BaseException:
            client.abort()  # nobody knows where the transaction stands
            raise
        self._give_back(key, site, client)
        return answer

    # Idle connections.

    def _take(self, site: _Site) -> Client | None:
        while site.idle:
            client = site.idle.pop()  # the one used last: the others may grow old and go
            del self._idle[client]
            if client.usable:
                return client
        return None

    def _give_back(self, key: Hashable, site: _Site, client: Client) -> None:
        if not client.usable:
            return
        if client.transactions >= self._transactions:
            self._quit(client)
            return
        site.idle.append(client)
        loop = asyncio.get_running_loop()
        self._idle[client] = (key, loop.time() + self._idle_s)
        if len(self._idle) > MAX_IDLE:
            self._retire(next(iter(self._idle)))
        if self._timer is None:
            self._timer = loop.call_later(self._idle_s, self._sweep)

    def _sweep(self) -> None:
        """Ends the connections that have idled enough; they stand in the order in which they became idle."""
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._idle:
            client, (_, until) = next(iter(self._idle.items()))
            if until > loop.time():
                self._timer = loop.call_at(until, self._sweep)
                return
            self._retire(client)

    def _retire(self, client: Client) -> None:
        key, _ = self._idle.pop(client)
        site = self._sites[key]
        site.idle.remove(client)
        self._forget(key, site)
        self._quit(client)

    def _quit(self, client: Client) -> None:
        task = asyncio.create_task(client.quit())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _forget(self, key: Hashable, site: _Site) -> None:
        if not site.users and not site.idle:
            self._sites.pop(key, None)


@lru_cache(maxsize=1024)
def _peer(eight_bit: bool, utf8: bool, size: int) -> Peer:
    return Peer(eight_bit, utf8, size)


def _host_failed(answer: Answer) -> bool:
    """Whether the host failed before it said anything about this parcel; another host, or a new connection, may do.

    RFC 5321 5.1 would allow to go on after any 4xx. Of these only 421 speaks of the host and not of this mail.
    """
    return answer.stage == "mail" and (answer.code == 421 or (answer.code == 0 and answer.enhanced.startswith("4")))
