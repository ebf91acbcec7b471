"""The queue: leases that end by themselves, lanes that cost one look, and two nodes that share the work."""

import asyncio
from random import Random
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, text, update

from mailferry.delivery import queue as queues
from mailferry.delivery.job import LEASE_MS, Job
from mailferry.store.schema import lanes, queue, recipients
from tests import delivery_support
from tests.conftest import Clock
from tests.delivery_support import GREYLISTED, POSTGRES, SPAM, TAKEN, Office

US, THEM = 1, 2


office, engines = delivery_support.office, delivery_support.engines


def ids(rows: list[Any]) -> list[str]:
    return sorted(row.recipient_id for row in rows)


# --- leases --------------------------------------------------------------------------------------------------------


async def test_what_is_taken_is_not_taken_by_another(office: Office, clock: Clock) -> None:
    accepted = await office.accept("a@one.test", "b@one.test", "c@two.test")
    taken = await office.take(owner=US)
    assert ids(taken) == sorted(accepted) and {row.fence for row in taken} == {1}
    assert await office.take(owner=THEM) == []
    clock.now += LEASE_MS - 1
    assert await office.take(owner=THEM) == []


async def test_a_lease_ends_by_itself_and_the_next_has_another_fence(office: Office, clock: Clock) -> None:
    accepted = await office.accept("a@one.test", "b@two.test")
    await office.take(owner=US)
    assert await office.next_due() == clock.now + LEASE_MS
    clock.now += LEASE_MS
    again = await office.take(owner=THEM)
    assert ids(again) == sorted(accepted) and {row.fence for row in again} == {2}


async def test_a_renewal_pushes_what_it_names_and_nothing_else(office: Office, clock: Clock) -> None:
    ours, forgotten = await office.accept("a@one.test", "b@one.test")
    await office.take(owner=US)
    clock.forward(seconds=20)
    now = clock.now
    assert await office.database.write(lambda c: queues.renew(c, US, [(ours, 1)], now)) == {ours}
    clock.forward(seconds=10)
    assert ids(await office.take(owner=THEM)) == [forgotten]
    clock.forward(seconds=20)
    assert ids(await office.take(owner=THEM)) == [ours]


async def test_what_another_took_over_is_not_renewed(office: Office, clock: Clock) -> None:
    lost, kept = await office.accept("a@one.test", "b@two.test")
    await office.take(owner=US)
    clock.now += LEASE_MS - 1
    now = clock.now
    await office.database.write(lambda c: queues.renew(c, US, [(kept, 1)], now))
    clock.now += 1
    await office.take(owner=THEM)
    theirs = await office.queued(lost)
    clock.forward(seconds=5)
    leases = [(lost, 1), (lost, 2), (kept, 1)]
    assert await office.database.write(lambda c: queues.renew(c, US, leases, clock.now)) == {kept}
    assert await office.queued(lost) == theirs


async def test_a_lease_of_ours_that_ended_is_not_renewed_in_place_of_the_next(office: Office, clock: Clock) -> None:
    (recipient,) = await office.accept("a@one.test")
    await office.take(owner=US)
    clock.now += LEASE_MS
    await office.take(owner=US)
    clock.forward(seconds=10)
    assert await office.database.write(lambda c: queues.renew(c, US, [(recipient, 1)], clock.now)) == set()
    assert await office.database.write(lambda c: queues.renew(c, US, [(recipient, 2)], clock.now)) == {recipient}


async def test_all_leases_can_be_freed(office: Office, clock: Clock) -> None:
    first, second, held = await office.accept("a@one.test", "b@two.test", "c@two.test")
    await office.take(owner=US)
    await office.database.write(lambda c: queues.put_back(c, [row_of(held, due=None)]))
    clock.forward(seconds=1)
    assert await office.database.write(lambda c: queues.free_leases(c, clock.now)) == 2
    assert await office.next_due() == clock.now
    assert ids(await office.take(owner=THEM)) == sorted([first, second])


async def test_the_leases_of_one_boot_are_freed_alone(office: Office, clock: Clock) -> None:
    await office.accept("a@one.test")
    await office.take(owner=THEM)
    ours = await office.accept("b@one.test")
    await office.take(owner=US)
    assert await office.database.write(lambda c: queues.free_leases(c, clock.now, US)) == 1
    assert ids(await office.take(owner=US)) == ours


