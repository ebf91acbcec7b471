"""Opens SQLite and PostgreSQL through SQLAlchemy, each with the settings that durability needs.

SQLite before 3.51.3 can corrupt a WAL when two connections write or checkpoint, so there is exactly one writing
connection, readers are ``query_only``, and the bundled library of ``pysqlite3`` is taken where it exists. Never open
the file with another process while a server runs: two builds of SQLite on one file do not see each other's locks.

PostgreSQL may be anywhere, so nothing waits for it without end: neither for a connection, nor for a lock, nor for an
answer (see :mod:`bounded`). A connection that is lost is replaced when the next one asks for it.
"""

import contextlib
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import QueuePool, StaticPool

#: How long a reader waits for a lock (a checkpoint that restarts the log), in milliseconds.
BUSY_TIMEOUT = 5000
#: 16 MiB: fewer, larger checkpoints than SQLite's 4 MiB; a checkpoint runs in the writer and delays its group.
WAL_PAGES = 4096

#: How PostgreSQL is reached, as libpq's parameters; what the URL itself says wins. A dead peer is noticed by keepalives
#: after eleven seconds where the connection is idle, and after ten where something was sent.
NETWORK = {
    "connect_timeout": 5,  # seconds, for each host of the URL
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
}
#: How long a statement, a lock and an idle transaction may take. Writing transactions end within ten seconds: readers of
#: the journal wait for the oldest one. ``unhurried`` is for what must take longer.
SESSION = "-c statement_timeout=10s -c lock_timeout=5s -c idle_in_transaction_session_timeout=30s"
#: Seconds to wait for a connection of the pool.
POOL_TIMEOUT = 5

#: The engine's own option under which :func:`hang_up` finds what to do.
_HANG_UP = "mailferry_hang_up"


def sqlite_module() -> ModuleType:
    try:
        return import_module("pysqlite3.dbapi2")
    except ImportError:  # no wheel for this platform
        return import_module("sqlite3")


def sqlite_engine(path: Path, *, writer: bool, pool: int = 1) -> Engine:
    """One connection that writes, or a pool of connections that only read."""
    opened: list[Any] = []
    # Parameters are what customers send: an error that is logged must not repeat them.
    options: dict[str, Any] = {
        "module": sqlite_module(),
        "connect_args": {"check_same_thread": False},
        "hide_parameters": True,
        "execution_options": {_HANG_UP: lambda: _interrupt(opened)},
    }
    if writer:
        options["poolclass"] = StaticPool
    else:
        options |= {"poolclass": QueuePool, "pool_size": pool, "max_overflow": 0, "pool_reset_on_return": "rollback"}
    engine = create_engine(URL.create("sqlite", database=str(path)), **options)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        opened.append(connection)
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


def _interrupt(opened: list[Any]) -> None:
    for connection in opened:
        with contextlib.suppress(Exception):  # it may be closed already
            connection.interrupt()


def postgres_engine(url: str, pool: int) -> Engine:
    """`postgresql://...` means psycopg, the one driver that is used."""
    from mailferry.store.bounded import Line  # psycopg is an extra

    parsed = make_url(url).set(drivername="postgresql+psycopg")
    connect_args = _connect_args(parsed)
    line = Line(_patience(connect_args["options"]))
    engine = create_engine(
        parsed,
        pool_size=pool,
        max_overflow=2,
        pool_timeout=POOL_TIMEOUT,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args=connect_args,
        execution_options={_HANG_UP: line.hang_up},
    )

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, arguments: Any, named: Any) -> Any:
        return line.connect(*arguments, **named)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        # An accepted message must survive a power failure whatever the cluster's default is.
        connection.execute("SET synchronous_commit = on")
        connection.commit()

    return engine


def _connect_args(url: URL) -> dict[str, Any]:
    given = {name: value for name, value in NETWORK.items() if name not in url.query}
    # Of options that are named twice the last one counts.
    own = url.query.get("options", "")
    own = own if isinstance(own, str) else " ".join(own)
    return {**given, "application_name": "mailferry", "options": f"{SESSION} {own}".strip()}


def _patience(options: str) -> float | None:
    """Seconds in which an answer comes, or does not: what a statement may take, whoever said it, and a little more."""
    from mailferry.store.bounded import MORE_SECONDS

    number, unit = _STATEMENT_TIMEOUT.findall(options)[-1]
    seconds = int(number) * _UNITS[unit or "ms"]
    return seconds + MORE_SECONDS if seconds else None  # 0: no limit


_STATEMENT_TIMEOUT = re.compile(r"statement_timeout\s*=\s*([0-9]+)(us|ms|s|min|h|d)?")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


@contextlib.contextmanager
def unhurried(connection: Connection) -> Iterator[None]:
    """In a transaction: its statements and locks take the time that they need. For migrations."""
    if connection.dialect.name != "postgresql":
        yield
        return
    driver: Any = connection.connection.driver_connection
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    usual, driver.patience = driver.patience, None
    try:
        yield
    finally:
        driver.patience = usual


def in_transaction(connection: Connection) -> bool:
    """False where SQLite has ended the transaction by itself, as it does when it cannot write: what was executed next would
    be committed, statement by statement.
    """
    if connection.invalidated:
        return False
    return bool(getattr(connection.connection.driver_connection, "in_transaction", True))


def hang_up(engine: Engine) -> None:
    """What runs on the engine fails now, as the process ends; on PostgreSQL whatever would begin does so too."""
    engine.get_execution_options()[_HANG_UP]()
