"""Reading the journal in its order, behind a cursor: whoever follows it sees every event once, and none too early.

On SQLite one writer commits after the other, so the order is that of ids. On PostgreSQL ids are drawn before the commit: a
lower id may appear after a higher one was read. There the order is (transaction, id), and only what lies below the oldest
transaction that still runs is read: nothing can be added there any more.

A cursor is a row that is there while somebody wants what it reads. One node reads at a time, under a lease.
"""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    and_,
    delete,
    exists,
    false,
    func,
    literal,
    literal_column,
    select,
    tuple_,
    update,
)

from mailferry.journal.events import Kind
from mailferry.store.given import insert_if_new
from mailferry.store.schema import cursors, events, messages, recipients

LEASE_MS = 30_000
#: Events looked at in one statement, whether they are wanted or not: it ends within PostgreSQL's ten seconds.
WINDOW = 5_000
#: A cursor that nobody has held for so long does not keep the journal any more.
DEAD_MS = 7 * 86_400_000

_LAST = (1 << 63) - 1


class Position(NamedTuple):
    """All up to here is read. ``xact`` is 0 on SQLite."""

    xact: int
    id: int


@dataclass(frozen=True, slots=True)
class Cursor:
    name: str
    position: Position
    lease: str
    #: Unix milliseconds.
    lease_until: int
    moved_at: int


@dataclass(frozen=True, slots=True)
class Window:
    """What was found, in order, and how far that goes: where nothing is wanted the cursor moves on as well."""

    rows: Sequence[Row[Any]]
    until: Position


def end(connection: Connection) -> Position:
    """Nothing that is committed from now on lies before it."""
    if connection.dialect.name == "postgresql":
        return Position(int(connection.execute(select(_oldest_running())).scalar_one()) - 1, _LAST)
    return Position(0, connection.execute(select(func.coalesce(func.max(events.c.id), 0))).scalar_one())


def read(
    connection: Connection,
    after: Position,
    kinds: Collection[Kind],
    accounts: Collection[int] | None = None,
    most: int = WINDOW,
) -> Window:
    """The next events of these kinds and accounts (None = all), out of at most so many."""
    in_order = order(connection)
    ahead = beyond(connection, after)
    if connection.dialect.name == "postgresql":
        ahead = and_(ahead, events.c.xact < _oldest_running())
    window = select(events.c.xact, events.c.id).where(ahead).order_by(*in_order).limit(most).subquery()
    last = connection.execute(
        select(func.coalesce(window.c.xact, 0), window.c.id)
        .order_by(*(window.c[column.name].desc() for column in in_order))
        .limit(1)
    ).one_or_none()
    if last is None:
        return Window((), after)
    until = Position(*last)
    wanted = [events.c.kind.in_(sorted(kinds))]
    if accounts is not None:
        wanted.append(events.c.account_id.in_(sorted(accounts)))
    found = select(events).where(beyond(connection, after), ~beyond(connection, until), *wanted).order_by(*in_order)
    return Window(connection.execute(found).all(), until)


# --- cursors -------------------------------------------------------------------------------------------------------


def cursor(connection: Connection, name: str) -> Cursor | None:
    row = connection.execute(select(cursors).where(cursors.c.name == name)).one_or_none()
    return _cursor(row) if row else None


def every(connection: Connection) -> list[Cursor]:
    return [_cursor(row) for row in connection.execute(select(cursors).order_by(cursors.c.name))]


def begin(connection: Connection, name: str, position: Position, now: int) -> None:
    """Makes the cursor where there is none; it starts after ``position``."""
    values = {"name": name, "xact": position.xact, "id": position.id, "moved_at": now}
    insert_if_new(connection, cursors, [values])


def drop(connection: Connection, name: str) -> None:
    """Nobody wants what it reads any more, so that nothing is kept for it."""
    connection.execute(delete(cursors).where(cursors.c.name == name))


def claim(connection: Connection, name: str, now: int) -> Cursor | None:
    """The cursor under a lease of our own; None: there is none, or somebody else reads."""
    row = connection.execute(
        update(cursors)
        .where(cursors.c.name == name, cursors.c.lease_until <= now)
        .values(lease=secrets.token_hex(8), lease_until=now + LEASE_MS)
        .returning(*cursors.c)
    ).one_or_none()
    return _cursor(row) if row else None


def renew(connection: Connection, held: Cursor, now: int) -> Cursor | None:
    """None: it is somebody else's now, or gone."""
    row = connection.execute(
        update(cursors).where(_held(held)).values(lease_until=now + LEASE_MS).returning(*cursors.c)
    ).one_or_none()
    return _cursor(row) if row else None


def is_held(connection: Connection, held: Cursor) -> bool:
    """Asked in a transaction that writes what was read or sent: the row is locked, so the lease lasts as long as that."""
    return connection.execute(select(cursors.c.name).where(_held(held)).with_for_update()).first() is not None


