"""A few threads that run blocking work for an event loop, and never keep the process alive.

The standard library's pool is joined when the interpreter ends, so that one statement that hangs would hang the process.
These are daemons: what still runs when the process ends was asked for by nobody any more.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

#: Work that found no free thread for so many seconds is refused unbegun. When a database stops answering, what waits for
#: it would otherwise hang one round of time-outs after the other.
WAIT_SECONDS = 10.0


class Busy(RuntimeError):
    """All threads were taken for too long, or take nothing more as the process ends; nothing was done."""


@dataclass(slots=True)
class _Work:
    function: Callable[[], Any]
    future: "asyncio.Future[Any]"
    since: float


class Threads:
    """Belongs to the event loop that calls :meth:`run`."""

    def __init__(self, number: int, name: str, wait: float = WAIT_SECONDS) -> None:
        self._wait = wait
        self._waiting: SimpleQueue[_Work | None] = SimpleQueue()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, name=f"{name}_{each}", daemon=True) for each in range(number)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, function: Callable[[], T]) -> "asyncio.Future[T]":
        """The future holds what the function returned or raised, or :class:`Busy`. Cancelled in time, it is not begun."""
        if self._closed:
            raise Busy("the threads are closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.put(_Work(function, future, time.monotonic()))
        return future

    def close(self) -> None:
        """Take nothing more; what waits is still done."""
        if not self._closed:
            self._closed = True
            for _ in self._threads:
                self._waiting.put(None)

    def alive(self) -> list[str]:
        """The names of those that have not ended."""
        return [thread.name for thread in self._threads if thread.is_alive()]

    def _serve(self) -> None:
        while work := self._waiting.get():
            if not work.future.cancelled():
                self._do(work)
            del work  # its result may be large, and the next may come late

    def _do(self, work: _Work) -> None:
        result: Any = None
        error: BaseException | None = None
        if time.monotonic() - work.since > self._wait:
            error = Busy(f"no free thread within {self._wait:g} s")
        else:
            try:
                result = work.function()
            except BaseException as raised:
                error = raised
        tell(work.future.get_loop(), lambda: _settle(work.future, result, error))


def tell(loop: asyncio.AbstractEventLoop, news: Callable[[], None]) -> None:
    """From a thread. A loop that is closed has nobody left who waits."""
    try:
        loop.call_soon_threadsafe(news)
    except RuntimeError:
        if not loop.is_closed():
            raise


def _settle(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if future.done():  # its caller was cancelled
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
