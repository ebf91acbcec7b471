"""Going through the hosts of one destination until one takes the connection (RFC 5321 5.1)."""

import random
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from itertools import chain, zip_longest

from mailferry.mail.reply import Answer
from mailferry.net.dns import Resolver
from mailferry.net.guard import Guard
from mailferry.net.smtp import Approach, Client, connect

MOST_HOSTS = 10
"""Whose addresses are looked up for one attempt. Domains with more are there to waste our time."""
MOST_CONNECTIONS = 6
"""Tried in one attempt, as none may answer for 30 s. The next attempt shuffles anew."""
PLAIN_MS = 15 * 60 * 1000
"""How long a host whose TLS is broken is spared another handshake."""
MOST_PLAIN = 10_000
"""Hosts remembered as such."""


class Dialer:
    """Makes connections the way one transport makes them. `clock` gives Unix milliseconds."""

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
        self._port = port
        self._resolver = resolver
        self._guard = guard
        self._clock = clock
        self._rng = rng
        self._plain: OrderedDict[str, int] = OrderedDict()  # address whose TLS is broken, since when

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

    async def dial(self, host: str, ip: str) -> Client | Answer:
        """A connection that is ready for MAIL, in plain text where TLS is only a wish and does not work."""
        wish = self._approach.tls == "opportunistic" and self._approach.credentials is None
        if wish and self._is_plain(ip):
            return await connect(host, ip, self._port, self._plain_approach)
        found = await connect(host, ip, self._port, self._approach)
        if wish and isinstance(found, Answer) and found.stage == "tls":
            # RFC 7435 3: what is opportunistic must not lose mail that would have travelled in plain text.
            found = await connect(host, ip, self._port, self._plain_approach)
            if isinstance(found, Client):
                self._remember_plain(ip)
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

    def _is_plain(self, ip: str) -> bool:
        since = self._plain.get(ip)
        # Since later than now: the clock was set back, and plain text must not become the rule for as long.
        return since is not None and 0 <= self._clock() - since < PLAIN_MS

    def _remember_plain(self, ip: str) -> None:
        self._plain[ip] = self._clock()
        self._plain.move_to_end(ip)
        if len(self._plain) > MOST_PLAIN:
            self._plain.popitem(last=False)

    def _failure(self, enhanced: str, text: str, stage: str, host: str) -> Answer:
        return Answer(0, enhanced, text, stage, self.transport, host)


@dataclass(frozen=True, slots=True)
class _Target:
    host: str
    ip: str


class Tour:
    """One journey along `hosts`: each call of `next` goes on where the last one ended."""

    def __init__(self, dialer: Dialer, hosts: Sequence[str]) -> None:
        self._dialer = dialer
        self._hosts = deque(hosts[:MOST_HOSTS])
        self._targets: deque[_Target] = deque()
        self._tried = 0
        self._failures: list[Answer] = []

    async def next(self) -> Client | Answer:
        """A connection to the next host that gives one; when there is none left, what stood in the way."""
        while self._tried < MOST_CONNECTIONS and (target := await self._target()) is not None:
            self._tried += 1
            found = await self._dialer.dial(target.host, target.ip)
            if isinstance(found, Client):
                return found
            self.note(found)
        return self._verdict()

    def note(self, failure: Answer) -> None:
        """Counts a failure that came after the connection was handed out."""
        self._failures.append(failure)

    async def _target(self) -> _Target | None:
        while not self._targets and self._hosts:
            host = self._hosts.popleft()
            ips, failures = await self._dialer.addresses(host)
            self._failures += failures
            self._targets.extend(_Target(host, ip) for ip in ips)
        return self._targets.popleft() if self._targets else None

    def _verdict(self) -> Answer:
        """Of all failures one that may pass, if there is any; of those rather what a host said than silence."""
        if not self._failures:
            text = "no mail host has an address of the family that we send from"
            return Answer(0, "4.4.4", text, "connect", self._dialer.transport)
        return min(self._failures, key=lambda failure: (_permanent(failure), failure.code == 0))


def _permanent(answer: Answer) -> bool:
    return answer.code >= 500 or (answer.code == 0 and answer.enhanced.startswith("5"))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
