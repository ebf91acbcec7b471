"""When an attempt that failed is made again: exponential back-off with jitter, and a last try at the end of its life."""

from random import Random

#: No wait is longer: after an outage of the receiver mail should flow within hours.
LONGEST_MS = 4 * 3_600_000


def retry_at(now: int, tries: int, expires_at: int, first_ms: int, random: Random) -> int:
    """The time of the next attempt after ``tries`` have ended; never later than the message's last moment."""
    wait = min(first_ms * 2 ** min(tries - 1, 20), LONGEST_MS)
    # A quarter either way: what failed together must not come back together.
    return min(now + int(wait * random.uniform(0.75, 1.25)), max(expires_at, now + 1000))
