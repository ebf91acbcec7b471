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
from mailferry.delivery.transports.turns import Site, Turn, Turns
from mailferry.mail.reply import BEFORE_MAIL, Answer
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


_BEFORE_DOT = frozenset(("mail", "rcpt", "data"))
MOST_PLACES = 10_000
"""Destinations of which it is remembered how they answer; those not used for longest go first."""


@dataclass(slots=True)
class _Place:
    """One destination: whose turn it is there, and the connections that are free."""

    site: Site
    users: int = 0  # parcels that wait for a connection or have one
    idle: list[Client] = field(default_factory=list)

    @property
    def open(self) -> int:
        """Connections, those that are being made included."""
        return self.site.running + len(self.idle)


class Pool:
    """Carries parcels over connections to destinations. Belongs to one event loop."""

    def __init__(
        self,
        *,
        connections: int = CONNECTIONS,
        attempts: int = ATTEMPTS,
        idle_s: float = IDLE_S,
        transactions: int = TRANSACTIONS,
    ) -> None:
        self._turns = Turns(connections, attempts)
        self._idle_s = idle_s
        self._transactions = transactions
        self._places: OrderedDict[Hashable, _Place] = OrderedDict()
        self._idle: OrderedDict[Client, tuple[_Place, float]] = OrderedDict()  # and when it has idled enough
        self._timer: asyncio.TimerHandle | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    async def carry(self, key: Hashable, tour: Callable[[], Tour], parcel: Parcel) -> Answer:
        """One parcel to the destination `key`: over an idle connection, else over one from a new `tour` of its hosts.

        Waits for the destination's turn, and again when its hosts have no room for one more connection of ours: that is
        no attempt.
        """
        place = self._place(key)
        place.users += 1
        try:
            while (answer := await self._attempt(place, tour, parcel)) is None:
                pass
            return answer
        finally:
            place.users -= 1

    async def _attempt(self, place: _Place, tour: Callable[[], Tour], parcel: Parcel) -> Answer | None:
        """An attempt when it may be made; None when there was no room for it."""
        turn = await self._turns.take(place.site)
        try:
            answer = await self._carry(place, turn, tour(), parcel)
            if answer is not None:
                self._learn(turn, answer, parcel)
            return answer
        finally:
            self._turns.give_back(turn)

    def _learn(self, turn: Turn, answer: Answer, parcel: Parcel) -> None:
        if answer.code and answer.stage not in BEFORE_MAIL:
            self._turns.answered(turn)
        elif not answer.code and answer.enhanced.startswith("4") and answer.stage != "prepare" and parcel.may_commit():
            self._turns.unanswered(turn)

    async def close(self) -> None:
        """Ends the idle connections. Parcels on their way are their callers' to wait for or to cancel."""
        while self._idle:
            self._retire(next(iter(self._idle)))
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self._leaving)

    async def _carry(self, place: _Place, turn: Turn, journey: Tour, parcel: Parcel) -> Answer | None:
        prepared: dict[Peer, Prepared | Answer] = {}
        client = self._take(place, journey)
        if client is not None:
            answer = await self._transact(place, client, parcel, prepared)
            # The host may have closed just as we began: it has taken nothing, and a fresh connection will tell.
            if not _host_failed(answer):
                return _concluded(journey, answer)
        while True:
            others = place.open - 1
            found = await journey.next()
            if isinstance(found, Answer):
                if journey.was_full and (others or place.open > 1):
                    self._turns.turned_away(turn, place.open - 1)
                    return None
                return found
            answer = await self._transact(place, found, parcel, prepared)
            if not _host_failed(answer):
                return _concluded(journey, answer)
            journey.note(answer)

    async def _transact(
        self, place: _Place, client: Client, parcel: Parcel, prepared: dict[Peer, Prepared | Answer]
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
        self._give_back(place, client)
        return answer

    # Idle connections.

    def _take(self, place: _Place, journey: Tour) -> Client | None:
        """An idle connection, of several the one used last, so that the others grow old and go."""
        for client in reversed(place.idle):
            if not journey.takes(client):
                continue
            place.idle.remove(client)
            del self._idle[client]
            if client.usable:
                return client
        return None

    def _give_back(self, place: _Place, client: Client) -> None:
        if not client.usable:
            return
        if client.transactions >= self._transactions or client.for_one:
            self._quit(client)
            return
        place.idle.append(client)
        loop = asyncio.get_running_loop()
        self._idle[client] = (place, loop.time() + self._idle_s)
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
        place, _ = self._idle.pop(client)
        place.idle.remove(client)
        self._quit(client)

    def _quit(self, client: Client) -> None:
        task = asyncio.create_task(client.quit())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    # Destinations.

    def _place(self, key: Hashable) -> _Place:
        place = self._places.get(key)
        if place is None:
            if len(self._places) >= MOST_PLACES:
                self._forget_one()
            place = self._places[key] = _Place(self._turns.site())
        self._places.move_to_end(key)
        return place

    def _forget_one(self) -> None:
        unused = (key for key, place in self._places.items() if not place.users and not place.idle)
        if (key := next(unused, None)) is not None:
            del self._places[key]


@lru_cache(maxsize=1024)
def _peer(eight_bit: bool, utf8: bool, size: int) -> Peer:
    return Peer(eight_bit, utf8, size)


def _host_failed(answer: Answer) -> bool:
    """Whether the host failed before it was sent the final dot; another host, or a new connection, may do.

    RFC 5321 5.1 would allow to go on after any 4xx. Of these only 421 speaks of the host and not of this mail.
    """
    return answer.stage in _BEFORE_DOT and (
        answer.code == 421 or (answer.code == 0 and answer.enhanced.startswith("4"))
    )


def _concluded(journey: Tour, answer: Answer) -> Answer:
    # RFC 1047: without an answer to the dot nobody knows who has the message, and 421 is only the host's own "later".
    if answer.stage == "dot" and answer.code in (0, 421):
        journey.doubt(answer.ip)
    return answer
