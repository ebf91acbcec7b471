"""How customers share the requests that may be under way."""

import asyncio

from mailferry.consumers.webhooks.places import Places

ALL = 200


class Customers:
    """Requests that last until they are told to end."""

    def __init__(self) -> None:
        self.places = Places(ALL)
        self.under_way: dict[int, list[asyncio.Event]] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    async def ask(self, account_id: int, number: int) -> list[asyncio.Task[None]]:
        made = [asyncio.create_task(self._one(account_id)) for _ in range(number)]
        self.tasks |= set(made)
        await settle()
        return made

    async def end(self, account_id: int, number: int) -> None:
        for _ in range(number):
            self.under_way[account_id].pop().set()
        await settle()

    async def _one(self, account_id: int) -> None:
        async with self.places.one(account_id):
            ended = asyncio.Event()
            self.under_way.setdefault(account_id, []).append(ended)
            await ended.wait()

    def running(self) -> dict[int, int]:
        return {account_id: len(each) for account_id, each in self.under_way.items()}

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_one_takes_half_and_the_next_half_of_what_is_left() -> None:
    customers = Customers()
    await customers.ask(1, 500)
    assert customers.running() == {1: 100}
    await customers.ask(2, 500)
    assert customers.running() == {1: 100, 2: 50}
    await customers.ask(3, 5)
    assert customers.running() == {1: 100, 2: 50, 3: 5}
    await customers.close()


async def test_what_is_given_back_makes_shares_equal() -> None:
    customers = Customers()
    await customers.ask(1, 500)
    await customers.ask(2, 500)
    for _ in range(200):
        await customers.end(1, 1)
        await customers.end(2, 1)
    running = customers.running()
    assert abs(running[1] - running[2]) <= 1 and 130 <= sum(running.values()) <= 134
    await customers.close()


async def test_each_of_many_has_one_before_any_has_two() -> None:
    customers = Customers()
    for account_id in range(100):
        await customers.ask(account_id, 200)
    assert sum(customers.running().values()) == ALL and len(customers.running()) < 10
    await customers.end(0, 100)
    assert len(customers.running()) == 100
    await customers.close()


async def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    customers = Customers()
    tasks = await customers.ask(1, 101)
    tasks[-1].cancel()
    tasks[0].cancel()
    await settle()
    assert customers.places._free == ALL - 99
    # Granted and cancelled in the same moment.
    waiting = (await customers.ask(1, 2))[-1]
    tasks[1].cancel()
    await asyncio.sleep(0)
    waiting.cancel()
    await settle()
    await customers.close()
    assert customers.places._free == ALL and not customers.places._accounts
