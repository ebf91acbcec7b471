"""Who is told what of the journal: by event destinations of configuration sets, and by the topics that identities name.

Both may tell of one event. All is looked up as it is now: whoever changes a destination means what comes.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import msgspec
from sqlalchemy import Connection, Row, select

from mailferry.consumers.ses import destinations, mail, words
from mailferry.consumers.ses.destinations import Count
from mailferry.consumers.ses.mail import Sent
from mailferry.consumers.ses.words import SPELLED, Happened, Told
from mailferry.journal.events import Kind
from mailferry.resources import documents
from mailferry.resources.arns import arn, aws_account
from mailferry.resources.documents import Kind as Document
from mailferry.store.content import Content, ContentGone, Place
from mailferry.store.schema import domains, messages, queue, recipients

SUBJECT = "Amazon SES Email Event Notification"
#: Of what is told to an identity's topics: the key of its block, by the name in the identity's document.
_NOTIFIED = {"BOUNCE": "Bounce", "COMPLAINT": "Complaint", "DELIVERY": "Delivery"}
_MESSAGE = (
    *("id", "account_id", "domain_id", "sender", "client_ip", "publishing"),
    *("segment", "place", "size", "created_at"),
)


#: What EventBridge calls each type of event.
_DETAIL_TYPES = {
    "SEND": "Email Sent",
    "REJECT": "Email Rejected",
    "BOUNCE": "Email Bounced",
    "COMPLAINT": "Email Complaint Received",
    "DELIVERY": "Email Delivered",
    "OPEN": "Email Opened",
    "CLICK": "Email Clicked",
    "RENDERING_FAILURE": "Email Rendering Failed",
    "DELIVERY_DELAY": "Email Delivery Delayed",
    "SUBSCRIPTION": "Email Subscribed",
}


@dataclass(frozen=True, slots=True)
class Publication:
    """One message for one topic, event bus or delivery stream, by its ARN. ``number`` tells two of one event apart."""

    event: Row[Any]
    target: str
    subject: str
    text: str
    number: int


@dataclass(slots=True)
class Published:
    """What some events become, in their order."""

    publications: list[Publication] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Message:
    row: Any
    facts: Mapping[str, Any]
    #: Id, address, reason and the end of its queue's patience, in the message's order.
    recipients: Sequence[Any]

    @property
    def set_name(self) -> str:
        """Of its configuration set; empty: it has none."""
        found: str = self.facts.get("set", "")
        return found

    @property
    def identities(self) -> list[str]:
        """Those that may have sent it, the most specific first."""
        sender = self.row.sender.lower()
        labels = sender.rpartition("@")[2].split(".")
        return [self.row.sender, sender, *(".".join(labels[start:]) for start in range(len(labels)))]


class Publisher:
    """``hostname``: our own name, that reports come from."""

    def __init__(self, content: Content, hostname: str) -> None:
        self._content = content
        self._hostname = hostname

    def published(self, connection: Connection, happened: Sequence[Row[Any]]) -> Published:
        found = Published()
        known = _messages(connection, {row.recipient_id for row in happened})
        if not known:
            return found
        asked = _Asked(connection, known.values())
        heads: dict[str, bytes] = {}
        for row in happened:
            message = known.get(row.recipient_id)
            event = self._event(row, message) if message else None
            told = words.told(event) if event else None
            if message and event and told:
                self._tell(found, connection, row, message, event, told, asked, heads)
        return found

    def _tell(
        self,
        found: Published,
        connection: Connection,
        row: Row[Any],
        message: _Message,
        event: Happened,
        told: Told,
        asked: "_Asked",
        heads: dict[str, bytes],
    ) -> None:
        asking = asked.published(message, told.type)
        notified, with_header = asked.notified(message, told.type)
        if not asking and not notified:
            return
        if message.row.id not in heads:
            heads[message.row.id] = self._head(connection, message.row)
        sent = _sent(message, heads[message.row.id])
        spelled, key = SPELLED[told.type]
        if asking:
            block = {name: value for name, value in told.block.items() if name != "remoteMtaIp"}
            body = {"eventType": spelled, "mail": mail.published(sent, event.facts.get("local_ip", "")), key: block}
            found.publications += _published(row, sent, told.type, asking, body)
            found.counts += destinations.counts(row.account_id, message.set_name, asking, body)
        if notified:
            body = {"notificationType": spelled, key: told.block, "mail": mail.notified(sent, headers=with_header)}
            found.publications.append(Publication(row, notified, "", _json(body), 1))

    def _head(self, connection: Connection, row: Any) -> bytes:
        try:
            return self._content.head(connection, Place(row.segment, row.place, row.size, row.id), mail.MOST + 1024)
        except ContentGone:
            return b""

    def _event(self, row: Row[Any], message: _Message) -> Happened:
        own = next(each for each in message.recipients if each.id == row.recipient_id)
        return Happened(
            kind=Kind(row.kind),
            at=row.at,
            facts=msgspec.json.decode(row.facts),
            recipient_id=row.recipient_id,
            address=own.address,
            first=own is message.recipients[0],
            failed=own.reason.startswith(words.RENDERING_FAILURE),
            public_id=message.facts.get("id", ""),
            created_at=message.row.created_at,
            expires_at=own.expires_at or 0,
            publishing=message.facts,
            hostname=self._hostname,
        )


class _Asked:
    """What configuration sets and identities of these messages ask for."""

    def __init__(self, connection: Connection, found: Iterable[_Message]) -> None:
        sets: dict[int, set[str]] = defaultdict(set)
        identities: dict[int, set[str]] = defaultdict(set)
        for message in found:
            sets[message.row.account_id].add(message.set_name)
            identities[message.row.account_id].update(message.identities)
        self._sets = {
            account: documents.named(connection, account, Document.CONFIGURATION_SET, names)
            for account, names in sets.items()
        }
        self._identities = {
            account: documents.named(connection, account, Document.IDENTITY, names)
            for account, names in identities.items()
        }

    def published(self, message: _Message, type_: str) -> list[Mapping[str, Any]]:
        """The destinations of the message's configuration set that ask for it."""
        chosen = self._sets[message.row.account_id].get(message.set_name)
        return destinations.asking(chosen.body, type_) if chosen else []

    def notified(self, message: _Message, type_: str) -> tuple[str, bool]:
        """The topic of the most specific identity that has one for this, and whether it wants the header."""
        name = _NOTIFIED.get(type_, "")
        for identity in message.identities if name else ():
            found = self._identities[message.row.account_id].get(identity)
            if found and (topic := found.body.get("topics", {}).get(name)):
                return topic, bool(found.body.get("headers_in", {}).get(name))
        return "", False


