"""Recipients with what happened to them, out of the journal and in Amazon's words."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, select

from mailferry.consumers.ses import words
from mailferry.consumers.ses.words import Happened, Told
from mailferry.journal.events import Kind
from mailferry.journal.ids import first_at
from mailferry.store.given import among, pack, rows
from mailferry.store.schema import events, messages, recipients

#: An id is drawn within the millisecond of its message, unless a clock was set back.
_DRIFT_MS = 86_400_000
_BOUNCES = {"PERMANENT": "PERMANENT_BOUNCE", "TRANSIENT": "TRANSIENT_BOUNCE"}


@dataclass(frozen=True, slots=True)
class Event:
    #: Unix milliseconds.
    at: int
    type: str
    details: Mapping[str, Any]

    @property
    def delivery(self) -> str:
        """As exports spell it; empty: it is none of delivery."""
        if self.type == "BOUNCE":
            return _BOUNCES[self.details["Bounce"]["BounceType"]]
        return self.type if self.type in ("SEND", "DELIVERY", "COMPLAINT") else ""


@dataclass(frozen=True, slots=True)
class Story:
    recipient_id: str
    public_id: str
    address: str
    sender: str
    subject: str
    #: Unix milliseconds.
    created_at: int
    tags: Mapping[str, Sequence[str]]
    #: The provider of its mailbox; empty before a host answered.
    isp: str
    events: Sequence[Event]

    @property
    def last_delivery(self) -> str:
        return next((each.delivery for each in reversed(self.events) if each.delivery), "")

    @property
    def last_engagement(self) -> str:
        return next((each.type for each in reversed(self.events) if each.type in ("OPEN", "CLICK")), "")


def of_message(
    connection: Connection, account_id: int, message_id: str, domain_ids: Collection[int] | None
) -> list[Story]:
    """Of each recipient. ``domain_ids``: those that may be seen; None = all."""
    asked = _published(account_id).where(messages.c.id == message_id)
    if domain_ids is not None:
        asked = asked.where(messages.c.domain_id.in_(sorted(domain_ids)))
    return _told(connection, connection.execute(asked.order_by(recipients.c.id)).all())


def page(
    connection: Connection, account_id: int, since: int, until: int, *, after: str = "", limit: int
) -> list[Story]:
    """Those whose messages were accepted from ``since`` and before ``until``, in the order of their ids."""
    begin = max(after, first_at(since - _DRIFT_MS))
    asked = _published(account_id).where(
        recipients.c.id > begin,
        recipients.c.id < first_at(until + _DRIFT_MS),
        messages.c.created_at >= since,
        messages.c.created_at < until,
    )
    return _told(connection, connection.execute(asked.order_by(recipients.c.id).limit(limit)).all())


def told(kind: str, facts: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """Type and details; None: Amazon has no word for it."""
    # Of the rest, which events are told with, nothing is told here.
    event = Happened(Kind(kind), 0, facts, "", "", True, False, "", 0, 0, {}, "")
    found = words.told(event)
    return (found.type, _details(found)) if found else None


def _details(found: Told) -> Mapping[str, Any]:
    block = found.block
    if found.type == "BOUNCE":
        bounce = {"BounceType": block["bounceType"].upper(), "BounceSubType": block["bounceSubType"]}
        return {"Bounce": {**bounce, "DiagnosticCode": block["bouncedRecipients"][0]["diagnosticCode"]}}
    if found.type == "COMPLAINT":
        given = {"ComplaintSubType": "complaintSubType", "ComplaintFeedbackType": "complaintFeedbackType"}
        complaint = {name: block[key] for name, key in given.items() if block.get(key)}
        return {"Complaint": complaint} if complaint else {}
    return {}


def _published(account_id: int) -> Select[Any]:
    """What was sent by this dialect; other messages have no id in it."""
    return (
        select(
            recipients.c.id,
            recipients.c.address,
            *(messages.c[name] for name in ("sender", "subject", "created_at", "publishing")),
        )
        .join(messages, messages.c.id == recipients.c.message_id)
        .where(recipients.c.account_id == account_id, messages.c.account_id == account_id, messages.c.publishing != "")
    )


def _told(connection: Connection, found: Sequence[Row[Any]]) -> list[Story]:
    given = select(rows(connection.dialect.name, [recipients.c.id]).c.id)
    asked = select(events.c.recipient_id, events.c.at, events.c.kind, events.c.facts).where(
        among(connection.dialect.name, events.c.recipient_id, given)
    )
    packed = pack([{"id": row.id} for row in found])
    happened: dict[str, list[tuple[int, str, Mapping[str, Any]]]] = {}
    for row in connection.execute(asked.order_by(events.c.id), {"rows": packed}):
        happened.setdefault(row.recipient_id, []).append((row.at, row.kind, msgspec.json.decode(row.facts)))
    return [_story(row, happened.get(row.id, ())) for row in found]


def _story(row: Row[Any], happened: Sequence[tuple[int, str, Mapping[str, Any]]]) -> Story:
    publishing = msgspec.json.decode(row.publishing)
    spoken = [(at, told(kind, facts)) for at, kind, facts in happened]
    return Story(
        row.id,
        publishing["id"],
        row.address,
        row.sender,
        row.subject,
        row.created_at,
        publishing.get("tags", {}),
        next((facts["provider"] for _, _, facts in reversed(happened) if facts.get("provider")), ""),
        [Event(at, *found) for at, found in spoken if found],
    )
