"""Held mail: let go when its reason is gone, rejected when its time is over."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from mailferry.delivery import queue as queues
from mailferry.delivery.gates import OVER_HOURLY
from mailferry.delivery.settle import EXPIRED, Change, PutBack, apply
from mailferry.journal.events import Kind, State
from mailferry.resources import domains
from mailferry.store.schema import domains as domains_table
from mailferry.store.schema import lanes, queue, recipients

#: Rows changed in one transaction: writing transactions end within seconds.
SOME = 2_000


def release_domain(connection: Connection, domain_id: int, now: int, limit: int = SOME) -> int:
    """Held mail of a domain that may send again is queued, oldest first; returns how much. Call again while it is SOME."""
    held = _held(connection, now).where(lanes.c.domain_id == domain_id).limit(limit)
    return _release(connection, connection.execute(held).all(), now)


def release_hourly(connection: Connection, now: int, hourly: int) -> int:
    """At most this hour's rest of each domain under review is queued; claims count it."""
    under_review = select(domains_table.c.id).where(
        domains_table.c.state == domains.UNDER_REVIEW, domains_table.c.dns_verified, domains_table.c.deleted_at == 0
    )
    released = 0
    for domain_id in connection.execute(under_review).scalars().all():
        left = queues.allowance(connection, domain_id, now, hourly)
        waiting = _held(connection, now).where(lanes.c.domain_id == domain_id, recipients.c.reason == OVER_HOURLY)
        if left:
            released += _release(connection, connection.execute(waiting.limit(left)).all(), now)
    return released


def expire_held(connection: Connection, now: int) -> int:
    """What was held past its last moment is rejected; returns how much. Call again while it is SOME."""
    late = connection.execute(_held(connection, now, late=True).limit(SOME)).all()
    apply(
        connection,
        [
            Change(
                row.id,
                row.message_id,
                row.account_id,
                now,
                State.HELD,
                State.REJECTED,
                reason=f"{EXPIRED}: {row.reason}",
                kind=Kind.REJECT,
                lane_id=row.lane_id,
            )
            for row in late
        ],
    )
    return len(late)


def _held(connection: Connection, now: int, *, late: bool = False) -> Any:
    age = queue.c.expires_at <= now if late else queue.c.expires_at > now
    return (
        select(
            recipients.c.id,
            recipients.c.message_id,
            recipients.c.account_id,
            recipients.c.reason,
            queue.c.lane_id,
            queue.c.tries,
            queue.c.counted,
        )
        .join(queue, queue.c.recipient_id == recipients.c.id)
        .join(lanes, lanes.c.id == queue.c.lane_id)
        .where(recipients.c.state == State.HELD, queue.c.due.is_(None), age)
        .order_by(recipients.c.id)
        .with_for_update(of=queue, skip_locked=True)
    )


def _release(connection: Connection, rows: Sequence[Row[Any]], now: int) -> int:
    apply(
        connection,
        [
            Change(
                row.id,
                row.message_id,
                row.account_id,
                now,
                State.HELD,
                State.QUEUED,
                put_back=PutBack(now, row.tries, bool(row.counted)),
                lane_id=row.lane_id,
            )
            for row in rows
        ],
    )
    return len(rows)
