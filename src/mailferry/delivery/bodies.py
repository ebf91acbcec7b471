"""Room in memory for large messages on their way.

A body is read when a host is there to take it, so that a dead destination costs nothing. Large ones share a limited room,
counted once a message whatever the number of its recipients, and wait for it in the order they came; small ones are
bounded by the number of attempts.
"""

import asyncio
from dataclasses import dataclass

from mailferry.delivery.job import Job
from mailferry.store.content import Content, Place
from mailferry.store.database import Database

#: Octets up to which a message needs no room.
SMALL = 256 * 1024
#: Octets of large messages in memory at once. One that is larger than all of it goes alone.
ROOM = 256 * 1024 * 1024


class Bodies:
    """Belongs to one event loop."""

    def __init__(self, database: Database, content: Content, room: int = ROOM) -> None:
        self._database = database
        self._content = content
        self._room = _Room(room)
        self._held: dict[str, _Held] = {}

    def of(self, job: Job) -> "Body":
        return Body(self, job)

    async def read(self, place: Place) -> bytes:
        return await self._database.read(lambda connection: self._content.read(connection, place))

    def enter(self, place: Place) -> "_Held":
        held = self._held.get(place.message_id)
        if held is None:
            held = self._held[place.message_id] = _Held(place, asyncio.create_task(self._room.take(place.size)))
        held.users += 1
        return held

    def leave(self, held: "_Held") -> None:
        held.users -= 1
        if held.users == 0:
            del self._held[held.place.message_id]
            if not held.entering.cancel():
                self._room.give_back(held.place.size)


class Body:
    """One recipient's part in a message. Release it when the attempt has ended."""

    def __init__(self, bodies: Bodies, job: Job) -> None:
        self._bodies = bodies
        self._job = job
        self._held: _Held | None = None

    async def read(self) -> bytes:
        """The stored bytes. Raises :class:`~mailferry.store.content.ContentGone`, and the database's errors."""
        if (body := self._job.body) is not None:
            self._job.body = None  # handed over from memory; once it is prepared, nobody needs it a second time there
            return body
        if self._job.place.size > SMALL:
            if self._held is None:
                self._held = self._bodies.enter(self._job.place)
            # Other recipients may wait for the same: our being cancelled must not cancel it.
            await asyncio.shield(self._held.entering)
        return await self._bodies.read(self._job.place)

    def release(self) -> None:
        if self._held is not None:
            self._bodies.leave(self._held)
            self._held = None


@dataclass(slots=True)
class _Held:
    place: Place
    entering: "asyncio.Task[None]"
    users: int = 0


class _Room:
    """Octets that are free. Who wants more than there are waits, and whoever comes later waits behind."""

    def __init__(self, octets: int) -> None:
        self._all = self._free = octets
        self._turn = asyncio.Lock()
        self._given_back = asyncio.Event()

    async def take(self, octets: int) -> None:
        octets = min(octets, self._all)
        async with self._turn:
            while self._free < octets:
                self._given_back.clear()
                await self._given_back.wait()
            self._free -= octets

    def give_back(self, octets: int) -> None:
        self._free += min(octets, self._all)
        self._given_back.set()
