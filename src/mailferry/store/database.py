"""The seam: functions over a SQLAlchemy connection, run where the database wants them run.

Queries live with their noun and take a connection. ``read`` runs one on a reading connection in a thread; ``write`` runs
one in a transaction of its own; ``submit`` hands an item to a batch, which commits in groups (see :mod:`writer`).
On SQLite every write goes through the one writer thread; on PostgreSQL only batches do.
"""

import asyncio
import errno
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mailferry.store import again
from mailferry.store.again import Again, conflicted
from mailferry.store.engines import hang_up, postgres_engine, sqlite_engine, unhurried
from mailferry.store.threads import Busy, Threads
from mailferry.store.writer import Writer, WriterClosed

T = TypeVar("T")
Query = Callable[[Connection], T]

#: Seconds that :meth:`Database.close` gives what runs; whoever ends a process has less.
CLOSE_SECONDS = 30.0
#: Seconds that threads have to notice that their connection was hung up.
HANG_UP_SECONDS = 0.3

log = structlog.get_logger(__name__)


class Database:
    """Open with :func:`open_database`; close when the process ends."""

    def __init__(
        self,
        dialect: str,
        writer_engine: Engine,
        reader_engine: Engine,
        pool: int,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.dialect = dialect
        self.writer_engine = writer_engine
        self.reader_engine = reader_engine
        self.writer = Writer(writer_engine, asyncio.get_running_loop(), pause=pause)
        self._threads = Threads(pool, "database")
        self._again = Again(pause)
        self._closed = False

    async def read(self, query: Query[T]) -> T:
        """Raises :class:`threads.Busy` where all readers hang."""

        def run() -> T:
            with self.reader_engine.connect() as connection:
                return query(connection)

        return await self._threads.run(run)

    async def write(self, query: Query[T], *, hurried: bool = True) -> T:
        """All of it or nothing. The query may be run again after a deadlock, so it must do nothing but SQL.

        On PostgreSQL its statements have ten seconds and its locks five, unless it is not ``hurried``.
        """
        if not hurried:
            query = partial(_unhurried, query)
        if self.dialect == "sqlite":
            result: T = await self.writer.submit(_each, query)
            return result
        return await self._threads.run(lambda: self._again.run(lambda: self._write_apart(query), conflicted))

    def submit(
        self, batch: Callable[[Connection, Sequence[Any]], Sequence[T]], item: Any, octets: int = 0
    ) -> "asyncio.Future[T]":
        return self.writer.submit(batch, item, octets)

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Write what waits and let what runs end. What has not ended after so many seconds is cut off, and said in the log.

        A second call does nothing.
        """
        if self._closed:
            return
        self._closed = True
        self.writer.close()
        self._threads.close()
        late = await self._wait(seconds)
        if late:
            for engine in (self.writer_engine, self.reader_engine):
                hang_up(engine)
            log.error("database_hung_up", threads=late)
            late = await self._wait(HANG_UP_SECONDS)
        if not late:  # a connection must not be closed under a thread that uses it
            self.writer_engine.dispose()
            self.reader_engine.dispose()

    async def _wait(self, seconds: float) -> list[str]:
        """The threads that are there still. Looks again and again: a thread that waits for them might hang itself."""
        until, pause = time.monotonic() + seconds, 0.001
        while (alive := self.writer.alive() + self._threads.alive()) and time.monotonic() < until:
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.05)
        return alive

    def _write_apart(self, query: Query[T]) -> T:
        with self.reader_engine.connect() as connection, connection.begin():
            return query(connection)


def _unhurried(query: Query[T], connection: Connection) -> T:
    with unhurried(connection):
        return query(connection)


def _each(connection: Connection, queries: Sequence[Query[Any]]) -> list[Any]:
    """A batch of unlike queries. The writer runs a batch that fails again, item by item: each is all or nothing."""
    return [query(connection) for query in queries]


def open_database(url: str, data_dir: Path, pool: int) -> Database:
    """An empty url is SQLite in the data folder. Raises SQLAlchemy's errors when it cannot be opened."""
    if not url:
        path = data_dir / "mailferry.db"
        return Database("sqlite", sqlite_engine(path, writer=True), sqlite_engine(path, writer=False, pool=pool), pool)
    return Database("postgresql", postgres_engine(url, 1), postgres_engine(url, pool), pool)


#: What a file system says that is full, or may grow no more.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def unavailable(error: BaseException) -> bool:
    """Nothing is wrong with what was asked: the database cannot be reached, has no room, or does not answer in its time.

    The same may succeed later. A statement that is wrong is a bug, and none of these.
    """
    if isinstance(error, Busy | WriterClosed | PoolTimeout):
        return True
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    return isinstance(error, DBAPIError) and (again.passing(error) or again.concerns_all(error) or again.away(error))
