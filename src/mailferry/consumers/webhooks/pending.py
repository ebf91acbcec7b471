"""What waits to be sent to webhooks, what became of it, and the requests that were made: rows, and nothing else.

A message belongs to one of LANES lanes of a webhook. Of a lane one batch is under way, in the order of ids, so that the
events of a message arrive in theirs.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, func, insert, literal_column, select, update

from mailferry.store.given import insert_rows, pack, rows
from mailferry.store.schema import webhook_attempts, webhook_deliveries, webhook_replays, webhooks

LANES = 8
#: Mailtrap's: events of one request.
BATCH = 500
#: Octets of their payloads.
BATCH_OCTETS = 1024 * 1024
#: Rows forgotten or changed in one transaction.
SOME = 1_000
#: Pages of a lane that are looked through for what is due; the rest has its turn later.
_PAGES = 20


class State(StrEnum):
    """Where one event stands for one webhook."""

    WAITING = "waiting"
    PARKED = (
        "parked"  # it failed alone again and again while others were taken; later ones of its message wait behind it
    )
    DELIVERED = "delivered"
    SKIPPED = "skipped"  # somebody said that it need not be sent
    EXPIRED = "expired"  # it could not be sent for as long as the log is kept


#: What is still to be sent.
OPEN = (State.WAITING, State.PARKED)


@dataclass(frozen=True, slots=True)
class Delivery:
    id: int
    webhook_id: int
    state: State
    message_id: str
    payload: str
    due: int
    tries: int
    failing_since: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request. ``status`` 0: no answer came."""

    webhook_id: int
    at: int
    events: int
    status: int
    error: str
    response: str
    ms: int
    kind: str = "batch"


def lane_of(message_id: str) -> int:
    """Kept in the row, so that it may be reckoned another way one day."""
    return zlib.crc32(message_id.encode()) % LANES


def put(connection: Connection, deliveries: Sequence[Mapping[str, Any]]) -> None:
    """webhook_id, event_id, message_id, kind, at, payload, replayed and created_at of each, in their order."""
    insert_rows(
        connection,
        webhook_deliveries,
        [{**each, "lane": lane_of(each["message_id"]), "state": State.WAITING} for each in deliveries],
    )


def take(connection: Connection, webhook_id: int, lane: int, now: int, most: int) -> tuple[list[Delivery], int | None]:
    """The next batch of a lane; where it is empty, when something comes due (None: nothing waits for time).

    An event that failed alone is taken alone. What is not due holds up the later events of its message and no others.
    """
    found: list[Delivery] = []
    set_aside: set[str] = set()
    next_due: int | None = None
    octets = after = 0
    for _ in range(_PAGES):
        page = _walk(connection, webhook_id, lane, after)
        for each in page:
            if each.message_id in set_aside:
                continue
            if each.due > now:
                set_aside.add(each.message_id)
                next_due = each.due if next_due is None else min(next_due, each.due)
                continue
            octets += len(each.payload)
            full = len(found) == most or (bool(found) and octets > BATCH_OCTETS)
            if full or (each.tries and found):
                return found, None
            found.append(each)
            if each.tries:
                return found, None
        if len(page) < BATCH:
            break
        after = page[-1].id
    return found, next_due


def take_parked(connection: Connection, webhook_id: int, now: int) -> tuple[list[Delivery], int | None]:
    """The parked event that was to be tried first, if its time has come; else the time."""
    table = webhook_deliveries
    # Two parked events of one message cannot be: the later waits behind the earlier.
    parked = select(*_COLUMNS).where(table.c.webhook_id == webhook_id, _is(State.PARKED)).order_by(table.c.due).limit(1)
    row = connection.execute(parked).one_or_none()
    if row is None:
        return [], None
    return ([_delivery(row)], None) if row.due <= now else ([], row.due)


