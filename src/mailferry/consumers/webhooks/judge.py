"""What a receiver's answer means: taken or not, whether the events may be to blame, and when to try again.

Only 200 says that the events were taken (Mailtrap's rule). A receiver that is away, or answers something else to
everything, is no reason to give up any event: it is asked again, less and less often. A receiver that takes others and
fails on one event has a problem with that event.
"""

from random import Random

from mailferry.net.http_call import Reply

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000

#: Between two halves of a batch that failed, while it is searched for the event that fails.
SEARCH_MS = SECOND
#: A webhook that fails is tried again after this; it doubles.
FIRST_MS, LONGEST_MS = 5 * SECOND, 15 * MINUTE
#: An event that failed alone so often, while others were taken, is parked.
PARK_TRIES = 5
#: A parked event is tried again after this; it doubles.
PARKED_FIRST_MS, PARKED_LONGEST_MS = HOUR, 12 * HOUR
#: A receiver that took something within this time is there.
ALIVE_MS = MINUTE
#: After so many failures in a row the receiver was away, and what it did not take is no fault of the events.
AWAY = 5
#: Of what a receiver may ask for by Retry-After.
LONGEST_WAIT_MS = HOUR


def is_taken(reply: Reply, *, any_success: bool = False) -> bool:
    """``any_success``: whoever takes notifications of topics may answer any 2xx, as to Amazon."""
    return reply.status == 200 or (any_success and 200 <= reply.status < 300)


def may_be_the_events(reply: Reply) -> bool:
    """Whether another batch might have been answered otherwise: not where nobody was reached, nor where the address is wrong."""
    asks_for_time = reply.status == 429 or (reply.status == 503 and reply.retry_after > 0)
    return reply.reached and (reply.status == 0 or reply.status >= 400) and not asks_for_time


def words(reply: Reply) -> str:
    """Why it counts as failed, in one sentence without a stop."""
    if not reply.status:
        return reply.error
    if 300 <= reply.status < 400:
        return f"answered {reply.status}; redirects are not followed"
    return f"answered {reply.status}; only 200 says that the events were taken"


def hold_ms(failures: int, retry_after: int, random: Random) -> int:
    """How long nothing is sent after so many failures in a row; ``retry_after`` in seconds."""
    asked = min(retry_after * SECOND, LONGEST_WAIT_MS)
    return max(_backed_off(FIRST_MS, LONGEST_MS, failures, random), asked)


def event_ms(tries: int, parked: bool, random: Random) -> int:
    """How long an event is left alone that failed alone so often."""
    if parked:
        return _backed_off(PARKED_FIRST_MS, PARKED_LONGEST_MS, tries - PARK_TRIES + 1, random)
    return _backed_off(FIRST_MS, LONGEST_MS, tries, random)


def _backed_off(first: int, longest: int, times: int, random: Random) -> int:
    # A quarter either way: what failed together must not come back together.
    return int(min(first * 2 ** min(max(times - 1, 0), 30), longest) * random.uniform(0.75, 1.25))
