"""What a session sees of its inbox (RFC 1939 sections 5 and 8): messages by numbers, as they were when it began.

An inbox goes on while it is read: what is caught later is for the next session, and what makes room for it, or is deleted
over the API, keeps its number and is told to be gone. Deleting waits for QUIT; a session that ends otherwise deletes
nothing.
"""

from __future__ import annotations

import hmac
from array import array
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from mailferry.endpoints.bodies import aside
from mailferry.resources.inboxes import Inbox
from mailferry.sandbox import inbox as sandbox
from mailferry.store.captured import CapturedContent
from mailferry.store.content import ContentGone, Place

T = TypeVar("T")
#: Octets in which a client that looks at headers mostly finds all that it asked for.
HEAD = 64 * 1024


class Store(Protocol):
    """See store/database.py."""

    def read(self, work: Callable[[Connection], T]) -> Awaitable[T]: ...

    def write(self, work: Callable[[Connection], T]) -> Awaitable[T]: ...


class Inboxes(Protocol):
    """See resources/inboxes.py."""

    async def by_username(self, username: str) -> Inbox | None: ...


class Maildrop:
    """Sixteen octets a message, since an inbox may hold a million."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.deleted: set[int] = set()
        #: Of all that are not deleted.
        self.octets = 0
        self._ids = array("q")
        self._sizes = array("q")

    def add(self, rows: Iterable[tuple[int, int]]) -> None:
        """Ids and octets, from the oldest on."""
        for identity, size in rows:
            self._ids.append(identity)
            self._sizes.append(size)
            self.octets += size

    def delete(self, number: int) -> None:
        self.deleted.add(number)
        self.octets -= self.size(number)

    def undelete(self) -> None:
        self.octets += sum(map(self.size, self.deleted))
        self.deleted.clear()

    def has(self, number: int) -> bool:
        return 1 <= number <= len(self._ids) and number not in self.deleted

    def numbers(self) -> Iterator[int]:
        return (number for number in range(1, len(self._ids) + 1) if number not in self.deleted)

    def id(self, number: int) -> int:
        """Of no other message, ever: what UIDL tells."""
        return self._ids[number - 1]

    def size(self, number: int) -> int:
        return self._sizes[number - 1]

    @property
    def count(self) -> int:
        return len(self._ids) - len(self.deleted)

    @property
    def last_id(self) -> int:
        return self._ids[-1] if self._ids else 0


class Maildrops:
    """Opens them, one session an inbox (RFC 1939 section 4), and reads and deletes in them.

    The lock is this process's. Nodes that share a database do not know each other's; nothing is harmed by that, since a
    session deletes what it was shown and nothing else.
    """

    def __init__(self, store: Store, content: CapturedContent, inboxes: Inboxes) -> None:
        self._store = store
        self._content = content
        self._inboxes = inboxes
        self._locked: set[int] = set()

    async def authenticate(self, username: str, password: str) -> Inbox | None:
        inbox = await self._inboxes.by_username(username)
        return inbox if inbox and hmac.compare_digest(inbox.password.encode(), password.encode()) else None

    async def may_still(self, inbox: Inbox) -> bool:
        """False: its credentials were reset since the login, or it was deleted."""
        now = await self._inboxes.by_username(inbox.username)
        return now is not None and now.password == inbox.password

    def lock(self, inbox: Inbox) -> bool:
        """False: another session has it open."""
        if inbox.id in self._locked:
            return False
        self._locked.add(inbox.id)
        return True

    def unlock(self, inbox: Inbox) -> None:
        self._locked.discard(inbox.id)

    async def open(self, inbox: Inbox) -> Maildrop:
        maildrop = Maildrop(inbox)
        while rows := await self._store.read(lambda c: sandbox.sizes(c, inbox.id, maildrop.last_id)):
            maildrop.add(rows)
        return maildrop

    async def message(self, maildrop: Maildrop, number: int) -> bytes | None:
        """None: it is there no longer."""
        return await self._read(maildrop, number, self._content.read)

    async def top(self, maildrop: Maildrop, number: int, lines: int) -> bytes | None:
        """Its header, and so many lines of its body."""
        head = await self._read(maildrop, number, lambda c, place: self._content.head(c, place, HEAD))
        if head is None:
            return None
        if (found := top(head, lines)) is not None:
            return found
        message = await self.message(maildrop, number)
        if message is None:
            return None
        cut = await aside(len(message), lambda: top(message, lines))
        return message if cut is None else cut

    async def remove_deleted(self, maildrop: Maildrop) -> None:
        """What was marked, some in each transaction; those that are gone already are gone."""
        ids = [maildrop.id(number) for number in sorted(maildrop.deleted)]
        for start in range(0, len(ids), sandbox.SOME):
            some = ids[start : start + sandbox.SOME]
            await self._store.write(lambda c, some=some: sandbox.remove(c, self._content, maildrop.inbox.id, some))  # type: ignore[misc]

    async def _read(self, maildrop: Maildrop, number: int, how: Callable[[Connection, Place], bytes]) -> bytes | None:
        def read(connection: Connection) -> bytes | None:
            caught = sandbox.by_id(connection, maildrop.inbox.id, maildrop.id(number))
            return how(connection, caught.where) if caught else None

        try:
            return await self._store.read(read)
        except ContentGone:  # it was deleted in this very moment
            return None


def top(message: bytes, lines: int) -> bytes | None:
    """Header, empty line and so many lines of the body; None where all of it is not more than that."""
    end = message.find(b"\r\n\r\n")
    if end < 0:
        return None
    end += 4
    for _ in range(lines):
        end = message.find(b"\n", end) + 1
        if end == 0:
            return None
    return message[:end]
