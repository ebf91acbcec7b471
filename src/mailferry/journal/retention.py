"""Forgets what is old: stories after `logs_days`, the bytes of messages after `content_days`, answers of keys after a day,
and what the house itself wrote down for a while."""

from datetime import timedelta

from sqlalchemy import Connection, Subquery, delete, func, literal_column, select, tuple_

from mailferry.journal import follow
from mailferry.journal.events import WAITING
from mailferry.journal.ids import first_at
from mailferry.store.content import DAY_MS, DatedContent, day_of
from mailferry.store.given import delete_rows
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
#: Rows of the queue that one statement looks at.
LOOKS = 5_000


def needed(connection: Connection, now: int, days: int, after: str = "") -> tuple[frozenset[str], str]:
    """Old segments and partitions that the next LOOKS old recipients of the queue need, and the id to go on after; empty
    at the end. What ended waits never again, so what a look found needless stays so.
    """
    # Ids begin with their time. A clock set back parts the two: one day too many is looked at.
    old = first_at(now - (days - 1) * DAY_MS)
    waiting = (
        select(queue.c.recipient_id)
        .where(queue.c.recipient_id > after, queue.c.recipient_id < old)
        .order_by(queue.c.recipient_id)
        .limit(LOOKS)
        .subquery()
    )
    joined = (
        select(waiting.c.recipient_id, messages.c.segment)
        .outerjoin(recipients, recipients.c.id == waiting.c.recipient_id)  # outer: no row must end the walk too early
        .outerjoin(messages, messages.c.id == recipients.c.message_id)
    )
    found = connection.execute(joined).all()
    last = max(row.recipient_id for row in found) if len(found) == LOOKS else ""
    return frozenset(row.segment for row in found if row.segment is not None), last


def forget_content(
    connection: Connection, content: DatedContent, now: int, days: int, needed: frozenset[str]
) -> list[str]:
    """Drop segments and partitions older than ``days`` that are not :func:`needed`; returns their names."""
    return content.forget(connection, day_of(now) - timedelta(days=days), needed)


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


def forget_keys(connection: Connection, now: int) -> int:
    """Delete idempotency keys of past days; returns how many. Call again while it is SOME."""
    table = idempotency_keys
    key = list(table.primary_key)
    old = select(*key).where(table.c.created_at < now - KEY_MS).order_by(table.c.created_at).limit(SOME)
    found = [dict(row._mapping) for row in connection.execute(old)]
    delete_rows(connection, table, found)
    return len(found)


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
