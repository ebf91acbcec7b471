"""Amazon's words for what the journal holds, and who is told of it: in process, with a real receiver."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from mailferry.consumers.webhooks import topics as deeds
from mailferry.journal.events import Kind
from mailferry.net.http_call import parse_url
from mailferry.resources import documents, topics
from mailferry.resources.documents import Kind as Document
from mailferry.resources.topics import State, Subscription, Topic
from mailferry.store.database import Database
from mailferry.store.schema import messages, recipients
from tests.conftest import Clock
from tests.fakes.journal import write_message
from tests.fakes.receiver import Receiver
from tests.webhook_house import ACCOUNT, ACTOR, SEALER, Stored, WebhookHouse

ARN = "arn:aws:sns:eu-west-1:000000000007:mail"
PUBLISHING = {
    "id": "0102000000000000-00000000-0000-7000-8000-000000000000-000000",
    "region": "eu-west-1",
    "operation": "SendEmail",
    "source": "Ann <ann@shop.example>",
    "caller": "first key",
    "set": "events",
    "tags": {"order": ["7"]},
}
HEAD = (
    b"From: =?utf-8?q?J=C3=B6rg?= <ann@shop.example>\r\nTo: Bob <bob@example.net>,\r\n carl@example.net\r\n"
    b"Message-ID: <own@app.test>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-Tag: news\r\n\r\nbody\r\n"
)


class TopicHouse(WebhookHouse):
    """With a topic, whose one subscription is confirmed, and mail that was sent in Amazon's dialect."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock)
        self.stored = Stored()

    async def subscribe(self, receiver: Receiver, arn: str = ARN, path: str = "/sns") -> Subscription:
        now = self.clock()
        wanted = Subscription("", ACCOUNT, 0, State.PENDING, "http", "", {}, "http://mail.test", False, now)
        topic = Topic(arn, ACCOUNT, {}, {}, now)

        def write(connection: Connection) -> Subscription:
            topics.keep_topic(connection, topic, now)
            return deeds.subscribe(connection, SEALER, topic, parse_url(receiver.url(path)), wanted, ACTOR, now)

        made = await self.database.write(write)
        await self.work()
        token = json.loads(receiver.requests[-1].body)["Token"]
        confirmed = await self.database.write(lambda c: deeds.confirm(c, arn, token, False, now))
        assert confirmed is not None and confirmed.arn == made.arn
        receiver.requests.clear()
        return confirmed

    async def put(self, kind: Document, name: str, body: dict[str, Any]) -> None:
        await self.database.write(lambda c: documents.put(c, ACCOUNT, kind, name, body, self.clock()))

    async def destination(self, *types: str, arn: str = ARN, enabled: bool = True) -> None:
        made = {
            "Name": "topic",
            "Enabled": enabled,
            "MatchingEventTypes": types,
            "SnsDestination": {"TopicArn": arn},
        }
        await self.put(Document.CONFIGURATION_SET, "events", {"EventDestinations": [made]})

    async def sent(self, *to: str, head: bytes = HEAD, reason: str = "", **publishing: Any) -> list[str]:
        """The recipients' ids."""
        kept = json.dumps(PUBLISHING | publishing)

        def write(connection: Connection) -> list[str]:
            made = write_message(
                connection, self.ids, self.clock(), to or ("bob@example.net",), publishing=kept, client_ip="192.0.2.9"
            )
            if reason:
                connection.execute(update(recipients).where(recipients.c.id.in_(made)).values(reason=reason))
            (own,) = connection.execute(
                select(messages.c.id)
                .join(recipients, recipients.c.message_id == messages.c.id)
                .where(recipients.c.id == made[0])
            ).one()
            self.stored.bodies[own] = head
            return made

        return await self.database.write(write)

    async def work(self) -> None:
        if not self.nodes:
            self.node(content=self.stored)
        await self.nodes[0].work()

    async def told(self, receiver: Receiver) -> list[Any]:
        """Each message that came since it was last asked."""
        await self.work()
        found = [json.loads(json.loads(each.body)["Message"]) for each in receiver.requests]
        receiver.requests.clear()
        return found


@pytest.fixture
async def house(database: Database, clock: Clock) -> AsyncIterator[TopicHouse]:
    made = TopicHouse(database, clock)
    await made.furnish()
    yield made
    await made.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as opened:
        yield opened