def delivered(connection: Connection, ids: Sequence[int], attempt_id: int, now: int) -> None:
    given = rows(connection.dialect.name, [webhook_deliveries.c.id])
    changed = update(webhook_deliveries).where(webhook_deliveries.c.id == given.c.id, _open())
    connection.execute(
        changed.values(state=State.DELIVERED, attempt_id=attempt_id, done_at=now),
        {"rows": pack([{"id": each} for each in ids])},
    )


def tried(connection: Connection, ids: Sequence[int], attempt_id: int) -> None:
    """They were sent and not taken; the log says so, and they go on waiting."""
    given = rows(connection.dialect.name, [webhook_deliveries.c.id])
    changed = update(webhook_deliveries).where(webhook_deliveries.c.id == given.c.id, _open())
    connection.execute(changed.values(attempt_id=attempt_id), {"rows": pack([{"id": each} for each in ids])})


def set_aside(connection: Connection, delivery: Delivery, state: State, due: int, since: int) -> None:
    """It failed alone."""
    connection.execute(
        update(webhook_deliveries)
        .where(webhook_deliveries.c.id == delivery.id, _open())
        .values(state=state, due=due, tries=delivery.tries + 1, failing_since=since)
    )


def any_parked(connection: Connection, webhook_id: int) -> bool:
    wanted = exists().where(webhook_deliveries.c.webhook_id == webhook_id, _is(State.PARKED))
    return bool(connection.execute(select(wanted)).scalar())


def hurry(connection: Connection, webhook_id: int, now: int) -> None:
    """The receiver is back: what was set aside while it was away need not wait for its time."""
    table = webhook_deliveries
    connection.execute(
        update(table)
        .where(table.c.webhook_id == webhook_id, _is(State.WAITING), table.c.due > now)
        .values(due=now, tries=0)
    )


def unpark(connection: Connection, webhook_id: int, now: int) -> int:
    """Parked events wait again in their places; returns how many."""
    table = webhook_deliveries
    changed = update(table).where(table.c.webhook_id == webhook_id, _is(State.PARKED))
    return connection.execute(changed.values(state=State.WAITING, due=now, tries=0, failing_since=0)).rowcount


def skip(connection: Connection, webhook_id: int, now: int) -> int:
    """What waits is not sent; returns how many, at most SOME. Call again while it is SOME."""
    table = webhook_deliveries
    chosen = select(table.c.id).where(table.c.webhook_id == webhook_id, _open()).limit(SOME)
    ended = update(table).where(table.c.id.in_(chosen)).values(state=State.SKIPPED, done_at=now)
    return connection.execute(ended).rowcount


def expire(connection: Connection, before: int, now: int) -> dict[int, int]:
    """What has waited since before then ends; how many of each webhook, at most SOME together."""
    table = webhook_deliveries
    found = select(table.c.id, table.c.webhook_id).where(_open(), table.c.created_at < before)
    old = connection.execute(found.limit(SOME)).all()
    ids = [row.id for row in old]
    if ids:
        connection.execute(update(table).where(table.c.id.in_(ids)).values(state=State.EXPIRED, done_at=now))
    counts: dict[int, int] = {}
    for row in old:
        counts[row.webhook_id] = counts.get(row.webhook_id, 0) + 1
    return counts


def note(connection: Connection, attempt: Attempt) -> int:
    """Writes a request down; returns its id."""
    values = {name: getattr(attempt, name) for name in Attempt.__dataclass_fields__}
    made = insert(webhook_attempts).values(values).returning(webhook_attempts.c.id)
    return int(connection.execute(made).scalar_one())


def forget(connection: Connection, before: int) -> int:
    """Deletes what ended, and requests, of before then, and all of webhooks that are gone; returns how many rows.

    Call again while it is SOME or more.
    """
    table = webhook_deliveries
    standing = exists().where(webhooks.c.id == table.c.webhook_id)
    ended = (table.c.created_at < before, table.c.done_at.between(1, before))
    gone = 0
    for chosen in (select(table.c.id).where(*ended).order_by(table.c.id), select(table.c.id).where(~standing)):
        gone += connection.execute(delete(table).where(table.c.id.in_(chosen.limit(SOME)))).rowcount
    for other, when in ((webhook_attempts, webhook_attempts.c.at), (webhook_replays, webhook_replays.c.done_at)):
        standing = exists().where(webhooks.c.id == other.c.webhook_id)
        rest = select(other.c.id).where(when.between(1, before) | ~standing).order_by(other.c.id).limit(SOME)
        gone += connection.execute(delete(other).where(other.c.id.in_(rest))).rowcount
    return gone


