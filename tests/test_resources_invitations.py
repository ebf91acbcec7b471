"""Invitations and people on both databases: what is accepted once, by whom, and what nobody can lose."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection, insert, select

from mailferry.resources import accesses, accounts, invitations, organizations, tokens, users
from mailferry.resources.accesses import Access, Specifier
from mailferry.resources.invitations import LIFE_MS, MOST, Accepted, Made, Unwanted
from mailferry.resources.permissions import ADMIN, OWNER, VIEWER, VIEWER_PLUS, Grant, Resource
from mailferry.store import schema
from mailferry.store.database import Database, open_database
from tests.beside import Beside
from tests.conftest import Clock

T = TypeVar("T")
ANN, OWNED_BY = "ann@dest.test", "olga@shop.test"


class House:
    def __init__(self, database: Database, clock: Clock) -> None:
        self.database, self.clock = database, clock
        self.account = self.other = 0

    async def run(self, write: Callable[[Connection], T]) -> T:
        return await self.database.write(write)

    async def furnish(self) -> "House":
        self.account = await self.run(lambda c: accounts.create_account(c, "Shop", self.clock()))
        self.other = await self.run(lambda c: accounts.create_account(c, "Other", self.clock()))
        await self.run(lambda c: users.create(c, self.account, OWNED_BY, "hash", OWNER, self.clock()))
        return self

    async def invite(
        self, email: str = ANN, granted: Sequence[Grant] = (), account: int = 0, by: str = "Olga"
    ) -> Made | Unwanted:
        at = account or self.account
        what = granted or [Grant(Resource.ACCOUNT, at, VIEWER)]
        return await self.run(lambda c: invitations.create(c, at, email, what, by, self.clock()))

    async def secret(self, email: str = ANN, granted: Sequence[Grant] = (), account: int = 0) -> str:
        made = await self.invite(email, granted, account)
        assert isinstance(made, Made)
        return made.secret

    async def accept(self, secret: str, hashed: str = "new") -> Accepted | None:
        return await self.run(lambda c: invitations.accept(c, secret, "Ann", hashed, self.clock()))

    async def people(self, account: int = 0) -> dict[str, tuple[Grant, ...]]:
        found = await self.run(lambda c: users.of_account(c, account or self.account))
        return {user.email: access.grants for user, access in found}

    async def access(self, email: str, account: int = 0) -> Access:
        found = await self.run(lambda c: users.of_account(c, account or self.account))
        return next(access for user, access in found if user.email == email)

    async def hash_of(self, email: str) -> str | None:
        wanted = select(schema.users.c.password_hash).where(schema.users.c.email == email)
        return await self.run(lambda c: c.execute(wanted).scalar())


@pytest.fixture
async def house(database: Database, clock: Clock) -> AsyncIterator[House]:
    yield await House(database, clock).furnish()


async def test_who_accepts_has_what_was_offered_and_the_access_is_the_same(house: House) -> None:
    granted = [Grant(Resource.ACCOUNT, house.account, VIEWER), Grant(Resource.TEMPLATES, house.account, ADMIN)]
    secret = await house.secret(granted=granted)
    (offered,) = [
        each
        for each in await house.run(lambda c: accesses.of_account(c, house.account))
        if each.specifier is Specifier.INVITE
    ]
    accepted = await house.accept(secret)
    assert accepted and accepted.new and accepted.access_id == offered.id
    assert await house.people() == {OWNED_BY: (Grant(Resource.ACCOUNT, house.account, OWNER),), ANN: tuple(granted)}
    assert (await house.hash_of(ANN), accepted.user.name) == ("new", "Ann")
    assert await house.run(lambda c: invitations.of_account(c, house.account)) == []
    assert await house.accept(secret) is None


async def test_only_the_hash_of_the_secret_is_kept(house: House) -> None:
    secret = await house.secret()
    (row,) = await house.run(lambda c: invitations.of_account(c, house.account))
    assert row.secret_hash == tokens.digest(secret) and secret not in str(tuple(row))


async def test_a_person_of_another_account_keeps_name_and_password(house: House) -> None:
    """Whoever invites somebody must not be able to change what they log in with elsewhere."""
    secret = await house.secret(OWNED_BY, account=house.other)
    offer = await house.run(lambda c: invitations.offer(c, secret, house.clock()))
    assert offer and offer.known
    accepted = await house.accept(secret)
    assert accepted and not accepted.new
    assert await house.hash_of(OWNED_BY) == "hash"
    assert await house.people(house.other) == {OWNED_BY: (Grant(Resource.ACCOUNT, house.other, VIEWER),)}


async def test_of_two_who_accept_at_once_one_does(house: House, database_url: str, tmp_path: Path) -> None:
    """On PostgreSQL they are two processes' writers."""
    second = open_database(database_url, tmp_path, 2) if database_url else house.database
    try:
        for number in range(10):
            email = f"ann-{number}@dest.test"
            secret = await house.secret(email)
            tried = [
                database.write(lambda c, secret=secret, h=h: invitations.accept(c, secret, h, h, house.clock()))  # type: ignore[misc]  # a default binds the loop variable
                for database, h in ((house.database, "first"), (second, "second"))
            ]
            won = [each for each in await asyncio.gather(*tried) if each]
            assert len(won) == 1 and await house.hash_of(email) == won[0].user.name
    finally:
        if second is not house.database:
            await second.close()


