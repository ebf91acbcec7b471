"""The journal: messages, recipients, attempts and events."""

from sqlalchemy import BigInteger, Column, Index, Table, Text, text

from mailferry.store.schema.columns import id_, int_, metadata, text_

messages = Table(
    "messages",
    metadata,
    Column("id", Text, primary_key=True),
    int_("account_id"),
    int_("domain_id"),
    int_("token_id"),
    text_("endpoint"),
    text_("stream"),
    #: The header From's address, and the subject, decoded.
    text_("sender"),
    text_("subject"),
    text_("rfc_message_id"),
    text_("category"),
    text_("custom_variables", "{}"),
    text_("client_ip"),
    #: The template that it was rendered from, 0 = none, and its variables as JSON; empty where they were too many.
    int_("template_id"),
    text_("template_variables"),
    #: JSON (intake/submission.Publishing), empty where nobody is told by it: configuration set, tags, region and the like.
    text_("publishing"),
    #: Octets as stored.
    int_("size"),
    #: Where the bytes lie: a segment's name (SQLite) or a day (PostgreSQL), and the place in it.
    text_("segment"),
    int_("place"),
    int_("created_at"),
    sqlite_with_rowid=False,
)

recipients = Table(
    "recipients",
    metadata,
    Column("id", Text, primary_key=True),
    Column("message_id", Text, nullable=False, index=True),
    int_("account_id"),
    text_("address"),
    #: to, cc or bcc.
    text_("kind"),
    #: The states of journal/events.py.
    text_("state"),
    #: Why it is held or was rejected.
    text_("reason"),
    int_("attempts"),
    #: The last answer heard.
    int_("code"),
    text_("response"),
    #: When its state last changed, or an attempt that counts was heard of; of held mail, since when it is held.
    int_("updated_at"),
    Index(None, "account_id", "id"),
    sqlite_with_rowid=False,
)

attempts = Table(
    "attempts",
    metadata,
    id_(),
    Column("recipient_id", Text, nullable=False),
    int_("number"),
    int_("at"),
    text_("transport"),
    text_("stage"),
    text_("host"),
    text_("ip"),
    text_("local_ip"),
    text_("tls"),
    int_("code"),
    text_("enhanced"),
    text_("response"),
    int_("ms"),
    #: The lease that it was made under: each has one answer at most. NULL = written by a version that did not know it.
    Column("fence", BigInteger),
    Index("uq_attempts_recipient_id_fence", "recipient_id", "fence", unique=True),
)

_NAMED = text("hit IS NOT NULL")

events = Table(
    "events",
    metadata,
    id_(),
    #: PostgreSQL's transaction (xid8): a follower reads below the oldest running one, since ids are drawn before commit.
    Column("xact", BigInteger),
    int_("at"),
    #: The kinds of journal/events.py.
    Column("kind", Text, nullable=False),
    int_("account_id"),
    Column("message_id", Text, nullable=False),
    Column("recipient_id", Text, nullable=False, index=True),
    #: A compact JSON object.
    text_("facts", "{}"),
    #: The hit that it comes from (feedback/hits.py), so that one is written once.
    Column("hit", Text),
    Index("uq_events_hit", "hit", unique=True, sqlite_where=_NAMED, postgresql_where=_NAMED),
    # On PostgreSQL alone, made by its migration: (xact, id), the order in which followers read.
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("endpoint", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    text_("body_hash"),
    text_("answer"),
    Column("created_at", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

#: How far each consumer has read the journal (journal/follow.py). A row is there while somebody wants what it reads.
cursors = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True),
    #: On PostgreSQL the order of events is (xact, id), on SQLite id alone. All up to here is read.
    int_("xact"),
    int_("id"),
    #: Who reads, drawn anew by each claim; until when nobody else may.
    text_("lease"),
    int_("lease_until"),
    int_("moved_at"),
    sqlite_with_rowid=False,
)
