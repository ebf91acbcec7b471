"""A destination that does not answer: one recipient at a time tries, the rest wait and say why, and nothing is lost."""

import asyncio
from pathlib import Path

from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.server import add_domain, message, running

MANY = 60
#: Connections at once to one destination in this test; each of them may run into the outage once.
CONNECTIONS = 2


async def test_a_dead_host_costs_a_few_attempts_and_its_mail_flows_when_it_is_back(
    tmp_path: Path, database_url: str
) -> None:
    zone = {
        "dest.test": {"MX": "10 mx.dest.test"},
        "mx.dest.test": {"A": "127.0.0.1"},
        "dead.test": {"MX": "10 mx.dead.test"},
        "mx.dead.test": {"A": "127.0.0.2"},
    }
    async with (
        FakeDNS(zone) as dns,
        FakeMX() as mx,
        running(
            tmp_path,
            dns,
            smtp_port=mx.port,
            url=database_url,
            delivery__connections=CONNECTIONS,
            delivery__retry_seconds=3,
        ) as server,
    ):
        await add_domain(server, dns)
        token = server.credentials["api_token"]
        requests = [message(f"n{number}@dead.test") for number in range(MANY)]
        status, _ = await asyncio.to_thread(server.post, "/api/batch", {"requests": requests}, token)
        assert status == 200
        async with asyncio.timeout(20):
            while (waiting := await asyncio.to_thread(server.command, "queue", "--limit", "100"))["waiting"]:
                if all("dead.test waits: " in row["why"] or row["attempts"] for row in waiting["oldest"]):
                    break
                await asyncio.sleep(0.1)
        assert sum(row["attempts"] for row in waiting["oldest"]) < MANY / 2

        await asyncio.to_thread(server.post, "/api/send", message("a@dest.test"), token)
        assert [t.recipients for t in await mx.received(1)] == [("a@dest.test",)]

        async with FakeMX(ip="127.0.0.2", port=mx.port) as back:
            async with asyncio.timeout(60):
                while (await asyncio.to_thread(server.command, "queue"))["waiting"]:
                    await asyncio.sleep(0.2)
            assert sorted(t.recipients[0] for t in back.transactions) == sorted(f"n{n}@dead.test" for n in range(MANY))
