"""Sandbox inboxes: their names, credentials and limits. What they have caught is sandbox/'s."""

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from mailferry.resources import accesses, share_links
from mailferry.resources.permissions import Resource
from mailferry.store.database import Database
from mailferry.store.schema import inboxes
from mailferry.store.secrets import Sealer

#: Credentials that were reset on another node open for so long.
CACHE_MS = 2_000
CACHE_ENTRIES = 10_000
#: Messages that an inbox may be made to hold.
MOST_MESSAGES = 1_000_000
#: Octets that one may be made to take in a message: no endpoint takes more.
MOST_OCTETS = 50 * 1024 * 1024

#: As Mailtrap's are.
USERNAME = re.compile(r"[0-9a-f]{14}")

_PURPOSE = "inboxes.password"


@dataclass(frozen=True, slots=True)
class Inbox:
    """``last_message_at``: Unix milliseconds, 0 = none yet."""

    id: int
    account_id: int
    project_id: int
    name: str
    username: str
    password: str = field(repr=False)
    email_username: str
    email_username_enabled: bool
    status: str
    max_size: int
    max_message_size: int
    messages_count: int
    unread_count: int
    caught_count: int
    forwarded_count: int
    last_message_at: int
    #: See sandbox/faults.py; empty: none.
    faults: str


@dataclass(frozen=True, slots=True)
class Glance:
    """What of an inbox may be shown to those who have no account."""

    id: int
    project_id: int
    name: str
    messages_count: int
    last_message_at: int


def create(
    connection: Connection, sealer: Sealer, account_id: int, project_id: int, name: str, now: int, **more: Any
) -> Inbox:
    """With fresh credentials. ``more``: columns that are other than an inbox's usual ones."""
    values = {"account_id": account_id, "project_id": project_id, "name": name, "created_at": now} | more
    values |= _fresh_credentials(sealer) | {"email_username": fresh_email_username()}
    return _inbox(sealer, connection.execute(insert(inboxes).values(values).returning(inboxes)).one())


def of_account(connection: Connection, sealer: Sealer, account_id: int) -> list[Inbox]:
    """In the order of their ids."""
    asked = select(inboxes).where(inboxes.c.account_id == account_id).order_by(inboxes.c.id)
    return [_inbox(sealer, row) for row in connection.execute(asked)]


def glances(connection: Connection, account_id: int, kind: Resource, resource_id: int) -> list[Glance]:
    """The inbox of this number, or all of the project, in the order of their ids."""
    column = inboxes.c.id if kind is Resource.INBOX else inboxes.c.project_id
    columns = [inboxes.c[each] for each in Glance.__dataclass_fields__]
    found = select(*columns).where(inboxes.c.account_id == account_id, column == resource_id).order_by(inboxes.c.id)
    return [Glance(**row._mapping) for row in connection.execute(found)]


def of_project(connection: Connection, project_id: int) -> list[int]:
    return list(connection.execute(select(inboxes.c.id).where(inboxes.c.project_id == project_id)).scalars())


def by_id(connection: Connection, sealer: Sealer, account_id: int, inbox_id: int) -> Inbox | None:
    asked = select(inboxes).where(inboxes.c.account_id == account_id, inboxes.c.id == inbox_id)
    row = connection.execute(asked).one_or_none()
    return _inbox(sealer, row) if row else None


def by_username(connection: Connection, sealer: Sealer, username: str) -> Inbox | None:
    row = connection.execute(select(inboxes).where(inboxes.c.username == username)).one_or_none()
    return _inbox(sealer, row) if row else None


def change(connection: Connection, inbox_id: int, values: Mapping[str, Any]) -> None:
    connection.execute(update(inboxes).where(inboxes.c.id == inbox_id).values(**values))


def email_username_taken(connection: Connection, name: str, inbox_id: int) -> bool:
    """By another inbox, of whichever account: it is the local part of an address."""
    asked = select(inboxes.c.id).where(inboxes.c.email_username == name, inboxes.c.id != inbox_id)
    return connection.execute(asked).first() is not None


def reset_credentials(connection: Connection, sealer: Sealer, inbox_id: int) -> None:
    change(connection, inbox_id, _fresh_credentials(sealer))


def remove(connection: Connection, inbox_id: int) -> None:
    """What it caught is removed before (sandbox/inbox.py)."""
    connection.execute(delete(inboxes).where(inboxes.c.id == inbox_id))
    accesses.forget_resource(connection, Resource.INBOX, inbox_id)
    share_links.forget_resource(connection, Resource.INBOX, inbox_id)


def fresh_email_username() -> str:
    """In Mailtrap's form; 64 random bits, so that nobody finds an address by trying."""
    return f"{secrets.token_hex(5)}-{secrets.token_hex(3)}"


def _fresh_credentials(sealer: Sealer) -> dict[str, Any]:
    """User and password, both 14 hexadecimal digits (USERNAME)."""
    username, password = secrets.token_hex(7), secrets.token_hex(7)
    return {"username": username, "password_sealed": sealer.seal(password.encode(), _PURPOSE)}


def _inbox(sealer: Sealer, row: Row[Any]) -> Inbox:
    found = dict(row._mapping)
    found["password"] = sealer.open(found.pop("password_sealed"), _PURPOSE).decode()
    del found["created_at"]
    return Inbox(**found)


class InboxBook:
    """Inboxes by their user's name, from memory for a moment. ``ticks``: milliseconds that only go forward."""

    def __init__(self, database: Database, sealer: Sealer, ticks: Callable[[], int]) -> None:
        self._database = database
        self._sealer = sealer
        self._ticks = ticks
        self._known: dict[str, tuple[int, Inbox | None]] = {}

    async def by_username(self, username: str) -> Inbox | None:
        tick = self._ticks()
        until, inbox = self._known.get(username, (0, None))
        if until <= tick:
            inbox = await self._database.read(lambda c: by_username(c, self._sealer, username))
            if len(self._known) >= CACHE_ENTRIES:
                self._known.clear()
            self._known[username] = (tick + CACHE_MS, inbox)
        return inbox

    def forget(self) -> None:
        """After any change of inboxes on this node."""
        self._known.clear()
