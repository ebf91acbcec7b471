"""Opt-outs of tracking that can be named.

Revision ID: 0013
"""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tracking_opt_outs", sa.Column("id", sa.Text(), server_default=sa.text("''"), nullable=False))
    _name_opt_outs(op.get_bind())
    if op.get_bind().dialect.name == "postgresql":
        # Nodes that are not upgraded yet know nothing of ids.
        op.alter_column("tracking_opt_outs", "id", server_default=sa.text("gen_random_uuid()::text"))
    op.create_index(op.f("ix_tracking_opt_outs_domain_id_id"), "tracking_opt_outs", ["domain_id", "id"])


def _name_opt_outs(connection: sa.Connection) -> None:
    key = sa.column("domain_id"), sa.column("address")
    table = sa.table("tracking_opt_outs", *key, sa.column("id"), sa.column("created_at"))
    named = [
        {"of_domain": row.domain_id, "of_address": row.address, "new": _id(row.created_at)}
        for row in connection.execute(sa.select(table))
    ]
    if named:
        mine = (key[0] == sa.bindparam("of_domain"), key[1] == sa.bindparam("of_address"))
        connection.execute(sa.update(table).where(*mine).values(id=sa.bindparam("new")), named)


def _id(ms: int) -> str:
    """As journal/ids.py draws them: a UUIDv7 (RFC 9562 5.7) of the moment, the rest of it random."""
    random = uuid.uuid4().int & ((1 << 76) - 1)  # the variant is that of version 4
    return str(uuid.UUID(int=(ms << 80) | (7 << 76) | random))
