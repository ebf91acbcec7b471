"""The usual mistakes of a clone of Mailtrap that are about webhooks (see test_endpoints_mailtrap_mistakes.py)."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mailferry.journal.events import Kind
from mailferry.store.database import Database, open_database
from mailferry.store.migrations import migrate
from tests.conftest import Clock
from tests.delivery_support import SQLITE
from tests.fakes.receiver import Receiver
from tests.webhook_house import WebhookHouse, house_of
from tests.working_house import WorkingHouse, engines, working

__all__ = ["engines", "working"]


def wanted(**changes: Any) -> dict[str, Any]:
    members = {"url": "https://hooks.dest.test/a", "webhook_type": "email_sending", "sending_stream": "bulk"}
    return {"webhook": members | {"event_types": ["soft_bounce", "spam_complaint"]} | changes}


@pytest.fixture
async def house(tmp_path: Path, clock: Clock) -> AsyncIterator[WebhookHouse]:
    database: Database = open_database("", tmp_path, 2)
    await database.write(migrate)
    async for made in house_of(database, clock):
        yield made
    await database.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as opened:
        yield opened


@SQLITE
async def test_mistake_08_status_codes_by_rest_habit(working: WorkingHouse) -> None:
    made = await working.ask("POST", "webhooks", wanted())
    assert made.status == 200
    gone = await working.ask("DELETE", f"webhooks/{made.json['data']['id']}")
    assert gone.status == 200 and gone.json["data"]["url"] == "https://hooks.dest.test/a"


@SQLITE
async def test_mistake_09_envelopes(working: WorkingHouse) -> None:
    made = await working.made("POST", "webhooks", wanted())
    one = await working.made("GET", f"webhooks/{made['data']['id']}")
    listed = await working.made("GET", "webhooks")
    assert [list(each) for each in (made, one, listed)] == [["data"]] * 3
    assert "signing_secret" in made["data"] and "signing_secret" not in {**one["data"], **listed["data"][0]}


@SQLITE
async def test_mistake_10_names_of_events_in_the_configuration(working: WorkingHouse) -> None:
    made = await working.made("POST", "webhooks", wanted())
    assert made["data"]["event_types"] == ["soft_bounce", "spam_complaint"]
    for wrong in ("soft bounce", "spam"):
        assert (await working.ask("POST", "webhooks", wanted(event_types=[wrong]))).status == 422


async def test_mistake_10_names_of_events_in_the_payload(house: WebhookHouse, receiver: Receiver) -> None:
    await house.add(receiver.url())
    await house.happen(await house.message(), Kind.SOFT_BOUNCE, Kind.SPAM)
    await house.node().work()
    assert sorted(event["event"] for event in receiver.taken) == ["soft bounce", "spam"]
    assert all(event["timestamp"] == house.clock() // 1000 for event in receiver.taken), "13: in seconds"


async def test_mistake_11_the_signature(house: WebhookHouse, receiver: Receiver) -> None:
    """Of the very octets, with the text of the secret as the key, and nothing before it."""
    await house.add(receiver.url())
    await house.happen(await house.message(category="Größe <&>"), Kind.DELIVERY)
    await house.node().work()
    (request,) = receiver.requests
    expected = hmac.new(house.secret.encode(), request.body, hashlib.sha256).hexdigest()
    assert request.headers["mailtrap-signature"] == expected and len(house.secret) == 32


@pytest.mark.parametrize("status", [201, 202, 204, 301, 404, 500])
async def test_mistake_12_only_200_is_success(house: WebhookHouse, receiver: Receiver, status: int) -> None:
    webhook, node = await house.add(receiver.url()), house.node()
    receiver.answer = lambda request: status
    await house.happen(await house.message(), Kind.DELIVERY)
    await node.work()
    assert set(await house.states(webhook)) == {"waiting"}
    receiver.answer = lambda request: 200
    house.clock.forward(hours=1)
    await node.work()
    assert set(await house.states(webhook)) == {"delivered"}


async def test_mistake_12_batches_and_lines(house: WebhookHouse, receiver: Receiver) -> None:
    await house.add(receiver.url())
    await house.add(receiver.url("/lines"), payload_format="jsonlines")
    await house.messages(501, Kind.DELIVERY)
    await house.node().work()
    sizes = {path: sorted(len(r.events) for r in receiver.requests if r.path == path) for path in ("/hook", "/lines")}
    assert all(sum(each) == 501 and max(each) <= 500 for each in sizes.values()), sizes
    types = {request.path: request.headers["content-type"] for request in receiver.requests}
    assert types == {"/hook": "application/json", "/lines": "application/jsonl"}
