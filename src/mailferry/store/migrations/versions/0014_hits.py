"""An open, a click and what a recipient says by a link name the hit that they come from, so that it is written once.

Those that stand, and those that a node of the version before still writes, name none.

Revision ID: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("events", sa.Column("hit", sa.Text(), nullable=True))
    named = sa.text("hit IS NOT NULL")
    op.create_index("uq_events_hit", "events", ["hit"], unique=True, sqlite_where=named, postgresql_where=named)
