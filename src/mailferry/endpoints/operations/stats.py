"""Statistics for an operator: read by any of their dimensions, and counted anew."""

from datetime import date, timedelta
from typing import Any

from mailferry.consumers.stats import reading
from mailferry.consumers.stats.counter import CountedElsewhere
from mailferry.consumers.stats.reading import Counts, Query
from mailferry.endpoints.operations.tools import ACCOUNT, Mistake, Tools, Verb

_EPOCH = date(1970, 1, 1)
#: Days shown where none are named.
USUAL_DAYS = 30


async def stats_show(tools: Tools, by: str = "day", since: str = "", until: str = "", account: int = 0) -> Any:
    """A line a value of ``by``, and one for all of them. Days are UTC, both included."""
    last = _day(until) if until else tools.clock() // 86_400_000
    first = _day(since) if since else last - USUAL_DAYS + 1
    query = Query(account or ACCOUNT, first, last)
    found = await tools.database.read(lambda connection: reading.listed(connection, query, by))
    total = await tools.database.read(lambda connection: reading.total(connection, query))
    lines = [{by: _spelt(by, value), **_shown(counts)} for value, counts in found]
    return {"from": _date(first), "to": _date(last), "lines": lines, "total": _shown(total)}


async def stats_rebuild(tools: Tools) -> dict[str, int]:
    """Counts every hour anew that the log still knows whole."""
    try:
        return {"hours": await tools.counter.recount(tools.config["retention.logs_days"])}
    except CountedElsewhere:
        raise Mistake("another node counts; run this on the one that logged stats_counted, or stop it first") from None


def _shown(counts: Counts) -> dict[str, Any]:
    return {
        "sent": counts.sent,
        "delivered": counts.delivered,
        "delivery_rate": counts.delivery_rate,
        "bounced": counts.bounced,
        "bounce_rate": counts.bounce_rate,
        "rejected": counts.rejected,
        "opened": counts.opened,
        "open_rate": counts.open_rate,
        "machine_opened": counts.machine_opened,
        "clicked": counts.clicked,
        "click_rate": counts.click_rate,
        "machine_clicked": counts.machine_clicked,
        "unsubscribed": counts.unsubscribed,
        "spam": counts.spam,
        "spam_rate": counts.spam_rate,
    }


def _spelt(by: str, value: Any) -> Any:
    return _date(value) if by == "day" else value


def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()


def _day(text: str) -> int:
    try:
        return (date.fromisoformat(text) - _EPOCH).days
    except ValueError:
        raise Mistake(f"{text!r} is no date such as 2026-01-31") from None


VERBS: dict[str, Verb] = {"stats.show": stats_show, "stats.rebuild": stats_rebuild}
