"""Amazon's metrics out of the counters (consumers/stats): by day, of the account, of identities, of providers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from mailferry.consumers.stats import reading
from mailferry.consumers.stats.reading import Counts, Query
from mailferry.store.schema import domains

_DAY_MS = 86_400_000
#: Of one question: every day of it is answered, whether anything was counted or not.
MOST_DAYS = 731
#: What of the counters a metric is. A suppressed recipient was sent to, as Amazon counts; opens are those of people.
_METRICS = {
    "SEND": lambda counts: counts.sent + counts.rejected,
    "DELIVERY": lambda counts: counts.delivered,
    "PERMANENT_BOUNCE": lambda counts: counts.bounced,
    "COMPLAINT": lambda counts: counts.spam,
    "OPEN": lambda counts: counts.opened,
    "CLICK": lambda counts: counts.clicked,
    "DELIVERY_OPEN": lambda counts: counts.opened,
    "DELIVERY_CLICK": lambda counts: counts.clicked,
    "DELIVERY_COMPLAINT": lambda counts: counts.spam,
}


class Uncounted(ValueError):
    """There are no counters of it; the text says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Times in Unix milliseconds; the second one is not included. ``dimensions``: one value each."""

    metric: str
    since: int
    until: int
    dimensions: Mapping[str, str] = field(default_factory=dict)

    @property
    def days(self) -> range:
        return range(self.since // _DAY_MS, (self.until - 1) // _DAY_MS + 1)


def by_day(connection: Connection, account_id: int, asked: Asked, seen: frozenset[int] | None = None) -> dict[int, int]:
    """By days since 1970. ``seen``: domains that may be seen; None = all. Raises :class:`Uncounted`."""
    found = counted(connection, account_id, asked, seen)
    return {day: value(asked.metric, found.get(day, Counts())) for day in asked.days}


def counted(
    connection: Connection, account_id: int, asked: Asked, seen: frozenset[int] | None = None
) -> dict[int, Counts]:
    """Those days of which anything was counted."""
    if len(asked.days) > MOST_DAYS:
        raise Uncounted(f"The period is longer than {MOST_DAYS} days: ask for a part of it.")
    identity = asked.dimensions.get("EMAIL_IDENTITY")
    if "CONFIGURATION_SET" in asked.dimensions:
        raise Uncounted("Nothing is counted by configuration set here: ask by EMAIL_IDENTITY or ISP.")
    isp = asked.dimensions.get("ISP")
    query = Query(
        account_id,
        asked.days.start,
        asked.days.stop - 1,
        seen,
        domain_ids=(_domain_id(connection, account_id, identity),) if identity else (),
        providers=(isp,) if isp else (),
    )
    return dict(reading.listed(connection, query, "day"))


def value(metric: str, counts: Counts) -> int:
    if metric not in _METRICS:
        raise Uncounted("Bounces that were followed by another try are not counted: they are in no PERMANENT_BOUNCE.")
    return int(_METRICS[metric](counts))


def rate(metric: str, counts: Counts) -> float:
    """Of what was delivered where the metric says so, else of what was sent."""
    whole = value("DELIVERY" if metric.startswith("DELIVERY_") else "SEND", counts)
    return round(value(metric, counts) / whole, 4) if whole else 0.0


def _domain_id(connection: Connection, account_id: int, identity: str) -> int:
    """-1, which nothing is counted for, where there is no such domain. An address counts as its domain."""
    name = identity.rpartition("@")[2].lower()
    asked = select(domains.c.id).where(domains.c.account_id == account_id, domains.c.name == name)
    return connection.execute(asked.order_by(domains.c.id.desc()).limit(1)).scalar() or -1
