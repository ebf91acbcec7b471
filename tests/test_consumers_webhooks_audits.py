"""Webhooks of the audit log: told of all that is done in their account, in its order, once it is done; both databases."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from mailferry.consumers.webhooks import audits, deeds
from mailferry.journal.events import Kind
from mailferry.resources import audit
from mailferry.resources.audit import Actor
from mailferry.resources.webhooks import Webhook
from mailferry.store.database import Database
from mailferry.store.schema import audit_log
from tests.conftest import Clock
from tests.fakes.receiver import Receiver
from tests.webhook_house import ACCOUNT, WebhookHouse, house_of

CI = Actor("api_token", 3, "CI")
OTHER = 8


@pytest.fixture
async def house(database: Database, clock: Clock) -> AsyncIterator[WebhookHouse]:
    async for made in house_of(database, clock):
        yield made


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as opened:
        yield opened


async def hooked(house: WebhookHouse, url: str, account_id: int = ACCOUNT) -> Webhook:
    return await house.add(url, account_id, kinds=(Kind.AUDIT,), stream="")


async def do(house: WebhookHouse, event: str, account_id: int = ACCOUNT, **changes: Any) -> None:
    resource = ("domain", 7, "shop.example")
    await house.database.write(lambda c: audit.note(c, account_id, CI, event, resource, house.clock(), changes))


async def test_it_has_mailtraps_members(house: WebhookHouse, receiver: Receiver) -> None:
    await hooked(house, receiver.url())
    await do(house, "domain.updated", open_tracking_enabled=(True, False))
    await house.node().work()
    made, changed = receiver.taken
    assert made["event"] == "activity_log.webhook.created" and made["actor"]["type"] == "operator"
    assert changed == {
        "event": "activity_log.sending_domain.updated",
        "event_id": changed["event_id"],
        "timestamp": house.clock() // 1000,
        "description": "updated the sending domain",
        "actor": {"type": "api_token", "id": 3, "name": "CI"},
        "resource": {"id": "7", "type": "sending_domain", "name": "shop.example"},
        "changes": {"open_tracking_enabled": {"from": True, "to": False}},
    }


async def test_all_of_its_account_once_in_order_and_nothing_of_before_or_of_mail(
    house: WebhookHouse, receiver: Receiver
) -> None:
    await do(house, "domain.created")
    house.clock.forward(seconds=1)
    await hooked(house, receiver.url())
    node = house.node()
    for number in range(450):
        await do(house, f"domain.{number}")
        await do(house, "domain.updated", OTHER)
    await house.messages(1, Kind.DELIVERY)
    for _ in range(4):
        await node.work()
    wanted = ["webhook.created", *(f"sending_domain.{number}" for number in range(450))]
    assert [each["event"].removeprefix("activity_log.") for each in receiver.taken] == wanted
    assert len({each["event_id"] for each in receiver.taken}) == 451


async def test_who_has_none_pays_for_nothing(house: WebhookHouse, receiver: Receiver) -> None:
    await house.add(receiver.url())
    await do(house, "domain.updated")
    assert not any(await house.database.read(lambda c: c.execute(select(audit_log.c.wanted)).scalars().all()))
    await house.node().work()
    assert receiver.taken == []


async def test_what_a_receiver_does_not_take_waits_for_it(house: WebhookHouse, receiver: Receiver) -> None:
    webhook, node = await hooked(house, receiver.url()), house.node()
    receiver.answer = lambda request: 503
    await do(house, "domain.updated")
    await node.work()
    assert await house.states(webhook) == {"waiting": 2}
    receiver.answer = lambda request: 200
    house.clock.forward(seconds=3600)
    await house.node().work()
    assert [each["event"] for each in receiver.taken][-1] == "activity_log.sending_domain.updated"


async def test_a_test_sends_an_invented_one(house: WebhookHouse, receiver: Receiver) -> None:
    webhook, node = await hooked(house, receiver.url()), house.node()
    assert (await deeds.test(house.database, node.poster, webhook, house.clock())).status == 200
    assert [each["event"] for each in receiver.taken] == ["activity_log.sending_domain.updated"]


async def test_one_that_was_made_meanwhile_misses_nothing(house: WebhookHouse, receiver: Receiver) -> None:
    standing, node = [await hooked(house, receiver.url("/one"))], house.node()
    await node.work()
    await hooked(house, receiver.url("/two"))
    await do(house, "domain.updated")
    held = node.service._held
    assert held is not None
    node.service.sender.came_in(await audits.gather(house.database, held, standing, house.clock()))
    await node.work()
    last = {each.path: each.events[-1]["event"] for each in receiver.requests}
    assert last == dict.fromkeys(("/one", "/two"), "activity_log.sending_domain.updated")
