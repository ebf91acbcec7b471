"""What those who keep an account are told by mail, once each: of reviews, of webhooks that fail, and of each week."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Connection, insert, update

from mailferry.consumers.notices.send import Notices
from mailferry.consumers.webhooks.judge import HOUR
from mailferry.journal.events import Kind
from mailferry.resources import domain_reviews, domains
from mailferry.resources.audit import Actor
from mailferry.store.database import Database
from mailferry.store.given import add_rows
from mailferry.store.schema import domains as domains_table
from mailferry.store.schema import notices as notices_table
from mailferry.store.schema import stats
from tests.conftest import Clock
from tests.fakes.receiver import Receiver
from tests.test_consumers_alerts import Post
from tests.webhook_house import ACCOUNT, DOMAIN, WebhookHouse, house_of

OPERATOR, CUSTOMER = Actor("operator", 0, "root"), Actor("api_token", 3, "ci")
#: The test's clock stands at Friday, 15 January 2027, 08:00 UTC.
TO_MONDAY = 2 * 24 + 22  # hours: to Monday 06:00


class Stage:
    def __init__(self, house: WebhookHouse) -> None:
        self.house, self.database, self.clock = house, house.database, house.clock
        self.post = Post()
        self.notices = Notices(self.database, self.clock, self.post.send)

    async def mails(self) -> list[str]:
        """Subjects of what was sent since it was asked last."""
        before = len(self.post.mails)
        await self.notices.step()
        assert await self.house.rows(notices_table) == [] or self.post.fails
        return self.post.subjects[before:]

    @property
    def text(self) -> str:
        return list(self.post.mails.values())[-1].text

    async def review(self, deed: Any, *given: Any, actor: Actor = OPERATOR, **named: Any) -> None:
        def write(connection: Connection) -> None:
            domain = domains.by_id(connection, DOMAIN)
            assert domain is not None
            if deed is domain_reviews.decide:
                deed(connection, domain, given[0], actor, self.clock(), *given[1:])
            elif deed is domain_reviews.say:
                deed(connection, domain, given[0], actor, self.clock())
            else:
                deed(connection, domain, actor, self.clock(), **named)

        await self.database.write(write)

    async def change(self, **values: Any) -> None:
        await self.database.write(lambda c: c.execute(update(domains_table).values(values)))

    async def count(self, **counts: int) -> None:
        """Counted in this hour, as the statistics would."""
        key = {"account_id": ACCOUNT, "hour": self.clock() // HOUR, "domain_id": DOMAIN, "template_id": 0}
        rest = dict.fromkeys(("sent", "delivered", "bounced", "opened", "clicked", "spam"), 0)
        row = {**key, "stream": "bulk", "category": "", "provider": "", **rest, **counts}
        await self.database.write(lambda connection: add_rows(connection, stats, [row]))


@pytest.fixture
async def stage(database: Database, clock: Clock) -> AsyncIterator[Stage]:
    async for house in house_of(database, clock):
        yield Stage(house)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as opened:
        yield opened


# --- reviews -------------------------------------------------------------------------------------------------------


async def test_a_decision_is_told_once_each_time_it_is_another_one(stage: Stage) -> None:
    await stage.review(domain_reviews.decide, domains.SUSPENDED, "Too many\ncomplaints")
    assert await stage.mails() == ["shop.example is suspended"]
    assert "> Too many\n> complaints\n" in stage.text and "held until the domain is approved again" in stage.text
    await stage.review(domain_reviews.decide, domains.SUSPENDED)
    assert await stage.mails() == []
    await stage.review(domain_reviews.decide, domains.COMPLIANT)
    await stage.review(domain_reviews.decide, domains.NON_COMPLIANT)
    assert await stage.mails() == ["shop.example is approved", "shop.example is rejected"]


async def test_what_the_operator_says_and_asks_is_told_and_what_the_customer_says_is_not(stage: Stage) -> None:
    await stage.review(domain_reviews.say, "We sell shoes", actor=CUSTOMER)
    assert await stage.mails() == []
    await stage.review(domain_reviews.say, "Whose shoes?")
    assert await stage.mails() == ["shop.example: a message about its review"]
    assert "> Whose shoes?" in stage.text
    await stage.review(domain_reviews.ask, questions=["Where do the addresses come from?"], company_info=True)
    assert await stage.mails() == ["shop.example: questions in its review"]
    assert "> Where do the addresses come from?" in stage.text and "company_info" in stage.text


async def test_it_goes_to_the_domains_recipient_or_to_the_owners(stage: Stage) -> None:
    await stage.review(domain_reviews.say, "One")
    await stage.mails()
    await stage.change(alert_recipient_email="ops@shop.example")
    await stage.review(domain_reviews.say, "Two")
    await stage.mails()
    assert [mail.recipient for mail in stage.post.mails.values()] == ["", "ops@shop.example"]


async def test_who_dies_before_it_is_noted_sends_it_under_the_same_key(stage: Stage) -> None:
    await stage.review(domain_reviews.say, "Hello")
    stage.post.fails = True
    assert await stage.mails() == []
    stage.post.fails = False
    assert len(await stage.mails()) == 1 and await stage.mails() == []
    (key,) = stage.post.mails
    await stage.review(domain_reviews.say, "Hello")
    await stage.mails()
    assert len(stage.post.mails) == 2 and key in stage.post.mails


async def test_what_cannot_be_mailed_is_let_go_of(stage: Stage) -> None:
    stage.post.refused = "no domain of the account is verified"
    await stage.review(domain_reviews.say, "Hello")
    assert await stage.mails() == []


# --- webhooks ------------------------------------------------------------------------------------------------------


async def test_a_webhook_that_fails_for_an_hour_is_told_of_and_so_is_its_recovery(
    stage: Stage, receiver: Receiver
) -> None:
    webhook, node = await stage.house.add(receiver.url()), stage.house.node()
    receiver.answer = lambda request: 301
    await stage.house.messages(3, Kind.DELIVERY)
    told = []
    for _ in range(16):
        await node.work()
        told += await stage.mails()
        stage.clock.forward(seconds=20 * 60)
    assert told == [f"Webhook {webhook.id} fails"]
    assert receiver.url() in stage.text and "redirects are not followed" in stage.text
    assert "since 2027-01-15 08:00 UTC" in stage.text
    receiver.answer = lambda request: 200
    await node.work()
    assert await stage.mails() == [f"Webhook {webhook.id} is back"]
    await stage.house.messages(3, Kind.DELIVERY)
    await node.work()
    assert await stage.mails() == []


async def test_a_short_failure_is_nobodys_business_also_when_it_comes_back(stage: Stage, receiver: Receiver) -> None:
    await stage.house.add(receiver.url())
    node = stage.house.node()
    for _ in range(6):  # for half an hour each time
        receiver.answer = lambda request: 301
        await stage.house.messages(1, Kind.DELIVERY)
        for _ in range(2):
            await node.work()
            stage.clock.forward(seconds=15 * 60)
        receiver.answer = lambda request: 200
        await node.work()
        assert await stage.mails() == []


async def test_the_first_event_that_is_parked_is_told_of(stage: Stage, receiver: Receiver) -> None:
    webhook, node = await stage.house.add(receiver.url()), stage.house.node()
    bad = [await stage.house.message(), await stage.house.message()]
    receiver.answer = lambda request: 400 if any(each.encode() in request.body for each in bad) else 200
    for each in bad:
        await stage.house.happen(each, Kind.DELIVERY)
    told = []
    for _ in range(30):
        await stage.house.messages(2, Kind.DELIVERY)
        await node.work()
        told += await stage.mails()
        stage.clock.forward(seconds=60)
    assert (await stage.house.states(webhook))["parked"] == 2
    assert told == [f"Webhook {webhook.id} does not take an event"]


async def test_a_kind_of_a_newer_node_holds_up_nothing(stage: Stage) -> None:
    row = {"account_id": ACCOUNT, "domain_id": DOMAIN, "kind": "of_tomorrow", "facts": "{}", "at": stage.clock()}
    await stage.database.write(lambda c: c.execute(insert(notices_table).values(row)))
    await stage.review(domain_reviews.decide, domains.SUSPENDED, "why")
    await stage.notices.step()
    assert stage.post.subjects == ["shop.example is suspended"]
    assert [each.kind for each in await stage.house.rows(notices_table)] == ["of_tomorrow"]


# --- weeks ---------------------------------------------------------------------------------------------------------


async def test_each_monday_a_domain_that_sent_something_is_told_how_it_did(stage: Stage) -> None:
    await stage.count(sent=400, delivered=380, bounced=20, opened=95, clicked=19, spam=0)
    assert await stage.mails() == []  # a Friday
    stage.clock.forward(hours=TO_MONDAY - 1)
    assert await stage.mails() == []
    stage.clock.forward(hours=1)
    assert await stage.mails() == ["shop.example: how its mail did in the week from 2027-01-11"]
    assert "sent                       400           0" in stage.text
    await stage.count(sent=100, delivered=100, spam=1)
    stage.clock.forward(hours=7 * 24)
    assert await stage.mails() == ["shop.example: how its mail did in the week from 2027-01-18"]
    rows = {line[:18].strip(): line[18:].split() for line in stage.text.splitlines() if line[30:].strip()}
    assert rows["sent"] == ["100", "400"]
    assert rows["delivered"] == ["100.00%", "95.00%"]
    assert rows["bounced"] == ["0.00%", "5.00%"]
    assert rows["complained about"] == ["1.00%", "0.00%"]
    assert rows["opened"] == ["0.00%", "25.00%"]
    assert rows["clicked"] == ["0.00%", "5.00%"]
    stage.clock.forward(hours=7 * 24)
    assert await stage.mails() == []  # nothing was sent


async def test_a_week_is_told_once_by_two_processes_and_after_a_restart(stage: Stage) -> None:
    await stage.mails()
    await stage.count(sent=1, delivered=1)
    stage.clock.forward(hours=TO_MONDAY)
    other = Notices(stage.database, stage.clock, stage.post.send)
    for _ in range(3):
        await other.step()
        await stage.notices.step()
        await Notices(stage.database, stage.clock, stage.post.send).step()
        stage.clock.forward(hours=10)
    assert len(stage.post.mails) == 1


async def test_a_monday_that_was_missed_is_made_up_for(stage: Stage) -> None:
    await stage.mails()
    await stage.count(sent=1, delivered=1)
    stage.clock.forward(hours=TO_MONDAY + 50)
    assert await stage.mails() == ["shop.example: how its mail did in the week from 2027-01-11"]


async def test_a_clock_that_was_a_year_ahead_ends_no_health_mails(stage: Stage) -> None:
    await stage.count(sent=1, delivered=1)
    stage.clock.forward(hours=TO_MONDAY)
    assert len(await stage.mails()) == 1
    year = 52 * 7 * 24
    stage.clock.forward(hours=year)
    assert await stage.mails() == []
    stage.clock.forward(hours=-year)
    assert await stage.mails() == []  # of this week it was told
    await stage.count(sent=1, delivered=1)
    stage.clock.forward(hours=7 * 24)
    assert await stage.mails() == ["shop.example: how its mail did in the week from 2027-01-18"]


async def test_who_does_not_want_it_gets_none_and_none_of_the_past_later(stage: Stage) -> None:
    await stage.mails()
    await stage.change(health_alerts_enabled=False)
    await stage.count(sent=1, delivered=1)
    stage.clock.forward(hours=TO_MONDAY)
    assert await stage.mails() == []
    await stage.change(health_alerts_enabled=True)
    assert await stage.mails() == []


async def test_the_demo_domain_gets_none(stage: Stage) -> None:
    await stage.change(state=domains.DEMO)
    await stage.count(sent=1, delivered=1)
    stage.clock.forward(hours=TO_MONDAY)
    assert await stage.mails() == []
