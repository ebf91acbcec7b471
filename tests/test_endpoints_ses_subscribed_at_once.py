"""A receiver that is subscribed several times at once stands once: it would be told everything as often."""

import asyncio

from mailferry.resources import accounts
from mailferry.store.database import Database
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
