"""What the command line reads: messages and their stories, and the queue with its reasons. Times are ISO 8601, UTC."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Table, func, or_, select

from mailferry.journal.events import WAITING
from mailferry.store.schema import attempts, events, lanes, messages, queue, recipients


def messages_list(
    connection: Connection, account_id: int, *, limit: int = 50, state: str = "", to: str = "", sender: str = ""
) -> list[dict[str, Any]]:
    """Newest first, one entry a recipient. Here and below account 0 is all of them."""
    where = _of(account_id, recipients)
    if state:
        where.append(recipients.c.state == state)
    if to:
        where.append(recipients.c.address.icontains(to, autoescape=True))
    if sender:
        where.append(messages.c.sender.icontains(sender, autoescape=True))
    found = connection.execute(_entries().where(*where).order_by(recipients.c.id.desc()).limit(limit))
    return [_entry(row) for row in found]


def messages_show(connection: Connection, account_id: int, wanted: str, now: int) -> dict[str, Any] | None:
    """The whole story: by a message's id, or by one of its recipients' (the id that a client was given)."""
    row = connection.execute(
        select(messages)
        .where(*_of(account_id, messages))
        .where(
            or_(
                messages.c.id == wanted,
                messages.c.id.in_(select(recipients.c.message_id).where(recipients.c.id == wanted)),
            )
        )
    ).one_or_none()
    if row is None:
        return None
    found = connection.execute(_entries().where(recipients.c.message_id == row.id).order_by(recipients.c.id)).all()
    return {
        "message_id": row.id,
        "account_id": row.account_id,
        "rfc_message_id": row.rfc_message_id,
        "from": row.sender,
        "subject": row.subject,
        "stream": row.stream,
        "endpoint": row.endpoint,
        "category": row.category,
        "custom_variables": msgspec.json.decode(row.custom_variables),
        "template_id": row.template_id or None,
        "template_variables": msgspec.json.decode(row.template_variables) if row.template_variables else None,
        "size": row.size,
        "client_ip": row.client_ip,
        "accepted_at": iso(row.created_at),
        "recipients": [
            _entry(each) | {"waits": _waits(each, now) if each.state in WAITING else None} | _story(connection, each.id)
            for each in found
        ],
    }


def queue_list(connection: Connection, account_id: int, now: int, limit: int) -> dict[str, Any]:
    """What waits, why, since when and until when: totals, then the rows that have waited longest."""
    counts = connection.execute(
        select(recipients.c.state, recipients.c.reason, func.count())
        .join(queue, queue.c.recipient_id == recipients.c.id)
        .where(*_of(account_id, recipients))
        .group_by(recipients.c.state, recipients.c.reason)
    ).all()
    found = connection.execute(
        _entries()
        .where(*_of(account_id, recipients), recipients.c.state.in_(WAITING))
        .order_by(recipients.c.id)
        .limit(limit)
    )
    return {
        "waiting": [{"state": state, "reason": reason, "recipients": number} for state, reason, number in counts],
        "oldest": [_entry(row) | _waits(row, now) for row in found],
    }


def iso(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _of(account_id: int, table: Table) -> list[ColumnElement[bool]]:
    return [table.c.account_id == account_id] if account_id else []


def _entries() -> Any:
    return (
        select(
            recipients,
            messages.c.sender,
            messages.c.subject,
            messages.c.stream,
            messages.c.created_at,
            queue.c.due,
            queue.c.owner,
            queue.c.expires_at,
            lanes.c.destination,
            lanes.c.hold_reason.label("lane_reason"),
            lanes.c.next_due.label("lane_due"),
        )
        .join(messages, messages.c.id == recipients.c.message_id)
        .outerjoin(queue, queue.c.recipient_id == recipients.c.id)
        .outerjoin(lanes, lanes.c.id == queue.c.lane_id)
    )


def _entry(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "message_id": row.message_id,
        "account_id": row.account_id,
        "from": row.sender,
        "to": row.address,
        "kind": row.kind,
        "subject": row.subject,
        "stream": row.stream,
        "state": row.state,
        "reason": row.reason,
        "attempts": row.attempts,
        "last_code": row.code,
        "last_response": row.response,
        "accepted_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }


def _waits(row: Row[Any], now: int) -> dict[str, Any]:
    due = max(row.due, row.lane_due or 0) if row.lane_reason and row.due is not None else row.due
    return {
        "why": _why(row, now),
        "since": iso(row.created_at),
        "next_attempt": None if row.owner else iso(due),
        # Held mail waits for a decision, and has no end by age.
        "until": None if row.due is None else iso(row.expires_at),
    }


def _why(row: Row[Any], now: int) -> str:
    if row.due is None:
        return f"held: {row.reason}"
    if row.owner and row.due > now:
        return "being tried now"
    if row.lane_reason:
        return f"{row.destination} waits: {row.lane_reason}"
    if row.attempts:
        heard = f"{row.code} {row.response}" if row.code else row.response
        times = "once" if row.attempts == 1 else f"{row.attempts} times"
        return f"tried {times}, last heard: {heard}"
    return "waits for its first attempt"


def _story(connection: Connection, recipient_id: str) -> dict[str, Any]:
    tried = connection.execute(select(attempts).where(attempts.c.recipient_id == recipient_id).order_by(attempts.c.id))
    happened = connection.execute(select(events).where(events.c.recipient_id == recipient_id).order_by(events.c.id))
    return {
        "attempts_made": [
            {name: value for name, value in row._mapping.items() if name not in ("id", "recipient_id")}
            | {"at": iso(row.at)}
            for row in tried
        ],
        "events": [{"kind": row.kind, "at": iso(row.at), **msgspec.json.decode(row.facts)} for row in happened],
    }
