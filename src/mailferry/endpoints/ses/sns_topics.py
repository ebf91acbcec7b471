"""Amazon SNS, as far as events of mail need it: topics, and what is published to them."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import Connection

from mailferry.consumers.webhooks import topics as deeds
from mailferry.endpoints.ses import paging
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError
from mailferry.resources import audit, topics
from mailferry.resources.arns import account_of
from mailferry.resources.notification_keys import HASHES
from mailferry.resources.topics import State, Topic

#: Of one account.
MOST = 1000
#: Amazon's.
PAGE, MOST_TAGS = 100, 50
MAX_MESSAGE = 256 * 1024
_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
#: Kept and read back. Of these only SignatureVersion means something here.
_ATTRIBUTES = frozenset({"DeliveryPolicy", "DisplayName", "Policy", "SignatureVersion", "TracingConfig"})


async def create(call: Call, params: Params) -> Result:
    """To create what is there is no mistake."""
    name = params["Name"]
    if not _NAME.fullmatch(name):
        raise invalid_parameter("Name: only letters, digits, _ and -, up to 256; FIFO topics are not served")
    arn, now = call.arn("sns", name), call.now()
    attributes = dict(params.get("Attributes", {}))
    for attribute, value in attributes.items():
        _check(attribute, value)
    tags = {each["Key"]: each["Value"] for each in params.get("Tags", [])}

    def write(connection: Connection) -> None:
        if topics.topic(connection, arn) is not None:
            return
        if len(topics.topics(connection, call.account_id, most=MOST)) >= MOST:
            raise SesError("TopicLimitExceeded", f"An account has at most {MOST} topics.", 403)
        topics.keep_topic(connection, Topic(arn, call.account_id, attributes, tags, now), now)
        note(connection, call, arn, "topic.created", now)

    await call.write(write)
    return {"TopicArn": arn}


async def delete(call: Call, params: Params) -> Result:
    """With its subscriptions; silent where there is none."""
    arn, now = params["TopicArn"], call.now()

    def write(connection: Connection) -> None:
        topic = topics.topic(connection, arn)
        if topic is not None and topic.account_id == call.account_id:
            deeds.remove_topic(connection, topic, call.actor, now)
            note(connection, call, arn, "topic.deleted", now)

    await call.write(write)
    return None


async def get_list(call: Call, params: Params) -> Result:
    after = paging.after(params)
    found = await call.read(lambda c: topics.topics(c, call.account_id, after, PAGE + 1))
    page, token = paging.page(found, PAGE, lambda each: each.arn)
    return {"Topics": [{"TopicArn": each.arn} for each in page], "NextToken": token}


async def get_attributes(call: Call, params: Params) -> Result:
    arn = params["TopicArn"]

    def read(connection: Connection) -> dict[str, str]:
        found = own(connection, call, arn)
        states = [each.state for each in topics.every_subscription(connection, call.account_id) if each.topic == arn]
        return {
            "TopicArn": arn,
            "Owner": call.aws_account,
            "DisplayName": "",
            "EffectiveDeliveryPolicy": "{}",
            "Policy": _policy(call, arn),
            **found.attributes,
            "SubscriptionsConfirmed": str(states.count(State.CONFIRMED)),
            "SubscriptionsPending": str(states.count(State.PENDING)),
            "SubscriptionsDeleted": str(states.count(State.ENDED)),
        }

    return {"Attributes": await call.read(read)}


async def set_attributes(call: Call, params: Params) -> Result:
    name, value = params["AttributeName"], params.get("AttributeValue", "")
    _check(name, value)
    await _changed(call, params["TopicArn"], lambda found: replace(found, attributes={**found.attributes, name: value}))
    return None


async def publish(call: Call, params: Params) -> Result:
    """To all subscriptions; attributes of the message are not sent on."""
    arn, text, subject = params.get("TopicArn") or params.get("TargetArn", ""), params["Message"], params.get("Subject")
    if not arn:
        raise invalid_parameter("TopicArn: only topics are published to")
    if not text or len(text.encode()) > MAX_MESSAGE:
        raise invalid_parameter("Message: must not be empty nor longer than 256 KB")
    now = call.now()
    message_id = await call.write(
        lambda connection: deeds.publish(connection, own(connection, call, arn), text, subject or "", now)
    )
    return {"MessageId": message_id}


async def tag(call: Call, params: Params) -> Result:
    given = {each["Key"]: each["Value"] for each in params["Tags"]}

    def change(found: Topic) -> Topic:
        tags = {**found.tags, **given}
        if len(tags) > MOST_TAGS:
            raise SesError("TagLimitExceeded", f"A topic has at most {MOST_TAGS} tags.")
        return replace(found, tags=tags)

    await _changed(call, params["ResourceArn"], change)
    return None


async def untag(call: Call, params: Params) -> Result:
    gone = set(params["TagKeys"])
    await _changed(
        call,
        params["ResourceArn"],
        lambda found: replace(found, tags={key: value for key, value in found.tags.items() if key not in gone}),
    )
    return None


async def list_tags(call: Call, params: Params) -> Result:
    found = await call.read(lambda connection: own(connection, call, params["ResourceArn"]))
    return {"Tags": [{"Key": key, "Value": value} for key, value in found.tags.items()]}


def own(connection: Connection, call: Call, arn: str, *, locked: bool = False) -> Topic:
    """A topic of the caller's account. Raises `SesError`."""
    found = topics.topic(connection, arn, locked=locked) if account_of(arn) == call.account_id else None
    if found is None:
        raise SesError("NotFound", "Topic does not exist", 404)
    return found


def invalid_parameter(what: str) -> SesError:
    return SesError("InvalidParameter", f"Invalid parameter: {what}")


def note(connection: Connection, call: Call, arn: str, event: str, now: int) -> None:
    audit.note(connection, call.account_id, call.actor, event, ("topic", 0, arn), now)


async def _changed(call: Call, arn: str, change: Callable[[Topic], Topic]) -> None:
    now = call.now()

    def write(connection: Connection) -> None:
        topics.keep_topic(connection, change(own(connection, call, arn, locked=True)), now)
        note(connection, call, arn, "topic.updated", now)

    await call.write(write)


def _check(name: str, value: str) -> None:
    if name not in _ATTRIBUTES:
        raise invalid_parameter(f"AttributeName: {name} is not served")
    if name == "SignatureVersion" and value not in HASHES:
        raise invalid_parameter("SignatureVersion: must be 1 or 2")


def _policy(call: Call, arn: str) -> str:
    """Whoever has a key of the account."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": ["SNS:Publish", "SNS:Subscribe"],
        "Resource": arn,
        "Condition": {"StringEquals": {"AWS:SourceOwner": call.aws_account}},
    }
    return msgspec.json.encode({"Version": "2008-10-17", "Statement": [statement]}).decode()
