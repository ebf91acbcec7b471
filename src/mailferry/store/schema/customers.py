"""What customers keep: domains, suppressions, opting out of tracking."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text, UniqueConstraint

from mailferry.store.schema.columns import flag, id_, int_, metadata, text_

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
    flag("open_tracking_enabled", True),
    flag("click_tracking_enabled"),
    flag("auto_unsubscribe_link_enabled"),
    flag("tracking_opt_out_enabled"),
    flag("health_alerts_enabled", True),
    flag("critical_alerts_enabled", True),
    text_("alert_recipient_email"),
    #: JSON: record key -> status at the last look.
    text_("dns_statuses", "{}"),
    int_("created_at"),
    #: 0 = it stands. A deleted domain's row stays, so that deleting does not wipe a review away.
    int_("deleted_at"),
    UniqueConstraint("account_id", "name"),
    Index(None, "name"),
)

#: Who stands behind a domain, asked for in its review.
company_infos = Table(
    "company_infos",
    metadata,
    Column("domain_id", BigInteger, primary_key=True, autoincrement=False),
    text_("name"),
    text_("address"),
    text_("city"),
    text_("country"),
    text_("zip_code"),
    text_("website_url"),
    text_("phone"),
    text_("privacy_policy_url"),
    text_("terms_of_service_url"),
    #: business or individual.
    text_("info_level"),
    int_("updated_at"),
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
    #: A page of the newest, of whatever kind, is found without looking at the rows between: there may be millions.
    Index(None, "account_id", "id", "domain_id", "stream", "type"),
)

#: Every suppression that was made or lifted, by whom; the table above holds only those that stand.
suppression_history = Table(
    "suppression_history",
    metadata,
    id_(),
    int_("account_id"),
    Column("address", Text, nullable=False),
    int_("domain_id"),
    text_("stream"),
    text_("type"),
    #: created or deleted.
    text_("action"),
    text_("actor"),
    int_("at"),
    Index(None, "account_id", "address"),
)

#: Recipients whose opens and clicks are not followed.
tracking_opt_outs = Table(
    "tracking_opt_outs",
    metadata,
    Column("domain_id", BigInteger, primary_key=True, autoincrement=False),
    #: mail/address.key.
    Column("address", Text, primary_key=True),
    #: A UUIDv7 of the moment; what a node of an older version writes meanwhile has one that is only random.
    text_("id"),
    int_("created_at"),
    #: Of a domain by age, and by id alone where the domains are the account's.
    Index(None, "domain_id", "id"),
    sqlite_with_rowid=False,
)
