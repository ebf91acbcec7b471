"""How the process ends: every part in its order and within its time, and by force where something hangs.

Whoever runs a service sends SIGKILL after a while (Docker after ten seconds), and that would hit what has been answered
but not yet been handed on. So the whole has a deadline, whatever a client, a host or the database does.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

#: Seconds after SIGTERM. The ways in are closed all at once, then the worker and its helpers one after the other; the
#: database gets what is left, to write what waits.
DOORS_SECONDS = 5.0
PARTS_SECONDS = 8.0
DATABASE_SECONDS = 8.3
#: Whatever has not ended then, in threads that nobody can stop or in the interpreter's own end, is left.
FORCE_SECONDS = 9.0
ALARM_SECONDS = 9.5
#: Each part has this at least, so that one that hangs does not take all from those behind it.
LEAST_SECONDS = 0.1

Closer = Callable[[], Awaitable[None]]


class Ending:
    """Parts are registered in the order in which they were started, and closed in the opposite one."""

    def __init__(
        self, doors: float = DOORS_SECONDS, parts: float = PARTS_SECONDS, force: float = FORCE_SECONDS
    ) -> None:
        self._times = doors, parts, force
        self._doors: list[tuple[str, Closer]] = []
        self._parts: list[tuple[str, Closer]] = []
        self._began: float | None = None
        self._closing: set[str] = set()

    def door(self, name: str, closer: Closer) -> None:
        """A way in. All are closed together, before any part."""
        self._doors.append((name, closer))

    def part(self, name: str, closer: Closer) -> None:
        self._parts.append((name, closer))

    def task(self, name: str, work: Awaitable[None]) -> None:
        """A part that runs from now on, until it is cancelled."""
        running = asyncio.ensure_future(work)

        async def close() -> None:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

        self.part(name, close)

    def begin(self, leave: Callable[[int], object] = os._exit) -> None:
        """A signal came: the time runs. ``leave`` ends the process without any cleaning up. May be called again."""
        if self._began is None:
            self._began = asyncio.get_running_loop().time()
            # A daemon, and never cancelled: it also ends an interpreter that hangs in its own end.
            timer = threading.Timer(self._times[2], self._force, [leave])
            timer.daemon = True
            timer.start()

    def left(self, until: float) -> float:
        """Seconds until so many seconds after the beginning."""
        assert self._began is not None
        return max(LEAST_SECONDS, self._began + until - asyncio.get_running_loop().time())

    async def close(self) -> None:
        """Nothing is accepted any more that nobody would deliver; then all that was under way ends. Never raises."""
        if self._began is None:  # no signal: the start failed, or a test is at its end
            self._began = asyncio.get_running_loop().time()
        doors, parts, _ = self._times
        await asyncio.gather(*(self._close(name, closer, doors) for name, closer in reversed(self._doors)))
        for name, closer in reversed(self._parts):
            await self._close(name, closer, parts)

    async def _close(self, name: str, closer: Closer, until: float) -> None:
        self._closing.add(name)
        task = asyncio.ensure_future(closer())
        _, late = await asyncio.wait({task}, timeout=self.left(until))
        if late:
            # Not waited for: what does not end may not let itself be cancelled either.
            task.cancel()
            log.error("close_late", part=name)
            return
        self._closing.discard(name)
        if not task.cancelled() and (error := task.exception()):
            log.error("close_failed", part=name, exc_info=error)

    def _force(self, leave: Callable[[int], object]) -> None:
        threads = [thread.name for thread in threading.enumerate() if thread is not threading.current_thread()]

        def say() -> None:
            log.error("ended_by_force", parts=sorted(self._closing), threads=threads)

        # In a thread of its own: who reads our log may be what hangs.
        saying = threading.Thread(target=say, daemon=True)
        saying.start()
        saying.join(0.2)
        leave(1)
