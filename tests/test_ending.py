"""How the process ends: the ways in together, the parts in their order, and by force where something hangs."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable

from structlog.testing import capture_logs

from mailferry.ending import Ending

Closer = Callable[[], Awaitable[None]]


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_doors_are_closed_together_and_parts_in_the_opposite_order() -> None:
    ending, told = Ending(), list[str]()
    barrier = asyncio.Barrier(3)

    async def door() -> None:
        await barrier.wait()  # nobody passes who is closed alone

    def part(name: str) -> Closer:
        async def close() -> None:
            assert barrier.n_waiting == 0
            told.append(name)

        return close

    ending.part("first", part("first"))
    for name in ("http", "https", "smtp"):
        ending.door(name, door)
    ending.part("second", part("second"))
    with capture_logs() as logged:
        await ending.close()
    assert (told, logged) == (["second", "first"], [])


async def test_what_hangs_is_left_and_named_and_what_fails_holds_up_nobody() -> None:
    ending, told = Ending(doors=0.05, parts=0.1), list[str]()

    async def stubborn() -> None:
        try:
            await for_ever()
        except asyncio.CancelledError:
            await free.wait()

    async def fails() -> None:
        raise OSError("broken")

    async def last() -> None:
        told.append("last")

    free = asyncio.Event()
    ending.part("last", last)
    ending.part("worker", stubborn)
    ending.part("failing", fails)
    ending.door("smtp", for_ever)
    with capture_logs() as logged:
        await asyncio.wait_for(ending.close(), 20)
    assert told == ["last"]
    assert [(entry["event"], entry["part"]) for entry in logged] == [
        ("close_late", "smtp"),
        ("close_failed", "failing"),
        ("close_late", "worker"),
    ]
    free.set()
    await asyncio.sleep(0)


async def test_the_last_resort_says_what_had_not_ended() -> None:
    ending, left = Ending(force=0.05), threading.Event()
    status: list[int] = []

    def leave(code: int) -> None:
        status.append(code)
        left.set()

    ending.part("worker", for_ever)
    ending.begin(leave)
    closing = asyncio.create_task(ending.close())
    with capture_logs() as logged:
        assert await asyncio.to_thread(left.wait, 20)
    closing.cancel()
    assert status == [1]
    (entry,) = logged
    assert (entry["event"], entry["parts"]) == ("ended_by_force", ["worker"])
    assert "MainThread" in entry["threads"]


HANG = """
import asyncio, threading
from mailferry.ending import Ending

async def main():
    threading.Thread(target=threading.Event().wait, name="library").start()
    ending = Ending(force=0.2)
    ending.begin()
    await ending.close()

asyncio.run(main())
print("closed", flush=True)
"""


def test_an_interpreter_that_cannot_end_is_ended() -> None:
    """A thread that is no daemon is joined at exit: some library's, or asyncio's own for blocking calls."""
    done = subprocess.run([sys.executable, "-c", HANG], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert done.stdout.startswith("closed\n") and "ended_by_force" in done.stdout and "library" in done.stdout
