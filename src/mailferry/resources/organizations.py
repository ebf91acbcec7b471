"""Several accounts under one roof: whoever has a level on the organization has it in each of them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from mailferry.resources import accounts
from mailferry.store.schema import accounts as accounts_table
from mailferry.store.schema import organizations


def create(connection: Connection, name: str, account_id: int, now: int) -> int:
    """A new organization with this account in it, which must stand alone so far."""
    made = connection.execute(insert(organizations).values(name=name, created_at=now).returning(organizations.c.id))
    organization_id = int(made.scalar_one())
    _put(connection, account_id, organization_id)
    return organization_id


def sub_accounts(connection: Connection, organization_id: int) -> Sequence[Any]:
    """Rows (id, name) of its accounts, in the order in which they were made."""
    columns = (accounts_table.c.id, accounts_table.c.name)
    wanted = select(*columns).where(accounts_table.c.organization_id == organization_id).order_by(accounts_table.c.id)
    return list(connection.execute(wanted))


def create_sub_account(connection: Connection, organization_id: int, name: str, now: int) -> int:
    account_id = accounts.create_account(connection, name, now)
    _put(connection, account_id, organization_id)
    return account_id


def add_account(connection: Connection, organization_id: int, account_id: int) -> bool:
    """Whoever has a level on the organization has it in this account from now on. False: it does not stand alone."""
    if not accounts.lock_free(connection, account_id):
        return False
    _put(connection, account_id, organization_id)
    return True


def name_of(connection: Connection, organization_id: int) -> str | None:
    """None: there is no such organization."""
    return connection.execute(select(organizations.c.name).where(organizations.c.id == organization_id)).scalar()


def every(connection: Connection) -> list[Row[Any]]:
    """Rows of the table in the order of their ids."""
    return list(connection.execute(select(organizations).order_by(organizations.c.id)).all())


def _put(connection: Connection, account_id: int, organization_id: int) -> None:
    connection.execute(
        update(accounts_table).where(accounts_table.c.id == account_id).values(organization_id=organization_id)
    )
