"""What a piece of the journal adds to the counters.

A recipient is counted once in each of them, with its first event of that kind: somebody who opens a message ten times has
opened one. All of it belongs to the hour in which the message was accepted, so that of a day's messages no more can be
opened than were delivered, whenever that happened.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, case, func, select

from mailferry.journal.events import Kind
from mailferry.journal.follow import Position, beyond, order
from mailferry.journal.ids import first_at
from mailferry.mail.providers import OTHER
from mailferry.store.given import pack, rows
from mailferry.store.schema import events, messages, recipients

HOUR_MS = 3_600_000
#: Kinds that change a counter.
KINDS = (Kind.DELIVERY, Kind.BOUNCE, Kind.REJECT, Kind.OPEN, Kind.CLICK, Kind.UNSUBSCRIBE, Kind.SPAM)
#: How facts of an open or a click by a machine are marked (feedback/hits.py); text, so that SQL can look for it.
MACHINE_MARK = '%"machine":%'

_FATES = (Kind.DELIVERY, Kind.BOUNCE)
#: The counters of each kind: of people, and of machines where they are told apart.
_COUNTERS: Mapping[Kind, tuple[str, str]] = {
    Kind.DELIVERY: ("delivered", "delivered"),
    Kind.BOUNCE: ("bounced", "bounced"),
    Kind.REJECT: ("rejected", "rejected"),
    Kind.OPEN: ("opened", "machine_opened"),
    Kind.CLICK: ("clicked", "machine_clicked"),
    Kind.UNSUBSCRIBE: ("unsubscribed", "unsubscribed"),
    Kind.SPAM: ("spam", "spam"),
}
COUNTS = ("sent", *dict.fromkeys(name for pair in _COUNTERS.values() for name in pair))
#: What is told apart; with the account and the hour, the key of a row.
DIMENSIONS = ("domain_id", "stream", "category", "provider", "template_id")


#: Messages whose events are looked at in one statement of a recount.
PIECE = 1_000
#: How far the time in a message's id and that of its acceptance may be apart.
SLACK_MS = HOUR_MS


@dataclass(frozen=True, slots=True)
class Piece:
    """Of an hour: what its messages add, and the last of them; empty when there are no more."""

    rows: list[dict[str, Any]]
    last: str


@dataclass(frozen=True, slots=True)
class _First:
    """The first event of a kind that a recipient had."""

    at: Position
    kind: Kind
    machine: bool
    provider: str


def tally(connection: Connection, happened: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    """Rows of ``stats`` to be added to those that stand, for events of KINDS as they stand in the journal."""
    if not happened:
        return []
    told = _messages(connection, {event.message_id for event in happened})
    stories = _stories(connection, {event.recipient_id for event in happened})
    found: dict[tuple[Any, ...], Counter[str]] = {}
    for event in happened:
        message = told.get(event.message_id)
        counters = list(_counters(event, stories.get(event.recipient_id, ())))
        if message is None or not counters:
            continue  # forgotten already, or not the first of its kind
        provider = _provider(stories[event.recipient_id])
        place = (message.domain_id, message.stream, message.category, provider, message.template_id)
        key = (event.account_id, message.created_at // HOUR_MS, *place)
        found.setdefault(key, Counter()).update(counters)
    return [_row(key, found[key]) for key in sorted(found)]


def piece_of_hour(hour: int, after: str, until: Position, connection: Connection) -> Piece:
    """The next messages after that id that were accepted in that hour, with their events up to there."""
    begin = hour * HOUR_MS
    ids = connection.execute(
        select(messages.c.id)
        .where(messages.c.id > max(after, first_at(begin - SLACK_MS)))
        .where(messages.c.id < first_at(begin + HOUR_MS + SLACK_MS))
        .where(messages.c.created_at >= begin, messages.c.created_at < begin + HOUR_MS)
        .order_by(messages.c.id)
        .limit(PIECE)
    ).scalars()
    found = ids.all()
    if not found:
        return Piece([], "")
    given = rows(connection.dialect.name, [messages.c.id])
    happened = (
        select(events)
        .join(recipients, recipients.c.id == events.c.recipient_id)
        .join(given, given.c.id == recipients.c.message_id)
        .where(events.c.kind.in_(KINDS), ~beyond(connection, until))
    )
    packed = pack([{"id": each} for each in found])
    return Piece(tally(connection, connection.execute(happened, {"rows": packed}).all()), found[-1])


def merge(into: dict[tuple[Any, ...], dict[str, Any]], added: Iterable[dict[str, Any]]) -> None:
    """Add rows of tally's to those of the same key."""
    for row in added:
        key = tuple(row[name] for name in ("account_id", "hour", *DIMENSIONS))
        stands = into.setdefault(key, {**row, **dict.fromkeys(COUNTS, 0)})
        for name in COUNTS:
            stands[name] += row[name]


def _row(key: tuple[Any, ...], counted: Mapping[str, int]) -> dict[str, Any]:
    names = ("account_id", "hour", *DIMENSIONS)
    return {**dict(zip(names, key, strict=True)), **{name: counted.get(name, 0) for name in COUNTS}}


def _counters(event: Row[Any], story: Iterable[_First]) -> Iterable[str]:
    here = Position(event.xact or 0, event.id)
    first = next((each for each in story if each.at == here), None)
    if first is None:
        return
    yield _COUNTERS[first.kind][first.machine]
    if first.kind in _FATES and not any(each.kind in _FATES and each.at < here for each in story):
        # A bounce that is reported days after the delivery is another fate of a message that was counted then.
        yield "sent"


def _provider(story: Iterable[_First]) -> str:
    """The one that answered last; of recipients that no host was asked about, none."""
    return max(((each.at, each.provider) for each in story if each.provider), default=(None, ""))[1]


def _messages(connection: Connection, ids: Iterable[str]) -> dict[str, Row[Any]]:
    given = rows(connection.dialect.name, [messages.c.id])
    columns = ("id", "domain_id", "stream", "category", "template_id", "created_at")
    query = select(*(messages.c[name] for name in columns)).join(given, messages.c.id == given.c.id)
    packed = pack([{"id": each} for each in sorted(ids)])
    return {row.id: row for row in connection.execute(query, {"rows": packed})}


def _stories(connection: Connection, recipient_ids: Iterable[str]) -> dict[str, list[_First]]:
    """Of each recipient the first event of each kind, by people and by machines apart."""
    given = rows(connection.dialect.name, [events.c.recipient_id])
    machine = case((events.c.kind.in_((Kind.OPEN, Kind.CLICK)), events.c.facts.like(MACHINE_MARK)), else_=False)
    turn = func.row_number().over(
        partition_by=(events.c.recipient_id, events.c.kind, machine), order_by=order(connection)
    )
    numbered = (
        select(events, machine.label("machine"), turn.label("turn"))
        .join(given, events.c.recipient_id == given.c.recipient_id)
        .where(events.c.kind.in_(KINDS))
        .subquery()
    )
    packed = pack([{"recipient_id": each} for each in sorted(recipient_ids)])
    found: dict[str, list[_First]] = {}
    for row in connection.execute(select(numbered).where(numbered.c.turn == 1), {"rows": packed}):
        kind = Kind(row.kind)
        provider = msgspec.json.decode(row.facts).get("provider", OTHER) if kind in _FATES else ""
        first = _First(Position(row.xact or 0, row.id), kind, bool(row.machine), provider)
        found.setdefault(row.recipient_id, []).append(first)
    return found
