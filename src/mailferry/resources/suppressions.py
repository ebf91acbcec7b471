"""Addresses that must not be written to, each for one domain or all, one stream or any."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, or_, select

from mailferry.store.given import insert_if_new, pack, rows
from mailferry.store.schema import suppressions

#: Mailtrap's words for the type.
HARD_BOUNCE = "hard bounce"


@dataclass(frozen=True, slots=True)
class Target:
    """Whom somebody wants to write to. ``address`` is the key form (mail/address.key)."""

    account_id: int
    address: str
    domain_id: int
    stream: str


def matching(connection: Connection, targets: Sequence[Target]) -> dict[Target, str]:
    """Those that are suppressed, with the type of the suppression: one statement for all of them."""
    wanted = {t for t in targets if t.address}
    if not wanted:
        return {}
    given = rows(connection.dialect.name, [suppressions.c[n] for n in ("account_id", "address", "domain_id", "stream")])
    statement = select(
        given.c.account_id, given.c.address, given.c.domain_id, given.c.stream, suppressions.c.type
    ).join(
        suppressions,
        (suppressions.c.account_id == given.c.account_id)
        & (suppressions.c.address == given.c.address)
        & or_(suppressions.c.domain_id == 0, suppressions.c.domain_id == given.c.domain_id)
        & or_(suppressions.c.stream == "any", suppressions.c.stream == given.c.stream),
    )
    packed = pack(
        [
            {"account_id": t.account_id, "address": t.address, "domain_id": t.domain_id, "stream": t.stream}
            for t in wanted
        ]
    )
    found = connection.execute(statement, {"rows": packed})
    return {Target(row.account_id, row.address, row.domain_id, row.stream): row.type for row in found}


def add(connection: Connection, entries: Sequence[Mapping[str, Any]]) -> None:
    """Rows of the table; one that stands already stays as it was, with its first reason."""
    insert_if_new(connection, suppressions, entries)
