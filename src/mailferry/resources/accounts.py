"""Accounts."""

from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from mailferry.store.schema import accounts


def any_account(connection: Connection) -> bool:
    return bool(connection.execute(select(func.count()).select_from(accounts)).scalar())


def all_ids(connection: Connection) -> list[int]:
    return list(connection.execute(select(accounts.c.id).order_by(accounts.c.id)).scalars())


def organization_of(connection: Connection, account_id: int) -> int | None:
    """0: it stands alone; None: there is no such account."""
    return connection.execute(select(accounts.c.organization_id).where(accounts.c.id == account_id)).scalar()


def name_of(connection: Connection, account_id: int) -> str:
    return str(connection.execute(select(accounts.c.name).where(accounts.c.id == account_id)).scalar_one())


def create_account(connection: Connection, name: str, now: int) -> int:
    return _new(connection, insert(accounts).values(name=name, created_at=now).returning(accounts.c.id))


def lock_free(connection: Connection, account_id: int) -> bool:
    """Whether it stands alone, which nobody changes before the transaction ends."""
    row = connection.execute(
        select(accounts.c.organization_id).where(accounts.c.id == account_id).with_for_update()
    ).one_or_none()
    return row is not None and not row.organization_id


def every(connection: Connection) -> list[Row[Any]]:
    """Rows of the table in the order of their ids."""
    return list(connection.execute(select(accounts).order_by(accounts.c.id)).all())


def _new(connection: Connection, statement: object) -> int:
    identity = connection.execute(statement).scalar_one()  # type: ignore[call-overload]  # any INSERT ... RETURNING id
    return int(identity)
