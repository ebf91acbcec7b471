"""From the journal to what waits for webhooks: read behind everybody's back, written together with the cursor.

Accepting and settling know nothing of webhooks. What a webhook is told is put into words here, once, so that a repeated
request has the same octets, and what was forgotten meanwhile is still told.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from mailferry import metrics
from mailferry.consumers.mailtrap_words import Told, payload
from mailferry.consumers.ses import destinations
from mailferry.consumers.ses.destinations import Count
from mailferry.consumers.ses.publishing import Publication, Published, Publisher
from mailferry.consumers.webhooks import envelopes, pending, signing
from mailferry.consumers.webhooks.topics import KINDS
from mailferry.journal import follow
from mailferry.journal.events import Kind
from mailferry.journal.follow import Cursor, Position
from mailferry.resources import topics, webhooks
from mailferry.resources.topics import Subscription
from mailferry.resources.webhooks import CURSOR, DESTINATION, TOPIC, Webhook
from mailferry.store.database import Database
from mailferry.store.schema import domains, messages, recipients

#: What the name of a Prometheus label cannot hold.
_ODD = re.compile(r"[^A-Za-z0-9_]")


@dataclass(frozen=True, slots=True)
class Gathered:
    """How many were queued, for which webhooks, and whether there may be more."""

    webhook_ids: frozenset[int]
    more: bool


class Gatherer:
    def __init__(self, database: Database, publisher: Publisher, clock: Callable[[], int]) -> None:
        self._database = database
        self._publisher = publisher
        self._clock = clock

    async def gather(self, held: Cursor) -> tuple[Cursor, Gathered] | None:
        """The next piece of the journal. None: somebody else reads now."""
        worded, until = await self._database.read(
            lambda connection: _read(connection, self._publisher, held.position, self._clock())
        )
        if until == held.position:
            return held, Gathered(frozenset(), False)

        def write(connection: Connection) -> bool:
            if not follow.move(connection, held, until, self._clock()):
                return False
            pending.put(connection, worded.deliveries)
            return True

        if not await self._database.write(write):
            return None
        for each in worded.counts:
            _count(each)
        moved = Cursor(held.name, until, held.lease, held.lease_until, self._clock())
        return moved, Gathered(frozenset(each["webhook_id"] for each in worded.deliveries), True)


@dataclass(frozen=True, slots=True)
class Worded:
    """What is to be sent, and what counts as a metric."""

    deliveries: list[dict[str, Any]]
    counts: Sequence[Count] = ()


def begin(connection: Connection, now: int) -> None:
    """Where somebody wants to be told and nobody reads yet: from the earliest moment that one of them wants."""
    wanted = [each.start for each in webhooks.every(connection)]
    if destinations.watched_accounts(connection):
        wanted.append(follow.end(connection))
    if wanted:
        follow.begin(connection, CURSOR, min(wanted), now)


def settle_here(connection: Connection) -> None:
    """After the database was moved to another PostgreSQL (journal/follow.py): webhooks want what they had not been told."""
    webhooks.begin_anew(connection, follow.end(connection))
    follow.settle_here(connection)


def end(connection: Connection) -> None:
    """Where nobody wants to be told of anything, and nothing is counted, the journal need not be kept."""
    if not webhooks.every(connection) and not destinations.watched_accounts(connection):
        follow.drop(connection, CURSOR)


def _read(connection: Connection, publisher: Publisher, after: Position, now: int) -> tuple[Worded, Position]:
    wanted, watched = webhooks.every(connection), destinations.watched_accounts(connection)
    kinds = {kind for each in wanted for kind in each.kinds} | (set(KINDS) if watched else set())
    window = follow.read(connection, after, kinds, {each.account_id for each in wanted} | watched, _room(wanted))
    return worded(connection, publisher, wanted, window.rows, now, watched=watched), window.until


def worded(
    connection: Connection,
    publisher: Publisher,
    wanted: Sequence[Webhook],
    happened: Sequence[Row[Any]],
    now: int,
    *,
    replayed: bool = False,
    watched: frozenset[int] = frozenset(),
) -> Worded:
    """What each webhook is to be told of these events, in their order; and what is counted, of the ``watched`` accounts."""
    subscribed = [each for each in wanted if each.subscription and each.kinds]
    plain = [each for each in wanted if not each.subscription]
    found = _worded(connection, plain, happened, now, replayed) if plain else []
    accounts = watched | {each.account_id for each in subscribed}
    theirs = [row for row in happened if row.account_id in accounts]
    published = publisher.published(connection, theirs) if theirs else Published()
    found += _notified(connection, published.publications, subscribed, now, replayed)
    return Worded(found, published.counts)


def _worded(
    connection: Connection, wanted: Sequence[Webhook], happened: Sequence[Row[Any]], now: int, replayed: bool
) -> list[dict[str, Any]]:
    stories = _stories(connection, {row.recipient_id for row in happened})
    found: list[dict[str, Any]] = []
    for row in happened:
        story = stories.get(row.recipient_id)
        if story is None:
            continue  # forgotten: nobody had followed for so long that it was not kept for us (follow.DEAD_MS)
        text = ""
        for webhook in wanted:
            if _wants(webhook, row, story) and (replayed or _position(row) > webhook.start):
                text = text or _text(row, story)
                found.append(_delivery(webhook, row, text, now, replayed))
    return found


def _notified(
    connection: Connection,
    published: Sequence[Publication],
    wanted: Sequence[Webhook],
    now: int,
    replayed: bool,
) -> list[dict[str, Any]]:
    """What subscriptions, and the webhooks of buses and streams, are to be told of this, in its order."""
    if not published:
        return []
    listening = _listening(connection, wanted)
    found: list[dict[str, Any]] = []
    for each in published:
        row = each.event
        message_id = signing.event_id(f"{each.target}/{each.number}/{row.recipient_id}", row.id)
        for webhook, subscription, version in listening.get((row.account_id, each.target), ()):
            if row.kind in webhook.kinds and (replayed or _position(row) > webhook.start):
                text = each.text
                if subscription is not None:
                    text = envelopes.notification(subscription, version, message_id, each.text, each.subject, now)
                found.append(_delivery(webhook, row, text, now, replayed))
    return found


def _listening(
    connection: Connection, wanted: Sequence[Webhook]
) -> dict[tuple[int, str], list[tuple[Webhook, Subscription | None, str]]]:
    """By account and ARN of the topic, bus or stream; a subscription with the version of its topic's signatures."""
    found: dict[tuple[int, str], list[tuple[Webhook, Subscription | None, str]]] = defaultdict(list)
    for account_id in {each.account_id for each in wanted}:
        theirs = {each.subscription: each for each in wanted if each.account_id == account_id and each.type == TOPIC}
        subscriptions = topics.named(connection, account_id, theirs)
        versions = topics.signature_versions(connection, account_id, {each.topic for each in subscriptions.values()})
        for arn, subscription in subscriptions.items():
            version = versions.get(subscription.topic, "1")
            found[account_id, subscription.topic].append((theirs[arn], subscription, version))
    for each in wanted:
        if each.type == DESTINATION:
            found[each.account_id, each.subscription].append((each, None, ""))
    return found


