"""Named places where a crash test ends this process as a power failure would: at once, without cleaning up.

``MAILFERRY_CRASH=after_commit:3`` sends SIGKILL to ourselves when ``after_commit`` is reached for the third time.
Without the variable a place costs one comparison. The names are listed in POINTS.
"""

import os
import signal
from itertools import count

POINTS = (
    "after_sync",  # the bytes are written and synced (PostgreSQL syncs with the commit), nothing names them yet
    "after_commit",  # committed, the client has not heard yes
    "after_remote_250",  # the recipient's host took it, nothing of it is written
    "in_settle",  # the settling transaction is open
    "in_handoff",  # durable, on the way to delivery in memory, the client has not heard yes
)

_armed, _, _nth = os.environ.get("MAILFERRY_CRASH", "").partition(":")
_seen = count(1)


def reach(point: str) -> None:
    if point == _armed and next(_seen) == int(_nth or 1):
        os.kill(os.getpid(), signal.SIGKILL)
