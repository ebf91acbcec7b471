"""``GET .../email_logs`` and ``/{message_id}``: the journal's email log in Mailtrap's words.

Both path families answer alike, but for the name of the domain's id. A filter of an unknown field, of an operator that
its field does not have, or without a value is ignored, as Mailtrap says of its own; a value that makes no sense is 400.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from starlette.responses import Response

from mailferry.consumers.mailtrap_words import EVENT_TYPE, KIND, STANDING, STATUS, details
from mailferry.endpoints.mailtrap import raw_messages
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, Problem, answer
from mailferry.endpoints.mailtrap.query import BadQueryError, Filter, filters, first, moment, parse
from mailferry.journal import search
from mailferry.journal.conditions import Condition, Match
from mailferry.journal.search import Entry, Happening, Query
from mailferry.resources.permissions import Resource

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Of one filter: each is looked for in every message by itself, while equal values are found together.
MOST_PATTERNS = 100
_MEMBERS = (
    *("message_id", "status", "rfc_message_id", "in_reply_to", "references", "thread_id", "subject", "from", "to"),
    *("sent_at", "client_ip", "category", "custom_variables", "sending_stream", "domain_id", "template_id"),
    *("template_variables", "opens_count", "clicks_count", "machine_opens_count", "machine_clicks_count"),
)
_MAX_ID = (1 << 63) - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def get_list(call: Call) -> Response:
    try:
        query = asked(call, parse(call.request.scope["query_string"]))
    except BadQueryError as error:
        return call.problem(Problem(Fault.QUERY_INVALID, str(error)))
    page = await call.deps.db.read(lambda connection: search.search(connection, query))
    domain = domain_key(call)
    return answer(
        {
            "messages": [summary(entry, domain) for entry in page.entries],
            "total_count": page.total,
            "next_page_cursor": page.cursor,
        }
    )


async def get_one(call: Call) -> Response:
    wanted = call.request.path_params["message_id"].lower()
    query = Query(call.account_id, call.rights.granted(Resource.DOMAIN))
    found = None
    if _UUID.fullmatch(wanted):
        found = await call.deps.db.read(lambda connection: search.find(connection, query, wanted))
    if found is None:
        return call.problem(Problem(Fault.NOT_FOUND))
    entry, happenings = found
    events = [_event(happening) for happening in happenings if happening.kind in EVENT_TYPE]
    url = await raw_messages.url(call, entry.message_id)
    return answer({**summary(entry, domain_key(call)), "raw_message_url": url, "events": events})


# --- answers -------------------------------------------------------------------------------------------------------


def domain_key(call: Call) -> str:
    return "sending_domain_id" if "account_id" in call.request.path_params else "domain_id"


def summary(entry: Entry, domain: str) -> dict[str, Any]:
    """Where there is nothing, the log has null."""
    return {
        "message_id": entry.recipient_id,
        "status": STATUS[entry.standing],
        "rfc_message_id": entry.rfc_message_id or None,
        "in_reply_to": None,
        "references": [],
        "thread_id": None,
        "subject": entry.subject or None,
        "from": entry.sender,
        "to": entry.recipient,
        "sent_at": _time(entry.sent_at),
        "client_ip": entry.client_ip or None,
        "category": entry.category or None,
        "custom_variables": msgspec.json.decode(entry.custom_variables or "null") or None,
        "sending_stream": entry.stream,
        domain: entry.domain_id,
        "template_id": entry.template_id or None,
        "template_variables": msgspec.json.decode(entry.template_variables) if entry.template_variables else None,
        "opens_count": entry.opens,
        "clicks_count": entry.clicks,
        # Not of Mailtrap's: how many of these were machines.
        "machine_opens_count": entry.machine_opens,
        "machine_clicks_count": entry.machine_clicks,
    }


def members(domain: str) -> tuple[str, ...]:
    """The names of a :func:`summary`, in their order."""
    return tuple(domain if name == "domain_id" else name for name in _MEMBERS)


def _event(happening: Happening) -> dict[str, Any]:
    return {
        "event_type": EVENT_TYPE[happening.kind],
        "created_at": _time(happening.at),
        "details": details(happening.kind, happening.facts),
    }


def _time(ms: int) -> str:
    """With milliseconds, so that a time out of an answer is a filter that finds the same message again."""
    when = _EPOCH + timedelta(milliseconds=ms)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- filters -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rule:
    """The journal's field behind one of Mailtrap's, its operators, and how a value reads."""

    field: str
    operators: Mapping[str, Match]
    read: Callable[[str], str | int] = str


_FOLDED = {
    "ci_equal": Match.IS,
    "ci_not_equal": Match.IS_NOT,
    "ci_contain": Match.CONTAINS,
    "ci_not_contain": Match.CONTAINS_NOT,
}
_EQUAL = {"equal": Match.IS, "not_equal": Match.IS_NOT}
_CONTAIN = {"contain": Match.CONTAINS, "not_contain": Match.CONTAINS_NOT}
_EMPTY = {"empty": Match.EMPTY, "not_empty": Match.NOT_EMPTY}
_NUMERIC = {"equal": Match.IS, "greater_than": Match.ABOVE, "less_than": Match.BELOW}
_EVENTS = {"include_event": Match.IS, "not_include_event": Match.IS_NOT}


def _word(words: Mapping[str, str]) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return words[value]

    return read


def _integer(value: str) -> int:
    if not (value.isascii() and value.isdigit()) or int(value) > _MAX_ID:
        raise ValueError("an integer")
    return int(value)


_DOMAIN = _Rule("domain", _EQUAL, _integer)
_RULES: Mapping[str, _Rule] = {
    "to": _Rule("recipient", _FOLDED),
    "from": _Rule("sender", _FOLDED),
    "subject": _Rule("subject", _FOLDED | _EMPTY),
    "status": _Rule("standing", _EQUAL, _word(STANDING)),
    "events": _Rule("event", _EVENTS, _word(KIND)),
    "clicks_count": _Rule("clicks", _NUMERIC, _integer),
    "opens_count": _Rule("opens", _NUMERIC, _integer),
    "client_ip": _Rule("client_ip", _EQUAL | _CONTAIN),
    "sending_ip": _Rule("source_ip", _EQUAL | _CONTAIN),
    "email_service_provider_response": _Rule("response", _FOLDED),
    "email_service_provider": _Rule("provider", _EQUAL),
    "recipient_mx": _Rule("host", _FOLDED),
    "category": _Rule("category", _EQUAL),
    "sending_stream": _Rule("stream", _EQUAL, _word({"transactional": "transactional", "bulk": "bulk"})),
    "domain_id": _DOMAIN,
    "sending_domain_id": _DOMAIN,
}
#: What a filter may ask, by its name.
OPERATORS: Mapping[str, tuple[str, ...]] = {name: tuple(rule.operators) for name, rule in _RULES.items()}


def asked(call: Call, pairs: list[tuple[tuple[str, ...], str]]) -> Query:
    """Raises :class:`BadQueryError`."""
    given = filters(pairs)
    sent_from, sent_until = _moment(given, "sent_after"), _moment(given, "sent_before")
    if sent_from is not None and sent_until is not None and sent_from > sent_until:
        raise BadQueryError("'sent_after' must not be later than 'sent_before'")
    cursor = first(pairs, "search_after").lower()
    if cursor and not _UUID.fullmatch(cursor):
        raise BadQueryError("'search_after' must be the next_page_cursor of a page")
    return Query(
        account_id=call.account_id,
        domain_ids=call.rights.granted(Resource.DOMAIN),
        sent_from=sent_from,
        sent_until=sent_until,
        conditions=tuple(_conditions(given)),
        older_than=cursor,
    )


def _conditions(given: Mapping[str, Filter]) -> Iterator[Condition]:
    for name, asked in given.items():
        rule = _RULES.get(name)
        match = rule.operators.get(asked.operator) if rule else None
        if rule is None or match is None:
            continue
        values: tuple[str | int, ...] = ()
        if match not in (Match.EMPTY, Match.NOT_EMPTY):
            values = tuple(dict.fromkeys(_value(name, rule, value) for value in asked.values))
            if not values:
                continue
        if match in (Match.CONTAINS, Match.CONTAINS_NOT) and len(values) > MOST_PATTERNS:
            raise BadQueryError(f"'{name}' has too many values (maximum is {MOST_PATTERNS})")
        yield Condition(rule.field, match, values, fold=asked.operator.startswith("ci_"))


def _value(name: str, rule: _Rule, value: str) -> str | int:
    try:
        return rule.read(value)
    except ValueError as error:
        raise BadQueryError(f"'{name}' must be {error}") from None


def _moment(given: Mapping[str, Filter], name: str) -> int | None:
    """Of a filter the last value counts."""
    asked = given.get(name)
    return moment(asked.values[-1] if asked and asked.values else "", name)
