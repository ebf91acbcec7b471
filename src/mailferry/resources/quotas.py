"""How much an account may send: recipients in any 24 hours, and a second. The operator says it; unsaid, there is no end."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection

from mailferry.resources import documents
from mailferry.resources.documents import Document, DocumentBook, Kind

#: The name under which an account's is kept.
DOCUMENT = "quota"


@dataclass(frozen=True, slots=True)
class Quota:
    """0: as many as it likes."""

    per_day: int = 0
    per_second: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.per_day or self.per_second)


NONE = Quota()


async def known(book: DocumentBook, account_id: int) -> Quota:
    return _read(await book.get(account_id, Kind.ACCOUNT, DOCUMENT))


def change(connection: Connection, account_id: int, members: Mapping[str, Any], now: int) -> tuple[Quota, Quota]:
    """These members alone; what it was and what it is."""
    documents.add(connection, account_id, Kind.ACCOUNT, DOCUMENT, {}, now)
    before = _read(documents.get(connection, account_id, Kind.ACCOUNT, DOCUMENT, locked=True))
    after = replace(before, **members)
    documents.replace(connection, account_id, Kind.ACCOUNT, DOCUMENT, asdict(after), now)
    return before, after


def _read(found: Document | None) -> Quota:
    return Quota(**found.body) if found else NONE
