"""The room of deleted messages comes back, and what is left is read as before. (SQLite: elsewhere bytes go with their row.)"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailferry.sandbox import inbox, tidy
from mailferry.sandbox.tidy import Tidying
from mailferry.store.captured import CapturedSegments
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.test_sandbox_capture import Box

IN_SEGMENTS = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class House(Box):
    def __init__(self, database: Database, clock: Clock, content: CapturedSegments) -> None:
        super().__init__(database, clock, content)
        self.segments = content
        self.tidying = Tidying(database, content, clock)

    async def fill(self, number: int = 10) -> list[int]:
        """Ten messages of a kilobyte, which is the size of a segment; the next one begins another."""
        texts = [f"{each}\r\nX-Filler: {'x' * 900}" for each in range(number)]
        return [identity for text in texts for identity in await self.take(text)]

    async def delete(self, *ids: int) -> None:
        await self.database.write(lambda c: inbox.remove(c, self.content, self.id, ids))

    def names(self, folder: Path) -> list[str]:
        return sorted(path.name for path in (folder / "sandbox").iterdir())


@pytest.fixture
async def house(database: Database, clock: Clock, tmp_path: Path) -> AsyncIterator[House]:
    content = CapturedSegments(tmp_path, small=0)
    content._most = 10_000
    yield await House(database, clock, content).open()  # type: ignore[misc]
    content.close()


@IN_SEGMENTS
@pytest.mark.parametrize("sealed", [False, True])
async def test_a_segment_that_no_row_names_goes_at_the_second_look(house: House, tmp_path: Path, sealed: bool) -> None:
    ids = await house.fill(25)
    if sealed:
        house.segments.seal()
    first, second, current = house.names(tmp_path)
    await house.delete(*ids[:9])
    await house.tidying.round()
    await house.delete(*ids[9:11])
    await house.tidying.round()
    assert house.names(tmp_path)[0] == first, "what was needed a moment ago may be named by a row about to be committed"
    await house.tidying.round()
    assert house.names(tmp_path) == [second, current]
    await house.delete(*ids)
    for _ in range(3):
        await house.tidying.round()
    assert house.names(tmp_path) == [current], "it is written to"


@IN_SEGMENTS
@pytest.mark.parametrize("sealed", [False, True])
async def test_of_a_segment_that_is_mostly_dead_the_rest_is_written_again(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sealed: bool
) -> None:
    monkeypatch.setattr(tidy, "PIECE", 1)  # a transaction a message
    ids = await house.fill(15)
    if sealed:
        house.segments.seal()
    before = {each.id: (each, await house.bytes_of(each)) for each in await house.page()}
    first = before[ids[0]][0].segment
    await house.delete(*ids[2:10])
    await house.tidying.round()
    left = {each.id: each for each in await house.page()}
    assert set(left) == set(before) - set(ids[2:10])
    assert all(each.segment != first for each in left.values())
    assert {identity: await house.bytes_of(each) for identity, each in left.items()} == {
        identity: before[identity][1] for identity in left
    }
    for _ in range(2):
        await house.tidying.round()
    assert all(not name.startswith(first) for name in house.names(tmp_path))


@IN_SEGMENTS
async def test_a_segment_that_is_half_alive_stays(house: House, tmp_path: Path) -> None:
    ids = await house.fill(15)
    await house.delete(*ids[:5])
    before = await house.rows()
    for _ in range(3):
        await house.tidying.round()
    assert [row.segment for row in await house.rows()] == [row.segment for row in before]
