"""Contacts by their id or address: found, read, saved (one as well as a thousand), deleted.

Whether somebody is subscribed is nothing that a contact holds: the suppression list says it, and only there it is changed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, delete, exists, select, update

from mailferry.journal import ids
from mailferry.mail import address as addresses
from mailferry.resources import suppressions
from mailferry.resources.contacts import fields, lists, values
from mailferry.resources.contacts.values import Value
from mailferry.store.given import among, delete_rows, insert_if_new, pack, put_rows, rows
from mailferry.store.schema import (
    contact_events,
    contact_fields,
    contact_list_members,
    contact_lists,
    contact_opt_outs,
    contact_values,
)
from mailferry.store.schema import contacts as table
from mailferry.store.schema import suppressions as suppressed

#: Contacts are written to over the bulk stream: what is suppressed for the other one alone is no unsubscription.
STREAMS = ("bulk", suppressions.ANY)

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: A contact may be made and deleted by others while it is saved; nobody does so forever.
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Contact:
    id: str
    email: str
    #: By merge tag; a field without a value is missing.
    fields: dict[str, Value]
    list_ids: Sequence[int]
    subscribed: bool
    #: Unix milliseconds.
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Identifier:
    """One of the two is empty. ``address`` is in its stored form (mail/address.parse)."""

    id: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    id: str
    email: str


@dataclass(frozen=True, slots=True)
class Change:
    """What one contact shall become. ``values`` by the field's id; None takes a value away, what is missing stays."""

    #: In its stored form (mail/address.parse).
    email: str
    values: Mapping[int, Value | None]
    included: frozenset[int] = frozenset()
    excluded: frozenset[int] = frozenset()

    @property
    def rows(self) -> int:
        """How many rows it is about to write."""
        return 1 + len(self.values) + len(self.included) + len(self.excluded)


@dataclass(frozen=True, slots=True)
class Saved:
    """Ids by address (in its key form)."""

    created: dict[str, str]
    updated: dict[str, str]


def identify(text: str) -> Identifier | None:
    """Out of a path. None: it is neither an id nor an address."""
    if _UUID.fullmatch(text.lower()):
        return Identifier(id=text.lower())
    try:
        return Identifier(address=addresses.parse(text.strip()))
    except addresses.BadAddress:
        return None


def find(connection: Connection, account_id: int, wanted: Identifier, *, lock: bool = False) -> Found | None:
    """``lock``: until the transaction ends nobody else changes or deletes it."""
    found = select(table.c.id, table.c.email).where(table.c.account_id == account_id)
    by = table.c.id == wanted.id if wanted.id else table.c.address == addresses.key(wanted.address)
    found = found.where(by)
    row = connection.execute(found.with_for_update() if lock else found).one_or_none()
    return Found(*row) if row else None


def read(connection: Connection, account_id: int, wanted: Iterable[str]) -> list[Contact]:
    """By their ids, in the order of the ids; those that are gone are missing."""
    dialect = connection.dialect.name
    given = select(rows(dialect, [table.c.id]).c.id)
    packed = {"rows": pack([{"id": identity} for identity in wanted])}
    held: dict[str, dict[str, Value]] = {}
    for identity, tag, value in connection.execute(_values(dialect, given), packed):
        held.setdefault(identity, {})[tag] = values.shown(value)
    member: dict[str, list[int]] = {}
    for identity, list_id in connection.execute(_memberships(dialect, given), packed):
        member.setdefault(identity, []).append(list_id)
    found = select(table.c.id, table.c.email, ~unsubscribed(), table.c.created_at, table.c.updated_at)
    found = found.where(table.c.account_id == account_id, among(dialect, table.c.id, given)).order_by(table.c.id)
    return [
        Contact(identity, email, held.get(identity, {}), member.get(identity, []), bool(subscribed), made, changed)
        for identity, email, subscribed, made, changed in connection.execute(found, packed)
    ]


def read_one(connection: Connection, account_id: int, identity: str) -> Contact:
    """One that was found in this transaction."""
    (found,) = read(connection, account_id, [identity])
    return found


def unsubscribed() -> Any:
    """A condition on a row of contacts."""
    return exists().where(
        suppressed.c.account_id == table.c.account_id,
        suppressed.c.address == table.c.address,
        suppressed.c.stream.in_(STREAMS),
    )


def save(connection: Connection, account_id: int, changes: Iterable[Change], now: int) -> Saved:
    """Makes the contacts that are new, and changes those that are there. A field or list that is gone is left out."""
    left = _folded(changes)
    created: dict[str, str] = {}
    updated: dict[str, str] = {}
    wanted = left
    for _ in range(_ROUNDS):
        updated |= _touch(connection, account_id, left, now)
        left = {address: change for address, change in left.items() if address not in updated}
        created |= _create(connection, account_id, left, now)
        left = {address: change for address, change in left.items() if address not in created}
        if not left:
            break
    else:
        raise RuntimeError(f"{len(left)} contacts come and go while they are saved")
    known = created | updated
    _write(connection, account_id, {known[address]: change for address, change in wanted.items()})
    return Saved(created, updated)


