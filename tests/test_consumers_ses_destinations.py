"""Event buses, delivery streams and metrics: what configuration sets of Amazon's dialect send there goes to webhooks and /metrics."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from mailferry import metrics
from mailferry.consumers.ses import destinations
from mailferry.consumers.webhooks import gather
from mailferry.journal import follow
from mailferry.journal.events import Kind
from mailferry.net.http_call import parse_url
from mailferry.resources import documents, webhooks
from mailferry.resources.documents import Kind as Document
from mailferry.resources.webhooks import CURSOR, EVENT, JSON_LINES, Webhook, Wish
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.fakes.receiver import Receiver
from tests.ses_calls import Calls
from tests.test_consumers_ses import PUBLISHING, TopicHouse
from tests.webhook_house import ACCOUNT, ACTOR, SEALER

BUS = "arn:aws:events:us-east-1:123456789012:event-bus/default"
STREAM = "arn:aws:firehose:us-east-1:123456789012:deliverystream/mail"


class DestinationHouse(TopicHouse):
    async def listen(self, receiver: Receiver, arn: str, path: str, account: int = ACCOUNT) -> Webhook:
        """As ``mailferry webhooks add URL --destination ARN`` does."""
        form = EVENT if arn == BUS else JSON_LINES
        wish = Wish(parse_url(receiver.url(path)), True, form, "", 0, (Kind.ACCEPTED, Kind.DELIVERY, Kind.CLICK))
        made, self.secret = await self.database.write(
            lambda c: webhooks.create(c, SEALER, account, wish, ACTOR, self.clock(), arn)
        )
        return made

    async def set(self, *made: dict[str, Any], name: str = "events", account: int = ACCOUNT) -> None:
        """A configuration set with these destinations, by the operations that clients call."""
        call = Calls(self.database, self.clock, account)
        await call("sesv2", "CreateConfigurationSet", ConfigurationSetName=name)
        for number, each in enumerate(made):
            destination = {"Enabled": True, "MatchingEventTypes": ["SEND", "DELIVERY", "CLICK"], **each}
            await call(
                "sesv2",
                "CreateConfigurationSetEventDestination",
                ConfigurationSetName=name,
                EventDestinationName=f"to{number}",
                EventDestination=destination,
            )


@pytest.fixture
async def house(database: Database, clock: Clock) -> AsyncIterator[DestinationHouse]:
    made = DestinationHouse(database, clock)
    await made.furnish()
    yield made
    await made.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as opened:
        yield opened


async def test_an_event_bus_is_a_webhook_that_gets_eventbridge_s_envelope(
    house: DestinationHouse, receiver: Receiver
) -> None:
    await house.set({"EventBridgeDestination": {"EventBusArn": BUS}})
    await house.listen(receiver, BUS, "/bus")
    await house.listen(receiver, BUS, "/strangers", account=8)
    receiver.answer = lambda request: 202
    (recipient,) = await house.sent()
    await house.happen(recipient, Kind.ACCEPTED, Kind.DELIVERY, code=250)
    await house.work()
    assert [each.path for each in receiver.requests] == ["/bus", "/bus"], "one event a request, and only its account's"
    sent, delivered = (json.loads(each.body) for each in receiver.requests)
    assert [sent["detail-type"], delivered["detail-type"]] == ["Email Sent", "Email Delivered"]
    assert receiver.requests[0].headers["content-type"] == "application/json"
    assert receiver.requests[0].headers["webhook-signature"].startswith("v1,")
    assert sent.pop("id") != delivered["id"]
    assert sent.pop("time").endswith("Z") and sent.pop("detail")["mail"]["messageId"] == PUBLISHING["id"]
    assert sent == {
        "version": "0",
        "detail-type": "Email Sent",
        "source": "aws.ses",
        "account": "000000000007",
        "region": "eu-west-1",
        "resources": ["arn:aws:ses:eu-west-1:000000000007:configuration-set/events"],
    }
    assert delivered["detail"]["eventType"] == "Delivery"
    assert delivered["detail"]["mail"]["tags"]["order"] == ["7"]


async def test_a_delivery_stream_is_a_webhook_that_gets_lines_of_json(
    house: DestinationHouse, receiver: Receiver
) -> None:
    names = {"IamRoleArn": "arn:aws:iam::123456789012:role/mail", "DeliveryStreamArn": STREAM}
    await house.set({"KinesisFirehoseDestination": names})
    await house.listen(receiver, STREAM, "/stream")
    (recipient,) = await house.sent()
    await house.happen(recipient, Kind.ACCEPTED, Kind.DELIVERY, code=250)
    await house.work()
    (request,) = receiver.requests
    assert request.headers["content-type"] == "application/jsonl"
    assert [json.loads(each)["eventType"] for each in request.body.splitlines()] == ["Send", "Delivery"]


async def test_the_log_names_a_destination_that_nobody_stands_for(house: DestinationHouse, receiver: Receiver) -> None:
    with capture_logs() as lines:
        await house.set({"EventBridgeDestination": {"EventBusArn": BUS}}, name="first")
    (line,) = lines
    assert (line["event"], line["destination"]) == ("event_destination_unheard", BUS)
    await house.listen(receiver, BUS, "/bus")
    with capture_logs() as lines:
        await house.set({"EventBridgeDestination": {"EventBusArn": BUS}}, name="second")
    assert lines == []


async def test_a_webhook_of_a_destination_is_no_webhook_of_mailtrap_s(
    house: DestinationHouse, receiver: Receiver
) -> None:
    made = await house.listen(receiver, BUS, "/bus")
    assert made.type == webhooks.DESTINATION
    assert await house.database.read(lambda c: webhooks.of_account(c, ACCOUNT)) == []
    await house.happen(await house.message(), Kind.DELIVERY)
    await house.work()
    assert receiver.requests == [], "it is told of what configuration sets send there, and of nothing else"


def counted(event: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value("mailferry_ses_events_total", {"account": str(ACCOUNT), "event": event, **labels})


async def test_cloudwatch_is_prometheus(house: DestinationHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics.SES_EVENTS, "_found", type(metrics.SES_EVENTS._found)())
    dimensions = [
        {"DimensionName": "order", "DimensionValueSource": "MESSAGE_TAG", "DefaultDimensionValue": "none"},
        {"DimensionName": "x-tag", "DimensionValueSource": "EMAIL_HEADER", "DefaultDimensionValue": "none"},
        {"DimensionName": "place", "DimensionValueSource": "LINK_TAG", "DefaultDimensionValue": "none"},
    ]
    await house.set({"CloudWatchDestination": {"DimensionConfigurations": dimensions}})
    (recipient,) = await house.sent()
    # Nobody else listens; what happened before anything ran is counted too.
    await house.happen(recipient, Kind.ACCEPTED, Kind.DELIVERY, code=250)
    await house.work()
    await house.happen(recipient, Kind.CLICK, url="https://a.test/", tags={"place": ["top"]})
    (tagless,) = await house.sent(tags={}, head=b"Subject: Hi\r\n\r\n")
    await house.happen(tagless, Kind.DELIVERY, Kind.OPEN, code=250)
    (long,) = await house.sent(tags={}, head=b"X-Tag: " + b"y" * 900 + b"\r\n\r\n")
    await house.happen(long, Kind.DELIVERY, code=250)
    await house.work()
    own = {"configuration_set": "events", "destination": "to0", "dimension_order": "7", "dimension_x_tag": "news"}
    assert counted("Send", **own, dimension_place="none") == 1
    assert counted("Delivery", **own, dimension_place="none") == 1
    assert counted("Click", **own, dimension_place="top") == 1
    plain = own | {"dimension_order": "none", "dimension_x_tag": "none", "dimension_place": "none"}
    assert counted("Delivery", **plain) == 1
    assert counted("Delivery", **plain | {"dimension_x_tag": "y" * 256}) == 1
    assert counted("Open", **plain) is None, "the destination did not ask for it"


async def test_the_journal_is_kept_for_metrics_while_a_destination_wants_them(house: DestinationHouse) -> None:
    watch = {"DimensionConfigurations": []}
    await house.set({"CloudWatchDestination": watch})
    await house.work()
    assert await house.database.read(lambda c: follow.cursor(c, CURSOR)) is not None
    call = Calls(house.database, house.clock, ACCOUNT)
    names = {"ConfigurationSetName": "events", "EventDestinationName": "to0"}
    off = {"Enabled": False, "MatchingEventTypes": ["SEND"], "CloudWatchDestination": watch}
    await call("sesv2", "UpdateConfigurationSetEventDestination", **names, EventDestination=off)
    assert await house.database.read(destinations.watched_accounts) == frozenset()
    await house.work()
    assert await house.database.read(lambda c: follow.cursor(c, CURSOR)) is None
    await call("sesv2", "UpdateConfigurationSetEventDestination", **names, EventDestination=off | {"Enabled": True})
    assert await house.database.read(destinations.watched_accounts) == {ACCOUNT}
    assert await house.database.read(lambda c: follow.cursor(c, CURSOR)) is not None
    await call("sesv2", "DeleteConfigurationSetEventDestination", **names)
    await house.database.write(gather.end)
    assert await house.database.read(lambda c: follow.cursor(c, CURSOR)) is None
    (left,) = await house.database.read(lambda c: documents.page(c, ACCOUNT, Document.CONFIGURATION_SET))
    assert left.body["EventDestinations"] == []


def test_an_account_that_chooses_ever_new_labels_fills_one_series_in_the_end() -> None:
    found = metrics.SesEvents()
    for number in range(found.MOST + 100):
        found.count("7", "Send", {"destination": "d", "dimension_order": str(number)})
    found.count("8", "Send", {"destination": "d", "dimension_order": "1"})
    (metric,) = found.collect()
    assert len(metric.samples) == found.MOST + 2
    assert [each.value for each in metric.samples if each.labels["destination"] == found.OTHER] == [100]
