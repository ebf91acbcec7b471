"""An address is invited to an account once.

Revision ID: 0013
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_invitations_account_id_email", "invitations", ["account_id", "email"], unique=True)
