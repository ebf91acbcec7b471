"""Threads for blocking work: results, refusals, and an interpreter that ends whatever hangs in them."""

import asyncio
import subprocess
import sys
import threading
from functools import partial

import pytest

from mailferry.store.threads import Busy, Threads


@pytest.fixture
def gate() -> threading.Event:
    return threading.Event()


async def test_results_and_errors_come_back() -> None:
    threads = Threads(2, "test")
    assert await asyncio.gather(*(threads.run(partial(pow, n, 2)) for n in range(20))) == [n * n for n in range(20)]
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)
    threads.close()
    with pytest.raises(Busy, match="closed"):
        threads.run(lambda: None)


async def test_what_waited_too_long_is_refused_unbegun(gate: threading.Event) -> None:
    """Where a database hangs, whoever waits behind it must not run into the same time-out, one after the other."""
    threads = Threads(1, "test", wait=0.05)
    begun: list[str] = []
    hanging = threads.run(gate.wait)
    waiting = threads.run(lambda: begun.append("late"))
    await asyncio.sleep(0.1)
    gate.set()
    assert await hanging
    with pytest.raises(Busy):
        await waiting
    assert begun == []
    assert await threads.run(lambda: "again") == "again"
    threads.close()


async def test_cancelled_work_is_not_begun(gate: threading.Event) -> None:
    threads = Threads(1, "test")
    begun: list[str] = []
    hanging, waiting = threads.run(gate.wait), threads.run(lambda: begun.append("cancelled"))
    waiting.cancel()
    gate.set()
    await hanging
    await threads.run(lambda: None)
    assert begun == []
    threads.close()


async def test_closed_threads_do_what_waits_and_end(gate: threading.Event) -> None:
    threads = Threads(1, "test")
    first, second = threads.run(gate.wait), threads.run(lambda: "second")
    threads.close()
    assert threads.alive() == ["test_0"]
    gate.set()
    assert (await first, await second) == (True, "second")
    async with asyncio.timeout(10):
        while threads.alive():
            await asyncio.sleep(0.001)


HANG = """
import asyncio, threading
from mailferry.store.threads import Threads

async def main():
    begun = threading.Event()
    def hang():
        begun.set()
        threading.Event().wait()
    Threads(2, "test").run(hang)
    begun.wait()

asyncio.run(main())
print("ended")
"""


def test_a_thread_that_hangs_does_not_keep_the_interpreter() -> None:
    """The standard library's pool would be joined at exit, for ever."""
    done = subprocess.run([sys.executable, "-c", HANG], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")
