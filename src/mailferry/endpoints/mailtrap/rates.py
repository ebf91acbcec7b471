"""How many requests a token or an account may make (api-docs/rate-limits): counted in a window that slides.

Counted a process: behind several nodes a client may make so many times more.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

#: Windows remembered; who was not heard of for longest is forgotten first.
MAX_WINDOWS = 20_000


@dataclass(frozen=True, slots=True)
class Rate:
    """``of``: "token" or "account"."""

    name: str
    requests: int
    window_ms: int
    of: str = "account"


#: Whatever is asked, also what is refused or not there.
GENERAL = Rate("general", 150, 10_000, "token")
CONTACTS = Rate("contacts", 200, 60_000)
STATS = Rate("stats", 10, 60_000)
SUPPRESSIONS = Rate("suppressions", 10, 60_000)
LOG_LIST = Rate("email_logs", 60, 60_000)
TEMPLATES_LIST = Rate("templates_list", 150, 60_000)
TEMPLATES_CREATE = Rate("templates_create", 150, 60_000)
#: Ours: each of them may read the whole log.
LOG_EXPORT = Rate("email_logs_export", 10, 60_000)
#: Ours: each of them is a mail to somebody who has not asked for it.
INVITATIONS = Rate("invitations", 60, 60_000)
LOG_GET = Rate("email_log", 1000, 60_000)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a request stands; ``wait_ms`` = 0: it may go on."""

    limit: int
    remaining: int
    wait_ms: int


class Rates:
    """``factor`` multiplies every limit; 0 lifts them all. ``ticks``: milliseconds that only go forward."""

    def __init__(self, ticks: Callable[[], int], factor: int = 1) -> None:
        self._ticks = ticks
        self._factor = factor
        self._windows: OrderedDict[tuple[str, int], deque[int]] = OrderedDict()

    def take(self, rate: Rate, identity: int) -> Standing | None:
        """Counts one request. None: nothing is counted."""
        limit = rate.requests * self._factor
        if not limit:
            return None
        now = self._ticks()
        key = (rate.name, identity)
        window = self._windows.setdefault(key, deque())
        self._windows.move_to_end(key)
        while window and window[0] <= now - rate.window_ms:
            window.popleft()
        if len(window) >= limit:
            return Standing(limit, 0, window[0] + rate.window_ms - now)
        window.append(now)
        if len(self._windows) > MAX_WINDOWS:
            self._windows.popitem(last=False)
        return Standing(limit, limit - len(window), 0)