def _published(
    row: Row[Any], sent: Sent, type_: str, asking: Sequence[Mapping[str, Any]], body: Mapping[str, Any]
) -> list[Publication]:
    topics, streams = destinations.topics(asking), destinations.streams(asking)
    text = _json(body) if topics or streams else ""
    found = [Publication(row, topic, SUBJECT, text, 0) for topic in topics]
    found += [Publication(row, stream, "", text, 0) for stream in streams]
    return found + [
        Publication(row, bus, "", _json(_bridged(row, bus, sent, type_, body)), 0) for bus in destinations.buses(asking)
    ]


def _bridged(row: Row[Any], bus: str, sent: Sent, type_: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """EventBridge's envelope: what a rule of it sees, and its targets get."""
    region, set_name = sent.publishing.get("region", ""), sent.publishing.get("set", "")
    return {
        "version": "0",
        # The same whenever it is told.
        "id": str(uuid5(NAMESPACE_URL, f"{bus}/{row.recipient_id}/{row.id}")),
        "detail-type": _DETAIL_TYPES[type_],
        "source": "aws.ses",
        "account": aws_account(row.account_id),
        "time": f"{words.iso(row.at)[:19]}Z",
        "region": region,
        "resources": [arn("ses", region, row.account_id, f"configuration-set/{set_name}")],
        "detail": body,
    }


def _messages(connection: Connection, recipient_ids: Iterable[str]) -> dict[str, _Message]:
    """By their recipients' ids; those alone that were sent in Amazon's dialect."""
    wanted = select(recipients.c.message_id).where(recipients.c.id.in_(list(recipient_ids)))
    chosen = (
        select(*(messages.c[name] for name in _MESSAGE), domains.c.name.label("domain_name"))
        .outerjoin(domains, domains.c.id == messages.c.domain_id)
        .where(messages.c.id.in_(wanted), messages.c.publishing != "")
    )
    rows: Sequence[Any] = connection.execute(chosen).all()
    if not rows:
        return {}
    columns = [recipients.c[name] for name in ("id", "message_id", "address", "reason")]
    to = (
        select(*columns, queue.c.expires_at)
        .outerjoin(queue, queue.c.recipient_id == recipients.c.id)
        .where(recipients.c.message_id.in_([row.id for row in rows]))
        .order_by(recipients.c.id)
    )
    all_of: dict[str, list[Any]] = defaultdict(list)
    for row in connection.execute(to).all():
        all_of[row.message_id].append(row)
    found = (_Message(row, msgspec.json.decode(row.publishing), all_of[row.id]) for row in rows)
    return {each.id: message for message in found for each in message.recipients}


def _sent(message: _Message, head: bytes) -> Sent:
    row = message.row
    return Sent(
        account_id=row.account_id,
        public_id=message.facts.get("id", ""),
        created_at=row.created_at,
        domain_name=row.domain_name or row.sender.rpartition("@")[2],
        sender=row.sender,
        client_ip=row.client_ip,
        recipients=[each.address for each in message.recipients],
        publishing=message.facts,
        head=head,
    )


def _json(body: Mapping[str, Any]) -> str:
    return msgspec.json.encode(body).decode()
