"""Groups that fail: run again after a moment, item by item, or not again, as the reason asks for."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.exc import OperationalError

from mailferry.store.again import ATTEMPTS
from mailferry.store.database import Database, open_database
from mailferry.store.engines import postgres_engine
from mailferry.store.migrations import migrate
from mailferry.store.schema import accounts
from tests.peers.postgres import Cluster

CONFLICTS = {"40001": "serialization_failure", "40P01": "deadlock_detected"}


@contextlib.asynccontextmanager
async def opened(url: str, pauses: list[float] | None = None) -> AsyncIterator[Database]:
    told = pauses if pauses is not None else []
    database = Database("postgresql", postgres_engine(url, 1), postgres_engine(url, 2), 2, pause=told.append)
    try:
        yield database
    finally:
        await database.close()


async def as_one_group(database: Database, *work: tuple[Any, Any]) -> list[Any]:
    """Results or errors of (batch, item) pairs that share a transaction: the writer is busy until all of them wait."""
    begun, gate = threading.Event(), threading.Event()

    def busy(connection: Connection, items: Sequence[None]) -> Sequence[None]:
        begun.set()
        assert gate.wait(20)
        return items

    before = database.submit(busy, None)
    await asyncio.to_thread(begun.wait, 20)
    futures = [database.submit(batch, item) for batch, item in work]
    gate.set()
    await before
    return await asyncio.gather(*futures, return_exceptions=True)


@pytest.mark.parametrize("conflict", CONFLICTS.values())
async def test_who_lost_waits_before_it_tries_again(postgres_url: str, conflict: str) -> None:
    """Two that lost against each other and began again at once would meet again; each time they wait longer."""
    story: list[float] = []
    tries = 0

    def work(connection: Connection, losses: int) -> str:
        nonlocal tries
        tries += 1
        if tries <= losses:
            connection.execute(text(f"DO $$ BEGIN RAISE {conflict}; END $$"))
        return "done"

    async with opened(postgres_url, story) as database:
        for submit in (
            lambda: database.write(lambda connection: work(connection, ATTEMPTS - 1)),
            lambda: database.submit(lambda connection, items: [work(connection, ATTEMPTS - 1) for _ in items], "item"),
        ):
            story.clear()
            tries = 0
            assert await submit() == "done"
            assert tries == ATTEMPTS
            assert len(story) == ATTEMPTS - 1 and story == sorted(story) and 0 < story[0] < story[-1] < 1
            tries = -1  # one loss too many
            with pytest.raises(OperationalError):
                await submit()


async def test_pauses_differ(postgres_url: str) -> None:
    pauses: list[float] = []

    def lose(connection: Connection) -> None:
        connection.execute(text("DO $$ BEGIN RAISE deadlock_detected; END $$"))

    async with opened(postgres_url, pauses) as database:
        for _ in range(5):
            with pytest.raises(OperationalError):
                await database.write(lose)
    assert len(set(pauses[:: ATTEMPTS - 1])) == 5


async def test_a_lock_that_somebody_holds_is_waited_for_once_a_group(
    postgres_url: str, postgres_cluster: Cluster
) -> None:
    """Item by item, each of a group would wait for it again, and everything behind the group as well."""
    sizes: list[int] = []

    def rename(connection: Connection, names: Sequence[str]) -> Sequence[str]:
        sizes.append(len(names))
        connection.execute(text("UPDATE accounts SET name = :name WHERE id = 1000"), {"name": names[-1]})
        return names

    def add(connection: Connection, names: Sequence[str]) -> Sequence[str]:
        connection.execute(insert(accounts), [{"name": name} for name in names])
        return names

    async with opened(f"{postgres_url}?options=-c%20lock_timeout%3D100ms") as database:
        await database.write(migrate)
        await database.write(lambda c: c.execute(insert(accounts).values(id=1000, name="first")))
        with postgres_cluster.connect(postgres_url.rpartition("/")[2]) as behind, behind.transaction():
            behind.execute("UPDATE accounts SET name = 'held' WHERE id = 1000")
            work = [(rename, str(n)) for n in range(5)] + [(add, str(n)) for n in range(5)]
            results = await as_one_group(database, *work)
        assert [type(result) for result in results] == [OperationalError] * 5 + [str] * 5
        assert sizes == [5]
        assert await database.read(lambda c: c.execute(select(func.count()).select_from(accounts)).scalar()) == 6


async def test_kinds_have_transactions_of_their_own_where_other_nodes_take_locks(postgres_url: str) -> None:
    def transaction(connection: Connection) -> int:
        return int(connection.execute(text("SELECT pg_current_xact_id()::text::bigint")).scalar_one())

    def accept(connection: Connection, items: Sequence[int]) -> Sequence[int]:
        return [transaction(connection)] * len(items)

    def settle(connection: Connection, items: Sequence[int]) -> Sequence[int]:
        return [transaction(connection)] * len(items)

    async with opened(postgres_url) as database:
        work = [(settle, 0), (accept, 1), (settle, 2), (accept, 3), (settle, 4)]
        first, second, *rest = await as_one_group(database, *work)
    assert first < second, "the oldest goes first"
    assert rest == [first, second, first], "and takes with it whatever is of its kind"


async def test_a_batch_that_no_disk_takes_is_not_tried_item_by_item(database: Database) -> None:
    sizes: list[int] = []

    def keep(connection: Connection, items: Sequence[int]) -> Sequence[int]:
        sizes.append(len(items))
        raise OSError(28, "No space left on device")

    def add(connection: Connection, items: Sequence[int]) -> Sequence[int]:
        connection.execute(insert(accounts), [{"id": item, "name": ""} for item in items])
        return items

    results = await as_one_group(database, *((keep, n) for n in range(8)), *((add, n) for n in range(1, 9)))
    assert [type(result) for result in results] == [OSError] * 8 + [int] * 8
    assert sizes == [8]
    # Who shares a group with them is not refused with them.
    assert await database.read(lambda c: c.execute(select(func.count()).select_from(accounts)).scalar()) == 8


async def test_a_transaction_that_sqlite_ended_by_itself_takes_its_whole_group(tmp_path: Path) -> None:
    """Where it cannot write it rolls back by itself, and what was executed then would be committed, each by itself."""
    opened = open_database("", tmp_path, 1)
    await opened.write(migrate)

    def ends(connection: Connection, items: Sequence[int]) -> Sequence[int]:
        connection.exec_driver_sql("ROLLBACK")
        raise ValueError("ended")

    def add(connection: Connection, items: Sequence[int]) -> Sequence[int]:
        connection.execute(insert(accounts), [{"id": item, "name": ""} for item in items])
        return items

    results = await as_one_group(opened, (add, 1), (ends, 2), (ends, 3), (add, 4))
    assert all(isinstance(result, Exception) for result in results)
    assert await opened.read(lambda c: c.execute(select(accounts.c.id)).scalars().all()) == []
    assert await opened.submit(add, 4) == 4
    await opened.close()
