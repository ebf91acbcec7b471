"""The verbs behind ``mailferry messages``, where time must pass for what they say."""

import base64
from datetime import timedelta

import pytest

from mailferry.endpoints.operations.messages import messages_raw
from mailferry.endpoints.operations.tools import Mistake
from mailferry.store.content import day_of
from tests.test_housekeeping import tools
from tests.working_house import WorkingHouse, engines, working

__all__ = ["engines", "working"]


async def test_bytes_that_are_gone(working: WorkingHouse) -> None:
    office, (sent,) = working.office, await working.send()
    found = await messages_raw(tools(office), sent, working.account)
    assert b"Subject: Hello\r\n" in base64.b64decode(found["content"])
    with pytest.raises(Mistake, match=f"there is no message or recipient {sent} in account {working.foreign}"):
        await messages_raw(tools(office), sent, working.foreign)
    later = day_of(working.clock()) + timedelta(days=1)
    working.clock.forward(seconds=86_400)
    await working.send()  # a segment that is written to is not dropped
    await working.run(lambda connection: office.content.forget(connection, later, frozenset()))
    with pytest.raises(
        Mistake, match=r"not kept any more \(\[retention\] content_days = 15\); mailferry messages show"
    ):
        await messages_raw(tools(office), sent)