async def test_what_is_released_may_be_taken_at_once(office: Office, clock: Clock) -> None:
    ours, kept, theirs = await office.accept("a@one.test", "b@one.test", "c@two.test")
    await office.take(owner=US)
    clock.forward(seconds=3)
    leases = [(ours, 1), (theirs, 7)]  # the second has been taken over since: its fence is not ours
    await office.database.write(lambda c: queues.release(c, leases, US, clock.now))
    row = await office.queued(ours)
    assert row is not None and (row.owner, row.due) == (0, clock.now)
    assert await office.next_due() == clock.now
    again = await office.take(owner=THEM)
    assert ids(again) == [ours] and again[0].fence == 2
    await office.database.write(lambda c: queues.release(c, [(kept, 1)], THEM, clock.now))
    assert await office.take(owner=THEM) == [], "another's lease is not ours to give back"


# --- lanes ---------------------------------------------------------------------------------------------------------


async def test_a_lane_that_is_not_due_is_not_looked_at(office: Office, clock: Clock) -> None:
    (waiting,) = await office.accept("a@one.test")
    (free,) = await office.accept("b@two.test")
    later = clock.now + 10_000
    await office.database.write(
        lambda c: c.execute(update(lanes).where(lanes.c.destination == "one.test").values(next_due=later))
    )
    assert ids(await office.take()) == [free]
    clock.forward(seconds=10)
    assert ids(await office.take()) == [waiting]


async def test_many_rows_of_a_blocked_lane_do_not_stand_in_the_way(office: Office, clock: Clock) -> None:
    await office.accept(*(f"r{number}@slow.test" for number in range(120)))
    while jobs := await office.claim():
        await asyncio.gather(*(office.settle(job, GREYLISTED) for job in jobs))
    (quick,) = await office.accept("a@quick.test")
    assert ids(await office.take(room=1)) == [quick]
    slow, due = await office.lane("slow.test"), await office.next_due()
    assert slow.next_due > clock.now and due is not None and due > clock.now


async def test_a_long_lane_leaves_room_for_a_short_one(office: Office) -> None:
    await office.accept(*(f"r{number}@long.test" for number in range(queues.CLAIM_ROWS + 10)))
    (short,) = await office.accept("a@short.test")
    taken = await office.take(room=queues.CLAIM_ROWS + 1)
    assert len(taken) == queues.CLAIM_ROWS + 1 and short in ids(taken)
    assert len(await office.take()) == 10
    assert await office.take() == []


async def test_no_more_is_taken_than_there_is_room(office: Office) -> None:
    await office.accept("a@one.test", "b@one.test", "c@two.test", "d@three.test")
    assert [len(await office.take(room=3)), len(await office.take(room=3))] == [3, 1]


async def test_a_lane_is_made_once_and_only_moved_forward(office: Office) -> None:
    key = (office.domain, "bulk", "one.test")

    async def ask(due: int) -> tuple[int, int | None]:
        found = await office.database.write(lambda c: queues.lanes_for(c, {key: due}))
        return found[key][0], (await office.lane("one.test")).next_due

    lane, due = await ask(500)
    assert due == 500
    assert await ask(900) == (lane, 500)
    assert await ask(100) == (lane, 100)
    await office.database.write(lambda c: queues.wake_lanes(c, {lane: 300}))
    assert (await office.lane("one.test")).next_due == 100
    await office.database.write(lambda c: queues.wake_lanes(c, {lane: 50}))
    assert (await office.lane("one.test")).next_due == 50


async def test_a_lane_whose_rows_are_gone_asks_for_nothing(office: Office) -> None:
    await office.accept("a@one.test")
    (job,) = await office.claim()
    await office.settle(job, TAKEN)
    office.clock.now += LEASE_MS
    assert await office.take() == []
    assert await office.next_due() is None


class Wanderer:
    """Does to the queue, in any order, what may happen to it."""

    def __init__(self, office: Office, random: Random) -> None:
        self.office, self.random = office, random
        self.jobs: list[Job] = []

    async def step(self) -> None:
        await self.random.choice(
            [self.accept, self.accept, self.claim, self.claim, self.settle, self.settle, self.renew, self.release]
        )()
        self.office.clock.forward(seconds=self.random.choice([0, 0, 1, 10, 40]))

    async def accept(self) -> None:
        await self.office.accept(*(f"r{n}@{self.random.choice('abcd')}.test" for n in range(self.random.randint(1, 9))))

    async def claim(self) -> None:
        self.jobs += await self.office.claim(self.random.randint(1, 12))

    async def settle(self) -> None:
        for job in self._some():
            await self.office.settle(job, self.random.choice([TAKEN, GREYLISTED, GREYLISTED, SPAM]))

    async def renew(self) -> None:
        leases = [(job.recipient_id, job.fence) for job in self._some()]
        await self.office.database.write(lambda c: queues.renew(c, self.office.boot, leases, self.office.clock()))

    async def release(self) -> None:
        leases = [(job.recipient_id, job.fence) for job in self._some()]
        await self.office.database.write(lambda c: queues.release(c, leases, self.office.boot, self.office.clock()))

    def _some(self) -> list[Job]:
        self.random.shuffle(self.jobs)
        some, self.jobs = self.jobs[:4], self.jobs[4:]
        return some


