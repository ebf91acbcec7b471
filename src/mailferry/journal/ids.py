"""UUIDv7 ids (RFC 9562 5.7): they sort by time, so new rows land at the end of an index and need no coordination.

Within one process they are strictly increasing: the 12 bits of rand_a and 14 of rand_b count inside a millisecond
(method 1 of section 6.2), the other 48 are random. Ids of one message's recipients therefore stand in their order.
"""

import secrets
from collections.abc import Callable

Clock = Callable[[], int]
_COUNTER_BITS = 26
#: Random bits of an id beside the counter; so many ids' are drawn at once, because each question to the kernel lets
#: another thread go first.
_RANDOM_OCTETS = 6
_DRAWN = 256


class Ids:
    """Not for several threads: the event loop draws ids."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ms = 0
        self._counter = 0
        self._random: list[bytes] = []

    def new(self) -> str:
        now = self._clock()
        if now > self._ms:
            self._ms = now
            # Start low so that a millisecond never overflows; leap of the clock backwards keeps counting in the old one.
            self._counter = secrets.randbits(_COUNTER_BITS - 2)
        else:
            self._counter += 1
            if self._counter >> _COUNTER_BITS:
                self._ms, self._counter = self._ms + 1, 0
        high, low = self._counter >> 14, self._counter & 0x3FFF
        digits = f"{self._ms:012x}7{high:03x}{0x8000 | low:04x}{self._rest().hex()}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def _rest(self) -> bytes:
        if not self._random:
            drawn = secrets.token_bytes(_RANDOM_OCTETS * _DRAWN)
            self._random = [drawn[at : at + _RANDOM_OCTETS] for at in range(0, len(drawn), _RANDOM_OCTETS)]
        return self._random.pop()


def drawn_at(ms: int) -> str:
    """For a row of an older moment, such as an import makes; two of one millisecond stand in no order."""
    # Version 7 and the variant stand at their places; the other 74 bits are random.
    random = secrets.randbits(74)
    middle = f"{random >> 62:03x}{0x8000 | (random >> 48) & 0x3FFF:04x}"
    return f"{first_at(ms)}7{middle[:3]}-{middle[3:]}-{random & 0xFFFFFFFFFFFF:012x}"


def first_at(ms: int) -> str:
    """The smallest id that can be drawn in that millisecond."""
    digits = f"{min(max(ms, 0), (1 << 48) - 1):012x}"
    return f"{digits[:8]}-{digits[8:]}-"
