"""What happens to mail is told to a topic's HTTP receiver, in signed envelopes that independent code verifies."""

import asyncio
import base64
import json
import ssl
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tests.amazon import SENDER, Amazon, amazon, in_thread
from tests.fakes.receiver import Receiver, Request
from tests.server import DOMAIN

SIMPLE = {"Subject": {"Data": "Hi"}, "Body": {"Text": {"Data": "It works.\n"}}}
#: As the SNS developer guide lists them.
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (*("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),),
}
_SIGNED["UnsubscribeConfirmation"] = _SIGNED["SubscriptionConfirmation"]


@pytest.fixture
async def cloud(tmp_path: Path, database_url: str) -> AsyncIterator[Amazon]:
    async with amazon(tmp_path, database_url) as found:
        yield found


def get(url: str, ca: str = "") -> bytes:
    context = ssl.create_default_context(cafile=ca) if ca else None
    with urllib.request.urlopen(url, timeout=10, context=context) as answer:  # our own server's
        return bytes(answer.read())


async def verified(request: Request, ca: str = "") -> dict[str, Any]:
    """The envelope, once its signature is found right with the certificate that it names."""
    envelope: dict[str, Any] = json.loads(request.body)
    certificate = x509.load_pem_x509_certificate(await in_thread(get, envelope["SigningCertURL"], ca))
    key = certificate.public_key()
    assert isinstance(key, RSAPublicKey)
    names = _SIGNED[envelope["Type"]]
    text = "".join(f"{name}\n{envelope[name]}\n" for name in names if name in envelope)
    digest = {"1": hashes.SHA1(), "2": hashes.SHA256()}[envelope["SignatureVersion"]]
    key.verify(base64.b64decode(envelope["Signature"]), text.encode(), padding.PKCS1v15(), digest)
    assert request.headers["x-amz-sns-message-type"] == envelope["Type"]
    assert request.headers["x-amz-sns-message-id"] == envelope["MessageId"]
    assert request.headers["x-amz-sns-topic-arn"] == envelope["TopicArn"]
    assert request.headers["content-type"] == "text/plain; charset=UTF-8"
    return envelope


async def until(found: Callable[[], Any]) -> Any:
    for _ in range(600):
        if result := found():
            return result
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come to that")


class Listener:
    """A receiver that subscribed to a topic of its own."""

    def __init__(self, cloud: Amazon, receiver: Receiver, path: str) -> None:
        self.cloud, self.receiver, self.path = cloud, receiver, path
        self.sns = cloud.client("sns")
        self.topic = ""
        #: The authority that our certificates are checked with.
        self.verify = ""

    @property
    def requests(self) -> list[Request]:
        return [each for each in self.receiver.requests if each.path == self.path]

    async def subscribe(self, userinfo: str = "", **options: Any) -> dict[str, Any]:
        """The confirmation that it was sent."""
        name = self.path.strip("/")
        self.topic = (await in_thread(self.sns.create_topic, Name=name))["TopicArn"]
        url = self.receiver.url(self.path).replace("://", f"://{userinfo}")
        answer = await in_thread(
            self.sns.subscribe, TopicArn=self.topic, Protocol=url.partition(":")[0], Endpoint=url, **options
        )
        assert answer["SubscriptionArn"] == "pending confirmation"
        return await verified(await until(lambda: self.requests and self.requests[-1]), self.verify)

    async def confirmed(self) -> str:
        """The subscription's ARN."""
        asked = await self.subscribe()
        return await self.confirm(asked)

    async def confirm(self, asked: dict[str, Any]) -> str:
        arn: str = (await in_thread(self.sns.confirm_subscription, TopicArn=self.topic, Token=asked["Token"]))[
            "SubscriptionArn"
        ]
        return arn

    async def message(self, number: int) -> Any:
        """The message of the notification of that number, and its envelope."""

        def notifications() -> list[Request]:
            kind = "x-amz-sns-message-type"
            return [each for each in self.requests if each.headers[kind] == "Notification"]

        request = (await until(lambda: notifications()[number:]))[0]
        envelope = await verified(request, self.verify)
        return envelope["Message"], envelope, request

    def of_message(self, public_id: str) -> list[Any]:
        """All that was told of a message by now."""
        told = [
            json.loads(json.loads(each.body)["Message"]) for each in self.requests if public_id.encode() in each.body
        ]
        return [each for each in told if each["mail"]["messageId"] == public_id]

    @property
    def types(self) -> set[str]:
        """Of events, as they were told by now."""
        texts = [json.loads(each.body)["Message"] for each in self.requests]
        return {json.loads(text)["eventType"] for text in texts if text.startswith("{")}

    async def event(self, type_: str, count: int = 1) -> Any:
        """The last of so many events of a type."""

        def found() -> Any:
            events = [json.loads(each.body) for each in self.requests]
            told = [json.loads(each["Message"]) for each in events if each["Message"].startswith("{")]
            wanted = [each for each in told if type_ in (each.get("eventType"), each.get("notificationType"))]
            return wanted[count - 1 :]

        return (await until(found))[0]


async def with_set(listener: Listener, name: str = "events", *types: str) -> None:
    """A configuration set that tells the listener's topic."""
    wanted = types or (
        *("SEND", "REJECT", "BOUNCE", "COMPLAINT", "DELIVERY", "OPEN", "CLICK"),
        *("RENDERING_FAILURE", "DELIVERY_DELAY", "SUBSCRIPTION"),
    )
    v2 = listener.cloud.client("sesv2")
    await in_thread(v2.create_configuration_set, ConfigurationSetName=name)
    await in_thread(
        v2.create_configuration_set_event_destination,
        ConfigurationSetName=name,
        EventDestinationName="topic",
        EventDestination={
            "Enabled": True,
            "MatchingEventTypes": list(wanted),
            "SnsDestination": {"TopicArn": listener.topic},
        },
    )


async def send(cloud: Amazon, *to: str, **more: Any) -> str:
    answer = await in_thread(
        cloud.client("sesv2").send_email,
        **{
            "FromEmailAddress": f"App <{SENDER}>",
            "Destination": {"ToAddresses": list(to)},
            "Content": {"Simple": SIMPLE},
            "ConfigurationSetName": "events",
            "EmailTags": [{"Name": "order", "Value": "7"}],
        }
        | more,
    )
    found: str = answer["MessageId"]
    return found


async def test_a_receiver_subscribes_confirms_and_is_told_of_a_delivery(cloud: Amazon) -> None:
    async with Receiver() as receiver:
        listener = Listener(cloud, receiver, "/sns")
        arn = await listener.confirmed()
        assert arn.startswith(listener.topic + ":")
        await with_set(listener)
        text, _, _ = await listener.message(0)
        assert text == "Successfully validated SNS topic for Amazon SES event publishing."

        public_id = await send(cloud, "a@dest.test", "b@dest.test")
        sent = await listener.event("Send")
        assert sent["send"] == {}
        mail = sent["mail"]
        assert mail["messageId"] == public_id
        assert mail["source"] == f"App <{SENDER}>"
        assert mail["destination"] == ["a@dest.test", "b@dest.test"]
        assert mail["sendingAccountId"] == "000000000001"
        assert mail["tags"]["order"] == ["7"]
        assert mail["tags"]["ses:configuration-set"] == ["events"]
        assert mail["tags"]["ses:operation"] == ["SendEmail"]
        assert mail["headersTruncated"] is False
        assert {"name": "Subject", "value": "Hi"} in mail["headers"]
        assert mail["commonHeaders"]["subject"] == "Hi"
        assert mail["commonHeaders"]["from"] == [f"App <{SENDER}>"]
        assert mail["commonHeaders"]["messageId"] == public_id

        delivered = await listener.event("Delivery", 2)
        assert delivered["mail"]["messageId"] == public_id
        assert delivered["delivery"]["recipients"][0].endswith("@dest.test")
        assert delivered["delivery"]["smtpResponse"].startswith("250")
        _, envelope, request = await listener.message(1)
        assert envelope["Subject"] == "Amazon SES Email Event Notification"
        assert request.headers["x-amz-sns-subscription-arn"] == arn


HTML = '<html><body><p><a href="https://shop.example/x" ses:tags="place:top;kind:button">Look</a></p></body></html>'


async def test_every_event_can_be_produced_with_the_simulator(cloud: Amazon) -> None:
    """As at Amazon's own simulator, and with ours for what that one does not play (docs/ses.md)."""
    async with Receiver() as receiver:
        listener = Listener(cloud, receiver, "/sns")
        await listener.confirmed()
        await with_set(listener)
        content = {"Simple": {"Subject": {"Data": "Hi"}, "Body": {"Html": {"Data": HTML}}}}

        async def simulated(word: str) -> str:
            return await send(cloud, f"{word}@simulator.amazonses.com", Content=content)

        bounced = await simulated("bounce+7")
        told = await listener.event("Bounce")
        assert told["mail"]["messageId"] == bounced
        bounce = told["bounce"]
        assert (bounce["bounceType"], bounce["bounceSubType"]) == ("Permanent", "General")
        assert bounce["bouncedRecipients"] == [
            {
                "emailAddress": "bounce+7@simulator.amazonses.com",
                "action": "failed",
                "status": "5.1.1",
                "diagnosticCode": "smtp; 550 5.1.1 user unknown (simulated)",
            }
        ]
        assert bounce["feedbackId"].startswith(bounced[:4]) and bounce["reportingMTA"].startswith("dns; ")

        for number in (1, 2):  # a complaint suppresses nobody who is played
            complained = await simulated("complaint")
            told = await listener.event("Complaint", number)
            assert told["mail"]["messageId"] == complained
            assert told["complaint"]["complainedRecipients"] == [{"emailAddress": "complaint@simulator.amazonses.com"}]
            assert told["complaint"]["complaintFeedbackType"] == "abuse"
            assert told["complaint"]["complaintSubType"] is None

        await simulated("suppressionlist")
        bounce = (await listener.event("Bounce", 2))["bounce"]
        assert (bounce["bounceType"], bounce["bounceSubType"]) == ("Permanent", "Suppressed")

        away = await simulated("ooto+spring")
        await until(lambda: len(listener.of_message(away)) > 1)
        assert [each["eventType"] for each in listener.of_message(away)] == ["Send", "Delivery"]
        assert listener.of_message(away)[1]["delivery"]["recipients"] == ["ooto+spring@simulator.amazonses.com"]

        clicked = await simulated("click")
        told = await listener.event("Click")
        assert told["mail"]["messageId"] == clicked
        assert (told["click"]["link"], told["click"]["linkTags"]) == (
            "https://shop.example/x",
            {"place": ["top"], "kind": ["button"]},
        )
        opened = (await listener.event("Open"))["open"]
        assert (opened["ipAddress"], opened["userAgent"]) == ("127.0.0.1", "Mailferry simulator")

        await simulated("softbounce")
        delay = (await listener.event("DeliveryDelay"))["deliveryDelay"]
        assert delay["delayType"] == "MailboxFull"
        assert delay["delayedRecipients"][0]["status"] == "4.2.2"
        assert delay["expirationTime"] > delay["timestamp"]

        v2, v1 = cloud.client("sesv2"), cloud.client("ses")
        template = {"Subject": "Hi {{name}}", "Text": "Hello."}
        await in_thread(v2.create_email_template, TemplateName="welcome", TemplateContent=template)
        unnamed = {"Template": {"TemplateName": "welcome", "TemplateData": "{}"}}
        failed = await send(cloud, "success@simulator.amazonses.com", Content=unnamed)
        told = await listener.event("Rendering Failure")
        assert told["mail"]["messageId"] == failed
        assert told["failure"]["templateName"] == "welcome"
        assert "'name' is not present in the rendering data" in told["failure"]["errorMessage"]

        topic = {"TopicName": "Sports", "DisplayName": "Sports", "DefaultSubscriptionStatus": "OPT_IN"}
        await in_thread(v2.create_contact_list, ContactListName="Readers", Topics=[topic])
        options = {"ContactListName": "Readers", "TopicName": "Sports"}
        left = await send(cloud, "unsubscribe@simulator.amazonses.com", Content=content, ListManagementOptions=options)
        told = await listener.event("Subscription")
        assert told["mail"]["messageId"] == left
        assert (told["subscription"]["contactList"], told["subscription"]["source"]) == ("Readers", "UnsubscribeHeader")
        assert told["subscription"]["oldTopicPreferences"] == {"unsubscribeAll": False, "topicSubscriptionStatus": []}
        assert told["subscription"]["newTopicPreferences"] == {
            "unsubscribeAll": False,
            "topicSubscriptionStatus": [{"topicName": "Sports", "subscriptionStatus": "OptOut"}],
        }

        for each in listener.requests:
            await verified(each)
        assert listener.types == {
            *("Send", "Delivery", "Bounce", "Complaint", "Open", "Click", "Rendering Failure"),
            *("DeliveryDelay", "Subscription"),
        }

        await in_thread(
            v1.set_identity_notification_topic,
            Identity=DOMAIN,
            NotificationType="Delivery",
            SnsTopic=listener.topic,
        )
        text = (await listener.event("AmazonSnsSubscriptionSucceeded"))["message"]
        assert text == (
            f"You have successfully subscribed your Amazon SNS topic '{listener.topic}' to receive 'Delivery' "
            f"notifications from Amazon SES for identity '{DOMAIN}'."
        )
        plain = await send(cloud, "success@simulator.amazonses.com", ConfigurationSetName="")
        told = await until(lambda: listener.of_message(plain))
        assert [each["notificationType"] for each in told] == ["Delivery"]


async def test_a_link_confirms_and_a_link_unsubscribes_and_takes_that_back(cloud: Amazon) -> None:
    async with Receiver() as receiver:
        listener = Listener(cloud, receiver, "/sns")
        asked = await listener.subscribe(userinfo="user:secret@")
        assert asked["Message"].startswith(f"You have chosen to subscribe to the topic {listener.topic}.\n")
        assert "x-amz-sns-subscription-arn" not in listener.requests[0].headers
        secret = "Basic " + base64.b64encode(b"user:secret").decode()
        assert listener.requests[0].headers["authorization"] == secret
        (shown,) = (await in_thread(listener.sns.list_subscriptions))["Subscriptions"]
        assert shown["SubscriptionArn"] == "PendingConfirmation" and "secret" not in shown["Endpoint"]

        path, token = "/api/accounts/1/webhooks", cloud.server.credentials["api_token"]
        status, listed = await in_thread(cloud.server.request, "GET", path, token, None)
        assert (status, listed["data"]) == (200, []), "Mailtrap's API does not know subscriptions"
        (known,) = await in_thread(cloud.server.command, "webhooks", "list")
        assert known["subscription"].startswith(f"{listener.topic}:") and "secret" not in known["url"]
        (question,) = await in_thread(cloud.server.command, "webhooks", "log", str(known["id"]))
        assert (question["event"], question["state"]) == ("message", "delivered")

        answer = (await in_thread(get, asked["SubscribeURL"])).decode()
        assert "<ConfirmSubscriptionResponse" in answer
        arn = answer.partition("<SubscriptionArn>")[2].partition("</SubscriptionArn>")[0]
        (shown,) = (await in_thread(listener.sns.list_subscriptions_by_topic, TopicArn=listener.topic))["Subscriptions"]
        assert (shown["SubscriptionArn"], shown["Protocol"]) == (arn, "http")

        published = await in_thread(listener.sns.publish, TopicArn=listener.topic, Message="Grüße", Subject="Hi")
        text, envelope, request = await listener.message(0)
        assert (text, envelope["Subject"], envelope["MessageId"]) == ("Grüße", "Hi", published["MessageId"])
        assert request.headers["authorization"] == secret

        assert b"<UnsubscribeResponse" in await in_thread(get, envelope["UnsubscribeURL"])
        assert (await in_thread(listener.sns.list_subscriptions))["Subscriptions"] == []
        last = await until(lambda: [each for each in listener.requests if b"UnsubscribeConfirmation" in each.body])
        again = await verified(last[0])
        await in_thread(listener.sns.publish, TopicArn=listener.topic, Message="to nobody")
        await in_thread(get, again["SubscribeURL"])
        await in_thread(listener.sns.publish, TopicArn=listener.topic, Message="again")
        assert (await listener.message(1))[0] == "again"

        await in_thread(listener.sns.unsubscribe, SubscriptionArn=arn)
        attributes = (await in_thread(listener.sns.get_topic_attributes, TopicArn=listener.topic))["Attributes"]
        assert attributes["SubscriptionsConfirmed"] == "0"


async def test_a_topic_signs_by_sha256_and_a_subscription_gets_the_bare_message(cloud: Amazon) -> None:
    async with Receiver() as receiver:
        receiver.answer = lambda request: 204  # any success will do, as for Amazon
        listener = Listener(cloud, receiver, "/sns")
        arn = await listener.confirmed()
        await in_thread(
            listener.sns.set_topic_attributes,
            TopicArn=listener.topic,
            AttributeName="SignatureVersion",
            AttributeValue="2",
        )
        await in_thread(listener.sns.publish, TopicArn=listener.topic, Message="one")
        assert (await listener.message(0))[1]["SignatureVersion"] == "2"
        await in_thread(
            listener.sns.set_subscription_attributes,
            SubscriptionArn=arn,
            AttributeName="RawMessageDelivery",
            AttributeValue="true",
        )
        await in_thread(listener.sns.publish, TopicArn=listener.topic, Message="two", Subject="not told")
        request = (await until(lambda: [each for each in listener.requests if each.body == b"two"]))[0]
        assert request.headers["x-amz-sns-rawdelivery"] == "true"
        assert request.headers["x-amz-sns-subscription-arn"] == arn
