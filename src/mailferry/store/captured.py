"""The bytes of what the sandbox caught: as durable as mail's (content.py), but kept by number and not by days.

An inbox holds its newest messages, however old they are, so a message's bytes go when its row does. On PostgreSQL they
are a row beside it, and on SQLite those of small messages: a group of them costs one sync and not two. Larger ones lie
there in segments of their own (``DATA/sandbox``), smaller than those of mail: one is unlinked when no row names it any
more, and one message that stays must not hold up hundreds of megabytes.
"""

import contextlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from mailferry.faults import reach
from mailferry.store.again import no_room
from mailferry.store.content import Content, ContentGone, LastFailure, Place
from mailferry.store.segments import SegmentContent, plain_size

SEGMENT_OCTETS = 32 * 1024 * 1024
#: Octets of a message up to which it is cheaper to have the database write it twice (its log, and later its file) than to
#: sync another file.
SMALL = 16 * 1024


class CapturedContent(Content, Protocol):
    def remove(self, connection: Connection, keys: Sequence[str]) -> None:
        """Their rows go in this transaction, and nobody reads these bytes any more."""


class CapturedSegments(SegmentContent):
    """``keep`` is called by the writer thread only, the others by any."""

    def __init__(self, data_dir: Path, small: int = SMALL) -> None:
        super().__init__(data_dir / "sandbox", SEGMENT_OCTETS)
        self._small = small

    def keep(self, connection: Connection, bodies: Sequence[tuple[str, bytes]], now_ms: int) -> list[Place]:
        large = [(key, body) for key, body in bodies if len(body) > self._small]
        found: dict[str, Place] = {}
        # No room for a segment is no room for the database: it refuses where nothing is large, too.
        if large or self._lack():
            found = {place.message_id: place for place in super().keep(connection, large, now_ms)}
        small = [{"key": key, "body": body} for key, body in bodies if key not in found]
        if small:
            connection.execute(text("INSERT INTO inbox_contents (key, body) VALUES (:key, :body)"), small)
        return [found.get(key) or Place("", 0, len(body), key) for key, body in bodies]

    def read(self, connection: Connection, place: Place) -> bytes:
        if place.segment:
            return super().read(connection, place)
        return _found(connection, "SELECT body FROM inbox_contents WHERE key = :key", place)

    def head(self, connection: Connection, place: Place, octets: int) -> bytes:
        return super().head(connection, place, octets) if place.segment else self.read(connection, place)[:octets]

    def kept(self, connection: Connection, place: Place) -> bool:
        return super().kept(connection, place) if place.segment else _is_kept(connection, place)

    def remove(self, connection: Connection, keys: Sequence[str]) -> None:
        """In a segment their place is dead space until that goes."""
        statement = text("DELETE FROM inbox_contents WHERE key IN (SELECT value FROM json_each(:keys))")
        connection.execute(statement, {"keys": msgspec.json.encode(keys).decode()})

    def full(self) -> dict[str, int]:
        """Segments that nothing is added to any more, and their octets before compression."""
        found = {}
        for path in self._folder.glob("*.*seg"):
            with contextlib.suppress(FileNotFoundError):  # it is compressed in this moment: next time
                if self._name and path.stem not in (self._name, self._next):
                    found[path.stem] = plain_size(path)
        return found

    def drop(self, names: Collection[str]) -> None:
        """Of :meth:`full`. No row names them, and none that is about to be committed."""
        for name in names:
            for kind in ("seg", "zseg"):
                (self._folder / f"{name}.{kind}").unlink(missing_ok=True)


class CapturedTable:
    """A row a message, written and deleted in the transaction of the message's own."""

    def __init__(self) -> None:
        self._failure = LastFailure()

    def keep(self, connection: Connection, bodies: Sequence[tuple[str, bytes]], now_ms: int) -> list[Place]:
        given = {"keys": [key for key, _ in bodies], "bodies": [body for _, body in bodies]}
        statement = "INSERT INTO inbox_contents (key, body) SELECT * FROM unnest(:keys ::text[], :bodies ::bytea[])"
        try:
            connection.execute(text(statement), given)
        except DBAPIError as error:
            if no_room(error):
                self._failure.note("the database's disk is full", now_ms)
            raise
        self._failure.forget()
        reach("after_sync")
        return [Place("", 0, len(body), key) for key, body in bodies]

    def read(self, connection: Connection, place: Place) -> bytes:
        return _found(connection, "SELECT body FROM inbox_contents WHERE key = :key", place)

    def head(self, connection: Connection, place: Place, octets: int) -> bytes:
        statement = "SELECT substring(body FROM 1 FOR :octets) FROM inbox_contents WHERE key = :key"
        return _found(connection, statement, place, octets=octets)

    def kept(self, connection: Connection, place: Place) -> bool:
        return _is_kept(connection, place)

    def remove(self, connection: Connection, keys: Sequence[str]) -> None:
        connection.execute(text("DELETE FROM inbox_contents WHERE key = ANY(:keys ::text[])"), {"keys": list(keys)})

    def trouble(self, now_ms: int) -> str:
        return self._failure.since(now_ms)


def _found(connection: Connection, statement: str, place: Place, **more: int) -> bytes:
    found = connection.execute(text(statement), {"key": place.message_id} | more).scalar()
    if found is None:
        raise ContentGone(place.message_id)
    return bytes(found)


def _is_kept(connection: Connection, place: Place) -> bool:
    found = text("SELECT 1 FROM inbox_contents WHERE key = :key")
    return connection.execute(found, {"key": place.message_id}).scalar() is not None