# --- reading -------------------------------------------------------------------------------------------------------


def counts(connection: Connection, webhook_id: int) -> dict[State, int]:
    """Of what is still to be sent."""
    table = webhook_deliveries
    found = {}
    for state in OPEN:
        chosen = select(func.count()).select_from(table).where(table.c.webhook_id == webhook_id, _is(state))
        found[state] = int(connection.execute(chosen).scalar_one())
    return found


def totals(connection: Connection) -> tuple[dict[State, int], int | None]:
    """Of all webhooks, and since when the oldest has waited."""
    table = webhook_deliveries
    found = {}
    for state in OPEN:
        found[state] = int(connection.execute(select(func.count()).select_from(table).where(_is(state))).scalar_one())
    oldest = select(func.min(table.c.id)).where(_is(State.WAITING)).scalar_subquery()
    return found, connection.execute(select(table.c.created_at).where(table.c.id == oldest)).scalar()


def log(
    connection: Connection, webhook_id: int, *, state: str = "", message_id: str = "", before: int = 0, limit: int = 100
) -> Sequence[Any]:
    """Events with the last request that carried each, newest first; ``before``: the last id of the page before."""
    table, attempt = webhook_deliveries, webhook_attempts
    chosen = (
        select(
            *(column for column in table.c if column.name not in ("attempt_id",)),
            attempt.c.id.label("attempt_id"),
            attempt.c.at.label("attempted_at"),
            attempt.c.status,
            attempt.c.error,
            attempt.c.response,
            attempt.c.ms,
        )
        .outerjoin(attempt, attempt.c.id == table.c.attempt_id)
        .where(table.c.webhook_id == webhook_id)
        .order_by(table.c.id.desc())
        .limit(limit)
    )
    if state:
        chosen = chosen.where(table.c.state == state)
    if message_id:
        chosen = chosen.where(table.c.message_id == message_id)
    if before:
        chosen = chosen.where(table.c.id < before)
    return connection.execute(chosen).all()


def attempts(connection: Connection, webhook_id: int, *, before: int = 0, limit: int = 100) -> list[Row[Any]]:
    """Requests, newest first."""
    table = webhook_attempts
    chosen = select(table).where(table.c.webhook_id == webhook_id).order_by(table.c.id.desc()).limit(limit)
    return list(connection.execute(chosen.where(table.c.id < before) if before else chosen).all())


_COLUMNS = [webhook_deliveries.c[name] for name in Delivery.__dataclass_fields__]


def _walk(connection: Connection, webhook_id: int, lane: int, after: int) -> list[Delivery]:
    table, earlier = webhook_deliveries, webhook_deliveries.alias("earlier")
    behind = exists().where(
        earlier.c.webhook_id == webhook_id,
        earlier.c.message_id == table.c.message_id,
        earlier.c.state == literal_column("'parked'"),
        earlier.c.id < table.c.id,
    )
    chosen = (
        select(*_COLUMNS)
        .where(table.c.webhook_id == webhook_id, table.c.lane == lane, _is(State.WAITING), table.c.id > after, ~behind)
        .order_by(table.c.id)
        .limit(BATCH)
    )
    return [_delivery(row) for row in connection.execute(chosen)]


def _is(state: State) -> Any:
    # Written out, or the databases would not see that the partial index is meant.
    return webhook_deliveries.c.state == literal_column(f"'{state}'")


def _open() -> Any:
    return _is(State.WAITING) | _is(State.PARKED)


def _delivery(row: Row[Any]) -> Delivery:
    told = row._asdict()
    return Delivery(**told | {"state": State(told["state"])})
