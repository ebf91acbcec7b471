"""Who waits for an inbox to catch something, and who wakes them.

What this process catches wakes at once. Where other processes catch as well (on PostgreSQL), one statement asks twice a
second for all inboxes that somebody waits for; while nobody waits, nothing runs.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping

import structlog
from sqlalchemy import Connection, select

from mailferry.store.database import Database, unavailable
from mailferry.store.schema import inboxes

log = structlog.get_logger(__name__)

#: Who may wait at once, in this process and of one account: each is a connection and some kilobytes.
MOST = 2_000
MOST_OF_ACCOUNT = 200
#: Seconds between two looks for what other processes caught.
LOOK_SECONDS = 0.5

#: Of inboxes, how many messages each ever caught.
Counts = Mapping[int, int]


class TooManyWait(RuntimeError):
    """Nobody more may wait now."""


class Watch:
    """One who waits. What comes between two waits is not missed."""

    def __init__(self, arrivals: "Arrivals", account_id: int, inbox_id: int) -> None:
        self._arrivals = arrivals
        self.account_id, self.inbox_id = account_id, inbox_id
        self.came = asyncio.Event()
        if arrivals.closed:
            self.came.set()

    @property
    def ended(self) -> bool:
        """The process ends: nothing is waited for any more."""
        return self._arrivals.closed

    async def wait(self, seconds: float) -> bool:
        """True: the inbox may have caught something since the last wait, or the process ends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.came.wait()
        came = self.came.is_set()
        if not self.ended:
            self.came.clear()
        return came


class Arrivals:
    """One for the process. ``others``: the database that other processes catch into; None where there are none."""

    def __init__(self, others: Database | None = None) -> None:
        self.closed = False
        self._others = others
        self._watching: dict[int, set[Watch]] = {}
        self._accounts: Counter[int] = Counter()
        self._looking: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def watch(self, account_id: int, inbox_id: int) -> Iterator[Watch]:
        """Raises :class:`TooManyWait`. Begin to watch before the first look at what is there."""
        if self.full(account_id):
            raise TooManyWait
        watch = Watch(self, account_id, inbox_id)
        self._accounts[account_id] += 1
        self._watching.setdefault(inbox_id, set()).add(watch)
        if self._others is not None and self._looking is None:
            self._looking = asyncio.ensure_future(self._look(self._others))
        try:
            yield watch
        finally:
            self._leave(watch)

    @property
    def waiting(self) -> int:
        return self._accounts.total()

    @property
    def looks(self) -> bool:
        """Whether what other processes catch is being looked for."""
        return self._looking is not None

    def full(self, account_id: int) -> bool:
        """Nobody more may wait now."""
        return self._accounts[account_id] >= MOST_OF_ACCOUNT or self.waiting >= MOST

    def note(self, inbox_ids: Collection[int]) -> None:
        """They have caught something, which is durable. Call from the event loop."""
        for inbox_id in inbox_ids:
            for watch in self._watching.get(inbox_id, ()):
                watch.came.set()

    async def close(self) -> None:
        self.closed = True
        self.note(tuple(self._watching))
        self._stop_looking()

    def _leave(self, watch: Watch) -> None:
        self._accounts -= Counter((watch.account_id,))
        others = self._watching[watch.inbox_id]
        others.discard(watch)
        if not others:
            del self._watching[watch.inbox_id]
        if not self._watching:
            self._stop_looking()

    def _stop_looking(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _look(self, database: Database) -> None:
        known: Counts = {}
        while True:
            watched = tuple(self._watching)
            try:
                found = await database.read(_counts(watched))
            except Exception as error:
                if not unavailable(error):
                    log.exception("arrivals_not_looked_for")
            else:
                # Whoever is new here is woken once: something may have come before its inbox was looked at.
                self.note([inbox_id for inbox_id, count in found.items() if known.get(inbox_id) != count])
                known = found
            await asyncio.sleep(LOOK_SECONDS)


def _counts(watched: Collection[int]) -> Callable[[Connection], Counts]:
    asked = select(inboxes.c.id, inboxes.c.caught_count).where(inboxes.c.id.in_(watched))
    return lambda connection: {row.id: row.caught_count for row in connection.execute(asked)}
