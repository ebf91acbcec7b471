"""Fixtures of the whole house. Strangers (PostgreSQL, Postfix, ...) come from tests/peers/fixtures.py."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mailferry.store.database import Database, open_database
from mailferry.store.migrations import migrate

pytest_plugins = ["tests.peers.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--examples", type=int, default=0, help="examples of each property test; 0 = the test's own number"
    )
    parser.addoption("--kills", type=int, default=20, help="kills at random moments in each crash test")


def pytest_configure(config: pytest.Config) -> None:
    from hypothesis import HealthCheck, settings

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


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Every test that asks for this runs on both databases."""
    return "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
async def database(database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database at the newest step."""
    opened = open_database(database_url, tmp_path, 2)
    await opened.write(migrate)
    yield opened
    await opened.close()


async def eventually(check: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until it is true; the bound only ends a test that would hang."""
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, f"not within {seconds} s: {check}"
        await asyncio.sleep(0.02)
