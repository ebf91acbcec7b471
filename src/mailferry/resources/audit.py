"""The audit log: every change that somebody made, written in the transaction that makes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, exists, insert, select, update

from mailferry.store.schema import audit_log, webhooks

#: Rows of one page.
PAGE = 100
#: The type of webhooks that are told of it (resources/webhooks.py).
WEBHOOK = "audit_log"


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
            wanted=_wanted(account_id),
        )
    )


def wanted(connection: Connection, limit: int) -> list[Row[Any]]:
    """What webhooks are to be told and are not told yet, in its order."""
    asked = select(audit_log).where(audit_log.c.wanted).order_by(audit_log.c.id).limit(limit)
    return list(connection.execute(asked).all())


def told(connection: Connection, ids: Sequence[int]) -> None:
    """Webhooks know of them, or there are none any more."""
    connection.execute(update(audit_log).where(audit_log.c.id.in_(ids)).values(wanted=False))


def _wanted(account_id: int) -> Any:
    """Decided with the row: who has no such webhook pays for nothing, and a webhook is told of what comes after it."""
    asking = exists().where(webhooks.c.account_id == account_id, webhooks.c.type == WEBHOOK)
    return select(asking).scalar_subquery()


def page(connection: Connection, account_id: int, before: int = 0, limit: int = PAGE) -> list[Row[Any]]:
    """Newest first; account 0: of all of them. ``before``: the last id of the page before."""
    found = select(audit_log).order_by(audit_log.c.id.desc()).limit(limit)
    if account_id:
        found = found.where(audit_log.c.account_id == account_id)
    return list(connection.execute(found.where(audit_log.c.id < before) if before else found).all())
