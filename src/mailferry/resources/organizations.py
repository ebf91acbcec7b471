"""Several accounts under one roof: whoever has a level on the organization has it in each of them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, update

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


def _put(connection: Connection, account_id: int, organization_id: int) -> None:
    connection.execute(
        update(accounts_table).where(accounts_table.c.id == account_id).values(organization_id=organization_id)
    )
