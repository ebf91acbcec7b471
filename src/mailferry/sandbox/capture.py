"""THE way into the sandbox: every message that an inbox catches comes to be here, and nowhere else.

A group of messages is one statement a table, as mail's own way in has it (intake/keep.py): bytes synced, then one
transaction with the rows, the inboxes' counts, and the oldest messages of those that are full gone. It reads no domain, no
suppression and no recipient, writes nothing that delivery, tracking or webhooks look at, and wakes nobody.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog
from sqlalchemy import Connection, Row, bindparam, delete, func, select, update

from mailferry import metrics
from mailferry.journal.ids import Ids
from mailferry.mail.header import is_large
from mailferry.sandbox.summary import summary
from mailferry.store.captured import CapturedContent
from mailferry.store.content import Place
from mailferry.store.database import Database
from mailferry.store.given import insert_if_new
from mailferry.store.schema import inbox_messages, inboxes

log = structlog.get_logger(__name__)

#: The metrics' word where mail has transactional and bulk.
STREAM = "sandbox"


@dataclass(frozen=True, slots=True)
class Capture:
    """What an endpoint hands over: a whole message with CRLF line ends, and what is known beside it."""

    inbox_id: int
    message: bytes
    #: smtp, or mailtrap: the API.
    endpoint: str
    envelope_from: str = ""
    #: Bcc among them.
    envelope_to: tuple[str, ...] = ()
    client_ip: str = ""
    category: str = ""
    #: A compact JSON object.
    custom_variables: str = "{}"
    template_id: int = 0
    template_variables: str = ""


@dataclass(slots=True, eq=False)
class _Unit:
    """What is kept together: the messages of one request. ``rows`` lack where the bytes lie."""

    rows: tuple[dict[str, Any], ...]
    messages: tuple[bytes, ...]
    #: The highest id there was before a transaction first tried to keep it; it may stand although that seemed to fail.
    floor: int | None = None


@dataclass(slots=True)
class _Tally:
    added: Counter[int] = field(default_factory=Counter)
    gone: Counter[int] = field(default_factory=Counter)
    unread_gone: Counter[int] = field(default_factory=Counter)


class Sandbox:
    """One for the process; every endpoint is handed it."""

    def __init__(
        self,
        database: Database,
        content: CapturedContent,
        ids: Ids,
        clock: Callable[[], int],
        note: Callable[[Collection[int]], None] = lambda inbox_ids: None,
    ) -> None:
        """``note`` is told which inboxes caught something (arrivals.py)."""
        self._database = database
        self._note = note
        self._keeper = Keeper(content, clock)
        self._ids = ids
        self._clock = clock

    async def capture(self, captures: Sequence[Capture]) -> list[int]:
        """Their ids in the same order, once they are durable; 0 where there is no such inbox any more."""
        now = self._clock()
        keys = [self._ids.new() for _ in captures]
        rows = []
        for capture, key in zip(captures, keys, strict=True):
            if is_large(capture.message):
                rows.append(await asyncio.to_thread(_row, capture, key, now))
            else:
                rows.append(_row(capture, key, now))
        messages = tuple(capture.message for capture in captures)
        future = self._database.submit(self._keeper, _Unit(tuple(rows), messages), sum(map(len, messages)))
        # A client that goes away does not undo what is being written.
        found: list[int] = await asyncio.shield(future)
        for capture, identity in zip(captures, found, strict=True):
            if identity:
                metrics.ACCEPTED.labels(capture.endpoint, STREAM).inc()
                facts = {"inbox_id": capture.inbox_id, "client_ip": capture.client_ip, "endpoint": capture.endpoint}
                log.debug("captured", inbox_message_id=identity, **facts)
        self._note({capture.inbox_id for capture in captures})
        return found


def _row(capture: Capture, key: str, now: int) -> dict[str, Any]:
    found = summary(capture.message, capture.envelope_from, capture.envelope_to)
    return {
        "inbox_id": capture.inbox_id,
        "key": key,
        "from_email": found.sender.address,
        "from_name": found.sender.name,
        "to_email": found.recipient.address,
        "to_name": found.recipient.name,
        "subject": found.subject,
        "searched": found.searched,
        "is_read": False,
        "size": len(capture.message),
        "html_size": found.html_size,
        "text_size": found.text_size,
        "endpoint": capture.endpoint,
        "envelope_from": capture.envelope_from,
        "envelope_to": msgspec.json.encode(capture.envelope_to).decode(),
        "client_ip": capture.client_ip,
        "category": capture.category,
        "custom_variables": capture.custom_variables,
        "template_id": capture.template_id,
        "template_variables": capture.template_variables,
        "created_at": now,
        "updated_at": now,
    }


class Keeper:
    """The batch that the writer calls. It runs in the writer's thread and touches nothing but what it was given."""

    def __init__(self, content: CapturedContent, clock: Callable[[], int]) -> None:
        self._content = content
        self._clock = clock

    def __call__(self, connection: Connection, units: Sequence[_Unit]) -> list[list[int]]:
        found = _standing(connection, [unit for unit in units if unit.floor is not None])
        fresh = [unit for unit in units if not any(row["key"] in found for row in unit.rows)]
        if any(unit.floor is None for unit in fresh):
            floor = connection.execute(select(func.coalesce(func.max(inbox_messages.c.id), 0))).scalar_one()
            for unit in fresh:
                unit.floor = floor if unit.floor is None else unit.floor
        found |= self._keep(connection, fresh)
        return [[found.get(row["key"], 0) for row in unit.rows] for unit in units]

    def _keep(self, connection: Connection, units: Sequence[_Unit]) -> dict[str, int]:
        """Ids by keys."""
        known = _lock_inboxes(connection, {row["inbox_id"] for unit in units for row in unit.rows})
        pairs = [pair for unit in units for pair in zip(unit.rows, unit.messages, strict=True)]
        pairs = [(row, message) for row, message in pairs if row["inbox_id"] in known]
        if not pairs:
            return {}
        places = self._content.keep(connection, [(row["key"], message) for row, message in pairs], self._clock())
        rows = [_placed(row, place, known) for (row, _), place in zip(pairs, places, strict=True)]
        returning = (inbox_messages.c.key, inbox_messages.c.id)
        found = {row.key: row.id for row in insert_if_new(connection, inbox_messages, rows, returning)}
        tally = _Tally(added=Counter(row["inbox_id"] for row in rows))
        for inbox_id in tally.added:
            inbox = known[inbox_id]
            over = inbox.messages_count + tally.added[inbox_id] - inbox.max_size
            if over > 0:
                self._make_room(connection, inbox_id, over, tally)
        _count(connection, tally, rows)
        return found

    def _make_room(self, connection: Connection, inbox_id: int, over: int, tally: _Tally) -> None:
        """First in, first out."""
        oldest = (
            select(inbox_messages.c.id)
            .where(inbox_messages.c.inbox_id == inbox_id)
            .order_by(inbox_messages.c.id)
            .limit(over)
        )
        gone = connection.execute(
            delete(inbox_messages)
            .where(inbox_messages.c.id.in_(oldest))
            .returning(inbox_messages.c.key, inbox_messages.c.is_read)
        ).all()
        self._content.remove(connection, [row.key for row in gone])
        tally.gone[inbox_id] += len(gone)
        tally.unread_gone[inbox_id] += sum(not row.is_read for row in gone)


