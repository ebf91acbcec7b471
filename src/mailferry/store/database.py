"""The seam: functions over a SQLAlchemy connection, run where the database wants them run.

Queries live with their noun and take a connection. ``read`` runs one on a reading connection in a thread; ``write`` runs
one in a transaction of its own; ``submit`` hands an item to a batch, which commits in groups (see :mod:`writer`).
On SQLite every write goes through the one writer thread; on PostgreSQL only batches do.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from mailferry.store.engines import postgres_engine, sqlite_engine
from mailferry.store.writer import ATTEMPTS, Writer

T = TypeVar("T")
Query = Callable[[Connection], T]


class Database:
    """Open with :func:`open_database`; close when the process ends."""

    def __init__(self, dialect: str, writer_engine: Engine, reader_engine: Engine, pool: int) -> None:
        self.dialect = dialect
        self.writer_engine = writer_engine
        self.reader_engine = reader_engine
        self.writer = Writer(writer_engine, asyncio.get_running_loop())
        self._threads = ThreadPoolExecutor(pool, thread_name_prefix="database")

    async def read(self, query: Query[T]) -> T:
        def run() -> T:
            with self.reader_engine.connect() as connection:
                return query(connection)

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    async def write(self, query: Query[T]) -> T:
        """All of it or nothing. The query may be run again after a deadlock, so it must do nothing but SQL."""
        if self.dialect == "sqlite":
            result: T = await self.writer.submit(_each, query)
            return result
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._write_apart, query)

    def submit(
        self, batch: Callable[[Connection, Sequence[Any]], Sequence[T]], item: Any, octets: int = 0
    ) -> "asyncio.Future[T]":
        return self.writer.submit(batch, item, octets)

    async def close(self) -> None:
        await self.writer.close()
        self._threads.shutdown(wait=True)
        self.writer_engine.dispose()
        self.reader_engine.dispose()

    def _write_apart(self, query: Query[T]) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self.reader_engine.connect() as connection, connection.begin():
                    return query(connection)
            except DBAPIError as error:
                if attempt == ATTEMPTS or getattr(error.orig, "sqlstate", None) not in ("40001", "40P01"):
                    raise
        raise AssertionError("unreachable")


def _each(connection: Connection, queries: Sequence[Query[Any]]) -> list[Any]:
    """A batch of unlike queries. The writer runs a batch that fails again, item by item: each is all or nothing."""
    return [query(connection) for query in queries]


def open_database(url: str, data_dir: Path, pool: int) -> Database:
    """An empty url is SQLite in the data folder. Raises SQLAlchemy's errors when it cannot be opened."""
    if not url:
        path = data_dir / "mailferry.db"
        return Database("sqlite", sqlite_engine(path, writer=True), sqlite_engine(path, writer=False, pool=pool), pool)
    return Database("postgresql", postgres_engine(url, 1), postgres_engine(url, pool), pool)
