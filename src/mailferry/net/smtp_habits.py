"""What hosts were seen to do a while ago, so that nobody falls into the same hole twice.

By address, since a name may stand for machines of different kinds.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable

MOST = 10_000
"""Of each kind that are remembered; the oldest go first."""
PLAIN_MS = 15 * 60 * 1000
"""How long a host whose TLS is broken is spared another handshake. Not for long: what passes meanwhile can be read."""
MANNERS_MS = 24 * 60 * 60 * 1000
"""How long a host is treated with care that had lost commands or the thread: finding out costs minutes, care a little."""


class Recently:
    """Whatever was noted within the last `ms` milliseconds. `clock` gives milliseconds that only go forward."""

    def __init__(self, clock: Callable[[], int], ms: int, most: int = MOST) -> None:
        self._clock = clock
        self._ms = ms
        self._most = most
        self._since: OrderedDict[Hashable, int] = OrderedDict()

    def note(self, key: Hashable) -> None:
        """Remembers `key` from now on."""
        self._since[key] = self._clock()
        self._since.move_to_end(key)
        if len(self._since) > self._most:
            self._since.popitem(last=False)

    def __contains__(self, key: Hashable) -> bool:
        since = self._since.get(key)
        return since is not None and self._clock() - since < self._ms


class Habits:
    """Addresses that need care, by the care that they need."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.plain = Recently(clock, PLAIN_MS)
        """TLS does not work there."""
        self.one_by_one = Recently(clock, MANNERS_MS)
        """It offers PIPELINING and loses what is sent behind the first command."""
        self.surplus = Recently(clock, MANNERS_MS)
        """It gave a reply that nobody had asked for: only a connection's first message has replies that are its own."""