def _standing(connection: Connection, units: Sequence[_Unit]) -> dict[str, int]:
    """Ids by keys of those that are kept: the answer to our COMMIT was lost."""
    if not units:
        return {}
    floor = min(unit.floor or 0 for unit in units)
    keys = {row["key"] for unit in units for row in unit.rows}
    asked = select(inbox_messages.c.key, inbox_messages.c.id).where(inbox_messages.c.id > floor)
    return {row.key: row.id for row in connection.execute(asked) if row.key in keys}


def _lock_inboxes(connection: Connection, ids: Iterable[int]) -> Mapping[int, Row[Any]]:
    """Those that there are. Their counts are nobody else's to change until this transaction ends."""
    columns = [inboxes.c[name] for name in ("id", "account_id", "max_size", "messages_count")]
    # In one order, or two nodes might wait for each other.
    asked = select(*columns).where(inboxes.c.id.in_(ids)).order_by(inboxes.c.id).with_for_update()
    return {row.id: row for row in connection.execute(asked).all()}


def _placed(row: dict[str, Any], place: Place, known: Mapping[int, Row[Any]]) -> dict[str, Any]:
    account_id = known[row["inbox_id"]].account_id
    return row | {"account_id": account_id, "segment": place.segment, "place": place.offset}


_COUNTED = (
    update(inboxes)
    .where(inboxes.c.id == bindparam("of"))
    .values(
        messages_count=inboxes.c.messages_count + bindparam("more"),
        unread_count=inboxes.c.unread_count + bindparam("more_unread"),
        caught_count=inboxes.c.caught_count + bindparam("caught"),
        last_message_at=bindparam("last"),
    )
)


def _count(connection: Connection, tally: _Tally, rows: Sequence[dict[str, Any]]) -> None:
    last = {row["inbox_id"]: row["created_at"] for row in rows}
    connection.execute(
        _COUNTED,
        [
            {
                "of": inbox_id,
                "more": added - tally.gone[inbox_id],
                "more_unread": added - tally.unread_gone[inbox_id],
                "caught": added,
                "last": last[inbox_id],
            }
            for inbox_id, added in sorted(tally.added.items())
        ],
    )
