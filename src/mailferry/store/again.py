"""A transaction that lost is run again, after a moment that is never the same for two."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError, OperationalError

T = TypeVar("T")

#: A deadlock or a lost connection undoes a transaction; it is run again this often.
ATTEMPTS = 4
#: Seconds before the second run, at most; it doubles. Two nodes that lost against each other and begin again at once would
#: meet again.
FIRST_PAUSE = 0.01

log = structlog.get_logger(__name__)


class Again:
    """``pause`` is what waits: a thread's sleep."""

    def __init__(self, pause: Callable[[float], None] = time.sleep) -> None:
        self._pause = pause
        self._rng = random.Random()  # noqa: S311  # jitter

    def run(self, transaction: Callable[[], T], passing: Callable[[DBAPIError], bool]) -> T:
        """What the transaction returns. Raises its error when that does not pass, or not within ATTEMPTS."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return transaction()
            except DBAPIError as error:
                if attempt == ATTEMPTS or not passing(error):
                    raise
                log.warning("commit_retried", attempt=attempt, error=str(error.orig))
            most = FIRST_PAUSE * 2 ** (attempt - 1)
            self._pause(self._rng.uniform(most / 2, most))
        raise AssertionError("unreachable")


def conflicted(error: DBAPIError) -> bool:
    """Deadlock, serialization failure: nothing was written, and the same may well succeed now."""
    return _state(error) in ("40001", "40P01")


def passing(error: DBAPIError) -> bool:
    """The same, or the connection is gone. When it broke during COMMIT, the transaction may stand nevertheless."""
    return conflicted(error) or error.connection_invalidated or _state(error) == "57P01"


def concerns_all(error: Exception) -> bool:
    """No single item is to blame: a full disk, a lock that somebody else holds, a statement that took too long.

    Tried one by one, each item of a group would run into the same, and into its time-out.
    """
    if isinstance(error, OSError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    # SQLite's extended codes have the primary one in their low octet: https://www.sqlite.org/rescode.html
    sqlite_code = (getattr(error.orig, "sqlite_errorcode", None) or 0) & 0xFF
    return _state(error)[:2] == "53" or _state(error) in ("55P03", "57014") or sqlite_code in (_IOERR, _FULL)


def away(error: DBAPIError) -> bool:
    """The database cannot be reached, is starting, ending or too busy; SQLite is locked, or hung up at our own end."""
    sqlite_code = (getattr(error.orig, "sqlite_errorcode", None) or 0) & 0xFF
    if sqlite_code:
        return sqlite_code in (_BUSY, _LOCKED, _INTERRUPT)
    # Where no server said anything, the driver has no state to tell. SQLite's own errors always have a code.
    nobody = (
        not _state(error) and isinstance(error, OperationalError) and type(error.orig).__module__.startswith("psycopg")
    )
    return nobody or _state(error)[:2] in ("08", "57")


_BUSY, _LOCKED, _INTERRUPT, _IOERR, _FULL = 5, 6, 9, 10, 13


def no_room(error: DBAPIError) -> bool:
    """PostgreSQL's disk is full."""
    return _state(error) == "53100"


def _state(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""
