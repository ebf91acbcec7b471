"""The queue: one row a recipient that is not done, ordered by lane and time.

``due`` is all the state there is. A row may be taken when its time has come; taking it pushes ``due`` to the end of the
lease, so the work of a dead process becomes due by itself. NULL means held: it waits for a decision. A lane knows a time
that is not later than its earliest row's, so a million rows of one blocked lane cost a worker one look.

Whoever changes rows locks them first, and whoever must wait for locks takes them in one order, or two nodes could wait
for each other: rows of the queue by recipient, then recipients by id, then lanes by their key, then a domain's hour. Who
takes what is due takes lanes first, and waits for neither them nor their rows.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    Boolean,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from mailferry.delivery.job import LEASE_MS
from mailferry.store.given import insert_if_new, pack, rows
from mailferry.store.schema import domain_hours, lanes, queue

#: Lanes looked at, and rows taken from each, in one claim: small enough that a claim is quick and lanes take turns.
CLAIM_LANES = 20
CLAIM_ROWS = 50

HOUR_MS = 3_600_000

LaneKey = tuple[int, str, str]


# --- lanes ---------------------------------------------------------------------------------------------------------


@cache
def _upsert_lanes(dialect: str) -> Any:
    module: Any = postgresql if dialect == "postgresql" else sqlite
    columns = [lanes.c[n] for n in ("domain_id", "stream", "destination", "next_due")]
    given = rows(dialect, columns)
    chosen = select(*given.c).where(true()).order_by(*_by_key(given))
    statement = module.insert(lanes).from_select([c.name for c in columns], chosen)
    sooner = case(
        (and_(lanes.c.hold_reason != "", lanes.c.next_due.is_not(None)), lanes.c.next_due),
        (or_(lanes.c.next_due.is_(None), lanes.c.next_due > statement.excluded.next_due), statement.excluded.next_due),
        else_=lanes.c.next_due,
    )
    return statement.on_conflict_do_update(
        index_elements=["domain_id", "stream", "destination"], set_={"next_due": sooner}
    ).returning(lanes.c.id, lanes.c.domain_id, lanes.c.stream, lanes.c.destination, lanes.c.hold_reason)


def lanes_for(connection: Connection, wanted: Mapping[LaneKey, int]) -> dict[LaneKey, tuple[int, str]]:
    """Lane id and hold reason of each; a lane is made where there is none, and looked at no later than the time given."""
    values = [
        {"domain_id": d, "stream": s, "destination": destination, "next_due": due}
        for (d, s, destination), due in wanted.items()
    ]
    found = connection.execute(_upsert_lanes(connection.dialect.name), {"rows": pack(values)})
    return {(r.domain_id, r.stream, r.destination): (r.id, r.hold_reason) for r in found}


def wake_lanes(connection: Connection, due_by_lane: Mapping[int, int]) -> None:
    """Rows of these lanes come due at these times."""
    if not due_by_lane:
        return
    # A claim may be about to write NULL: without waiting for it the new time would be judged by the old row, and the
    # wake-up lost.
    lock_lanes(connection, due_by_lane)
    given = rows(connection.dialect.name, [lanes.c.id, lanes.c.next_due])
    sooner = case(
        (or_(lanes.c.next_due.is_(None), lanes.c.next_due > given.c.next_due), given.c.next_due),
        else_=lanes.c.next_due,
    )
    awake = or_(lanes.c.hold_reason == "", lanes.c.next_due.is_(None))
    connection.execute(
        update(lanes).where(lanes.c.id == given.c.id).values(next_due=case((awake, sooner), else_=lanes.c.next_due)),
        {"rows": pack([{"id": lane_id, "next_due": due} for lane_id, due in due_by_lane.items()])},
    )


def lock_lanes(connection: Connection, lane_ids: Collection[int]) -> None:
    """In the order in which an accept makes them. On SQLite there is one writer."""
    if connection.dialect.name == "postgresql":
        chosen = select(lanes.c.id).where(lanes.c.id.in_(lane_ids)).order_by(*_by_key(lanes)).with_for_update()
        connection.execute(chosen).all()


def _by_key(table: FromClause) -> list[ColumnElement[Any]]:
    return [table.c.domain_id, table.c.stream, table.c.destination]


# --- taking --------------------------------------------------------------------------------------------------------


def take(
    connection: Connection,
    owner: int,
    now: int,
    room: int,
    busy: Collection[str] = frozenset(),
    *,
    each: int = CLAIM_ROWS,
) -> list[Row[Any]]:
    """Lease due rows: (recipient_id, lane_id, fence, tries, counted, expires_at, probe), at most ``room``.

    From as many lanes as there are, at most ``each``, but none of the destinations that are ``busy``; of a held lane one row, which finds
    out whether its destination answers again.
    """
    due_lanes = connection.execute(
        select(lanes.c.id, lanes.c.hold_reason)
        .where(lanes.c.next_due <= now, lanes.c.destination.not_in(busy))
        .order_by(lanes.c.next_due)
        .limit(CLAIM_LANES)
        .with_for_update(skip_locked=True)
    ).all()
    taken: list[Row[Any]] = []
    for lane in due_lanes:
        probe = lane.hold_reason != ""
        wanted = min(1 if probe else CLAIM_ROWS, each, room - len(taken))
        if wanted <= 0:
            break
        values = {"lane": lane.id, "now": now, "until": now + LEASE_MS, "me": owner, "wanted": wanted, "probing": probe}
        taken += connection.execute(_take_rows(), values).all()
    _look_again(connection, [lane.id for lane in due_lanes], now)
    return taken


def _look_again(connection: Connection, lane_ids: Sequence[int], now: int) -> None:
    # A lane that is not empty stays at its earliest row, which may be due at once or be the end of a lease.
    earliest = (
        select(func.min(queue.c.due)).where(queue.c.lane_id == lanes.c.id, queue.c.due.is_not(None)).scalar_subquery()
    )
    # A held one waits for its probe; should that be lost, the next is taken when its lease ends.
    later = case((and_(lanes.c.hold_reason != "", earliest.is_not(None)), now + LEASE_MS), else_=earliest)
    # An empty lane is not held: nobody would look at it again.
    reason = case((earliest.is_(None), ""), else_=lanes.c.hold_reason)
    connection.execute(update(lanes).where(lanes.c.id.in_(lane_ids)).values(next_due=later, hold_reason=reason))


@cache
def _take_rows() -> Any:
    # PostgreSQL runs an expression that locks once, and never folds it into the update, where it could run once a row.
    chosen = (
        select(queue.c.recipient_id)
        .where(queue.c.lane_id == bindparam("lane"), queue.c.due <= bindparam("now"))
        .order_by(queue.c.due)
        .limit(bindparam("wanted"))
        .with_for_update(skip_locked=True)
        .cte("chosen")
    )
    return (
        update(queue)
        .where(queue.c.recipient_id.in_(select(chosen.c.recipient_id)))
        .values(due=bindparam("until"), owner=bindparam("me"), fence=queue.c.fence + 1)
        .returning(
            queue.c.recipient_id,
            queue.c.lane_id,
            queue.c.fence,
            queue.c.tries,
            queue.c.counted,
            queue.c.expires_at,
            bindparam("probing", type_=Boolean).label("probe"),
        )
    )


def next_due(connection: Connection, busy: Collection[str] = frozenset()) -> int | None:
    """When the earliest lane, but of these destinations, wants to be looked at."""
    earliest = select(lanes.c.next_due).where(lanes.c.next_due.is_not(None), lanes.c.destination.not_in(busy))
    due: int | None = connection.execute(earliest.order_by(lanes.c.next_due).limit(1)).scalar()
    return due


def renew(connection: Connection, owner: int, leases: Sequence[tuple[str, int]], now: int) -> set[str]:
    """Push these (recipient, fence) leases; returns those that are still ours."""
    ours = _leased(connection, owner)
    statement = (
        update(queue)
        .where(queue.c.recipient_id.in_(select(ours.c.recipient_id)))
        .values(due=now + LEASE_MS)
        .returning(queue.c.recipient_id)
    )
    return set(connection.execute(statement, {"rows": _pack_leases(leases)}).scalars())


def free_leases(connection: Connection, now: int, owner: int | None = None) -> int:
    """Make leases due at once: all (on SQLite, at start: nobody else can hold one), or those of one boot that ends."""
    mine = queue.c.owner != 0 if owner is None else queue.c.owner == owner
    freed = connection.execute(
        update(queue).where(mine, queue.c.due.is_not(None)).values(due=now, owner=0).returning(queue.c.lane_id)
    ).scalars()
    lane_ids = list(freed)
    wake_lanes(connection, dict.fromkeys(lane_ids, now))
    return len(lane_ids)


def release(connection: Connection, leases: Sequence[tuple[str, int]], owner: int, now: int) -> None:
    """Give back leases that were not begun: due at once."""
    wake_lanes(connection, dict.fromkeys(give_back(connection, leases, owner, now), now))


def give_back(connection: Connection, leases: Sequence[tuple[str, int]], owner: int, now: int) -> set[int]:
    """As :func:`release`, but their lanes, which it returns, are left alone."""
    if not leases:
        return set()
    ours = _leased(connection, owner)
    statement = (
        update(queue)
        .where(queue.c.recipient_id.in_(select(ours.c.recipient_id)))
        .values(due=now, owner=0)
        .returning(queue.c.lane_id)
    )
    return set(connection.execute(statement, {"rows": _pack_leases(leases)}).scalars())


def _leased(connection: Connection, owner: int) -> CTE:
    """Of the given leases those that are still this owner's, locked."""
    given = rows(connection.dialect.name, [queue.c.recipient_id, queue.c.fence])
    same = and_(queue.c.recipient_id == given.c.recipient_id, queue.c.fence == given.c.fence)
    ours = select(queue.c.recipient_id).join(given, same).where(queue.c.owner == owner)
    return ours.order_by(queue.c.recipient_id).with_for_update(of=queue).cte("ours")


