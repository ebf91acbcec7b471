"""Every table once. Times are Unix milliseconds (UTC), ids of messages and recipients are UUIDv7 text.

The same schema serves SQLite and PostgreSQL; what differs is in the migrations. There are no foreign keys on the hot
tables: ids cross rooms, and retention drops whole days.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


#: SQLite counts a table up by itself only where the type is INTEGER; on PostgreSQL that would end at 2^31.
BigId = BigInteger().with_variant(Integer, "sqlite")


def _id() -> Column[int]:
    return Column("id", BigId, primary_key=True, autoincrement=True)


def _text(name: str, default: str = "") -> Column[str]:
    return Column(name, Text, nullable=False, server_default=text(f"'{default}'"))


def _int(name: str, **kwargs: Any) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"), **kwargs)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=text("false"))


# --- what customers keep -------------------------------------------------------------------------------------------

accounts = Table("accounts", metadata, _id(), _text("name"), _int("created_at"))

users = Table(
    "users",
    metadata,
    _id(),
    _int("account_id"),
    Column("email", Text, nullable=False, unique=True),
    _text("password_hash"),
    #: Mailtrap's access levels: 1000 owner, 100 admin, 10 viewer.
    _int("access_level"),
    _int("created_at"),
)

tokens = Table(
    "tokens",
    metadata,
    _id(),
    _int("account_id", index=True),
    _text("name"),
    #: SHA-256 of the token in hex. A token has 128 random bits, so a slow hash would buy nothing.
    Column("token_hash", Text, nullable=False, unique=True),
    _text("last_4_digits"),
    #: Confined to this domain; 0 = the whole account.
    _int("domain_id"),
    _int("access_level"),
    _text("created_by"),
    _int("created_at"),
    #: 0 = never.
    _int("expires_at"),
)

projects = Table("projects", metadata, _id(), _int("account_id", index=True), _text("name"), _int("created_at"))

inboxes = Table(
    "inboxes",
    metadata,
    _id(),
    _int("account_id", index=True),
    _int("project_id"),
    _text("name"),
    Column("username", Text, nullable=False, unique=True),
    Column("password_sealed", LargeBinary, nullable=False),
    _int("created_at"),
)

domains = Table(
    "domains",
    metadata,
    _id(),
    _int("account_id"),
    Column("name", Text, nullable=False),
    #: demo, unverified_dns, under_review, compliant, suspended (Mailtrap's compliance states).
    _text("state", "unverified_dns"),
    _flag("dns_verified"),
    #: When DNS was first found right, 0 = never. A domain that was never verified is refused; one that lost its records is held.
    _int("verified_at"),
    #: Deleted and added again while under review: a person should look at it.
    _flag("suspicious"),
    #: The label under the domain that takes bounces, e.g. mf7a.
    _text("return_path_label"),
    _int("created_at"),
    #: 0 = it stands. A deleted domain's row stays, so that deleting does not wipe a review away.
    _int("deleted_at"),
    UniqueConstraint("account_id", "name"),
    Index(None, "name"),
)

domain_keys = Table(
    "domain_keys",
    metadata,
    _id(),
    _int("domain_id", index=True),
    _text("selector"),
    #: rsa-sha256 or ed25519-sha256.
    _text("algorithm"),
    Column("private_sealed", LargeBinary, nullable=False),
    #: As in the p= tag.
    _text("public"),
    #: Found in DNS at the last check: only then is it signed with.
    _flag("published"),
    _int("created_at"),
)

#: How many recipients of a domain under review left in a clock hour (Unix hours).
domain_hours = Table(
    "domain_hours",
    metadata,
    Column("domain_id", BigInteger, primary_key=True, autoincrement=False),
    Column("hour", BigInteger, primary_key=True, autoincrement=False),
    _int("used"),
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("id", Text, primary_key=True),
    _int("account_id"),
    #: Lower-cased (mail/address.key).
    Column("address", Text, nullable=False),
    #: 0 = all domains.
    _int("domain_id"),
    #: transactional, bulk or any.
    _text("stream", "any"),
    #: hard bounce, unsubscription, spam complaint, manual import (Mailtrap's words).
    _text("type"),
    #: The recipient whose story caused it, and what was heard; empty for an import.
    _text("recipient_id"),
    _text("category"),
    _text("response"),
    _int("created_at"),
    UniqueConstraint("account_id", "address", "domain_id", "stream"),
)

# --- the journal ---------------------------------------------------------------------------------------------------

messages = Table(
    "messages",
    metadata,
    Column("id", Text, primary_key=True),
    _int("account_id"),
    _int("domain_id"),
    _int("token_id"),
    _text("endpoint"),
    _text("stream"),
    #: The header From's address, and the subject, decoded.
    _text("sender"),
    _text("subject"),
    _text("rfc_message_id"),
    _text("category"),
    _text("custom_variables", "{}"),
    _text("client_ip"),
    #: Octets as stored.
    _int("size"),
    #: Where the bytes lie: a segment's name (SQLite) or a day (PostgreSQL), and the place in it.
    _text("segment"),
    _int("place"),
    _int("created_at"),
    sqlite_with_rowid=False,
)

recipients = Table(
    "recipients",
    metadata,
    Column("id", Text, primary_key=True),
    Column("message_id", Text, nullable=False, index=True),
    _int("account_id"),
    _text("address"),
    #: to, cc or bcc.
    _text("kind"),
    #: The states of journal/events.py.
    _text("state"),
    #: Why it is held or was rejected.
    _text("reason"),
    _int("attempts"),
    #: The last answer heard.
    _int("code"),
    _text("response"),
    _int("updated_at"),
    Index(None, "account_id", "id"),
    sqlite_with_rowid=False,
)

attempts = Table(
    "attempts",
    metadata,
    _id(),
    Column("recipient_id", Text, nullable=False, index=True),
    _int("number"),
    _int("at"),
    _text("transport"),
    _text("stage"),
    _text("host"),
    _text("ip"),
    _text("local_ip"),
    _text("tls"),
    _int("code"),
    _text("enhanced"),
    _text("response"),
    _int("ms"),
)

events = Table(
    "events",
    metadata,
    _id(),
    #: PostgreSQL's transaction (xid8): a follower reads below the oldest running one, since ids are drawn before commit.
    Column("xact", BigInteger),
    _int("at"),
    #: The kinds of journal/events.py.
    Column("kind", Text, nullable=False),
    _int("account_id"),
    Column("message_id", Text, nullable=False),
    Column("recipient_id", Text, nullable=False, index=True),
    #: A compact JSON object.
    _text("facts", "{}"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("endpoint", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    _text("body_hash"),
    _text("answer"),
    Column("created_at", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# --- the queue -----------------------------------------------------------------------------------------------------

queue = Table(
    "queue",
    metadata,
    Column("recipient_id", Text, primary_key=True),
    _int("lane_id"),
    #: When it may next be taken. A lease pushes it into the future; NULL = held, it waits for a decision and not for time.
    Column("due", BigInteger),
    #: The boot that holds the lease, 0 = none.
    _int("owner"),
    #: Counts the leases: an attempt settles under the number it was taken with.
    _int("fence"),
    _int("tries"),
    #: Counted against the new domain's hourly limit already: retries are not counted again.
    _flag("counted"),
    _int("expires_at"),
    Index(
        "ix_queue_lane_due",
        "lane_id",
        "due",
        sqlite_where=text("due IS NOT NULL"),
        postgresql_where=text("due IS NOT NULL"),
    ),
    Index("ix_queue_owner", "owner", sqlite_where=text("owner <> 0"), postgresql_where=text("owner <> 0")),
    sqlite_with_rowid=False,
)

#: One row a (sending domain, stream, destination): workers look here, never over the rows of the queue.
lanes = Table(
    "lanes",
    metadata,
    _id(),
    _int("domain_id"),
    _text("stream"),
    _text("destination"),
    #: At or before the earliest due row of the lane; NULL = nothing waits for time.
    Column("next_due", BigInteger),
    #: Why the whole lane waits until next_due, empty = it does not.
    _text("hold_reason"),
    UniqueConstraint("domain_id", "stream", "destination"),
    Index(
        "ix_lanes_next_due",
        "next_due",
        sqlite_where=text("next_due IS NOT NULL"),
        postgresql_where=text("next_due IS NOT NULL"),
    ),
)

# --- the house itself ----------------------------------------------------------------------------------------------

#: One row a start of a process. A lease names its boot.
boots = Table("boots", metadata, _id(), _text("host"), _int("pid"), _int("started_at"))

#: Small things that all nodes share, sealed: keys of return paths and links.
shared_keys = Table(
    "shared_keys",
    metadata,
    _id(),
    Column("purpose", Text, nullable=False, index=True),
    Column("key_sealed", LargeBinary, nullable=False),
    _int("created_at"),
)
