"""A PostgreSQL cluster of the tests' own: a temporary folder, an unprivileged user, a free port, no password."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from .parts import POSTGRESQL, Home, home
from .process import DidNotStart, Process, User, free_port, scratch, unprivileged

ATTEMPTS = 3  # another program may take the free port before PostgreSQL does
INITDB_LIMIT = 120  # seconds
READY = ("ready", "standby")

# Small, since it shares the machine with what is tested; jit off, since its compiler is not unpacked.
SETTINGS = {
    "shared_buffers": "64MB",
    "max_connections": "100",
    "max_wal_size": "512MB",
    "jit": "off",
    "log_min_messages": "warning",
    "log_timezone": "GMT",
    "timezone": "GMT",
    "autovacuum_naptime": "10s",
}
# What was committed survives a kill all the same: it lies with the kernel. Only a power failure would take it.
UNSAFE = {"fsync": "off", "full_page_writes": "off"}


class Cluster:
    """`with Cluster() as cluster: cluster.create_database()`.

    `fsync` off makes it faster and unfit for tests of power loss. Raises DidNotStart; `parts.missing(POSTGRESQL)` says
    beforehand whether PostgreSQL is there.
    """

    def __init__(self, *, fsync: bool = True):
        self._fsync = fsync
        self._stack = contextlib.ExitStack()
        self._numbers = itertools.count(1)
        self._process: Process | None = None
        self.port = 0
        self.folder = Path()
        self.user = "mailferry"

    def __enter__(self) -> Self:
        found = home(POSTGRESQL)
        if not found:
            raise DidNotStart("PostgreSQL is not there")
        with self._stack:
            self.folder = self._stack.enter_context(scratch("mf-pg"))
            account = unprivileged("postgres", "nobody")
            if account:
                os.chown(self.folder, account.uid, account.gid)
            self._initdb(found, account)
            self._start(found, account)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def url(self, database: str = "postgres") -> str:
        """SQLAlchemy's URL of a database, over TCP."""
        return f"postgresql+psycopg://{self.user}@127.0.0.1:{self.port}/{database}"

    def create_database(self, template: str = "") -> str:
        """A new empty database, or a copy of the one at the URL `template`; returns its URL."""
        name = f"test_{next(self._numbers)}"
        source = template.rpartition("/")[2] or "template0"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        self._execute(statement.format(sql.Identifier(name), sql.Identifier(source)))
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drops a database and throws out whoever is connected to it."""
        name = sql.Identifier(url.rpartition("/")[2])
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A connection in autocommit mode over the UNIX socket, for looking behind the back of what is tested."""
        return psycopg.connect(autocommit=True, host=str(self.folder), port=self.port, user=self.user, dbname=database)

    def kill(self) -> None:
        """Ends it as a power failure would: no checkpoint, no goodbye. `start_again` recovers."""
        if self._process:
            self._process.stop()

    def start_again(self) -> None:
        """Starts the killed cluster on its old port."""
        found = home(POSTGRESQL)
        assert found and self._process
        self._process = self._launch(found, unprivileged("postgres", "nobody"))

    def stop(self) -> None:
        """Stops at once (`pg_ctl stop -m immediate`) and removes the folder."""
        self.kill()
        self._stack.close()

    def _execute(self, statement: sql.Composed) -> None:
        with self.connect() as connection:
            connection.execute(statement)

    def _initdb(self, found: Home, account: User | None) -> None:
        command = [str(found.program("initdb")), "--pgdata", str(self._data), "--username", self.user, "--no-sync"]
        command += ["--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-instructions"]
        done = subprocess.run(
            command,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            cwd=self.folder,
            env={**found.environment(), "TZ": "GMT"},
            capture_output=True,
            text=True,
            timeout=INITDB_LIMIT,
        )
        if done.returncode != 0:
            raise DidNotStart(f"initdb failed: {done.stderr[-2000:]}")
        settings = {**SETTINGS, "unix_socket_directories": str(self.folder), "listen_addresses": "127.0.0.1"}
        settings |= {} if self._fsync else UNSAFE
        with (self._data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def _start(self, found: Home, account: User | None) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            self.port = free_port()
            try:
                self._process = self._launch(found, account)
            except DidNotStart:
                if attempt == ATTEMPTS:
                    raise
            else:
                return

    def _launch(self, found: Home, account: User | None) -> Process:
        command = [str(found.program("postgres")), "-D", str(self._data), "-p", str(self.port)]
        log = self.folder / "log"
        process = Process(command, log, environment=found.environment(), user=account, stop_signal=signal.SIGQUIT)
        self._stack.callback(process.stop)
        process.wait_until(self._is_ready, "PostgreSQL")
        return process

    def _is_ready(self) -> bool:
        # The last line of postmaster.pid is what pg_ctl --wait looks at as well.
        with contextlib.suppress(OSError):
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            return len(lines) >= 8 and lines[7].strip() in READY
        return False

    @property
    def _data(self) -> Path:
        return self.folder / "data"
