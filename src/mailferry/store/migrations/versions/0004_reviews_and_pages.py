"""The review of a sending domain (questions with their answers, a thread), and an index for pages of suppressions.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "review_questions",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("domain_id", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("question", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("answer", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_questions")),
    )
    op.create_index(op.f("ix_review_questions_domain_id"), "review_questions", ["domain_id"], unique=False)
    op.create_table(
        "review_messages",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("domain_id", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("at", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("author_type", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("author_name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("text", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_messages")),
    )
    op.create_index(op.f("ix_review_messages_domain_id"), "review_messages", ["domain_id"], unique=False)
    op.create_index(
        op.f("ix_suppressions_account_id_id_domain_id_stream_type"),
        "suppressions",
        ["account_id", "id", "domain_id", "stream", "type"],
        unique=False,
    )
