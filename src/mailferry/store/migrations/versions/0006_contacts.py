"""Contacts: their fields, lists, segments and events, and the jobs that import and export them.

Revision ID: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STANDS = sa.text("deleted_at = 0")
OPEN = sa.text("status IN ('created', 'started')")


def upgrade() -> None:
    _contacts()
    _fields()
    _lists()
    _segments_and_events()
    _jobs()


def _contacts() -> None:
    op.create_table(
        "contacts",
        sa.Column("id", sa.Text(), nullable=False),
        _int("account_id"),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        _int("created_at"),
        _int("updated_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts")),
        sa.UniqueConstraint("account_id", "address", name=op.f("uq_contacts_account_id_address")),
    )
    op.create_index(op.f("ix_contacts_account_id_id"), "contacts", ["account_id", "id"])


def _fields() -> None:
    op.create_table(
        "contact_fields",
        _id(),
        _int("account_id"),
        _text("name"),
        _text("data_type"),
        _text("merge_tag"),
        _int("created_at"),
        _int("deleted_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_fields")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_contact_fields_merge_tag",
        "contact_fields",
        ["account_id", "merge_tag"],
        unique=True,
        sqlite_where=STANDS,
        postgresql_where=STANDS,
    )
    op.create_table(
        "contact_values",
        sa.Column("contact_id", sa.Text(), nullable=False),
        sa.Column("field_id", sa.BigInteger(), autoincrement=False, nullable=False),
        _text("value"),
        sa.Column("text_key", sa.Text(), nullable=True),
        sa.Column("integer_key", sa.BigInteger(), nullable=True),
        sa.Column("float_key", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("contact_id", "field_id", name=op.f("pk_contact_values")),
        sqlite_with_rowid=False,
    )
    for kind in ("text_key", "integer_key", "float_key"):
        there = sa.text(f"{kind} IS NOT NULL")
        op.create_index(
            f"ix_contact_values_{kind}",
            "contact_values",
            ["field_id", kind, "contact_id"],
            sqlite_where=there,
            postgresql_where=there,
        )


def _lists() -> None:
    op.create_table(
        "contact_lists",
        _id(),
        _int("account_id"),
        _text("name"),
        _int("created_at"),
        _int("deleted_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_lists")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_contact_lists_name",
        "contact_lists",
        ["account_id", "name"],
        unique=True,
        sqlite_where=STANDS,
        postgresql_where=STANDS,
    )
    op.create_table(
        "contact_list_members",
        sa.Column("list_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("contact_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("list_id", "contact_id", name=op.f("pk_contact_list_members")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_contact_list_members_contact_id"), "contact_list_members", ["contact_id"])


def _segments_and_events() -> None:
    op.create_table(
        "contact_segments",
        _id(),
        _int("account_id"),
        _text("name"),
        _text("rule"),
        _int("created_at"),
        _int("updated_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_segments")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_contact_segments_account_id_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "contact_events",
        _id(),
        _int("account_id"),
        sa.Column("contact_id", sa.Text(), nullable=False),
        _text("name"),
        _text("params", "{}"),
        _int("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_events")),
    )
    op.create_index(op.f("ix_contact_events_contact_id_id"), "contact_events", ["contact_id", "id"])


def _jobs() -> None:
    op.create_table(
        "contact_jobs",
        _id(),
        _int("account_id"),
        _text("kind"),
        _text("status"),
        _text("request", "{}"),
        _int("created_at"),
        _int("updated_at"),
        _text("lease"),
        _int("lease_until"),
        _int("tries"),
        _text("error"),
        _text("cursor"),
        _int("created_count"),
        _int("updated_count"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_jobs")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_contact_jobs_open", "contact_jobs", ["account_id", "id"], sqlite_where=OPEN, postgresql_where=OPEN
    )
    op.create_table(
        "contact_job_pieces",
        sa.Column("job_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("piece", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        _int("size"),
        sa.PrimaryKeyConstraint("job_id", "piece", name=op.f("pk_contact_job_pieces")),
    )


def _id() -> sa.Column[int]:
    return sa.Column("id", BigId, autoincrement=True, nullable=False)


def _int(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False)


def _text(name: str, default: str = "") -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default=sa.text(f"'{default}'"), nullable=False)
