"""Whose turn it is to make an attempt: what one site may have at once, and how all share what there is.

Nobody can tell beforehand which sites answer and which let us wait for minutes, so each has to earn its room:

- A site begins with FIRST attempts at once, has one more with each answer about a mail and one fewer with each attempt
  that brought no word, as at Postfix. One that turns a connection away has as many as it took.
- Until half of all attempts are under way, that is all. From there on each site's share shrinks with what is left, so
  that any number of sites leaves room for the next one.
- Sites that never answered may not fill everything together, and those that took long or kept silent last time even
  less: what is left belongs to sites that are known to answer.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import merge
from itertools import count
from math import ceil

FIRST = 2
"""Attempts at once at a site of which nothing is known. Postfix begins with 5; with fewer, hundreds of sites that let us wait
leave room, and a site that answers has all that it may have after as many messages."""
SLOW_S = 10
"""An attempt that took longer is no sign of a site that answers. Greylisting, refusals and small mail take a second or two,
pauses at the greeting (which sort out spammers) up to six."""
CALM_S = 60
"""A site that turned a connection away is not offered more for so long: finding out that it still has no room costs both
sides a connection."""
UNKNOWN = 3 / 4
"""Of all attempts, for sites that are not known to answer soon."""
SILENT = 1 / 2
"""Of all attempts, for those of them that took long or kept silent last time."""


def share(most: int, free: int, of: int) -> float:
    """How many of `most` places anybody may have while `free` places `of` all are: fewer, once less than half are."""
    return most * min(1.0, 2 * free / of)


@dataclass(slots=True, eq=False)
class Site:
    """What is known of one destination, and who waits for it."""

    limit: int
    running: int = 0
    soon: bool | None = None
    """Whether its last attempt was answered soon; None: nothing is known yet."""
    calm_until: float = 0.0
    place: int = 0  # among the sites that wait for room
    waiting: deque["asyncio.Future[Turn]"] = field(default_factory=deque)


@dataclass(slots=True)
class Turn:
    """Leave to make one attempt. To be given back."""

    site: Site
    soon: bool | None
    began: float


class Turns:
    """At most `connections` attempts at one site and `attempts` at all. Belongs to one event loop."""

    def __init__(self, connections: int, attempts: int) -> None:
        self._connections = connections
        # Attempts in all, and how many of them are free; those for unknown sites, and of these for silent ones.
        self._attempts = self._free = attempts
        self._for_unknown = self._unknown = ceil(attempts * UNKNOWN)
        self._for_silent = self._silent = ceil(attempts * SILENT)
        # Sites that may have more as soon as there is room, in order, apart by `soon`: thousands of silent ones that wait
        # must not be gone through each time that another one's attempt ends.
        self._waiting: dict[bool | None, dict[Site, None]] = {True: {}, None: {}, False: {}}
        self._places = count()

    def site(self) -> Site:
        """One of which nothing is known."""
        return Site(min(FIRST, self._connections))

    async def take(self, site: Site) -> Turn:
        """Waits until it is the site's turn and the caller's among those who wait for the site."""
        if not site.waiting and self._may(site):
            return self._begin(site)
        waiter: asyncio.Future[Turn] = asyncio.get_running_loop().create_future()
        site.waiting.append(waiter)
        self._line_up(site)
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self.give_back(waiter.result())  # granted and cancelled at the same moment
            elif waiter in site.waiting:
                site.waiting.remove(waiter)
            raise

    def give_back(self, turn: Turn) -> None:
        """The attempt has ended, whatever became of it."""
        site = turn.site
        site.running -= 1
        self._free += 1
        self._unknown += not turn.soon
        self._silent += turn.soon is False
        if site.waiting:
            self._line_up(site)
        self._admit()

    # What attempts tell.

    def answered(self, turn: Turn) -> None:
        """The host answered about a mail."""
        site, now = turn.site, asyncio.get_running_loop().time()
        self._know(site, soon=now - turn.began <= SLOW_S)
        if now >= site.calm_until:
            site.limit = min(site.limit + 1, self._connections)

    def unanswered(self, turn: Turn) -> None:
        """No host was reached, or it fell silent."""
        self._know(turn.site, soon=False)
        turn.site.limit = max(turn.site.limit - 1, 1)

    def turned_away(self, turn: Turn, taken: int) -> None:
        """The host took so many connections, and not this one."""
        turn.site.limit = max(1, min(turn.site.limit, taken))
        turn.site.calm_until = asyncio.get_running_loop().time() + CALM_S

    # Within.

    def _may(self, site: Site) -> bool:
        room = share(site.limit, self._free, self._attempts)
        if not site.soon:
            room = min(room, share(site.limit, self._unknown, self._for_unknown))
        if site.soon is False:
            room = min(room, share(site.limit, self._silent, self._for_silent))
        return site.running < room

    def _begin(self, site: Site) -> Turn:
        site.running += 1
        self._free -= 1
        self._unknown -= not site.soon
        self._silent -= site.soon is False
        return Turn(site, site.soon, asyncio.get_running_loop().time())

    def _admit(self) -> None:
        """Lets go who may go now, site by site."""
        for _, site in merge(*map(self._that_may_have_room, self._waiting)):
            if not site.waiting or site.running >= site.limit:
                self._step_out(site)  # it waits for its own attempts: the first that ends puts it back
            elif self._may(site):
                self._let_go(site)

    def _that_may_have_room(self, soon: bool | None) -> Iterator[tuple[int, Site]]:
        sites = tuple(self._waiting[soon]) if self._has_room(soon) else ()
        for site in sites:
            if not self._has_room(soon):
                return
            yield site.place, site

    def _has_room(self, soon: bool | None) -> bool:
        """Whether a site of which so much is known might be let go."""
        return bool(self._free and (soon or self._unknown) and (soon is not False or self._silent))

    def _line_up(self, site: Site) -> None:
        if site not in self._waiting[site.soon]:
            self._waiting[site.soon][site] = None
            site.place = next(self._places)

    def _step_out(self, site: Site) -> None:
        self._waiting[site.soon].pop(site, None)

    def _know(self, site: Site, *, soon: bool) -> None:
        lined_up = site in self._waiting[site.soon]
        self._step_out(site)
        site.soon = soon
        if lined_up:
            self._line_up(site)

    def _let_go(self, site: Site) -> None:
        self._step_out(site)
        self._line_up(site)  # behind the others
        while site.waiting and self._may(site):
            waiter = site.waiting.popleft()
            if not waiter.done():  # cancelled, and not gone yet
                waiter.set_result(self._begin(site))
