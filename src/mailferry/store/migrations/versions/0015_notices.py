"""Opt-outs of tracking that can be named, and what Mailferry has to tell those who keep an account.

Revision ID: 0015
"""

import uuid
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tracking_opt_outs", sa.Column("id", sa.Text(), server_default=sa.text("''"), nullable=False))
    _name_opt_outs(op.get_bind())
    if op.get_bind().dialect.name == "postgresql":
        # Nodes that are not upgraded yet know nothing of ids.
        op.alter_column("tracking_opt_outs", "id", server_default=sa.text("gen_random_uuid()::text"))
    op.create_index(op.f("ix_tracking_opt_outs_domain_id_id"), "tracking_opt_outs", ["domain_id", "id"])
    _notices()


def _notices() -> None:
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "notices",
        sa.Column("id", big, autoincrement=True, nullable=False),
        *(_int(name) for name in ("account_id", "domain_id")),
        sa.Column("kind", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("facts", sa.Text(), server_default=sa.text("'{}'"), nullable=False),
        _int("at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
        sqlite_autoincrement=True,
    )
    op.add_column("webhooks", _int("failing_since"))
    op.add_column("webhooks", sa.Column("failing_told", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("domain_alerts", _int("health_week"))
    op.add_column("audit_log", sa.Column("wanted", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    where = sa.text("wanted")
    op.create_index("ix_audit_log_wanted", "audit_log", ["id"], sqlite_where=where, postgresql_where=where)


def _int(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False)


def _name_opt_outs(connection: sa.Connection) -> None:
    key: list[sa.ColumnClause[Any]] = [sa.column("domain_id"), sa.column("address")]
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
