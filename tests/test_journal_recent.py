"""Recipients of the last 24 hours: as many as a count of the table finds, and what is over is not counted again."""

from random import Random

from sqlalchemy import delete, func, insert, select

from mailferry.journal.ids import drawn_at, first_at
from mailferry.journal.recent import DAY_MS, UNIT_MS, Recent
from mailferry.store.database import Database
from mailferry.store.schema import recipients
from tests.conftest import Clock


async def accepted(database: Database, *moments: int, account_id: int = 7) -> None:
    rows = [{"id": drawn_at(each), "message_id": "m", "account_id": account_id, "kind": "to"} for each in moments]
    await database.write(lambda c: c.execute(insert(recipients), rows))


async def counted(database: Database, clock: Clock) -> int:
    table = recipients
    found = select(func.count()).where(table.c.account_id == 7, table.c.id >= first_at(clock() - DAY_MS))
    return int(await database.read(lambda c: c.execute(found).scalar_one()))


async def test_as_many_as_there_are_while_time_passes(database: Database, clock: Clock) -> None:
    random, recent = Random(7), Recent(database, clock)
    await accepted(database, clock() - DAY_MS - 1, clock() - DAY_MS, clock() - DAY_MS + 1, clock())
    await accepted(database, clock(), account_id=8)
    assert await recent.recipients(7) == 3
    for _ in range(60):
        clock.now += random.choice((1_000, 60_000, UNIT_MS, 7_200_000))
        # Some ids were drawn before the last look and were committed after it.
        await accepted(database, *(clock() - random.randrange(10_000) for _ in range(5)))
        assert await recent.recipients(7) == await counted(database, clock)
    assert await recent.recipients(9) == 0


async def test_what_is_over_is_counted_once(database: Database, clock: Clock) -> None:
    recent = Recent(database, clock)
    await accepted(database, clock() - DAY_MS // 2, clock())
    assert await recent.recipients(7) == 2
    await database.write(lambda c: c.execute(delete(recipients)))
    assert await recent.recipients(7) == 1
    clock.now += DAY_MS // 2 + UNIT_MS
    assert await recent.recipients(7) == 0
