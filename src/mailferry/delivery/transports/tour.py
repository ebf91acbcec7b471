"""Going through the hosts of one destination until one takes the connection (RFC 5321 5.1)."""

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from itertools import chain, zip_longest

from mailferry.delivery.transports.transport import Parcel
from mailferry.mail.reply import BEFORE_MAIL, Answer
from mailferry.net.dns import Resolver
from mailferry.net.guard import Guard
from mailferry.net.smtp import Approach, Client, Habits, connect, opportunistic_context
from mailferry.net.smtp_habits import Recently

MOST_HOSTS = 10
"""Whose addresses are looked up for one attempt. Domains with more are there to waste our time."""
MOST_CONNECTIONS = 6
"""Tried in one attempt, as none may answer for 30 s; but each preference and, where it goes, each host gets one. The next
attempt shuffles anew."""
DOUBT_MS = 5 * 60 * 60 * 1000
"""How long a recipient's next attempt keeps away from the host that left the last one in doubt: the longest wait for it."""


class Dialer:
    """Makes connections the way one transport makes them. `clock` gives milliseconds that only go forward."""

    def __init__(
        self,
        approach: Approach,
        port: int,
        *,
        resolver: Resolver,
        guard: Guard,
        clock: Callable[[], int],
        rng: random.Random,
    ) -> None:
        self.transport = approach.transport
        self._approach = approach
        self._plain_approach = replace(approach, tls="none")
        self._safe_approach = _safe(approach)
        self._port = port
        self._resolver = resolver
        self._guard = guard
        self._clock = clock
        self._rng = rng
        self._habits = Habits(clock)
        self.doubts = Recently(clock, DOUBT_MS)
        """(recipient, address) where the final dot was not answered, or by 421."""

    async def addresses(self, host: str) -> tuple[list[str], list[Answer]]:
        """A host's addresses in the order in which to try them, and why there are not more."""
        status, found = ("ok", (host,)) if _is_address(host) else await self._resolver.addresses(host)
        if status in ("servfail", "timeout"):
            return [], [
                self._failure("4.4.3", f"the address of {host} cannot be looked up now ({status})", "dns", host)
            ]
        if status != "ok":
            return [], [self._failure("5.4.4", f"mail host {host} has no address", "dns", host)]
        allowed: list[str] = []
        failures: list[Answer] = []
        for ip in found:
            # A private or own address does not become another by waiting, and 72 hours of silence help no sender: for
            # good. The domain's other hosts are still tried, and one of them that may come back makes it temporary.
            refusal = self._guard.check(ip, self._port)
            if refusal is None:
                allowed.append(ip)
            else:
                failures.append(replace(self._failure("5.4.4", f"no connection: {refusal}", "connect", host), ip=ip))
        return self._order(allowed), failures

    async def dial(self, host: str, ip: str, *, needs_tls: bool = False) -> Client | Answer:
        """A connection that is ready for MAIL, in plain text where TLS is only a wish and does not work."""
        if needs_tls:
            return await connect(host, ip, self._port, self._safe_approach, self._habits)
        wish = self._approach.tls == "opportunistic" and self._approach.credentials is None
        if wish and ip in self._habits.plain:
            return await connect(host, ip, self._port, self._plain_approach, self._habits)
        found = await connect(host, ip, self._port, self._approach, self._habits)
        if wish and isinstance(found, Answer) and found.stage == "tls":
            # RFC 7435 3: what is opportunistic must not lose mail that would have travelled in plain text.
            found = await connect(host, ip, self._port, self._plain_approach, self._habits)
            if isinstance(found, Client):
                self._habits.plain.note(ip)
        return found

    def _order(self, ips: list[str]) -> list[str]:
        """IPv6 first, then the families by turns (RFC 8305 4): one that is dead here does not use up all tries."""
        own = self._approach.local_ip
        families = [[ip for ip in ips if ":" in ip], [ip for ip in ips if ":" not in ip]]
        for family in families:
            self._rng.shuffle(family)  # name servers rotate addresses to spread load; our cache froze the order
        if own:
            return families[0] if ":" in own else families[1]
        return [ip for ip in chain.from_iterable(zip_longest(*families)) if ip is not None]

    def _failure(self, enhanced: str, text: str, stage: str, host: str) -> Answer:
        return Answer(0, enhanced, text, stage, self.transport, host)


