"""The bytes of small messages that an inbox caught are rows on SQLite, too.

Revision ID: 0022
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("CREATE TABLE inbox_contents (key text PRIMARY KEY, body blob NOT NULL)")
