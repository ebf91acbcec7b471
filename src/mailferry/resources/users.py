"""People: each has one address and one password, and an access to every account that they may look into.

Nobody is kept who has no access any more.
"""

from dataclasses import dataclass

from argon2 import PasswordHasher
from sqlalchemy import ColumnElement, Connection, Row, Select, delete, exists, insert, select

from mailferry.resources import accesses
from mailferry.resources.accesses import Access, Specifier
from mailferry.resources.permissions import OWNER, Grant, Resource
from mailferry.store.given import insert_if_new
from mailferry.store.schema import accesses as accesses_table
from mailferry.store.schema import accounts, grants, users

#: Characters. The least as NIST SP 800-63B has it; the most keeps hashing from becoming work that others order.
LEAST_PASSWORD, MOST_PASSWORD = 10, 256


@dataclass(frozen=True, slots=True)
class User:
    id: int
    email: str
    name: str
    created_at: int


def spelled(email: str) -> str:
    """One person is one address, in whatever case somebody types it. Beyond ASCII two letters may share their lower case."""
    return email.lower() if email.isascii() else email


def create(
    connection: Connection, account_id: int, email: str, password_hash: str, level: int, now: int, *, name: str = ""
) -> int:
    """A person with this level on the whole account."""
    values = _values(account_id, email, name, password_hash, now)
    user_id = int(connection.execute(insert(users).values(values).returning(users.c.id)).scalar_one())
    accesses.give(connection, account_id, Specifier.USER, user_id, [Grant(Resource.ACCOUNT, account_id, level)], now)
    return user_id


def find_or_create(
    connection: Connection, account_id: int, email: str, name: str, password_hash: str, now: int
) -> tuple[User, bool] | None:
    """Whoever has the address, as they are, or a new person; True: it is a new one.

    The row is locked, so that nobody who removes a last access elsewhere removes the person meanwhile. None: there is
    nobody, and no password hash to make somebody with.
    """
    if password_hash:
        made = insert_if_new(connection, users, [_values(account_id, email, name, password_hash, now)], (users.c.id,))
        if made:
            return User(made[0].id, email, name, now), True
    found = by_email(connection, email, lock=True)
    return (found, False) if found else None


def by_email(connection: Connection, email: str, *, lock: bool = False) -> User | None:
    wanted = _select().where(users.c.email == email)
    row = connection.execute(wanted.with_for_update() if lock else wanted).one_or_none()
    return _user(row) if row else None


def of_account(connection: Connection, account_id: int) -> list[tuple[User, Access]]:
    """Everybody with an access to the account, in the order of accesses."""
    found = [each for each in accesses.of_account(connection, account_id) if each.specifier is Specifier.USER]
    people = {row.id: _user(row) for row in connection.execute(_select().where(users.c.id.in_(_who(account_id))))}
    return [(people[access.specifier_id], access) for access in found if access.specifier_id in people]


def remove_access(connection: Connection, access: Access) -> None:
    """A person loses the account; whoever has no other one is forgotten."""
    # Locked first: an invitation that is accepted right now gives the same person another access, and is waited for.
    connection.execute(select(users.c.id).where(users.c.id == access.specifier_id).with_for_update())
    accesses.take_away(connection, [access.id])
    left = exists().where(
        accesses_table.c.specifier_type == Specifier.USER, accesses_table.c.specifier_id == users.c.id
    )
    connection.execute(delete(users).where(users.c.id == access.specifier_id, ~left))


def is_last_owner(connection: Connection, access: Access) -> bool:
    """Whether an account, or an organization, would have no owner without what this access grants.

    Ask in the transaction that changes it, and under accesses.lock.
    """
    owned = [grant for grant in access.grants if grant.level >= OWNER]
    if access.specifier is not Specifier.USER or not owned:
        return False
    return any(not _other_owners(connection, access, grant) for grant in owned)


def owners(connection: Connection, account_id: int) -> list[str]:
    """The addresses of those who own it; where nobody does, of those who own its organization."""
    for kind, identity in (
        (Resource.ACCOUNT, account_id),
        (Resource.ORGANIZATION, _organization(connection, account_id)),
    ):
        found = (
            select(users.c.email)
            .join(accesses_table, accesses_table.c.specifier_id == users.c.id)
            .join(grants, grants.c.access_id == accesses_table.c.id)
            .where(accesses_table.c.specifier_type == Specifier.USER, *_owns(kind, identity))
            .order_by(users.c.id)
        )
        if emails := list(connection.execute(found).scalars()):
            return emails
    return []


def hash_password(password: str) -> str:
    """Argon2id (RFC 9106) with the library's defaults: tens of milliseconds, so never in the event loop."""
    return PasswordHasher().hash(password)


def _values(account_id: int, email: str, name: str, password_hash: str, now: int) -> dict[str, object]:
    return {
        "account_id": account_id,
        "email": email,
        "name": name,
        "password_hash": password_hash,
        "created_at": now,
    }


def _select() -> Select[tuple[int, str, str, int]]:
    return select(users.c.id, users.c.email, users.c.name, users.c.created_at)


def _user(row: Row[tuple[int, str, str, int]]) -> User:
    return User(row.id, row.email, row.name, row.created_at)


def _other_owners(connection: Connection, access: Access, grant: Grant) -> bool:
    """An account may be left to the owners of its organization; the organization to nobody."""
    owning = [_owns(grant.kind, grant.id)]
    if grant.kind is Resource.ACCOUNT:
        owning.append(_owns(Resource.ORGANIZATION, _organization(connection, grant.id)))
    others = (
        select(accesses_table.c.id)
        .join(grants, grants.c.access_id == accesses_table.c.id)
        .where(accesses_table.c.specifier_type == Specifier.USER, accesses_table.c.id != access.id)
        .limit(1)
    )
    return any(connection.execute(others.where(*each)).first() for each in owning)


def _organization(connection: Connection, account_id: int) -> int:
    return connection.execute(select(accounts.c.organization_id).where(accounts.c.id == account_id)).scalar() or 0


def _owns(kind: Resource, identity: int) -> tuple[ColumnElement[bool], ...]:
    return (grants.c.resource_type == kind, grants.c.resource_id == identity, grants.c.access_level >= OWNER)


def _who(account_id: int) -> Select[tuple[int]]:
    return select(accesses_table.c.specifier_id).where(
        accesses_table.c.account_id == account_id, accesses_table.c.specifier_type == Specifier.USER
    )
