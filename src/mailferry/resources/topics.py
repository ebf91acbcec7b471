"""Topics and their subscriptions: documents under their ARNs. A subscription's messages go out by a webhook of its own.

What is sent to them, and how, is in consumers/webhooks.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from mailferry.resources import documents
from mailferry.resources.arns import account_of
from mailferry.resources.documents import Document, Kind

#: Documents looked at in one statement.
PAGE = 1000
#: Tokens that one subscription has, the newest of those that it was asked with.
MOST_TOKENS = 10


class State(StrEnum):
    """Where a subscription stands."""

    #: Its receiver has not answered yet that it wants it.
    PENDING = "pending"
    CONFIRMED = "confirmed"
    #: Ended by whoever held its link; the last message that it got offers to take that back.
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Topic:
    arn: str
    account_id: int
    #: As clients set them.
    attributes: Mapping[str, str]
    tags: Mapping[str, str]
    created_at: int

    @property
    def signature_version(self) -> str:
        return self.attributes.get("SignatureVersion", "1")


@dataclass(frozen=True, slots=True)
class Subscription:
    arn: str
    account_id: int
    webhook_id: int
    state: State
    #: http or https, and where to; a password is not in it.
    protocol: str
    endpoint: str
    attributes: Mapping[str, str]
    #: What links to us begin with.
    base: str
    #: Only who has a key may end it.
    authenticated: bool
    #: Unix milliseconds: when its receiver was asked last.
    asked_at: int
    #: Hashes of what it was asked with, and when: whoever has one of these tokens speaks for the receiver.
    tokens: Mapping[str, int] = field(default_factory=dict)

    @property
    def topic(self) -> str:
        return topic_of(self.arn)

    @property
    def raw(self) -> bool:
        """Its receiver gets the bare message."""
        return self.attributes.get("RawMessageDelivery", "false") == "true"


def topic_of(subscription: str) -> str:
    """A subscription's ARN is that of its topic and an id."""
    return subscription.rpartition(":")[0]


# --- topics --------------------------------------------------------------------------------------------------------


def topic(connection: Connection, arn: str, *, locked: bool = False) -> Topic | None:
    account_id = account_of(arn)
    found = documents.get(connection, account_id, Kind.TOPIC, arn, locked=locked) if account_id else None
    return _topic(found) if found else None


def topics(connection: Connection, account_id: int, after: str = "", most: int = 100) -> list[Topic]:
    """By their ARNs."""
    return [_topic(each) for each in documents.page(connection, account_id, Kind.TOPIC, after=after, most=most)]


def signature_versions(connection: Connection, account_id: int, arns: Collection[str]) -> dict[str, str]:
    """Of those topics that there are."""
    found = documents.named(connection, account_id, Kind.TOPIC, arns)
    return {arn: _topic(each).signature_version for arn, each in found.items()}


def keep_topic(connection: Connection, topic: Topic, now: int) -> None:
    body = {"attributes": topic.attributes, "tags": topic.tags}
    documents.put(connection, topic.account_id, Kind.TOPIC, topic.arn, body, now)


def remove_topic(connection: Connection, topic: Topic) -> bool:
    return documents.remove(connection, topic.account_id, Kind.TOPIC, topic.arn)


# --- subscriptions -------------------------------------------------------------------------------------------------


def subscription(connection: Connection, arn: str, *, locked: bool = False) -> Subscription | None:
    account_id = account_of(arn)
    found = documents.get(connection, account_id, Kind.SUBSCRIPTION, arn, locked=locked) if account_id else None
    return _subscription(found) if found else None


def of_token(connection: Connection, topic: str, token: str) -> tuple[Subscription, int] | None:
    """The topic's subscription that was asked with this token, and when."""
    account_id, key = account_of(topic), _key(token)
    found = [] if account_id is None else documents.page(connection, account_id, Kind.SUBSCRIPTION, prefix=f"{topic}:")
    asked = ((each, each.tokens[key]) for each in map(_subscription, found) if key in each.tokens)
    return next(asked, None)


def subscriptions(
    connection: Connection, account_id: int, *, topic: str = "", after: str = "", most: int = 100
) -> list[Subscription]:
    """By their ARNs, those that ended left out."""
    found: list[Subscription] = []
    while len(found) < most:
        page = documents.page(
            connection, account_id, Kind.SUBSCRIPTION, after=after, most=most, prefix=f"{topic}:" if topic else ""
        )
        found += (each for each in map(_subscription, page) if each.state is not State.ENDED)
        if len(page) < most:
            break
        after = page[-1].name
    return found[:most]


def every_subscription(connection: Connection, account_id: int) -> Iterator[Subscription]:
    """Those that ended too."""
    page = documents.page(connection, account_id, Kind.SUBSCRIPTION, most=PAGE)
    while page:
        yield from map(_subscription, page)
        page = documents.page(connection, account_id, Kind.SUBSCRIPTION, after=page[-1].name, most=PAGE)


def named(connection: Connection, account_id: int, arns: Collection[str]) -> dict[str, Subscription]:
    found = documents.named(connection, account_id, Kind.SUBSCRIPTION, arns)
    return {arn: _subscription(each) for arn, each in found.items()}


def ask(connection: Connection, subscription: Subscription, token: str, now: int) -> Subscription:
    """Its receiver is asked, with this token beside those that it has."""
    newest = sorted([*subscription.tokens.items(), (_key(token), now)], key=lambda each: each[1])[-MOST_TOKENS:]
    asked = replace(subscription, asked_at=now, tokens=dict(newest))
    documents.put(connection, asked.account_id, Kind.SUBSCRIPTION, asked.arn, _body(asked), now)
    return asked


def keep_subscription(connection: Connection, subscription: Subscription, now: int) -> None:
    account_id, arn = subscription.account_id, subscription.arn
    documents.replace(connection, account_id, Kind.SUBSCRIPTION, arn, _body(subscription), now)


def remove_subscription(connection: Connection, subscription: Subscription) -> bool:
    return documents.remove(connection, subscription.account_id, Kind.SUBSCRIPTION, subscription.arn)


def _key(token: str) -> str:
    # The database need not hold what is as good as the receiver's word.
    return hashlib.sha256(token.encode()).hexdigest()


def _topic(found: Document) -> Topic:
    return Topic(found.name, found.account_id, found.body["attributes"], found.body["tags"], found.created_at)


def _body(subscription: Subscription) -> dict[str, Any]:
    names = ("webhook_id", "state", "protocol", "endpoint", "attributes", "base", "authenticated", "asked_at", "tokens")
    return {name: getattr(subscription, name) for name in names}


def _subscription(found: Document) -> Subscription:
    body = dict(found.body)
    return Subscription(found.name, found.account_id, state=State(body.pop("state")), **body)
