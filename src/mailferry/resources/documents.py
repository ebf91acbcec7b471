"""Small things that customers configure, kept as JSON under a kind and a name (store/schema/documents.py)."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, false, func, select

from mailferry.store.database import Database
from mailferry.store.given import insert_if_new
from mailferry.store.schema import documents

#: What another node changed is seen this much later.
CACHE_MS = 1_000
CACHE_ENTRIES = 10_000


class Kind(StrEnum):
    ACCOUNT = "account"
    CONFIGURATION_SET = "configuration_set"
    CONTACT_LIST = "contact_list"
    CUSTOM_HOST = "custom_host"
    DEDICATED_IP_POOL = "dedicated_ip_pool"
    IDENTITY = "identity"
    JOB = "job"
    RECEIPT_FILTER = "receipt_filter"
    RECEIPT_RULE_SET = "receipt_rule_set"
    REPUTATION = "reputation"
    SUBSCRIPTION = "subscription"
    TAGS = "tags"
    TENANT = "tenant"
    TOPIC = "topic"
    VERIFICATION_TEMPLATE = "verification_template"


@dataclass(frozen=True, slots=True)
class Document:
    account_id: int
    name: str
    body: Mapping[str, Any]
    #: Unix milliseconds.
    created_at: int
    updated_at: int


def get(connection: Connection, account_id: int, kind: Kind, name: str, *, locked: bool = False) -> Document | None:
    """``locked``: nobody else changes it until the transaction ends, so that it may be written back changed.

    SQLite has one writer anyway.
    """
    if "\0" in name:  # PostgreSQL does not even look
        return None
    found = select(documents).where(*_at(account_id, kind, name))
    row = connection.execute(found.with_for_update() if locked else found).one_or_none()
    return _document(row) if row else None


def accounts_of_key(connection: Connection, kind: Kind, key: str) -> list[int]:
    """Those that have such a document."""
    found = select(documents.c.account_id).where(documents.c.key == key, documents.c.kind == kind).distinct()
    return list(connection.execute(found).scalars())


def page(
    connection: Connection, account_id: int, kind: Kind, *, after: str = "", most: int = 1000, prefix: str = ""
) -> list[Document]:
    """In the order of their names, those behind ``after``, whose names begin so."""
    found = select(documents).where(
        documents.c.account_id == account_id,
        documents.c.kind == kind,
        documents.c.name > after,
        *([documents.c.name.startswith(prefix, autoescape=True)] if prefix else []),
    )
    return [_document(row) for row in connection.execute(found.order_by(documents.c.name).limit(most))]


def named(connection: Connection, account_id: int, kind: Kind, names: Collection[str]) -> dict[str, Document]:
    """Those that there are, by their names."""
    found = select(documents).where(
        documents.c.account_id == account_id, documents.c.kind == kind, documents.c.name.in_(sorted(names))
    )
    return {row.name: _document(row) for row in connection.execute(found)} if names else {}


def every(connection: Connection, kind: Kind) -> list[Document]:
    """Of all accounts."""
    found = select(documents).where(documents.c.kind == kind).order_by(documents.c.account_id, documents.c.name)
    return [_document(row) for row in connection.execute(found)]


def count(connection: Connection, account_id: int, kind: Kind) -> int:
    found = select(func.count()).where(documents.c.account_id == account_id, documents.c.kind == kind)
    return int(connection.execute(found).scalar_one())


def add(connection: Connection, account_id: int, kind: Kind, name: str, body: Mapping[str, Any], now: int) -> bool:
    """False: the name is taken, and nothing was changed."""
    values = {
        "account_id": account_id,
        "kind": str(kind),
        "name": name,
        "body": _json(body),
        "created_at": now,
        "updated_at": now,
    }
    return bool(insert_if_new(connection, documents, [values], returning=(documents.c.name,)))


def put(connection: Connection, account_id: int, kind: Kind, name: str, body: Mapping[str, Any], now: int) -> None:
    """There or not: it is this afterwards."""
    if not replace(connection, account_id, kind, name, body, now):
        add(connection, account_id, kind, name, body, now)


def replace(
    connection: Connection,
    account_id: int,
    kind: Kind,
    name: str,
    body: Mapping[str, Any],
    now: int,
    *,
    key: str | None = None,
) -> bool:
    """``key``: another one; None leaves it. False: there is none."""
    values = {"body": _json(body), "updated_at": now} | ({} if key is None else {"key": key})
    changed = documents.update().where(*_at(account_id, kind, name)).values(values)
    return connection.execute(changed).rowcount > 0


def change(
    connection: Connection,
    account_id: int,
    kind: Kind,
    name: str,
    edit: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    now: int,
    *,
    made: bool = False,
) -> bool:
    """What ``edit`` makes of its body. Two who change different parts of it at the same moment do not undo each other.

    ``made``: an empty one is there first. False: there is none.
    """
    if made:
        add(connection, account_id, kind, name, {}, now)
    found = get(connection, account_id, kind, name, locked=True)
    return found is not None and replace(connection, account_id, kind, name, edit(found.body), now)


def remove(connection: Connection, account_id: int, kind: Kind, name: str) -> bool:
    return connection.execute(delete(documents).where(*_at(account_id, kind, name))).rowcount > 0


def _at(account_id: int, kind: Kind, name: str) -> Sequence[Any]:
    if "\0" in name:  # of a header of mail, say: PostgreSQL takes none, and no document has one in its name
        return (false(),)
    return documents.c.account_id == account_id, documents.c.kind == str(kind), documents.c.name == name


def _json(body: Mapping[str, Any]) -> str:
    return msgspec.json.encode(body).decode()


def _document(row: Row[Any]) -> Document:
    return Document(row.account_id, row.name, msgspec.json.decode(row.body), row.created_at, row.updated_at)


class DocumentBook:
    """Documents as this node last saw them, for what is asked with every message.

    ``ticks``: milliseconds that only go forward.
    """

    def __init__(self, database: Database, ticks: Callable[[], int]) -> None:
        self._database = database
        self._ticks = ticks
        self._known: dict[tuple[int, Kind, str], tuple[int, Document | None]] = {}

    async def get(self, account_id: int, kind: Kind, name: str) -> Document | None:
        key, now = (account_id, kind, name), self._ticks()
        until, found = self._known.get(key, (0, None))
        if until <= now:
            found = await self._database.read(lambda connection: get(connection, account_id, kind, name))
            if len(self._known) >= CACHE_ENTRIES:
                self._known.clear()
            self._known[key] = (now + CACHE_MS, found)
        return found

    def forget(self) -> None:
        """After any change of documents on this node."""
        self._known.clear()
