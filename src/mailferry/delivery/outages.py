"""A destination that does not answer: its lanes wait as a whole, and one recipient at a time tries whether it is back.

Without this every recipient of a dead host would run into its own timeout. A lane is held when an attempt ended before
the host heard of any mail, and no other attempt there was answered meanwhile; a queue of a million costs one attempt a
retry interval then. Any answer about a mail lets the lanes go again.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence

import structlog
from sqlalchemy import Connection, select, update

from mailferry.delivery import queue as queues
from mailferry.delivery.job import LEASE_MS, Job
from mailferry.delivery.settle import EXPIRED, Change, apply
from mailferry.journal.events import Kind, State
from mailferry.mail.reply import BEFORE_MAIL, Answer, classify
from mailferry.store.database import Database
from mailferry.store.schema import lanes, queue, recipients

log = structlog.get_logger(__name__)

#: Rows changed in one transaction: writing transactions end within seconds.
SOME = 2_000


class Outages:
    """What this process knows of its destinations. Belongs to one event loop."""

    def __init__(
        self,
        database: Database,
        boot: int,
        clock: Callable[[], int],
        *,
        done: Callable[[Job], None],
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._boot = boot
        self._clock = clock
        self._done = done
        self._wake = wake
        #: When the host last answered about a mail, by the loop's time, for destinations where attempts are under way.
        self._answered: dict[str, float] = {}
        #: Lanes that this process holds.
        self._held: dict[str, set[int]] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def begins(self, job: Job, answer: Answer, began: float) -> bool:
        """Whether this answer, to an attempt that began then by the loop's time, means that the destination is out."""
        if _spoke(answer):
            self._answered[job.destination] = asyncio.get_running_loop().time()
        outage = answer.stage in BEFORE_MAIL and classify(answer).outcome == "later"
        return outage and self._answered.get(job.destination, 0) < began

    def idle(self, destination: str) -> None:
        """No attempt is under way there any more."""
        self._answered.pop(destination, None)

    def settled(self, job: Job, answer: Answer, waiting: Sequence[Job] | None, change: Change | None) -> None:
        """What one recipient's answer means for the others of its destination: ``waiting`` are those an outage stopped."""
        if waiting is not None:
            until = (change.put_back.due if change and change.put_back else None) or self._clock() + LEASE_MS
            self._start(self._hold(job, waiting, answer.text, until))
        elif _is_over(answer) and (lane_ids := self._held.pop(job.destination, set()) | _probed(job)):
            self._start(self._let_go(lane_ids))

    async def close(self) -> None:
        await asyncio.gather(*self._writing, return_exceptions=True)

    async def _hold(self, job: Job, waiting: Sequence[Job], reason: str, until: int) -> None:
        lane_ids = {each.lane_id for each in (job, *waiting)}
        leases = [(each.recipient_id, each.fence) for each in waiting]
        now = self._clock()

        def write(connection: Connection) -> None:
            queues.give_back(connection, leases, self._boot, now)
            hold(connection, lane_ids, until, reason)

        self._held.setdefault(job.destination, set()).update(lane_ids)
        try:
            await self._database.write(write)
        finally:
            for each in waiting:
                self._done(each)
        log.info("destination_out", destination=job.destination, reason=reason, lanes=len(lane_ids), until=until)

    async def _let_go(self, lane_ids: Collection[int]) -> None:
        await self._database.write(lambda connection: let_go(connection, lane_ids, self._clock()))
        self._wake()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._writing.add(task)
        task.add_done_callback(self._written)

    def _written(self, task: "asyncio.Task[None]") -> None:
        self._writing.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # Leases and holds end by themselves.
            log.warning("outage_not_written", error=repr(error))


def _spoke(answer: Answer) -> bool:
    """The host answered about a mail: nothing is wrong with the way to it."""
    return answer.code != 0 and answer.stage not in BEFORE_MAIL


def _is_over(answer: Answer) -> bool:
    """An answer that will not change (no such domain, null MX, a refusal of ours) is no outage either."""
    return _spoke(answer) or answer.stage == "prepare" or classify(answer).outcome == "failed"


def _probed(job: Job) -> set[int]:
    return {job.lane_id} if job.probe else set()


def hold(connection: Connection, lane_ids: Collection[int], until: int, reason: str) -> None:
    """Nothing of these lanes is taken before then; what is accepted for them waits in the queue."""
    queues.lock_lanes(connection, lane_ids)
    connection.execute(update(lanes).where(lanes.c.id.in_(lane_ids)).values(hold_reason=reason, next_due=until))


def let_go(connection: Connection, lane_ids: Collection[int], now: int) -> None:
    queues.lock_lanes(connection, lane_ids)
    held = lanes.c.id.in_(lane_ids) & (lanes.c.hold_reason != "")
    connection.execute(update(lanes).where(held).values(hold_reason="", next_due=now))


def expire(connection: Connection, now: int, grown: int) -> int:
    """Bounce what waits in held lanes past its last moment; returns how much. Call again while it is SOME.

    ``grown``: the time by which mail grows old.
    """
    late = connection.execute(
        select(recipients.c.id, recipients.c.message_id, recipients.c.account_id, queue.c.lane_id, lanes.c.hold_reason)
        .join(queue, queue.c.recipient_id == recipients.c.id)
        .join(lanes, lanes.c.id == queue.c.lane_id)
        .where(lanes.c.hold_reason != "", recipients.c.state == State.QUEUED)
        .where(queue.c.due <= now, queue.c.expires_at <= grown)
        .order_by(recipients.c.id)
        .limit(SOME)
        .with_for_update(of=queue, skip_locked=True)
    ).all()
    apply(
        connection,
        [
            Change(
                row.id,
                row.message_id,
                row.account_id,
                now,
                State.QUEUED,
                State.BOUNCED,
                reason=EXPIRED,
                kind=Kind.BOUNCE,
                facts={"response": row.hold_reason, "category": _category(row.hold_reason)},
                lane_id=row.lane_id,
            )
            for row in late
        ],
    )
    return len(late)


def _category(reason: str) -> str:
    return classify(Answer(0, "4.4.1", reason, stage="connect")).category
