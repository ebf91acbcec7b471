"""SIGKILL at every named point and at random moments: nothing that was answered yes is lost, nothing is stuck."""

import secrets
from pathlib import Path

import pytest

from mailferry.faults import POINTS
from tests.crash.story import story


async def test_nothing_is_lost(tmp_path: Path, database_url: str, pytestconfig: pytest.Config) -> None:
    seed = secrets.randbelow(1 << 32)
    async with story(tmp_path, database_url, seed) as told:
        for point in POINTS:
            await told.kill_at(point, nth=told.random.randint(8, 30))
        for _ in range(pytestconfig.getoption("--kills")):
            await told.kill_at_random()
        await told.come_to_rest()
    print(f"seed {seed}: {told.counts()}")
    told.check()
