"""What a sandbox inbox is and has caught.

Revision ID: 0018
"""

import secrets
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NAMED = sa.text("email_username <> ''")


def _text(name: str, default: str = "") -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default=sa.text(f"'{default}'"), nullable=False)


def _number(name: str, default: int = 0) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default=sa.text(str(default)), nullable=False)


def upgrade() -> None:
    _whole_inboxes()
    op.create_table(
        "inbox_messages",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        _number("account_id"),
        _number("inbox_id"),
        sa.Column("key", sa.Text(), nullable=False),
        *map(_text, ("from_email", "from_name", "to_email", "to_name", "subject", "searched")),
        sa.Column("is_read", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        *map(_number, ("size", "html_size", "text_size")),
        *map(_text, ("endpoint", "envelope_from")),
        _text("envelope_to", "[]"),
        *map(_text, ("client_ip", "category")),
        _text("custom_variables", "{}"),
        _number("template_id"),
        *map(_text, ("template_variables", "segment")),
        *map(_number, ("place", "created_at", "updated_at")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbox_messages")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_inbox_messages_inbox_id_id_searched"), "inbox_messages", ["inbox_id", "id", "searched"], unique=False
    )
    op.create_index(op.f("ix_inbox_messages_segment"), "inbox_messages", ["segment"], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        # A row goes when its message does: what an inbox holds has a number, and no days.
        op.execute("CREATE TABLE inbox_contents (key text PRIMARY KEY, body bytea NOT NULL)")
        # It does not compress: mail is short, or compressed already.
        op.execute("ALTER TABLE inbox_contents ALTER COLUMN body SET STORAGE EXTERNAL")


def _whole_inboxes() -> None:
    columns: tuple[sa.Column[Any], ...] = (
        _text("email_username"),
        sa.Column("email_username_enabled", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        _text("status", "active"),
        _number("max_size", 10_000),
        _number("max_message_size", 25 * 1024 * 1024),
        *map(_number, ("messages_count", "unread_count", "caught_count", "forwarded_count", "last_message_at")),
    )
    for column in columns:
        op.add_column("inboxes", column)
    connection = op.get_bind()
    for identity in connection.execute(sa.text("SELECT id FROM inboxes")).scalars().all():
        given = {"id": identity, "name": f"{secrets.token_hex(5)}-{secrets.token_hex(3)}"}
        connection.execute(sa.text("UPDATE inboxes SET email_username = :name WHERE id = :id"), given)
    op.create_index(
        "uq_inboxes_email_username",
        "inboxes",
        ["email_username"],
        unique=True,
        sqlite_where=NAMED,
        postgresql_where=NAMED,
    )
    op.create_index(op.f("ix_inboxes_project_id"), "inboxes", ["project_id"], unique=False)
