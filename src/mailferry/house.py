"""Opens what every use of a data folder needs: folder, lock, keys, database. The server and offline commands share it."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from mailferry.config import SQLITE_FILE, Config
from mailferry.delivery import queue as queues
from mailferry.journal import follow
from mailferry.net.dns import Resolver
from mailferry.net.hosts import BadHost, host_name
from mailferry.resources import shared_keys
from mailferry.resources.contacts import jobs as contact_jobs
from mailferry.resources.domains import DomainBook
from mailferry.store.again import passing
from mailferry.store.captured import CapturedContent, CapturedSegments, CapturedTable
from mailferry.store.clock import CommonClock, clock_ahead
from mailferry.store.content import DatedContent, TableContent
from mailferry.store.database import Database, open_database, unavailable
from mailferry.store.lock import DataLock
from mailferry.store.migrations import NewerDatabase, migrate
from mailferry.store.schema import boots
from mailferry.store.schema import shared_keys as shared_keys_table
from mailferry.store.secrets import Sealer, WrongKey, load_or_create_key
from mailferry.store.segments import SegmentContent
from mailferry.store.threads import Busy

T = TypeVar("T")

log = structlog.get_logger(__name__)

#: Seconds that this machine's clock may differ from the database's, which counts: beyond the first it is said, beyond the
#: second one of the two is so wrong that we do not start.
CLOCK_WARN = 1.0
CLOCK_MOST = 60.0

#: A database whose connections break while we start (it is restarted, say) is waited for so long, and asked this often.
PATIENCE_SECONDS = 20.0
PAUSE_SECONDS = 0.2


class Unusable(RuntimeError):
    """The data folder, its key or its database cannot be used; the text names it and says what would help."""


def clock() -> int:
    """Unix milliseconds, as this machine has them. Whoever has a house asks the house's clock."""
    return time.time_ns() // 1_000_000


def ticks() -> int:
    """Milliseconds that only go forward, whatever is done to the clock: for how long something lasts in this process."""
    return time.monotonic_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class House:
    config: Config
    database: Database
    clock: CommonClock
    sealer: Sealer
    content: DatedContent
    #: The bytes of what the sandbox caught.
    captured: CapturedContent
    book: DomainBook
    resolver: Resolver
    #: Our name in EHLO, greetings and DNS records.
    hostname: str
    #: This start of the process: leases name it.
    boot: int
    #: (key id, key) of return paths, the same on every node.
    return_path_key: tuple[int, bytes]
    #: Those of links in mail, by their numbers; the highest is the one that signs.
    link_keys: Mapping[int, bytes]

    @property
    def data_dir(self) -> Path:
        return self.config.data_dir


@contextlib.asynccontextmanager
async def open_house(config: Config) -> AsyncIterator[House]:
    """Raises :class:`Unusable`, BadSetting, and AlreadyRunning when another process holds the folder."""
    hostname = _hostname(config)
    _make_folder(config.data_dir)
    lock = DataLock(config.data_dir)
    try:
        lock.acquire()
    except OSError as error:
        raise Unusable(f"{config.data_dir} cannot be used: {error.strerror}") from error
    try:
        database = _open_database(config)
        try:
            common, sealer, key, link_keys, boot = await at_start(config, lambda: _first_steps(config, database))
            content, captured = _contents(config, database)
            resolver = Resolver(config["dns.nameservers"], clock=ticks)
            try:
                yield House(
                    config,
                    database,
                    common,
                    sealer,
                    content,
                    captured,
                    DomainBook(database, ticks),
                    resolver,
                    hostname,
                    boot,
                    key,
                    link_keys,
                )
            finally:
                await database.close()  # first: what waits in it may have bytes to be kept
                for each in (content, captured):
                    if isinstance(each, SegmentContent):
                        each.close()
        finally:
            await database.close()
    finally:
        lock.release()


def _contents(config: Config, database: Database) -> tuple[DatedContent, CapturedContent]:
    if database.dialect == "sqlite":
        return SegmentContent(config.data_dir / "segments"), CapturedSegments(config.data_dir)
    return TableContent(), CapturedTable()


async def at_start(config: Config, step: Callable[[], Awaitable[T]]) -> T:
    """Take a step of the start that may be taken twice: again from its beginning when a connection breaks on the way.

    A database that was not there from the first is not waited for: its address may be wrong. Raises :class:`Unusable`.
    """
    until, broke = time.monotonic() + PATIENCE_SECONDS, False
    with _explained(config):
        while True:
            try:
                return await step()
            except (DBAPIError, Busy) as error:
                broke = broke or (isinstance(error, DBAPIError) and passing(error))
                if not broke or not unavailable(error) or time.monotonic() > until:
                    raise
                log.warning("database_lost", error=type(error).__name__)
            await asyncio.sleep(PAUSE_SECONDS)


