"""What is kept of a sender beside its sending domain: settings of a domain or of one address (documents.Kind.IDENTITY)."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from mailferry.resources import documents
from mailferry.resources.documents import Document, Kind


def addresses(connection: Connection, account_id: int) -> list[Document]:
    """Those of single addresses, in the order of their names."""
    found: list[Document] = []
    some = documents.page(connection, account_id, Kind.IDENTITY)
    while some:
        found += [each for each in some if "@" in each.name]
        some = documents.page(connection, account_id, Kind.IDENTITY, after=some[-1].name)
    return found


def change(
    connection: Connection, account_id: int, name: str, edit: Callable[[dict[str, Any]], None], now: int
) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """``edit`` is handed the settings and alters them. Returns them as they were and as they are; None: no such address.

    Two who change different ones at the same moment do not undo each other.
    """
    if "@" not in name:  # a domain may be there without any settings
        documents.add(connection, account_id, Kind.IDENTITY, name, {}, now)
    locked = documents.get(connection, account_id, Kind.IDENTITY, name, locked=True)
    if locked is None:
        return None
    before = locked.body
    after = dict(before)
    edit(after)
    documents.replace(connection, account_id, Kind.IDENTITY, name, after, now)
    return before, after


def forget(connection: Connection, account_id: int, name: str) -> None:
    """Whoever adds it again starts anew."""
    documents.remove(connection, account_id, Kind.IDENTITY, name)
