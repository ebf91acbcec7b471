"""Fields of contacts, known to clients by their merge tags. Deleting one takes its values from all contacts."""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Select, insert, select, update

from mailferry.resources.contacts import locks
from mailferry.resources.contacts.values import DataType
from mailferry.store.schema import contact_fields

#: Mailtrap's, of an account.
MOST = 40
#: Characters of a name or a merge tag; Mailtrap's.
LONGEST = 80
#: The merge tag of the address itself.
EMAIL = "email"

_TAG = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class Field:
    id: int
    name: str
    data_type: DataType
    merge_tag: str


def is_tag(text: str) -> bool:
    """Of the characters that a merge tag may have."""
    return bool(_TAG.fullmatch(text))


class TooMany(ValueError):
    """The account has :data:`MOST` already."""


class Taken(ValueError):
    """Another field of the account has it already; ``names``: which of `name` and `merge_tag`."""

    def __init__(self, names: Collection[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


def of_account(connection: Connection, account_id: int) -> list[Field]:
    return [_field(*row) for row in connection.execute(_standing(account_id).order_by(contact_fields.c.id))]


def by_id(connection: Connection, account_id: int, field_id: int) -> Field | None:
    row = connection.execute(_standing(account_id).where(contact_fields.c.id == field_id)).one_or_none()
    return _field(*row) if row else None


def create(connection: Connection, account_id: int, name: str, data_type: DataType, merge_tag: str, now: int) -> Field:
    """Raises :class:`TooMany` or :class:`Taken`."""
    locks.take(connection, account_id)
    standing = of_account(connection, account_id)
    if len(standing) >= MOST:
        raise TooMany
    _refuse_taken(standing, name, merge_tag)
    values = {
        "account_id": account_id,
        "name": name,
        "data_type": data_type.value,
        "merge_tag": merge_tag,
        "created_at": now,
    }
    made = connection.execute(insert(contact_fields).values(values).returning(contact_fields.c.id)).scalar_one()
    return Field(made, name, data_type, merge_tag)


def change(connection: Connection, before: Field, account_id: int, name: str = "", merge_tag: str = "") -> Field:
    """What is empty stays. Its type cannot be changed: its values would be of another. Raises :class:`Taken`."""
    locks.take(connection, account_id)
    after = replace(before, name=name or before.name, merge_tag=merge_tag or before.merge_tag)
    others = [each for each in of_account(connection, account_id) if each.id != before.id]
    _refuse_taken(others, after.name, after.merge_tag)
    values = {"name": after.name, "merge_tag": after.merge_tag}
    connection.execute(update(contact_fields).where(contact_fields.c.id == before.id).values(values))
    return after


def delete(connection: Connection, field: Field, now: int) -> bool:
    """Gone at once; its values are cleared away later (purge.py). False: somebody else did it.

    The caller holds the account's lock, and has seen that no segment asks for it.
    """
    gone = update(contact_fields).where(contact_fields.c.id == field.id, contact_fields.c.deleted_at == 0)
    return bool(connection.execute(gone.values(deleted_at=now)).rowcount)


def _standing(account_id: int) -> Select[Any]:
    columns = (contact_fields.c.id, contact_fields.c.name, contact_fields.c.data_type, contact_fields.c.merge_tag)
    return select(*columns).where(contact_fields.c.account_id == account_id, contact_fields.c.deleted_at == 0)


def _field(identity: int, name: str, data_type: str, merge_tag: str) -> Field:
    return Field(identity, name, DataType(data_type), merge_tag)


def _refuse_taken(others: Collection[Field], name: str, merge_tag: str) -> None:
    pairs = {"name": [each.name for each in others], "merge_tag": [EMAIL, *(each.merge_tag for each in others)]}
    taken = [kind for kind, value in (("name", name), ("merge_tag", merge_tag)) if value in pairs[kind]]
    if taken:
        raise Taken(taken)
