"""The time that all nodes agree on: PostgreSQL's, or on SQLite this machine's, carried on by a clock that nobody sets.

Leases, retries and ages are times that one process writes and another one reads, so every process has them from here.
"""

import asyncio
import time
from collections.abc import Callable

import structlog
from sqlalchemy import Connection, text

from mailferry.store.database import Database

#: Seconds between two looks at the clock that is followed.
EVERY = 10.0
#: Milliseconds by which it may have moved against the steady one meanwhile: more is no correction but a step.
STEP_MS = 5_000

log = structlog.get_logger(__name__)


def steady() -> int:
    """Milliseconds since the machine started; where the system counts them, also those in which it slept."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1_000_000


class CommonClock:
    """Call it for Unix milliseconds. ``ahead``: seconds by which the wall clock is ahead of the database's."""

    def __init__(self, wall: Callable[[], int], ahead: float = 0.0, steady: Callable[[], int] = steady) -> None:
        self._wall = wall
        self._steady = steady
        self._offset = wall() - steady() - int(ahead * 1000)
        self._stepped = 0

    def __call__(self) -> int:
        return self._steady() + self._offset

    def grown(self) -> int:
        """The time by which mail grows old: without the steps forward of PostgreSQL's clock, which may be as wrong as right.

        Never ahead of it: mail accepted after a step back would be old at once.
        """
        return self() - self._stepped

    async def keep(self, database: Database, move: Callable[[Connection, int], None]) -> None:
        """Follow the database's clock until cancelled; ``move`` as for :meth:`follow`."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.follow(database, move)
            except Exception as error:  # the database is away: the steady clock goes on
                log.warning("clock_not_compared", error=repr(error))

    async def follow(self, database: Database, move: Callable[[Connection, int], None]) -> None:
        """Take over what the followed clock says now.

        A step of it makes nothing late or old. On SQLite, where nobody else writes times, ``move`` moves all that waits
        by so many milliseconds. Nodes on PostgreSQL see the step one by one, and only their mail's age leaves it out
        where it went forward.
        """
        sqlite = database.dialect == "sqlite"
        off = self._wall() - self() if sqlite else -int(await clock_ahead(database, self) * 1000)
        if abs(off) > STEP_MS:
            log.error("clock_stepped", seconds=off / 1000)
            if sqlite:
                await database.write(lambda connection: move(connection, off))
            else:
                self._stepped = max(0, self._stepped + off)
        self._offset += off


async def clock_ahead(database: Database, clock: Callable[[], int]) -> float:
    """Seconds by which our clock is ahead of the database's; negative when it is behind. 0 on SQLite, which has ours.

    The time that the question took is taken off: it is no difference.
    """
    if database.dialect == "sqlite":
        return 0.0

    def ask(connection: Connection) -> tuple[int, int, int]:
        before = clock()
        theirs = connection.execute(
            text("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint")
        ).scalar_one()
        return before, int(theirs), clock()

    before, theirs, after = await database.read(ask)
    return (before - theirs if theirs < before else min(0, after - theirs)) / 1000
