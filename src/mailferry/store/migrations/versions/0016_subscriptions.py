"""Webhooks that are subscriptions of topics.

Revision ID: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("subscription", sa.Text(), server_default=sa.text("''"), nullable=False))
