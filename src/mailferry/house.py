"""Opens what every use of a data folder needs: folder, lock, keys, database. The server and offline commands share it."""

import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, insert

from mailferry.config import Config
from mailferry.delivery import queue as queues
from mailferry.net.dns import Resolver
from mailferry.resources import shared_keys
from mailferry.resources.domains import DomainBook
from mailferry.store.content import Content, TableContent
from mailferry.store.database import Database, open_database
from mailferry.store.lock import DataLock
from mailferry.store.migrations import migrate
from mailferry.store.schema import boots
from mailferry.store.secrets import Sealer, load_or_create_key
from mailferry.store.segments import SegmentContent


def clock() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class House:
    config: Config
    database: Database
    sealer: Sealer
    content: Content
    book: DomainBook
    resolver: Resolver
    #: This start of the process: leases name it.
    boot: int
    #: (key id, key) of return paths, the same on every node.
    return_path_key: tuple[int, bytes]

    @property
    def data_dir(self) -> Path:
        return self.config.data_dir

    @property
    def hostname(self) -> str:
        return self.config["server.hostname"] or socket.getfqdn()


@contextlib.asynccontextmanager
async def open_house(config: Config) -> AsyncIterator[House]:
    """Raises AlreadyRunning, PermissionError and WrongKey for keys, NewerDatabase, and SQLAlchemy's errors."""
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = DataLock(config.data_dir)
    lock.acquire()
    try:
        sealer = Sealer(load_or_create_key(config.key_file))
        database = open_database(config["database.url"], config.data_dir, config["database.pool"])
        try:
            await database.write(migrate)
            key = await database.write(
                lambda connection: shared_keys.get_or_create(connection, sealer, "return path", clock())
            )
            boot = await database.write(lambda connection: _begin_boot(connection, database.dialect))
            content = SegmentContent(config.data_dir / "segments") if database.dialect == "sqlite" else TableContent()
            resolver = Resolver(config["dns.nameservers"], clock=clock)
            yield House(config, database, sealer, content, DomainBook(database, clock), resolver, boot, key)
            if isinstance(content, SegmentContent):
                content.close()
        finally:
            await database.close()
    finally:
        lock.release()


def _begin_boot(connection: Connection, dialect: str) -> int:
    now = clock()
    if dialect == "sqlite":
        # We hold the lock, so whoever held these leases is gone: their work need not wait for the leases to end.
        queues.free_leases(connection, now)
    values = {"host": socket.gethostname(), "pid": os.getpid(), "started_at": now}
    return int(connection.execute(insert(boots).values(values).returning(boots.c.id)).scalar_one())
