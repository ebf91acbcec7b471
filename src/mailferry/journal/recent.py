"""How many recipients accounts have had within 24 hours, which is asked often: what is counted once is remembered.

Ids begin with their time, so a unit of it is a range of the index by account, and nothing is added to one that is over.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from mailferry.journal.ids import first_at
from mailferry.store.database import Database
from mailferry.store.schema import recipients

DAY_MS = 86_400_000
#: What the first seven of an id's hex digits tell apart: some 17 minutes.
UNIT_MS = 1 << 20
_DIGITS = 7
#: After so long whatever has an id is committed: transactions end within ten seconds, and clocks differ by less than sixty.
SETTLED_MS = 120_000
#: Accounts that are remembered; beyond that all are counted anew.
MOST = 1_000


@dataclass(frozen=True, slots=True)
class _Known:
    """Units before ``until`` are over, and these had some."""

    until: int = 0
    counts: dict[int, int] = field(default_factory=dict)


class Recent:
    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[int, _Known] = {}

    async def recipients(self, account_id: int) -> int:
        """Of the last 24 hours, whatever became of them."""
        now, known = self._clock(), self._known.get(account_id, _Known())
        since = now - DAY_MS
        first = since // UNIT_MS + 1
        begin = max(first, known.until)
        head, found = await self._database.read(lambda c: _read(c, account_id, since, first, begin))
        found = {unit: count for unit, count in known.counts.items() if first <= unit < begin} | found
        if len(self._known) >= MOST and account_id not in self._known:
            self._known.clear()
        over = (now - SETTLED_MS) // UNIT_MS
        self._known[account_id] = _Known(over, {unit: count for unit, count in found.items() if unit < over})
        return head + sum(found.values())


def _read(connection: Connection, account_id: int, since: int, first: int, begin: int) -> tuple[int, dict[int, int]]:
    """Of the piece before the first whole unit; and by unit, from ``begin`` on."""
    own, table = recipients.c.account_id == account_id, recipients
    head = select(func.count()).where(own, table.c.id >= first_at(since), table.c.id < first_at(first * UNIT_MS))
    unit = func.substr(table.c.id, 1, _DIGITS)
    units = select(unit, func.count()).where(own, table.c.id >= first_at(begin * UNIT_MS)).group_by(unit)
    return connection.execute(head).scalar_one(), {
        int(digits, 16): count for digits, count in connection.execute(units)
    }
