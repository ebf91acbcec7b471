"""What became of messages, counted by the hour in which they were accepted."""

from sqlalchemy import BigInteger, Column, Table, Text

from mailferry.store.schema.columns import int_, metadata, text_

stats = Table(
    "stats",
    metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    #: Hours since 1970.
    Column("hour", BigInteger, primary_key=True, autoincrement=False),
    Column("domain_id", BigInteger, primary_key=True, autoincrement=False),
    Column("stream", Text, primary_key=True),
    Column("category", Text, primary_key=True),
    #: mail/providers.py; empty before any host answered.
    Column("provider", Text, primary_key=True),
    #: 0 = none.
    Column("template_id", BigInteger, primary_key=True, autoincrement=False),
    #: Recipients whose fate is known: delivered or bounced.
    int_("sent"),
    int_("delivered"),
    int_("bounced"),
    #: Suppressed, or of a domain that may not send.
    int_("rejected"),
    #: Recipients whose message a person opened, or a machine; each counted once.
    int_("opened"),
    int_("machine_opened"),
    int_("clicked"),
    int_("machine_clicked"),
    int_("unsubscribed"),
    int_("spam"),
    sqlite_with_rowid=False,
)

#: How well a sending domain does: one row each that was looked at (consumers/alerts).
domain_alerts = Table(
    "domain_alerts",
    metadata,
    Column("domain_id", BigInteger, primary_key=True, autoincrement=False),
    #: green, yellow or red; empty = never judged.
    text_("bounce_level"),
    text_("spam_level"),
    #: What was told of it by mail; where it is another one, a mail is due.
    text_("told_bounce_level"),
    text_("told_spam_level"),
    #: What it was judged by: recipients of the 24 hours before.
    int_("sent"),
    int_("bounced"),
    int_("delivered"),
    int_("spam"),
    #: When it was judged, when a level changed by that, and when it was looked at, judged or not.
    int_("judged_at"),
    int_("changed_at"),
    int_("checked_at"),
    #: The newest week whose health mail is written or was not wanted, in weeks since Monday, 5 January 1970; 0 = none.
    int_("health_week"),
    sqlite_with_rowid=False,
)
