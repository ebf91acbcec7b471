"""What a load balancer hears: whether the database answers in time, and whether mail can be kept."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from mailferry import __version__
from mailferry.endpoints.operations.health import metrics_app, route
from mailferry.store.content import TROUBLE_MS, TableContent
from mailferry.store.database import Database, open_database
from mailferry.store.migrations import migrate
from mailferry.store.segments import SegmentContent
from tests import asgi
from tests.conftest import Clock
from tests.test_store_segments import keep, no_file_beyond


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Database]:
    made = open_database("", tmp_path, 1)
    await made.write(migrate)
    yield made
    await made.close()


@pytest.fixture
def content(tmp_path: Path) -> SegmentContent:
    return SegmentContent(tmp_path / "segments")


@pytest.fixture
def app(opened: Database, content: SegmentContent, clock: Clock) -> Starlette:
    return Starlette(routes=[Route("/health", route(opened, content, clock))])


async def test_a_database_that_is_gone_is_unwell(
    app: Starlette, opened: Database, content: SegmentContent, clock: Clock
) -> None:
    well = await asgi.call(app, "GET", "/health")
    assert (well.status, well.json) == (200, {"status": "ok", "version": __version__})
    await opened.close()
    for unwell in (app, metrics_app(opened, content, clock)):
        answer = await asgi.call(unwell, "GET", "/health")
        assert (answer.status, answer.json) == (503, {"status": "unwell", "database": "Busy"})


async def test_a_database_that_hangs_is_unwell_and_well_again(app: Starlette, opened: Database) -> None:
    gate = threading.Event()
    hanging = asyncio.ensure_future(opened.read(lambda _: gate.wait(30)))
    answer = await asyncio.wait_for(asgi.call(app, "GET", "/health"), 10)
    assert (answer.status, answer.json) == (503, {"status": "unwell", "database": "TimeoutError"})
    assert not hanging.done()
    gate.set()
    await hanging
    assert (await asgi.call(app, "GET", "/health")).status == 200


async def test_a_disk_that_takes_nothing_is_unwell(app: Starlette, content: SegmentContent, clock: Clock) -> None:
    with no_file_beyond(10), pytest.raises(OSError, match="too large"):
        keep(content, b"x" * 11, now=clock())
    answer = await asgi.call(app, "GET", "/health")
    assert (answer.status, answer.json) == (
        503,
        {"status": "unwell", "disk": "bytes could not be kept: File too large"},
    )
    keep(content, b"x", now=clock())
    assert (await asgi.call(app, "GET", "/health")).status == 200
    content.close()


async def test_a_postgresql_whose_disk_is_full_is_unwell_for_a_while(postgres_url: str, clock: Clock) -> None:
    database = open_database(postgres_url, Path(), 2)
    await database.write(migrate)
    content = TableContent()
    app = Starlette(routes=[Route("/health", route(database, content, clock))])
    full = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE disk_full; END $$"
    trigger = "CREATE TRIGGER full_disk BEFORE INSERT ON content FOR EACH ROW EXECUTE FUNCTION full_disk()"
    await database.write(lambda c: content.keep(c, [("before", b"x")], clock()))
    await database.write(lambda c: [c.exec_driver_sql(statement) for statement in (full, trigger)])
    with pytest.raises(Exception, match="DiskFull"):
        await database.write(lambda c: content.keep(c, [("refused", b"x")], clock()))
    answer = await asgi.call(app, "GET", "/health")
    assert (answer.status, answer.json["disk"]) == (503, "bytes could not be kept: the database's disk is full")
    clock.forward(seconds=TROUBLE_MS / 1000)
    assert (await asgi.call(app, "GET", "/health")).status == 200
    await database.close()
