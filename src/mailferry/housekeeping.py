"""What must be done now and then: release held mail, mend lanes, re-check DNS, forget what is old, seal segments.

Every task is safe to run on several nodes at once: each is one short transaction after the other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import structlog
from sqlalchemy import Connection, func, select, text

from mailferry import metrics
from mailferry.delivery import lanes, outages, release
from mailferry.endpoints.operations.lookups import check_domain, check_host
from mailferry.endpoints.operations.tools import Tools
from mailferry.endpoints.ses.work import steps as steps_of_amazon
from mailferry.journal import follow, retention
from mailferry.journal.events import WAITING, State
from mailferry.journal.follow import Cursor
from mailferry.resources import documents, domains
from mailferry.resources.contacts import purge
from mailferry.resources.contacts.work import Workshop
from mailferry.resources.documents import Kind
from mailferry.sandbox.tidy import Tidying
from mailferry.store.captured import CapturedContent, CapturedSegments
from mailferry.store.content import DatedContent, TableContent, day_of
from mailferry.store.database import unavailable
from mailferry.store.schema import messages, queue, recipients
from mailferry.store.segments import SegmentContent

log = structlog.get_logger(__name__)

MINUTE, HOUR = 60.0, 3600.0
#: Clients ask whether an import is done.
MOMENT = 2.0


class Housekeeping:
    def __init__(
        self,
        tools: Tools,
        content: DatedContent,
        grown: Callable[[], int] | None = None,
        captured: CapturedContent | None = None,
    ) -> None:
        """``grown``: the time by which mail grows old, where that is not the clock's."""
        self._tools = tools
        self._grown = grown or tools.clock
        self._contacts = Workshop(tools.database, tools.clock, steps_of_amazon(tools.database, tools.clock))
        self._content = content
        # Elsewhere a message's bytes go with its row.
        self._sandbox = captured if isinstance(captured, CapturedSegments) else None
        self._tidying = Tidying(tools.database, self._sandbox, tools.clock) if self._sandbox else None
        self._database = tools.database

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for seconds, task in (
                (MOMENT, self.import_and_export_contacts),
                (10.0, self.measure),
                (MINUTE, self.release_held),
                (MINUTE, self.mend_lanes),
                (HOUR, self.check_domains),
                (HOUR, self.forget),
                (HOUR, self.tidy_sandbox),
            ):
                group.create_task(self._every(seconds, task))

    async def _every(self, seconds: float, task: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await task()
            except Exception as error:  # the next round tries again
                if unavailable(error):
                    log.warning("housekeeping_delayed", task=task.__name__, error=type(error).__name__)
                else:
                    log.exception("housekeeping_failed", task=task.__name__)
            await asyncio.sleep(seconds)

    async def import_and_export_contacts(self) -> None:
        await self._contacts.run_due()

    async def measure(self) -> None:
        counts, oldest = await self._database.read(_waiting)
        for state in WAITING:
            metrics.QUEUE.labels(state).set(counts.get(state, 0))
        metrics.OLDEST.set((self._tools.clock() - oldest) / 1000 if oldest else 0)
        for cursor, first in await self._database.read(_cursors):
            metrics.CURSOR_LAG.labels(cursor.name).set((self._tools.clock() - first) / 1000 if first else 0)
            metrics.CURSOR_DEAD.labels(cursor.name).set(follow.is_dead(cursor, self._tools.clock()))
        metrics.COMMIT_GROUPS.set(self._database.writer.groups)
        metrics.COMMIT_ITEMS.set(self._database.writer.items)

    async def release_held(self) -> None:
        await self._in_pieces(release.adopt, release.SOME)
        for domain_id in await self._database.read(release.domains_with_held):
            await self._held_of(domain_id)

    async def _held_of(self, domain_id: int) -> None:
        hourly, now = self._tools.config["limits.new_domain_hourly"], self._tools.clock()
        released = await self._in_pieces(lambda c: release.release_domain(c, domain_id, now), release.SOME)
        released += await self._database.write(lambda c: release.release_hourly(c, domain_id, now, hourly))
        if released:
            self._tools.wake()
        if rejected := await self._in_pieces(lambda c: release.reject_removed(c, domain_id, now), release.SOME):
            log.info("held_rejected", domain_id=domain_id, recipients=rejected)

    async def mend_lanes(self) -> None:
        """What waits behind a destination that is out ends by age; a lane that lost its time gets it back."""
        now, grown = self._tools.clock(), self._grown()
        await self._in_pieces(lambda connection: outages.expire(connection, now, grown), outages.SOME)
        while lost := await self._database.read(lanes.lost):
            repaired = await self._database.write(partial(lanes.repair, lane_ids=lost))
            if not repaired:  # another node was quicker
                return
            # It should never happen: whoever reads this has found a bug.
            log.warning("lanes_repaired", lanes=repaired)
            self._tools.wake()

    async def check_domains(self) -> None:
        found = await self._database.read(domains.all_domains)
        for domain in found:
            if domain.state != domains.DEMO and (domain.verified_at or domain.state == domains.UNVERIFIED):
                await check_domain(self._tools, domain)
        for host in await self._database.read(lambda connection: documents.every(connection, Kind.CUSTOM_HOST)):
            await check_host(self._tools, host.account_id, host.name)

    async def tidy_sandbox(self) -> None:
        if self._sandbox and self._tidying:
            await asyncio.to_thread(self._sandbox.seal)
            await self._tidying.round()

    async def forget(self) -> None:
        config, now = self._tools.config, self._tools.clock()
        for cursor in await self._database.read(follow.every):
            if follow.is_dead(cursor, now):
                # Its events are lost to it when the log is forgotten: somebody must start the role, or the log is too long.
                log.error("cursor_dead", cursor=cursor.name, held_until=cursor.lease_until, role="consumers")
        if isinstance(self._content, TableContent):
            await self._database.write(self._partitions_ahead)
        if isinstance(self._content, SegmentContent):
            await asyncio.to_thread(self._content.seal)
        needed = await self._needed(now)
        dropped = await self._database.write(lambda connection: self._forget_content(connection, now, needed))
        if dropped:
            log.info("content_forgotten", segments=dropped)
        logs_days = config["retention.logs_days"]
        await self._in_pieces(lambda connection: retention.forget_logs(connection, now, logs_days), retention.SOME)
        await self._in_pieces(lambda connection: retention.forget_keys(connection, now), retention.SOME)
        await self._in_pieces(lambda connection: purge.piece(connection, now), purge.SOME)
        await self._in_pieces(lambda connection: retention.forget_hours(connection, now), retention.SOME)
        await self._in_pieces(lambda connection: retention.forget_boots(connection, now), retention.SOME)
        await self._forget_lanes()

    async def _forget_lanes(self) -> None:
        after: int | None = 0
        while after is not None:
            after = await self._database.write(partial(lanes.forget, after=after))

    async def _needed(self, now: int) -> frozenset[str]:
        """In reads of their own: looked for in the transaction that drops, a million that wait would keep it open."""
        days, after, found = self._tools.config["retention.content_days"], "", frozenset[str]()
        while True:
            some, after = await self._database.read(partial(retention.needed, now=now, days=days, after=after))
            found |= some
            if not after:
                return found

    def _forget_content(self, connection: Connection, now: int, needed: frozenset[str]) -> list[str]:
        if connection.dialect.name == "postgresql":
            # Two nodes would both find a partition, and the second could not drop it. The lock that making one takes.
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('mailferry content'))"))
        days = self._tools.config["retention.content_days"]
        return retention.forget_content(connection, self._content, now, days, needed)

    async def _in_pieces(self, piece: Callable[[Connection], int], full: int) -> int:
        total = 0
        while True:
            done = await self._database.write(piece)
            total += done
            if done < full:
                return total

    def _partitions_ahead(self, connection: Connection) -> None:
        assert isinstance(self._content, TableContent)
        for ahead in range(3):
            self._content.prepare(connection, day_of(self._tools.clock()) + timedelta(days=ahead))


def _cursors(connection: Connection) -> list[tuple[Cursor, int | None]]:
    """With when the first event happened that was not read yet."""
    return [(cursor, follow.lag(connection, cursor)) for cursor in follow.every(connection)]


def _waiting(connection: Connection) -> tuple[dict[State, int], int | None]:
    # Counted in two indexes of the queue, which holds only what waits: a million rows must cost no more than a moment.
    held = queue.c.due.is_(None)
    counts = {
        state: connection.execute(select(func.count()).select_from(queue).where(condition)).scalar_one()
        for state, condition in ((State.HELD, held), (State.QUEUED, queue.c.due.is_not(None)))
    }
    oldest = select(func.min(queue.c.recipient_id))
    first = connection.execute(oldest).scalar()
    if first is None:
        return counts, None
    created = select(messages.c.created_at).join(recipients, recipients.c.message_id == messages.c.id)
    return counts, connection.execute(created.where(recipients.c.id == first)).scalar()
