"""Whoever sends to webhooks is killed, again and again: each event arrives at least once, in the order of its message."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from mailtrap.webhooks import verify_signature

from mailferry.journal.follow import LEASE_MS
from tests.commands import ask_later
from tests.conftest import eventually
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.fakes.receiver import Receiver
from tests.flows.test_webhooks import ZONE, Client
from tests.server import Mailferry, add_domain, message, running

MANY = 150


async def send(client: Client, name: str, number: int) -> list[str]:
    requests = [message(f"{name}-{each}@dest.test") for each in range(number)]
    answer = await client.ask("POST", "batch", {"requests": requests})
    return [each["message_ids"][0] for each in answer["responses"]]


def stories(receiver: Receiver) -> dict[str, list[str]]:
    """Of each message, its events in the order of their first arrival."""
    found: dict[str, dict[str, str]] = {}
    for event in receiver.taken:
        found.setdefault(event["message_id"], {}).setdefault(event["event_id"], event["event"])
    return {message_id: list(events.values()) for message_id, events in found.items()}


async def test_a_server_that_is_killed_while_it_sends(tmp_path: Path, database_url: str) -> None:
    async with (
        FakeDNS(dict(ZONE)) as dns,
        FakeMX(greylist=True) as mx,
        Receiver() as receiver,
        running(tmp_path, dns, smtp_port=mx.port, url=database_url) as server,
    ):
        await add_domain(server, dns)
        client = Client(server)
        made = await client.add(receiver.url())
        receiver.delay = 0.05
        sent: list[str] = []
        for number in range(1 if database_url else 4):  # on PostgreSQL each takes the half minute of a lease
            sent += await send(client, f"r{number}", MANY // 4)
            seen = len(receiver.requests)
            await eventually(lambda seen=seen: len(receiver.requests) > seen, 60)  # type: ignore[misc]
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        told = lambda: sum("delivery" in story for story in stories(receiver).values())  # noqa: E731
        await eventually(lambda: told() == len(sent), LEASE_MS / 1000 + 60)
        for identity in sent:
            story = await ask_later(server, "messages.show", message=identity)
            kinds = [event["kind"].replace("_", " ") for event in story["recipients"][0]["events"]]
            assert stories(receiver)[identity] == [kind for kind in kinds if kind != "accepted"]
        for request in receiver.requests:
            assert verify_signature(request.body, request.headers["mailtrap-signature"], made["signing_secret"])
        async with asyncio.timeout(30):  # what was answered and not written down is sent once more
            while (await ask_later(server, "webhooks.list"))[0]["waiting"]:
                await asyncio.sleep(0.2)


async def test_another_node_goes_on(tmp_path: Path, postgres_url: str) -> None:
    async with (
        FakeDNS(dict(ZONE)) as dns,
        FakeMX() as mx,
        Receiver() as receiver,
        running(tmp_path, dns, smtp_port=mx.port, url=postgres_url, server__roles="api,delivery,housekeeping") as front,
        node(front, "b") as b,
    ):
        await add_domain(front, dns)
        client = Client(front)
        await client.add(receiver.url())
        receiver.delay = 0.2
        sent = await send(client, "first", MANY)
        await eventually(lambda: receiver.requests, 30)
        async with node(front, "c"):
            b.kill()
            sent += await send(client, "second", MANY)
            wanted = {identity: ["delivery"] for identity in sent}
            await eventually(lambda: stories(receiver) == wanted, LEASE_MS / 1000 + 30)
            (shown,) = await ask_later(front, "webhooks.list")
            assert (shown["parked"], shown["failures"]) == (0, 0)


@contextlib.asynccontextmanager
async def node(front: Mailferry, name: str) -> AsyncIterator[Mailferry]:
    """A process that only serves webhooks, on the database of `front` and with its key."""
    settings = {key: value for key, value in front.settings.items() if not key.endswith("listen")}
    settings |= {"server.roles": "consumers", "secrets.key_file": str(front.data / "secret.key")}
    other = Mailferry(front.data.with_name(name), settings)
    try:
        await asyncio.to_thread(other.start)
        yield other
    finally:
        await asyncio.to_thread(other.end)
