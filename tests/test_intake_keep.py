"""The accept transaction gives back what it borrowed for the way from memory, however often and badly it ends."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from mailferry.intake.keep import Keeper, Unit
from mailferry.store.schema import messages, queue
from tests import delivery_support
from tests.delivery_support import TAKEN, Office

office, engines = delivery_support.office, delivery_support.engines


class Deadlock(Exception):
    sqlstate = "40P01"


async def accept_and_lose(node: Office, losses: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two recipients whose transaction loses so many deadlocks, after one that has nothing to do with it."""
    await node.accept("first@one.test")
    keep = Keeper.__call__

    def lose(self: Keeper, connection: Connection, units: Sequence[Unit]) -> list[Any]:
        nonlocal losses
        outcomes = keep(self, connection, units)
        losses -= 1
        if losses >= 0:
            raise DBAPIError("UPDATE lanes", {}, Deadlock())
        return list(outcomes)

    monkeypatch.setattr(Keeper, "__call__", lose)
    return await node.accept("a@one.test", "b@two.test")


async def test_what_is_accepted_is_handed_over_while_there_is_room(office: Office) -> None:
    node = office.node(handed_over=3)
    await node.accept("a@one.test", "b@two.test")
    await node.accept("c@one.test", "d@two.test")
    assert [job.address for job in node.jobs] == ["a@one.test", "b@two.test", "c@one.test"]
    assert node.places() == 0
    (waiting,) = await office.node(boot=2).claim()
    assert waiting.address == "d@two.test", "what does not fit waits in the queue, free for anybody"
    await node.settle(node.jobs[0], TAKEN)
    assert await node.state(node.jobs[0].recipient_id) == "delivered", "the lease is ours from the first moment"


async def test_a_group_that_is_run_again_borrows_once(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    node = office.node(handed_over=10)
    await accept_and_lose(node, 2, monkeypatch)
    assert [job.address for job in node.jobs] == ["first@one.test", "a@one.test", "b@two.test"]
    assert node.places() == 7
    assert (await node.count(messages), await node.count(queue)) == (2, 3)


async def test_a_group_that_never_stands_gives_all_back(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    node = office.node(handed_over=10)
    with pytest.raises(DBAPIError, match="UPDATE lanes"):
        await accept_and_lose(node, 100, monkeypatch)
    assert len(node.jobs) == 1 and node.places() == 9
    assert (await node.count(messages), await node.count(queue)) == (1, 1)


async def test_a_statement_that_fails_gives_all_back(office: Office) -> None:
    node = office.node(handed_over=10)
    async with node.without("queue"):
        with pytest.raises(DBAPIError):
            await node.accept("a@one.test", "b@two.test")
    assert (node.jobs, node.places()) == ([], 10)
    assert await node.count(messages) == 0
