"""What the columns of all tables have in common."""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, Text, text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


#: SQLite counts a table up by itself only where the type is INTEGER; on PostgreSQL that would end at 2^31.
BigId = BigInteger().with_variant(Integer, "sqlite")


def id_() -> Column[int]:
    return Column("id", BigId, primary_key=True, autoincrement=True)


def text_(name: str, default: str = "") -> Column[str]:
    return Column(name, Text, nullable=False, server_default=text(f"'{default}'"))


def int_(name: str, **kwargs: Any) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"), **kwargs)


def flag(name: str, default: bool = False) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=text("true" if default else "false"))
