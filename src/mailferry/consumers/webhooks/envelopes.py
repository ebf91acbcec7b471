"""What is posted to a subscription: Amazon SNS's envelope, signed so that receivers who verify Amazon's verify ours.

The fields that are signed, and their order, are those of the SNS developer guide ("Verifying the signatures of Amazon SNS
messages"); version 1 is SHA-1, version 2 SHA-256. A message waits unsigned, with what its request needs beside it.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec

from mailferry.resources.notification_keys import NotificationKey
from mailferry.resources.topics import Subscription

NOTIFICATION = "Notification"
CONFIRM, CONFIRM_ENDED = "SubscriptionConfirmation", "UnsubscribeConfirmation"

_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    CONFIRM: _CONFIRMATION,
    CONFIRM_ENDED: _CONFIRMATION,
}
#: As Amazon's own stand in a message.
_ORDER = ("Type", "MessageId", "Token", "TopicArn", "Subject", "Message", "SubscribeURL", "Timestamp")
_ASKS = {
    CONFIRM: (
        "You have chosen to subscribe to the topic {0}.\n"
        "To confirm the subscription, visit the SubscribeURL included in this message."
    ),
    CONFIRM_ENDED: (
        "You have chosen to deactivate subscription {1}.\n"
        "To cancel this operation and restore the subscription, visit the SubscribeURL included in this message."
    ),
}


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to one subscription, as it waits. ``fields`` are the envelope's that are known before it is signed."""

    fields: Mapping[str, str]
    subscription: str
    raw: bool
    version: str
    base: str


def notification(to: Subscription, version: str, message_id: str, text: str, subject: str, at: int) -> str:
    """``version``: of the topic's signatures. What comes back is one webhook delivery's payload."""
    fields = {"Message": text, "Subject": subject} if subject else {"Message": text}
    return _letter(to, NOTIFICATION, version, message_id, fields, at)


def confirmation(to: Subscription, kind: str, version: str, message_id: str, token: str, at: int) -> str:
    """``kind``: CONFIRM, or CONFIRM_ENDED for one that has just ended."""
    url = f"{to.base}/?Action=ConfirmSubscription&TopicArn={quote(to.topic, safe='')}&Token={token}"
    fields = {"Message": _ASKS[kind].format(to.topic, to.arn), "Token": token, "SubscribeURL": url}
    return _letter(to, kind, version, message_id, fields, at)


def read(payload: str) -> Letter:
    return msgspec.json.decode(payload, type=Letter)


def write(letter: Letter, key: NotificationKey) -> tuple[bytes, dict[str, str]]:
    """Body and header fields of the request; the same message has the same octets whenever it is sent."""
    fields = letter.fields
    kind = fields["Type"]
    headers = {
        "Content-Type": "text/plain; charset=UTF-8",
        "User-Agent": "Amazon Simple Notification Service Agent",
        "Accept": "*/*",
        "x-amz-sns-message-type": kind,
        "x-amz-sns-message-id": fields["MessageId"],
        "x-amz-sns-topic-arn": fields["TopicArn"],
    }
    if kind != CONFIRM:
        headers["x-amz-sns-subscription-arn"] = letter.subscription
    if letter.raw and kind == NOTIFICATION:
        return fields["Message"].encode(), headers | {"x-amz-sns-rawdelivery": "true"}
    signature = key.sign(to_sign(fields), letter.version)
    envelope: dict[str, Any] = {name: fields[name] for name in _ORDER if name in fields}
    envelope |= {
        "SignatureVersion": letter.version,
        "Signature": base64.b64encode(signature).decode(),
        "SigningCertURL": f"{letter.base}{certificate_path(key.id)}",
    }
    if kind == NOTIFICATION:
        subscription = quote(letter.subscription, safe="")
        envelope["UnsubscribeURL"] = f"{letter.base}/?Action=Unsubscribe&SubscriptionArn={subscription}"
    return msgspec.json.format(msgspec.json.encode(envelope), indent=2), headers


def to_sign(fields: Mapping[str, str]) -> str:
    return "".join(f"{name}\n{fields[name]}\n" for name in _SIGNED[fields["Type"]] if name in fields)


def certificate_path(key_id: int | str) -> str:
    return f"/SimpleNotificationService-{key_id}.pem"


def _letter(to: Subscription, kind: str, version: str, message_id: str, fields: Mapping[str, str], at: int) -> str:
    moment = datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at % 1000:03d}Z"
    common = {"Type": kind, "MessageId": message_id, "TopicArn": to.topic, "Timestamp": moment}
    return msgspec.json.encode(Letter({**common, **fields}, to.arn, to.raw, version, to.base)).decode()
