"""Recipients who do not want their opens and clicks followed, and the domains that offer them the choice.

Revision ID: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tracking_opt_outs",
        sa.Column("domain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("domain_id", "address", name=op.f("pk_tracking_opt_outs")),
        sqlite_with_rowid=False,
    )
    op.add_column(
        "domains",
        sa.Column("tracking_opt_out_enabled", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
