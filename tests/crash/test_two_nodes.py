"""Several processes with a data folder each on one PostgreSQL: they share the work, and one takes over from the dead."""

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg

from mailferry.delivery.job import LEASE_MS
from tests.conftest import eventually
from tests.crash.leases import grow_old
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.peers.postgres import Cluster
from tests.server import Mailferry, add_domain, message, running

MANY = 60
#: More than a lease and less than what keeps a node from starting, in seconds.
AHEAD = 40
#: What Python imports first: the time of a process whose machine's clock is wrong.
WRONG_CLOCK = f"""
import time
right, right_ns = time.time, time.time_ns
time.time = lambda: right() + {AHEAD}
time.time_ns = lambda: right_ns() + {AHEAD} * 10**9
"""
ZONE = {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}


async def test_the_work_of_a_dead_node_is_taken_over(
    tmp_path: Path, postgres_cluster: Cluster, postgres_url: str
) -> None:
    async with (
        FakeDNS(ZONE) as dns,
        FakeMX() as mx,
        running(tmp_path, dns, smtp_port=mx.port, url=postgres_url, server__roles="api,smtp,housekeeping") as front,
        node(front, "b") as b,
    ):
        await add_domain(front, dns)
        with postgres_cluster.connect(postgres_url.rpartition("/")[2]) as behind:
            mx.delays["DOT"] = 0.7  # so that the kill comes in the middle of something
            await send(front, "first", MANY)
            await eventually(lambda: len(mx.transactions) > 5)
            b.kill()
            await eventually(lambda: not mx.open)
            in_flight = [address for address in unsettled(behind) if taken(mx)[address]]
            mx.delays.clear()
            assert unsettled(behind), "the node had ended before it was killed"
            await asyncio.to_thread(grow_old, postgres_url)
            async with node(front, "c"):
                await eventually(lambda: not unsettled(behind), LEASE_MS / 1000 + 30)
                async with node(front, "d"):
                    await send(front, "second", MANY)
                    await eventually(lambda: not unsettled(behind))
    repeated = {address for address, times in taken(mx).items() if times > 1}
    print(f"{len(in_flight)} in flight at the kill, {len(repeated)} delivered once more")
    assert len(taken(mx)) == 2 * MANY and set(taken(mx).values()) <= {1, 2}
    assert repeated <= set(in_flight)


async def test_nodes_whose_clocks_differ_deliver_once(tmp_path: Path, postgres_url: str) -> None:
    """Measured by its own clock, each lease of the others would be over for the one that is ahead."""
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "sitecustomize.py").write_text(WRONG_CLOCK)
    path = os.pathsep.join([str(tmp_path / "wrong"), os.environ.get("PYTHONPATH", "")])
    async with (
        FakeDNS(ZONE) as dns,
        FakeMX() as mx,
        running(tmp_path, dns, smtp_port=mx.port, url=postgres_url) as right,
        node(right, "ahead", PYTHONPATH=path) as ahead,
    ):
        await add_domain(right, dns)
        mx.delays["DOT"] = 0.5
        for number in range(5):
            await send(right, f"r{number}", MANY)
        await eventually(lambda: len(taken(mx)) == 5 * MANY, LEASE_MS / 1000 + 30)
        assert "clock_differs" in ahead.log.read_text()
    assert set(taken(mx).values()) == {1}


@contextlib.asynccontextmanager
async def node(front: Mailferry, name: str, **environment: str) -> AsyncIterator[Mailferry]:
    """A process that only delivers, on the database of `front` and with its key."""
    settings = {key: value for key, value in front.settings.items() if not key.endswith("listen")}
    settings |= {"server.roles": "delivery", "secrets.key_file": str(front.data / "secret.key")}
    other = Mailferry(front.data.with_name(name), settings, environment)
    try:
        await asyncio.to_thread(other.start)
        yield other
    finally:
        await asyncio.to_thread(other.end)


async def send(server: Mailferry, name: str, number: int) -> None:
    token = server.credentials["api_token"]
    requests = [message(f"{name}-{each}@dest.test") for each in range(number)]
    status, answer = await asyncio.to_thread(server.post, "/api/batch", {"requests": requests}, token)
    assert status == 200 and all(each["success"] for each in answer["responses"]), answer


def taken(mx: FakeMX) -> Counter[str]:
    return Counter(transaction.recipients[0] for transaction in mx.transactions)


def unsettled(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute("SELECT address FROM recipients WHERE state <> 'delivered'").fetchall()
    return [address for (address,) in rows]
