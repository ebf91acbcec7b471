"""The worker on a real database; only what stands at the other end of the wire is a stand-in."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mailferry.delivery import queue as queues
from mailferry.delivery import worker as workers
from mailferry.delivery.carrier import Carrier
from mailferry.delivery.job import LEASE_MS
from mailferry.delivery.prepare import Preparer
from mailferry.delivery.signing import Signers
from mailferry.delivery.transports.simulator import Simulator
from mailferry.delivery.transports.transport import Parcel, Peer, Prepared
from mailferry.delivery.worker import Worker
from mailferry.mail import dkim
from mailferry.mail.reply import Answer
from mailferry.store.schema import attempts, queue, recipients
from tests import delivery_support
from tests.conftest import Clock, eventually
from tests.delivery_support import FIRST_RETRY_MS, GREYLISTED, SQLITE, TAKEN, Office

office, engines = delivery_support.office, delivery_support.engines

NO_HOST = Answer(0, "4.4.1", "connection refused", stage="connect", transport="mx")
LEASE_LOST = Answer(0, "4.4.2", "lease lost", stage="dot", transport="mx")
Logged = list[MutableMapping[str, Any]]


class World:
    """All hosts there are. A destination may be shut, and answers then when it opens."""

    name = "mx"

    def __init__(self) -> None:
        self.answers: dict[str, Answer | Exception] = {}
        self.parcels: list[Parcel] = []
        self.prepared: list[Prepared | Answer] = []
        self.running: Counter[str] = Counter()
        #: The most that ran at once: by destination, and under "" in all.
        self.most: Counter[str] = Counter()
        self._open: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._shut: set[str] = set()

    def shut(self, *destinations: str) -> None:
        self._shut.update(destinations)

    def open(self, *destinations: str) -> None:
        for destination in destinations or list(self._shut):
            self._shut.discard(destination)
            self._open.pop(destination, asyncio.Event()).set()

    async def deliver(self, parcel: Parcel) -> Answer:
        self.parcels.append(parcel)
        for name in (parcel.domain, ""):
            self.running[name] += 1
            self.most[name] = max(self.most[name], self.running[name])
        try:
            self.prepared.append(await parcel.prepare(Peer(eight_bit=True, utf8=True, size=0)))
            if parcel.domain in self._shut:
                await self._open[parcel.domain].wait()
            answer = self.answers.get(parcel.domain, TAKEN) if parcel.may_commit() else LEASE_LOST
        finally:
            for name in (parcel.domain, ""):
                self.running[name] -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        """Nothing is kept."""


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def logged() -> Iterator[Logged]:
    with structlog.testing.capture_logs() as lines:
        yield lines


def said(logged: Logged, event: str) -> bool:
    return any(line["event"] == event for line in logged)


@contextlib.asynccontextmanager
async def at_work(
    office: Office,
    world: World,
    *,
    run: bool = True,
    runners: int = 100,
    connections: int = 20,
    signers: Signers | None = None,
) -> AsyncIterator[Worker]:
    """A worker of this node. Without ``run`` it claims and renews nothing, and does what it is handed."""
    preparer = Preparer(office.book, office.sealer, signers or Signers(0), office.clock, hostname="mail.test")
    carrier = Carrier(
        preparer, office.book, world, Simulator("demo.test"), office.clock, return_path_key=(1, bytes(32))
    )
    worker = Worker(
        office.database,
        office.content,
        office.claimer,
        carrier,
        office.settler,
        office.clock,
        boot=office.boot,
        budget=office.budget,
        runners=runners,
        connections=connections,
    )
    office.hand_over = worker.hand_over
    running = asyncio.ensure_future(worker.run()) if run else None
    try:
        yield worker
    finally:
        world.open()
        await worker.close(30)
        if running:
            await running


async def all_tried(office: Office, number: int) -> bool:
    return await office.count(attempts) == number


async def until(check: Callable[[], Awaitable[object]], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not await check():
            await asyncio.sleep(0.02)


async def all_delivered(office: Office, number: int) -> None:
    async def enough() -> bool:
        return await office.count(recipients, state="delivered") == number

    await until(enough)


async def owner_and_due(office: Office, recipient: str) -> tuple[int, int | None]:
    row = await office.queued(recipient)
    assert row is not None
    return row.owner, row.due


async def leased_until(office: Office, due: int) -> bool:
    return {row.due for row in await office.rows(queue)} == {due}


# --- how work comes in ---------------------------------------------------------------------------------------------


async def test_what_is_handed_over_from_memory_is_delivered(office: Office, world: World) -> None:
    node = office.node(handed_over=3)
    async with at_work(node, world, run=False):
        await node.accept("a@one.test", "b@two.test", "c@two.test")
        await all_delivered(node, 3)
        await eventually(lambda: node.places() == 3, 30)
    assert sorted(parcel.recipient for parcel in world.parcels) == ["a@one.test", "b@two.test", "c@two.test"]
    assert len({parcel.sender for parcel in world.parcels}) == 3, "each has its own return path"


async def test_what_waits_in_the_queue_is_found(office: Office, world: World) -> None:
    await office.accept("a@one.test")
    async with at_work(office, world) as worker:
        await all_delivered(office, 1)
        await office.accept("b@two.test")
        worker.wake()
        await all_delivered(office, 2)
        await office.accept("c@three.test")  # nobody says so: polling is the truth
        await all_delivered(office, 3)
    assert await office.count(queue) == 0


# --- limits --------------------------------------------------------------------------------------------------------


async def test_one_slow_destination_does_not_hold_up_another(office: Office, world: World) -> None:
    world.shut("slow.test")
    await office.accept(*(f"r{n}@slow.test" for n in range(30)))
    async with at_work(office, world, runners=10, connections=3):
        await eventually(lambda: world.running["slow.test"] == 3, 30)
        await office.accept("a@quick.test", "b@brisk.test")
        await all_delivered(office, 2)
        assert world.running["slow.test"] == 3
        world.open()
        await all_delivered(office, 32)
    assert world.most["slow.test"] == 3


async def test_a_slow_destination_leaves_room_for_the_others(
    office: Office, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "ROOM", 100)
    world.shut("slow.test")
    await office.accept(*(f"r{n}@slow.test" for n in range(200)))
    async with at_work(office, world, runners=10, connections=3):
        await eventually(lambda: world.running["slow.test"] == 3, 30)
        await asyncio.sleep(2 * workers.POLL)  # all that can be claimed is
        await office.accept("a@quick.test", "b@brisk.test")
        await all_delivered(office, 2)
        world.open()
        await all_delivered(office, 202)


@SQLITE
async def test_many_slow_destinations_leave_runners_and_room_for_the_others(
    office: Office, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "ROOM", 1000)
    slow = [f"slow{n}.test" for n in range(30)]
    world.shut(*slow)
    for destination in slow:
        await office.accept(*(f"r{n}@{destination}" for n in range(60)))
    async with at_work(office, world, runners=300, connections=20):
        await eventually(lambda: all(world.running[destination] for destination in slow), 30)
        await office.accept("a@quick.test", "b@brisk.test")
        await all_delivered(office, 2)
        world.open()
        await all_delivered(office, 1802)


@SQLITE
async def test_a_destination_gets_its_runners_back_when_there_is_room(office: Office, world: World) -> None:
    world.shut("slow.test", "large.test")
    async with at_work(office, world, runners=4, connections=4) as worker:
        await office.accept(*(f"r{n}@slow.test" for n in range(3)))
        worker.wake()
        await eventually(lambda: world.running["slow.test"] == 3, 30)
        await office.accept(*(f"r{n}@large.test" for n in range(20)))
        worker.wake()
        await eventually(lambda: world.running["large.test"] == 1, 30)
        world.open("slow.test")
        await all_delivered(office, 3)
        world.open("large.test")  # for the one that runs there
        world.shut("large.test")
        await eventually(lambda: world.running["large.test"] > 1, 30)
        world.open()
        await all_delivered(office, 23)


async def test_attempts_at_once_are_limited_and_all_get_their_turn(office: Office, world: World) -> None:
    destinations = [f"d{n}.test" for n in range(8)]
    world.shut(*destinations)
    await office.accept(*(f"r{n}@{destination}" for destination in destinations for n in range(3)))
    async with at_work(office, world, runners=4, connections=2):
        await eventually(lambda: world.running[""] == 4, 30)
        world.open()
        await all_delivered(office, 24)
    assert world.most[""] == 4 and max(world.most[name] for name in destinations) <= 2


@SQLITE
async def test_a_single_attempt_at_once_is_enough_for_all(office: Office, world: World) -> None:
    node = office.node(handed_over=10)
    async with at_work(node, world, run=False, runners=1):
        await node.accept("a@one.test", "b@two.test", "c@three.test")
        await eventually(lambda: len(world.parcels) == 3, 30)


# --- leases --------------------------------------------------------------------------------------------------------


async def test_a_long_attempt_keeps_its_lease(
    office: Office, world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "RENEW_EVERY", 0.02)
    world.shut("slow.test")
    (recipient,) = await office.accept("a@slow.test")
    async with at_work(office, world):
        await eventually(lambda: world.running["slow.test"], 30)
        for _ in range(4):
            clock.forward(seconds=15)
            wanted = (office.boot, clock.now + LEASE_MS)

            async def renewed(wanted: tuple[int, int] = wanted) -> bool:
                return await owner_and_due(office, recipient) == wanted

            await until(renewed)
        assert await office.take(owner=2) == []
        world.open()
        await all_delivered(office, 1)
    assert len(world.parcels) == 1


async def test_a_lease_that_ran_out_stops_before_the_message_is_the_hosts(
    office: Office, world: World, clock: Clock
) -> None:
    node, other = office.node(handed_over=5), office.node(boot=2)
    world.shut("slow.test")
    async with at_work(node, world, run=False, connections=1):
        first, second = await node.accept("a@slow.test", "b@slow.test")
        await eventually(lambda: world.running["slow.test"], 30)
        clock.now += LEASE_MS
        assert {job.recipient_id for job in await other.claim()} == {first, second}
        world.open()
        await until(lambda: office.attempts(first))
    assert [parcel.recipient for parcel in world.parcels] == ["a@slow.test"], "the second is not even begun"
    for recipient in (first, second):
        assert await office.state(recipient) == "queued"
        assert await owner_and_due(office, recipient) == (2, clock.now + LEASE_MS)
    assert [attempt.response for attempt in await office.attempts(first)] == ["lease lost"]


async def test_a_lease_that_another_took_is_lost_before_its_time(
    office: Office, world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "RENEW_EVERY", 0.02)
    world.shut("slow.test")
    await office.accept("a@slow.test")
    async with at_work(office, world):
        await eventually(lambda: world.running["slow.test"], 30)
        ahead = clock.now + LEASE_MS + 1000  # the clock of another node
        assert len(await office.database.write(lambda c: queues.take(c, 2, ahead, 10))) == 1
        assert world.parcels[0].may_commit(), "nobody has told us yet"
        clock.forward(seconds=15)
        await eventually(lambda: not world.parcels[0].may_commit(), 30)


async def test_a_recipient_that_is_taken_anew_goes_on_under_its_new_lease(
    office: Office, world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "RENEW_EVERY", 0.02)
    (recipient,) = await office.accept("a@slow.test")
    world.shut("slow.test")
    async with at_work(office, world, run=False) as worker:
        worker.hand_over(await office.claim())
        await eventually(lambda: world.running["slow.test"], 30)
        clock.now += LEASE_MS  # renewals failed, and the row was due again
        assert not world.parcels[0].may_commit()
        worker.hand_over(await office.claim())
        assert world.parcels[0].may_commit()
        renewing = asyncio.ensure_future(worker.run())
        clock.forward(seconds=15)

        async def renewed() -> bool:
            return await owner_and_due(office, recipient) == (office.boot, clock.now + LEASE_MS)

        await until(renewed)
        world.open()
        await all_delivered(office, 1)
    await renewing
    assert len(world.parcels) == 1, "one attempt, under one lease after the other"


async def test_what_was_answered_while_the_database_was_away_is_not_delivered_again(
    office: Office, world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "SETTLE_AGAIN", 0.3)
    monkeypatch.setattr(workers, "CLAIM_AGAIN", 0.1)
    addresses = [f"r{number}@dest.test" for number in range(5)]
    await office.accept(*addresses)
    async with at_work(office, world):
        world.shut("dest.test")
        await eventually(lambda: world.running["dest.test"] == 5, 30)
        async with office.without("attempts"):
            world.open()
            await eventually(lambda: not world.running["dest.test"], 30)
            clock.now += 2 * LEASE_MS
            # Claims work while settlements do not: the worst of the two orders.
            await until(lambda: leased_until(office, clock.now + LEASE_MS))
        await all_delivered(office, 5)
    assert sorted(parcel.recipient for parcel in world.parcels) == addresses


# --- trouble -------------------------------------------------------------------------------------------------------


async def test_what_a_host_said_is_not_forgotten_while_the_database_is_away(
    office: Office, world: World, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "SETTLE_AGAIN", 0.05)
    world.shut("one.test")
    world.answers["two.test"] = GREYLISTED
    (taken, refused) = await office.accept("a@one.test", "b@two.test")
    world.shut("two.test")
    async with at_work(office, world):
        await eventually(lambda: world.running[""] == 2, 30)
        async with office.without("attempts"):
            world.open()
            await eventually(lambda: said(logged, "settle_failed"), 30)
            assert await office.state(taken) == "queued"
        await all_delivered(office, 1)
        await until(lambda: office.attempts(refused))
    assert len(world.parcels) == 2, "no host is asked again"
    assert await office.story(taken) == ["accepted", "delivery"]
    assert await office.story(refused) == ["accepted", "soft_bounce"]


async def test_what_needed_the_database_while_it_was_away_was_no_attempt(
    office: Office, world: World, clock: Clock, logged: Logged
) -> None:
    world.answers["one.test"] = PoolTimeout("nobody answers")
    (recipient,) = await office.accept("a@one.test")
    async with at_work(office, world):
        await eventually(lambda: said(logged, "attempt_put_off"), 30)
        world.answers.clear()
        clock.forward(seconds=LEASE_MS / 1000 + 1)
        await all_delivered(office, 1)
    assert await office.story(recipient) == ["accepted", "delivery"]
    assert len(await office.attempts(recipient)) == 1


async def test_claims_go_on_when_the_database_is_back(office: Office, world: World, logged: Logged) -> None:
    await office.accept("a@one.test")
    async with office.without("recipients"), at_work(office, world):
        await eventually(lambda: said(logged, "claim_failed"), 30)
    async with at_work(office, world):
        await all_delivered(office, 1)


async def test_an_outage_is_seen_after_the_clock_was_set_back(
    office: Office, world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what was answered before would count as later, until the clock is where it was."""
    node = office.node(handed_over=10)
    answered, over = asyncio.Event(), asyncio.Event()

    async def deliver(parcel: Parcel) -> Answer:
        match parcel.recipient.partition("@")[0]:
            case "first":
                answered.set()
                return TAKEN
            case "second":
                await answered.wait()
                await asyncio.sleep(0.01)  # the third one is on its way
                clock.forward(hours=-1)
            case "third":
                await over.wait()
            case _:
                over.set()
        return NO_HOST

    monkeypatch.setattr(world, "deliver", deliver)
    async with at_work(node, world, run=False, connections=2):
        await node.accept(*(f"{name}@one.test" for name in ("first", "second", "third", "fourth")))
        await until(lambda: all_tried(node, 4))
    assert (await node.lane("one.test")).hold_reason == NO_HOST.text


