"""Statistics for an operator: read by any of their dimensions, and counted anew."""

from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection

from mailferry.consumers.stats import reading
from mailferry.consumers.stats.counter import CountedElsewhere
from mailferry.consumers.stats.reading import Counts, Query
from mailferry.credentials import ACCOUNT
from mailferry.endpoints.operations.tools import Mistake, Tools, Verb
from mailferry.resources import domains, templates

_EPOCH = date(1970, 1, 1)
#: Days shown where none are named.
USUAL_DAYS = 30


async def stats_show(tools: Tools, by: str = "day", since: str = "", until: str = "", account: int = 0) -> Any:
    """A line a value of ``by``, and one for all of them. Days are UTC, both included.

    Domains and templates are named, and stand with their ids beside; None is mail without a template, or of no category
    or provider.
    """
    last = _day(until) if until else tools.clock() // 86_400_000
    first = _day(since) if since else last - USUAL_DAYS + 1
    if first > last:
        raise Mistake(f"the first day, {_date(first)}, is after the last one, {_date(last)}")
    query = Query(account or ACCOUNT, first, last)

    def read(connection: Connection) -> tuple[list[dict[str, Any]], Counts]:
        found = reading.listed(connection, query, by)
        lines = [{**_spelt(connection, query.account_id, by, value), **_shown(counts)} for value, counts in found]
        return lines, reading.total(connection, query)

    lines, total = await tools.database.read(read)
    return {"from": _date(first), "to": _date(last), "lines": lines, "total": _shown(total)}


async def stats_rebuild(tools: Tools) -> dict[str, int]:
    """Counts every hour anew that the log still knows whole."""
    try:
        return {"hours": await tools.counter.recount(tools.config["retention.logs_days"])}
    except CountedElsewhere:
        raise Mistake(
            "another node counts; run this on the one that logged stats_counted_here, or stop it first"
        ) from None


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


def _spelt(connection: Connection, account_id: int, by: str, value: Any) -> dict[str, Any]:
    match by:
        case "day":
            return {by: _date(value)}
        case "domain":
            return {by: domains.name_of(connection, value) or str(value), "domain_id": value}
        case "template" if value:
            found = templates.by_id(connection, account_id, value)
            return {by: found.head.facts.name if found else f"{value} (deleted)", "template_id": value}
        case "template":
            return {by: None, "template_id": None}
        case _:
            return {by: value or None}


def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()


def _day(text: str) -> int:
    try:
        return (date.fromisoformat(text) - _EPOCH).days
    except ValueError:
        raise Mistake(f"{text!r} is no date such as 2026-01-31") from None


VERBS: dict[str, Verb] = {"stats.show": stats_show, "stats.rebuild": stats_rebuild}
