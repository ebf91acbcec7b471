"""What emulations of SES most often get wrong about events: a test for each mistake, named after it."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from sqlalchemy import Engine, event

from mailferry.consumers.ses import mail, words
from mailferry.consumers.ses.mail import Sent
from mailferry.consumers.ses.words import Happened
from mailferry.consumers.webhooks import envelopes
from mailferry.endpoints.ses import destinations_v1
from mailferry.journal.events import Kind
from mailferry.resources.notification_keys import NotificationKey, NotificationKeys
from mailferry.resources.topics import State, Subscription
from mailferry.store.database import Database
from mailferry.store.secrets import Sealer
from tests.conftest import Clock

TOPIC = "arn:aws:sns:eu-west-1:000000000007:mail"
SUBSCRIPTION = Subscription(
    f"{TOPIC}:0f0e", 7, 1, State.CONFIRMED, "https", "https://app.test/", {}, "https://mail.test", False, 0
)
SENT = Sent(7, "0102-x-000000", 1_790_000_000_123, "shop.example", "ann@shop.example", "192.0.2.9", ["b@x.test"], {})


@pytest.fixture
async def key(database: Database, clock: Clock) -> NotificationKey:
    return await NotificationKeys(database, Sealer(bytes(32)), clock).signing()


def happened(kind: Kind, **changes: Any) -> Happened:
    plain = Happened(kind, 1_790_000_000_999, {}, "r", "b@x.test", True, False, "0102-x", 1_790_000_000_123, 0, {}, "h")
    return replace(plain, **changes)


def verify(key: NotificationKey, envelope: dict[str, str], fields: list[str], digest: hashes.HashAlgorithm) -> None:
    public = x509.load_pem_x509_certificate(key.certificate).public_key()
    assert isinstance(public, RSAPublicKey)
    text = "".join(f"{name}\n{envelope[name]}\n" for name in fields)
    public.verify(base64.b64decode(envelope["Signature"]), text.encode(), padding.PKCS1v15(), digest)


def test_14_spelling_of_v1_leaks_into_v2() -> None:
    given = {
        "Name": "x",
        "Enabled": True,
        "MatchingEventTypes": ["renderingFailure"],
        "SNSDestination": {"TopicARN": TOPIC},
    }
    kept = destinations_v1.read(given)
    assert kept["MatchingEventTypes"] == ["RENDERING_FAILURE"]
    assert kept["SnsDestination"] == {"TopicArn": TOPIC} and "SNSDestination" not in kept
    assert destinations_v1.write(kept) == given


def test_15_event_type_spelling_and_the_key_of_its_block() -> None:
    assert words.SPELLED["RENDERING_FAILURE"] == ("Rendering Failure", "failure")
    assert words.SPELLED["DELIVERY_DELAY"] == ("DeliveryDelay", "deliveryDelay")
    told = words.told(happened(Kind.REJECT, facts={"reason": "rendering_failure: no"}, publishing={"template": "t"}))
    assert told and (told.type, told.block) == ("RENDERING_FAILURE", {"errorMessage": "no", "templateName": "t"})


def test_15_tags_are_lists_account_is_a_string_and_automatic_tags_are_there() -> None:
    facts = {"operation": "SendRawEmail", "set": "events", "caller": "key", "region": "eu-west-1", "tags": {"a": ["b"]}}
    found = mail.published(replace(SENT, publishing=facts))
    assert found["sendingAccountId"] == "000000000007"
    assert found["timestamp"] == "2026-09-21T14:13:20.123Z"
    assert found["tags"] == {
        "ses:operation": ["SendRawEmail"],
        "ses:configuration-set": ["events"],
        "ses:source-ip": ["192.0.2.9"],
        "ses:from-domain": ["shop.example"],
        "ses:caller-identity": ["key"],
        "a": ["b"],
    }


def test_15_identity_notifications_have_no_tags_and_headers_on_demand_only() -> None:
    found = mail.notified(replace(SENT, head=b"Subject: Hi\r\n\r\n"), headers=False)
    assert not {"tags", "headers", "commonHeaders", "headersTruncated"} & set(found)


def test_16_an_absent_subject_is_not_signed(key: NotificationKey) -> None:
    fields = ["Message", "MessageId", "Timestamp", "TopicArn", "Type"]
    body, _ = envelopes.write(envelopes.read(envelopes.notification(SUBSCRIPTION, "1", "id", "text", "", 0)), key)
    envelope = json.loads(body)
    assert "Subject" not in envelope
    verify(key, envelope, fields, hashes.SHA1())
    body, _ = envelopes.write(envelopes.read(envelopes.notification(SUBSCRIPTION, "1", "id", "text", "Hi", 0)), key)
    verify(key, json.loads(body), [*fields[:2], "Subject", *fields[2:]], hashes.SHA1())


def test_16_the_version_says_which_hash(key: NotificationKey) -> None:
    fields = ["Message", "MessageId", "Timestamp", "TopicArn", "Type"]
    for version, right, wrong in (("1", hashes.SHA1(), hashes.SHA256()), ("2", hashes.SHA256(), hashes.SHA1())):
        letter = envelopes.read(envelopes.notification(SUBSCRIPTION, version, "id", "text", "", 0))
        envelope = json.loads(envelopes.write(letter, key)[0])
        assert envelope["SignatureVersion"] == version
        verify(key, envelope, fields, right)
        with pytest.raises(InvalidSignature):
            verify(key, envelope, fields, wrong)


def test_16_headers_type_and_the_certificate_s_url(key: NotificationKey) -> None:
    letter = envelopes.read(envelopes.notification(SUBSCRIPTION, "1", "id", "text", "", 0))
    body, headers = envelopes.write(letter, key)
    envelope = json.loads(body)
    assert envelope["SigningCertURL"] == f"https://mail.test/SimpleNotificationService-{key.id}.pem"
    assert envelope["UnsubscribeURL"].startswith("https://mail.test/?Action=Unsubscribe&SubscriptionArn=arn%3Aaws%3A")
    assert headers["Content-Type"] == "text/plain; charset=UTF-8"
    assert headers["x-amz-sns-message-type"] == "Notification"
    assert headers["x-amz-sns-subscription-arn"] == SUBSCRIPTION.arn

    asked = envelopes.confirmation(SUBSCRIPTION, envelopes.CONFIRM, "1", "id", "token", 0)
    body, headers = envelopes.write(envelopes.read(asked), key)
    envelope = json.loads(body)
    assert "x-amz-sns-subscription-arn" not in headers and "UnsubscribeURL" not in envelope
    fields = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    verify(key, envelope, fields, hashes.SHA1())


async def test_every_node_signs_with_one_key_and_its_certificate_is_found_by_number(
    database: Database, clock: Clock
) -> None:
    first, second = (NotificationKeys(database, Sealer(bytes(32)), clock) for _ in range(2))
    made = await first.signing()
    assert (await second.signing()).certificate == made.certificate
    third = NotificationKeys(database, Sealer(bytes(32)), clock)
    assert await third.certificate(made.id) == made.certificate
    read: list[str] = []

    def noted(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if "shared_keys" in statement:
            read.append(statement)

    event.listen(Engine, "before_cursor_execute", noted)
    assert await third.certificate(made.id + 1) is None
    event.remove(Engine, "before_cursor_execute", noted)
    (statement,) = read
    assert "shared_keys.id =" in statement, "anybody may ask, and may not have all keys read"
