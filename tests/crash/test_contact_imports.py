"""Imports of contacts outlive their processes: one that is killed and started again, and one of two on one database."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mailferry.resources.contacts.jobs import LEASE_MS
from tests.commands import first_run
from tests.crash.leases import grow_old
from tests.fakes.dns import FakeDNS
from tests.peers.postgres import Cluster
from tests.server import Mailferry, running

MANY = 6_000
PATH = "/api/accounts/1/contacts/imports"


class Client:
    def __init__(self, server: Mailferry) -> None:
        self.server = server
        self.token = str(first_run(server)["api_token"])

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        sent = None if body is None else json.dumps(body).encode()
        status, answer = await asyncio.to_thread(self.server.request, method, path, self.token, sent)
        assert 200 <= status < 300, answer
        return answer

    async def begin(self, tag: str) -> int:
        """Everybody, with a list and a value of this import."""
        made = await self.ask("POST", "/api/contacts/lists", {"name": tag})
        field = {"name": tag, "data_type": "integer", "merge_tag": tag}
        await self.ask("POST", "/api/contacts/fields", field)
        rows = [{"email": f"p{n}@one.test", "fields": {tag: n}, "list_ids_included": [made["id"]]} for n in range(MANY)]
        return int((await self.ask("POST", PATH, {"contacts": rows}))["id"])

    async def finished(self, import_id: int, seconds: float = 60) -> tuple[int, int]:
        async with asyncio.timeout(seconds):
            while (told := await self.ask("GET", f"{PATH}/{import_id}"))["status"] != "finished":
                assert told["status"] in ("created", "started")
                await asyncio.sleep(0.5)
        return told["created_contacts_count"], told["updated_contacts_count"]

    async def everybody_is_there(self, *tags: str) -> None:
        for tag in tags:
            rule = {"name": tag, "conditions": [{"field": tag, "operator": "not_empty"}]}
            segment = await self.ask("POST", "/api/contacts/segments", rule)
            assert (await self.ask("GET", f"/api/contacts/segments/{segment['id']}"))["contacts_count"] == MANY
        last = (await self.ask("GET", f"/api/contacts/p{MANY - 1}@one.test"))["data"]
        assert last["fields"] == dict.fromkeys(tags, MANY - 1) and len(last["list_ids"]) == len(tags)


async def until(check: Callable[[], Any], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(check):
            await asyncio.sleep(0.01)


async def test_an_import_goes_on_after_a_kill(tmp_path: Path) -> None:
    async with FakeDNS({}) as dns, running(tmp_path, dns) as server:
        client = Client(server)
        first, second = await client.begin("one"), await client.begin("two")
        for _ in range(3):  # wherever it is then
            await asyncio.sleep(0.7)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        # Leases of the process that is gone need not be waited for.
        assert await client.finished(first) == (MANY, 0)
        assert await client.finished(second) == (0, MANY)
        await client.everybody_is_there("one", "two")


async def test_the_import_of_a_dead_node_is_taken_over(
    tmp_path: Path, postgres_cluster: Cluster, postgres_url: str
) -> None:
    """One process takes requests, two others import; one of those is killed in the middle of a piece."""
    async with FakeDNS({}) as dns, running(tmp_path, dns, url=postgres_url, server__roles="api") as front:
        client = Client(front)
        keepers = [keeper(front, name) for name in "bc"]
        with postgres_cluster.connect(postgres_url.rpartition("/")[2]) as behind:
            try:
                await asyncio.to_thread(keepers[0].start)
                first, second = await client.begin("one"), await client.begin("two")
                done = "SELECT count(*) FROM contacts"
                await until(lambda: behind.execute(done).fetchone()[0] > MANY // 10)
                keepers[0].kill()
                await until(lambda: not others(behind))
                part = behind.execute(done).fetchone()
                assert part and part[0] < MANY, "it had ended before it was killed"
                await asyncio.to_thread(grow_old, postgres_url)
                await asyncio.to_thread(keepers[1].start)
                assert await client.finished(first, LEASE_MS / 1000 + 60) == (MANY, 0)
                assert await client.finished(second) == (0, MANY)
            finally:
                for each in keepers:
                    await asyncio.to_thread(each.end)
        await client.everybody_is_there("one", "two")


def keeper(front: Mailferry, name: str) -> Mailferry:
    settings = {key: value for key, value in front.settings.items() if not key.endswith("listen")}
    settings |= {"server.roles": "housekeeping", "secrets.key_file": str(front.data / "secret.key")}
    return Mailferry(front.data.with_name(name), settings)


def others(behind: Any) -> int:
    """Transactions that the killed process has left behind."""
    busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE '%in transaction%' AND pid <> pg_backend_pid()"
    return int(behind.execute(busy).fetchone()[0])
