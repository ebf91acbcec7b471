"""Webhooks, and cursors of those who follow the journal.

Revision ID: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WAITING = sa.text("state = 'waiting'")
PARKED = sa.text("state = 'parked'")


def upgrade() -> None:
    _cursors()
    _webhooks()
    _deliveries()
    _attempts_and_replays()


def _cursors() -> None:
    op.create_table(
        "cursors",
        sa.Column("name", sa.Text(), nullable=False),
        _int("xact"),
        _int("id"),
        _text("lease"),
        _int("lease_until"),
        _int("moved_at"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursors")),
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "postgresql":
        # Both only grow, so that a new row goes to the right end of the index: the cheapest insertion there is.
        op.create_index("ix_events_xact_id", "events", ["xact", "id"])


def _webhooks() -> None:
    op.create_table(
        "webhooks",
        _id(),
        _int("account_id"),
        _text("url"),
        sa.Column("userinfo_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("secret_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        _text("type"),
        _text("payload_format"),
        _text("stream"),
        _int("domain_id"),
        _text("kinds", "[]"),
        _int("from_xact"),
        _int("from_id"),
        _int("created_at"),
        _int("updated_at"),
        _int("failures"),
        _int("hold_until"),
        _int("last_success_at"),
        _text("last_error"),
        _int("last_error_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_webhooks_account_id"), "webhooks", ["account_id"])


def _deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        _id(),
        _int("webhook_id"),
        _int("lane"),
        sa.Column("state", sa.Text(), nullable=False),
        _int("event_id"),
        sa.Column("message_id", sa.Text(), nullable=False),
        _text("kind"),
        _int("at"),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("replayed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        _int("created_at"),
        _int("due"),
        _int("tries"),
        _int("failing_since"),
        _int("done_at"),
        _int("attempt_id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_webhook_deliveries_waiting",
        "webhook_deliveries",
        ["webhook_id", "lane", "id"],
        sqlite_where=WAITING,
        postgresql_where=WAITING,
    )
    op.create_index(
        "ix_webhook_deliveries_parked",
        "webhook_deliveries",
        ["webhook_id", "message_id"],
        sqlite_where=PARKED,
        postgresql_where=PARKED,
    )
    op.create_index(op.f("ix_webhook_deliveries_webhook_id_id"), "webhook_deliveries", ["webhook_id", "id"])


def _attempts_and_replays() -> None:
    op.create_table(
        "webhook_attempts",
        _id(),
        _int("webhook_id"),
        _int("at"),
        _text("kind"),
        _int("events"),
        _int("status"),
        _text("error"),
        _text("response"),
        _int("ms"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_attempts")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_webhook_attempts_webhook_id_id"), "webhook_attempts", ["webhook_id", "id"])
    op.create_table(
        "webhook_replays",
        _id(),
        _int("webhook_id"),
        _int("from_at"),
        _int("until_at"),
        _int("after_id"),
        _int("last_id"),
        _int("queued"),
        _int("created_at"),
        _int("done_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_replays")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_webhook_replays_webhook_id"), "webhook_replays", ["webhook_id"])


def _id() -> sa.Column[int]:
    return sa.Column("id", BigId, autoincrement=True, nullable=False)


def _int(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False)


def _text(name: str, default: str = "") -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default=sa.text(f"'{default}'"), nullable=False)
