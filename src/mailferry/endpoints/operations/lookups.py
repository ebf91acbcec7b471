"""Looks into the DNS: what a domain has published, what that means for it, and who waits for the answer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from mailferry.delivery import release
from mailferry.endpoints.operations.tools import Tools
from mailferry.resources import custom_hosts, dns_records, domains
from mailferry.resources.dns_records import RecordStatus
from mailferry.resources.domains import Domain

log = structlog.get_logger(__name__)

#: A domain that a client asks about again and again is looked up this often; housekeeping does it every hour.
LOOK_MS = 60_000
#: Domains that are looked up at once, a dozen questions each.
LOOKS = 8
#: A domain's id, or the account and document of a name.
_Key = int | tuple[int, str]


async def check_domain(tools: Tools, domain: Domain) -> Sequence[RecordStatus]:
    """Look its records up and keep what that means; also what housekeeping does every hour."""
    statuses = await dns_records.verify(tools.resolver, dns_records.records(domain, operator_of(tools)))
    before = {key.selector for key in domain.keys if key.published}
    published = dns_records.published_selectors(statuses, before)
    # A name server that is away says nothing about the domain.
    verified = dns_records.verified(statuses) if dns_records.conclusive(statuses) else domain.dns_verified
    shown = {status.record.key: status.status for status in statuses}
    await tools.database.write(
        lambda connection: domains.set_verified(connection, domain, verified, published, tools.clock(), shown)
    )
    tools.book.forget()
    if verified and not domain.dns_verified:
        await let_go(tools, domain.id)
    return statuses


async def check_host(tools: Tools, account_id: int, name: str) -> None:
    """A name that mail is to use (resources/custom_hosts.py), and keep what was found."""
    (found,) = await dns_records.verify(tools.resolver, [custom_hosts.record(name, operator_of(tools))])
    if found.status == "network_error":  # says nothing about the name
        return
    await tools.database.write(
        lambda connection: custom_hosts.put_status(connection, account_id, name, found.status, tools.clock())
    )
    tools.forget_documents()


async def let_go(tools: Tools, domain_id: int) -> int:
    """All that was held for a domain is queued; returns how much."""
    total = 0
    while True:
        now = tools.clock()
        released = await tools.database.write(lambda c, now=now: release.release_domain(c, domain_id, now))  # type: ignore[misc]  # a default binds the loop variable
        total += released
        if released < release.SOME:
            tools.wake()
            return total


def operator_of(tools: Tools) -> dns_records.Operator:
    return dns_records.Operator(tools.hostname, tools.config["dns.zone"])


class Lookups:
    """Domains looked up in the background, because a client has just added one or waits for its records to be seen.

    ``ticks``: milliseconds that only go forward.
    """

    def __init__(self, tools: Tools, ticks: Callable[[], int]) -> None:
        self._tools = tools
        self._ticks = ticks
        self._looked: dict[_Key, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(LOOKS)

    def ask(self, domain_id: int) -> None:
        """Returns at once; nothing happens when the last look was a moment ago."""
        self._ask(domain_id, lambda: self._check(domain_id))

    def ask_host(self, account_id: int, name: str) -> None:
        """The same of a name that mail is to use."""
        self._ask((account_id, name), lambda: check_host(self._tools, account_id, name))

    def _ask(self, key: _Key, check: Callable[[], Awaitable[None]]) -> None:
        now = self._ticks()
        if now < self._looked.get(key, now - LOOK_MS) + LOOK_MS:
            return
        if len(self._looked) > 10_000:
            self._looked.clear()
        self._looked[key] = now
        task = asyncio.create_task(self._look(key, check))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def ask_anew(self, domain_id: int) -> None:
        """Also when the last look was a moment ago: what it looked for is not wanted any more."""
        self._looked.pop(domain_id, None)
        self.ask(domain_id)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _check(self, domain_id: int) -> None:
        found = await self._tools.database.read(lambda connection: domains.by_id(connection, domain_id))
        if found and found.state != domains.DEMO:
            await check_domain(self._tools, found)

    async def _look(self, key: _Key, check: Callable[[], Awaitable[None]]) -> None:
        async with self._room:
            try:
                await check()
            except Exception:  # nobody waits for it; housekeeping looks again
                log.exception("look_up_failed", of=key)
