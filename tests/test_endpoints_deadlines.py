"""How long a client of a server that talks in lines is waited for, with a clock that the test moves."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from mailferry.endpoints.deadlines import Deadlines, Doing
from mailferry.endpoints.smtp.limits import Limits

LIMITS = Limits(idle=10, connection=60, data=30, eof_grace=5, linger=2)


class Timer:
    def __init__(self, at: float, ring: Callable[[], None]) -> None:
        self.at = at
        self.ring = ring
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """Its time, and the timers that were set."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, ring: Callable[[], None]) -> Timer:
        self.timers.append(Timer(at, ring))
        return self.timers[-1]

    def until(self, moment: float) -> None:
        while due := [each for each in self.timers if each.at <= moment]:
            timer = min(due, key=lambda each: each.at)
            self.timers.remove(timer)
            self.now = max(self.now, timer.at)
            if not timer.cancelled:
                timer.ring()
        self.now = moment


class Client:
    def __init__(self) -> None:
        self.loop = Loop()
        self.doing = Doing.TALKING
        self.rung: list[float] = []
        loop = cast(asyncio.AbstractEventLoop, cast(Any, self.loop))
        self.deadlines = Deadlines(loop, LIMITS, lambda: self.doing, lambda: self.rung.append(self.loop.now))
        self.deadlines.begin()
        self.deadlines.set()


def test_who_says_nothing_is_waited_for_from_the_last_thing_that_counted() -> None:
    client = Client()
    client.loop.until(108)
    client.deadlines.progress()
    client.deadlines.keep()
    assert len(client.loop.timers) == 1, "a timer that is early enough stays"
    client.loop.until(130)
    assert client.rung == [118]


def test_a_connection_has_its_time_however_busy_it_is() -> None:
    client = Client()
    for moment in range(105, 160, 5):
        client.loop.until(moment)
        client.deadlines.progress()
    assert not client.deadlines.lived_too_long
    client.loop.until(200)
    assert client.rung == [160]
    client.deadlines.progress()
    assert client.deadlines.lived_too_long


@pytest.mark.parametrize("doing", [Doing.RECEIVING, Doing.SENDING])
def test_a_message_has_its_time_however_fast_its_octets_drip(doing: Doing) -> None:
    client = Client()
    client.loop.until(155)
    client.rung.clear()
    client.doing = doing
    client.deadlines.begin_message()
    for moment in range(160, 185, 5):
        client.loop.until(moment)
        client.deadlines.progress()
        client.deadlines.keep()
    client.loop.until(300)
    assert client.rung == [185], "beyond the end of the connection, and no further"


@pytest.mark.parametrize(
    ("doing", "rung"), [(Doing.WORKING, []), (Doing.WORKING_FOR_NONE, [105]), (Doing.LEAVING, [102])]
)
def test_what_is_worked_for_a_client_has_other_ends(doing: Doing, rung: list[float]) -> None:
    client = Client()
    client.doing = doing
    client.deadlines.set()
    client.loop.until(1000)
    assert client.rung == rung


def test_who_is_gone_is_waited_for_no_more() -> None:
    client = Client()
    client.deadlines.end()
    client.doing = Doing.LEAVING
    client.deadlines.set()
    client.deadlines.keep()
    client.loop.until(1000)
    assert client.rung == []
