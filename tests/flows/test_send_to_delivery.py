"""From an API call to the recipient's host and back to the log."""

import asyncio
from pathlib import Path

from tests.conftest import eventually
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.server import DOMAIN, add_domain, message, running


def zone() -> dict[str, dict[str, str]]:
    return {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}


async def test_a_message_is_delivered_and_its_story_can_be_read(tmp_path: Path, database_url: str) -> None:
    async with (
        FakeDNS(zone()) as dns,
        FakeMX() as mx,
        running(tmp_path, dns, smtp_port=mx.port, url=database_url) as server,
    ):
        await add_domain(server, dns)
        token = server.credentials["api_token"]
        body = message("a@dest.test", cc=[{"email": "b@dest.test"}], bcc=[{"email": "c@dest.test"}], category="welcome")
        status, answer = await asyncio.to_thread(server.post, "/api/send", body, token)
        assert status == 200 and answer["success"] and len(answer["message_ids"]) == 3
        got = await mx.received(3)
        assert sorted(t.recipients[0] for t in got) == ["a@dest.test", "b@dest.test", "c@dest.test"]
        assert all(t.content.count(b"DKIM-Signature:") == 2 and b"c@dest.test" not in t.content for t in got)
        assert len({t.content for t in got}) == 1  # prepared once, sent to three
        assert len({t.sender for t in got}) == 3  # each with its own return path

        async def log(identity: str) -> dict[str, object]:
            _, found = await asyncio.to_thread(server.request, "GET", f"/api/accounts/1/email_logs/{identity}", token)
            return dict(found)

        for identity in answer["message_ids"]:
            async with asyncio.timeout(10):
                while (await log(identity))["status"] != "delivered":
                    await asyncio.sleep(0.05)
            assert [event["event_type"] for event in (await log(identity))["events"]] == ["delivery"]  # type: ignore[union-attr, attr-defined]
        status, page = await asyncio.to_thread(
            server.request,
            "GET",
            "/api/email_logs?filters[status][operator]=equal&filters[status][value]=delivered",
            token,
        )
        assert status == 200 and page["total_count"] == 3


async def test_an_idempotency_key_sends_once(tmp_path: Path, database_url: str) -> None:
    async with (
        FakeDNS(zone()) as dns,
        FakeMX() as mx,
        running(tmp_path, dns, smtp_port=mx.port, url=database_url) as server,
    ):
        await add_domain(server, dns)
        token, key = server.credentials["api_token"], {"Idempotency-Key": "order-7"}
        body = message("a@dest.test")
        twins = await asyncio.gather(*(asyncio.to_thread(server.post, "/api/send", body, token, key) for _ in range(8)))
        assert {status for status, _ in twins} == {200}
        assert len({answer["message_ids"][0] for _, answer in twins}) == 1
        other = await asyncio.to_thread(server.post, "/api/send", message("b@dest.test"), token, key)
        assert other[0] == 409 and other[1]["success"] is False
        await mx.received(1)
        await asyncio.sleep(0.5)
        assert len(mx.transactions) == 1


async def test_a_refusal_is_not_kept_under_its_key(tmp_path: Path, database_url: str) -> None:
    async with (
        FakeDNS(zone()) as dns,
        FakeMX() as mx,
        running(tmp_path, dns, smtp_port=mx.port, url=database_url) as server,
    ):
        await add_domain(server, dns)
        token, key = server.credentials["api_token"], {"Idempotency-Key": "k"}
        status, _ = await asyncio.to_thread(server.post, "/api/send", message("a@dest.test", subject=""), token, key)
        assert status == 400
        status, _ = await asyncio.to_thread(server.post, "/api/send", message("a@dest.test"), token, key)
        assert status == 200


async def test_a_greylisted_message_arrives_on_a_later_try(tmp_path: Path, database_url: str) -> None:
    async with (
        FakeDNS(zone()) as dns,
        FakeMX(greylist=True) as mx,
        running(tmp_path, dns, smtp_port=mx.port, url=database_url) as server,
    ):
        await add_domain(server, dns)
        token = server.credentials["api_token"]
        _, answer = await asyncio.to_thread(server.post, "/api/send", message("a@dest.test"), token)
        await mx.received(1)
        await eventually(lambda: server.ask("messages.list", state="delivered"))
        story = server.ask("messages.show", message=answer["message_ids"][0])
        assert [e["kind"] for e in story["recipients"][0]["events"]] == ["accepted", "soft_bounce", "delivery"]
        assert [a["number"] for a in story["recipients"][0]["attempts_made"]] == [1, 2]


