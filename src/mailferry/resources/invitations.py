"""Invitations: an address is offered an access to an account, which is turned over to the person who accepts.

Whoever has the link's secret accepts, so only its SHA-256 is kept, and it is told to nobody but the address. Nobody who
may invite is shown it over the API: they could make a person of somebody else's address, with a password of their own.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from mailferry.resources import accesses, tokens, users
from mailferry.resources.accesses import Access, Specifier
from mailferry.resources.permissions import Grant
from mailferry.resources.users import User
from mailferry.store.given import insert_if_new
from mailferry.store.schema import accesses as accesses_table
from mailferry.store.schema import accounts, invitations

LIFE_MS = 7 * 24 * 3_600_000
#: Of one account, those that have ended among them: each is a row that lists show whole.
MOST = 1_000


class Unwanted(StrEnum):
    """Why an address is not invited."""

    TOO_MANY = "too many"
    INVITED = "invited"
    MEMBER = "member"


class PersonGone(LookupError):
    """Whoever had the address was forgotten since they were asked; asked again, they choose a password."""


@dataclass(frozen=True, slots=True)
class Made:
    """``secret`` is not kept, and cannot be shown again."""

    id: int
    secret: str


@dataclass(frozen=True, slots=True)
class Offer:
    """What the link opens. ``known``: the address is a person's of this house already, who needs no password."""

    id: int
    account_id: int
    account_name: str
    email: str
    created_by: str
    access: Access
    known: bool


@dataclass(frozen=True, slots=True)
class Accepted:
    """``new``: the person was made by it."""

    user: User
    new: bool
    invitation_id: int
    account_id: int
    access_id: int


def create(
    connection: Connection, account_id: int, email: str, granted: Sequence[Grant], created_by: str, now: int
) -> Made | Unwanted:
    """``email`` as users.spelled has it."""
    # One after the other, so that the limit is one.
    connection.execute(select(accounts.c.id).where(accounts.c.id == account_id).with_for_update())
    if _is_member(connection, account_id, email):
        return Unwanted.MEMBER
    counted = select(func.count()).select_from(invitations).where(invitations.c.account_id == account_id)
    if connection.execute(counted).scalar_one() >= MOST:
        return Unwanted.TOO_MANY
    secret = secrets.token_urlsafe(32)
    values = {
        "account_id": account_id,
        "email": email,
        "secret_hash": tokens.digest(secret),
        "created_by": created_by,
        "created_at": now,
        "expires_at": now + LIFE_MS,
    }
    made = insert_if_new(connection, invitations, [values], (invitations.c.id,))
    if not made:
        return Unwanted.INVITED
    accesses.give(connection, account_id, Specifier.INVITE, made[0].id, granted, now)
    return Made(made[0].id, secret)


def resend(connection: Connection, invitation_id: int, now: int) -> Made | None:
    """A new secret, good for as long as a new invitation's; the old link is dead. None: it is gone."""
    secret = secrets.token_urlsafe(32)
    renewed = (
        update(invitations)
        .where(invitations.c.id == invitation_id)
        .values(secret_hash=tokens.digest(secret), expires_at=now + LIFE_MS)
    )
    return Made(invitation_id, secret) if connection.execute(renewed).rowcount else None


def remove(connection: Connection, invitation_id: int) -> bool:
    """False: it is gone already, by being accepted perhaps."""
    if not connection.execute(delete(invitations).where(invitations.c.id == invitation_id)).rowcount:
        return False
    offered = accesses.of_specifier(connection, Specifier.INVITE, invitation_id)
    accesses.take_away(connection, [access.id for access in offered])
    return True


def of_account(connection: Connection, account_id: int) -> list[Row[Any]]:
    """Rows of the table in the order of their ids, those that have ended too; account 0: of all accounts."""
    found = select(invitations).order_by(invitations.c.id)
    return list(connection.execute(found.where(invitations.c.account_id == account_id) if account_id else found).all())


def by_id(connection: Connection, invitation_id: int, account_id: int = 0) -> Row[Any] | None:
    """Account 0: of whichever."""
    found = select(invitations).where(invitations.c.id == invitation_id)
    return connection.execute(
        found.where(invitations.c.account_id == account_id) if account_id else found
    ).one_or_none()


def offer(connection: Connection, secret: str, now: int) -> Offer | None:
    """None: unknown, ended or accepted. It is looked up by digest, so its time says nothing about the secret."""
    wanted = (
        select(invitations, accounts.c.name.label("account_name"))
        .join(accounts, accounts.c.id == invitations.c.account_id)
        .where(*_opened_by(secret, now))
    )
    row = connection.execute(wanted).one_or_none()
    access = _offered(connection, row.id) if row else None
    if row is None or access is None:
        return None
    known = users.by_email(connection, row.email) is not None
    return Offer(row.id, row.account_id, row.account_name, row.email, row.created_by, access, known)


def accept(connection: Connection, secret: str, name: str, password_hash: str, now: int) -> Accepted | None:
    """Turn the access over to whoever has the address, or to a new person of this name and password.

    A person who is known keeps both, and needs no hash. None: unknown, ended, or accepted by another request. Raises
    :class:`PersonGone`.
    """
    gone = delete(invitations).where(*_opened_by(secret, now)).returning(*invitations.c)
    row = connection.execute(gone).one_or_none()
    if row is None:
        return None
    accesses.lock(connection, row.account_id)
    access = _offered(connection, row.id)
    if access is None:
        return None
    found = users.find_or_create(connection, row.account_id, row.email, name, password_hash, now)
    if found is None:
        raise PersonGone
    user, new = found
    return Accepted(user, new, row.id, row.account_id, _turn_over(connection, access, user.id))


def _turn_over(connection: Connection, access: Access, user_id: int) -> int:
    has = [
        each
        for each in accesses.of_specifier(connection, Specifier.USER, user_id)
        if each.account_id == access.account_id
    ]
    if not has:
        connection.execute(
            update(accesses_table)
            .where(accesses_table.c.id == access.id)
            .values(specifier_type=Specifier.USER, specifier_id=user_id)
        )
        return access.id
    # They came to be a member while they were invited: nothing that they have is lost.
    levels = {(grant.kind, grant.id): grant.level for grant in has[0].grants}
    more = [grant for grant in access.grants if grant.level > levels.get((grant.kind, grant.id), 0)]
    accesses.put(connection, has[0].id, more)
    accesses.take_away(connection, [access.id])
    return has[0].id


def _offered(connection: Connection, invitation_id: int) -> Access | None:
    return next(iter(accesses.of_specifier(connection, Specifier.INVITE, invitation_id)), None)


def _opened_by(secret: str, now: int) -> tuple[Any, ...]:
    return invitations.c.secret_hash == tokens.digest(secret), invitations.c.expires_at > now


def _is_member(connection: Connection, account_id: int, email: str) -> bool:
    found = users.by_email(connection, email)
    return found is not None and any(
        access.account_id == account_id for access in accesses.of_specifier(connection, Specifier.USER, found.id)
    )
