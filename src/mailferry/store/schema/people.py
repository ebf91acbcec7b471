"""Accounts and who may do what in them (resources/permissions.py says what the rows mean)."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text, UniqueConstraint, text

from mailferry.store.schema.columns import flag, id_, int_, metadata, text_

#: Several accounts under one roof; a grant on it holds for all of them.
organizations = Table("organizations", metadata, id_(), text_("name"), int_("created_at"))

accounts = Table(
    "accounts",
    metadata,
    id_(),
    text_("name"),
    #: 0 = it stands alone.
    int_("organization_id", index=True),
    int_("created_at"),
)

users = Table(
    "users",
    metadata,
    id_(),
    #: The account that the person was made in; others are reached over accesses.
    int_("account_id"),
    Column("email", Text, nullable=False, unique=True),
    text_("name"),
    text_("password_hash"),
    int_("created_at"),
)

invitations = Table(
    "invitations",
    metadata,
    id_(),
    int_("account_id", index=True),
    Column("email", Text, nullable=False),
    #: SHA-256 of the secret in the link.
    Column("secret_hash", Text, nullable=False, unique=True),
    text_("created_by"),
    int_("created_at"),
    int_("expires_at"),
    #: An address is invited to an account once.
    Index(None, "account_id", "email", unique=True),
)

tokens = Table(
    "tokens",
    metadata,
    id_(),
    int_("account_id", index=True),
    text_("name"),
    #: SHA-256 of the token in hex. A token has 128 random bits, so a slow hash would buy nothing.
    Column("token_hash", Text, nullable=False, unique=True),
    text_("last_4_digits"),
    text_("created_by"),
    int_("created_at"),
    #: 0 = never.
    int_("expires_at"),
    #: To the minute; 0 = not yet.
    int_("last_used_at"),
)

#: Key pairs that requests of Amazon's dialect are signed with. A signature is verified with the secret itself, so it is
#: sealed and not hashed.
access_keys = Table(
    "access_keys",
    metadata,
    id_(),
    int_("account_id", index=True),
    #: Public: it stands in every request.
    Column("key_id", Text, nullable=False, unique=True),
    text_("name"),
    Column("secret_sealed", LargeBinary, nullable=False),
    text_("created_by"),
    int_("created_at"),
    #: To the minute; 0 = not yet.
    int_("last_used_at"),
    flag("disabled"),
)

#: One row a specifier (user, invite, api_token, access_key) and account.
accesses = Table(
    "accesses",
    metadata,
    id_(),
    int_("account_id", index=True),
    text_("specifier_type"),
    int_("specifier_id"),
    int_("created_at"),
    UniqueConstraint("specifier_type", "specifier_id", "account_id"),
)

grants = Table(
    "grants",
    metadata,
    Column("access_id", BigInteger, primary_key=True, autoincrement=False),
    Column("resource_type", Text, primary_key=True),
    Column("resource_id", BigInteger, primary_key=True, autoincrement=False),
    int_("access_level"),
    Index(None, "resource_type", "resource_id"),
)

#: Every change that somebody made, with what it was before.
audit_log = Table(
    "audit_log",
    metadata,
    id_(),
    int_("account_id"),
    int_("at"),
    #: user, api_token or operator (the command line); with its id and the name it had then.
    text_("actor_type"),
    int_("actor_id"),
    text_("actor_name"),
    #: Such as `domain.created`.
    text_("event"),
    text_("resource_type"),
    text_("resource_id"),
    text_("resource_name"),
    #: JSON: {field: {"from": ..., "to": ...}}.
    text_("changes", "{}"),
    #: A webhook is to be told of it (consumers/webhooks/audits.py).
    flag("wanted"),
    Index(None, "account_id", "id"),
    Index("ix_audit_log_wanted", "id", sqlite_where=text("wanted"), postgresql_where=text("wanted")),
)
