"""Whoever follows the journal sees every event once, in order, and none too early. On both databases."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select, update

from mailferry.journal import follow
from mailferry.journal.events import Kind, State
from mailferry.journal.follow import DEAD_MS, LEASE_MS, Cursor, Position
from mailferry.journal.ids import Ids
from mailferry.journal.retention import forget_logs
from mailferry.store.database import Database, open_database
from mailferry.store.migrations import migrate
from mailferry.store.schema import events, recipients
from tests.conftest import Clock
from tests.fakes.journal import write_message

ALL = set(Kind)
DAY = 86_400_000


def write(connection: Connection, recipient: str, kind: Kind = Kind.DELIVERY, account: int = 7, at: int = 0) -> None:
    of = select(recipients.c.message_id).where(recipients.c.id == recipient).scalar_subquery()
    row: dict[str, Any] = {"kind": kind.value, "at": at, "account_id": account, "recipient_id": recipient}
    row["message_id"] = func.coalesce(of, "")
    connection.execute(insert(events).values(row))


async def put(database: Database, *recipients: str, **how: int) -> None:
    await database.write(lambda c: [write(c, each, **how) for each in recipients] and None)  # type: ignore[arg-type]


async def read_on(database: Database, after: Position, most: int = 100) -> tuple[list[str], Position]:
    window = await database.read(lambda c: follow.read(c, after, ALL, {7}, most))
    return [row.recipient_id for row in window.rows], window.until


async def settled(database: Database) -> None:
    """On PostgreSQL another test's transaction may be what is waited for."""
    while database.dialect == "postgresql":
        last = await database.read(lambda c: c.execute(select(func.max(events.c.xact))).scalar())
        if last is None or (await database.read(follow.end)).xact >= last:
            return


async def test_every_event_is_read_once_and_in_order(database: Database) -> None:
    await put(database, "before")
    await settled(database)
    start = await database.read(follow.end)
    await put(database, "a", "b")
    await put(database, "c")
    await settled(database)
    found, until = await read_on(database, start, 2)
    assert found == ["a", "b"]
    found, until = await read_on(database, until, 2)
    assert found == ["c"]
    assert await read_on(database, until, 2) == ([], until)
    assert await database.read(lambda c: follow.lag(c, Cursor("x", until, "", 0, 0))) is None
    assert await database.read(lambda c: follow.lag(c, Cursor("x", start, "", 0, 0))) == 0


async def test_what_nobody_wants_is_passed_over(database: Database) -> None:
    start = await database.read(follow.end)
    await put(database, "a", "b", "c", account=8)
    await put(database, "d")
    await settled(database)
    found, until = await read_on(database, start, 3)
    assert found == [] and until > start
    assert (await read_on(database, until, 3))[0] == ["d"]


async def test_a_lower_id_that_is_committed_later_is_not_missed(postgres_url: str, tmp_path: Path) -> None:
    database = open_database(postgres_url, tmp_path, 3)
    await database.write(migrate)
    try:
        start = await database.read(follow.end)
        wrote, go = threading.Event(), threading.Event()

        def slow(connection: Connection) -> None:
            write(connection, "first")  # its id is drawn now
            wrote.set()
            go.wait(20)

        task = asyncio.create_task(database.write(slow))
        await asyncio.to_thread(wrote.wait, 20)
        await put(database, "second")
        assert await read_on(database, start) == ([], start)  # too early: something may still come before it
        go.set()
        await task
        await settled(database)
        ids = await database.read(
            lambda c: c.execute(select(events.c.recipient_id).order_by(events.c.id)).scalars().all()
        )
        assert list(ids) == ["first", "second"]
        found, _ = await read_on(database, start)
        assert sorted(found) == ["first", "second"]
    finally:
        await database.close()


