"""What people do with a webhook beside changing it, over any way in: test it, replay, unpark, skip."""

import uuid
from collections.abc import Callable
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import msgspec
from sqlalchemy import Connection

from mailferry.consumers.mailtrap_words import Told, ToldAlert, ToldAudit, alert_payload, audit_payload, payload
from mailferry.consumers.webhooks import pending, replays
from mailferry.consumers.webhooks.pending import Attempt
from mailferry.consumers.webhooks.post import Poster, attempt
from mailferry.consumers.webhooks.replays import Replay
from mailferry.journal.events import Kind
from mailferry.resources import webhooks
from mailferry.resources.audit import Actor
from mailferry.resources.webhooks import Webhook

T = TypeVar("T")


class Store(Protocol):
    """See store/database.py."""

    async def write(self, query: Callable[[Connection], T]) -> T: ...


#: Facts that a test event has, whatever its kind.
_INVENTED: dict[str, Any] = {
    "response": "5.1.1 This is a test",
    "code": 550,
    "category": "badrecipient",
    "reason": "This is a test",
    "ip": "192.0.2.1",
    "user_agent": "Mailferry test",
    "url": "https://example.com/",
}


async def test(database: Store, poster: Poster, webhook: Webhook, now: int) -> Attempt:
    """One invented event of each kind that it asks for, also while it is paused; the log keeps what came of it."""
    payloads = [_invented(webhook, kind, now) for kind in webhook.kinds]
    reply = await poster.post(webhook, str(uuid.uuid4()), payloads)
    made = attempt(webhook, len(payloads), reply, now, "test")
    await database.write(lambda connection: pending.note(connection, made))
    return made


def replay(connection: Connection, webhook: Webhook, from_at: int, until_at: int, actor: Actor, now: int) -> Replay:
    made = replays.start(connection, webhook, from_at, until_at, now)
    webhooks.note(connection, webhook, "webhook.replayed", actor, now, f"{from_at} to {until_at}")
    return made


def unpark(connection: Connection, webhook: Webhook, actor: Actor, now: int) -> int:
    """What is parked waits again in its place, and is sent at once; returns how many."""
    count = pending.unpark(connection, webhook.id, now)
    webhooks.touch(connection, webhook, now)
    webhooks.note(connection, webhook, "webhook.replayed", actor, now, f"{count} parked events")
    return count


def skip(connection: Connection, webhook: Webhook, actor: Actor, now: int) -> int:
    """What waits is not sent; returns how many, at most pending.SOME. Call again until it is none."""
    count = pending.skip(connection, webhook.id, now)
    if count:
        webhooks.note(connection, webhook, "webhook.skipped", actor, now, f"{count} waiting events")
    return count


def url_with(url: str, userinfo: str) -> str:
    """A webhook's URL with user and password where it has them."""
    if not userinfo:
        return url
    scheme, rest = url.split("://", 1)
    return f"{scheme}://{':'.join(quote(part, safe='*') for part in userinfo.split(':', 1))}@{rest}"


def _invented(webhook: Webhook, kind: Kind, now: int) -> str:
    if kind is Kind.ALERT:
        counts = {"sent_count": 1000, "bounce_count": 60, "delivery_count": 940, "spam_count": 0}
        alert = ToldAlert(now, str(uuid.uuid4()), 1, "example.com", "bounce_rate", 0.06, "red", "yellow", counts)
        return msgspec.json.encode(alert_payload(alert)).decode()
    if kind is Kind.AUDIT:
        about = ("api_token", 1, "Test"), ("sending_domain", "1", "example.com")
        audit = ToldAudit(now, str(uuid.uuid4()), "domain.updated", *about, {"name": {"from": "a", "to": "b"}})
        return msgspec.json.encode(audit_payload(audit)).decode()
    told = Told(
        kind=kind,
        at=now,
        facts=_INVENTED,
        event_id=str(uuid.uuid4()),
        message_id=str(uuid.uuid4()),
        email="test@example.com",
        stream=webhook.stream,
        domain_name="example.com",
        category="Test",
        custom_variables={"test": "true"},
    )
    return msgspec.json.encode(payload(told)).decode()
