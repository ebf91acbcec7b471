"""The email log: one entry a recipient, newest first, out of messages, recipients and events.

Queries speak the journal's own words; a dialect translates its filters into :class:`Condition` and its answer out of
:class:`Entry`. Everything here takes a connection and reads only, on SQLite and PostgreSQL alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, FromClause, Row, Select, case, func, select

from mailferry.journal.conditions import OPT_OUTS, Condition, Standing, clause, standing
from mailferry.journal.events import Kind, State
from mailferry.journal.ids import first_at
from mailferry.store.schema import events, messages, recipients

#: Entries of one page.
PAGE = 100
#: Recipients that one step of a walk looks at, whether it wants them or not: each is a short read, whatever is asked.
STRETCH = 1000
#: Ids sort by the time they were drawn, messages say when they were accepted; a clock set back may part the two. A day
#: of slack keeps the short cut over the index right unless a clock leaps further than that.
SLACK_MS = 86_400_000

_COUNTED = (Kind.OPEN.value, Kind.CLICK.value, *OPT_OUTS)


@dataclass(frozen=True, slots=True)
class Query:
    """Everything is AND-ed. Times are Unix milliseconds, both ends included."""

    #: None = all accounts.
    account_id: int | None
    #: Only what these domains sent; None = all.
    domain_ids: frozenset[int] | None = None
    sent_from: int | None = None
    sent_until: int | None = None
    conditions: tuple[Condition, ...] = ()
    #: The last entry of the page before.
    older_than: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One recipient of one message. Empty texts mean that there is none."""

    recipient_id: str
    message_id: str
    account_id: int
    recipient: str
    #: to, cc or bcc.
    kind: str
    sender: str
    subject: str
    stream: str
    domain_id: int
    category: str
    custom_variables: str
    client_ip: str
    rfc_message_id: str
    endpoint: str
    #: 0: it came from no template. The variables are JSON, empty where they were too many to be kept.
    template_id: int
    template_variables: str
    #: Unix milliseconds of acceptance.
    sent_at: int
    state: State
    #: Why it is held or was rejected.
    reason: str
    attempts: int
    #: The last answer heard.
    code: int
    response: str
    #: Unix milliseconds.
    updated_at: int
    opted_out: bool
    opens: int
    clicks: int
    #: Those of them that came from machines (mail/agents.py).
    machine_opens: int
    machine_clicks: int

    @property
    def standing(self) -> Standing:
        return standing(self.state, self.opted_out)


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of one recipient. ``facts`` has the journal's names (ip, host, code, response, reason, url ...)."""

    kind: Kind
    at: int
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one step of a walk found, which may be nothing, and what the next is older than; None at the end."""

    entries: tuple[Entry, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class Page:
    entries: tuple[Entry, ...]
    #: All that match, on whatever page.
    total: int
    #: What the next page is older than; None on the last page.
    cursor: str | None


def search(connection: Connection, query: Query) -> Page:
    where = _where(query)
    total = connection.execute(_count(query, where)).scalar_one()
    if query.older_than:
        where = [*where, recipients.c.id < query.older_than]
    rows = connection.execute(_entries(where).order_by(recipients.c.id.desc()).limit(PAGE + 1)).all()
    page = rows[:PAGE]
    return Page(_counted(connection, page), total, page[-1].id if len(rows) > PAGE else None)


def walk(connection: Connection, query: Query) -> Stretch:
    """A step of a walk through all that matches, newest first. Go on with ``older_than`` = ``after`` of this one.

    What is accepted meanwhile is not met; what retention takes meanwhile is left out.
    """
    span = _span(query)
    if query.older_than:
        span.append(recipients.c.id < query.older_than)
    looked = select(recipients.c.id).where(*span).order_by(recipients.c.id.desc()).limit(STRETCH).subquery()
    last, number = connection.execute(select(func.min(looked.c.id), func.count()).select_from(looked)).one()
    if not number:
        return Stretch((), None)
    where = [*span, *_wishes(query), recipients.c.id >= last]
    rows = connection.execute(_entries(where).order_by(recipients.c.id.desc())).all()
    return Stretch(_counted(connection, rows), last if number == STRETCH else None)


def find(connection: Connection, query: Query, recipient_id: str) -> tuple[Entry, tuple[Happening, ...]] | None:
    """One entry and its events, oldest first. None when the query's account or domain has no such recipient."""
    row = connection.execute(_entries([*_where(query), recipients.c.id == recipient_id])).one_or_none()
    if row is None:
        return None
    story = select(events.c.kind, events.c.at, events.c.facts).where(events.c.recipient_id == recipient_id)
    happenings = tuple(
        Happening(Kind(kind), at, msgspec.json.decode(facts))
        for kind, at, facts in connection.execute(story.order_by(events.c.at, events.c.id))
    )
    return _entry(row, _counts(connection, [recipient_id]).get(recipient_id, {})), happenings


