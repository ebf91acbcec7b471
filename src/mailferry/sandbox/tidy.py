"""Gives back the room of what inboxes hold no more, where their bytes lie in segments (SQLite).

A segment goes when no row names it. One of which little is left is emptied before: what is left is written again behind the
newest, or a single message would keep thirty megabytes for years.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection, Row, func, select, update

from mailferry.sandbox.inbox import place_of
from mailferry.store.captured import CapturedSegments
from mailferry.store.content import ContentGone, Place
from mailferry.store.database import Database
from mailferry.store.schema import inbox_messages

log = structlog.get_logger(__name__)

#: A segment is emptied when less than one part in so many of it is left.
PART = 4
#: Octets that one transaction writes again, and that one round does.
PIECE = 8 * 1024 * 1024
ROUND = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Moved:
    id: int
    old: Place
    body: bytes


class Tidying:
    """One for the process; :meth:`round` is called now and then."""

    def __init__(self, database: Database, content: CapturedSegments, clock: Callable[[], int]) -> None:
        self._database = database
        self._content = content
        self._clock = clock
        #: Of the round before: rows that name them would have been committed since.
        self._needless: frozenset[str] = frozenset()

    async def round(self) -> None:
        full = self._content.full()
        left = await self._database.read(_octets_left)
        needless = frozenset(full) - frozenset(left)
        if gone := needless & self._needless:
            self._content.drop(gone)
            log.info("sandbox_segments_dropped", segments=sorted(gone))
        self._needless = needless - gone
        room = ROUND
        for name in _mostly_dead(full, left):
            if left[name] > room:
                return
            room -= left[name]
            await self._empty(name)

    async def _empty(self, segment: str) -> None:
        after = 0
        while True:
            found = await self._database.read(lambda c, after=after: self._read(c, segment, after))  # type: ignore[misc]
            if not found:
                return
            await self._database.submit(self._write, found, sum(len(each.body) for each in found))
            after = found[-1].id

    def _read(self, connection: Connection, segment: str, after: int) -> list[_Moved]:
        """The next PIECE of what is left."""
        of_it = select(inbox_messages).where(inbox_messages.c.segment == segment, inbox_messages.c.id > after)
        found: list[_Moved] = []
        octets = 0
        for row in connection.execute(of_it.order_by(inbox_messages.c.id)):
            octets += row.size
            if found and octets > PIECE:
                break
            if moved := self._with_body(connection, row):
                found.append(moved)
        return found

    def _with_body(self, connection: Connection, row: Row[tuple[object, ...]]) -> _Moved | None:
        place = place_of(row)
        try:
            return _Moved(row.id, place, self._content.read(connection, place))
        except ContentGone:  # a file that somebody took away: the row is all that is left
            log.error("sandbox_bytes_missing", inbox_message_id=row.id, segment=place.segment)
            return None

    def _write(self, connection: Connection, pieces: Sequence[Sequence[_Moved]]) -> list[None]:
        """The batch that the writer calls."""
        for piece in pieces:
            places = self._content.keep(connection, [(each.old.message_id, each.body) for each in piece], self._clock())
            for each, place in zip(piece, places, strict=True):
                # Deleted meanwhile: nothing names its bytes.
                connection.execute(
                    update(inbox_messages)
                    .where(inbox_messages.c.id == each.id)
                    .values(segment=place.segment, place=place.offset)
                )
        return [None] * len(pieces)


def _octets_left(connection: Connection) -> dict[str, int]:
    """By segment."""
    asked = select(inbox_messages.c.segment, func.sum(inbox_messages.c.size)).group_by(inbox_messages.c.segment)
    return {segment: int(octets) for segment, octets in connection.execute(asked).all()}


def _mostly_dead(full: Mapping[str, int], left: Mapping[str, int]) -> Collection[str]:
    """Those of which the least is left first."""
    found = [name for name, octets in full.items() if name in left and left[name] * PART < octets]
    return sorted(found, key=lambda name: left[name])
