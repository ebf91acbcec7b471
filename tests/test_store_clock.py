"""Our clock against the database's: nodes that share a database write times that others read."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mailferry import house
from mailferry.delivery import queue as queues
from mailferry.ending import Ending
from mailferry.house import Unusable, clock
from mailferry.roles import Parts
from mailferry.store import clock as clocks
from mailferry.store.clock import CommonClock, clock_ahead
from mailferry.store.database import Database, open_database
from tests import delivery_support
from tests.conftest import eventually
from tests.delivery_support import EXPIRE_MS, FIRST_RETRY_MS, GREYLISTED, POSTGRES, SQLITE, Office
from tests.test_house import configured, opened

office, engines = delivery_support.office, delivery_support.engines

HOURS = 3_600_000
#: A clock that is set forward makes five days of waiting short, one that is set back makes seconds long.
STEPS = [83 * HOURS, -HOURS]


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


# --- one clock --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [40, -40])
async def test_a_node_has_the_time_of_the_database(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(house, "clock", shifted(seconds))
    node = await opened(configured(tmp_path, database__url=postgres_url))
    assert abs(node.clock() - clock()) < 5_000


@POSTGRES
async def test_nodes_whose_clocks_differ_take_nothing_twice(office: Office) -> None:
    """The one whose clock is ahead would find the other one's leases ended."""
    nodes = []
    for boot, seconds in ((1, 0), (2, 40)):
        wall = shifted(seconds)
        common = CommonClock(wall, await clock_ahead(office.database, wall))
        node = Office(office.database, common, office.content, account=office.account, domain=office.domain)
        nodes.append(node.node(boot=boot))
    await nodes[1].accept("a@one.test")
    assert [len(await node.claim()) for node in nodes] == [1, 0]


class Machine:
    """Two clocks: one that tells the time and is set, and one that only counts."""

    def __init__(self, now: int) -> None:
        self.now, self.counted = now, 500

    def forward(self, ms: int) -> None:
        self.now += ms
        self.counted += ms

    def wall(self) -> int:
        return self.now

    def steady(self) -> int:
        return self.counted


@SQLITE
async def test_small_corrections_are_followed(office: Office) -> None:
    moved: list[int] = []
    machine = Machine(office.clock.now)
    common = CommonClock(machine.wall, steady=machine.steady)
    machine.forward(10_000)
    machine.now += 700
    assert common() == machine.now - 700
    await common.follow(office.database, lambda _, by: moved.append(by))
    assert (common(), common.grown(), moved) == (machine.now, machine.now, [])


@SQLITE
@pytest.mark.parametrize("step", STEPS)
async def test_a_step_of_the_clock_makes_nothing_late_or_old(office: Office, step: int) -> None:
    machine = Machine(office.clock.now)
    common = CommonClock(machine.wall, steady=machine.steady)
    node = Office(office.database, common, office.content, account=office.account, domain=office.domain)
    tried, held, fresh = await node.accept("a@one.test", "b@one.test", "c@two.test")
    jobs = {job.recipient_id: job for job in await node.claim()}
    machine.forward(EXPIRE_MS - 40 * HOURS)
    await node.settle(jobs[tried], GREYLISTED)
    await node.change_domain(state="suspended")
    machine.forward(1)
    await node.claim()
    assert (await node.state(held), await node.state(fresh)) == ("held", "held")
    await node.change_domain(state="compliant")
    before, looked_at = await node.queued(tried), (await node.lane("one.test")).next_due
    machine.now += step
    assert common() == machine.now - step, "nobody looked yet"
    with capture_logs() as logged:
        await common.follow(node.database, queues.move)
    assert common() == machine.now
    assert [entry["seconds"] for entry in logged if entry["event"] == "clock_stepped"] == [step / 1000]
    row = await node.queued(tried)
    assert row is not None and before is not None
    assert (row.due, row.expires_at) == (before.due + step, before.expires_at + step)
    assert (await node.lane("one.test")).next_due == looked_at + step
    # Held mail waits for no time, and its last moment is reckoned when it is let go.
    waiting = await node.queued(held)
    assert waiting is not None and (waiting.due, waiting.expires_at) == (None, before.expires_at)
    machine.forward(row.due - machine.now)
    (again,) = await node.claim()
    assert (await node.settle(again, GREYLISTED)).after == "queued"


@SQLITE
async def test_a_running_attempt_does_not_grow_old_by_a_step(office: Office) -> None:
    machine = Machine(office.clock.now)
    common = CommonClock(machine.wall, steady=machine.steady)
    node = Office(office.database, common, office.content, account=office.account, domain=office.domain)
    await node.accept("a@one.test")
    (job,) = await node.claim()
    machine.now += 2 * EXPIRE_MS
    await common.follow(node.database, queues.move)
    assert (await node.settle(job, GREYLISTED)).after == "queued"


@POSTGRES
async def test_mail_does_not_grow_old_by_a_step_of_the_databases_clock(office: Office) -> None:
    """Its step, and the counting clock's standing still, look the same from here: leases must follow, ages must not."""
    machine = Machine(clock() - 2 * EXPIRE_MS)
    common = CommonClock(machine.wall, steady=machine.steady)
    node = Office(
        office.database, common, office.content, account=office.account, domain=office.domain, grown=common.grown
    )
    await node.accept("a@one.test")
    (job,) = await node.claim()
    with capture_logs() as logged:
        await common.follow(node.database, queues.move)
    assert abs(common() - clock()) < 5_000
    assert [entry["event"] for entry in logged] == ["clock_stepped"]
    change = await node.settle(job, GREYLISTED)
    assert change.after == "queued" and change.put_back is not None
    assert (change.put_back.due or 0) >= change.at + 0.75 * FIRST_RETRY_MS, "nor is its last try already due"


@POSTGRES
async def test_mail_accepted_after_the_databases_clock_was_set_back_has_its_days(office: Office) -> None:
    """Its last moment is reckoned by the clock that there is now, in which no time went by."""
    machine = Machine(clock() + 2 * EXPIRE_MS)
    common = CommonClock(machine.wall, steady=machine.steady)
    node = Office(
        office.database, common, office.content, account=office.account, domain=office.domain, grown=common.grown
    )
    await common.follow(office.database, queues.move)
    await node.accept("a@one.test")
    (job,) = await node.claim()
    change = await node.settle(job, GREYLISTED)
    assert change.after == "queued" and change.put_back is not None
    assert (change.put_back.due or 0) >= change.at + 0.75 * FIRST_RETRY_MS


@POSTGRES
async def test_a_step_that_was_undone_leaves_ages_as_they_are(office: Office) -> None:
    machine = Machine(clock())
    common = CommonClock(machine.wall, steady=machine.steady)
    for off in (-EXPIRE_MS, EXPIRE_MS):
        machine.counted += off
        await common.follow(office.database, queues.move)
    assert abs(common() - clock()) < 5_000
    assert abs(common() - common.grown()) < 5_000


async def test_the_clock_is_kept_while_a_server_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [0]
    monkeypatch.setattr(house, "clock", lambda: clock() + steps[0])
    monkeypatch.setattr(clocks, "EVERY", 0.01)
    config = configured(tmp_path, server__roles="housekeeping", metrics__listen="")
    async with house.open_house(config) as node:
        parts = Parts(node, Ending())
        await parts.start()
        try:
            steps[0] = 83 * HOURS
            await eventually(lambda: node.clock() - clock() > 82 * HOURS)
        finally:
            await parts.close()
