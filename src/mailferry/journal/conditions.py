"""What can be asked of the email log, as SQL: conditions over messages, recipients, attempts and events.

In the journal's own words, for SQLite and PostgreSQL alike; each dialect translates its filters into them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, cast, exists, false, func, not_, or_, select

from mailferry.journal.events import Kind, State
from mailferry.mail.providers import PROVIDERS
from mailferry.store.schema import attempts, events, messages, recipients

#: After these a reader wants no more.
OPT_OUTS = (Kind.UNSUBSCRIBE.value, Kind.SPAM.value)
#: Their facts name the recipient's mailbox provider.
_ANSWERS = (Kind.DELIVERY.value, Kind.SOFT_BOUNCE.value, Kind.BOUNCE.value)


class Standing(StrEnum):
    """What became of one recipient, in one word: the state, and whether its reader wants no more."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"
    OPTED_OUT = "opted_out"


def standing(state: State, opted_out: bool) -> Standing:
    """``sent`` waits: a provider has it, and nobody knows yet whether it arrived."""
    if state in (State.DELIVERED, State.SENT) and opted_out:
        return Standing.OPTED_OUT
    if state in (State.QUEUED, State.HELD, State.SENT):
        return Standing.WAITING
    return Standing.DELIVERED if state is State.DELIVERED else Standing.FAILED


class Match(StrEnum):
    """How a condition compares. With several values: IS and CONTAINS mean any of them, the others none of them."""

    IS = "is"
    IS_NOT = "is_not"
    CONTAINS = "contains"
    CONTAINS_NOT = "contains_not"
    EMPTY = "empty"
    NOT_EMPTY = "not_empty"
    ABOVE = "above"
    BELOW = "below"


_NEGATIONS = {Match.IS_NOT: Match.IS, Match.CONTAINS_NOT: Match.CONTAINS, Match.NOT_EMPTY: Match.EMPTY}


@dataclass(frozen=True, slots=True)
class Condition:
    """``field`` is a name in :data:`FIELDS`. ``fold``: upper and lower case are the same."""

    field: str
    match: Match
    values: tuple[str | int, ...] = ()
    fold: bool = False


def clause(condition: Condition) -> ColumnElement[bool]:
    """True for the recipients (joined with their messages) that the condition wants. Values are those its field has."""
    positive = _NEGATIONS.get(condition.match)
    found = FIELDS[condition.field](condition, positive or condition.match)
    return not_(found) if positive else found


def _compare(column: ColumnElement[Any], condition: Condition, match: Match) -> ColumnElement[bool]:
    if match is Match.EMPTY:
        return column == ""
    if match is Match.ABOVE:
        return column > max(int(value) for value in condition.values)
    if match is Match.BELOW:
        return column < min(int(value) for value in condition.values)
    if match is Match.CONTAINS:
        # Each OR is a level of its own, and SQLite's statements have a thousand of them.
        return or_(*(_like(column, str(value), condition.fold) for value in condition.values))
    if condition.fold:
        # The database folds both sides: what its lower() does not know (SQLite: all beyond ASCII) it leaves on both.
        return func.lower(column).in_([func.lower(value) for value in condition.values])
    return column.in_(condition.values)


def _like(column: ColumnElement[Any], value: str, fold: bool) -> ColumnElement[bool]:
    escaped = value.replace("/", "//").replace("%", "/%").replace("_", "/_")
    pattern = f"%{escaped}%"
    if fold:
        return func.lower(column).like(func.lower(pattern), escape="/")
    return column.like(pattern, escape="/")


Field = Callable[[Condition, Match], ColumnElement[bool]]


def _column(column: ColumnElement[Any]) -> Field:
    return lambda condition, match: _compare(column, condition, match)


def _tally(kind: Kind) -> Field:
    # PostgreSQL's count is a bigint, and what it is compared with must be one too.
    counted = select(cast(func.count(), BigInteger)).where(
        events.c.recipient_id == recipients.c.id, events.c.kind == kind.value
    )
    return _column(counted.scalar_subquery())


def _tried(column: ColumnElement[Any]) -> Field:
    """True when any attempt of the recipient compares so."""
    return lambda condition, match: exists().where(
        attempts.c.recipient_id == recipients.c.id, _compare(column, condition, match)
    )


def _happened(kinds: Sequence[str]) -> ColumnElement[bool]:
    return exists().where(events.c.recipient_id == recipients.c.id, events.c.kind.in_(kinds))


def _kept_by(names: Sequence[str]) -> ColumnElement[bool]:
    """True when the host that answered last was one of these providers': the one that statistics count it under."""
    known = [name for name in names if name in PROVIDERS]  # facts have no others, and few stay below SQLite's depth
    told = events.alias("told")
    last = (
        select(func.max(told.c.id))
        .where(told.c.recipient_id == recipients.c.id, told.c.kind.in_(_ANSWERS), told.c.facts.contains('"provider":'))
        .correlate(recipients)
        .scalar_subquery()
    )
    # Facts are compact JSON: in a value the quotes would be escaped.
    spelt = [events.c.facts.contains(f'"provider":"{name}"', autoescape=True) for name in known]
    return exists().where(events.c.id == last, or_(false(), *spelt))


def _standing(condition: Condition, _match: Match) -> ColumnElement[bool]:
    return or_(*(_STANDINGS[Standing(str(value))] for value in condition.values))


def _in_state(*states: State) -> ColumnElement[bool]:
    return recipients.c.state.in_([state.value for state in states])


_opted_out = _happened(OPT_OUTS)
#: The same as :func:`standing`, asked of the database.
_STANDINGS: dict[Standing, ColumnElement[bool]] = {
    Standing.WAITING: or_(_in_state(State.QUEUED, State.HELD), and_(_in_state(State.SENT), not_(_opted_out))),
    Standing.DELIVERED: and_(_in_state(State.DELIVERED), not_(_opted_out)),
    Standing.FAILED: _in_state(State.BOUNCED, State.REJECTED, State.CANCELLED),
    Standing.OPTED_OUT: and_(_in_state(State.DELIVERED, State.SENT), _opted_out),
}

#: What can be asked about.
FIELDS: dict[str, Field] = {
    "recipient": _column(recipients.c.address),
    "sender": _column(messages.c.sender),
    "subject": _column(messages.c.subject),
    "category": _column(messages.c.category),
    "stream": _column(messages.c.stream),
    "domain": _column(messages.c.domain_id),
    "client_ip": _column(messages.c.client_ip),
    "response": _column(recipients.c.response),
    "provider": lambda condition, _match: _kept_by([str(value) for value in condition.values]),
    "host": _tried(attempts.c.host),
    "source_ip": _tried(attempts.c.local_ip),
    "opens": _tally(Kind.OPEN),
    "clicks": _tally(Kind.CLICK),
    "standing": _standing,
    "state": _column(recipients.c.state),
    "event": lambda condition, _match: _happened([str(value) for value in condition.values]),
}
