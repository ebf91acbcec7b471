"""Delivery to the recipient domain's own mail hosts (RFC 5321 5.1, RFC 7505), under TLS where they can (RFC 7435)."""

import random
from collections.abc import Callable, Collection
from functools import lru_cache
from itertools import groupby
from operator import itemgetter

from mailferry.delivery.transports.pool import Pool
from mailferry.delivery.transports.tour import Dialer, Tour
from mailferry.delivery.transports.transport import Parcel
from mailferry.mail.reply import Answer
from mailferry.net.dns import MailHosts, Resolver
from mailferry.net.guard import Guard
from mailferry.net.smtp import Approach, Timeouts, opportunistic_context

Ranked = tuple[tuple[int, str], ...]

_NO_HOSTS = {
    "null": ("5.1.10", "the domain accepts no mail (null MX)"),  # RFC 7505 4.2
    "nxdomain": ("5.1.2", "the domain does not exist"),
    "none": ("5.4.4", "the domain has neither mail hosts nor an address"),
    "servfail": ("4.4.3", "the domain's name servers fail"),
    "timeout": ("4.4.3", "the domain's name servers do not answer"),
}


class Mx:
    """`own_hosts` are our names as they may stand in an MX record; `helo` is the one that we give.

    `port` is 25 but in tests; `clock` gives milliseconds that only go forward.
    """

    name = "mx"

    def __init__(
        self,
        *,
        resolver: Resolver,
        guard: Guard,
        clock: Callable[[], int],
        rng: random.Random,
        helo: str,
        own_hosts: Collection[str] = (),
        port: int = 25,
        local_ip: str = "",
        timeouts: Timeouts | None = None,
        pool: Pool | None = None,
    ) -> None:
        approach = Approach(
            helo=helo,
            transport=self.name,
            context=opportunistic_context(),
            local_ip=local_ip,
            timeouts=timeouts or Timeouts(),
        )
        self._dialer = Dialer(approach, port, resolver=resolver, guard=guard, clock=clock, rng=rng)
        self._resolver = resolver
        self._rng = rng
        self._own_hosts = frozenset(host.lower().removesuffix(".") for host in (helo, *own_hosts))
        self._pool = pool or Pool()

    async def deliver(self, parcel: Parcel) -> Answer:
        """One attempt at the hosts of the parcel's domain."""
        hosts = self._reachable(await self._resolver.mail_hosts(parcel.domain))
        if isinstance(hosts, Answer):
            return hosts
        return await self._pool.carry(
            _site(hosts), lambda: Tour(self._dialer, lambda: self._ranks(hosts), parcel), parcel
        )

    async def close(self) -> None:
        """Ends the connections that are kept."""
        await self._pool.close()

    def _reachable(self, found: MailHosts) -> Ranked | Answer:
        """The hosts that are nearer to the recipient than we are."""
        if found.status != "ok":
            return self._failure(*_NO_HOSTS[found.status])
        own = [preference for preference, host in found.hosts if host in self._own_hosts]
        if not own:
            return found.hosts
        # RFC 5321 5.1: where we stand in the list, only hosts before us may be used, or mail would go round in circles.
        nearer = tuple(pair for pair in found.hosts if pair[0] < min(own))
        return nearer or self._failure("5.4.6", "the domain's mail comes to this host, which does not take it")

    def _ranks(self, hosts: Ranked) -> list[list[str]]:
        """RFC 5321 5.1: by preference, and hosts of the same preference in random order, to spread the load."""
        ranks = [[host for _, host in group] for _, group in groupby(hosts, key=itemgetter(0))]
        for rank in ranks:
            self._rng.shuffle(rank)
        return ranks

    def _failure(self, enhanced: str, text: str) -> Answer:
        return Answer(0, enhanced, text, "dns", self.name)


@lru_cache(maxsize=4096)
def _site(hosts: Ranked) -> tuple[str, ...]:
    """What connections are kept by: domains with the same hosts share them, and hosted mail is most of the mail."""
    return tuple(sorted({host for _, host in hosts}))