async def test_a_hard_bounce_suppresses_and_the_next_send_is_rejected(tmp_path: Path, database_url: str) -> None:
    async with (
        FakeDNS(zone()) as dns,
        FakeMX() as mx,
        running(tmp_path, dns, smtp_port=mx.port, url=database_url) as server,
    ):
        mx.answers["RCPT"] = "550 5.1.1 <a@dest.test>: Recipient address rejected: User unknown"
        await add_domain(server, dns)
        token = server.credentials["api_token"]
        await asyncio.to_thread(server.post, "/api/send", message("a@dest.test"), token)
        await eventually(lambda: server.ask("messages.list", state="bounced"))
        mx.answers.clear()
        status, answer = await asyncio.to_thread(server.post, "/api/send", message("A@dest.test"), token)
        assert status == 200
        story = server.ask("messages.show", message=answer["message_ids"][0])
        assert story["recipients"][0]["state"] == "rejected"
        assert story["recipients"][0]["reason"] == "Recipient in suppression list. Reason: hard bounce"
        # The other stream is another list.
        await asyncio.to_thread(server.post, "/bulk/api/send", message("a@dest.test"), token)
        assert (await mx.received(1))[0].recipients == ("a@dest.test",)


async def test_a_simulated_bounce_may_be_tried_again(tmp_path: Path, database_url: str) -> None:
    async with FakeDNS(zone()) as dns, running(tmp_path, dns, url=database_url) as server:
        token = server.credentials["api_token"]
        body = message("bounce@simulator.demo.mailferry.test", sender="hello@demo.mailferry.test")
        for number in (1, 2):
            await asyncio.to_thread(server.post, "/api/send", body, token)
            await eventually(lambda n=number: len(server.ask("messages.list", state="bounced")) == n)  # type: ignore[misc]


async def test_a_new_domain_sends_its_hourly_number_and_the_rest_after_approval(
    tmp_path: Path, database_url: str
) -> None:
    async with (
        FakeDNS(zone()) as dns,
        FakeMX() as mx,
        running(tmp_path, dns, smtp_port=mx.port, url=database_url, limits__new_domain_hourly=5) as server,
    ):
        await add_domain(server, dns, approve=False)
        token = server.credentials["api_token"]
        for number in range(8):
            status, _ = await asyncio.to_thread(server.post, "/api/send", message(f"r{number}@dest.test"), token)
            assert status == 200
        await mx.received(5)
        waiting = server.ask("queue.list")
        assert waiting["waiting"] == [{"state": "held", "reason": "new_domain_hourly", "recipients": 3}]
        assert len(mx.transactions) == 5
        server.ask("domains.approve", domain=DOMAIN)
        await mx.received(8)


async def test_a_suspended_domain_is_held_and_released(tmp_path: Path, database_url: str) -> None:
    async with (
        FakeDNS(zone()) as dns,
        FakeMX() as mx,
        running(tmp_path, dns, smtp_port=mx.port, url=database_url) as server,
    ):
        await add_domain(server, dns)
        server.ask("domains.suspend", domain=DOMAIN)
        token = server.credentials["api_token"]
        status, answer = await asyncio.to_thread(server.post, "/api/send", message("a@dest.test"), token)
        assert status == 200
        story = server.ask("messages.show", message=answer["message_ids"][0])["recipients"][0]
        assert (story["state"], story["reason"]) == ("held", "domain_suspended")
        assert [event["kind"] for event in story["events"]] == ["accepted", "suspension"]
        server.ask("domains.approve", domain=DOMAIN)
        await mx.received(1)


async def test_sigterm_ends_within_ten_seconds_and_loses_nothing(tmp_path: Path, database_url: str) -> None:
    async with (
        FakeDNS(zone()) as dns,
        FakeMX() as mx,
        running(tmp_path, dns, smtp_port=mx.port, url=database_url) as server,
    ):
        await add_domain(server, dns)
        token = server.credentials["api_token"]
        mx.delays["DOT"] = 1.0  # keeps attempts open
        for number in range(60):
            await asyncio.to_thread(server.post, "/api/send", message(f"r{number}@dest.test"), token)
        assert await asyncio.to_thread(server.stop) < 10
        mx.delays.clear()
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(50):  # a lease of a cut attempt on PostgreSQL lasts 30 seconds
            while len(server.ask("messages.list", state="delivered", limit=100)) < 60:
                await asyncio.sleep(0.2)
        assert {t.recipients[0] for t in mx.transactions} == {f"r{n}@dest.test" for n in range(60)}
