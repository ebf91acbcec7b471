"""How much an account may send: the day's number holds over nodes, restarts and what is under way, the rate a node."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from mailferry.intake.quotas import LOOK_MS
from mailferry.intake.refusal import Reason
from mailferry.intake.submission import Accepted, Rcpt, Submission
from mailferry.mail.address import Mailbox
from mailferry.mail.compose import Content
from mailferry.resources import quotas
from mailferry.resources.system_mail import ENDPOINT as SYSTEM
from tests import delivery_support
from tests.delivery_support import DOMAIN, SQLITE, Office

office, engines = delivery_support.office, delivery_support.engines
SECONDS = LOOK_MS / 1000


async def allow(office: Office, **members: float) -> None:
    await office.database.write(lambda c: quotas.change(c, office.account, members, office.clock()))
    office.documents.forget()


async def send(node: Office, *, recipients: int = 1, messages: int = 1, endpoint: str = "mailtrap") -> list[Any]:
    """Of each message whether it was accepted, or why not."""
    one = Submission(
        account_id=node.account,
        token_id=1,
        sender_domains=None,
        endpoint=endpoint,
        stream="transactional",
        recipients=tuple(Rcpt(f"r{number}@dest.test") for number in range(recipients)),
        content=Content(Mailbox(f"app@{DOMAIN}"), (Mailbox("r0@dest.test"),), subject="Hello", text="It works."),
    )
    results = await node.intake.accept([one] * messages)
    assert isinstance(results, list)
    return [True if isinstance(each, Accepted) else each.refusals[0].reason for each in results]


def accepted(told: Sequence[Any]) -> int:
    return sum(each is True for each in told)


async def test_a_message_is_taken_while_any_of_the_day_s_number_is_left(office: Office) -> None:
    await allow(office, per_day=5)
    assert await send(office, recipients=2, messages=4) == [True, True, True, Reason.QUOTA_EXCEEDED]
    assert await send(office) == [Reason.QUOTA_EXCEEDED]
    office.clock.forward(hours=23)
    assert await send(office) == [Reason.QUOTA_EXCEEDED], "24 hours roll"
    office.clock.forward(hours=1.001)
    assert await send(office) == [True]


async def test_the_day_s_number_holds_over_a_restart_and_for_other_nodes(office: Office) -> None:
    await allow(office, per_day=4)
    first, second = office.node(), office.node(boot=2)
    assert await send(first) == [True] and await send(second) == [True]
    office.clock.forward(seconds=SECONDS)
    assert await send(first) == [True], "which had seen none of the other's"
    office.clock.forward(seconds=SECONDS)
    assert await send(second, messages=2) == [True, Reason.QUOTA_EXCEEDED]
    office.clock.forward(seconds=SECONDS)
    assert await send(first) == [Reason.QUOTA_EXCEEDED]
    assert await send(office.node(boot=3)) == [Reason.QUOTA_EXCEEDED], "one that has just started"


@SQLITE
async def test_what_is_under_way_while_the_database_is_looked_at_is_counted(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await allow(office, per_day=3)
    keep, began, go_on = office.intake._keep, asyncio.Event(), asyncio.Event()

    async def slowly(unit: Any) -> Any:
        began.set()
        await go_on.wait()
        return await keep(unit)

    with monkeypatch.context() as slow:
        slow.setattr(office.intake, "_keep", slowly)
        first = asyncio.create_task(send(office))
        await began.wait()
    office.clock.forward(seconds=SECONDS)
    assert await send(office) == [True]
    go_on.set()
    assert await first == [True]
    assert await send(office, messages=2) == [True, Reason.QUOTA_EXCEEDED]
    office.clock.forward(seconds=SECONDS)
    assert await send(office) == [Reason.QUOTA_EXCEEDED]


async def test_what_is_sent_at_once_is_counted_once(office: Office) -> None:
    await allow(office, per_day=50)
    sent = 0
    for _ in range(8):
        told = await asyncio.gather(*(send(office) for _ in range(10)))
        sent += sum(map(accepted, told))
        office.clock.forward(seconds=SECONDS)
    assert sent == 50


async def test_what_was_taken_and_not_kept_is_free_again(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    await allow(office, per_day=2)

    async def fail(unit: Any) -> Any:
        raise OSError("the disk is gone")

    with monkeypatch.context() as broken:
        broken.setattr(office.intake, "_keep", fail)
        with pytest.raises(OSError, match="disk"):
            await send(office, messages=2)
    office.clock.forward(seconds=SECONDS)
    assert await send(office, messages=3) == [True, True, Reason.QUOTA_EXCEEDED]


@SQLITE
async def test_a_second_s_worth_may_come_at_once_and_then_at_the_rate(office: Office) -> None:
    await allow(office, per_second=4)
    assert accepted(await send(office, messages=6)) == 4
    office.clock.forward(seconds=0.5)
    assert await send(office, messages=3) == [True, True, Reason.RATE_EXCEEDED]
    office.clock.forward(seconds=60)
    assert await send(office, recipients=9) == [True], "all of a message whose first recipient may be"
    office.clock.forward(seconds=1)
    assert await send(office) == [Reason.RATE_EXCEEDED], "what it took too much is paid for"
    office.clock.forward(seconds=1)
    assert await send(office) == [True]


@SQLITE
async def test_less_than_one_a_second_is_one_in_some_seconds(office: Office) -> None:
    await allow(office, per_second=0.2)
    assert await send(office, messages=2) == [True, Reason.RATE_EXCEEDED]
    office.clock.forward(seconds=4.9)
    assert await send(office) == [Reason.RATE_EXCEEDED]
    office.clock.forward(seconds=0.2)
    assert await send(office) == [True]


@SQLITE
async def test_a_rate_that_is_given_later_owes_nothing_of_what_was_sent_before(office: Office) -> None:
    await allow(office, per_day=1000)
    assert accepted(await send(office, recipients=20, messages=3)) == 3
    await allow(office, per_second=4)
    assert accepted(await send(office, messages=6)) == 4


@SQLITE
async def test_who_has_no_quota_is_not_counted_and_a_lifted_one_ends(office: Office) -> None:
    looks = 0
    read = office.database.read

    async def counting(query: Any) -> Any:
        nonlocal looks
        looks += 1
        return await read(query)

    office.database.read = counting  # type: ignore[method-assign]  # a spy
    await send(office)
    before = looks
    assert accepted(await send(office, messages=3)) == 3 and looks == before, "in the second of a look nothing is asked"

    await allow(office, per_day=1)
    assert await send(office) == [Reason.QUOTA_EXCEEDED]
    assert await send(office, endpoint=SYSTEM) == [True], "what Mailferry has to say of it goes out"
    await allow(office, per_day=0)
    assert await send(office) == [True]
