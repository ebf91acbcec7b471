"""The part of a process that serves webhooks: under a lease it gathers, replays and sends; without one it waits for it.

On PostgreSQL every node that has the role runs this, and one of them at a time holds the lease. When that one dies another
goes on after half a minute; what it had sent and not written down is sent again.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from random import Random

import structlog

from mailferry import metrics
from mailferry.consumers.ses import destinations
from mailferry.consumers.ses.publishing import Publisher
from mailferry.consumers.webhooks import audits, gather, pending
from mailferry.consumers.webhooks.gather import Gatherer
from mailferry.consumers.webhooks.replays import Replayer
from mailferry.consumers.webhooks.sender import Posts, Sender
from mailferry.journal import follow
from mailferry.journal.follow import LEASE_MS, Cursor
from mailferry.resources import webhooks
from mailferry.resources.webhooks import CURSOR, Webhook
from mailferry.store.content import DAY_MS
from mailferry.store.database import Database

log = structlog.get_logger(__name__)

#: Seconds after which we look whether anything happened, told or not.
POLL = 1.0
#: Seconds between two looks, however often something happens: what happens meanwhile is read together.
GATHER = 0.1
#: Seconds that requests under way get when the process ends.
GRACE = 3.0
HOUR_MS, TEN_SECONDS_MS = 3_600_000, 10_000


class Webhooks:
    """``logs_days``: how long the log is kept, and with it what could not be sent."""

    def __init__(
        self,
        database: Database,
        posts: Posts,
        publisher: Publisher,
        clock: Callable[[], int],
        random: Random,
        *,
        logs_days: int,
    ) -> None:
        self._database = database
        self._clock = clock
        self._logs_days = logs_days
        self._gatherer = Gatherer(database, publisher, clock)
        self._replayer = Replayer(database, publisher, clock)
        self._woken = asyncio.Event()
        self.sender = Sender(database, posts, clock, random, self._woken.set)
        self._held: Cursor | None = None
        self._forgotten_at = self._measured_at = 0
        #: False: nobody wants to be told of anything, and what happens need not wake us.
        self._wanted = False

    def wake(self) -> None:
        """Something was committed. From the event loop; costs next to nothing."""
        if self._wanted:
            self._woken.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                more = await self.step()
            except Exception:  # the database, most likely: the next round tries again
                log.exception("webhooks_failed")
                more = False
            await self._pause(more)

    async def close(self) -> None:
        """After :meth:`run` was cancelled."""
        await self.sender.close(GRACE)
        if held := self._held:
            self._held = None
            await self._database.write(lambda connection: follow.release(connection, held))

    async def step(self) -> bool:
        """One round. True: there is more to do at once."""
        standing, watched = await self._database.read(lambda c: (webhooks.every(c), destinations.watched_accounts(c)))
        self._wanted = bool(standing or watched)
        more = False
        if self._wanted:
            held = await self._hold()
            if held is not None:
                more = await self._work(held, standing)
        else:
            await self._rest()
        await self._now_and_then()
        return more

    # --- the lease -------------------------------------------------------------------------------------------------

    async def _hold(self) -> Cursor | None:
        """The cursor, leased to us for a while yet; None: another node works."""
        now = self._clock()
        held = self._held
        if held is not None and held.lease_until - now > LEASE_MS * 2 // 3:
            return held
        if held is not None:
            renewed = await self._database.write(lambda connection: follow.renew(connection, held, now))
        else:
            renewed = await self._claim(now)
        self._keep(renewed)
        return renewed

    async def _claim(self, now: int) -> Cursor | None:
        # A look costs nothing; a claim is a transaction, and for nothing while another node works.
        found = await self._database.read(lambda connection: follow.cursor(connection, CURSOR))
        if found is not None and found.lease_until > now:
            return None
        if found is None:
            await self._database.write(lambda connection: gather.begin(connection, now))
        if await self._database.read(follow.moved_here):
            log.warning("journal_moved", reason="the database was taken over from another PostgreSQL")
            await self._database.write(gather.settle_here, hurried=False)
        claimed = await self._database.write(lambda connection: follow.claim(connection, CURSOR, now))
        if claimed is not None:
            log.info("webhooks_served", position=claimed.position)
        return claimed

    def _keep(self, held: Cursor | None) -> None:
        self._held = self.sender.held = held

    async def _rest(self) -> None:
        """Nobody wants to be told of anything: the journal need not be kept for us."""
        self.sender.turn(())
        self._keep(None)
        if await self._database.read(lambda connection: follow.cursor(connection, CURSOR)) is not None:
            await self._database.write(gather.end)

    # --- work ------------------------------------------------------------------------------------------------------

    async def _work(self, held: Cursor, standing: Sequence[Webhook]) -> bool:
        gathered = await self._gatherer.gather(held)
        if gathered is None:
            self._keep(None)
            return True
        moved, found = gathered
        self._keep(moved)
        self.sender.came_in(found.webhook_ids)
        self.sender.came_in(await audits.gather(self._database, moved, standing, self._clock()))
        replayed = await self._replayer.work(moved)
        if replayed is not None:
            self.sender.came_in([replayed])
        self.sender.turn(standing)
        return found.more or replayed is not None

    async def _now_and_then(self) -> None:
        now = self._clock()
        if now - self._measured_at >= TEN_SECONDS_MS:
            self._measured_at = now
            counts, oldest = await self._database.read(pending.totals)
            for state, count in counts.items():
                metrics.WEBHOOK_EVENTS.labels(state).set(count)
            metrics.WEBHOOK_OLDEST.set((now - oldest) / 1000 if oldest else 0)
        if now - self._forgotten_at >= HOUR_MS:
            self._forgotten_at = now
            await self._forget(now)

    async def _forget(self, now: int) -> None:
        before = now - self._logs_days * DAY_MS
        while ended := await self._database.write(lambda connection: pending.expire(connection, before, now)):
            for webhook_id, count in ended.items():
                metrics.WEBHOOK_EXPIRED.inc(count)
                log.error("webhook_events_expired", webhook=webhook_id, events=count)
        while await self._database.write(lambda connection: pending.forget(connection, before)) >= pending.SOME:
            pass

    async def _pause(self, more: bool) -> None:
        await asyncio.sleep(0 if more else GATHER)
        if more:
            return
        due = self.sender.next_due()
        seconds = POLL if due is None else min(max((due - self._clock()) / 1000, 0.0), POLL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()
