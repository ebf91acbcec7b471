"""A lane that lost its time gets it back, one in which nothing is left is forgotten, and neither loses any mail."""

import asyncio
import threading

import pytest
from sqlalchemy import Connection, update

from mailferry.delivery import lanes as keeping
from mailferry.store.schema import lanes, queue
from tests import delivery_support
from tests.conftest import Clock
from tests.delivery_support import GREYLISTED, POSTGRES, TAKEN, Office

office, engines = delivery_support.office, delivery_support.engines


async def lose(office: Office, *destinations: str) -> None:
    """As a lost wake-up leaves it."""
    change = update(lanes).where(lanes.c.destination.in_(destinations)).values(next_due=None)
    await office.database.write(lambda c: c.execute(change))


async def repair(office: Office) -> int:
    lost = await office.database.read(keeping.lost)
    return await office.database.write(lambda c: keeping.repair(c, lost))


async def forget(office: Office) -> None:
    after: int | None = 0
    while after is not None:
        after = await office.database.write(lambda c, after=after: keeping.forget(c, after))  # type: ignore[misc]  # a default binds the loop variable


async def destinations(office: Office) -> list[str]:
    return sorted(row.destination for row in await office.rows(lanes))


# --- mending -------------------------------------------------------------------------------------------------------


async def test_a_lane_that_lost_its_time_is_looked_at_again(office: Office, clock: Clock) -> None:
    (greylisted, waits) = await office.accept("a@later.test", "b@now.test")
    jobs = {job.recipient_id: job for job in await office.claim()}
    change = await office.settle(jobs[greylisted], GREYLISTED)
    assert change.put_back
    await lose(office, "later.test", "now.test")
    assert await office.next_due() is None
    assert await repair(office) == 2
    for destination, recipient in (("later.test", greylisted), ("now.test", waits)):
        row = await office.queued(recipient)
        assert row is not None and (await office.lane(destination)).next_due == row.due
    assert await repair(office) == 0


async def test_what_is_right_is_not_repaired(office: Office, clock: Clock) -> None:
    """An empty lane, one whose mail is held, and one that is looked at in time."""
    (done,) = await office.accept("a@empty.test")
    (job,) = await office.claim()
    await office.settle(job, TAKEN)
    clock.forward(seconds=60)
    assert await office.claim() == [] and await office.state(done) == "delivered"
    await office.accept("b@right.test")
    await office.change_domain(state="suspended")
    await office.accept("c@held.test")
    await lose(office, "held.test")
    before = await office.rows(lanes)
    assert [row.next_due is None for row in before] == [True, False, True]
    assert await office.database.read(keeping.lost) == []
    # Somebody else was quicker: what is asked for is judged again.
    assert await office.database.write(lambda c: keeping.repair(c, [row.id for row in before])) == 0
    assert await office.rows(lanes) == before


# --- forgetting ----------------------------------------------------------------------------------------------------


async def emptied(office: Office, clock: Clock, *addresses: str) -> None:
    """Lanes in which nothing is left, and which nobody looks at."""
    await office.accept(*addresses)
    for job in await office.claim():
        await office.settle(job, TAKEN)
    clock.forward(seconds=60)
    assert await office.claim() == [] and await office.next_due() is None


async def test_empty_lanes_are_forgotten(office: Office, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "SOME", 2)
    await emptied(office, clock, *(f"a@gone{n}.test" for n in range(5)))
    (waits,) = await office.accept("a@waits.test")
    await forget(office)
    assert await destinations(office) == ["waits.test"]
    assert [job.recipient_id for job in await office.claim()] == [waits]
    await forget(office)
    assert await destinations(office) == ["waits.test"], "its mail is under way"
    # It is made again as if it had never been.
    (again,) = await office.accept("a@gone1.test")
    assert [job.recipient_id for job in await office.claim()] == [again]


@pytest.mark.parametrize("known", [True, False], ids=["held", "held, and its domain not known yet"])
async def test_lanes_of_held_mail_are_kept(office: Office, clock: Clock, known: bool) -> None:
    await emptied(office, clock, "a@dest.test")
    await office.change_domain(state="suspended")
    await office.accept("b@dest.test")
    await lose(office, "dest.test")
    if not known:
        await office.database.write(lambda c: c.execute(update(queue).values(domain_id=0)))
    await forget(office)
    assert await destinations(office) == ["dest.test"]


async def test_a_lane_that_lost_its_time_is_not_forgotten(office: Office) -> None:
    accepted = await office.accept("a@dest.test")
    await lose(office, "dest.test")
    await forget(office)
    assert await repair(office) == 1
    assert [job.recipient_id for job in await office.claim()] == accepted


@POSTGRES
async def test_an_accept_that_holds_the_lane_does_not_lose_it(office: Office, clock: Clock) -> None:
    await emptied(office, clock, "a@dest.test")
    begun, go = threading.Event(), threading.Event()

    def wait(_: Connection, bodies: object, now: int) -> None:
        begun.set()
        assert go.wait(60)

    # The lane is locked, its rows are not written yet.
    keep = office.content.keep
    office.content.keep = lambda c, bodies, now: wait(c, bodies, now) or keep(c, bodies, now)  # type: ignore[method-assign, func-returns-value]
    accepting = asyncio.ensure_future(office.accept("b@dest.test"))
    await asyncio.to_thread(begun.wait, 60)
    await forget(office)
    go.set()
    assert [job.recipient_id for job in await office.claim()] == await accepting


@POSTGRES
async def test_an_accept_waits_while_the_lane_is_forgotten_and_makes_it_anew(office: Office, clock: Clock) -> None:
    await emptied(office, clock, "a@dest.test")
    begun, go = threading.Event(), threading.Event()

    def forget_slowly(connection: Connection) -> None:
        keeping.forget(connection, 0)
        begun.set()
        assert go.wait(60)

    forgetting = asyncio.ensure_future(office.database.write(forget_slowly))
    await asyncio.to_thread(begun.wait, 60)
    accepting = asyncio.ensure_future(office.accept("b@dest.test"))
    await office.until_somebody_waits(accepting)
    go.set()
    await forgetting
    accepted = await accepting
    assert [job.recipient_id for job in await office.claim()] == accepted
