"""People and their rights: accesses and grants instead of one level, organizations, invitations, the audit log.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "accesses",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("account_id", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("specifier_type", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("specifier_id", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accesses")),
        sa.UniqueConstraint(
            "specifier_type",
            "specifier_id",
            "account_id",
            name=op.f("uq_accesses_specifier_type_specifier_id_account_id"),
        ),
    )
    op.create_index(op.f("ix_accesses_account_id"), "accesses", ["account_id"], unique=False)
    op.create_table(
        "audit_log",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("account_id", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("at", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("actor_type", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("actor_name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("event", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("resource_type", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("resource_id", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("resource_name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("changes", sa.Text(), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index(op.f("ix_audit_log_account_id_id"), "audit_log", ["account_id", "id"], unique=False)
    op.create_table(
        "company_infos",
        sa.Column("domain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("address", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("city", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("country", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("zip_code", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("website_url", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("phone", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("privacy_policy_url", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("terms_of_service_url", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("info_level", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("domain_id", name=op.f("pk_company_infos")),
    )
    op.create_table(
        "grants",
        sa.Column("access_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("resource_type", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("access_level", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("access_id", "resource_type", "resource_id", name=op.f("pk_grants")),
    )
    op.create_index(
        op.f("ix_grants_resource_type_resource_id"), "grants", ["resource_type", "resource_id"], unique=False
    )
    op.create_table(
        "invitations",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("account_id", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("created_at", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_invitations_secret_hash")),
    )
    op.create_index(op.f("ix_invitations_account_id"), "invitations", ["account_id"], unique=False)
    op.create_table(
        "organizations",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("created_at", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organizations")),
    )
    op.create_table(
        "suppression_history",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("account_id", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("domain_id", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("stream", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("type", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("action", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("actor", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("at", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppression_history")),
    )
    op.create_index(
        op.f("ix_suppression_history_account_id_address"),
        "suppression_history",
        ["account_id", "address"],
        unique=False,
    )
    op.add_column(
        "accounts", sa.Column("organization_id", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.create_index(op.f("ix_accounts_organization_id"), "accounts", ["organization_id"], unique=False)
    op.add_column(
        "domains", sa.Column("open_tracking_enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False)
    )
    op.add_column(
        "domains", sa.Column("click_tracking_enabled", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column(
        "domains",
        sa.Column("auto_unsubscribe_link_enabled", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column(
        "domains", sa.Column("health_alerts_enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False)
    )
    op.add_column(
        "domains", sa.Column("critical_alerts_enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False)
    )
    op.add_column("domains", sa.Column("dns_statuses", sa.Text(), server_default=sa.text("'{}'"), nullable=False))
    op.add_column(
        "domains", sa.Column("alert_recipient_email", sa.Text(), server_default=sa.text("''"), nullable=False)
    )
    op.add_column("tokens", sa.Column("last_used_at", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    _move_rights()
    op.drop_column("tokens", "access_level")
    op.drop_column("tokens", "domain_id")
    op.add_column("users", sa.Column("name", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.drop_column("users", "access_level")


def _move_rights() -> None:
    op.execute(
        "INSERT INTO accesses (account_id, specifier_type, specifier_id, created_at)"
        " SELECT account_id, 'api_token', id, created_at FROM tokens ORDER BY id"
    )
    op.execute(
        "INSERT INTO accesses (account_id, specifier_type, specifier_id, created_at)"
        " SELECT account_id, 'user', id, created_at FROM users ORDER BY id"
    )
    op.execute(
        "INSERT INTO grants (access_id, resource_type, resource_id, access_level)"
        " SELECT accesses.id, CASE WHEN tokens.domain_id <> 0 THEN 'domain' ELSE 'account' END,"
        " CASE WHEN tokens.domain_id <> 0 THEN tokens.domain_id ELSE tokens.account_id END, tokens.access_level"
        " FROM tokens JOIN accesses ON accesses.specifier_type = 'api_token' AND accesses.specifier_id = tokens.id"
    )
    op.execute(
        "INSERT INTO grants (access_id, resource_type, resource_id, access_level)"
        " SELECT accesses.id, 'account', users.account_id, users.access_level"
        " FROM users JOIN accesses ON accesses.specifier_type = 'user' AND accesses.specifier_id = users.id"
    )
