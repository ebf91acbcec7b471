"""The counters read back: in all, or by one of their dimensions."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, false, func, select

from mailferry.store.schema import stats

HOURS = 24


@dataclass(frozen=True, slots=True)
class Counts:
    """Recipients, each counted once a counter; see store/schema/stats.py."""

    sent: int = 0
    delivered: int = 0
    bounced: int = 0
    rejected: int = 0
    opened: int = 0
    machine_opened: int = 0
    clicked: int = 0
    machine_clicked: int = 0
    unsubscribed: int = 0
    spam: int = 0

    @property
    def delivery_rate(self) -> float:
        return _rate(self.delivered, self.sent)

    @property
    def bounce_rate(self) -> float:
        return _rate(self.bounced, self.sent)

    @property
    def open_rate(self) -> float:
        return _rate(self.opened, self.delivered)

    @property
    def click_rate(self) -> float:
        return _rate(self.clicked, self.delivered)

    @property
    def spam_rate(self) -> float:
        return _rate(self.spam, self.delivered)


@dataclass(frozen=True, slots=True)
class Query:
    """Days since 1970 in UTC, both included. An empty choice is no choice; ``domains`` is what may be seen, None = all."""

    account_id: int
    first_day: int
    last_day: int
    domains: frozenset[int] | None = None
    domain_ids: tuple[int, ...] = ()
    streams: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()


#: What counters may be listed by; ``day`` is days since 1970.
BY: dict[str, ColumnElement[Any]] = {
    "domain": stats.c.domain_id,
    "category": stats.c.category,
    "provider": stats.c.provider,
    "stream": stats.c.stream,
    "template": stats.c.template_id,
    "day": stats.c.hour // HOURS,
}

_SUMS = tuple(func.coalesce(func.sum(stats.c[each.name]), 0).label(each.name) for each in fields(Counts))


def total(connection: Connection, query: Query) -> Counts:
    row = connection.execute(select(*_SUMS).where(*_where(query))).one()
    return _counts(row)


def listed(connection: Connection, query: Query, by: str) -> list[tuple[Any, Counts]]:
    """In the order of the values; only those of which anything was counted."""
    column = BY[by].label("value")
    found = select(column, *_SUMS).where(*_where(query)).group_by(column).order_by(column)
    return [(row.value, _counts(row[1:])) for row in connection.execute(found)]


def by_hour(connection: Connection, query: Query) -> list[tuple[int, Counts]]:
    """By hours since 1970, in their order; only those of which anything was counted."""
    found = select(stats.c.hour, *_SUMS).where(*_where(query)).group_by(stats.c.hour).order_by(stats.c.hour)
    return [(row.hour, _counts(row[1:])) for row in connection.execute(found)]


def of_hours(connection: Connection, account_id: int, first: int, last: int) -> dict[int, Counts]:
    """By domain, of all that was accepted in these hours since 1970, both included."""
    found = select(stats.c.domain_id, *_SUMS).where(stats.c.account_id == account_id, stats.c.hour.between(first, last))
    return {row.domain_id: _counts(row[1:]) for row in connection.execute(found.group_by(stats.c.domain_id))}


def _counts(row: Sequence[Any]) -> Counts:
    return Counts(*(int(number) for number in row))  # sums of 64-bit numbers are decimals on PostgreSQL


def _where(query: Query) -> list[ColumnElement[bool]]:
    hours = stats.c.hour.between(query.first_day * HOURS, query.last_day * HOURS + HOURS - 1)
    where = [stats.c.account_id == query.account_id, hours]
    if query.domains is not None:
        where.append(stats.c.domain_id.in_(query.domains) if query.domains else false())
    for column, chosen in (
        (stats.c.domain_id, query.domain_ids),
        (stats.c.stream, query.streams),
        (stats.c.category, query.categories),
        (stats.c.provider, query.providers),
    ):
        if chosen:
            where.append(column.in_(chosen))
    return where


def _rate(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