async def test_an_exception_in_a_transport_is_a_retry_and_in_the_log(
    office: Office, world: World, clock: Clock, logged: Logged
) -> None:
    world.answers["one.test"] = RuntimeError("a bug of ours")
    good, bad = await office.accept("a@two.test", "b@one.test")
    async with at_work(office, world) as worker:
        await all_delivered(office, 1)
        await until(lambda: office.attempts(bad))
        assert await office.state(bad) == "queued" and await office.state(good) == "delivered"
        (attempt,) = await office.attempts(bad)
        assert (attempt.code, attempt.enhanced, attempt.response) == (0, "4.3.0", "internal error: RuntimeError")
        failure = next(line for line in logged if line["event"] == "attempt_failed")
        assert failure["recipient_id"] == bad and failure["exc_info"]
        del world.answers["one.test"]
        clock.now += FIRST_RETRY_MS * 2
        worker.wake()
        await all_delivered(office, 2)


@SQLITE
async def test_a_message_that_cannot_be_signed_is_a_retry_and_then_signed_by_a_thread(
    office: Office, world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = dkim.generate("ed25519-sha256")
    await office.add_domain("signed.test", keys=[("mf2", "ed25519-sha256", private, public.decode())])
    signers = Signers(1)
    await signers.start()
    signer = signers._pool[0]
    assert signer._process
    async with at_work(office, world, signers=signers) as worker:
        os.kill(signer._process.pid, signal.SIGSTOP)
        (recipient,) = await office.accept("a@one.test", sender="app@signed.test")
        await eventually(lambda: signer._waiting, 30)
        monkeypatch.setattr(sys, "executable", shutil.which("false"))  # no other lives for long
        os.kill(signer._process.pid, signal.SIGKILL)
        await until(lambda: office.attempts(recipient))
        assert await office.story(recipient) == ["accepted", "soft_bounce"]
        assert world.prepared == []
        clock.now += FIRST_RETRY_MS * 2
        worker.wake()
        await all_delivered(office, 1)
    await signers.close()
    (prepared,) = world.prepared
    assert isinstance(prepared, Prepared) and prepared.chunks[0].startswith(b"DKIM-Signature:")


async def test_a_message_whose_bytes_are_gone_bounces(office: Office, world: World, tmp_path: Path) -> None:
    (recipient,) = await office.accept("a@one.test")
    for path in tmp_path.glob("segments/*"):
        path.unlink()
    await office.database.write(lambda c: office.content.forget(c, date.max, frozenset()))
    async with at_work(office, world):
        await until(lambda: office.attempts(recipient))
    assert await office.state(recipient) == "bounced" and world.prepared == []
    assert (await office.facts(recipient))["enhanced"] == "5.3.0"


# --- the end -------------------------------------------------------------------------------------------------------


async def test_closing_frees_what_was_not_begun_and_keeps_what_was(office: Office, world: World, clock: Clock) -> None:
    node, other = office.node(handed_over=10), office.node(boot=2)
    world.shut("slow.test")
    async with at_work(node, world, run=False, connections=1) as worker:
        begun, *waiting = await node.accept("a@slow.test", "b@slow.test", "c@slow.test")
        await eventually(lambda: world.running["slow.test"], 30)
        clock.forward(seconds=1)
        await worker.close(0.01)
        assert {job.recipient_id for job in await other.claim()} == set(waiting)
        # Its host may have taken it: nobody else tries before the lease ends.
        assert await owner_and_due(office, begun) == (node.boot, clock.now - 1000 + LEASE_MS)
    assert world.running[""] == 0 and len(world.parcels) == 1


async def test_closing_waits_for_attempts_that_end_in_time(office: Office, world: World) -> None:
    world.shut("slow.test")
    (recipient,) = await office.accept("a@slow.test")
    async with at_work(office, world) as worker:
        await eventually(lambda: world.running["slow.test"], 30)
        closing = asyncio.ensure_future(worker.close(60))
        await asyncio.sleep(0)
        world.open()
        await closing
        await all_delivered(office, 1)
    assert await office.queued(recipient) is None


async def test_nothing_is_taken_after_closing(office: Office, world: World) -> None:
    async with at_work(office, world) as worker:
        await worker.close(1)
        (recipient,) = await office.accept("a@one.test")
        worker.wake()
        await asyncio.sleep(0.1)
    assert await owner_and_due(office, recipient) == (0, office.clock())
    assert world.parcels == []


@SQLITE
async def test_a_job_whose_recipient_is_gone_is_over(office: Office, world: World, logged: Logged) -> None:
    world.shut("one.test")
    (recipient,) = await office.accept("a@one.test")
    async with at_work(office, world) as worker:
        await eventually(lambda: bool(world.prepared))
        for table in (queue, recipients):
            column = table.c.id if table is recipients else table.c.recipient_id
            await office.database.write(lambda c, t=table, i=column: c.execute(t.delete().where(i == recipient)))  # type: ignore[misc]
        world.open()
        await eventually(lambda: said(logged, "settled_forgotten"))
        await worker.close(1)
    assert not said(logged, "settle_failed")
