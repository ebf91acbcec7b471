"""Accounts, their projects and sandbox inboxes: as much as a first run makes."""

import secrets
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from mailferry.store.schema import accounts, inboxes, projects
from mailferry.store.secrets import Sealer


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


def create_project(connection: Connection, account_id: int, name: str, now: int) -> int:
    values = {"account_id": account_id, "name": name, "created_at": now}
    return _new(connection, insert(projects).values(values).returning(projects.c.id))


def create_inbox(
    connection: Connection, sealer: Sealer, account_id: int, project_id: int, name: str, now: int
) -> tuple[int, str, str]:
    """Returns id, SMTP user and password, both 14 hexadecimal digits as Mailtrap's are."""
    username, password = secrets.token_hex(7), secrets.token_hex(7)
    values = {
        "account_id": account_id,
        "project_id": project_id,
        "name": name,
        "username": username,
        "password_sealed": sealer.seal(password.encode(), "inboxes.password"),
        "created_at": now,
    }
    return _new(connection, insert(inboxes).values(values).returning(inboxes.c.id)), username, password


def _new(connection: Connection, statement: object) -> int:
    identity = connection.execute(statement).scalar_one()  # type: ignore[call-overload]  # any INSERT ... RETURNING id
    return int(identity)
