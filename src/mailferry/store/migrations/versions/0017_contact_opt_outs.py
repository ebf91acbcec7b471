"""Who said no to a list, what programs keep with a contact, and what a job refused.

Revision ID: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "contact_opt_outs",
        sa.Column("list_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("contact_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("list_id", "contact_id", name=op.f("pk_contact_opt_outs")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_contact_opt_outs_contact_id"), "contact_opt_outs", ["contact_id"])
    op.add_column("contacts", sa.Column("attributes", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column(
        "contact_jobs", sa.Column("failed_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
