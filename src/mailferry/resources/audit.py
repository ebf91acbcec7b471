"""The audit log: every change that somebody made, written in the transaction that makes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select

from mailferry.store.schema import audit_log

#: Rows of one page.
PAGE = 100


@dataclass(frozen=True, slots=True)
class Actor:
    """``kind``: user, api_token or operator (the command line, id 0)."""

    kind: str
    id: int
    name: str


def note(
    connection: Connection,
    account_id: int,
    actor: Actor,
    event: str,
    resource: tuple[str, object, str],
    now: int,
    changes: Mapping[str, tuple[Any, Any]] | None = None,
) -> None:
    """``event`` such as `sending_domain.created`; ``resource``: type, id, name; ``changes``: field -> (from, to)."""
    kind, identity, name = resource
    told = {field: {"from": old, "to": new} for field, (old, new) in (changes or {}).items() if old != new}
    connection.execute(
        insert(audit_log).values(
            account_id=account_id,
            at=now,
            actor_type=actor.kind,
            actor_id=actor.id,
            actor_name=actor.name,
            event=event,
            resource_type=kind,
            resource_id=str(identity),
            resource_name=name,
            changes=msgspec.json.encode(told).decode(),
        )
    )


def page(connection: Connection, account_id: int, before: int = 0, limit: int = PAGE) -> list[Row[Any]]:
    """Newest first; account 0: of all of them. ``before``: the last id of the page before."""
    found = select(audit_log).order_by(audit_log.c.id.desc()).limit(limit)
    if account_id:
        found = found.where(audit_log.c.account_id == account_id)
    return list(connection.execute(found.where(audit_log.c.id < before) if before else found).all())
