"""Accounts, their people, projects and sandbox inboxes: as much as a first run makes."""

import secrets

from argon2 import PasswordHasher
from sqlalchemy import Connection, func, insert, select, update

from mailferry.resources import accesses
from mailferry.resources.accesses import Specifier
from mailferry.resources.permissions import OWNER, Grant, Resource
from mailferry.store.schema import accesses as accesses_table
from mailferry.store.schema import accounts, grants, inboxes, projects, users
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


def create_user(
    connection: Connection, account_id: int, email: str, password_hash: str, level: int, now: int, *, name: str = ""
) -> int:
    """A person with this level on the whole account."""
    values = {
        "account_id": account_id,
        "email": email,
        "name": name,
        "password_hash": password_hash,
        "created_at": now,
    }
    user_id = _new(connection, insert(users).values(values).returning(users.c.id))
    accesses.give(connection, account_id, Specifier.USER, user_id, [Grant(Resource.ACCOUNT, account_id, level)], now)
    return user_id


def owners(connection: Connection, account_id: int) -> list[str]:
    """The addresses of those who own it; where nobody does, of those who own its organization."""
    organization = organization_of(connection, account_id) or 0
    for kind, identity in ((Resource.ACCOUNT, account_id), (Resource.ORGANIZATION, organization)):
        given = (grants.c.resource_type == kind, grants.c.resource_id == identity, grants.c.access_level >= OWNER)
        found = (
            select(users.c.email)
            .join(accesses_table, accesses_table.c.specifier_id == users.c.id)
            .join(grants, grants.c.access_id == accesses_table.c.id)
            .where(accesses_table.c.specifier_type == Specifier.USER, *given)
            .order_by(users.c.id)
        )
        if emails := list(connection.execute(found).scalars()):
            return emails
    return []


def set_password(connection: Connection, email: str, password_hash: str) -> bool:
    """False when there is no such user."""
    return (
        connection.execute(update(users).where(users.c.email == email).values(password_hash=password_hash)).rowcount
        == 1
    )


def hash_password(password: str) -> str:
    """Argon2id (RFC 9106) with the library's defaults: tens of milliseconds, so never in the event loop."""
    return PasswordHasher().hash(password)


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