async def test_a_send_is_told_once_a_message_and_what_happens_once_a_recipient(
    house: TopicHouse, receiver: Receiver
) -> None:
    await house.subscribe(receiver)
    await house.destination("SEND", "DELIVERY")
    both = await house.sent("bob@example.net", "carl@example.net")
    for each in both:
        await house.happen(each, Kind.ACCEPTED)
    house.clock.forward(seconds=2)
    await house.happen(
        both[1], Kind.DELIVERY, code=250, enhanced="2.0.0", response="ok", ip="192.0.2.1", local_ip="192.0.2.2"
    )
    await house.happen(both[1], Kind.OPEN, ip="192.0.2.3")  # the destination did not ask for it
    sent, delivered = sorted(await house.told(receiver), key=lambda each: each["eventType"], reverse=True)
    assert (sent["eventType"], sent["send"]) == ("Send", {})
    assert sent["mail"]["destination"] == ["bob@example.net", "carl@example.net"]
    assert delivered["delivery"] == {
        "timestamp": delivered["delivery"]["timestamp"],
        "processingTimeMillis": 2000,
        "recipients": ["carl@example.net"],
        "smtpResponse": "250 2.0.0 ok",
        "reportingMTA": "mail.test",
    }
    mail = delivered["mail"]
    assert mail["tags"] == {
        "ses:operation": ["SendEmail"],
        "ses:configuration-set": ["events"],
        "ses:source-ip": ["192.0.2.9"],
        "ses:from-domain": ["shop.example"],
        "ses:caller-identity": ["first key"],
        "ses:outgoing-ip": ["192.0.2.2"],
        "order": ["7"],
    }
    assert mail["sourceArn"] == "arn:aws:ses:eu-west-1:000000000007:identity/shop.example"
    assert {"name": "To", "value": "Bob <bob@example.net>, carl@example.net"} in mail["headers"]
    assert mail["commonHeaders"]["to"] == ["Bob <bob@example.net>", "carl@example.net"]
    assert (mail["commonHeaders"]["subject"], mail["commonHeaders"]["messageId"]) == ("Grüße", PUBLISHING["id"])


async def test_headers_beyond_ten_kilobytes_are_cut(house: TopicHouse, receiver: Receiver) -> None:
    await house.subscribe(receiver)
    await house.destination("SEND")
    many = b"".join(b"X-Long-%d: %s\r\n" % (number, b"x" * 900) for number in range(20))
    for head in (HEAD.replace(b"X-Tag: news\r\n", many), b"X: " + b"y" * 20_000 + b"\r\n\r\n"):
        (recipient,) = await house.sent(head=head)
        await house.happen(recipient, Kind.ACCEPTED)
    # Of two messages either may come first.
    second, first = sorted(await house.told(receiver), key=lambda each: len(each["mail"]["headers"]))
    assert first["mail"]["headersTruncated"] is second["mail"]["headersTruncated"] is True
    assert [each["name"] for each in first["mail"]["headers"]][-1] == "X-Long-10"
    assert second["mail"]["headers"] == []


async def test_what_was_forgotten_of_a_message_keeps_no_event_back(house: TopicHouse, receiver: Receiver) -> None:
    await house.subscribe(receiver)
    await house.destination("OPEN")
    (recipient,) = await house.sent()
    house.stored.bodies.clear()
    await house.happen(recipient, Kind.OPEN, ip="192.0.2.3", machine="proxy")
    (opened,) = await house.told(receiver)
    assert "headers" not in opened["mail"] and opened["open"]["isBotEvent"] == "Likely"


async def test_a_rendering_failure_is_told_instead_of_a_send(house: TopicHouse, receiver: Receiver) -> None:
    await house.subscribe(receiver)
    await house.destination("SEND", "RENDERING_FAILURE", "REJECT")
    reason = "rendering_failure: Attribute 'name' is not present in the rendering data."
    both = await house.sent("bob@example.net", "carl@example.net", reason=reason, template="welcome")
    for each in both:
        await house.happen(each, Kind.ACCEPTED)
        await house.happen(each, Kind.REJECT, reason=reason)
    (told,) = await house.told(receiver)
    assert told["eventType"] == "Rendering Failure"
    assert told["failure"] == {
        "errorMessage": "Attribute 'name' is not present in the rendering data.",
        "templateName": "welcome",
    }


