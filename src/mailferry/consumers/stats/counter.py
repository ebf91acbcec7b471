"""Follows the journal and counts. Counters and the cursor commit together, so every event is counted once, whatever dies."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection, delete, select

from mailferry.consumers.stats.tally import HOUR_MS, KINDS, merge, piece_of_hour, tally
from mailferry.journal import follow
from mailferry.journal.follow import LEASE_MS, Cursor, Position
from mailferry.store.database import Database
from mailferry.store.given import add_rows
from mailferry.store.schema import messages, stats

log = structlog.get_logger(__name__)

CURSOR = "stats"
#: How late a number may be, where nothing else keeps it back.
PAUSE_SECONDS = 1.0
DAY_MS = 24 * HOUR_MS


class CountedElsewhere(RuntimeError):
    """Another node holds the cursor."""


class Counter:
    """One node counts at a time, under the cursor's lease."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self._held: Cursor | None = None
        #: A recount and the ordinary counting take turns.
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            while True:
                if not await self._try():
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            await self._release()

    async def _try(self) -> bool:
        """True: something was counted, and there may be more."""
        try:
            return await self.step()
        except Exception:
            # The database may be away; what was not counted is counted later.
            log.warning("stats_not_counted", exc_info=True)
            self._held = None
            return False

    async def step(self) -> bool:
        """Count the next piece of the journal; False when there was none, or another node counts."""
        async with self._turn:
            return await self._step()

    async def _step(self) -> bool:
        held = await self._hold()
        if held is None:
            return False
        until, added = await self._database.read(lambda connection: _read(connection, held.position))
        if until == held.position:
            return False

        def keep(connection: Connection) -> bool:
            if not follow.move(connection, held, until, self._clock()):
                return False
            add_rows(connection, stats, added)
            return True

        moved = await self._database.write(keep)
        self._held = replace(held, position=until) if moved else None
        return moved

    async def _hold(self) -> Cursor | None:
        """The cursor, leased to us for a while yet; None: another node counts."""
        now, held = self._clock(), self._held
        if held is not None and held.lease_until - now > LEASE_MS * 2 // 3:
            return held
        if held is not None:
            self._held = await self._database.write(lambda connection: follow.renew(connection, held, now))
            return self._held
        # A look costs nothing; a claim is a transaction, and for nothing while another node counts.
        found = await self._database.read(lambda connection: follow.cursor(connection, CURSOR))
        if found is not None and found.lease_until > now:
            return None
        self._held = await self._database.write(lambda connection: _claim(connection, now))
        return self._held

    async def recount(self, logs_days: int) -> int:
        """Count every hour anew of which the journal still knows all, while nothing else is counted; how many those were.

        Hours before stay as they are: part of what happened then is forgotten. Raises :class:`CountedElsewhere`.
        """
        async with self._turn:
            first = -(-(self._clock() - logs_days * DAY_MS) // HOUR_MS)
            held = await self._hold()
            if held is None:
                raise CountedElsewhere
            hours, counted = await self._database.read(partial(_hours, first))
            for hour in hours:
                added = await self._anew(hour, held.position)
                if added or hour in counted:
                    await self._database.write(partial(_replace, held, hour, added, self._clock()))
            return len(hours)

    async def _anew(self, hour: int, until: Position) -> list[dict[str, Any]]:
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        last = ""
        while True:
            piece = await self._database.read(partial(piece_of_hour, hour, last, until))
            merge(found, piece.rows)
            if not piece.last:
                return list(found.values())
            last = piece.last

    async def _release(self) -> None:
        if (held := self._held) is not None:
            self._held = None
            await self._database.write(lambda connection: follow.release(connection, held))


def _read(connection: Connection, after: Position) -> tuple[Position, list[dict[str, Any]]]:
    window = follow.read(connection, after, KINDS)
    return window.until, tally(connection, window.rows)


def _claim(connection: Connection, now: int) -> Cursor | None:
    # From the beginning of what is left: a house that is upgraded has counted nothing yet.
    follow.begin(connection, CURSOR, Position(0, 0), now)
    claimed = follow.claim(connection, CURSOR, now)
    if claimed is not None and connection.dialect.name == "postgresql":  # where it may be done by another node
        log.info("stats_counted_here")
    return claimed


def _hours(first: int, connection: Connection) -> tuple[list[int], set[int]]:
    """From that one on, all that may have something to count; and those of them that have counters."""
    counted = set(connection.execute(select(stats.c.hour).where(stats.c.hour >= first).distinct()).scalars())
    of_one = select(messages.c.created_at // HOUR_MS).limit(1)
    oldest = connection.execute(of_one.order_by(messages.c.id)).scalar()
    newest = connection.execute(of_one.order_by(messages.c.id.desc())).scalar()
    known = range(max(first, oldest), newest + 1) if oldest is not None and newest is not None else ()
    return sorted({*counted, *known}), counted


def _replace(held: Cursor, hour: int, added: list[dict[str, Any]], now: int, connection: Connection) -> None:
    if follow.renew(connection, held, now) is None:
        raise CountedElsewhere
    connection.execute(delete(stats).where(stats.c.hour == hour))
    add_rows(connection, stats, added)