def _count(count: Count) -> None:
    """Behind the commit: what is read again after a crash was not counted before."""
    names = {"configuration_set": count.set_name, "destination": count.destination}
    dimensions = {f"dimension_{_ODD.sub('_', name)}": value for name, value in count.dimensions.items()}
    metrics.SES_EVENTS.count(str(count.account_id), count.metric, names | dimensions)


def _delivery(webhook: Webhook, row: Row[Any], payload: str, now: int, replayed: bool) -> dict[str, Any]:
    return {
        "webhook_id": webhook.id,
        "event_id": row.id,
        "message_id": row.recipient_id,
        "kind": row.kind,
        "at": row.at,
        "payload": payload,
        "replayed": replayed,
        "created_at": now,
    }


def _room(wanted: Sequence[Webhook]) -> int:
    """Events of one piece: what they become for all webhooks of an account is one transaction."""
    of_account = Counter(each.account_id for each in wanted)
    return follow.WINDOW // max(of_account.values(), default=1)


def _wants(webhook: Webhook, event: Row[Any], story: Any) -> bool:
    return (
        webhook.account_id == event.account_id
        and event.kind in webhook.kinds
        and webhook.stream == story.stream
        and webhook.domain_id in (0, story.domain_id)
    )


def _position(row: Row[Any]) -> Position:
    return Position(row.xact or 0, row.id)


def _stories(connection: Connection, recipient_ids: Iterable[str]) -> Mapping[str, Any]:
    ids = list(recipient_ids)
    chosen = (
        select(
            recipients.c.id,
            recipients.c.address,
            messages.c.stream,
            messages.c.domain_id,
            messages.c.category,
            messages.c.custom_variables,
            domains.c.name.label("domain_name"),
        )
        .join(messages, messages.c.id == recipients.c.message_id)
        .outerjoin(domains, domains.c.id == messages.c.domain_id)
        .where(recipients.c.id.in_(ids))
    )
    return {row.id: row for row in connection.execute(chosen)} if ids else {}


def _text(event: Row[Any], story: Any) -> str:
    told = Told(
        kind=Kind(event.kind),
        at=event.at,
        facts=msgspec.json.decode(event.facts),
        event_id=signing.event_id(event.recipient_id, event.id),
        message_id=event.recipient_id,
        email=story.address,
        stream=story.stream,
        domain_name=story.domain_name or "",
        category=story.category,
        custom_variables=msgspec.json.decode(story.custom_variables),
    )
    return msgspec.json.encode(payload(told)).decode()
