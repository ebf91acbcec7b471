"""Every table once. Times are Unix milliseconds (UTC), ids of messages and recipients are UUIDv7 text.

The same schema serves SQLite and PostgreSQL; what differs is in the migrations. There are no foreign keys on the hot
tables: ids cross rooms, and retention drops whole days.
"""

from mailferry.store.schema.columns import metadata
from mailferry.store.schema.customers import (
    accounts,
    domain_hours,
    domain_keys,
    domains,
    inboxes,
    projects,
    suppressions,
    tokens,
    users,
)
from mailferry.store.schema.house import boots, shared_keys
from mailferry.store.schema.journal import attempts, events, idempotency_keys, messages, recipients
from mailferry.store.schema.queue import lanes, queue

__all__ = [
    "accounts",
    "attempts",
    "boots",
    "domain_hours",
    "domain_keys",
    "domains",
    "events",
    "idempotency_keys",
    "inboxes",
    "lanes",
    "messages",
    "metadata",
    "projects",
    "queue",
    "recipients",
    "shared_keys",
    "suppressions",
    "tokens",
    "users",
]
