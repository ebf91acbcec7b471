"""Domains looked up in the background while a client waits: at once, seldom, and whatever happens."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from mailferry.endpoints.operations.lookups import LOOK_MS, Lookups
from mailferry.net.dns import Resolver
from mailferry.resources import domains
from mailferry.resources.domains import Domain
from mailferry.store.database import Database
from mailferry.store.secrets import Sealer
from tests.conftest import Clock, eventually
from tests.fakes.dns import FakeDNS
from tests.operator_tools import make_tools


@pytest.fixture
async def dns() -> AsyncIterator[FakeDNS]:
    async with FakeDNS({"a.test": {}}) as server:
        yield server


@pytest.fixture
async def lookups(database: Database, clock: Clock, dns: FakeDNS) -> AsyncIterator[Lookups]:
    resolver = Resolver([dns.address], clock=clock)
    tools = make_tools(database, clock, resolver)
    made = Lookups(tools, clock)
    yield made
    await made.close()
    await resolver.close()


async def add(database: Database, clock: Clock, name: str = "a.test") -> Domain:
    return await database.write(lambda c: domains.add(c, Sealer(bytes(32)), 1, name, (), clock())[0])


async def statuses(database: Database, domain: Domain) -> dict[str, str]:
    found = await database.read(lambda c: domains.by_id(c, domain.id))
    return dict(found.statuses) if found else {}


async def becomes(database: Database, domain: Domain, key: str, status: str) -> dict[str, str]:
    async with asyncio.timeout(10):  # only ends a test that would hang
        while (found := await statuses(database, domain)).get(key) != status:
            await asyncio.sleep(0.01)
    return found


async def test_a_look_is_kept_and_not_repeated_at_once(
    database: Database, clock: Clock, dns: FakeDNS, lookups: Lookups
) -> None:
    domain = await add(database, clock)
    for _ in range(5):
        lookups.ask(domain.id)
    found = await becomes(database, domain, "dmarc", "missing")
    assert found == {"verification": "missing", "spf": "missing", "dmarc": "missing", "link_verification": "missing"}
    assert dns.count("_dmarc.a.test", "TXT") == 1
    dns.zone["_dmarc.a.test"] = {"TXT": "v=DMARC1; p=none"}
    clock.now += LOOK_MS - 1
    lookups.ask(domain.id)
    clock.now += 1
    lookups.ask(domain.id)
    await becomes(database, domain, "dmarc", "pass")
    assert dns.count("_dmarc.a.test", "TXT") == 2


async def test_what_is_gone_or_demo_is_not_asked_for(
    database: Database, clock: Clock, dns: FakeDNS, lookups: Lookups
) -> None:
    gone, demo, real = [await add(database, clock, name) for name in ("gone.test", "demo.test", "a.test")]
    await database.write(lambda c: domains.remove(c, gone.id, 1))
    await database.write(lambda c: domains.set_state(c, demo.id, domains.DEMO))
    for number in (10**9, gone.id, demo.id, real.id):
        lookups.ask(number)
    await becomes(database, real, "dmarc", "missing")
    assert {name.rpartition("a.test")[1] for name, _, _ in dns.asked} == {"a.test"}


async def test_closing_ends_what_is_still_asked(
    database: Database, clock: Clock, dns: FakeDNS, lookups: Lookups
) -> None:
    dns.delay = 60.0
    domain = await add(database, clock)
    lookups.ask(domain.id)
    await eventually(lambda: dns.asked)
    await lookups.close()
    assert await statuses(database, domain) == {}
