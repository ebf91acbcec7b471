"""``GET .../stats`` and ``/domains``, ``/categories``, ``/email_service_providers``, ``/date``: counters and rates.

Days are UTC. Filters come in every form of arrays (query.py); one that is not known is ignored. Members that Mailtrap does
not have stand beside its own: opens and clicks of machines, rejected and unsubscribed recipients.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from starlette.responses import Response

from mailferry.consumers.stats import reading
from mailferry.consumers.stats.reading import Counts, Query
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import refuse
from mailferry.endpoints.mailtrap.query import BadQueryError, first, parse
from mailferry.resources.permissions import Resource

_EPOCH = date(1970, 1, 1)
_MAX_ID = (1 << 63) - 1


async def get_total(call: Call) -> Response:
    query = _query(call)
    return answer(_stats(await call.read(lambda connection: reading.total(connection, query))))


def _by(dimension: str, name: Callable[[Call], str], spell: Callable[[Any], Any] = lambda value: value) -> Any:
    async def get_list(call: Call) -> Response:
        query = _query(call)
        found = await call.read(lambda connection: reading.listed(connection, query, dimension))
        member = name(call)
        return answer([{member: spell(value), "stats": _stats(counts)} for value, counts in found])

    return get_list


def _domain_key(call: Call) -> str:
    return "sending_domain_id" if call.legacy else "domain_id"


def _day(number: int) -> str:
    return (_EPOCH + timedelta(days=number)).isoformat()


Function = Callable[[Call], Awaitable[Response]]
get_domains: Function = _by("domain", _domain_key)
get_categories: Function = _by("category", lambda call: "category")
get_providers: Function = _by("provider", lambda call: "email_service_provider")
get_days: Function = _by("day", lambda call: "date", _day)


def _stats(counts: Counts) -> dict[str, Any]:
    return {
        "delivery_count": counts.delivered,
        "delivery_rate": counts.delivery_rate,
        "bounce_count": counts.bounced,
        "bounce_rate": counts.bounce_rate,
        "open_count": counts.opened,
        "open_rate": counts.open_rate,
        "click_count": counts.clicked,
        "click_rate": counts.click_rate,
        "spam_count": counts.spam,
        "spam_rate": counts.spam_rate,
        "sent_count": counts.sent,
        "reject_count": counts.rejected,
        "unsubscribe_count": counts.unsubscribed,
        "machine_open_count": counts.machine_opened,
        "machine_click_count": counts.machine_clicked,
    }


# --- the question ----------------------------------------------------------------------------------------------------


def _query(call: Call) -> Query:
    try:
        pairs = parse(call.request.scope["query_string"])
        days = [_moment_of_day(call, pairs, name) for name in ("start_date", "end_date")]
        if days[0] > days[1]:
            raise BadQueryError("'start_date' must not be after 'end_date'")
        domain_ids = _numbers(pairs, "sending_domain_ids") + _numbers(pairs, "domain_ids")
    except BadQueryError as error:
        refuse(call, Fault.QUERY_INVALID, str(error))
    return Query(
        call.account_id,
        days[0],
        days[1],
        call.rights.granted(Resource.DOMAIN),
        domain_ids,
        _texts(pairs, "sending_streams"),
        _texts(pairs, "categories"),
        _texts(pairs, "email_service_providers"),
    )


_Pairs = list[tuple[tuple[str, ...], str]]


def _moment_of_day(call: Call, pairs: _Pairs, name: str) -> int:
    """Days since 1970; a time is taken for its day in UTC."""
    text = first(pairs, name)
    if not text:
        refuse(call, Fault.PARAMETER_REQUIRED, name)
    try:
        moment = datetime.fromisoformat(text)
        day = moment.astimezone(UTC).date() if moment.tzinfo else moment.date()
    except (ValueError, OverflowError):
        raise BadQueryError(f"'{name}' must be a date such as 2026-01-31") from None
    return (day - _EPOCH).days


def _texts(pairs: _Pairs, name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for path, value in pairs if path == (name,) and value))


def _numbers(pairs: _Pairs, name: str) -> tuple[int, ...]:
    found = []
    for text in _texts(pairs, name):
        if not (text.isascii() and text.isdigit()):
            raise BadQueryError(f"'{name}' must be numbers of domains")
        # What is larger than any id names none, and must not be left out: nothing chosen would be everything.
        found.append(min(int(text[:30]), _MAX_ID))
    return tuple(found)
