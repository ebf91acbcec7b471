"""Our clock against the database's: nodes that share a database write times that others read."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mailferry import house
from mailferry.house import Unusable, clock
from mailferry.store.database import Database, clock_ahead, open_database
from tests.test_house import configured, opened


def shifted(seconds: float) -> Callable[[], int]:
    return lambda: clock() + int(seconds * 1000)


@pytest.mark.parametrize("seconds", [-7200, -3, 3, 7200])
async def test_the_difference_is_seen_both_ways(postgres_url: str, seconds: float) -> None:
    database = open_database(postgres_url, Path(), 1)
    assert abs(await clock_ahead(database, shifted(seconds)) - seconds) < 1
    assert await clock_ahead(database, clock) == 0
    await database.close()


async def test_a_slow_answer_is_no_difference(postgres_url: str) -> None:
    database = open_database(postgres_url, Path(), 1)
    asked: list[int] = []

    def slow() -> int:
        if asked:
            time.sleep(0.3)
        asked.append(clock())
        return asked[-1]

    assert await clock_ahead(database, slow) == 0
    assert asked[1] - asked[0] >= 290
    await database.close()


async def test_sqlite_has_our_clock(tmp_path: Path) -> None:
    database: Database = open_database("", tmp_path, 1)
    assert await clock_ahead(database, shifted(7200)) == 0
    await database.close()


@pytest.mark.parametrize(("seconds", "word"), [(90, "ahead of"), (-90, "behind")])
async def test_a_node_whose_clock_is_wrong_does_not_start(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch, seconds: float, word: str
) -> None:
    monkeypatch.setattr(house, "clock", shifted(seconds))
    with pytest.raises(Unusable) as caught:
        await opened(configured(tmp_path, database__url=postgres_url))
    assert str(caught.value).startswith(f"this machine's clock is 90 s {word} the database's: ")


async def test_a_clock_that_differs_a_little_is_said(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with capture_logs() as logged:
        await opened(configured(tmp_path, database__url=postgres_url))
    assert not [entry for entry in logged if entry["event"] == "clock_differs"]
    monkeypatch.setattr(house, "clock", shifted(5))
    with capture_logs() as logged:
        await opened(configured(tmp_path, database__url=postgres_url))
    (entry,) = [entry for entry in logged if entry["event"] == "clock_differs"]
    assert entry["log_level"] == "warning" and 4 < entry["seconds"] < 6
