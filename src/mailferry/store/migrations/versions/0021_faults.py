"""How an inbox misbehaves on purpose.

Revision ID: 0021
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("inboxes", sa.Column("faults", sa.Text(), server_default=sa.text("''"), nullable=False))
