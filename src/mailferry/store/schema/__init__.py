"""Every table once. Times are Unix milliseconds (UTC), ids of messages and recipients are UUIDv7 text.

The same schema serves SQLite and PostgreSQL; what differs is in the migrations. There are no foreign keys on the hot
tables: ids cross rooms, and retention drops whole days.
"""

from mailferry.store.schema.columns import metadata
from mailferry.store.schema.contacts import (
    contact_events,
    contact_fields,
    contact_job_pieces,
    contact_jobs,
    contact_list_members,
    contact_lists,
    contact_opt_outs,
    contact_segments,
    contact_values,
    contacts,
)
from mailferry.store.schema.customers import (
    company_infos,
    domain_hours,
    domain_keys,
    domains,
    suppression_history,
    suppressions,
    tracking_opt_outs,
)
from mailferry.store.schema.documents import documents
from mailferry.store.schema.house import boots, shared_keys
from mailferry.store.schema.journal import attempts, cursors, events, idempotency_keys, messages, recipients
from mailferry.store.schema.notices import notices
from mailferry.store.schema.people import (
    access_keys,
    accesses,
    accounts,
    audit_log,
    grants,
    invitations,
    organizations,
    tokens,
    users,
)
from mailferry.store.schema.queue import RELEASED, lanes, queue
from mailferry.store.schema.reviews import review_messages, review_questions
from mailferry.store.schema.sandbox import inbox_messages, inboxes, projects, share_links
from mailferry.store.schema.stats import domain_alerts, stats
from mailferry.store.schema.templates import template_versions, templates
from mailferry.store.schema.webhooks import webhook_attempts, webhook_deliveries, webhook_replays, webhooks

__all__ = [
    "RELEASED",
    "access_keys",
    "accesses",
    "accounts",
    "attempts",
    "audit_log",
    "boots",
    "company_infos",
    "contact_events",
    "contact_fields",
    "contact_job_pieces",
    "contact_jobs",
    "contact_list_members",
    "contact_lists",
    "contact_opt_outs",
    "contact_segments",
    "contact_values",
    "contacts",
    "cursors",
    "documents",
    "domain_alerts",
    "domain_hours",
    "domain_keys",
    "domains",
    "events",
    "grants",
    "idempotency_keys",
    "inbox_messages",
    "inboxes",
    "invitations",
    "lanes",
    "messages",
    "metadata",
    "notices",
    "organizations",
    "projects",
    "queue",
    "recipients",
    "review_messages",
    "review_questions",
    "share_links",
    "shared_keys",
    "stats",
    "suppression_history",
    "suppressions",
    "template_versions",
    "templates",
    "tokens",
    "tracking_opt_outs",
    "users",
    "webhook_attempts",
    "webhook_deliveries",
    "webhook_replays",
    "webhooks",
]
