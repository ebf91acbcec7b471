"""The loop: take what is due, carry it, settle what was heard.

Work comes in two ways: handed over from the intake's memory, and claimed from the queue. Both wait in one line a
destination, and each destination has a few runners, so that one slow receiver holds up nobody else; the less of them and
of room is left, the less of it for each, so that hundreds do not either. A wake-up is a hint only; the queue is looked at
every POLL seconds whatever happens.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from mailferry import metrics
from mailferry.delivery import queue as queues
from mailferry.delivery.bodies import Bodies
from mailferry.delivery.carrier import Carrier
from mailferry.delivery.claim import Claimer, Room
from mailferry.delivery.job import LEASE_MS, HandoffBudget, Job
from mailferry.delivery.outages import Outages
from mailferry.delivery.settle import Change, Settler
from mailferry.delivery.transports.turns import share
from mailferry.faults import reach
from mailferry.mail.reply import Answer
from mailferry.store.content import Content, ContentGone
from mailferry.store.database import Database, unavailable

log = structlog.get_logger(__name__)

POLL = 0.5
#: Leases are renewed when less than this is left, so that two renewals may fail before one is lost.
RENEW_BELOW_MS = LEASE_MS * 2 // 3
RENEW_EVERY = LEASE_MS / 1000 / 6
RENEW_AT_ONCE = 1000
#: Attempts at once that run or wait for their host's turn (how many run is the transport's to say), and claimed rows held
#: in memory. Both are small: bodies are read when they are needed.
RUNNERS = 5_000
ROOM = 10_000
#: A destination whose line is longer than this many times its connections is given no more rows.
LONG_LINE = 3
#: One claim gives a lane no more than this part of the room that is left, so that many slow destinations leave some.
LANES = 100
#: A settlement that the database would not take is offered again after this many seconds.
SETTLE_AGAIN = 2.0
#: After a failed claim the next waits longer than settlements do: what hosts answered meanwhile is written first, by all
#: nodes, or it would be delivered again.
CLAIM_AGAIN = 3.0


class Worker:
    def __init__(
        self,
        database: Database,
        content: Content,
        claimer: Claimer,
        carrier: Carrier,
        settler: Settler,
        clock: Callable[[], int],
        *,
        boot: int,
        budget: HandoffBudget | None,
        connections: int,
        runners: int = RUNNERS,
    ) -> None:
        self._database = database
        self._bodies = Bodies(database, content)
        self._claimer = claimer
        self._carrier = carrier
        self._settler = settler
        self._clock = clock
        self._boot = boot
        self._budget = budget
        self._connections = connections
        self._most_runners = runners
        self._lines: dict[str, deque[Job]] = {}
        self._runners: dict[str, int] = {}
        #: Destinations that have work but found all runners taken.
        self._hungry: dict[str, None] = {}
        #: Destinations with a long line. Their lanes are looked at again when it has grown shorter.
        self._busy: set[str] = set()
        #: All that we hold a lease of, until its settlement is durable.
        self._jobs: dict[str, Job] = {}
        #: How many of them were claimed. What was handed over has a limit of its own.
        self._claimed = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._claim_after = 0.0
        self._outages = Outages(database, boot, clock, done=self._done, wake=self.wake)
        self._closing = False

    # --- work comes in ---------------------------------------------------------------------------------------------

    def hand_over(self, jobs: Sequence[Job]) -> None:
        """Accepted a moment ago, already leased to this process."""
        for job in jobs:
            self._enqueue(job)

    def wake(self) -> None:
        """Something may have come due."""
        self._wake.set()

    async def run(self) -> None:
        renewing = asyncio.create_task(self._renew_for_ever())
        try:
            while not self._closing:
                self._wake.clear()
                if not await self._claim():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), POLL)
        finally:
            renewing.cancel()

    async def close(self, seconds: float) -> None:
        """Take nothing more, give running attempts some time, and free what was not begun."""
        self._closing = True
        self._wake.set()
        waiting = [job for line in self._lines.values() for job in line]
        self._lines.clear()
        self._hungry.clear()
        for job in waiting:
            self._done(job)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._outages.close()
        # What was cut off in the middle keeps its lease until it ends by itself: its host may have taken it.
        await self._release([*waiting, *(job for job in self._jobs.values() if not job.begun)])

    async def _release(self, jobs: Sequence[Job]) -> None:
        """They were not begun: somebody else may take them at once."""
        leases = [(job.recipient_id, job.fence) for job in jobs]
        now = self._clock()
        await self._database.write(lambda connection: queues.release(connection, leases, self._boot, now))

    # --- the loop --------------------------------------------------------------------------------------------------

    async def _claim(self) -> int:
        """Take what is due, up to the room there is; returns how much was taken."""
        loop = asyncio.get_running_loop()
        left = ROOM - self._claimed
        room = Room(left, self._long_lines(left), each=max(1, left // LANES))
        if room.rows <= 0 or loop.time() < self._claim_after:
            return 0
        try:
            due = await self._database.read(lambda connection: queues.next_due(connection, room.busy))
            if due is None or due > self._clock():
                return 0
            jobs = await self._database.submit(self._claimer, room)
        except Exception as error:
            log.error("claim_failed", error=repr(error))
            self._claim_after = loop.time() + CLAIM_AGAIN
            return 0
        if self._closing:  # they came too late
            await self._release(jobs)
        for job in jobs:
            self._enqueue(job)
        return len(jobs)

    def _long_lines(self, left: int) -> frozenset[str]:
        """Of these no more is claimed: slow destinations must not fill the room that others need."""
        enough = LONG_LINE * max(1, share(self._connections, left, ROOM))
        self._busy = {destination for destination, line in self._lines.items() if len(line) >= enough}
        return frozenset(self._busy)

    def _enqueue(self, job: Job) -> None:
        if self._closing:
            return  # its lease ends, or is freed at the next start
        if known := self._jobs.get(job.recipient_id):
            # Its lease had ended (the database was away, this process slept) while it was being tried or its answer
            # could not be written. It is the same attempt, under the lease that we have now: never a second one.
            known.renew(job)
            return
        self._jobs[job.recipient_id] = job
        self._claimed += not job.borrowed
        self._lines.setdefault(job.destination, deque()).append(job)
        self._start_runner(job.destination)

    def _start_runner(self, destination: str) -> None:
        running = self._runners.get(destination, 0)
        free = self._most_runners - len(self._tasks)
        if not self._lines.get(destination) or (
            running and running >= share(self._connections, free, self._most_runners)
        ):
            return
        if free <= 0:
            self._hungry[destination] = None
            return
        self._runners[destination] = running + 1
        task = asyncio.create_task(self._run_line(destination))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def _run_line(self, destination: str) -> None:
        """One runner: tries what waits for its destination, one after the other, until nothing does."""
        try:
            while (line := self._lines.get(destination)) and not self._closing:
                await self._try(line.popleft())
                self._start_runner(destination)  # there may be room for another again
                self._look_at_shorter(destination)
                if len(self._hungry) > 0 and len(self._tasks) >= self._most_runners:
                    break  # let another destination have a turn
        finally:
            self._runners[destination] -= 1
            if not self._runners[destination]:
                del self._runners[destination]
                self._outages.idle(destination)
            if not self._lines.get(destination):
                self._lines.pop(destination, None)
            elif destination not in self._runners:
                self._hungry[destination] = None

    def _look_at_shorter(self, destination: str) -> None:
        """A line that was long is claimed for again before it is empty."""
        if destination in self._busy and len(self._lines.get(destination, ())) <= self._connections:
            self._busy.discard(destination)
            self.wake()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Its place is free, and only now: who is hungry may have it."""
        self._tasks.discard(task)
        while self._hungry and len(self._tasks) < self._most_runners:
            destination = next(iter(self._hungry))
            del self._hungry[destination]
            if self._lines.get(destination):
                self._start_runner(destination)

    async def _try(self, job: Job) -> None:
        if self._clock() >= job.lease_until:
            self._done(job)  # it waited too long in memory and is somebody else's now
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        body = self._bodies.of(job)
        try:
            answer = await self._carrier.carry(job, body.read, lambda: self._clock() < job.lease_until)
        except ContentGone:
            answer = Answer(0, "5.3.0", "the message's content is not kept any more", stage="prepare")
        except Exception as error:
            if unavailable(error):
                # No host refused anything, and nobody is to be told of a soft bounce: our lease ends, and it is claimed anew.
                log.warning("attempt_put_off", recipient_id=job.recipient_id, error=repr(error))
                self._done(job)
                return
            # A bug of ours must not lose the message: it is tried again, the log has the trace.
            log.exception("attempt_failed", recipient_id=job.recipient_id)
            answer = Answer(0, "4.3.0", f"internal error: {type(error).__name__}", stage="prepare")
        finally:
            body.release()
            job.body = None
        if answer.code == 250:
            reach("after_remote_250")
        metrics.ATTEMPT_SECONDS.labels(answer.transport or "none").observe(loop.time() - began)
        # Of a destination that is out, what waits in memory is not tried, each into its own timeout.
        out = self._outages.begins(job, answer, began)
        self._settle(job, answer, list(self._lines.pop(job.destination, ())) if out else None)

    def _settle(self, job: Job, answer: Answer, waiting: list[Job] | None) -> None:
        """The runner goes on; the job is ours until its settlement is durable. ``waiting``: what an outage stopped."""
        future = self._settler.settle(job, answer)
        future.add_done_callback(lambda done: self._settled(job, answer, waiting, done))

    def _settled(
        self, job: Job, answer: Answer, waiting: list[Job] | None, future: "asyncio.Future[Change | None]"
    ) -> None:
        if future.cancelled():
            return
        if error := future.exception():
            # What a host told us must not be forgotten because the database is away.
            log.error("settle_failed", recipient_id=job.recipient_id, error=repr(error))
            asyncio.get_running_loop().call_later(SETTLE_AGAIN, self._settle, job, answer, waiting)
            return
        change = future.result()
        self._outages.settled(job, answer, waiting, change)
        if change:
            metrics.SETTLED.labels(change.after).inc()
        log.log(
            logging.INFO if change else logging.WARNING,
            "settled" if change else "settled_forgotten",
            recipient_id=job.recipient_id,
            message_id=job.message_id,
            state=change.after if change else "",
            code=answer.code,
            enhanced=answer.enhanced,
            host=answer.host,
            stage=answer.stage,
        )
        self._done(job)

    def _done(self, job: Job) -> None:
        if self._jobs.pop(job.recipient_id, None):
            self._claimed -= not job.borrowed
        if job.borrowed and self._budget:
            self._budget.give_back(job.borrowed)
            job.borrowed = 0

    # --- leases ----------------------------------------------------------------------------------------------------

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY)
            try:
                await self._renew()
            except Exception as error:  # the database is away: attempts stop before their final dot when the lease ends
                log.warning("renew_failed", error=repr(error))

    async def _renew(self) -> None:
        now = self._clock()
        old = [job for job in self._jobs.values() if job.lease_until - now < RENEW_BELOW_MS]
        for start in range(0, len(old), RENEW_AT_ONCE):
            some = old[start : start + RENEW_AT_ONCE]
            leases = [(job.recipient_id, job.fence) for job in some]
            kept = await self._database.write(lambda c, leases=leases: queues.renew(c, self._boot, leases, now))  # type: ignore[misc]  # a default binds the loop variable
            for job, (_, fence) in zip(some, leases, strict=True):
                if job.fence == fence:  # else it was taken anew meanwhile
                    job.lease_until = now + LEASE_MS if job.recipient_id in kept else 0