def move(connection: Connection, held: Cursor, to: Position, now: int) -> bool:
    """In the transaction that keeps what was read. False: somebody else reads now, and nothing may be written."""
    moved = connection.execute(
        update(cursors)
        .where(_held(held), cursors.c.xact == held.position.xact, cursors.c.id == held.position.id)
        .values(xact=to.xact, id=to.id, moved_at=now)
    )
    return moved.rowcount == 1


def release(connection: Connection, held: Cursor) -> None:
    connection.execute(update(cursors).where(_held(held)).values(lease_until=0))


def free_leases(connection: Connection) -> None:
    """Only where nobody else can be at work."""
    connection.execute(update(cursors).values(lease_until=0))


def moved_here(connection: Connection) -> bool:
    """The database came from another PostgreSQL (a dump, a logical copy), whose transactions had higher numbers than ours.

    Nothing new would be found beyond the cursors then, for as long as the numbers take to catch up.
    """
    if connection.dialect.name != "postgresql":
        return False
    ahead = select(cursors.c.name).where(cursors.c.xact >= _next_transaction()).limit(1)
    return connection.execute(ahead).first() is not None


def settle_here(connection: Connection) -> None:
    """What came along is put before whatever is written here, in the order of its ids. A cursor goes on at the first event that
    it had not read, so that some may be read twice.
    """
    foreign = events.c.xact >= _next_transaction()
    for each in every(connection):
        first = select(func.min(events.c.id)).where(beyond(connection, each.position), foreign)
        last = select(func.coalesce(func.max(events.c.id), 0)).where(foreign)
        unread = connection.execute(first).scalar()
        read = unread - 1 if unread is not None else connection.execute(last).scalar_one()
        here = cursors.c.name == each.name
        connection.execute(update(cursors).where(here, cursors.c.xact >= _next_transaction()).values(xact=0, id=read))
    connection.execute(update(events).where(foreign).values(xact=0))


# --- what others must know -------------------------------------------------------------------------------------------


def lag(connection: Connection, cursor: Cursor) -> int | None:
    """When the first event happened that is not read yet (Unix milliseconds); None: all are."""
    first = select(events.c.at).where(beyond(connection, cursor.position)).order_by(*order(connection)).limit(1)
    return connection.execute(first).scalar()


def is_dead(cursor: Cursor, now: int) -> bool:
    """Nobody has held it for a week: the role that reads it runs nowhere."""
    return max(cursor.lease_until, cursor.moved_at) < now - DEAD_MS


def wanted(connection: Connection, now: int) -> ColumnElement[bool]:
    """For a statement over messages: a follower needs what happened to it."""
    known = every(connection)
    if not known:
        return false()
    # SQLite numbers the next event after the newest that is there: none may have a number that a cursor has passed.
    newest = select(events.c.message_id).order_by(events.c.id.desc()).limit(1).scalar_subquery()
    needed: ColumnElement[bool] = messages.c.id == newest
    if alive := [each.position for each in known if not is_dead(each, now)]:
        of_it = select(events.c.id).join(recipients, recipients.c.id == events.c.recipient_id)
        unread = of_it.where(recipients.c.message_id == messages.c.id, beyond(connection, min(alive)))
        needed = needed | exists(unread.correlate(messages))
    return needed


def first_at(connection: Connection, at: int) -> int:
    """An id before which nothing happened at or after this time, by halving: there is no index by time.

    Ids follow their times but for the moments between a clock's reading and its commit, so that a minute is left.
    """
    low, high = connection.execute(select(func.min(events.c.id), func.max(events.c.id))).one()
    if low is None:
        return 0
    at -= 60_000
    while low < high:
        middle = (low + high) // 2
        found = connection.execute(
            select(events.c.at).where(events.c.id >= middle).order_by(events.c.id).limit(1)
        ).scalar()
        if found is not None and found < at:
            low = middle + 1
        else:
            high = middle
    return int(low)


def order(connection: Connection) -> tuple[ColumnElement[int], ...]:
    return (events.c.xact, events.c.id) if connection.dialect.name == "postgresql" else (events.c.id,)


def beyond(connection: Connection, position: Position) -> ColumnElement[bool]:
    if connection.dialect.name == "postgresql":
        here = tuple_(literal(position.xact, BigInteger), literal(position.id, BigInteger))
        return tuple_(events.c.xact, events.c.id) > here
    return events.c.id > position.id


def _oldest_running() -> ColumnElement[int]:
    # xid8 has no way to bigint but over text.
    return literal_column("(pg_snapshot_xmin(pg_current_snapshot())::text::bigint)", BigInteger)


def _next_transaction() -> ColumnElement[int]:
    return literal_column("(pg_snapshot_xmax(pg_current_snapshot())::text::bigint)", BigInteger)


def _held(held: Cursor) -> ColumnElement[bool]:
    return and_(cursors.c.name == held.name, cursors.c.lease == held.lease)


def _cursor(row: Row[Any]) -> Cursor:
    return Cursor(row.name, Position(row.xact, row.id), row.lease, row.lease_until, row.moved_at)
