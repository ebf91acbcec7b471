"""A receiver that is subscribed several times stands once: it would be told everything as often."""

import asyncio
import json

import pytest
from sqlalchemy import select

from mailferry.endpoints.ses.errors import SesError
from mailferry.resources import accounts, topics
from mailferry.store.database import Database
from mailferry.store.schema import webhook_deliveries
from tests.conftest import Clock
from tests.ses_calls import Calls


async def test_what_is_subscribed_at_once_stands_once(database: Database, clock: Clock) -> None:
    account = await database.write(lambda c: accounts.create_account(c, "Shop", clock()))
    calls = Calls(database, clock, account)
    topic = (await calls("sns", "CreateTopic", Name="events"))["TopicArn"]
    wanted = {"TopicArn": topic, "Protocol": "https", "Endpoint": "https://receiver.test/hook"}
    await asyncio.gather(*(calls("sns", "Subscribe", **wanted) for _ in range(10)))
    found = await calls("sns", "ListSubscriptionsByTopic", TopicArn=topic)
    assert [each["Endpoint"] for each in found["Subscriptions"]] == ["https://receiver.test/hook"]


async def tokens(database: Database) -> list[str]:
    """Those that the receiver is sent, in their order."""
    chosen = select(webhook_deliveries.c.payload).order_by(webhook_deliveries.c.id)
    payloads = await database.read(lambda c: c.execute(chosen).scalars().all())
    return [json.loads(each)["fields"]["Token"] for each in payloads]


async def test_who_is_asked_twice_may_answer_either_time(database: Database, clock: Clock) -> None:
    account = await database.write(lambda c: accounts.create_account(c, "Shop", clock()))
    calls = Calls(database, clock, account)
    topic = (await calls("sns", "CreateTopic", Name="events"))["TopicArn"]
    wanted = {"TopicArn": topic, "Protocol": "https", "Endpoint": "https://receiver.test/hook"}
    await calls("sns", "Subscribe", **wanted)
    clock.forward(seconds=2 * 86_400)
    await calls("sns", "Subscribe", **wanted)
    first, second = await tokens(database)
    for token in (first, second, first):
        assert (await calls("sns", "ConfirmSubscription", TopicArn=topic, Token=token))["SubscriptionArn"]


async def test_a_token_is_good_for_three_days_and_for_its_topic(database: Database, clock: Clock) -> None:
    account = await database.write(lambda c: accounts.create_account(c, "Shop", clock()))
    calls = Calls(database, clock, account)
    topic, other = [(await calls("sns", "CreateTopic", Name=name))["TopicArn"] for name in ("events", "events-2")]
    wanted = {"TopicArn": topic, "Protocol": "https", "Endpoint": "https://receiver.test/hook"}
    await calls("sns", "Subscribe", **wanted)
    clock.forward(seconds=2 * 86_400)
    await calls("sns", "Subscribe", **wanted)
    clock.forward(seconds=2 * 86_400)
    first, second = await tokens(database)
    for where, token in ((topic, first), (other, second), (topic, "x")):
        with pytest.raises(SesError, match="Token"):
            await calls("sns", "ConfirmSubscription", TopicArn=where, Token=token)
    arn = (await calls("sns", "ConfirmSubscription", TopicArn=topic, Token=second))["SubscriptionArn"]
    found = await database.read(lambda c: topics.subscription(c, arn))
    assert found is not None and second not in str(found), "what is as good as the receiver's word is not kept"
