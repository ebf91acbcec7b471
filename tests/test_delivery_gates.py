"""What a domain may send: nothing while it is held, and so many recipients an hour while it is new."""

import asyncio
import threading

import pytest
from sqlalchemy import Connection, text

from mailferry.delivery.claim import Room
from mailferry.delivery.gates import Gates
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
        await node.accept("a@dest.test", "b@dest.test", "c@dest.test")
        jobs = await node.claim()
        assert len(jobs) == 2
        await asyncio.gather(*(node.settle(job, TAKEN) for job in jobs))
        clock.forward(hours=1)
    assert sorted(row.used for row in await node.rows(domain_hours)) == [2, 2]


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

    def somebody_waits(connection: Connection) -> bool:
        found = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return bool(connection.execute(text(found)).scalar())

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
