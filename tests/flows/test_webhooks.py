"""From an API call to the recipient's host and to the customer's webhook, over sockets, on both databases."""

import asyncio
import json
from pathlib import Path
from typing import Any

from mailtrap.webhooks import verify_signature
from standardwebhooks.webhooks import Webhook

from tests.commands import first_run
from tests.conftest import eventually
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.fakes.receiver import Receiver
from tests.server import DOMAIN, Mailferry, add_domain, message, running

ZONE = {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}
TYPES = ["delivery", "soft_bounce", "bounce", "suspension", "unsubscribe", "open", "spam_complaint", "click", "reject"]


class Client:
    def __init__(self, server: Mailferry) -> None:
        self.server = server
        self.token = first_run(server)["api_token"]

    async def ask(self, method: str, path: str, body: Any = None, *, expect: int = 200) -> Any:
        sent = None if body is None else json.dumps(body).encode()
        status, answer = await asyncio.to_thread(self.server.request, method, f"/api/{path}", self.token, sent)
        assert status == expect, answer
        return answer

    async def add(self, url: str, **changes: Any) -> dict[str, Any]:
        wanted = {"url": url, "webhook_type": "email_sending", "sending_stream": "transactional", "event_types": TYPES}
        return dict((await self.ask("POST", "webhooks", {"webhook": wanted | changes}))["data"])

    async def log(self, webhook_id: int, delivered: int) -> list[dict[str, Any]]:
        """Once so many events stand in it as delivered: that is written down after the receiver has answered."""
        async with asyncio.timeout(20):
            while True:
                found = (await self.ask("GET", f"webhooks/{webhook_id}/events"))["data"]
                if sum(each["state"] == "delivered" for each in found) == delivered:
                    return list(found)
                await asyncio.sleep(0.2)

    async def send(self, to: str, **fields: Any) -> str:
        return str((await self.ask("POST", "send", message(to, **fields)))["message_ids"][0])


async def test_what_happens_to_a_message_is_told_and_signed(tmp_path: Path, database_url: str) -> None:
    async with (
        FakeDNS(dict(ZONE)) as dns,
        FakeMX() as mx,
        Receiver() as receiver,
        running(tmp_path, dns, smtp_port=mx.port, url=database_url) as server,
    ):
        await add_domain(server, dns)
        client = Client(server)
        made = await client.add(receiver.url("/hook?key=1"))
        assert len(made["signing_secret"]) == 32
        identity = await client.send("a@dest.test", category="welcome", custom_variables={"order": "7"})
        await eventually(lambda: receiver.taken)
        (request,) = receiver.requests
        assert request.path == "/hook?key=1" and request.headers["content-type"] == "application/json"
        assert verify_signature(request.body, request.headers["mailtrap-signature"], made["signing_secret"])
        assert Webhook(made["standard_webhooks_secret"]).verify(request.body, request.headers)
        (event,) = request.events
        assert (event["event"], event["message_id"], event["email"]) == ("delivery", identity, "a@dest.test")
        assert (event["category"], event["custom_variables"]) == ("welcome", {"order": "7"})
        assert (event["sending_stream"], event["sending_domain_name"]) == ("transactional", DOMAIN)
        assert isinstance(event["timestamp"], int) and len(event["event_id"]) == 36

        mx.answers["RCPT"] = "550 5.1.1 <b@dest.test>: Recipient address rejected: User unknown"
        bounced = await client.send("b@dest.test")
        await eventually(lambda: len(receiver.taken) == 2)
        bounce = receiver.taken[1]
        assert (bounce["event"], bounce["message_id"], bounce["response_code"]) == ("bounce", bounced, 550)
        assert bounce["bounce_category"] == "badrecipient" and "User unknown" in bounce["response"]
        log = await client.log(made["id"], 2)
        assert [each["message_id"] for each in log] == [bounced, identity]
        assert log[0]["last_attempt"]["status"] == 200


async def test_a_webhook_is_tested_paused_and_sent_its_past_again(tmp_path: Path, database_url: str) -> None:
    async with (
        FakeDNS(dict(ZONE)) as dns,
        FakeMX() as mx,
        Receiver() as receiver,
        running(tmp_path, dns, smtp_port=mx.port, url=database_url) as server,
    ):
        await add_domain(server, dns)
        client = Client(server)
        made = await client.add(receiver.url().replace("//", "//me:pa55word@"), payload_format="jsonlines")
        path = f"webhooks/{made['id']}"
        assert (await client.ask("POST", f"{path}/test"))["data"]["success"] is True
        (request,) = receiver.requests
        assert len(request.events) == len(TYPES) and request.headers["content-type"] == "application/jsonl"
        assert verify_signature(request.body, request.headers["mailtrap-signature"], made["signing_secret"])

        await client.ask("PATCH", path, {"webhook": {"active": False}})
        identity = await client.send("a@dest.test")
        await mx.received(1)
        await asyncio.sleep(2.5)
        assert len(receiver.requests) == 1
        await client.ask("PATCH", path, {"webhook": {"active": True}})
        await eventually(lambda: len(receiver.requests) == 2)
        (event,) = receiver.requests[1].events
        assert (event["event"], event["message_id"]) == ("delivery", identity)

        await client.log(made["id"], 1)
        await client.ask("POST", f"{path}/replays", {"from": "2020-01-01"})
        await eventually(lambda: len(receiver.requests) == 3)
        assert receiver.requests[2].events == [event]  # to the letter, under its own id
        (replay,) = (await client.ask("GET", f"{path}/replays"))["data"]
        assert replay["queued_events"] == 1 and replay["done_at"]

        # What fails is told to the operator without the password, and without the secret.
        receiver.answer = lambda request: 500
        await client.send("b@dest.test")
        await eventually(lambda: "webhook_fails" in server.log.read_text() or len(receiver.requests) > 5, 20)
        text = server.log.read_text()
        assert "pa55word" not in text and made["signing_secret"] not in text


async def test_a_server_ends_in_time_while_a_receiver_hangs(tmp_path: Path, database_url: str) -> None:
    async with (
        FakeDNS(dict(ZONE)) as dns,
        FakeMX() as mx,
        Receiver() as receiver,
        running(tmp_path, dns, smtp_port=mx.port, url=database_url) as server,
    ):
        await add_domain(server, dns)
        client = Client(server)
        await client.add(receiver.url())
        receiver.delay = 60
        identity = await client.send("a@dest.test")
        await eventually(lambda: receiver.most_at_once)
        assert await asyncio.to_thread(server.stop) < 10
        receiver.delay = 0
        await asyncio.to_thread(server.start)
        await eventually(lambda: [event["message_id"] for event in receiver.taken] == [identity], 20)
