"""Locks on PostgreSQL: nodes wait for each other, and never in a circle."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest
from sqlalchemy import Connection, text
from structlog.testing import capture_logs

from mailferry.delivery import lanes as keeping
from mailferry.delivery import outages, release
from mailferry.delivery import queue as queues
from mailferry.delivery.job import Job
from mailferry.resources import domains
from mailferry.store.database import Database
from mailferry.store.engines import postgres_engine
from mailferry.store.schema import queue
from tests import delivery_support
from tests.delivery_support import GREYLISTED, POSTGRES, TAKEN, UNKNOWN, Office

office, engines = delivery_support.office, delivery_support.engines
pytestmark = POSTGRES

REVIEWED = "reviewed.test"


async def test_lanes_are_locked_in_the_order_in_which_an_accept_makes_them(office: Office) -> None:
    await office.accept("a@b.test")
    await office.accept("a@a.test")  # made later: its id is the greater one, its key the smaller
    both = {(await office.lane(name)).id: office.clock() for name in ("a.test", "b.test")}
    with office.database.reader_engine.connect() as accepting, accepting.begin():
        queues.lanes_for(accepting, {(office.domain, "transactional", "a.test"): office.clock()})
        waking = asyncio.ensure_future(office.database.write(lambda c: queues.wake_lanes(c, both)))
        await office.until_somebody_waits(waking)
        # Whoever waits for the first lane has none of those that come after it.
        accepting.execute(text("SELECT FROM lanes WHERE destination = 'b.test' FOR UPDATE NOWAIT"))
    await waking


async def test_leases_are_locked_in_one_order(office: Office) -> None:
    first, second = await office.accept("a@one.test", "b@one.test")
    await office.take()
    leases = [(second, 1), (first, 1)]
    with office.database.reader_engine.connect() as settling, settling.begin():
        queues.lock(settling, [first])
        renewing = asyncio.ensure_future(
            office.database.write(lambda c: queues.renew(c, office.boot, leases, office.clock()))
        )
        await office.until_somebody_waits(renewing)
        settling.execute(text("SELECT FROM queue WHERE recipient_id = :id FOR UPDATE NOWAIT"), {"id": second})
    assert await renewing == {first, second}


@pytest.fixture
async def second(office: Office) -> AsyncIterator[Database]:
    """The database as another node has it, with a writer of its own."""
    url = office.database.writer_engine.url.render_as_string(hide_password=False)
    database = Database("postgresql", postgres_engine(url, 1), postgres_engine(url, 2), 2)
    yield database
    await database.close()


class Busy:
    """A node that does all that nodes do, and as much of it at once as it can."""

    def __init__(self, office: Office, seed: int) -> None:
        self.office, self.random = office, Random(seed)
        self.jobs: list[Job] = []
        office.hand_over = self.jobs.extend

    async def work(self) -> None:
        verbs = [self.accept] * 8 + [self.claim, self.settle, self.settle, self.hold, self.lease, self.keep_house]
        for _ in range(25):
            self.random.shuffle(verbs)
            await asyncio.gather(*(verb() for verb in verbs))

    async def accept(self) -> None:
        sender = self.random.choice([delivery_support.DOMAIN, REVIEWED])
        recipients = [f"r{self.random.randrange(300)}@{self.random.choice('abcdefghijkl')}.test" for _ in range(3)]
        await self.office.accept(*recipients, sender=f"app@{sender}")

    async def claim(self) -> None:
        self.jobs += await self.office.claim(50)

    async def settle(self) -> None:
        self.random.shuffle(self.jobs)
        some = [self.jobs.pop() for _ in range(len(self.jobs) // 2)]
        answers = [self.random.choice([TAKEN, GREYLISTED, GREYLISTED, UNKNOWN]) for _ in some]
        await asyncio.gather(*(self.office.settle(job, answer) for job, answer in zip(some, answers, strict=True)))

    async def lease(self) -> None:
        """Renew them all, and give some back."""
        now, boot = self.office.clock(), self.office.boot
        leases = [(job.recipient_id, job.fence) for job in self.jobs]
        self.random.shuffle(leases)
        await self.office.database.write(lambda c: queues.renew(c, boot, leases, now))
        await self.office.database.write(lambda c: queues.release(c, leases[:5], boot, now))

    async def hold(self) -> None:
        some = {job.lane_id for job in self.jobs[:5]}
        now = self.office.clock()
        await self.office.database.write(lambda c: outages.hold(c, some, now + 1, "it is out"))
        await self.office.database.write(lambda c: outages.let_go(c, some, now))

    async def keep_house(self) -> None:
        now = self.office.clock()

        def review(connection: Connection) -> None:
            reviewed = domains.by_name(connection, self.office.account, REVIEWED)
            assert reviewed is not None
            release.release_domain(connection, reviewed.id, now)
            release.release_hourly(connection, reviewed.id, now, 50)

        await self.office.database.write(review)
        await self.office.database.write(lambda c: outages.expire(c, now, now))
        await self.office.database.write(lambda c: keeping.forget(c, 0))


async def test_two_busy_nodes_never_wait_in_a_circle(office: Office, second: Database) -> None:
    await office.add_domain(REVIEWED, state="under_review")
    other = Office(second, office.clock, office.content, account=office.account, domain=office.domain)
    nodes = [office.node(boot=1, hourly=300, handed_over=100), other.node(boot=2, hourly=300, handed_over=100)]

    async def time_goes_by() -> None:
        while True:
            await asyncio.sleep(0.01)
            office.clock.forward(seconds=5)

    going = asyncio.create_task(time_goes_by())
    with capture_logs() as logged:
        await asyncio.gather(*(Busy(node, node.boot).work() for node in nodes))
    going.cancel()
    assert not [entry for entry in logged if entry["event"] == "commit_retried"]
    assert await office.count(queue) > 0, "they had nothing to do with each other"
