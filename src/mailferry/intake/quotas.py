"""Whether an account may send so much now (resources/quotas.py says how much). An account without a quota costs a look-up.

The day's number is what the database has, looked at again every two seconds, and what this process took meanwhile; so
it holds over restarts, and what another node took is seen that much later. The rate is each process's own.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mailferry.intake.refusal import Reason
from mailferry.journal.recent import Recent
from mailferry.resources import quotas
from mailferry.resources.documents import DocumentBook

LOOK_MS = 2_000


@dataclass(slots=True)
class _Meter:
    """Of one account."""

    #: Recipients that may come at once.
    tokens: float = 1.0
    filled_at: int = 0
    #: What the database had at the last look, and its ticks; 0 = there was none.
    seen: int = 0
    looked_at: int = 0
    #: Taken here, and not in ``seen``.
    since: int = 0
    #: Taken by whoever has not heard yet whether it is kept.
    flying: int = 0
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def fill(self, per_second: float, now: int) -> None:
        """A second's worth may come at once, and where that is less than one, one."""
        grown = (now - self.filled_at) * per_second / 1000 if self.filled_at else per_second
        self.tokens = min(max(per_second, 1.0), self.tokens + grown)
        self.filled_at = now


class Quotas:
    """``ticks``: milliseconds that only go forward."""

    def __init__(self, book: DocumentBook, recent: Recent, ticks: Callable[[], int]) -> None:
        self._book = book
        self._recent = recent
        self._ticks = ticks
        self._meters: dict[int, _Meter] = {}

    @contextmanager
    def taking(self) -> Iterator["Taking"]:
        """Around all that becomes of what is taken, up to its commit."""
        taking = Taking(self)
        try:
            yield taking
        finally:
            for meter, number in taking.taken:
                meter.flying -= number

    async def take(self, account_id: int, number: int, taken: list[tuple[_Meter, int]]) -> Reason | None:
        quota = await quotas.known(self._book, account_id)
        if not quota:
            return None
        meter = self._meters.setdefault(account_id, _Meter())
        if quota.per_day:
            await self._look(account_id, meter)
            if meter.seen + meter.since >= quota.per_day:
                return Reason.QUOTA_EXCEEDED
        if quota.per_second:
            meter.fill(quota.per_second, self._ticks())
            if meter.tokens < 1:
                return Reason.RATE_EXCEEDED
            meter.tokens -= number
        # All recipients of a message are taken where one still may be, as Amazon does it.
        meter.since += number
        meter.flying += number
        taken.append((meter, number))
        return None

    async def _look(self, account_id: int, meter: _Meter) -> None:
        async with meter.looking:
            now = self._ticks()
            if meter.looked_at and now - meter.looked_at < LOOK_MS:
                return
            # What is under way now may be seen or not: it is counted as not seen until the next look.
            before = meter.since - meter.flying
            meter.seen = await self._recent.recipients(account_id)
            meter.since -= before
            meter.looked_at = now


class Taking:
    """What one request takes."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas
        self.taken: list[tuple[_Meter, int]] = []

    async def take(self, account_id: int, recipients: int) -> Reason | None:
        """Why not; None: it is taken."""
        return await self._quotas.take(account_id, recipients, self.taken)