async def test_one_holds_a_cursor_at_a_time(database: Database, clock: Clock) -> None:
    await database.write(lambda c: follow.begin(c, "x", Position(0, 5), clock()))
    await database.write(lambda c: follow.begin(c, "x", Position(0, 9), clock()))  # it is there already
    mine = await database.write(lambda c: follow.claim(c, "x", clock()))
    assert mine is not None and mine.position == (0, 5)
    assert await database.write(lambda c: follow.claim(c, "x", clock())) is None
    clock.forward(seconds=LEASE_MS / 1000 - 1)
    mine = await database.write(lambda c: follow.renew(c, mine, clock()))
    assert mine is not None
    clock.forward(seconds=LEASE_MS / 1000 + 1)
    other = await database.write(lambda c: follow.claim(c, "x", clock()))
    assert other is not None
    assert await database.write(lambda c: follow.renew(c, mine, clock())) is None
    assert not await database.write(lambda c: follow.is_held(c, mine))
    assert not await database.write(lambda c: follow.move(c, mine, Position(0, 6), clock()))
    assert await database.write(lambda c: follow.move(c, other, Position(0, 7), clock()))
    assert not await database.write(lambda c: follow.move(c, other, Position(0, 8), clock()))  # from where it was read
    await database.write(lambda c: follow.release(c, other))
    assert await database.write(lambda c: follow.claim(c, "x", clock())) is not None


@pytest.mark.parametrize("dead", [False, True])
async def test_the_log_waits_for_whoever_has_yet_to_read_it(database: Database, clock: Clock, dead: bool) -> None:
    ids = Ids(clock)
    read, unread = await message_of(database, ids, clock), await message_of(database, ids, clock)
    await put(database, read)
    await settled(database)
    position = await database.read(follow.end)
    await put(database, unread, read)
    newest = await message_of(database, ids, clock)
    await put(database, newest)
    await database.write(lambda c: follow.begin(c, "x", position, clock()))
    clock.forward(hours=40 * 24)
    if not dead:
        await database.write(lambda c: follow.claim(c, "x", clock()))
    gone = await database.write(lambda c: forget_logs(c, clock(), 30))
    # Of a dead cursor nothing is kept but the newest event, by which SQLite numbers the next.
    assert gone == (2 if dead else 0)
    assert await database.read(lambda c: follow.is_dead(follow.every(c)[0], clock())) is dead
    if not dead:
        await settled(database)
        end = await database.read(follow.end)
        held = (await database.read(follow.every))[0]
        assert await database.write(lambda c: follow.move(c, held, end, clock()))
        assert await database.write(lambda c: forget_logs(c, clock(), 30)) == 2
    assert DEAD_MS < 40 * DAY


async def message_of(database: Database, ids: Ids, clock: Clock) -> str:
    (made,) = await database.write(lambda c: write_message(c, ids, clock()))
    done = update(recipients).where(recipients.c.id == made).values(state=State.DELIVERED.value)
    await database.write(lambda c: c.execute(done) and None)
    return made


async def test_no_event_gets_a_number_that_a_cursor_has_passed(database: Database, clock: Clock) -> None:
    """SQLite numbers a row after the newest that is there; after a quiet month there would be none."""
    ids = Ids(clock)
    for _ in range(3):
        await put(database, await message_of(database, ids, clock))
    await settled(database)
    position = await database.read(follow.end)
    await database.write(lambda c: follow.begin(c, "x", position, clock()))
    clock.forward(hours=40 * 24)
    await database.write(lambda c: forget_logs(c, clock(), 30))
    later = await message_of(database, ids, clock)
    await put(database, later)
    await settled(database)
    assert (await read_on(database, position))[0] == [later]


async def test_a_moment_is_found_by_halving(database: Database) -> None:
    for minute in range(200):
        await put(database, f"r{minute}", at=minute * 60_000)
    ids = dict(
        await database.read(lambda c: [tuple(row) for row in c.execute(select(events.c.recipient_id, events.c.id))])
    )
    assert await database.read(lambda c: follow.first_at(c, 100 * 60_000)) in (ids["r99"], ids["r98"], ids["r100"])
    assert await database.read(lambda c: follow.first_at(c, 0)) == ids["r0"]
    assert await database.read(lambda c: follow.first_at(c, 10**12)) >= ids["r199"]
