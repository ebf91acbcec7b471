"""Bytes of caught messages in memory, for houses whose sandbox nobody looks at closely."""

from collections.abc import Sequence

from sqlalchemy import Connection

from mailferry.store.content import ContentGone, Place


class MemoryContent:
    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}

    def keep(self, connection: Connection, bodies: Sequence[tuple[str, bytes]], now_ms: int) -> list[Place]:
        self.bodies |= dict(bodies)
        return [Place("", 0, len(body), key) for key, body in bodies]

    def read(self, connection: Connection, place: Place) -> bytes:
        if place.message_id not in self.bodies:
            raise ContentGone(place.message_id)
        return self.bodies[place.message_id]

    def head(self, connection: Connection, place: Place, octets: int) -> bytes:
        return self.read(connection, place)[:octets]

    def kept(self, connection: Connection, place: Place) -> bool:
        return place.message_id in self.bodies

    def remove(self, connection: Connection, keys: Sequence[str]) -> None:
        for key in keys:
            del self.bodies[key]

    def trouble(self, now_ms: int) -> str:
        return ""
