"""How well each sending domain does, as it was last judged, and what of it was told.

Revision ID: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

LEVELS = ("bounce_level", "spam_level", "told_bounce_level", "told_spam_level")
NUMBERS = ("sent", "bounced", "delivered", "spam", "judged_at", "changed_at", "checked_at")


def upgrade() -> None:
    op.create_table(
        "domain_alerts",
        sa.Column("domain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        *(sa.Column(name, sa.Text(), server_default=sa.text("''"), nullable=False) for name in LEVELS),
        *(sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False) for name in NUMBERS),
        sa.PrimaryKeyConstraint("domain_id", name=op.f("pk_domain_alerts")),
        sqlite_with_rowid=False,
    )