REJECTS = {
    "hard bounce": ("Bounce", "OnAccountSuppressionList"),
    "manual import": ("Bounce", "OnAccountSuppressionList"),
    "unsubscription": ("Bounce", "UnsubscribedRecipient"),
    "spam complaint": ("Complaint", "OnAccountSuppressionList"),
}


async def test_a_suppressed_recipient_bounced_permanently_or_complained(house: TopicHouse, receiver: Receiver) -> None:
    await house.subscribe(receiver)
    await house.destination("BOUNCE", "COMPLAINT", "REJECT")
    for kind in REJECTS:
        (recipient,) = await house.sent()
        await house.happen(recipient, Kind.REJECT, reason=f"Recipient in suppression list. Reason: {kind}")
    (recipient,) = await house.sent()
    await house.happen(recipient, Kind.REJECT, reason="domain_deleted")
    told = await house.told(receiver)
    found = Counter(
        (
            each["eventType"],
            each["bounce"]["bounceSubType"] if "bounce" in each else each["complaint"]["complaintSubType"],
        )
        for each in told
        if "reject" not in each
    )
    assert found == Counter(REJECTS.values())
    assert [each["reject"] for each in told if "reject" in each] == [{"reason": "domain_deleted"}]
    bounces = [each["bounce"] for each in told if "bounce" in each]
    assert {each["bounceType"] for each in bounces} == {"Permanent"}
    assert {each["bouncedRecipients"][0]["status"] for each in bounces} == {"5.1.1"}


@pytest.mark.parametrize(
    ("facts", "kind", "sub"),
    [
        ({"code": 550, "enhanced": "5.1.1", "category": "badrecipient"}, "Permanent", "General"),
        ({"code": 552, "enhanced": "5.2.2", "category": "overquota"}, "Transient", "MailboxFull"),
        ({"code": 554, "enhanced": "5.7.1", "category": "spam"}, "Transient", "ContentRejected"),
        ({"code": 554, "enhanced": "5.7.1", "category": "block"}, "Transient", "General"),
        ({"code": 450, "category": "badrecipient", "reason": "expired"}, "Transient", "General"),
        ({"code": 452, "category": "overquota", "reason": "expired"}, "Transient", "MailboxFull"),
    ],
)
async def test_only_what_is_bad_of_an_address_is_permanent(
    house: TopicHouse, receiver: Receiver, facts: dict[str, Any], kind: str, sub: str
) -> None:
    await house.subscribe(receiver)
    await house.destination("BOUNCE")
    (recipient,) = await house.sent()
    await house.happen(recipient, Kind.BOUNCE, **facts, response="no")
    (told,) = await house.told(receiver)
    assert (told["bounce"]["bounceType"], told["bounce"]["bounceSubType"]) == (kind, sub)


@pytest.mark.parametrize(("seconds", "sub"), [(300, "CustomTimeoutExceeded"), (301, "General"), (None, "General")])
async def test_who_had_no_more_time_by_its_set_says_so(
    house: TopicHouse, receiver: Receiver, seconds: int | None, sub: str
) -> None:
    await house.subscribe(receiver)
    await house.destination("BOUNCE")
    (recipient,) = await house.sent(**({"max_delivery_seconds": seconds} if seconds else {}))
    house.clock.forward(seconds=300)
    await house.happen(recipient, Kind.BOUNCE, code=450, response="later", reason="expired")
    (told,) = await house.told(receiver)
    assert (told["bounce"]["bounceType"], told["bounce"]["bounceSubType"]) == ("Transient", sub)


async def test_an_unsubscription_is_a_subscription_event(house: TopicHouse, receiver: Receiver) -> None:
    await house.subscribe(receiver)
    await house.destination("SUBSCRIPTION")
    (recipient,) = await house.sent(contact_list="readers")
    await house.happen(recipient, Kind.UNSUBSCRIBE, ip="192.0.2.3")
    (told,) = await house.told(receiver)
    assert told["subscription"]["contactList"] == "readers"
    assert told["subscription"]["newTopicPreferences"]["unsubscribeAll"] is True

    before = {"unsubscribed": False, "topics": {"Chess": True}}
    after = {"unsubscribed": False, "topics": {"Chess": True, "Sports": False}}
    await house.happen(recipient, Kind.UNSUBSCRIBE, contact_list="readers", before=before, after=after)
    (told,) = await house.told(receiver)
    chess = {"topicName": "Chess", "subscriptionStatus": "OptIn"}
    sports = {"topicName": "Sports", "subscriptionStatus": "OptOut"}
    assert told["subscription"]["oldTopicPreferences"] == {"unsubscribeAll": False, "topicSubscriptionStatus": [chess]}
    assert told["subscription"]["newTopicPreferences"] == {
        "unsubscribeAll": False,
        "topicSubscriptionStatus": [chess, sports],
    }


