"""Share links: whoever has one reads what an inbox caught, or all inboxes of a project, or one message, and changes nothing.

There is none until somebody makes it, and it opens nothing any more when it is removed. A link of one message ends with
the message. Mailtrap's second kind, by which people who have signed in become admins, needs a login, which is not there yet.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, func, insert, select

from mailferry.resources import audit
from mailferry.resources.audit import Actor
from mailferry.resources.permissions import Resource
from mailferry.resources.tokens import digest
from mailferry.store.schema import inbox_messages, inboxes, projects, share_links
from mailferry.store.secrets import Sealer

#: Of one inbox or project: lists show all of them.
MOST = 1_000

_PURPOSE = "share_links.secret"
_TABLES = {Resource.PROJECT: projects, Resource.INBOX: inboxes}


class Level(StrEnum):
    """What a link makes of those who have it (Mailtrap's words)."""

    VIEWER = "viewer"
    ADMIN = "admin"


class Unmade(StrEnum):
    """Why no link was made."""

    TOO_MANY = "too many"
    #: What would be shared was deleted in this moment.
    GONE = "gone"


NO_ADMINS = "must be viewer: links that make admins of people need a sign-in, and there is none yet"


@dataclass(frozen=True, slots=True)
class Shared:
    """What a link opens: an inbox, or a project with all of its inboxes. ``message_id``: that message alone, 0 = all."""

    account_id: int
    kind: Resource
    resource_id: int
    message_id: int = 0


@dataclass(frozen=True, slots=True)
class ShareLink:
    """``created_by`` is the name of a token; empty: the command line. ``created_at``: Unix milliseconds."""

    id: int
    opens: Shared
    secret: str = field(repr=False)
    created_by: str
    created_at: int


def create(connection: Connection, sealer: Sealer, opens: Shared, created_by: str, now: int) -> ShareLink | Unmade:
    # One after the other, so that the limit is one, and none is made for what is being deleted.
    table = _TABLES[opens.kind]
    if connection.execute(select(table.c.id).where(table.c.id == opens.resource_id).with_for_update()).first() is None:
        return Unmade.GONE
    here = _of(opens.kind, opens.resource_id)
    connection.execute(delete(share_links).where(*here, share_links.c.message_id != 0, ~_message_is_there()))
    if connection.execute(select(func.count()).select_from(share_links).where(*here)).scalar_one() >= MOST:
        return Unmade.TOO_MANY
    secret = secrets.token_urlsafe(32)
    values = {
        "account_id": opens.account_id,
        "kind": opens.kind,
        "resource_id": opens.resource_id,
        "message_id": opens.message_id,
        "secret_hash": digest(secret),
        "secret_sealed": sealer.seal(secret.encode(), _PURPOSE),
        "created_by": created_by,
        "created_at": now,
    }
    made = connection.execute(insert(share_links).values(values).returning(share_links.c.id)).scalar_one()
    return ShareLink(int(made), opens, secret, created_by, now)


def of_resources(
    connection: Connection, sealer: Sealer, account_id: int, kind: Resource, ids: Sequence[int]
) -> list[ShareLink]:
    """In the order of their ids; without those whose message is gone."""
    there = (share_links.c.message_id == 0) | _message_is_there()
    found = select(share_links).where(
        share_links.c.kind == kind, share_links.c.resource_id.in_(ids), share_links.c.account_id == account_id, there
    )
    return [_link(sealer, row) for row in connection.execute(found.order_by(share_links.c.id))]


def opened(connection: Connection, secret: str) -> Shared | None:
    """None: unknown or removed. It is looked up by digest, so its time says nothing about the secret."""
    found = select(share_links).where(share_links.c.secret_hash == digest(secret))
    row = connection.execute(found).one_or_none()
    return _shared(row) if row else None


def remove(connection: Connection, kind: Resource, resource_id: int, link_id: int) -> Shared | None:
    """What it opened; None: there is none."""
    gone = delete(share_links).where(*_of(kind, resource_id), share_links.c.id == link_id).returning(*share_links.c)
    row = connection.execute(gone).one_or_none()
    return _shared(row) if row else None


def note(connection: Connection, actor: Actor, event: str, opens: Shared, link_id: int, now: int) -> None:
    """In the audit log: who may read what from now on, or no more."""
    what = f"message {opens.message_id} of " if opens.message_id else ""
    name = f"{what}{opens.kind} {opens.resource_id}"
    audit.note(connection, opens.account_id, actor, event, ("share_link", link_id, name), now)


def forget_resource(connection: Connection, kind: Resource, resource_id: int) -> None:
    """Before its number is given to another one."""
    connection.execute(delete(share_links).where(*_of(kind, resource_id)))


def _of(kind: Resource, resource_id: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return share_links.c.kind == kind, share_links.c.resource_id == resource_id


def _message_is_there() -> ColumnElement[bool]:
    return exists().where(inbox_messages.c.id == share_links.c.message_id)


def _link(sealer: Sealer, row: Row[Any]) -> ShareLink:
    secret = sealer.open(row.secret_sealed, _PURPOSE).decode()
    return ShareLink(row.id, _shared(row), secret, row.created_by, row.created_at)


def _shared(row: Row[Any]) -> Shared:
    return Shared(row.account_id, Resource(row.kind), row.resource_id, row.message_id)
