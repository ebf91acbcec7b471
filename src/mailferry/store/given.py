"""Rows that a statement is given: one JSON parameter, read as a table by the database.

A group of messages becomes one statement a table (``INSERT ... SELECT FROM`` the rows) instead of one a row: on SQLite
that is one call into the library instead of hundreds, on PostgreSQL one round trip. The statements are written once, in
SQLAlchemy Core; only this file knows how the two databases spell it.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Delete,
    Insert,
    Row,
    Select,
    Subquery,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    column,
    delete,
    func,
    insert,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite

_encoder = msgspec.json.Encoder()


def pack(rows: Sequence[Mapping[str, Any]]) -> str:
    """The value of the parameter ``rows``."""
    return _encoder.encode(rows).decode()


def rows(dialect: str, columns: Sequence[Column[Any]], parameter: str = "rows") -> Subquery:
    """The rows as a table with these columns (names and types are taken from the schema)."""
    given = bindparam(parameter, type_=Text)
    if dialect == "sqlite":
        each = func.json_each(given).table_valued("value")
        return select(*(func.json_extract(each.c.value, f'$."{c.name}"').label(c.name) for c in columns)).subquery(
            parameter
        )
    table = func.json_to_recordset(cast(given, postgresql.JSON)).table_valued(
        *(column(c.name, c.type) for c in columns)
    )
    return select(*table.render_derived(name="given", with_types=True).c).subquery(parameter)


def among(dialect: str, column: ColumnElement[Any], wanted: Select[Any]) -> ColumnElement[bool]:
    """``column IN (wanted)``, for a column with an index and a few thousand values at most.

    PostgreSQL would join, and where it knows nothing of a table yet (one that grows by an import) read all of it; an
    array goes through the index.
    """
    if dialect == "sqlite":
        return column.in_(wanted)
    return column == any_(func.array(wanted.scalar_subquery()))


@cache
def _insert(dialect: str, table: Table, names: tuple[str, ...]) -> Insert:
    given = rows(dialect, [table.c[name] for name in names])
    # SQLite has no booleans in JSON: json_extract gives 0 and 1, which is what it stores.
    return insert(table).from_select(list(names), select(*given.c))


def insert_rows(connection: Connection, table: Table, values: Sequence[Mapping[str, Any]]) -> None:
    """Insert all of them in one statement. Every row names the same columns."""
    if values:
        statement = _insert(connection.dialect.name, table, tuple(values[0]))
        connection.execute(statement, {"rows": pack(values)})


@cache
def _insert_if_new(dialect: str, table: Table, names: tuple[str, ...], returning: tuple[Column[Any], ...]) -> Any:
    module: Any = postgresql if dialect == "postgresql" else sqlite
    given = rows(dialect, [table.c[name] for name in names])
    # SQLite's grammar takes ON CONFLICT after a SELECT for a join condition unless the SELECT has a WHERE (its manual, UPSERT).
    chosen = select(*given.c).where(true())
    statement = module.insert(table).from_select(list(names), chosen).on_conflict_do_nothing()
    return statement.returning(*returning) if returning else statement


def insert_if_new(
    connection: Connection, table: Table, values: Sequence[Mapping[str, Any]], returning: tuple[Column[Any], ...] = ()
) -> Sequence[Row[Any]]:
    """As :func:`insert_rows`; rows whose key stands already are left as they are. Returns columns of the new ones."""
    if not values:
        return []
    statement = _insert_if_new(connection.dialect.name, table, tuple(values[0]), returning)
    result = connection.execute(statement, {"rows": pack(values)})
    return result.all() if returning else []


def put_rows(connection: Connection, table: Table, values: Sequence[Mapping[str, Any]]) -> None:
    """As :func:`insert_rows`; a row whose primary key stands already takes the new values. No key may be given twice."""
    if values:
        statement = _put(connection.dialect.name, table, tuple(values[0]))
        connection.execute(statement, {"rows": pack(values)})


@cache
def _put(dialect: str, table: Table, names: tuple[str, ...], *, adding: bool = False) -> Any:
    module: Any = postgresql if dialect == "postgresql" else sqlite
    given = rows(dialect, [table.c[name] for name in names])
    statement = module.insert(table).from_select(list(names), select(*given.c).where(true()))
    key = [column.name for column in table.primary_key]
    given_now = {name: statement.excluded[name] for name in names if name not in key}
    changed = {name: table.c[name] + now for name, now in given_now.items()} if adding else given_now
    return statement.on_conflict_do_update(index_elements=key, set_=changed)


def add_rows(connection: Connection, table: Table, values: Sequence[Mapping[str, Any]]) -> None:
    """As :func:`put_rows`, but that numbers beside the key are added to those that stand."""
    if values:
        statement = _put(connection.dialect.name, table, tuple(values[0]), adding=True)
        connection.execute(statement, {"rows": pack(values)})


def delete_rows(connection: Connection, table: Table, keys: Sequence[Mapping[str, Any]]) -> None:
    """Those whose columns have these values, all of them in one statement. Every key names the same columns."""
    if keys:
        statement = _delete(connection.dialect.name, table, tuple(keys[0]))
        connection.execute(statement, {"rows": pack(keys)})


@cache
def _delete(dialect: str, table: Table, names: tuple[str, ...]) -> Delete:
    columns = [table.c[name] for name in names]
    return delete(table).where(tuple_(*columns).in_(select(*rows(dialect, columns).c)))
