"""What a domain may send: nothing while it is held, and so many recipients an hour while it is new."""

import asyncio
import threading
from collections.abc import Sequence

import pytest
from sqlalchemy import Connection, text
from structlog.testing import capture_logs

from mailferry.delivery import queue as queues
from mailferry.delivery import release
from mailferry.delivery.claim import Room
from mailferry.delivery.gates import Gates
from mailferry.delivery.job import Job
from mailferry.store.schema import domain_hours, recipients
from tests import delivery_support
from tests.conftest import Clock
from tests.delivery_support import FIRST_RETRY_MS, GREYLISTED, POSTGRES, TAKEN, UNKNOWN, Office

office, engines = delivery_support.office, delivery_support.engines


async def new_domain(office: Office, hourly: int, *, handed_over: int = 0, boot: int = 1) -> Office:
    """The office's domain is under review."""
    await office.change_domain(state="under_review")
    return office.node(hourly=hourly, handed_over=handed_over, boot=boot)


async def used(office: Office) -> int:
    return sum(row.used for row in await office.rows(domain_hours))


async def held(office: Office) -> int:
    return await office.count(recipients, state="held", reason="new_domain_hourly")


async def test_an_approved_domain_has_no_hourly_limit(office: Office) -> None:
    node = office.node(hourly=1)
    await node.accept(*(f"r{n}@dest.test" for n in range(5)))
    assert len(await node.claim()) == 5
    assert await used(node) == 0


async def test_a_new_domain_sends_its_number_and_the_rest_is_held(office: Office) -> None:
    node = await new_domain(office, 3)
    accepted = await node.accept(*(f"r{n}@dest.test" for n in range(5)))
    assert len(await node.claim()) == 3
    assert (await used(node), await held(node)) == (3, 2)
    late = [recipient for recipient in accepted if await node.state(recipient) == "held"]
    for recipient in late:
        queued = await node.queued(recipient)
        assert await node.story(recipient) == ["accepted", "throttled"]
        assert queued is not None and (queued.due, queued.counted) == (None, False)


async def test_mail_handed_over_from_memory_meets_the_same_limit(office: Office) -> None:
    node = await new_domain(office, 3, handed_over=10)
    await node.accept("a@dest.test", "b@dest.test")
    await node.accept("c@dest.test", "d@dest.test")
    assert [job.address for job in node.jobs] == ["a@dest.test", "b@dest.test", "c@dest.test"]
    assert (await used(node), await held(node)) == (3, 1)
    assert node.places() == 7, "the one that was held has given its place back"


async def test_what_waits_in_the_queue_is_counted_when_it_leaves(office: Office) -> None:
    node = await new_domain(office, 3, handed_over=2)
    await node.accept("a@dest.test", "b@dest.test", "c@dest.test", "d@dest.test")
    assert (len(node.jobs), await used(node), await held(node)) == (2, 2, 0)
    assert len(await node.claim()) == 1
    assert (await used(node), await held(node)) == (3, 1)


async def test_a_retry_is_not_counted_again(office: Office, clock: Clock) -> None:
    node = await new_domain(office, 2)
    await node.accept("a@dest.test", "b@dest.test")
    for _ in range(3):
        jobs = await node.claim()
        assert len(jobs) == 2
        await asyncio.gather(*(node.settle(job, GREYLISTED) for job in jobs))
        clock.now += FIRST_RETRY_MS * 6  # still the same hour
    assert (await used(node), await held(node)) == (2, 0)
    handed = office.node(hourly=3, handed_over=1)
    (recipient,) = await handed.accept("c@dest.test")
    await handed.settle(handed.jobs[0], GREYLISTED)
    clock.now += FIRST_RETRY_MS * 2
    assert recipient in [job.recipient_id for job in await handed.claim()]
    assert await used(handed) == 3


async def test_the_next_hour_has_a_number_of_its_own(office: Office, clock: Clock) -> None:
    node = await new_domain(office, 2)
    for _ in range(2):
        await node.accept("a@dest.test", "b@dest.test")
        jobs = await node.claim()
        assert len(jobs) == 2
        await asyncio.gather(*(node.settle(job, TAKEN) for job in jobs))
        clock.forward(hours=1)
    assert sorted(row.used for row in await node.rows(domain_hours)) == [2, 2]


async def let_go(node: Office, hourly: int) -> int:
    now = node.clock()
    return await node.database.write(lambda c: release.release_hourly(c, node.domain, now, hourly))


async def leave(node: Office, jobs: Sequence[Job]) -> list[str]:
    for job in jobs:
        await node.settle(job, TAKEN)
    return [job.recipient_id for job in jobs]


@pytest.mark.parametrize("handed_over", [0, 10], ids=["queued", "handed over"])
async def test_new_mail_does_not_overtake_what_is_held(office: Office, clock: Clock, handed_over: int) -> None:
    node = await new_domain(office, 2, handed_over=handed_over)
    old = await node.accept(*(f"old{n}@dest.test" for n in range(6)))
    left = await leave(node, [*node.jobs, *await node.claim()])
    for _ in range(2):
        clock.forward(hours=1)
        (young,) = await node.accept("young@dest.test")
        assert await node.state(young) == "held" and await node.story(young) == ["accepted", "throttled"]
        assert await let_go(node, 2) == 2
        left += await leave(node, await node.claim())
    assert left == old, "two an hour, the oldest first"
    assert len(node.jobs) == min(handed_over, 2) and node.places() == max(0, handed_over - 2)


