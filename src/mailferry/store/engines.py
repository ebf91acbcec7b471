"""Opens SQLite and PostgreSQL through SQLAlchemy, each with the settings that durability needs.

SQLite before 3.51.3 can corrupt a WAL when two connections write or checkpoint, so there is exactly one writing
connection, readers are ``query_only``, and the bundled library of ``pysqlite3`` is taken where it exists. Never open
the file with another process while a server runs: two builds of SQLite on one file do not see each other's locks.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import QueuePool, StaticPool

#: How long a reader waits for a lock (a checkpoint that restarts the log), in milliseconds.
BUSY_TIMEOUT = 5000
#: 16 MiB: fewer, larger checkpoints than SQLite's 4 MiB; a checkpoint runs in the writer and delays its group.
WAL_PAGES = 4096


def sqlite_module() -> ModuleType:
    try:
        return import_module("pysqlite3.dbapi2")
    except ImportError:  # no wheel for this platform
        return import_module("sqlite3")


def sqlite_engine(path: Path, *, writer: bool, pool: int = 1) -> Engine:
    """One connection that writes, or a pool of connections that only read."""
    # Parameters are what customers send: an error that is logged must not repeat them.
    options: dict[str, Any] = {
        "module": sqlite_module(),
        "connect_args": {"check_same_thread": False},
        "hide_parameters": True,
    }
    if writer:
        options["poolclass"] = StaticPool
    else:
        options |= {"poolclass": QueuePool, "pool_size": pool, "max_overflow": 0, "pool_reset_on_return": "rollback"}
    engine = create_engine(URL.create("sqlite", database=str(path)), **options)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, by name
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
        if writer:
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.execute("PRAGMA synchronous = FULL")
            cursor.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        else:
            cursor.execute("PRAGMA query_only = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        # A deferred transaction that reads and then writes fails at once, busy_timeout or not: take the lock first.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")

    return engine


def postgres_engine(url: str, pool: int) -> Engine:
    """`postgresql://...` means psycopg, the one driver that is used."""
    parsed = make_url(url).set(drivername="postgresql+psycopg")
    engine = create_engine(
        parsed,
        pool_size=pool,
        max_overflow=2,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={"application_name": "mailferry", "options": "-c idle_in_transaction_session_timeout=30s"},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        # An accepted message must survive a power failure whatever the cluster's default is.
        connection.execute("SET synchronous_commit = on")
        connection.commit()

    return engine
