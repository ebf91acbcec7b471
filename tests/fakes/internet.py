"""A small internet on loopback: a name server, mail hosts that share one port, and parcels to send there."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from mailferry.delivery.transports.mx import Mx
from mailferry.delivery.transports.transport import Parcel, Peer, Prepared
from mailferry.mail.reply import Answer
from mailferry.net.dns import Resolver
from mailferry.net.guard import Guard
from mailferry.net.smtp import Timeouts
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX

SHORT = Timeouts(connect=5, greeting=5, hello=5, tls=5, auth=5, mail=5, rcpt=5, data=5, block=5, dot=5, quit=1)
MESSAGE = (b"Subject: hello\r\nFrom: a@x.test\r\n\r\n", b"hello\r\n")


class Internet:
    """Made by `internet()`. What it is asked for is closed with it."""

    def __init__(self, dns: FakeDNS, clock: Callable[[], int], stack: AsyncExitStack) -> None:
        self.dns = dns
        self.clock = clock
        self.stack = stack
        self.port = 0
        self.resolver = Resolver([dns.address], clock=clock, timeout=1.0)

    async def host(self, name: str, *, ip: str = "", **options: Any) -> FakeMX:
        """A mail host with an address of its own; all listen on the same port, as mail hosts do."""
        ip = ip or f"127.0.0.{10 + len(self.dns.zone)}"
        mx = await self.stack.enter_async_context(FakeMX(ip=ip, port=self.port, **options))
        self.port = self.port or mx.port
        self.dns.zone[name] = {"AAAA" if ":" in ip else "A": ip}
        return mx

    def mail(self, domain: str, *hosts: str) -> None:
        """MX records, "10 mx.y.test" and so on."""
        self.dns.zone[domain] = {"MX": hosts}

    def transport(self, **options: Any) -> Mx:
        """A transport to this internet's port."""
        return self.closed(Mx(port=self.port or 25, helo="us.test", **self.surroundings(**options)))

    def surroundings(self, **options: Any) -> dict[str, Any]:
        """What any transport needs."""
        usual = {
            "resolver": self.resolver,
            "guard": Guard(True, set()),
            "clock": self.clock,
            "rng": random.Random(7),
            "timeouts": SHORT,
        }
        return usual | options

    def closed(self, thing: Any) -> Any:
        """The thing, which is closed before the hosts are."""
        self.stack.push_async_callback(thing.close)
        return thing


@asynccontextmanager
async def internet(clock: Callable[[], int]) -> AsyncIterator[Internet]:
    async with FakeDNS() as dns, AsyncExitStack() as stack:
        made = Internet(dns, clock, stack)
        stack.push_async_callback(made.resolver.close)
        yield made


async def _plain(_: Peer) -> Prepared | Answer:
    return Prepared(MESSAGE)


def parcel(
    recipient: str = "b@y.test",
    *,
    prepare: Callable[[Peer], Awaitable[Prepared | Answer]] = _plain,
    may_commit: Callable[[], bool] = lambda: True,
    needs_tls: bool = False,
) -> Parcel:
    return Parcel("a@x.test", recipient, recipient.rpartition("@")[2], prepare, may_commit, needs_tls)


__all__ = ["MESSAGE", "SHORT", "Internet", "internet", "parcel"]
