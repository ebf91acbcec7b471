"""Deliverability alerts: thresholds to the recipient, one mail and one event a transition, whoever dies and however many look."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, insert, select, update
from structlog.testing import capture_logs

from mailferry.consumers.alerts import judge
from mailferry.consumers.alerts.judge import levels
from mailferry.consumers.alerts.watch import EVERY_MS, Alerts
from mailferry.consumers.stats.reading import Counts
from mailferry.consumers.webhooks import deeds
from mailferry.journal.events import Kind
from mailferry.resources import domain_alerts, domain_changes, domains
from mailferry.resources.audit import Actor
from mailferry.resources.domain_alerts import Level, Standing
from mailferry.resources.system_mail import Mail
from mailferry.store.database import Database
from mailferry.store.given import add_rows
from mailferry.store.schema import domains as domains_table
from mailferry.store.schema import stats, webhook_deliveries
from tests.conftest import Clock
from tests.fakes.receiver import Receiver
from tests.webhook_house import ACCOUNT, DOMAIN, WebhookHouse, house_of

GREEN, YELLOW, RED = Level
WEEK = Counts(sent=1_000)


class Post:
    """Takes mails down as the way in would: each key once."""

    def __init__(self) -> None:
        self.mails: dict[str, Mail] = {}
        self.refused = ""
        self.fails = False

    async def send(self, mail: Mail) -> str:
        if self.fails:
            raise RuntimeError("away")
        if not self.refused:
            self.mails.setdefault(mail.key, mail)
        return self.refused

    @property
    def subjects(self) -> list[str]:
        return [mail.subject for mail in self.mails.values()]


class Stage:
    def __init__(self, house: WebhookHouse) -> None:
        self.house, self.database, self.clock = house, house.database, house.clock
        self.post = Post()
        self.alerts = Alerts(self.database, self.clock, self.post.send)

    async def count(self, domain_id: int = DOMAIN, **counts: int) -> None:
        """Counted in this hour, as the statistics would."""
        key = {"account_id": ACCOUNT, "hour": self.clock() // 3_600_000, "domain_id": domain_id, "template_id": 0}
        row = {**key, "stream": "bulk", "category": "", "provider": "", "sent": 0, "bounced": 0, "spam": 0}
        row["delivered"] = 0
        await self.database.write(lambda connection: add_rows(connection, stats, [{**row, **counts}]))

    async def later(self, *, hours: int = 3) -> None:
        self.clock.forward(hours=hours)
        await self.alerts.step()

    async def standing(self, domain_id: int = DOMAIN) -> Standing:
        found = await self.database.read(lambda c: domain_alerts.every(c))
        return found[domain_id]

    async def change(self, **values: Any) -> None:
        await self.database.write(
            lambda c: c.execute(update(domains_table).where(domains_table.c.id == DOMAIN).values(values))
        )

    async def told(self) -> list[dict[str, Any]]:
        """What webhooks are to be told, in order."""
        rows = await self.house.rows(webhook_deliveries)
        return [{"webhook": row.webhook_id, **msgspec.json.decode(row.payload)} for row in rows]


@pytest.fixture
async def stage(database: Database, clock: Clock) -> AsyncIterator[Stage]:
    async for house in house_of(database, clock):
        yield Stage(house)


@pytest.mark.parametrize(
    ("bounced", "of", "level"),
    [(0, 1_000, GREEN), (19, 1_000, GREEN), (20, 1_000, YELLOW), (50, 1_000, YELLOW), (51, 1_000, RED), (1, 1, RED)],
)
def test_bounces(bounced: int, of: int, level: Level) -> None:
    assert levels(Counts(sent=of, bounced=bounced), WEEK) == (level, GREEN)


@pytest.mark.parametrize(
    ("spam", "of", "level"),
    [
        (0, 0, GREEN),
        (7, 10_000, GREEN),
        # Rounded to four digits these two would be on the other side.
        (76, 100_000, GREEN),
        (8, 10_000, YELLOW),
        (10, 10_000, YELLOW),
        (101, 100_000, RED),
        (11, 10_000, RED),
    ],
)
def test_complaints(spam: int, of: int, level: Level) -> None:
    assert levels(Counts(sent=max(of, 1), delivered=of, spam=spam), WEEK) == (GREEN, level)


def test_of_little_mail_nothing_is_said() -> None:
    bad = Counts(sent=10, bounced=10)
    assert levels(bad, Counts(sent=999)) is None and levels(bad, Counts(sent=1_000)) == (RED, GREEN)
    assert levels(Counts(), Counts(sent=5_000)) is None


async def test_each_transition_is_told_once(stage: Stage) -> None:
    await stage.count(sent=2_000, delivered=1_990, bounced=10)
    await stage.alerts.step()
    assert stage.post.mails == {} and (await stage.standing()).worst == GREEN, "green at the first look is no news"

    await stage.count(sent=100, bounced=50)  # 60 of 2,100
    await stage.later()
    assert stage.post.subjects == ["shop.example: bounce rate is yellow (2.86%)"]
    for _ in range(3):
        await stage.later()
    assert len(stage.post.mails) == 1, "nothing has changed"

    await stage.count(sent=100, bounced=100, delivered=0)
    await stage.later()
    assert stage.post.subjects[1:] == ["shop.example: bounce rate is red (7.27%)"]
    text = list(stage.post.mails.values())[1].text
    assert "red (above 5 %), and was yellow" in text and "2200 sent, 1990 delivered, 160 bounced" in text

    await stage.later(hours=24)  # nothing was sent for a day: no sign of anything
    assert len(stage.post.mails) == 2 and (await stage.standing()).worst == RED
    await stage.count(sent=500, delivered=500)
    await stage.later()
    assert stage.post.subjects[2:] == ["shop.example: bounce rate is green (0.00%)"]


async def test_both_rates_are_in_one_mail(stage: Stage) -> None:
    await stage.count(sent=2_000, delivered=1_900, bounced=100, spam=5)
    with capture_logs() as logs:
        await stage.alerts.step()
    said = [(entry["measure"], entry["now"]) for entry in logs if entry["event"] == "deliverability_changed"]
    assert said == [(judge.BOUNCE, "yellow"), (judge.SPAM, "red")] and {entry["log_level"] for entry in logs} == {
        "info"
    }
    (mail,) = stage.post.mails.values()
    assert mail.subject == "shop.example: spam complaint rate is red (0.26%)"
    assert "bounce rate is 5.00%: yellow" in mail.text and "rate is 0.26%: red" in mail.text
    assert (mail.account_id, mail.recipient) == (ACCOUNT, "")


async def test_it_is_looked_at_every_three_hours(stage: Stage) -> None:
    await stage.alerts.step()
    await stage.count(sent=1_000, bounced=1_000)
    stage.clock.now += EVERY_MS - 1
    await stage.alerts.step()
    assert not stage.post.mails
    stage.clock.now += 1
    await stage.alerts.step()
    assert len(stage.post.mails) == 1


async def test_a_clock_that_was_set_back_ends_no_watch(stage: Stage) -> None:
    stage.clock.forward(hours=2_000)
    await stage.alerts.step()
    stage.clock.forward(hours=-2_000)
    await stage.count(sent=1_000, bounced=1_000)
    await stage.alerts.step()
    assert len(stage.post.mails) == 1


async def test_whoever_wants_no_alerts_is_judged_and_not_told(stage: Stage) -> None:
    await stage.house.add("http://127.0.0.1/", kinds=(Kind.ALERT,))
    await stage.change(critical_alerts_enabled=False)
    await stage.count(sent=1_000, bounced=1_000)
    await stage.alerts.step()
    assert (await stage.standing()).worst == RED and not stage.post.mails and not await stage.told()
    await stage.change(critical_alerts_enabled=True, alert_recipient_email="ops@shop.example")
    await stage.later()
    assert not stage.post.mails, "it was red before anybody wanted to know"
    await stage.count(sent=99_000, delivered=99_000)
    await stage.later()
    assert [mail.recipient for mail in stage.post.mails.values()] == ["ops@shop.example"]


async def test_the_demo_domain_and_deleted_ones_are_not_looked_at(stage: Stage) -> None:
    await stage.count(sent=1_000, bounced=1_000)
    await stage.change(state=domains.DEMO)
    await stage.alerts.step()
    await stage.change(state=domains.COMPLIANT, deleted_at=1)
    await stage.later()
    assert not stage.post.mails


async def test_a_domain_that_is_removed_begins_anew(stage: Stage) -> None:
    await stage.count(sent=1_000, bounced=1_000)
    await stage.alerts.step()
    found = await stage.database.read(lambda c: domains.by_id(c, DOMAIN))
    assert found is not None
    actor = Actor("operator", 0, "test")
    await stage.database.write(lambda c: domain_changes.remove(c, found, actor, stage.clock()))
    assert await stage.database.read(lambda c: domain_alerts.every(c)) == {}


async def test_a_mail_that_could_not_be_sent_is_sent_later(stage: Stage) -> None:
    stage.post.fails = True
    await stage.count(sent=1_000, bounced=1_000)
    await stage.alerts.step()
    stage.post.fails = False
    await stage.alerts.step()
    await stage.alerts.step()
    assert stage.post.subjects == ["shop.example: bounce rate is red (100.00%)"]


async def test_a_mail_that_nobody_can_get_is_said_once(stage: Stage) -> None:
    stage.post.refused = "no sender"
    await stage.count(sent=1_000, bounced=1_000)
    with capture_logs() as logs:
        await stage.alerts.step()
        await stage.alerts.step()
    assert [entry["reason"] for entry in logs if entry["event"] == "alert_not_mailed"] == ["no sender"]


async def test_two_nodes_tell_it_once(stage: Stage) -> None:
    await stage.house.add("http://127.0.0.1/", kinds=(Kind.ALERT,))
    await stage.count(sent=1_000, bounced=1_000)
    seen = await stage.database.read(lambda c: domain_alerts.due(c, stage.clock(), stage.clock()))
    await stage.alerts.step()
    other = Alerts(stage.database, stage.clock, stage.post.send)
    await other._look(ACCOUNT, seen, stage.clock())  # it had read before the first one wrote
    await other.step()
    assert len(stage.post.mails) == 1 and len(await stage.told()) == 1


async def test_every_domain_of_every_account_is_looked_at(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain_alerts, "SOME", 2)

    def more(connection: Connection) -> None:
        rows = [{"id": 100 + n, "account_id": ACCOUNT + n % 2, "name": f"d{n}.example"} for n in range(5)]
        connection.execute(insert(domains_table), rows)

    await stage.database.write(more)
    await stage.count(102, sent=1_000, bounced=1_000)
    await stage.alerts.step()
    assert stage.post.subjects == ["d2.example: bounce rate is red (100.00%)"]
    of_one = await stage.database.read(lambda c: domain_alerts.every(c, ACCOUNT + 1))
    assert sorted(of_one) == [101, 103]
    looked = await stage.database.read(lambda c: domain_alerts.every(c))
    assert len(looked) == 6 and {each.checked_at for each in looked.values()} == {stage.clock()}


async def test_those_that_cannot_be_told_keep_no_others(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain_alerts, "SOME", 2)
    rows = [{"id": 100 + n, "account_id": ACCOUNT, "name": f"d{n}.example"} for n in range(5)]
    await stage.database.write(lambda connection: connection.execute(insert(domains_table), rows))
    for row in rows:
        await stage.count(int(str(row["id"])), sent=1_000, bounced=1_000)

    async def send(mail: Mail) -> str:
        if mail.subject < "d3":
            raise RuntimeError("away")
        return await stage.post.send(mail)

    await Alerts(stage.database, stage.clock, send).step()
    assert [subject[:2] for subject in stage.post.subjects] == ["d3", "d4"]


async def test_webhooks_that_ask_for_it_are_told(stage: Stage) -> None:
    async with Receiver() as receiver:
        asks = await stage.house.add(receiver.url("/asks"), kinds=(Kind.ALERT, Kind.DELIVERY), stream="bulk")
        await stage.house.add(receiver.url("/silent"))
        await stage.house.add(receiver.url("/other"), kinds=(Kind.ALERT,), domain_id=DOMAIN + 1)
        await stage.count(sent=2_000, delivered=1_900, bounced=100, spam=5)
        await stage.alerts.step()
        await stage.house.node().work()
        (first, second) = (event for request in receiver.requests for event in request.events)
        assert {request.path for request in receiver.requests} == {"/asks"}
        assert first["event_id"] != second["event_id"]
        counts = {"sent_count": 2000, "bounce_count": 100, "delivery_count": 1900, "spam_count": 5}
        assert second | {"event_id": ""} == {
            "event": "deliverability_alert",
            "timestamp": stage.clock() // 1000,
            "event_id": "",
            "sending_domain_id": DOMAIN,
            "sending_domain_name": "shop.example",
            "measure": judge.SPAM,
            "rate": 0.002632,
            "level": "red",
            "previous_level": None,
            **counts,
        }
        chosen = select(webhook_deliveries.c.state).where(webhook_deliveries.c.webhook_id == asks.id)
        states = await stage.database.read(lambda c: c.execute(chosen).scalars().all())
        assert states == ["delivered", "delivered"]


async def test_a_webhooks_test_has_the_members_of_a_real_one(stage: Stage) -> None:
    async with Receiver() as receiver:
        asks = await stage.house.add(receiver.url(), kinds=(Kind.ALERT,))
        await deeds.test(stage.database, stage.house.node().poster, asks, stage.clock())
        await stage.count(sent=1_000, bounced=1_000)
        await stage.alerts.step()
        await stage.house.node().work()
        (invented, real) = (event for request in receiver.requests for event in request.events)
        assert list(invented) == list(real)