def _safe(approach: Approach) -> Approach:
    """The same under TLS or not at all; no more is verified than before."""
    if approach.tls in ("required", "implicit"):
        return approach
    return replace(approach, tls="required", context=approach.context or opportunistic_context())


@dataclass(frozen=True, slots=True)
class _Target:
    host: str
    ip: str


class Tour:
    """One journey along the hosts for one parcel, in the order of `ranks`, which are their preferences.

    They are asked for when the journey begins: most messages find a connection that is open. Each call of `next` goes on
    where the last one ended.
    """

    def __init__(self, dialer: Dialer, ranks: Callable[[], Sequence[Sequence[str]]], parcel: Parcel) -> None:
        self._dialer = dialer
        self._recipient = parcel.recipient
        self._needs_tls = parcel.needs_tls
        self._plan = ranks
        self._ranks: deque[Sequence[str]] | None = None
        self._hosts: deque[str] = deque()  # of the rank that is tried
        self._left = 0  # connections that may be tried in it
        self._targets: deque[_Target] = deque()  # of the host that is tried
        self._last: deque[_Target] = deque()
        self._tried = 0
        self._failures: list[Answer] = []

    async def next(self) -> Client | Answer:
        """A connection to the next host that gives one; when there is none left, what stood in the way."""
        while (target := await self._target()) is not None:
            self._tried += 1
            self._left -= 1
            found = await self._dialer.dial(target.host, target.ip, needs_tls=self._needs_tls)
            if isinstance(found, Client):
                return found
            self.note(found)
        return self._verdict()

    def note(self, failure: Answer) -> None:
        """Counts a failure that came after the connection was handed out."""
        self._failures.append(failure)

    def doubt(self, ip: str) -> None:
        """This host may have taken the message or not: the next attempt begins with another, if there is one."""
        self._dialer.doubts.note((self._recipient, ip))

    def takes(self, client: Client) -> bool:
        """Whether a connection that is open already may carry it."""
        return not self.doubts(client.ip) and (bool(client.tls) or not self._needs_tls)

    def doubts(self, ip: str) -> bool:
        """Whether the last attempt ended in doubt there."""
        return (self._recipient, ip) in self._dialer.doubts

    @property
    def was_full(self) -> bool:
        """Whether a host had no room for this connection: 421 before any mail."""
        return any(failure.code == 421 and failure.stage in BEFORE_MAIL for failure in self._failures)

    async def _target(self) -> _Target | None:
        if self._ranks is None:
            self._ranks = deque(_within(self._plan()))
        while not self._targets:
            if self._hosts and self._left > 0:
                await self._look_up(self._hosts.popleft())
            elif self._ranks:
                self._hosts = deque(self._ranks.popleft())
                self._left = max(1, MOST_CONNECTIONS - self._tried - len(self._ranks))
            else:
                self._targets, self._last = self._last, deque()
                break
        return self._targets.popleft() if self._targets else None

    async def _look_up(self, host: str) -> None:
        ips, failures = await self._dialer.addresses(host)
        self._failures += failures
        # What is left of its rank's tries after one for each host behind it.
        for ip in ips[: max(1, self._left - len(self._hosts))]:
            (self._last if self.doubts(ip) else self._targets).append(_Target(host, ip))

    def _verdict(self) -> Answer:
        """Of all failures one that may pass, if there is any; of those rather what a host said than silence."""
        if not self._failures:
            text = "no mail host has an address of the family that we send from"
            return Answer(0, "4.4.4", text, "connect", self._dialer.transport)
        return min(self._failures, key=lambda failure: (_permanent(failure), failure.code == 0))


def _within(ranks: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """At most MOST_HOSTS hosts, of every rank at least one."""
    kept: list[Sequence[str]] = []
    left, behind = MOST_HOSTS, min(len(ranks), MOST_HOSTS)
    for rank in ranks[:MOST_HOSTS]:
        behind -= 1
        kept.append(rank[: left - behind])
        left -= len(kept[-1])
    return kept


def _permanent(answer: Answer) -> bool:
    return answer.code >= 500 or (answer.code == 0 and answer.enhanced.startswith("5"))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
