"""One thread that commits in groups: whatever waits when a commit ends goes into the next one.

On PostgreSQL, where other nodes take locks as well, a transaction holds items of one kind: each kind takes its locks in
one order, and two kinds in one transaction would take them in any.

A *batch* is a function that takes a connection and all waiting items of its kind, and returns a result an item. The
client of each item is told only after the commit. When a batch fails as a whole its items are tried one by one, each
under a savepoint, so that one bad item never takes its neighbours with it; unless no item is to blame (a full disk).
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from mailferry.faults import reach
from mailferry.store.again import Again, concerns_all, passing
from mailferry.store.engines import in_transaction
from mailferry.store.threads import tell

Batch = Callable[[Connection, Sequence[Any]], Sequence[Any]]

#: Items in one transaction: enough to make the sync cheap, few enough that nobody waits long.
GROUP_ITEMS = 256
#: Octets in one transaction, by the items' own reckoning.
GROUP_OCTETS = 32 * 1024 * 1024

log = structlog.get_logger(__name__)


class WriterClosed(RuntimeError):
    """The process is ending; nothing was written."""


@dataclass(slots=True)
class _Item:
    batch: Batch
    value: Any
    octets: int
    future: "asyncio.Future[Any]"
    result: Any = None
    error: BaseException | None = None


class Writer:
    """Belongs to the event loop it is made in; the thread ends after :meth:`close`, or with the process."""

    def __init__(
        self,
        engine: Engine,
        loop: asyncio.AbstractEventLoop,
        name: str = "writer",
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._engine = engine
        self._one_kind = engine.dialect.name == "postgresql"
        self._again = Again(pause)
        self._loop = loop
        self._waiting: deque[_Item] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self.groups = 0
        self.items = 0
        #: Called in the event loop after each commit: whoever follows the journal need not wait for its next look.
        self.after_commit: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, batch: Batch, value: Any, octets: int = 0) -> "asyncio.Future[Any]":
        """The future holds the batch's result for this value once it is durable. Call from the event loop."""
        future: asyncio.Future[Any] = self._loop.create_future()
        with self._wake:
            if self._closing:
                raise WriterClosed("the writer is closed")
            self._waiting.append(_Item(batch, value, octets, future))
            self._wake.notify()
        return future

    def close(self) -> None:
        """Takes nothing more; writes what waits, and then the thread ends."""
        with self._wake:
            self._closing = True
            self._wake.notify()

    def alive(self) -> list[str]:
        """The name of the thread, until it has ended."""
        return [self._thread.name] if self._thread.is_alive() else []

    # --- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while group := self._take():
            try:
                self._commit(group)
            except BaseException as error:
                for item in group:
                    item.error = error
                log.error("commit_failed", items=len(group), error=repr(error))
            reach("after_commit")
            self.groups += 1
            self.items += len(group)
            tell(self._loop, partial(self._tell, group))

    def _tell(self, group: list[_Item]) -> None:
        _tell(group)
        self.after_commit()

    def _take(self) -> list[_Item]:
        with self._wake:
            while not self._waiting and not self._closing:
                self._wake.wait()
            group: list[_Item] = []
            others: list[_Item] = []
            octets = 0
            while self._waiting and len(group) < GROUP_ITEMS and octets < GROUP_OCTETS:
                item = self._waiting.popleft()
                if self._one_kind and group and item.batch != group[0].batch:
                    others.append(item)
                    continue
                group.append(item)
                octets += item.octets
            self._waiting.extendleft(reversed(others))  # the oldest of them is first next time
            return group

    def _commit(self, group: list[_Item]) -> None:
        def run() -> None:
            with self._engine.connect() as connection, connection.begin():
                for batch, items in _by_batch(group):
                    _run_batch(connection, batch, items)

        # A rolled back group has written nothing, so running it again is safe. When the connection broke during COMMIT
        # itself the group may stand: a batch finds what is its own, and writes it once.
        self._again.run(run, passing)


def _by_batch(group: list[_Item]) -> list[tuple[Batch, list[_Item]]]:
    kinds: dict[Batch, list[_Item]] = {}
    for item in group:
        kinds.setdefault(item.batch, []).append(item)
    return list(kinds.items())


def _run_batch(connection: Connection, batch: Batch, items: list[_Item]) -> None:
    try:
        with connection.begin_nested():
            results = batch(connection, [item.value for item in items])
    except Exception as error:
        if (isinstance(error, DBAPIError) and passing(error)) or not in_transaction(connection):
            raise
        if len(items) == 1 or concerns_all(error):
            for item in items:
                item.error = error
            if concerns_all(error):
                log.error("batch_failed", items=len(items), error=repr(error))
            return
        for item in items:
            _run_batch(connection, batch, [item])
        return
    for item, result in zip(items, results, strict=True):
        item.result, item.error = result, None


def _tell(group: list[_Item]) -> None:
    for item in group:
        if item.future.done():  # its caller was cancelled: what is written stays written
            continue
        if item.error is not None:
            item.future.set_exception(item.error)
        else:
            item.future.set_result(item.result)
