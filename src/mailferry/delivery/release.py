"""Held mail: let go when its reason is gone, rejected when its domain is removed. Age does not end it.

The verb that ends a reason lets go at once. Housekeeping looks again every minute: the process may have died between the
two, and an accept may have read the domain as it was before.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select, update

from mailferry.delivery import queue as queues
from mailferry.delivery.gates import unclaimed
from mailferry.delivery.settle import Change, PutBack, apply
from mailferry.journal.events import WAITING, Kind, State
from mailferry.resources import domains
from mailferry.store.schema import domains as domains_table
from mailferry.store.schema import lanes, queue, recipients

#: Rows changed in one transaction: writing transactions end within seconds.
SOME = 1_000

_STANDING = [domains_table.c[name] for name in ("id", "state", "dns_verified", "deleted_at")]


def domains_with_held(connection: Connection) -> list[int]:
    """Domains of whose held mail something can be done: they may send, or they are removed."""
    # Ordered as the index is, so that PostgreSQL looks there once a domain, however many rows wait.
    first = (
        select(queue.c.recipient_id)
        .where(queue.c.domain_id == domains_table.c.id, queue.c.due.is_(None))
        .order_by(queue.c.counted, queue.c.recipient_id)
        .limit(1)
        .scalar_subquery()
    )
    found = connection.execute(select(*_STANDING).where(first.is_not(None)).order_by(domains_table.c.id)).all()
    return [row.id for row in found if row.deleted_at or not _hold_reason(row)]


def release_domain(connection: Connection, domain_id: int, now: int, limit: int = SOME) -> int:
    """Held mail of a domain that may send is queued, oldest first; returns how much. Call again while it is SOME.

    Of a domain under review only what was counted once: the rest is let go by the hour.
    """
    domain = _domain(connection, domain_id)
    if domain is None or _hold_reason(domain):
        return 0
    held = _held(connection, domain_id, limit, counted=True)
    if domain.state not in domains.IN_REVIEW and len(held) < limit:
        held += _held(connection, domain_id, limit - len(held), counted=False)
    return _release(connection, held, now)


def release_hourly(connection: Connection, domain_id: int, now: int, hourly: int) -> int:
    """At most this hour's rest of a domain under review is queued, oldest first; claims count it.

    Whatever it was held for: let go all at once, it would only be held again for the number.
    """
    domain = _domain(connection, domain_id)
    if domain is None or _hold_reason(domain) or domain.state not in domains.IN_REVIEW:
        return 0
    held = _held(connection, domain_id, min(hourly, SOME), counted=False)
    if not held:
        return 0
    # Before the hour's row, as everywhere.
    queues.lock_lanes(connection, {row.lane_id for row in held})
    left = queues.allowance(connection, domain_id, now, hourly) - unclaimed(connection, domain_id)
    return _release(connection, held[: max(0, left)], now, by_the_hour=True)


def reject_removed(connection: Connection, domain_id: int, now: int) -> int:
    """Held mail of a removed domain is rejected; returns how much. Call again while it is SOME."""
    domain = _domain(connection, domain_id)
    if domain is None or not domain.deleted_at:
        return 0
    held = _held(connection, domain_id, SOME, counted=True)
    if len(held) < SOME:
        held += _held(connection, domain_id, SOME - len(held), counted=False)
    reason = _hold_reason(domain)
    apply(
        connection,
        [
            Change(
                row.id,
                row.message_id,
                row.account_id,
                now,
                State(row.state),
                State.REJECTED,
                reason=reason,
                kind=Kind.REJECT,
                lane_id=row.lane_id,
            )
            for row in held
        ],
    )
    return len(held)


def adopt(connection: Connection) -> int:
    """Held rows of a version that did not write the domain get it from their lane. Call again while it is SOME."""
    chosen = (
        select(queue.c.recipient_id, lanes.c.domain_id)
        .join(lanes, lanes.c.id == queue.c.lane_id)
        .where(queue.c.domain_id == 0, queue.c.due.is_(None))
        .order_by(queue.c.counted, queue.c.recipient_id)
        .limit(SOME)
        .with_for_update(of=queue, skip_locked=True)
        .cte("chosen")
    )
    adopted = connection.execute(
        update(queue).where(queue.c.recipient_id == chosen.c.recipient_id).values(domain_id=chosen.c.domain_id)
    )
    return adopted.rowcount


def _domain(connection: Connection, domain_id: int) -> Row[Any] | None:
    return connection.execute(select(*_STANDING).where(domains_table.c.id == domain_id)).one_or_none()


def _hold_reason(domain: Row[Any]) -> str:
    return domains.hold_reason(domain.state, domain.dns_verified, domain.deleted_at)


def _held(connection: Connection, domain_id: int, limit: int, *, counted: bool) -> list[Row[Any]]:
    # The queue's rows are chosen first: PostgreSQL might read the log from its beginning to join them.
    chosen = (
        select(*(queue.c[name] for name in ("recipient_id", "lane_id", "tries", "counted", "expires_at")))
        .where(queue.c.domain_id == domain_id, queue.c.counted == counted, queue.c.due.is_(None))
        .order_by(queue.c.recipient_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("chosen")
    )
    found = connection.execute(
        select(*(recipients.c[name] for name in ("id", "message_id", "account_id", "state", "updated_at")))
        .add_columns(*(chosen.c[name] for name in ("lane_id", "tries", "counted", "expires_at")))
        .join(chosen, chosen.c.recipient_id == recipients.c.id)
        .order_by(recipients.c.id)
        # A late 250 settles held mail: it has the recipient, and waits for our row of the queue.
        .with_for_update(of=recipients, skip_locked=True)
    ).all()
    # Settled since: the queue row is all that is left. It would be in the way of others.
    queues.drop(connection, [row.id for row in found if row.state not in WAITING])
    return [row for row in found if row.state in WAITING]


def _release(connection: Connection, held: Sequence[Row[Any]], now: int, *, by_the_hour: bool = False) -> int:
    if not held:
        return 0
    apply(
        connection,
        [
            Change(
                row.id,
                row.message_id,
                row.account_id,
                now,
                State(row.state),
                State.QUEUED,
                put_back=PutBack(
                    now,
                    row.tries,
                    bool(row.counted),
                    # Its last moment moves on by the time that it was held.
                    expires_at=row.expires_at + max(0, now - row.updated_at),
                    released=by_the_hour,
                ),
                lane_id=row.lane_id,
            )
            for row in held
        ],
    )
    return len(held)
