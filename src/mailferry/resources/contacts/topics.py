"""A contact list with topics (Amazon's): each is a list of contacts of the account, found by its id.

The list and every topic are ordinary lists under their own names: one that there is already is taken, and one that
somebody deleted meanwhile comes back with the next change. Deleting a topic deletes its list.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import count
from typing import Any

from sqlalchemy import Connection

from mailferry.resources import documents
from mailferry.resources.contacts import lists, locks
from mailferry.resources.documents import Document, Kind


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    display_name: str
    description: str | None
    #: Whether contacts get it who said nothing.
    default: bool
    #: 0: not made yet.
    list_id: int = 0


@dataclass(frozen=True, slots=True)
class Board:
    """A contact list with its topics."""

    name: str
    description: str | None
    topics: tuple[Topic, ...]
    list_id: int = 0
    #: Unix milliseconds.
    created_at: int = 0
    updated_at: int = 0

    def topic(self, name: str) -> Topic | None:
        return next((each for each in self.topics if each.name == name), None)

    @property
    def list_ids(self) -> frozenset[int]:
        """Of the list itself and of its topics."""
        return frozenset((self.list_id, *(each.list_id for each in self.topics)))


def of_account(connection: Connection, account_id: int) -> list[Board]:
    return [read(each) for each in documents.page(connection, account_id, Kind.CONTACT_LIST)]


def find(connection: Connection, account_id: int, name: str) -> Board | None:
    found = documents.get(connection, account_id, Kind.CONTACT_LIST, name)
    return read(found) if found else None


def read(document: Document) -> Board:
    body = document.body
    topics = tuple(Topic(**each) for each in body["topics"])
    return Board(document.name, body["description"], topics, body["list_id"], document.created_at, document.updated_at)


def lock(connection: Connection, account_id: int, name: str) -> Board | None:
    """As :func:`find`; until the transaction ends nobody else changes what lists there are, and all of its own stand."""
    locks.take(connection, account_id)
    found = find(connection, account_id, name)
    if found is None or found.list_ids <= lists.known(connection, account_id):
        return found
    return save(connection, account_id, found, found.updated_at)


def save(connection: Connection, account_id: int, board: Board, now: int) -> Board:
    """New or changed. Lists of topics that are kept go on, others are found by their name or made.

    The account must be locked (locks.py). Raises `lists.TooMany`.
    """
    before = find(connection, account_id, board.name)
    former = {each.name: each.list_id for each in before.topics} if before else {}
    home = _Home(connection, account_id, now)
    own = home.of(board.name, before.list_id if before else 0)
    topics = tuple(replace(each, list_id=home.of(each.name, former.get(each.name, 0))) for each in board.topics)
    for gone in sorted(set(former.values()) - home.taken):
        lists.delete(connection, account_id, gone, now)
    saved = replace(board, list_id=own, topics=topics, updated_at=now, created_at=before.created_at if before else now)
    documents.put(connection, account_id, Kind.CONTACT_LIST, board.name, _body(saved), now)
    return saved


def remove(connection: Connection, account_id: int, board: Board, now: int) -> None:
    """With its lists. Contacts stay, as they do when any list is deleted."""
    documents.remove(connection, account_id, Kind.CONTACT_LIST, board.name)
    for each in sorted(board.list_ids):
        lists.delete(connection, account_id, each, now)


class _Home:
    """The account's lists, of which each is given once: a topic may be called like the contact list that it is of."""

    def __init__(self, connection: Connection, account_id: int, now: int) -> None:
        self._connection, self._account_id, self._now = connection, account_id, now
        self._ids = {each.name: each.id for each in lists.of_account(connection, account_id)}
        self.taken: set[int] = set()

    def of(self, name: str, former: int) -> int:
        found = former if former in self._ids.values() else self._ids.get(name, 0)
        if not found or found in self.taken:
            free = next(each for each in _names(name) if each not in self._ids)
            found = self._ids[free] = lists.create(self._connection, self._account_id, free, self._now).id
        self.taken.add(found)
        return found


def _names(name: str) -> Iterator[str]:
    yield name
    for number in count(2):
        yield f"{name} ({number})"


def _body(board: Board) -> dict[str, Any]:
    return {
        "description": board.description,
        "list_id": board.list_id,
        "topics": [asdict(each) for each in board.topics],
    }
