"""How many attempts whoever wants them may have at once."""

import asyncio

import pytest

from mailferry.delivery.transports import turns as subject
from mailferry.delivery.transports.turns import FIRST, Turns


@pytest.fixture
async def taken():
    """Takes so many turns for a site as it is let have, and leaves one more waiting; the turns."""
    waiting = []

    async def take(turns, site, most=100):
        got = []
        for _ in range(most):
            task = asyncio.create_task(turns.take(site))
            await asyncio.sleep(0)
            if not task.done():
                waiting.append(task)
                break
            got.append(await task)
        return got

    yield take
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def answered(turns, site, times=100):
    for _ in range(times):
        turn = await turns.take(site)
        turns.answered(turn)
        turns.give_back(turn)


async def silent(turns, site, times=1):
    for _ in range(times):
        turn = await turns.take(site)
        turns.unanswered(turn)
        turns.give_back(turn)


async def test_a_site_begins_small_and_grows_with_answers(taken):
    turns = Turns(20, 500)
    new, known = turns.site(), turns.site()
    assert len(await taken(turns, new)) == FIRST
    await answered(turns, known, 3)
    assert len(await taken(turns, known)) == FIRST + 3


async def test_a_site_alone_may_have_all_connections(taken):
    turns = Turns(20, 500)
    site = turns.site()
    await answered(turns, site)
    assert len(await taken(turns, site)) == 20


async def test_a_site_that_answers_while_it_is_busy_grows_too(taken):
    turns = Turns(20, 500)
    site = turns.site()
    running = [await turns.take(site) for _ in range(FIRST)]
    waiting = [asyncio.create_task(turns.take(site)) for _ in range(10)]
    await asyncio.sleep(0)
    turns.answered(running[0])
    turns.give_back(running[0])
    await asyncio.sleep(0)
    assert sum(task.done() for task in waiting) == 2, "the place that is free, and one more"
    for task in waiting:
        task.cancel()


async def test_a_site_that_keeps_silent_shrinks_to_one(taken):
    turns = Turns(20, 500)
    site = turns.site()
    await answered(turns, site)
    await silent(turns, site, 5)
    assert site.limit == 15
    await silent(turns, site, 30)
    assert len(await taken(turns, site)) == 1


async def test_a_site_that_turns_connections_away_has_as_many_as_it_takes_and_grows_after_a_while(taken, monkeypatch):
    turns = Turns(20, 500)
    site = turns.site()
    await answered(turns, site)
    monkeypatch.setattr(subject, "CALM_S", 1000)
    turns.turned_away(await turns.take(site), 5)
    await answered(turns, site, 10)
    assert site.limit == 5
    site.calm_until = 0
    await answered(turns, site, 1)
    assert site.limit == 6
    turns.turned_away(await turns.take(site), 0)
    assert site.limit == 1


async def test_hundreds_of_new_sites_leave_room_for_the_next_and_for_known_ones(taken):
    turns = Turns(20, 500)
    known = turns.site()
    await answered(turns, known)
    for _ in range(200):
        assert await taken(turns, turns.site())
    assert await taken(turns, turns.site()), "the next new one"
    for _ in range(300):
        await taken(turns, turns.site())
    assert len(await taken(turns, known)) > 5


async def test_silent_sites_leave_room_for_new_ones(taken):
    turns = Turns(20, 500)
    for _ in range(400):
        site = turns.site()
        await silent(turns, site)
        await taken(turns, site)
    assert len(await taken(turns, turns.site())) == FIRST


async def test_silent_sites_that_wait_cost_the_others_nothing(taken, monkeypatch):
    """In a mailing to many dead domains each message that is taken would go through all of them."""
    turns = Turns(20, 500)
    known = turns.site()
    await answered(turns, known)
    for _ in range(400):
        site = turns.site()
        await silent(turns, site)
        await taken(turns, site)
    asked = []
    may = turns._may
    monkeypatch.setattr(turns, "_may", lambda site: asked.append(site) or may(site))
    await answered(turns, known, 10)
    assert len(asked) < 100


async def test_a_site_that_turns_out_to_answer_is_let_go_where_silent_ones_wait(taken):
    turns = Turns(2, 4)
    silent_ones = [turns.site() for _ in range(6)]
    for site in silent_ones:
        await silent(turns, site)
        await taken(turns, site)
    first = turns.site()
    running = await taken(turns, first)
    assert len(running) == 1, "it has one more that waits"
    turns.answered(running[0])
    turns.give_back(running[0])
    await asyncio.sleep(0)
    assert first.running == 1


async def test_slow_answers_are_no_sign_of_a_site_that_answers(taken, monkeypatch):
    turns = Turns(20, 500)
    slow = turns.site()
    monkeypatch.setattr(subject, "SLOW_S", -1)
    await answered(turns, slow)
    assert slow.soon is False
    assert len(await taken(turns, slow)) == 20, "while nobody else wants them"


async def test_many_busy_sites_that_answer_share_what_there_is(taken):
    turns = Turns(20, 500)
    had = []
    for _ in range(45):
        site = turns.site()
        await answered(turns, site, 20)
        had.append(len(await taken(turns, site)))
    assert had[0] == 20
    assert min(had) >= 1


async def test_whoever_waited_first_goes_first():
    turns = Turns(1, 1)
    site = turns.site()
    turn = await turns.take(site)
    order = []

    async def wait(number):
        mine = await turns.take(site)
        order.append(number)
        turns.give_back(mine)

    waiting = [asyncio.create_task(wait(number)) for number in range(5)]
    await asyncio.sleep(0)
    turns.give_back(turn)
    await asyncio.gather(*waiting)
    assert order == list(range(5))


async def test_sites_that_wait_take_turns():
    turns = Turns(1, 1)
    order = []

    async def wait(name, site):
        mine = await turns.take(site)
        order.append(name)
        turns.give_back(mine)

    busy = turns.site()
    turn = await turns.take(busy)
    other = turns.site()
    waiting = [asyncio.create_task(wait("busy", busy)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting.append(asyncio.create_task(wait("other", other)))
    await asyncio.sleep(0)
    turns.give_back(turn)
    await asyncio.gather(*waiting)
    assert order.index("other") <= 1


@pytest.mark.parametrize("granted", [False, True])
async def test_who_stops_waiting_takes_nothing_along(granted):
    turns = Turns(1, 1)
    site = turns.site()
    turn = await turns.take(site)
    leaving, staying = [asyncio.create_task(turns.take(site)) for _ in range(2)]
    await asyncio.sleep(0)
    if granted:
        turns.give_back(turn)
    leaving.cancel()
    if not granted:
        turns.give_back(turn)
    assert (await staying).site is site
    assert leaving.cancelled()
    assert site.running == 1
