"""An attempt names the lease that it was made under, so that its answer is written once.

Those that stand, and those that a node of the version before still writes, name none.

Revision ID: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("fence", sa.BigInteger(), nullable=True))
    op.create_index("uq_attempts_recipient_id_fence", "attempts", ["recipient_id", "fence"], unique=True)
    # The new one begins with its column.
    op.drop_index("ix_attempts_recipient_id", "attempts")
