"""Held mail is let go when its reason is gone, and rejected when its time is over."""

import asyncio

import pytest
from sqlalchemy import Connection

from mailferry.delivery import release
from mailferry.delivery.job import LEASE_MS
from mailferry.store.schema import recipients
from tests import delivery_support
from tests.conftest import Clock
from tests.delivery_support import EXPIRE_MS, GREYLISTED, POSTGRES, TAKEN, Office

office, engines = delivery_support.office, delivery_support.engines


async def hold(office: Office, *addresses: str) -> list[str]:
    """Accepted while the domain is suspended."""
    await office.change_domain(state="suspended")
    accepted = await office.accept(*addresses)
    await office.change_domain(state="compliant")
    return accepted


async def let_go(office: Office, limit: int = release.SOME) -> int:
    now = office.clock()
    return await office.database.write(lambda c: release.release_domain(c, office.domain, now, limit))


async def let_go_hourly(office: Office, hourly: int) -> int:
    now = office.clock()
    return await office.database.write(lambda c: release.release_hourly(c, now, hourly))


async def expire(office: Office) -> int:
    now = office.clock()
    return await office.database.write(lambda c: release.expire_held(c, now))


# --- a domain may send again ---------------------------------------------------------------------------------------


async def test_held_mail_is_queued_again_and_leaves(office: Office, clock: Clock) -> None:
    accepted = await hold(office, "a@one.test", "b@two.test")
    clock.forward(hours=3)
    assert await office.claim() == [] and await office.next_due() is None, "nothing waits for time"
    assert await let_go(office) == 2
    for recipient in accepted:
        row = await office.recipient(recipient)
        assert (row.state, row.reason) == ("queued", "")
    assert sorted(job.recipient_id for job in await office.claim()) == sorted(accepted)
    assert await let_go(office) == 0


async def test_the_oldest_is_let_go_first(office: Office, clock: Clock) -> None:
    old = await hold(office, "a@one.test")
    clock.forward(seconds=1)
    new = await hold(office, "b@one.test")
    assert await let_go(office, limit=1) == 1
    assert [await office.state(recipient) for recipient in (*old, *new)] == ["queued", "held"]


async def test_mail_of_another_domain_stays_held(office: Office) -> None:
    await office.add_domain("other.test", state="suspended")
    (theirs,) = await office.accept("a@one.test", sender="app@other.test")
    (ours,) = await hold(office, "a@one.test")
    assert await let_go(office) == 1
    assert (await office.state(ours), await office.state(theirs)) == ("queued", "held")


async def test_what_is_too_old_is_not_let_go(office: Office, clock: Clock) -> None:
    (recipient,) = await hold(office, "a@one.test")
    clock.now += EXPIRE_MS
    assert await let_go(office) == 0
    assert await office.state(recipient) == "held"


async def test_tries_and_the_hourly_count_are_kept(office: Office, clock: Clock) -> None:
    await office.change_domain(state="under_review")
    node = office.node(hourly=1)
    (recipient,) = await node.accept("a@one.test")
    (job,) = await node.claim()
    await node.settle(job, GREYLISTED)
    await node.change_domain(dns_verified=False)
    clock.now += 4 * delivery_support.FIRST_RETRY_MS  # the same hour
    assert await node.claim() == []
    await node.change_domain(dns_verified=True)
    assert await let_go(node) == 1
    (again,) = await node.claim()
    assert (again.recipient_id, again.tries) == (recipient, 1)


# --- the hourly number ---------------------------------------------------------------------------------------------


async def throttled(office: Office, number: int, hourly: int) -> Office:
    """A new domain that has sent its number; the rest is held."""
    await office.change_domain(state="under_review")
    node = office.node(hourly=hourly)
    await node.accept(*(f"r{n}@dest.test" for n in range(number)))
    assert await sent(node) == hourly
    return node


async def sent(node: Office) -> int:
    jobs = await node.claim()
    await asyncio.gather(*(node.settle(job, TAKEN) for job in jobs))
    return len(jobs)


async def test_each_hour_lets_its_number_go(office: Office, clock: Clock) -> None:
    node = await throttled(office, 7, 3)
    assert await let_go_hourly(node, 3) == 0, "this hour is used up"
    for number in (3, 1):
        clock.forward(hours=1)
        assert await let_go_hourly(node, 3) == number
        assert await sent(node) == number
    assert await node.count(recipients, state="held") == 0


async def test_only_what_was_over_the_number_is_let_go_by_the_hour(office: Office, clock: Clock) -> None:
    (suspended,) = await hold(office, "a@one.test")
    node = await throttled(office, 3, 1)
    clock.forward(hours=1)
    assert await let_go_hourly(node, 10) == 2
    assert await node.state(suspended) == "held"


@pytest.mark.parametrize("changed", [{"state": "suspended"}, {"dns_verified": False}, {"deleted_at": 5}], ids=str)
async def test_a_domain_that_may_not_send_lets_nothing_go(
    office: Office, clock: Clock, changed: dict[str, object]
) -> None:
    node = await throttled(office, 3, 1)
    clock.forward(hours=1)
    await node.change_domain(**changed)
    assert await let_go_hourly(node, 10) == 0


# --- too old -------------------------------------------------------------------------------------------------------


async def test_what_was_held_too_long_is_rejected(office: Office, clock: Clock) -> None:
    (old,) = await hold(office, "a@one.test")
    clock.forward(seconds=1)
    (young,) = await hold(office, "b@one.test")
    assert await expire(office) == 0
    clock.now += EXPIRE_MS - 1000
    assert await expire(office) == 1
    row = await office.recipient(old)
    assert (row.state, row.reason) == ("rejected", "expired: domain_suspended")
    assert await office.story(old) == ["accepted", "suspension", "reject"]
    assert await office.queued(old) is None
    assert await office.state(young) == "held" and await office.queued(young) is not None


async def test_what_waits_for_its_time_is_not_rejected(office: Office, clock: Clock) -> None:
    (recipient,) = await office.accept("a@one.test")
    clock.now += EXPIRE_MS + LEASE_MS
    assert await expire(office) == 0
    assert await office.state(recipient) == "queued"


# --- two nodes -----------------------------------------------------------------------------------------------------


@POSTGRES
async def test_two_nodes_do_not_let_the_same_mail_go(office: Office, clock: Clock) -> None:
    await hold(office, "a@one.test", "b@two.test")

    def both(first: Connection) -> tuple[int, int]:
        ours = release.release_domain(first, office.domain, clock.now)
        with office.database.reader_engine.connect() as second, second.begin():
            return ours, release.release_domain(second, office.domain, clock.now)

    assert await office.database.write(both) == (2, 0)
