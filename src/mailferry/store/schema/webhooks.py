"""Webhooks, what waits to be sent to them, and what was sent (consumers/webhooks says how)."""

from sqlalchemy import Boolean, Column, Index, LargeBinary, Table, Text, text

from mailferry.store.schema.columns import flag, id_, int_, metadata, text_

#: As text, because SQLite takes a partial index only for its very words.
WAITING = text("state = 'waiting'")
PARKED = text("state = 'parked'")

#: Ids are never used twice: what is left of a deleted one must not be sent to a new one.
webhooks = Table(
    "webhooks",
    metadata,
    id_(),
    int_("account_id", index=True),
    #: Without user and password.
    text_("url"),
    #: `user:password` of the URL; null: it has none.
    Column("userinfo_sealed", LargeBinary),
    Column("secret_sealed", LargeBinary, nullable=False),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    text_("type"),
    #: json, jsonlines, topic or event.
    text_("payload_format"),
    text_("stream"),
    #: 0 = all domains.
    int_("domain_id"),
    #: A JSON array of the journal's kinds of event.
    text_("kinds", "[]"),
    #: The end of the journal when it was made: what lies before is not its own (journal/follow.py).
    int_("from_xact"),
    int_("from_id"),
    #: The ARN of the subscription that it is (resources/topics.py), or of the event bus or delivery stream that it is told of;
    #: empty: it is a webhook of Mailtrap's kind.
    text_("subscription"),
    int_("created_at"),
    #: Moves on with every change and replay, so that the sender looks again.
    int_("updated_at"),
    #: Requests in a row that failed; until when nothing is sent because of that.
    int_("failures"),
    int_("hold_until"),
    #: Since when nothing is taken, 0 = it is; and whether the account was told of it.
    int_("failing_since"),
    flag("failing_told"),
    int_("last_success_at"),
    #: Of the last request that failed.
    text_("last_error"),
    int_("last_error_at"),
    sqlite_autoincrement=True,
)

#: One row an event and webhook. A replay makes new rows.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    id_(),
    int_("webhook_id"),
    #: Of one lane one batch is under way; all events of a message are in one lane.
    int_("lane"),
    #: waiting, parked (it alone fails, later ones of its message wait behind it), delivered, skipped, expired.
    Column("state", Text, nullable=False),
    #: The journal's.
    int_("event_id"),
    #: The recipient's: what Mailtrap calls the id of a message.
    Column("message_id", Text, nullable=False),
    text_("kind"),
    #: When it happened.
    int_("at"),
    #: One JSON object, as it is sent.
    Column("payload", Text, nullable=False),
    flag("replayed"),
    int_("created_at"),
    #: Not before.
    int_("due"),
    #: How often it failed alone, and since when.
    int_("tries"),
    int_("failing_since"),
    int_("done_at"),
    #: The last request that carried it.
    int_("attempt_id"),
    Index("ix_webhook_deliveries_waiting", "webhook_id", "lane", "id", sqlite_where=WAITING, postgresql_where=WAITING),
    Index("ix_webhook_deliveries_parked", "webhook_id", "message_id", sqlite_where=PARKED, postgresql_where=PARKED),
    Index(None, "webhook_id", "id"),
    sqlite_autoincrement=True,
)

#: One row a request.
webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    id_(),
    int_("webhook_id"),
    int_("at"),
    #: batch or test.
    text_("kind"),
    int_("events"),
    #: 0 = no answer came; then `error` says why.
    int_("status"),
    text_("error"),
    #: The beginning of the answer's body.
    text_("response"),
    int_("ms"),
    Index(None, "webhook_id", "id"),
    sqlite_autoincrement=True,
)

#: A range of the journal that is to be sent again, worked on piece by piece.
webhook_replays = Table(
    "webhook_replays",
    metadata,
    id_(),
    int_("webhook_id", index=True),
    #: Both ends included.
    int_("from_at"),
    int_("until_at"),
    #: Where it goes on, and where it ends, in ids of the journal.
    int_("after_id"),
    int_("last_id"),
    int_("queued"),
    int_("created_at"),
    #: 0 = not yet.
    int_("done_at"),
    sqlite_autoincrement=True,
)
