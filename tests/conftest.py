"""Fixtures of the whole house. Strangers (PostgreSQL, Postfix, ...) come from tests/peers/fixtures.py."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import Engine

from mailferry.store.database import Database, open_database
from mailferry.store.engines import postgres_engine, sqlite_engine
from mailferry.store.migrations import migrate
from tests.beside import Beside, beside_of
from tests.peers.emptied import Emptied
from tests.peers.postgres import Cluster

pytest_plugins = ["tests.peers.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--examples", type=int, default=0, help="examples of each property test; 0 = the test's own number"
    )
    parser.addoption("--kills", type=int, default=20, help="kills at random moments in each crash test")


def pytest_configure(config: pytest.Config) -> None:
    from hypothesis import HealthCheck, settings

    # A logger that was kept under an earlier configuration is heard by no test that captures what is said.
    configure = structlog.configure
    structlog.configure = lambda **given: configure(**given | {"cache_logger_on_first_use": False})

    # A noisy machine must not fail a property by its clock.
    settings.register_profile("mailferry", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("mailferry")
    if examples := config.getoption("--examples"):
        settings.register_profile("soak", settings.get_profile("mailferry"), max_examples=examples)
        settings.load_profile("soak")


class Clock:
    """Unix milliseconds, moved by the test."""

    def __init__(self) -> None:
        self.now = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now

    def forward(self, *, seconds: float = 0, hours: float = 0) -> None:
        self.now += int(seconds * 1000 + hours * 3_600_000)


@pytest.fixture(autouse=True)
def _default_logging() -> Iterator[None]:
    """Commands that ran in this process have set a level, which the next test's logs would have."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Every test that asks for this runs on both databases; PostgreSQL is at the newest step, without rows."""
    if request.param == "sqlite":
        return ""
    return request.getfixturevalue("migrated_postgres_url")


@pytest.fixture(params=["sqlite", "postgresql"])
def blank_url(request: pytest.FixtureRequest) -> str:
    """As :func:`database_url`, and on PostgreSQL nothing is made yet."""
    return "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
async def database(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """A database at the newest step, without rows."""
    if not database_url:
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "mailferry.db")
    opened = open_database(database_url, tmp_path, 2)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to be copied: the steps are run once, and not for each of a thousand tests."""
    path = tmp_path_factory.mktemp("migrated") / "mailferry.db"
    _migrate(sqlite_engine(path, writer=True))
    return path


@pytest.fixture(scope="session")
def _emptied(postgres_cluster: Cluster) -> Emptied:
    return Emptied(postgres_cluster, lambda url: _migrate(postgres_engine(url, 1)))


@pytest.fixture
def migrated_postgres_url(_emptied: Emptied) -> Iterator[str]:
    url = _emptied.take()
    yield url
    _emptied.give_back(url)


def _migrate(engine: Engine) -> None:
    with engine.begin() as connection:
        migrate(connection)
    engine.dispose()


async def eventually(check: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until it is true; the bound only ends a test that would hang."""
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, f"not within {seconds} s: {check}"
        await asyncio.sleep(0.02)


@pytest.fixture
async def beside(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[Beside]:
    async with beside_of(database, database_url, tmp_path) as made:
        yield made