async def _first_steps(
    config: Config, database: Database
) -> tuple[CommonClock, Sealer, tuple[int, bytes], Mapping[int, bytes], int]:
    await database.write(migrate, hurried=False)
    common = await _common_clock(database)
    sealer = await _sealer(config, database)
    key = await database.write(
        lambda connection: shared_keys.get_or_create(connection, sealer, "return path", common())
    )
    link_keys = await database.write(lambda connection: _link_keys(connection, sealer, common()))
    boot = await database.write(lambda connection: _begin_boot(connection, database.dialect, common()))
    return common, sealer, key, link_keys, boot


def _own_name() -> str:
    """A full name where the system knows one; never that of the loopback interface."""
    full = socket.getfqdn()
    return socket.gethostname() if full.startswith("localhost") else full


def _hostname(config: Config) -> str:
    """Asked once: where the machine's own name is in no DNS, asking may take seconds."""
    name = config["server.hostname"] or _own_name()
    try:
        return host_name(name)
    except BadHost as error:
        where = "" if config["server.hostname"] else " (this machine's name)"
        raise config.wrong("server.hostname", f"{error}{where}") from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Unusable(f"{folder} cannot be the data folder: {error.strerror}") from error


def _open_database(config: Config) -> Database:
    url = config["database.url"]
    if not url:
        _prepare_file(config.data_dir / SQLITE_FILE)
    try:
        return open_database(url, config.data_dir, config["database.pool"])
    except ImportError as error:
        raise Unusable("PostgreSQL needs its driver: pip install 'mailferry[postgres]'") from error
    except (SQLAlchemyError, ValueError) as error:
        # Not the error's own text: it may repeat the URL with its password.
        raise config.wrong("database.url", "it is no URL; postgresql://USER:PASSWORD@HOST:PORT/NAME") from error


def _prepare_file(path: Path) -> None:
    """Made here and not by SQLite, so that nobody else can read it, whatever the folder's mode and the umask are."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with path.open("rb") as file:
            magic = file.read(16)
    except OSError as error:
        raise Unusable(f"{path} cannot be opened: {error.strerror}") from error
    # https://www.sqlite.org/fileformat.html#the_database_header
    if magic not in (b"", b"SQLite format 3\0"):
        raise Unusable(f"{path} is no SQLite database: it is damaged, or another program's")


async def _sealer(config: Config, database: Database) -> Sealer:
    """A key is only made where nothing was sealed yet: a new one beside old secrets would open none of them."""
    sealed = await database.read(_anything_sealed)
    path = config.key_file
    try:
        return Sealer(load_or_create_key(path, create=not sealed))
    except FileNotFoundError as error:
        raise Unusable(
            f"{path} is missing, and the database holds secrets that only this key opens: put the file back, "
            "from a backup or from another node"
        ) from error
    except OSError as error:  # our own PermissionError says in its text what to do
        raise Unusable(f"{path} cannot be used: {error.strerror}" if error.strerror else str(error)) from error
    except ValueError as error:
        raise Unusable(str(error)) from error


async def _common_clock(database: Database) -> CommonClock:
    """The database's, which all nodes share."""
    ahead = await clock_ahead(database, clock)
    if abs(ahead) > CLOCK_MOST:
        raise Unusable(
            f"this machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the database's: "
            "set both right (NTP)"
        )
    if abs(ahead) > CLOCK_WARN:
        log.warning("clock_differs", seconds=ahead)
    return CommonClock(clock, ahead)


def _anything_sealed(connection: Connection) -> bool:
    return connection.execute(select(shared_keys_table.c.id).limit(1)).first() is not None


@contextlib.contextmanager
def _explained(config: Config) -> Iterator[None]:
    """What goes wrong while a database is opened, in words for an operator."""
    try:
        yield
    except NewerDatabase as error:
        raise Unusable(str(error)) from error
    except WrongKey as error:
        raise Unusable(
            f"{config.key_file} is not the key that the database's secrets are sealed with: put the right file there, "
            "from a backup or from another node"
        ) from error
    except (DBAPIError, Busy) as error:
        where = "[database] url" if config["database.url"] else str(config.data_dir / SQLITE_FILE)
        said = " ".join(str(error.orig if isinstance(error, DBAPIError) else error).split())
        raise Unusable(f"the database ({where}) cannot be used: {said}") from error


def _link_keys(connection: Connection, sealer: Sealer, now: int) -> Mapping[int, bytes]:
    shared_keys.get_or_create(connection, sealer, "links", now)
    return shared_keys.all_of(connection, sealer, "links")


def _begin_boot(connection: Connection, dialect: str, now: int) -> int:
    if dialect == "sqlite":
        # We hold the lock, so whoever held these leases is gone: their work need not wait for the leases to end.
        queues.free_leases(connection, now)
        contact_jobs.free_leases(connection)
        follow.free_leases(connection)
    values = {"host": socket.gethostname(), "pid": os.getpid(), "started_at": now}
    return int(connection.execute(insert(boots).values(values).returning(boots.c.id)).scalar_one())
