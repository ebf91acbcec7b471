"""What a configuration set and an identity ask for, as the intake is handed it with a message."""

from typing import Any

import pytest

from mailferry.intake.submission import Publishing
from mailferry.resources.documents import Kind
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.ses_calls import Calls

SENDER = "app@shop.test"


@pytest.fixture
async def calls(database: Database, clock: Clock) -> Calls:
    return await Calls.furnished(database, clock)


async def published(calls: Calls, **params: Any) -> Publishing:
    """What a simple message of v2 is sent with."""
    calls.deps.documents.forget()
    body = {"Subject": {"Data": "Hello"}, "Body": {"Text": {"Data": "It works."}}}
    given = {"FromEmailAddress": SENDER, "Destination": {"ToAddresses": ["a@dest.test"]}, "Content": {"Simple": body}}
    await calls("sesv2", "SendEmail", **(given | params))
    found = calls.accepted[-1].publishing
    assert found
    return found


async def test_a_set_says_how_long_its_mail_is_tried(calls: Calls) -> None:
    await calls.document(Kind.CONFIGURATION_SET, "soon", DeliveryOptions={"MaxDeliverySeconds": 300})
    found = await published(calls, ConfigurationSetName="soon")
    assert (found.expire_ms, found.facts["max_delivery_seconds"]) == (300_000, 300)
    usual = await published(calls)
    assert usual.expire_ms == 0 and "max_delivery_seconds" not in usual.facts