async def test_of_two_invitations_that_are_accepted_at_once_the_person_is_one(
    house: House, database_url: str, tmp_path: Path
) -> None:
    second = open_database(database_url, tmp_path, 2) if database_url else house.database
    try:
        for number in range(10):
            email = f"ann-{number}@dest.test"
            secrets = [await house.secret(email), await house.secret(email, account=house.other)]
            accepted = await asyncio.gather(
                *(
                    database.write(lambda c, secret=secret: invitations.accept(c, secret, "Ann", "h", house.clock()))  # type: ignore[misc]  # a default binds the loop variable
                    for database, secret in zip((house.database, second), secrets, strict=True)
                )
            )
            assert {each.new for each in accepted if each} == {True, False}
            assert len({each.user.id for each in accepted if each}) == 1
    finally:
        if second is not house.database:
            await second.close()


async def test_an_invitation_ends_after_seven_days_and_may_be_sent_again(house: House) -> None:
    made = await house.invite()
    assert isinstance(made, Made)
    house.clock.now += LIFE_MS
    assert await house.run(lambda c: invitations.offer(c, made.secret, house.clock())) is None
    assert await house.accept(made.secret) is None
    again = await house.run(lambda c: invitations.resend(c, made.id, house.clock()))
    assert again and again.id == made.id and again.secret != made.secret
    assert await house.accept(made.secret) is None, "the old link is dead"
    assert await house.accept(again.secret)
    assert await house.run(lambda c: invitations.resend(c, made.id, house.clock())) is None


async def test_one_that_was_revoked_opens_nothing(house: House) -> None:
    made = await house.invite()
    assert isinstance(made, Made)
    assert await house.run(lambda c: invitations.remove(c, made.id))
    assert not await house.run(lambda c: invitations.remove(c, made.id))
    assert await house.accept(made.secret) is None
    assert len(await house.run(lambda c: accesses.of_account(c, house.account))) == 1


async def test_who_is_not_invited(house: House) -> None:
    assert await house.invite(OWNED_BY) is Unwanted.MEMBER
    await house.secret()
    assert await house.invite() is Unwanted.INVITED
    assert isinstance(await house.invite(account=house.other), Made)


async def test_an_account_has_so_many_invitations_and_no_more(house: House) -> None:
    rows = [
        {"account_id": house.account, "email": f"{n}@dest.test", "secret_hash": str(n), "expires_at": 1}
        for n in range(MOST)
    ]
    await house.run(lambda c: c.execute(insert(schema.invitations), rows))
    assert await house.invite() is Unwanted.TOO_MANY
    assert isinstance(await house.invite(account=house.other), Made)


async def test_who_came_to_be_a_member_meanwhile_loses_nothing(house: House) -> None:
    """Offered less than they have, and more on something else."""
    granted = [Grant(Resource.ACCOUNT, house.account, VIEWER), Grant(Resource.BILLING, house.account, ADMIN)]
    secret = await house.secret(granted=granted)
    await house.run(lambda c: users.create(c, house.account, ANN, "hash", OWNER, house.clock()))
    assert await house.accept(secret)
    assert set((await house.people())[ANN]) == {
        Grant(Resource.ACCOUNT, house.account, OWNER),
        Grant(Resource.BILLING, house.account, ADMIN),
    }
    assert len(await house.run(lambda c: accesses.of_account(c, house.account))) == 2


async def test_who_loses_the_last_access_is_forgotten(house: House) -> None:
    for account in (house.account, house.other):
        assert await house.accept(await house.secret(account=account))
    access = await house.access(ANN)
    await house.run(lambda c: users.remove_access(c, access))
    assert await house.hash_of(ANN) == "new"
    access = await house.access(ANN, house.other)
    await house.run(lambda c: users.remove_access(c, access))
    assert await house.hash_of(ANN) is None


# --- at the same time --------------------------------------------------------------------------------------------------


async def test_who_loses_an_access_while_another_one_is_accepted_is_not_forgotten(house: House, beside: Beside) -> None:
    await house.accept(await house.secret())
    access, secret = await house.access(ANN), await house.secret(account=house.other)
    accepted, _ = await beside.run(
        lambda c: invitations.accept(c, secret, "Ann", "", house.clock()),
        lambda c: users.remove_access(c, access),
    )
    assert accepted and ANN in await house.people(house.other)


