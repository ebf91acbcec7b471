"""Webhooks: who wants to be told what happens, where, and under which secret.

What is sent to them, and when, is in consumers/webhooks.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, case, delete, insert, select, update

from mailferry.journal import follow
from mailferry.journal.events import Kind
from mailferry.journal.follow import Position
from mailferry.net.http_call import Url, parse_url
from mailferry.resources import audit, notices
from mailferry.resources.audit import Actor
from mailferry.store.schema import webhooks
from mailferry.store.secrets import Sealer

#: Of one account: each event is kept and sent once for every webhook.
MOST = 50
JSON, JSON_LINES = "json", "jsonlines"
EMAIL_SENDING, AUDIT_LOG = "email_sending", audit.WEBHOOK
#: The type and format of those that are subscriptions: one signed envelope a request (consumers/webhooks/envelopes.py).
TOPIC = "topic"
#: The type of those that are told what configuration sets send to an event bus or a delivery stream, and the format of a
#: bus: one event a request. A stream's are JSON_LINES.
DESTINATION, EVENT = "event_destination", "event"
#: Kinds that a webhook can ask for.
KINDS = (
    Kind.DELIVERY,
    Kind.SOFT_BOUNCE,
    Kind.BOUNCE,
    Kind.SUSPENSION,
    Kind.UNSUBSCRIBE,
    Kind.OPEN,
    Kind.SPAM,
    Kind.CLICK,
    Kind.REJECT,
)

#: After so long without anything that was taken, whoever keeps the account is told.
TELL_MS = 3_600_000

#: Who reads the journal for all of them.
CURSOR = "webhooks"
_SECRET, _USERINFO = "webhooks.secret", "webhooks.userinfo"


class TooMany(ValueError):
    """The account has MOST of them."""


@dataclass(frozen=True, slots=True)
class Webhook:
    id: int
    account_id: int
    #: Without user and password.
    url: str
    active: bool
    payload_format: str
    stream: str
    #: 0 = all.
    domain_id: int
    kinds: tuple[Kind, ...]
    #: What lies before is not its own.
    start: Position
    #: Unix milliseconds, as all times here.
    created_at: int
    updated_at: int
    #: The ARN of the subscription that it is, or of the bus or stream that it is told of; or nothing.
    subscription: str
    #: Requests in a row that failed, and until when nothing is sent because of them.
    failures: int
    hold_until: int
    last_success_at: int
    last_error: str
    last_error_at: int
    userinfo_sealed: bytes | None
    secret_sealed: bytes

    @property
    def type(self) -> str:
        return _type(self.payload_format, self.kinds, self.subscription)

    def secret(self, sealer: Sealer) -> str:
        """32 hex digits, used as text."""
        return sealer.open(self.secret_sealed, _SECRET).decode()

    def userinfo(self, sealer: Sealer) -> str:
        """`user:password`, or nothing."""
        return sealer.open(self.userinfo_sealed, _USERINFO).decode() if self.userinfo_sealed else ""

    def target(self, sealer: Sealer) -> Url:
        found = parse_url(self.url)
        return Url(found.scheme, found.host, found.port, found.target, self.userinfo(sealer))


@dataclass(frozen=True, slots=True)
class Wish:
    """What a webhook is made of, or changed to. One of the audit log has that kind alone, no stream and no domain."""

    url: Url
    active: bool
    payload_format: str
    stream: str
    domain_id: int
    kinds: tuple[Kind, ...]


def of_account(connection: Connection, account_id: int, *, subscriptions: bool = False) -> list[Webhook]:
    """``subscriptions``: those of topics, buses and streams, and no others; without it, all but those."""
    found = select(webhooks).where(
        webhooks.c.account_id == account_id, (webhooks.c.subscription != "") == subscriptions
    )
    return [_webhook(row) for row in connection.execute(found.order_by(webhooks.c.id))]


def every(connection: Connection) -> list[Webhook]:
    return [_webhook(row) for row in connection.execute(select(webhooks).order_by(webhooks.c.id))]


def by_id(connection: Connection, webhook_id: int) -> Webhook | None:
    row = connection.execute(select(webhooks).where(webhooks.c.id == webhook_id)).one_or_none()
    return _webhook(row) if row else None


def create(
    connection: Connection, sealer: Sealer, account_id: int, wish: Wish, actor: Actor, now: int, subscription: str = ""
) -> tuple[Webhook, str]:
    """The new webhook and its secret, which is shown this once. Raises :class:`TooMany`."""
    if len(of_account(connection, account_id, subscriptions=bool(subscription))) >= MOST:
        raise TooMany
    secret = secrets.token_hex(16)
    start = follow.end(connection)
    # From this moment on the journal is kept for it, whether anybody reads already or not.
    follow.begin(connection, CURSOR, start, now)
    values = _values(sealer, wish) | {
        "account_id": account_id,
        "type": _type(wish.payload_format, wish.kinds, subscription),
        "subscription": subscription,
        "secret_sealed": sealer.seal(secret.encode(), _SECRET),
        "from_xact": start.xact,
        "from_id": start.id,
        "created_at": now,
        "updated_at": now,
    }
    row = connection.execute(insert(webhooks).values(values).returning(*webhooks.c)).one()
    made = _webhook(row)
    _note(connection, made, "webhook.created", actor, now)
    return made, secret


def change(
    connection: Connection, sealer: Sealer, webhook: Webhook, wish: Wish, actor: Actor, now: int
) -> Webhook | None:
    """None: it is gone. Whoever changes it wants it to be tried now, whatever failed before."""
    values = _values(sealer, wish) | {"updated_at": _later(webhook, now), "hold_until": 0}
    row = connection.execute(
        update(webhooks).where(webhooks.c.id == webhook.id).values(values).returning(*webhooks.c)
    ).one_or_none()
    if row is None:
        return None
    after = _webhook(row)
    changes: dict[str, tuple[Any, Any]] = {
        name: (getattr(webhook, name), getattr(after, name)) for name in ("url", "active", "payload_format", "kinds")
    }
    if webhook.userinfo(sealer) != after.userinfo(sealer):
        changes["password"] = ("***", "*** (another one)")
    _note(connection, after, "webhook.updated", actor, now, changes)
    return after


def reset_secret(
    connection: Connection, sealer: Sealer, webhook: Webhook, actor: Actor, now: int
) -> tuple[Webhook, str] | None:
    """The new secret holds from the next request on; it is shown this once."""
    secret = secrets.token_hex(16)
    values = {"secret_sealed": sealer.seal(secret.encode(), _SECRET), "updated_at": _later(webhook, now)}
    row = connection.execute(
        update(webhooks).where(webhooks.c.id == webhook.id).values(values).returning(*webhooks.c)
    ).one_or_none()
    if row is None:
        return None
    _note(connection, webhook, "webhook.secret_reset", actor, now)
    return _webhook(row), secret


def ask(connection: Connection, webhook_id: int, kinds: Iterable[Kind], now: int) -> None:
    """A subscription wants these kinds from now on, and no others."""
    start = follow.end(connection)
    values = {"kinds": _json(kinds), "from_xact": start.xact, "from_id": start.id, "updated_at": now, "hold_until": 0}
    connection.execute(update(webhooks).where(webhooks.c.id == webhook_id).values(values))


def touch(connection: Connection, webhook: Webhook, now: int) -> None:
    """Has the sender look again, at once."""
    values = {"updated_at": _later(webhook, now), "hold_until": 0}
    connection.execute(update(webhooks).where(webhooks.c.id == webhook.id).values(values))


def remove(connection: Connection, webhook: Webhook, actor: Actor, now: int) -> bool:
    """What waited for it and its log are forgotten by and by (consumers/webhooks/pending.py)."""
    gone = connection.execute(delete(webhooks).where(webhooks.c.id == webhook.id)).rowcount == 1
    if gone:
        _note(connection, webhook, "webhook.deleted", actor, now)
    return gone


def begin_anew(connection: Connection, end: Position) -> None:
    """Those whose start lies behind the end of the journal, in numbers of another database: all that is not read is theirs."""
    ahead = webhooks.c.from_xact > end.xact
    connection.execute(update(webhooks).where(ahead).values(from_xact=0, from_id=0))


def succeeded(connection: Connection, webhook_id: int, at: int) -> None:
    """A request was answered with 200."""
    values = {"failures": 0, "hold_until": 0, "failing_since": 0, "last_success_at": at}
    connection.execute(update(webhooks).where(webhooks.c.id == webhook_id).values(values))


def recovered(connection: Connection, webhook: Webhook, at: int) -> None:
    """Before :func:`succeeded`, where requests failed until now: who was told of that is told that it is over."""
    told = (webhooks.c.id == webhook.id, webhooks.c.failing_told)
    since = connection.execute(select(webhooks.c.failing_since).where(*told).with_for_update()).scalar()
    if since is not None:
        connection.execute(update(webhooks).where(*told).values(failing_told=False))
        tell(connection, webhook, notices.Kind.WEBHOOK_RECOVERED, at, since=since)


def failed(connection: Connection, webhook: Webhook, at: int, error: str, failures: int, hold_until: int) -> None:
    """``failures``: 0 where others of its requests are taken meanwhile. Who keeps the account is told once it lasts."""
    values = {"failures": failures, "hold_until": hold_until, "last_error": error, "last_error_at": at}
    mine = webhooks.c.id == webhook.id
    began = case((webhooks.c.failing_since == 0, at), else_=webhooks.c.failing_since) if failures else 0
    connection.execute(update(webhooks).where(mine).values(values | {"failing_since": began}))
    lasts = (mine, webhooks.c.failing_since > 0, webhooks.c.failing_since <= at - TELL_MS, ~webhooks.c.failing_told)
    if not failures:
        return
    told = update(webhooks).where(*lasts).values(failing_told=True).returning(webhooks.c.failing_since)
    if (since := connection.execute(told).scalar()) is not None:
        tell(connection, webhook, notices.Kind.WEBHOOK_FAILS, at, since=since, error=error)


def tell(connection: Connection, webhook: Webhook, kind: notices.Kind, at: int, **facts: Any) -> None:
    """By mail, whoever keeps the account."""
    about = {"webhook": webhook.id, "url": webhook.url} | facts
    notices.put(connection, webhook.account_id, kind, about, at, domain_id=webhook.domain_id)


def note(connection: Connection, webhook: Webhook, event: str, actor: Actor, now: int, told: str) -> None:
    """A deed that changes nothing about the webhook itself, such as a replay."""
    _note(connection, webhook, event, actor, now, {"range": ("", told)})


def _values(sealer: Sealer, wish: Wish) -> dict[str, Any]:
    return {
        "url": str(wish.url),
        "userinfo_sealed": sealer.seal(wish.url.userinfo.encode(), _USERINFO) if wish.url.userinfo else None,
        "active": wish.active,
        "payload_format": wish.payload_format,
        "stream": wish.stream,
        "domain_id": wish.domain_id,
        "kinds": _json(wish.kinds),
    }


def _json(kinds: Iterable[Kind]) -> str:
    return msgspec.json.encode(list(kinds)).decode()


def _later(webhook: Webhook, now: int) -> int:
    return max(now, webhook.updated_at + 1)


def _note(
    connection: Connection,
    webhook: Webhook,
    event: str,
    actor: Actor,
    now: int,
    changes: Mapping[str, tuple[Any, Any]] | None = None,
) -> None:
    audit.note(connection, webhook.account_id, actor, event, ("webhook", webhook.id, webhook.url), now, changes)


def _type(payload_format: str, kinds: Iterable[Kind], subscription: str) -> str:
    if subscription:
        return TOPIC if payload_format == TOPIC else DESTINATION
    return AUDIT_LOG if Kind.AUDIT in kinds else EMAIL_SENDING


def _kinds(text: str) -> Iterable[Kind]:
    return (Kind(each) for each in msgspec.json.decode(text))


def _webhook(row: Row[Any]) -> Webhook:
    return Webhook(
        id=row.id,
        account_id=row.account_id,
        url=row.url,
        active=bool(row.active),
        payload_format=row.payload_format,
        stream=row.stream,
        domain_id=row.domain_id,
        kinds=tuple(_kinds(row.kinds)),
        start=Position(row.from_xact, row.from_id),
        created_at=row.created_at,
        updated_at=row.updated_at,
        subscription=row.subscription,
        failures=row.failures,
        hold_until=row.hold_until,
        last_success_at=row.last_success_at,
        last_error=row.last_error,
        last_error_at=row.last_error_at,
        userinfo_sealed=row.userinfo_sealed,
        secret_sealed=row.secret_sealed,
    )