async def test_new_mail_does_not_take_the_place_of_what_was_let_go(office: Office, clock: Clock) -> None:
    node = await new_domain(office, 2, handed_over=10)
    held_before = (await node.accept("a@dest.test", "b@dest.test", "c@dest.test"))[2]
    await leave(node, node.jobs)
    clock.forward(hours=1)
    assert await let_go(node, 2) == 1 and await held(node) == 0
    first, second = await node.accept("d@dest.test", "e@dest.test")
    assert [job.recipient_id for job in node.jobs[2:]] == [first] and await node.state(second) == "held"
    assert [job.recipient_id for job in await node.claim()] == [held_before]
    assert [row.used for row in await node.rows(domain_hours)] == [2, 2]


async def test_who_is_rejected_anyway_does_not_use_the_number_up(office: Office) -> None:
    node = await new_domain(office, 2)
    await node.accept("a@dest.test")
    suppressed, *_ = await node.accept("a@dest.test", "b@dest.test")
    (job,) = await node.claim(room=1)
    await node.settle(job, UNKNOWN)
    assert [job.address for job in await node.claim()] == ["b@dest.test"]
    assert await used(node) == 2 and await node.state(suppressed) == "rejected"


async def test_a_suspended_domain_is_accepted_and_held(office: Office) -> None:
    await office.change_domain(state="suspended")
    node = office.node(handed_over=5)
    (recipient,) = await node.accept("a@dest.test")
    row = await node.recipient(recipient)
    assert (row.state, row.reason, node.jobs) == ("held", "domain_suspended", [])
    assert await node.story(recipient) == ["accepted", "suspension"]
    assert await node.claim() == []


# --- two nodes -----------------------------------------------------------------------------------------------------


def somebody_waits(connection: Connection) -> bool:
    found = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(connection.execute(text(found)).scalar())


@POSTGRES
@pytest.mark.parametrize("there", [True, False], ids=["a later one", "the first of the hour"])
async def test_two_nodes_together_never_grant_more_than_the_limit(office: Office, clock: Clock, there: bool) -> None:
    await new_domain(office, 5)
    asked, go = threading.Event(), threading.Event()

    def grant(connection: Connection, number: int = 10) -> int:
        gates = Gates(connection, [office.domain], clock.now, 5)
        granted = sum(gates.of(office.domain).grant() for _ in range(number))
        gates.close(connection)
        return granted

    def grant_slowly(connection: Connection) -> int:
        gates = Gates(connection, [office.domain], clock.now, 5)
        asked.set()
        assert go.wait(60)
        granted = sum(gates.of(office.domain).grant() for _ in range(10))
        gates.close(connection)
        return granted

    before = await office.database.write(lambda c: grant(c, 2)) if there else 0
    first = asyncio.ensure_future(office.database.write(grant_slowly))
    await asyncio.to_thread(asked.wait, 60)
    second = asyncio.ensure_future(office.database.write(grant))
    while not second.done() and not await office.database.read(somebody_waits):
        await asyncio.sleep(0.02)
    go.set()
    assert before + await first + await second == await used(office) == 5


@POSTGRES
async def test_two_nodes_claim_no_more_than_the_limit(office: Office) -> None:
    first, second = await new_domain(office, 4), await new_domain(office, 4, boot=2)
    await office.accept(*(f"a@d{n}.test" for n in range(30)))

    async def claim(node: Office) -> int:
        return await office.database.write(lambda c: len(node.claimer(c, [Room(15)])[0]))

    claimed = sum(await asyncio.gather(claim(first), claim(second)))
    await second.claim()
    assert (claimed, await used(office), await held(office)) == (4, 4, 26)


@POSTGRES
@pytest.mark.parametrize("beside", ["accept", "release"])
async def test_nobody_waits_in_a_circle_with_a_claim(office: Office, clock: Clock, beside: str) -> None:
    """A claim has locked the lanes, and asks for the hour's number next."""
    node = await new_domain(office, 3)
    await node.accept("a@dest.test", "b@dest.test", "c@dest.test", "d@dest.test")
    await node.claim()  # one is held
    clock.forward(hours=1)
    begun, go = threading.Event(), threading.Event()
    times = 0

    def claim(connection: Connection) -> None:
        nonlocal times
        times += 1
        queues.lock_lanes(connection, [lane_id])
        begun.set()
        assert go.wait(60)
        Gates(connection, [office.domain], clock.now, 3).close(connection)

    lane_id = (await node.lane("dest.test")).id
    with capture_logs() as logged:
        claiming = asyncio.ensure_future(office.database.write(claim))
        await asyncio.to_thread(begun.wait, 60)
        other = asyncio.ensure_future(node.accept("e@dest.test") if beside == "accept" else let_go(node, 3))
        while not await office.database.read(somebody_waits):
            await asyncio.sleep(0.02)
        go.set()
        await asyncio.gather(claiming, other)
    deadlocks = await office.database.read(
        lambda c: c.execute(text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")).scalar()
    )
    assert (times, deadlocks) == (1, 0)
    assert "commit_retried" not in {entry["event"] for entry in logged}