async def test_of_two_who_are_invited_at_once_one_is_too_many(
    house: House, beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invitations, "MOST", 1)
    granted = [Grant(Resource.ACCOUNT, house.account, VIEWER)]

    def invite(email: str) -> Callable[[Connection], Made | Unwanted]:
        return lambda c: invitations.create(c, house.account, email, granted, "", house.clock())

    first, second = await beside.run(invite(ANN), invite("bob@dest.test"))
    assert isinstance(first, Made) and second is Unwanted.TOO_MANY


# --- owners ------------------------------------------------------------------------------------------------------------


async def last(house: House, email: str, account: int = 0) -> bool:
    access = await house.access(email, account)
    return await house.run(lambda c: users.is_last_owner(c, access))


async def test_the_last_owner_is_known(house: House) -> None:
    assert await last(house, OWNED_BY)
    await house.accept(await house.secret(granted=[Grant(Resource.ACCOUNT, house.account, ADMIN)]))
    assert await last(house, OWNED_BY) and not await last(house, ANN)
    max_ = "max@dest.test"
    await house.accept(await house.secret(max_, [Grant(Resource.ACCOUNT, house.account, OWNER)]))
    assert not await last(house, OWNED_BY) and not await last(house, max_)


async def test_who_is_invited_to_own_it_is_no_owner_yet(house: House) -> None:
    await house.secret(granted=[Grant(Resource.ACCOUNT, house.account, OWNER)])
    assert await last(house, OWNED_BY)


async def test_an_account_may_be_left_to_those_who_own_its_organization(house: House) -> None:
    group = await house.run(lambda c: organizations.create(c, "Group", house.account, house.clock()))
    assert await last(house, OWNED_BY)
    assert await house.run(lambda c: organizations.add_account(c, group, house.other))
    await house.accept(await house.secret(ANN, [Grant(Resource.ORGANIZATION, group, OWNER)], house.other))
    assert not await last(house, OWNED_BY)
    assert await last(house, ANN, house.other), "of the organization"


async def test_of_two_owners_who_are_removed_at_once_one_stays(house: House, database_url: str, tmp_path: Path) -> None:
    second = open_database(database_url, tmp_path, 2) if database_url else house.database

    def leave(connection: Connection, access: Access) -> None:
        accesses.lock(connection, access.account_id)
        if not users.is_last_owner(connection, access):
            users.remove_access(connection, access)

    try:
        for number in range(10):
            email = f"owner-{number}@dest.test"
            await house.accept(await house.secret(email, [Grant(Resource.ACCOUNT, house.account, OWNER)]))
            both = [await house.access(each) for each in await house.people()]
            await asyncio.gather(
                *(
                    database.write(lambda c, access=access: leave(c, access))  # type: ignore[misc]  # a default binds the loop variable
                    for database, access in zip((house.database, second), both, strict=True)
                )
            )
            assert len(await house.people()) == 1
    finally:
        if second is not house.database:
            await second.close()


@pytest.mark.parametrize("level", [VIEWER, VIEWER_PLUS, ADMIN, OWNER])
async def test_who_accepted_has_these_rights_in_the_account_and_none_in_another(house: House, level: int) -> None:
    accepted = await house.accept(await house.secret(granted=[Grant(Resource.ACCOUNT, house.account, level)]))
    assert accepted
    for account, expected in ((house.account, level), (house.other, 0)):
        rights = await house.run(
            lambda c, account=account: accesses.rights(c, account, Specifier.USER, accepted.user.id)  # type: ignore[misc]  # a default binds the loop variable
        )
        assert rights.account == expected


def test_one_person_is_one_address_in_whatever_case() -> None:
    assert users.spelled("Ann.Lee@dest.test") == "ann.lee@dest.test"
    # The Kelvin sign is k in lower case: its owner would be taken for kim.
    assert users.spelled("\N{KELVIN SIGN}im@dest.test") != "kim@dest.test"


async def test_of_two_resets_at_once_one_makes_a_token(house: House, beside: Beside) -> None:
    granted = [Grant(Resource.ACCOUNT, house.account, ADMIN)]
    token_id, _ = await house.run(lambda c: tokens.create(c, house.account, "CI", granted, house.clock()))

    def reset(connection: Connection) -> tuple[int, str] | None:
        return tokens.reset(connection, house.account, token_id, house.clock())

    first, second = await beside.run(reset, reset)
    assert first and second is None


async def test_a_token_that_is_removed_makes_no_other_meanwhile(house: House, beside: Beside) -> None:
    granted = [Grant(Resource.ACCOUNT, house.account, ADMIN)]
    token_id, _ = await house.run(lambda c: tokens.create(c, house.account, "CI", granted, house.clock()))
    _, made = await beside.run(
        lambda c: tokens.remove(c, token_id), lambda c: tokens.reset(c, house.account, token_id, house.clock())
    )
    assert made is None
    assert await house.run(lambda c: tokens.of_account(c, house.account, house.clock())) == []