def sleeping_lanes(connection: Connection) -> list[str]:
    """Lanes that would be looked at later than their earliest row is due. A lane on hold may."""
    earliest = select(func.min(queue.c.due)).where(queue.c.lane_id == lanes.c.id).scalar_subquery()
    late = lanes.c.next_due.is_(None) | (lanes.c.next_due > earliest)
    found = select(lanes.c.destination).where(earliest.is_not(None), late, lanes.c.hold_reason == "")
    return list(connection.execute(found).scalars())


@pytest.mark.parametrize("seed", range(2))
async def test_a_lane_is_never_looked_at_too_late(office: Office, seed: int) -> None:
    wanderer = Wanderer(office, Random(seed))
    for _ in range(60):
        await wanderer.step()
        assert await office.database.read(sleeping_lanes) == []
    # Whatever has happened, all that waits comes up again within the longest wait.
    waiting = await office.count(recipients, state="queued")
    office.clock.forward(hours=5)
    found = 0
    while jobs := await office.claim(50):
        found += len(jobs)
    assert found == waiting > 0


# --- changing ------------------------------------------------------------------------------------------------------


def row_of(recipient_id: str, **values: Any) -> dict[str, Any]:
    return {
        "recipient_id": recipient_id,
        "due": 0,
        "tries": 1,
        "counted": False,
        "expires_at": None,
        "released": False,
    } | values


async def test_what_is_put_back_is_free_at_its_time(office: Office, clock: Clock) -> None:
    later, held, untouched = await office.accept("a@one.test", "b@one.test", "c@one.test")
    await office.take(owner=US)
    before = await office.queued(untouched)
    changes = [row_of(later, due=clock.now + 60_000, tries=2, counted=True), row_of(held, due=None)]
    await office.database.write(lambda c: queues.put_back(c, changes))
    row = await office.queued(later)
    assert row is not None and (row.due, row.owner, row.tries, row.counted) == (clock.now + 60_000, 0, 2, True)
    assert await office.queued(untouched) == before
    clock.forward(seconds=60)
    assert ids(await office.take(owner=THEM)) == sorted([later, untouched])
    clock.forward(hours=1000)
    assert held not in ids(await office.take(owner=THEM)), "what is held waits for no time"


async def test_what_is_dropped_is_gone_and_nothing_else(office: Office) -> None:
    gone, there = await office.accept("a@one.test", "b@one.test")
    await office.database.write(lambda c: queues.drop(c, [gone, "nobody"]))
    assert await office.queued(gone) is None
    assert ids(await office.take()) == [there]


# --- two nodes -----------------------------------------------------------------------------------------------------


@POSTGRES
async def test_two_nodes_share_the_lanes_without_waiting_for_each_other(office: Office, clock: Clock) -> None:
    number = queues.CLAIM_LANES + 5
    accepted = await office.accept(*(f"a@d{n}.test" for n in range(number)))

    def both(first: Connection) -> tuple[list[Any], list[Any]]:
        """The second takes while the first has not committed."""
        ours = queues.take(first, US, clock.now, 1000)
        with office.database.reader_engine.connect() as second, second.begin():
            second.execute(text("SET LOCAL lock_timeout = '20s'"))  # waiting would be the failure
            return ours, queues.take(second, THEM, clock.now, 1000)

    ours, theirs = await office.database.write(both)
    assert len(ours) == queues.CLAIM_LANES and len(theirs) == 5
    assert sorted(ids(ours) + ids(theirs)) == sorted(accepted)


@POSTGRES
async def test_two_nodes_take_every_row_once(office: Office, clock: Clock) -> None:
    accepted = await office.accept(*(f"r{n}@d{n % 3}.test" for n in range(90)))

    async def work(owner: int) -> list[str]:
        found: list[str] = []
        for _ in range(200):
            found += ids(await office.take(room=7, owner=owner))
            if await office.count(queue, owner=0) == 0:
                break
        return found

    found = await asyncio.gather(work(US), work(THEM))
    assert sorted(found[0] + found[1]) == sorted(accepted)
