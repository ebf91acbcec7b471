"""The bytes of messages: synced before the transaction that names them commits.

Two stores with one face. :class:`SegmentContent` appends to files in the data folder (SQLite); :class:`TableContent`
writes to a table with a partition a day (PostgreSQL). What no row names is dead space and goes with its segment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from mailferry.faults import reach
from mailferry.store.again import no_room

DAY_MS = 86_400_000
#: A failure to keep bytes is told for so long. Then a load balancer may try us again: without mail nothing would show that
#: the disk is mended.
TROUBLE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where one message's bytes lie. ``segment`` begins with the day, ``2026-11-24``, by which it is forgotten."""

    segment: str
    offset: int
    size: int
    message_id: str


class Content(Protocol):
    """All run inside the writer's transaction or on a reading connection."""

    def keep(self, connection: Connection, bodies: Sequence[tuple[str, bytes]], now_ms: int) -> list[Place]:
        """Make (message id, bytes) durable, at the latest with the connection's commit; places in the same order.

        Raises OSError, or the database's error, when there is no room; nothing of the bodies is kept then.
        """

    def read(self, connection: Connection, place: Place) -> bytes:
        """Raises :class:`ContentGone` when retention has taken it."""

    def head(self, connection: Connection, place: Place, octets: int) -> bytes:
        """Its first octets, at most so many. Raises :class:`ContentGone`."""

    def kept(self, connection: Connection, place: Place) -> bool:
        """Whether :meth:`read` would find it at present."""

    def trouble(self, now_ms: int) -> str:
        """Why bytes cannot be kept at present, in words for an operator; empty when they can. From any thread."""


class DatedContent(Content, Protocol):
    def forget(self, connection: Connection, before: date, needed: frozenset[str]) -> list[str]:
        """Drop the days before this one, but not the segments that are still needed; returns what was dropped."""


@dataclass(slots=True)
class LastFailure:
    """What went wrong when bytes were last to be kept, until some are kept again or TROUBLE_MS have gone by."""

    text: str = ""
    at_ms: int = 0

    def note(self, error: str, now_ms: int) -> None:
        self.text, self.at_ms = f"bytes could not be kept: {error}", now_ms

    def forget(self) -> None:
        self.text = ""

    def since(self, now_ms: int) -> str:
        # Noted later than now: the clock was set back, and trouble must not last for as long.
        return self.text if 0 <= now_ms - self.at_ms < TROUBLE_MS else ""


class ContentGone(LookupError):
    """The message's bytes are not kept any more."""


def day_of(now_ms: int) -> date:
    return datetime.fromtimestamp(now_ms / 1000, UTC).date()


class TableContent:
    """A day-partitioned table, written in the accept transaction: one commit makes bytes and rows durable together."""

    def __init__(self) -> None:
        self._days: set[date] = set()
        self._failure = LastFailure()

    def keep(self, connection: Connection, bodies: Sequence[tuple[str, bytes]], now_ms: int) -> list[Place]:
        day = day_of(now_ms)
        try:
            self.prepare(connection, day)
            self._insert(connection, day, bodies)
        except DBAPIError as error:
            if no_room(error):
                self._failure.note("the database's disk is full", now_ms)
            raise
        self._failure.forget()
        reach("after_sync")
        return [Place(day.isoformat(), 0, len(body), key) for key, body in bodies]

    def read(self, connection: Connection, place: Place) -> bytes:
        row = connection.execute(
            text("SELECT body FROM content WHERE day = :day AND message_id = :id"),
            {"day": date.fromisoformat(place.segment), "id": place.message_id},
        ).scalar()
        if row is None:
            raise ContentGone(place.message_id)
        return bytes(row)

    def head(self, connection: Connection, place: Place, octets: int) -> bytes:
        found = text("SELECT substring(body FROM 1 FOR :octets) FROM content WHERE day = :day AND message_id = :id")
        given = {"day": date.fromisoformat(place.segment), "id": place.message_id, "octets": octets}
        row = connection.execute(found, given).scalar()
        if row is None:
            raise ContentGone(place.message_id)
        return bytes(row)

    def kept(self, connection: Connection, place: Place) -> bool:
        found = text("SELECT 1 FROM content WHERE day = :day AND message_id = :id")
        given = {"day": date.fromisoformat(place.segment), "id": place.message_id} if place.segment else None
        return given is not None and connection.execute(found, given).scalar() is not None

    def forget(self, connection: Connection, before: date, needed: frozenset[str]) -> list[str]:
        dropped = []
        found = connection.execute(
            text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'content'::regclass")
        )
        for (name,) in found.all():
            day = date.fromisoformat(name.removeprefix("content_").replace("_", "-"))
            if day < before and day.isoformat() not in needed:
                connection.execute(text(f"DROP TABLE {name}"))
                dropped.append(day.isoformat())
        return dropped

    def trouble(self, now_ms: int) -> str:
        return self._failure.since(now_ms)

    def _insert(self, connection: Connection, day: date, bodies: Sequence[tuple[str, bytes]]) -> None:
        connection.execute(
            text(
                "INSERT INTO content (day, message_id, body) SELECT :day, * FROM unnest(:ids ::text[], :bodies ::bytea[])"
            ),
            {"day": day, "ids": [key for key, _ in bodies], "bodies": [body for _, body in bodies]},
        )

    def prepare(self, connection: Connection, day: date) -> None:
        """Make the partition of a day. Housekeeping does it days ahead, since it locks the whole table for a moment."""
        if day in self._days:
            return
        name = f"content_{day:%Y_%m_%d}"
        if connection.execute(text("SELECT to_regclass(:name)"), {"name": name}).scalar() is None:
            # Two nodes may try at once; the second waits here and then finds it.
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('mailferry content'))"))
            connection.execute(
                text(
                    f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF content"
                    f" FOR VALUES FROM ('{day}') TO ('{day + timedelta(days=1)}')"
                )
            )
        else:  # remembered only from the second look on: this transaction may yet be rolled back
            self._days.add(day)
