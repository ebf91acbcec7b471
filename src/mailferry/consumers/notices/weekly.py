"""The weekly health mail: each Monday, of each domain that sent something in the week before, how it did.

A domain's row remembers for which week its mail was written, and is changed in the transaction that writes it: of several
nodes one is first, and after a restart it is known.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from itertools import groupby

from sqlalchemy import Connection

from mailferry.consumers.stats import reading
from mailferry.consumers.stats.reading import Counts
from mailferry.resources import domain_alerts, notices
from mailferry.resources.domain_alerts import Weekly
from mailferry.resources.notices import Kind
from mailferry.store.database import Database

DAY_MS = 86_400_000
WEEK_DAYS, WEEK_HOURS = 7, 7 * 24
#: On Mondays from this hour on (UTC): by then most of Sunday's mail has its fate, and is counted.
HOUR_MS, FROM_HOUR = 3_600_000, 6
#: Of the first Monday, in days since 1970; weeks are counted from it, in UTC.
FIRST_MONDAY = 4


async def write(database: Database, now: int) -> None:
    """What this week's Monday is to tell and is not written yet."""
    days = (now - FROM_HOUR * HOUR_MS) // DAY_MS - FIRST_MONDAY
    week, is_monday = days // WEEK_DAYS, days % WEEK_DAYS == 0
    while found := await database.read(lambda connection: domain_alerts.weekly_due(connection, week)):
        for account_id, some in groupby(found, key=lambda each: each.account_id):
            await database.write(partial(_write, account_id, list(some), week, is_monday, now))


def _write(
    account_id: int, some: Sequence[Weekly], week: int, is_monday: bool, now: int, connection: Connection
) -> None:
    first_hour = (FIRST_MONDAY + (week - 1) * WEEK_DAYS) * 24
    last, before = (_counted(connection, account_id, first_hour - ago) for ago in (0, WEEK_HOURS))
    for domain in some:
        if not domain_alerts.weekly_written(connection, domain, week):
            continue  # another node was quicker
        # A Monday that was missed is made up for, but a domain that is new waits for its first one; and so does one whose
        # week was written before the clock was set back: of this week it may have been told.
        wanted = domain.enabled and domain.week <= week and (is_monday or domain.week)
        counts = last.get(domain.domain_id, Counts())
        if wanted and counts.sent:
            facts = {
                "week": first_hour // 24,
                "now": asdict(counts),
                "before": asdict(before.get(domain.domain_id, Counts())),
            }
            notices.put(connection, account_id, Kind.HEALTH, facts, now, domain_id=domain.domain_id)


def _counted(connection: Connection, account_id: int, first_hour: int) -> dict[int, Counts]:
    return reading.of_hours(connection, account_id, first_hour, first_hour + WEEK_HOURS - 1)
