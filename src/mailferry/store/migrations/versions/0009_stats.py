"""What became of messages, counted by the hour.

Revision ID: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

COUNTS = (
    "sent",
    "delivered",
    "bounced",
    "rejected",
    "opened",
    "machine_opened",
    "clicked",
    "machine_clicked",
    "unsubscribed",
    "spam",
)


def upgrade() -> None:
    op.create_table(
        "stats",
        *(sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False) for name in ("account_id", "hour")),
        sa.Column("domain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("stream", "category", "provider")),
        sa.Column("template_id", sa.BigInteger(), autoincrement=False, nullable=False),
        *(sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False) for name in COUNTS),
        sa.PrimaryKeyConstraint(
            "account_id", "hour", "domain_id", "stream", "category", "provider", "template_id", name="pk_stats"
        ),
        sqlite_with_rowid=False,
    )