def _pack_leases(leases: Sequence[tuple[str, int]]) -> str:
    return pack([{"recipient_id": recipient, "fence": fence} for recipient, fence in leases])


# --- changing ------------------------------------------------------------------------------------------------------


def lock(connection: Connection, recipient_ids: Iterable[str]) -> dict[str, Row[Any]]:
    """The rows of these recipients (recipient_id, fence, counted, expires_at) as they stand until we commit."""
    given = rows(connection.dialect.name, [queue.c.recipient_id])
    statement = (
        select(*(queue.c[n] for n in ("recipient_id", "fence", "counted", "expires_at")))
        .join(given, queue.c.recipient_id == given.c.recipient_id)
        .order_by(queue.c.recipient_id)
        .with_for_update(of=queue)
    )
    packed = pack([{"recipient_id": recipient_id} for recipient_id in recipient_ids])
    return {row.recipient_id: row for row in connection.execute(statement, {"rows": packed})}


def drop(connection: Connection, recipient_ids: Sequence[str]) -> None:
    """Lock them first."""
    if recipient_ids:
        given = rows(connection.dialect.name, [queue.c.recipient_id])
        packed = pack([{"recipient_id": r} for r in recipient_ids])
        connection.execute(
            delete(queue).where(queue.c.recipient_id.in_(select(given.c.recipient_id))), {"rows": packed}
        )


