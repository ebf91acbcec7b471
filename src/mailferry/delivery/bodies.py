"""Stored messages on their way: each is read once, however many of its recipients are tried at the same time.

A body is read when a host is there to take it, so that a dead destination costs no memory. Large ones share a limited
room and wait for it in the order they came; small ones are bounded by the number of attempts.
"""

import asyncio
from dataclasses import dataclass

from mailferry.delivery.job import Job
from mailferry.store.content import Content, Place
from mailferry.store.database import Database

#: Octets up to which a message needs no room.
SMALL = 256 * 1024
#: Octets of large messages in memory at once; prepared, each is there a second time. One that is larger goes alone.
ROOM = 128 * 1024 * 1024


class Bodies:
    """Belongs to one event loop."""

    def __init__(self, database: Database, content: Content, room: int = ROOM) -> None:
        self._database = database
        self._content = content
        self._room = _Room(room)
        self._shared: dict[str, _Shared] = {}

    def of(self, job: Job) -> "Body":
        return Body(self, job)

    def join(self, place: Place) -> "_Shared":
        shared = self._shared.get(place.message_id)
        if shared is None:
            shared = self._shared[place.message_id] = _Shared(place, asyncio.create_task(self._read(place)))
        shared.users += 1
        return shared

    def leave(self, shared: "_Shared") -> None:
        shared.users -= 1
        if shared.users == 0:
            del self._shared[shared.place.message_id]
            if not shared.reading.cancel():  # it was read, and has its room
                self._room.give_back(_octets(shared.place))

    async def _read(self, place: Place) -> bytes:
        await self._room.take(_octets(place))
        try:
            return await self._database.read(lambda connection: self._content.read(connection, place))
        except asyncio.CancelledError:
            self._room.give_back(_octets(place))
            raise


class Body:
    """One recipient's part in a message. Release it when the attempt has ended."""

    def __init__(self, bodies: Bodies, job: Job) -> None:
        self._bodies = bodies
        self._job = job
        self._shared: _Shared | None = None

    async def read(self) -> bytes:
        """Raises :class:`~mailferry.store.content.ContentGone`, and the database's errors."""
        self._job.begun = True
        if self._job.body is not None:  # handed over from memory
            return self._job.body
        if self._shared is None:
            self._shared = self._bodies.join(self._job.place)
        # Other recipients may wait for the same: our being cancelled must not cancel it.
        return await asyncio.shield(self._shared.reading)

    def release(self) -> None:
        if self._shared is not None:
            self._bodies.leave(self._shared)
            self._shared = None


@dataclass(slots=True)
class _Shared:
    place: Place
    reading: "asyncio.Task[bytes]"
    users: int = 0


class _Room:
    """Octets that are free. Who wants more than there are waits, and whoever comes later waits behind."""

    def __init__(self, octets: int) -> None:
        self._all = self._free = octets
        self._turn = asyncio.Lock()
        self._given_back = asyncio.Event()

    async def take(self, octets: int) -> None:
        if not octets:
            return
        octets = min(octets, self._all)
        async with self._turn:
            while self._free < octets:
                self._given_back.clear()
                await self._given_back.wait()
            self._free -= octets

    def give_back(self, octets: int) -> None:
        self._free += min(octets, self._all)
        self._given_back.set()


def _octets(place: Place) -> int:
    return place.size if place.size > SMALL else 0
