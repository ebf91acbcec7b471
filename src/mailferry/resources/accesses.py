"""The rows behind resources/permissions.py: who has which access to an account, and what is granted with it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, delete, insert, select

from mailferry.resources.permissions import Grant, Resource, Rights
from mailferry.store.given import put_rows
from mailferry.store.schema import accesses, accounts, grants, organizations


class Specifier(StrEnum):
    USER = "user"
    INVITE = "invite"
    API_TOKEN = "api_token"  # noqa: S105  # a word, no secret
    ACCESS_KEY = "access_key"


@dataclass(frozen=True, slots=True)
class Access:
    id: int
    account_id: int
    specifier: Specifier
    specifier_id: int
    grants: tuple[Grant, ...]


def give(
    connection: Connection, account_id: int, specifier: Specifier, specifier_id: int, granted: Iterable[Grant], now: int
) -> int:
    """Returns the access's id. The specifier must have none in this account yet."""
    values = {"account_id": account_id, "specifier_type": specifier, "specifier_id": specifier_id, "created_at": now}
    access_id = int(connection.execute(insert(accesses).values(values).returning(accesses.c.id)).scalar_one())
    put(connection, access_id, granted)
    return access_id


def lock(connection: Connection, account_id: int) -> None:
    """Until the transaction ends nobody else changes or removes what the account's people have.

    Take it before reading what is about to be changed: of two owners who leave at once the second must see that the first
    is gone, and whoever is made an owner meanwhile must be seen as one.
    """
    organization = connection.execute(select(accounts.c.organization_id).where(accounts.c.id == account_id)).scalar()
    connection.execute(select(organizations.c.id).where(organizations.c.id == organization).with_for_update())
    connection.execute(select(accounts.c.id).where(accounts.c.id == account_id).with_for_update())


def put(connection: Connection, access_id: int, granted: Iterable[Grant]) -> None:
    """Grant these; what was granted on the same resource is replaced."""
    levels = {(grant.kind, grant.id): grant.level for grant in granted}
    values = [
        {"access_id": access_id, "resource_type": kind, "resource_id": identity, "access_level": level}
        for (kind, identity), level in levels.items()
    ]
    put_rows(connection, grants, values)


def withdraw(connection: Connection, access_id: int, kind: Resource, identity: int) -> None:
    connection.execute(
        delete(grants).where(
            grants.c.access_id == access_id, grants.c.resource_type == kind, grants.c.resource_id == identity
        )
    )


def take_away(connection: Connection, access_ids: Sequence[int]) -> None:
    connection.execute(delete(grants).where(grants.c.access_id.in_(access_ids)))
    connection.execute(delete(accesses).where(accesses.c.id.in_(access_ids)))


def of_account(connection: Connection, account_id: int, access_id: int = 0) -> list[Access]:
    """All accesses of an account in the order of their ids, or the one with this id."""
    wanted = select(accesses).where(accesses.c.account_id == account_id).order_by(accesses.c.id)
    rows = connection.execute(wanted.where(accesses.c.id == access_id) if access_id else wanted).all()
    granted = _granted(connection, [row.id for row in rows])
    return [
        Access(row.id, row.account_id, Specifier(row.specifier_type), row.specifier_id, granted.get(row.id, ()))
        for row in rows
    ]


def of_specifier(connection: Connection, specifier: Specifier, specifier_id: int) -> list[Access]:
    rows = connection.execute(
        select(accesses)
        .where(accesses.c.specifier_type == specifier, accesses.c.specifier_id == specifier_id)
        .order_by(accesses.c.id)
    ).all()
    granted = _granted(connection, [row.id for row in rows])
    return [Access(row.id, row.account_id, specifier, specifier_id, granted.get(row.id, ())) for row in rows]


def rights(connection: Connection, account_id: int, specifier: Specifier, specifier_id: int) -> Rights:
    """What a specifier may do in an account; nothing where it has no access."""
    organization = connection.execute(select(accounts.c.organization_id).where(accounts.c.id == account_id)).scalar()
    found = of_specifier(connection, specifier, specifier_id)
    return Rights.of(
        account_id,
        organization or 0,
        # A grant on the organization stands in the access to whatever account it was given in.
        (
            grant
            for access in found
            for grant in access.grants
            if access.account_id == account_id or grant.kind is Resource.ORGANIZATION
        ),
    )


def forget_resource(connection: Connection, kind: Resource, identity: int) -> None:
    """The resource is gone, and with it what was granted on it."""
    connection.execute(delete(grants).where(grants.c.resource_type == kind, grants.c.resource_id == identity))


def _granted(connection: Connection, access_ids: Sequence[int]) -> Mapping[int, tuple[Grant, ...]]:
    if not access_ids:
        return {}
    rows = connection.execute(
        select(grants)
        .where(grants.c.access_id.in_(access_ids))
        .order_by(grants.c.access_id, grants.c.resource_type, grants.c.resource_id)
    )
    found: dict[int, tuple[Grant, ...]] = {}
    for row in rows:
        grant = Grant(Resource(row.resource_type), row.resource_id, row.access_level)
        found[row.access_id] = (*found.get(row.access_id, ()), grant)
    return found
