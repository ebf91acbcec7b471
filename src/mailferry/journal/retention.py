"""Forgets what is old: rows after `logs_days`, the bytes of messages after `content_days`, answers of keys after a day."""

from datetime import timedelta

from sqlalchemy import Connection, Subquery, delete, select

from mailferry.journal.events import WAITING
from mailferry.store.content import DAY_MS, Content, day_of
from mailferry.store.schema import attempts, events, idempotency_keys, messages, recipients

#: An idempotency key is kept this long.
KEY_MS = DAY_MS
#: Messages deleted in one transaction: writing transactions end within seconds.
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
    """Delete whole stories older than ``days``, unless somebody of them still waits; returns how many. Call again while it is SOME."""
    waiting = select(recipients.c.message_id).where(
        recipients.c.state.in_(WAITING), recipients.c.message_id == messages.c.id
    )
    # Ids begin with their time, so the oldest are found at the front of the primary key.
    old: Subquery = (
        select(messages.c.id)
        .where(messages.c.created_at < now - days * DAY_MS, ~waiting.exists())
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
