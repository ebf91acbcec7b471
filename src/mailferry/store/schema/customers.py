"""What customers keep: accounts, their people and tokens, domains, suppressions."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text, UniqueConstraint

from mailferry.store.schema.columns import flag, id_, int_, metadata, text_

accounts = Table("accounts", metadata, id_(), text_("name"), int_("created_at"))

users = Table(
    "users",
    metadata,
    id_(),
    int_("account_id"),
    Column("email", Text, nullable=False, unique=True),
    text_("password_hash"),
    #: Mailtrap's access levels: 1000 owner, 100 admin, 10 viewer.
    int_("access_level"),
    int_("created_at"),
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
    #: Confined to this domain; 0 = the whole account.
    int_("domain_id"),
    int_("access_level"),
    text_("created_by"),
    int_("created_at"),
    #: 0 = never.
    int_("expires_at"),
)

projects = Table("projects", metadata, id_(), int_("account_id", index=True), text_("name"), int_("created_at"))

inboxes = Table(
    "inboxes",
    metadata,
    id_(),
    int_("account_id", index=True),
    int_("project_id"),
    text_("name"),
    Column("username", Text, nullable=False, unique=True),
    Column("password_sealed", LargeBinary, nullable=False),
    int_("created_at"),
)

domains = Table(
    "domains",
    metadata,
    id_(),
    int_("account_id"),
    Column("name", Text, nullable=False),
    #: demo, unverified_dns, under_review, compliant, suspended (Mailtrap's compliance states).
    text_("state", "unverified_dns"),
    flag("dns_verified"),
    #: When DNS was first found right, 0 = never. A domain that was never verified is refused; one that lost its records is held.
    int_("verified_at"),
    #: Deleted and added again while under review: a person should look at it.
    flag("suspicious"),
    #: The label under the domain that takes bounces, e.g. mf7a.
    text_("return_path_label"),
    int_("created_at"),
    #: 0 = it stands. A deleted domain's row stays, so that deleting does not wipe a review away.
    int_("deleted_at"),
    UniqueConstraint("account_id", "name"),
    Index(None, "name"),
)

domain_keys = Table(
    "domain_keys",
    metadata,
    id_(),
    int_("domain_id", index=True),
    text_("selector"),
    #: rsa-sha256 or ed25519-sha256.
    text_("algorithm"),
    Column("private_sealed", LargeBinary, nullable=False),
    #: As in the p= tag.
    text_("public"),
    #: Found in DNS at the last check: only then is it signed with.
    flag("published"),
    int_("created_at"),
)

#: How many recipients of a domain under review left in a clock hour (Unix hours).
domain_hours = Table(
    "domain_hours",
    metadata,
    Column("domain_id", BigInteger, primary_key=True, autoincrement=False),
    Column("hour", BigInteger, primary_key=True, autoincrement=False),
    int_("used"),
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("id", Text, primary_key=True),
    int_("account_id"),
    #: Lower-cased (mail/address.key).
    Column("address", Text, nullable=False),
    #: 0 = all domains.
    int_("domain_id"),
    #: transactional, bulk or any.
    text_("stream", "any"),
    #: hard bounce, unsubscription, spam complaint, manual import (Mailtrap's words).
    text_("type"),
    #: The recipient whose story caused it, and what was heard; empty for an import.
    text_("recipient_id"),
    text_("category"),
    text_("response"),
    int_("created_at"),
    UniqueConstraint("account_id", "address", "domain_id", "stream"),
)
