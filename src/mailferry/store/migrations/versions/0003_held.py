"""Held mail is found by its domain, and what was let go by the hour is known until it is counted.

Rows that stand keep domain_id 0, and so do those that a node of the version before still writes: housekeeping fills it
in once they are held, in pieces, and no node waits for a long lock.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

HELD = sa.text("due IS NULL")
RELEASED = sa.text("released AND NOT counted AND due IS NOT NULL")


def upgrade() -> None:
    op.add_column("queue", sa.Column("domain_id", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("queue", sa.Column("released", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index(
        "ix_queue_held",
        "queue",
        ["domain_id", "counted", "recipient_id"],
        unique=False,
        sqlite_where=HELD,
        postgresql_where=HELD,
    )
    op.create_index(
        "ix_queue_released", "queue", ["domain_id"], unique=False, sqlite_where=RELEASED, postgresql_where=RELEASED
    )
