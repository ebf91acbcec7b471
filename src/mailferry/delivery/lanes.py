"""Lanes: set right where a time was lost, and forgotten where nothing is left in them."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, ScalarSelect, delete, select, update

from mailferry.delivery.gates import waits_held
from mailferry.delivery.queue import lock_lanes
from mailferry.store.schema import lanes, queue

#: Lanes changed in one transaction: writing transactions end within seconds.
SOME = 2_000


def lost(connection: Connection) -> list[int]:
    """Lanes that nobody looks at although something in them waits for its time; at most SOME. There should be none."""
    return list(connection.execute(select(lanes.c.id).where(_is_lost()).limit(SOME)).scalars())


def repair(connection: Connection, lane_ids: Collection[int]) -> int:
    """Those of them that are still lost are looked at when their earliest row comes due; returns how many."""
    lock_lanes(connection, lane_ids)
    chosen = lanes.c.id.in_(lane_ids) & _is_lost()
    return connection.execute(update(lanes).where(chosen).values(next_due=_earliest())).rowcount


def forget(connection: Connection, after: int) -> int | None:
    """Delete the empty ones among the next SOME idle lanes; returns the id to go on after, None at the end."""
    idle = connection.execute(
        select(lanes.c.id, lanes.c.domain_id)
        .where(lanes.c.id > after, lanes.c.next_due.is_(None))
        .order_by(lanes.c.id)
        .limit(SOME)
        .with_for_update(skip_locked=True)
    ).all()
    # Statements of their own from here on: nobody can put anything into these lanes now, and what was put there before is
    # seen, since an accept locks its lane until its rows are committed.
    held = {domain_id for domain_id in {0, *(lane.domain_id for lane in idle)} if waits_held(connection, domain_id)}
    # Held rows are found by their domain only; those whose domain is not known yet may be anybody's.
    chosen = [lane.id for lane in idle if lane.domain_id not in held and 0 not in held]
    if chosen:
        connection.execute(delete(lanes).where(lanes.c.id.in_(chosen), _earliest().is_(None)))
    return idle[-1].id if len(idle) == SOME else None


def _is_lost() -> ColumnElement[bool]:
    return lanes.c.next_due.is_(None) & _earliest().is_not(None)


def _earliest() -> ScalarSelect[int]:
    """Ordered and limited, so that PostgreSQL asks the index once a lane and never joins all that waits."""
    due = select(queue.c.due).where(queue.c.lane_id == lanes.c.id, queue.c.due.is_not(None))
    return due.order_by(queue.c.due).limit(1).scalar_subquery()