def put_back(connection: Connection, changes: Sequence[Mapping[str, Any]]) -> None:
    """Free these rows (recipient_id, due or None = held, tries, counted, expires_at or None = as it was, released).

    Lock them first.
    """
    if changes:
        names = ("recipient_id", "due", "tries", "counted", "expires_at", "released")
        given = rows(connection.dialect.name, [queue.c[n] for n in names])
        connection.execute(
            update(queue)
            .where(queue.c.recipient_id == given.c.recipient_id)
            .values(
                due=given.c.due,
                tries=given.c.tries,
                counted=given.c.counted,
                expires_at=func.coalesce(given.c.expires_at, queue.c.expires_at),
                released=given.c.released,
                owner=0,
            ),
            {"rows": pack(changes)},
        )


def move(connection: Connection, by: int) -> None:
    """The clock was set: what waits for time waits as long as before, so many milliseconds later.

    Held mail waits for no time; its release reckons with the clock that there is then.
    """
    later = update(queue).where(queue.c.due.is_not(None))
    connection.execute(later.values(due=queue.c.due + by, expires_at=queue.c.expires_at + by))
    connection.execute(update(lanes).where(lanes.c.next_due.is_not(None)).values(next_due=lanes.c.next_due + by))


def allowance(connection: Connection, domain_id: int, now: int, limit: int) -> int:
    """How many recipients of a domain under review may still leave in this clock hour; nobody else spends until we commit."""
    where = and_(domain_hours.c.domain_id == domain_id, domain_hours.c.hour == now // HOUR_MS)
    values = [{"domain_id": domain_id, "hour": now // HOUR_MS, "used": 0}]
    insert_if_new(connection, domain_hours, values)
    used: int = connection.execute(select(domain_hours.c.used).where(where).with_for_update()).scalar_one()
    return max(0, limit - used)


def spend_allowance(connection: Connection, domain_id: int, now: int, number: int) -> None:
    if number:
        where = and_(domain_hours.c.domain_id == domain_id, domain_hours.c.hour == now // HOUR_MS)
        connection.execute(update(domain_hours).where(where).values(used=domain_hours.c.used + number))
