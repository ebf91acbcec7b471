"""Sends what waits: of each webhook several lanes at once, of each lane one batch after the other.

A batch that fails is halved, down to the one event that fails; that one is set aside, the lane goes on without it and
without the later events of its message. Where others are taken meanwhile it is parked in the end. A receiver that takes
nothing at all is asked by one lane at a time, less and less often; nothing is given up because of that.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

import structlog
from sqlalchemy import Connection

from mailferry import metrics
from mailferry.consumers.webhooks import judge, pending, signing
from mailferry.consumers.webhooks.pending import BATCH, LANES, Delivery, State
from mailferry.consumers.webhooks.places import Places
from mailferry.consumers.webhooks.post import attempt
from mailferry.journal import follow
from mailferry.journal.follow import Cursor
from mailferry.net.http_call import Reply
from mailferry.resources import webhooks
from mailferry.resources.notices import Kind as Notice
from mailferry.resources.webhooks import EVENT, TOPIC, Webhook
from mailferry.store.database import Database

log = structlog.get_logger(__name__)

#: Requests under way at once, over all webhooks (places.py says how accounts share them).
CONCURRENT = 200
#: Parked events are no lane's: nothing else of their messages can be under way.
PARKED = LANES
#: Whatever was not told to us is found by looking again after so long.
LOOK_MS = 60_000


class Posts(Protocol):
    """See post.py."""

    async def post(self, webhook: Webhook, identity: str, payloads: Sequence[str]) -> Reply: ...


@dataclass(slots=True)
class _Lane:
    number: int
    #: Events of the next batch, at most.
    size: int = BATCH
    #: Nothing can be sent before (Unix milliseconds).
    not_before: int = 0
    busy: bool = False
    #: Counts what was said to have come in.
    told: int = 0
    #: Lone failures in a row.
    misses: int = 0


@dataclass(slots=True)
class _Line:
    """A webhook, and what is remembered of it between two requests."""

    webhook: Webhook
    failures: int
    hold_until: int
    last_success_at: int
    lanes: list[_Lane] = field(default_factory=lambda: [_Lane(number) for number in range(LANES + 1)])
    #: Where the search for a lane to ask with goes on.
    turn: int = 0


class Sender:
    """``kick`` is called when something ended and :meth:`turn` should be called again."""

    def __init__(
        self, database: Database, posts: Posts, clock: Callable[[], int], random: Random, kick: Callable[[], None]
    ) -> None:
        self._database = database
        self._posts = posts
        self._clock = clock
        self._random = random
        self._kick = kick
        self._lines: dict[int, _Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._places = Places(CONCURRENT)
        self.held: Cursor | None = None

    def came_in(self, webhook_ids: Collection[int]) -> None:
        """Something new waits for these."""
        for webhook_id in webhook_ids:
            if line := self._lines.get(webhook_id):
                _look(line)

    def turn(self, standing: Sequence[Webhook]) -> None:
        """Start whatever may be sent now. ``standing``: all webhooks, as they are now."""
        self._refresh(standing)
        if self.held is None or self.held.lease_until <= self._clock():
            return
        now = self._clock()
        for line in self._lines.values():
            if line.webhook.active and line.hold_until <= now:
                for lane in self._chosen(line, now):
                    self._start(line, lane)

    async def idle(self) -> None:
        """Until nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self, seconds: float) -> None:
        """What is under way may end within that time; the rest is sent again by whoever comes next."""
        self.held = None
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def next_due(self) -> int | None:
        """When a turn makes sense that nobody asks for. What could be sent now is under way, or waits for what is."""
        now = self._clock()
        times = [
            max(line.hold_until, lane.not_before)
            for line in self._lines.values()
            if line.webhook.active
            for lane in line.lanes
            if not lane.busy
        ]
        return min((each for each in times if each > now), default=None)

    # --- choosing --------------------------------------------------------------------------------------------------

    def _refresh(self, standing: Sequence[Webhook]) -> None:
        lines: dict[int, _Line] = {}
        for webhook in standing:
            line = self._lines.get(webhook.id)
            if line is None:
                line = _Line(webhook, webhook.failures, webhook.hold_until, webhook.last_success_at)
            elif webhook.updated_at != line.webhook.updated_at:
                line.hold_until = webhook.hold_until
                _look(line)
            line.webhook = webhook
            lines[webhook.id] = line
        self._lines = lines

    def _chosen(self, line: _Line, now: int) -> list[_Lane]:
        free = [lane for lane in line.lanes if not lane.busy and lane.not_before <= now]
        if not line.failures:
            return free
        # It failed: one request finds out whether it is back. Another lane each time, since one event may be the trouble.
        if not free or any(lane.busy for lane in line.lanes):
            return []
        line.turn += 1
        return [free[line.turn % len(free)]]

    def _start(self, line: _Line, lane: _Lane) -> None:
        lane.busy = True
        task = asyncio.create_task(self._run(line, lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, line: _Line, lane: _Lane) -> None:
        try:
            while await self._one(line, lane):
                pass
        except Exception:  # the database, most likely
            lane.not_before = self._clock() + judge.FIRST_MS
            log.exception("webhook_failed", webhook=line.webhook.id)
        finally:
            lane.busy = False
            self._kick()

    async def _one(self, line: _Line, lane: _Lane) -> bool:
        """True: it was taken. What waits behind it goes at once: a round of the service is a tenth of a second."""
        async with self._places.one(line.webhook.account_id):
            return self._may_still(line) and await self._send(line, lane)

    def _may_still(self, line: _Line) -> bool:
        """A place may have been waited for: meanwhile the webhook was paused or deleted, perhaps, or another lane failed."""
        stands = self._lines.get(line.webhook.id) is line and line.webhook.active
        return stands and line.hold_until <= self._clock()

    # --- sending ---------------------------------------------------------------------------------------------------

    async def _send(self, line: _Line, lane: _Lane) -> bool:
        told, now = lane.told, self._clock()
        batch, due = await self._database.read(lambda connection: _take(connection, line.webhook, lane, now))
        if not batch:
            if lane.told == told:
                lane.not_before = min(now + LOOK_MS, due or now + LOOK_MS)
            return False
        held = self.held
        if held is None or held.lease_until <= self._clock():
            return False
        identity = signing.request_id(line.webhook.id, [each.id for each in batch])
        reply = await self._posts.post(line.webhook, identity, [each.payload for each in batch])
        if judge.is_taken(reply, any_success=bool(line.webhook.subscription)):
            metrics.WEBHOOK_REQUESTS.labels("taken").inc()
            await self._taken(held, line, lane, batch, reply)
            return True
        metrics.WEBHOOK_REQUESTS.labels("failed").inc()
        await self._failed(held, line, lane, batch, reply)
        return False

    async def _taken(self, held: Cursor, line: _Line, lane: _Lane, batch: Sequence[Delivery], reply: Reply) -> None:
        now, failed_before, was_away = self._clock(), line.failures > 0, line.failures >= judge.AWAY
        webhook_id, ids = line.webhook.id, [each.id for each in batch]

        def write(connection: Connection) -> None:
            if not follow.is_held(connection, held):
                return
            number = pending.note(connection, attempt(line.webhook, len(batch), reply, now))
            pending.delivered(connection, ids, number, now)
            if failed_before:
                webhooks.recovered(connection, line.webhook, now)
            webhooks.succeeded(connection, webhook_id, now)
            if was_away:
                pending.hurry(connection, webhook_id, now)

        await self._database.write(write)
        line.failures, line.hold_until, line.last_success_at = 0, 0, now
        lane.misses = 0
        lane.size = min(2 * lane.size, BATCH)
        if was_away or lane.number == PARKED:
            # What waited behind may go now, in other lanes too.
            _look(line)
        if failed_before:
            self._kick()

    async def _failed(self, held: Cursor, line: _Line, lane: _Lane, batch: Sequence[Delivery], reply: Reply) -> None:
        now, alone = self._clock(), len(batch) == 1
        suspect = judge.may_be_the_events(reply)
        # What others of its lanes are given just now says that the receiver is there: only this lane waits.
        is_there = suspect and not line.failures and line.last_success_at > now - judge.ALIVE_MS
        failures, hold_until = line.failures, line.hold_until
        if not is_there and hold_until <= now:
            searching = suspect and not alone
            failures = max(1, failures) if searching else failures + 1
            wait = judge.SEARCH_MS if searching else judge.hold_ms(failures, reply.retry_after, self._random)
            hold_until = now + wait
        if suspect and alone:
            lane.misses += 1
        elif suspect:
            lane.size = max(1, len(batch) // 2)
        error = judge.words(reply)

        def write(connection: Connection) -> None:
            if not follow.is_held(connection, held):
                return
            number = pending.note(connection, attempt(line.webhook, len(batch), reply, now))
            pending.tried(connection, [each.id for each in batch], number)
            webhooks.failed(connection, line.webhook, now, error, failures, hold_until)
            if suspect and alone:
                self._set_aside(connection, line, batch[0], now, error)

        await self._database.write(write)
        if failures == 1 and not line.failures:
            log.warning("webhook_fails", webhook=line.webhook.id, url=line.webhook.url, error=error)
        line.failures, line.hold_until = failures, hold_until
        if is_there:
            lane.not_before = now + judge.SEARCH_MS * 2 ** min(lane.misses, 6)

    def _set_aside(self, connection: Connection, line: _Line, delivery: Delivery, now: int, error: str) -> None:
        since = delivery.failing_since or now
        guilty = delivery.tries + 1 >= judge.PARK_TRIES and line.last_success_at > since
        parked = guilty or delivery.state is State.PARKED
        due = now + judge.event_ms(delivery.tries + 1, parked, self._random)
        newly = parked and delivery.state is not State.PARKED
        if newly and not pending.any_parked(connection, line.webhook.id):
            webhooks.tell(connection, line.webhook, Notice.WEBHOOK_PARKED, now, error=error)
        pending.set_aside(connection, delivery, State.PARKED if parked else State.WAITING, due, since)
        if newly:
            log.error(
                "webhook_event_parked", webhook=line.webhook.id, delivery=delivery.id, message=delivery.message_id
            )


def _take(connection: Connection, webhook: Webhook, lane: _Lane, now: int) -> tuple[list[Delivery], int | None]:
    if lane.number == PARKED:
        return pending.take_parked(connection, webhook.id, now)
    # A subscription gets one envelope a request, a bus's receiver one event.
    size = 1 if webhook.payload_format in (TOPIC, EVENT) else lane.size
    return pending.take(connection, webhook.id, lane.number, now, size)


def _look(line: _Line) -> None:
    for lane in line.lanes:
        lane.told += 1
        lane.not_before = 0
