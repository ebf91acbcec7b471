"""What happens to mail is told to a topic's HTTP receiver, in signed envelopes that independent code verifies."""

import asyncio
import base64
import json
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


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:  # our own server's
        return bytes(answer.read())


async def verified(request: Request) -> dict[str, Any]:
    """The envelope, once its signature is found right with the certificate that it names."""
    envelope: dict[str, Any] = json.loads(request.body)
    certificate = x509.load_pem_x509_certificate(await in_thread(get, envelope["SigningCertURL"]))
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
        return await verified(await until(lambda: self.requests and self.requests[-1]))

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
        envelope = await verified(request)
        return envelope["Message"], envelope, request

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