# --- rows ----------------------------------------------------------------------------------------------------------


_OF_MESSAGE = (
    *("sender", "subject", "stream", "domain_id", "category", "custom_variables", "client_ip", "rfc_message_id"),
    *("template_id", "template_variables", "endpoint"),
)
_OF_RECIPIENT = ("account_id", "kind", "reason", "attempts", "code", "response", "updated_at")


def _joined() -> FromClause:
    return recipients.join(messages, messages.c.id == recipients.c.message_id)


def _entries(where: Sequence[ColumnElement[bool]]) -> Select[Any]:
    columns = (recipients.c.id, recipients.c.message_id, recipients.c.address, recipients.c.state)
    wanted = [
        *columns,
        *(recipients.c[name] for name in _OF_RECIPIENT),
        *(messages.c[name] for name in _OF_MESSAGE),
        messages.c.created_at,
    ]
    return select(*wanted).select_from(_joined()).where(*where)


def _count(query: Query, where: Sequence[ColumnElement[bool]]) -> Select[int]:
    # Without a filter the index over (account, id) answers alone, and an account's log may have millions of rows.
    plain = query.domain_ids is None and not (
        query.conditions or query.sent_from is not None or query.sent_until is not None
    )
    return select(func.count()).select_from(recipients if plain else _joined()).where(*where)


def _counted(connection: Connection, rows: Sequence[Row[Any]]) -> tuple[Entry, ...]:
    counts = _counts(connection, [row.id for row in rows])
    return tuple(_entry(row, counts.get(row.id, {})) for row in rows)


def _counts(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, int]]:
    if not ids:
        return {}
    # In a fact's value a quote would be escaped, so this is the fact's name.
    by_machine = func.coalesce(func.sum(case((events.c.facts.contains('"machine":'), 1), else_=0)), 0)
    wanted = select(events.c.recipient_id, events.c.kind, func.count(), by_machine).where(
        events.c.recipient_id.in_(ids), events.c.kind.in_(_COUNTED)
    )
    found: dict[str, dict[str, int]] = {}
    for recipient_id, kind, count, machines in connection.execute(
        wanted.group_by(events.c.recipient_id, events.c.kind)
    ):
        found.setdefault(recipient_id, {}).update({kind: count, f"{kind} by machine": machines})
    return found


def _entry(row: Row[Any], counts: Mapping[str, int]) -> Entry:
    return Entry(
        recipient_id=row.id,
        message_id=row.message_id,
        recipient=row.address,
        **{name: getattr(row, name) for name in (*_OF_MESSAGE, *_OF_RECIPIENT)},
        sent_at=row.created_at,
        state=State(row.state),
        opted_out=any(kind in counts for kind in OPT_OUTS),
        opens=counts.get(Kind.OPEN, 0),
        clicks=counts.get(Kind.CLICK, 0),
        machine_opens=counts.get(f"{Kind.OPEN} by machine", 0),
        machine_clicks=counts.get(f"{Kind.CLICK} by machine", 0),
    )


# --- conditions ----------------------------------------------------------------------------------------------------


def _where(query: Query) -> list[ColumnElement[bool]]:
    return [*_span(query), *_wishes(query)]


def _span(query: Query) -> list[ColumnElement[bool]]:
    """Asked of recipients alone, and answered by an index: the part of the log in which to look."""
    span: list[ColumnElement[bool]] = []
    if query.account_id is not None:
        span.append(recipients.c.account_id == query.account_id)
    if query.sent_from is not None:
        span.append(recipients.c.id >= first_at(query.sent_from - SLACK_MS))
    if query.sent_until is not None:
        span.append(recipients.c.id < first_at(query.sent_until + SLACK_MS))
    return span


def _wishes(query: Query) -> list[ColumnElement[bool]]:
    wishes: list[ColumnElement[bool]] = []
    if query.domain_ids is not None:
        wishes.append(messages.c.domain_id.in_(sorted(query.domain_ids)))
    if query.sent_from is not None:
        wishes.append(messages.c.created_at >= query.sent_from)
    if query.sent_until is not None:
        wishes.append(messages.c.created_at <= query.sent_until)
    return wishes + [clause(condition) for condition in query.conditions]
