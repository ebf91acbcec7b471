"""PostgreSQL connections on which nobody waits for ever: psycopg's, with a bound of our own on every answer.

The server's statement_timeout ends what the server still works on. A server that is frozen ends nothing, and where its
kernel goes on acknowledging, TCP's time-outs do not help either: so whoever waits looks at the clock as well.
"""

import time
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.rows import TupleRow

T = TypeVar("T")

#: What the server gets beyond the time of a statement (engines.py), to say that it has ended it.
MORE_SECONDS = 2.0
#: psycopg's own: how often a wait looks up.
INTERVAL = 0.1


class Line:
    """What the connections of one engine have in common: how long each waits for an answer, and whether it is hung up."""

    def __init__(self, patience: float | None) -> None:
        self.patience = patience
        self.hung_up = False

    def connect(self, *arguments: Any, **named: Any) -> "BoundedConnection":
        if self.hung_up:
            raise psycopg.OperationalError("the process is ending")
        connection = BoundedConnection.connect(*arguments, **named)
        connection.line, connection.patience = self, self.patience
        return connection

    def hang_up(self) -> None:
        """Every statement under way fails within INTERVAL, and so does every later one. From any thread."""
        self.hung_up = True


class BoundedConnection(psycopg.Connection[TupleRow]):
    """A connection that is given up when an answer does not come."""

    line: Line | None = None
    #: Seconds for one answer; None waits as long as the server works on it.
    patience: float | None = None

    def wait(self, gen: PQGen[T], interval: float = INTERVAL, timeout: float | None = None) -> T:
        return super().wait(self._bounded(gen), interval, timeout)

    def _bounded(self, gen: PQGen[T]) -> PQGen[T]:
        until = None if self.patience is None else time.monotonic() + self.patience
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                # Nothing is ready: an interval went by.
                if not ready:
                    if self.line is not None and self.line.hung_up:
                        self._give_up("the process is ending")
                    if until is not None and time.monotonic() > until:
                        self._give_up(f"the server did not answer within {self.patience:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            answer: T = end.value
            return answer

    def _give_up(self, why: str) -> None:
        # Closed, so that the pool knows it for dead: an answer that comes late must not be taken for the next one's.
        self.pgconn.finish()
        raise psycopg.OperationalError(why)
