"""Forgets what is old: stories after `logs_days`, the bytes of messages after `content_days`, answers of keys after a day,
and what the house itself wrote down for a while."""

from datetime import timedelta

from sqlalchemy import Connection, Subquery, delete, func, literal_column, select, tuple_

from mailferry.journal import follow
from mailferry.journal.events import WAITING
from mailferry.store.content import DAY_MS, Content, day_of
from mailferry.store.schema import (
    attempts,
    boots,
    domain_hours,
    events,
    idempotency_keys,
    messages,
    queue,
    recipients,
)

#: An idempotency key is kept this long.
KEY_MS = DAY_MS
#: A boot of long ago that holds no lease is no more than a line about a process that ended.
BOOT_MS = 30 * DAY_MS
HOUR_MS = 3_600_000
#: Rows, or messages with all that belongs to them, deleted in one transaction: writing transactions end within seconds.
SOME = 1_000


def forget_content(connection: Connection, content: Content, now: int, days: int) -> list[str]:
    """Drop segments and partitions older than ``days`` that no waiting recipient needs; returns their names."""
    needed = connection.execute(
        select(messages.c.segment)
        .distinct()
        .join(recipients, recipients.c.message_id == messages.c.id)
        .where(recipients.c.state.in_(WAITING), messages.c.created_at < now - days * DAY_MS)
    ).scalars()
    return content.forget(connection, day_of(now) - timedelta(days=days), frozenset(needed))


def forget_logs(connection: Connection, now: int, days: int) -> int:
    """Delete whole stories older than ``days``; returns how many. Call again while it is SOME.

    Not while somebody of them still waits, nor while a follower has yet to read what happened.
    """
    waiting = select(recipients.c.message_id).where(
        recipients.c.state.in_(WAITING), recipients.c.message_id == messages.c.id
    )
    # Ids begin with their time, so the oldest are found at the front of the primary key.
    old: Subquery = (
        select(messages.c.id)
        .where(messages.c.created_at < now - days * DAY_MS, ~waiting.exists(), ~follow.wanted(connection, now))
        .order_by(messages.c.id)
        .limit(SOME)
        .subquery()
    )
    ids = connection.execute(select(old.c.id)).scalars().all()
    if ids:
        of_them = select(recipients.c.id).where(recipients.c.message_id.in_(ids))
        connection.execute(delete(attempts).where(attempts.c.recipient_id.in_(of_them)))
        connection.execute(delete(events).where(events.c.recipient_id.in_(of_them)))
        connection.execute(delete(recipients).where(recipients.c.message_id.in_(ids)))
        connection.execute(delete(messages).where(messages.c.id.in_(ids)))
    return len(ids)


def forget_keys(connection: Connection, now: int) -> None:
    connection.execute(delete(idempotency_keys).where(idempotency_keys.c.created_at < now - KEY_MS))


def forget_hours(connection: Connection, now: int) -> int:
    """Delete what new domains sent in the hours of past days; returns how many rows. Call again while it is SOME."""
    table = domain_hours
    # Yesterday's stay: a node whose clock is behind may still count there.
    past = (
        select(table.c.domain_id, table.c.hour)
        .where(table.c.hour < (now - DAY_MS) // DAY_MS * (DAY_MS // HOUR_MS))
        .limit(SOME)
    )
    return connection.execute(delete(table).where(tuple_(table.c.domain_id, table.c.hour).in_(past))).rowcount


def forget_boots(connection: Connection, now: int) -> int:
    """Delete old boots that hold no lease; returns how many. Call again while it is SOME.

    The newest stays whatever its age: SQLite numbers the next one after it. A process that has run for longer loses
    its line here and nothing else, since leases name the number.
    """
    # Written out, or the partial index of leases would not be taken.
    owners = select(queue.c.owner).where(queue.c.owner != literal_column("0"))
    old = (
        select(boots.c.id)
        .where(boots.c.started_at < now - BOOT_MS, boots.c.id < select(func.max(boots.c.id)).scalar_subquery())
        .where(boots.c.id.not_in(owners))
        .limit(SOME)
    )
    return connection.execute(delete(boots).where(boots.c.id.in_(old))).rowcount
