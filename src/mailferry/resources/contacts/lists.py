"""Lists of contacts. Deleting one leaves its contacts."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, insert, select, update

from mailferry.resources.contacts import locks
from mailferry.store.schema import contact_lists

#: Mailtrap's, of an account.
MOST = 50


@dataclass(frozen=True, slots=True)
class ContactList:
    id: int
    name: str


class TooMany(ValueError):
    """The account has :data:`MOST` already."""


class Taken(ValueError):
    """Another list of the account has that name."""


def of_account(connection: Connection, account_id: int, prefix: str = "") -> list[ContactList]:
    """``prefix``: of the name, in any case."""
    found = [ContactList(*row) for row in connection.execute(_standing(account_id).order_by(contact_lists.c.id))]
    return [each for each in found if each.name.casefold().startswith(prefix.casefold())]


def by_id(connection: Connection, account_id: int, list_id: int) -> ContactList | None:
    row = connection.execute(_standing(account_id).where(contact_lists.c.id == list_id)).one_or_none()
    return ContactList(*row) if row else None


def known(connection: Connection, account_id: int) -> frozenset[int]:
    return frozenset(each.id for each in of_account(connection, account_id))


def create(connection: Connection, account_id: int, name: str, now: int) -> ContactList:
    """Raises :class:`TooMany` or :class:`Taken`."""
    locks.take(connection, account_id)
    standing = of_account(connection, account_id)
    if len(standing) >= MOST:
        raise TooMany
    _refuse_taken(standing, name)
    values = {"account_id": account_id, "name": name, "created_at": now}
    made = connection.execute(insert(contact_lists).values(values).returning(contact_lists.c.id)).scalar_one()
    return ContactList(made, name)


def rename(connection: Connection, account_id: int, list_id: int, name: str) -> ContactList | None:
    """As it was before; None: there is none. Raises :class:`Taken`."""
    locks.take(connection, account_id)
    before = by_id(connection, account_id, list_id)
    if before is not None:
        _refuse_taken([each for each in of_account(connection, account_id) if each.id != list_id], name)
        connection.execute(update(contact_lists).where(contact_lists.c.id == list_id).values(name=name))
    return before


def delete(connection: Connection, account_id: int, list_id: int, now: int) -> ContactList | None:
    """Gone at once; its members are cleared away later (purge.py). None: there was none."""
    before = by_id(connection, account_id, list_id)
    gone = update(contact_lists).where(contact_lists.c.id == list_id, contact_lists.c.deleted_at == 0)
    if before is None or not connection.execute(gone.values(deleted_at=now)).rowcount:
        return None
    return before


def _standing(account_id: int) -> Select[Any]:
    columns = select(contact_lists.c.id, contact_lists.c.name)
    return columns.where(contact_lists.c.account_id == account_id, contact_lists.c.deleted_at == 0)


def _refuse_taken(others: Collection[ContactList], name: str) -> None:
    if any(each.name == name for each in others):
        raise Taken
