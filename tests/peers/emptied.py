"""A PostgreSQL database that is used by one test after another, and is empty for each.

Creating one copies six hundred files, which took a fifth of all tests' time; emptying one touches what a test has filled.
"""

from collections.abc import Callable
from typing import Any

from psycopg import Connection, sql

from .postgres import Cluster

#: All that a migration makes, in one text. What differs from it afterwards was changed by a test.
_SHAPE = """
    SELECT md5(string_agg(line, ',' ORDER BY line)) FROM (
        SELECT format('%s.%s %s %s', attrelid::regclass, attname, atttypid, attnotnull) AS line FROM pg_attribute
            JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace AND NOT attisdropped
        UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
            WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT format('%s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT format('%s %s', tgrelid::regclass, tgname) FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT version_num FROM alembic_version
    ) AS lines
"""
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
_OTHERS = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
_NUMBERS_AGAIN = """
    SELECT setval(format('%I', sequencename)::regclass, start_value, false) FROM pg_sequences WHERE last_value IS NOT NULL
"""


class Emptied:
    """Databases that ``prepare`` brings to the newest step; one is at hand as a rule, and more when tests nest."""

    def __init__(self, cluster: Cluster, prepare: Callable[[str], None]) -> None:
        self._cluster, self._prepare = cluster, prepare
        self._free: list[str] = []
        self._first = ""
        self._tables: set[str] = set()
        self._shape: Any = None
        self._query: sql.Composable = sql.SQL("")

    def take(self) -> str:
        """The URL of an empty one."""
        return self._free.pop() if self._free else self._create()

    def give_back(self, url: str) -> None:
        with self._cluster.connect(url.rpartition("/")[2]) as connection:
            fit = self._empty(connection)
        if fit:
            self._free.append(url)
        else:
            self._cluster.drop_database(url)

    def _create(self) -> str:
        if not self._first:
            self._first = self._cluster.create_database()
            self._prepare(self._first)
            with self._cluster.connect(self._first.rpartition("/")[2]) as connection:
                self._remember(connection)
        return self._cluster.create_database(self._first)

    def _remember(self, connection: Connection) -> None:
        self._tables = _names(connection, _TABLES)
        self._shape = connection.execute(_SHAPE).fetchone()
        one = sql.SQL("SELECT {} WHERE EXISTS (SELECT 1 FROM {})")
        each = [one.format(sql.Literal(name), sql.Identifier(name)) for name in self._kept()]
        self._query = sql.SQL(" UNION ALL ").join(each)

    def _kept(self) -> list[str]:
        """Of Alembic's table the one row stays."""
        return sorted(self._tables - {"alembic_version"})

    def _empty(self, connection: Connection) -> bool:
        """False: a test has changed more than rows."""
        connection.execute(_OTHERS)
        for extra in _names(connection, _TABLES) - self._tables:  # partitions
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(sql.Identifier(extra)))
        if connection.execute(_SHAPE).fetchone() != self._shape:
            return False
        filled = [name for (name,) in connection.execute(self._query)]
        if filled:
            tables = sql.SQL(", ").join(map(sql.Identifier, filled))
            connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(tables))
        connection.execute(_NUMBERS_AGAIN)
        return True


def _names(connection: Connection, query: str) -> set[str]:
    return {name for (name,) in connection.execute(query)}  # type: ignore[call-overload]  # our own texts
