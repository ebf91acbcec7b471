"""What happens to topics and subscriptions that sends something: subscribed, confirmed, ended, published."""

import secrets
import uuid
from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy import Connection

from mailferry.consumers.webhooks import envelopes, pending
from mailferry.journal.events import Kind
from mailferry.net.http_call import Url
from mailferry.resources import topics, webhooks
from mailferry.resources.audit import Actor
from mailferry.resources.topics import State, Subscription, Topic
from mailferry.resources.webhooks import TOPIC, Wish
from mailferry.store.secrets import Sealer

#: Kinds of event that a topic may be told of.
KINDS: tuple[Kind, ...] = (
    Kind.ACCEPTED,
    Kind.DELIVERY,
    Kind.SOFT_BOUNCE,
    Kind.BOUNCE,
    Kind.REJECT,
    Kind.OPEN,
    Kind.CLICK,
    Kind.SPAM,
    Kind.UNSUBSCRIBE,
)
#: Whoever has not confirmed by then is asked anew or not at all.
TOKEN_MS = 3 * 86_400_000


def subscribe(
    connection: Connection, sealer: Sealer, topic: Topic, url: Url, wanted: Subscription, actor: Actor, now: int
) -> Subscription:
    """Asks the receiver. One that has confirmed already is left as it is. Raises `webhooks.TooMany`.

    ``wanted`` says what it is to be; its ARN and webhook are made here.
    """
    _clear(connection, topic.account_id, actor, now)
    known = {each.arn: each for each in topics.subscriptions(connection, topic.account_id, topic=topic.arn, most=1000)}
    for each in webhooks.of_account(connection, topic.account_id, subscriptions=True):
        found = known.get(each.subscription)
        if found and each.url == str(url) and each.userinfo(sealer) == url.userinfo:
            if found.state is State.PENDING:
                _ask(connection, replace(found, base=wanted.base), topic, envelopes.CONFIRM, now)
            return found
    arn = f"{topic.arn}:{uuid.uuid4()}"
    wish = Wish(url, True, TOPIC, "", 0, ())
    made, _ = webhooks.create(connection, sealer, topic.account_id, wish, actor, now, subscription=arn)
    subscription = replace(wanted, arn=arn, webhook_id=made.id, state=State.PENDING)
    _ask(connection, subscription, topic, envelopes.CONFIRM, now)
    return subscription


def confirm(connection: Connection, topic: str, token: str, authenticated: bool, now: int) -> Subscription | None:
    """None: no such token of this topic, or it is too old. To confirm twice is no mistake."""
    known = topics.of_token(connection, topic, token)
    if known is None:
        return None
    asked, asked_at = known
    found = topics.subscription(connection, asked.arn, locked=True)
    if found is None or found.state is State.CONFIRMED:
        return found
    if asked_at + TOKEN_MS < now or topics.topic(connection, topic) is None:
        return None
    confirmed = replace(found, state=State.CONFIRMED, authenticated=authenticated or found.authenticated)
    topics.keep_subscription(connection, confirmed, now)
    webhooks.ask(connection, confirmed.webhook_id, KINDS, now)
    return confirmed


def end(connection: Connection, subscription: Subscription, now: int) -> None:
    """By whoever holds its link: nothing more is sent but how to take that back."""
    topic = topics.topic(connection, subscription.topic)
    webhooks.ask(connection, subscription.webhook_id, (), now)
    while pending.skip(connection, subscription.webhook_id, now) == pending.SOME:
        pass
    if topic is not None:
        # What it was asked with before does not bring it back.
        _ask(connection, replace(subscription, state=State.ENDED, tokens={}), topic, envelopes.CONFIRM_ENDED, now)


def remove(connection: Connection, subscription: Subscription, actor: Actor, now: int) -> None:
    topics.remove_subscription(connection, subscription)
    webhook = webhooks.by_id(connection, subscription.webhook_id)
    if webhook is not None:
        webhooks.remove(connection, webhook, actor, now)


def remove_topic(connection: Connection, topic: Topic, actor: Actor, now: int) -> None:
    """With its subscriptions, as at Amazon."""
    topics.remove_topic(connection, topic)
    for each in list(topics.every_subscription(connection, topic.account_id)):
        if each.topic == topic.arn:
            remove(connection, each, actor, now)


def publish(connection: Connection, topic: Topic, text: str, subject: str, now: int) -> str:
    """To all who have confirmed; returns the message's id."""
    message_id = str(uuid.uuid4())
    found = topics.subscriptions(connection, topic.account_id, topic=topic.arn, most=webhooks.MOST)
    confirmed = [each for each in found if each.state is State.CONFIRMED]
    version = topic.signature_version
    payloads = [envelopes.notification(each, version, message_id, text, subject, now) for each in confirmed]
    _queue(connection, message_id, zip(confirmed, payloads, strict=True), now)
    return message_id


def _ask(connection: Connection, subscription: Subscription, topic: Topic, kind: str, now: int) -> None:
    token, message_id = secrets.token_hex(64), str(uuid.uuid4())
    asked = topics.ask(connection, subscription, token, now)
    payload = envelopes.confirmation(asked, kind, topic.signature_version, message_id, token, now)
    _queue(connection, message_id, [(asked, payload)], now)


def _queue(connection: Connection, message_id: str, letters: Iterable[tuple[Subscription, str]], now: int) -> None:
    common = {"event_id": 0, "message_id": message_id, "kind": "", "at": now, "replayed": False, "created_at": now}
    for subscription, payload in letters:
        pending.put(connection, [{**common, "webhook_id": subscription.webhook_id, "payload": payload}])
        webhook = webhooks.by_id(connection, subscription.webhook_id)
        if webhook is not None:
            webhooks.touch(connection, webhook, now)


def _clear(connection: Connection, account_id: int, actor: Actor, now: int) -> None:
    """Those that nobody has confirmed in time have no place to take up."""
    for each in list(topics.every_subscription(connection, account_id)):
        if each.state is not State.CONFIRMED and each.asked_at + TOKEN_MS < now:
            remove(connection, each, actor, now)