def create(connection: Connection, account_id: int, change: Change, now: int) -> str | None:
    """The new contact's id; None: it is there already, and stays as it was."""
    made = _create(connection, account_id, _folded([change]), now)
    if not made:
        return None
    ((_, identity),) = made.items()
    _write(connection, account_id, {identity: change})
    return identity


def rename(connection: Connection, account_id: int, found: Found, email: str) -> bool:
    """False: another contact has that address. Two that want it at once: IntegrityError for one of them."""
    other = find(connection, account_id, Identifier(address=email))
    if other is not None and other.id != found.id:
        return False
    named = {"email": email, "address": addresses.key(email)}
    connection.execute(update(table).where(table.c.id == found.id).values(named))
    return True


def remove(connection: Connection, account_id: int, wanted: Identifier) -> Found | None:
    """With all that is known of it. None: there was none."""
    # The contact first: whoever is about to write values or lists of it holds its row.
    found = find(connection, account_id, wanted, lock=True)
    if found is None:
        return None
    connection.execute(delete(table).where(table.c.id == found.id))
    for each in (contact_values, contact_list_members, contact_opt_outs, contact_events):
        connection.execute(delete(each).where(each.c.contact_id == found.id))
    return found


# --- saving --------------------------------------------------------------------------------------------------------


def _folded(changes: Iterable[Change]) -> dict[str, Change]:
    """By address, in its order (so that two who save the same contacts lock them alike); a later change wins."""
    found: dict[str, Change] = {}
    for each in changes:
        address = addresses.key(each.email)
        before = found.get(address)
        if before is not None:
            each = Change(
                before.email,
                {**before.values, **each.values},
                (before.included - each.excluded) | each.included,
                (before.excluded - each.included) | each.excluded,
            )
        found[address] = each
    return dict(sorted(found.items()))


def _touch(connection: Connection, account_id: int, wanted: Iterable[str], now: int) -> dict[str, str]:
    """Those that are there, which nobody else changes or deletes from here on."""
    dialect = connection.dialect.name
    given = select(rows(dialect, [table.c.address]).c.address)
    statement = (
        update(table)
        .where(table.c.account_id == account_id, among(dialect, table.c.address, given))
        .values(updated_at=now)
        .returning(table.c.address, table.c.id)
    )
    packed = pack([{"address": address} for address in wanted])
    return {row.address: row.id for row in connection.execute(statement, {"rows": packed})}


def _create(connection: Connection, account_id: int, wanted: Mapping[str, Change], now: int) -> dict[str, str]:
    new = [
        {
            "id": ids.drawn_at(now),
            "account_id": account_id,
            "email": change.email,
            "address": address,
            "created_at": now,
            "updated_at": now,
        }
        for address, change in wanted.items()
    ]
    made = insert_if_new(connection, table, new, returning=(table.c.address, table.c.id))
    return {row.address: row.id for row in made}


def _write(connection: Connection, account_id: int, changes: Mapping[str, Change]) -> None:
    """Values and memberships, by the contact's id."""
    known = {field.id: field.data_type for field in fields.of_account(connection, account_id)}
    held, cleared = [], []
    for identity, change in changes.items():
        for field_id, value in change.values.items():
            key = {"contact_id": identity, "field_id": field_id}
            if field_id in known:
                cleared.append(key) if value is None else held.append(key | values.row(known[field_id], value))
    put_rows(connection, contact_values, held)
    delete_rows(connection, contact_values, cleared)
    standing = lists.known(connection, account_id)
    member = [_member(identity, each) for identity, change in changes.items() for each in change.included & standing]
    insert_if_new(connection, contact_list_members, member)
    left = [_member(identity, each) for identity, change in changes.items() for each in change.excluded]
    delete_rows(connection, contact_list_members, left)


def _member(identity: str, list_id: int) -> dict[str, Any]:
    return {"list_id": list_id, "contact_id": identity}


# --- reading -------------------------------------------------------------------------------------------------------


# Not joined: SQLite may choose to go through the given rows once for each row that it joins them with.


def _values(dialect: str, given: Select[Any]) -> Select[Any]:
    return (
        select(contact_values.c.contact_id, contact_fields.c.merge_tag, contact_values.c.value)
        .join(contact_fields, contact_fields.c.id == contact_values.c.field_id)
        .where(among(dialect, contact_values.c.contact_id, given), contact_fields.c.deleted_at == 0)
        .order_by(contact_values.c.contact_id, contact_values.c.field_id)
    )


def _memberships(dialect: str, given: Select[Any]) -> Select[Any]:
    return (
        select(contact_list_members.c.contact_id, contact_list_members.c.list_id)
        .join(contact_lists, contact_lists.c.id == contact_list_members.c.list_id)
        .where(among(dialect, contact_list_members.c.contact_id, given), contact_lists.c.deleted_at == 0)
        .order_by(contact_list_members.c.list_id)
    )