async def test_an_identity_s_topics_are_told_beside_the_configuration_set(
    house: TopicHouse, receiver: Receiver
) -> None:
    """The most specific identity that names a topic counts."""
    other = ARN + "-2"
    await house.subscribe(receiver)
    await house.subscribe(receiver, other, "/other")
    await house.destination("BOUNCE", "DELIVERY")
    await house.put(Document.IDENTITY, "shop.example", {"topics": {"Bounce": ARN, "Delivery": ARN}})
    await house.put(
        Document.IDENTITY, "ann@shop.example", {"topics": {"Bounce": other}, "headers_in": {"Bounce": True}}
    )
    (recipient,) = await house.sent()
    await house.happen(recipient, Kind.BOUNCE, code=550, category="badrecipient", ip="192.0.2.1")
    await house.work()
    by_path = {each.path: json.loads(each.body) for each in receiver.requests}
    assert {path: "Subject" in each for path, each in by_path.items()} == {"/sns": True, "/other": False}
    published, notified = (json.loads(by_path[path]["Message"]) for path in ("/sns", "/other"))
    assert (published["eventType"], notified["notificationType"]) == ("Bounce", "Bounce")
    assert "eventType" not in notified and "tags" not in notified["mail"]
    assert (notified["mail"]["sourceIp"], notified["mail"]["callerIdentity"]) == ("192.0.2.9", "first key")
    assert notified["bounce"]["remoteMtaIp"] == "192.0.2.1" and "remoteMtaIp" not in published["bounce"]
    assert notified["mail"]["commonHeaders"]["messageId"] == "<own@app.test>"
    receiver.requests.clear()

    await house.happen(recipient, Kind.DELIVERY, code=250)
    events = await house.told(receiver)
    assert sorted(each.get("eventType", "") for each in events) == ["", "Delivery"]
    assert "headers" not in next(each for each in events if "notificationType" in each)["mail"]


async def test_what_is_off_or_of_other_dialects_is_not_told(house: TopicHouse, receiver: Receiver) -> None:
    await house.subscribe(receiver)
    await house.destination("SEND", enabled=False)
    (recipient,) = await house.sent()
    await house.happen(recipient, Kind.ACCEPTED)
    assert await house.told(receiver) == []
    await house.destination("SEND")
    await house.happen(await house.message(), Kind.ACCEPTED)
    assert await house.told(receiver) == []


async def test_what_waits_is_not_sent_at_the_pace_of_rounds(house: TopicHouse, receiver: Receiver) -> None:
    """Eight lanes and ten rounds a second would be eighty envelopes."""
    await house.subscribe(receiver)
    await house.destination("OPEN")
    (recipient,) = await house.sent()
    await house.happen(recipient, *[Kind.OPEN] * 20)
    service = house.nodes[0].service
    while not receiver.requests:
        await service.step()
        await service.sender.idle()
    assert len(receiver.requests) == 20


async def test_a_receiver_that_was_away_is_told_one_envelope_a_request_in_order(
    house: TopicHouse, receiver: Receiver
) -> None:
    await house.subscribe(receiver)
    await house.destination("SEND", "DELIVERY", "OPEN")
    receiver.answer = lambda request: 500
    (recipient,) = await house.sent()
    await house.happen(recipient, Kind.ACCEPTED, Kind.DELIVERY, Kind.OPEN)
    await house.work()
    failed = receiver.requests[0].body
    receiver.requests.clear()
    receiver.answer = lambda request: 200
    house.clock.forward(seconds=3600)
    await house.work()
    assert receiver.requests[0].body == failed, "what is repeated has the octets that it had"
    assert [each["eventType"] for each in await house.told(receiver)] == ["Send", "Delivery", "Open"]
