"""From the audit log to what waits for the webhooks of that type.

A row says itself that somebody wants it (resources/audit.py), so there is no place in the log to be remembered: what a slow
transaction commits late is found like everything else.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row

from mailferry.consumers.mailtrap_words import ToldAudit, audit_payload
from mailferry.consumers.webhooks import pending, signing
from mailferry.journal import follow
from mailferry.journal.events import Kind
from mailferry.journal.follow import Cursor
from mailferry.resources import audit, webhooks
from mailferry.resources.webhooks import AUDIT_LOG, Webhook
from mailferry.store.database import Database

#: Rows of one piece; an account may have fifty webhooks that want each.
SOME = 200


async def gather(database: Database, held: Cursor, standing: Sequence[Webhook], now: int) -> frozenset[int]:
    """For which webhooks something was queued. ``standing``, of a moment ago, says whether it is worth a look."""
    if not any(each.type == AUDIT_LOG for each in standing):
        return frozenset()
    found, asking = await database.read(_read)
    if not found:
        return frozenset()
    deliveries = [
        _delivery(webhook, row, now)
        for row in found
        for webhook in asking
        if webhook.account_id == row.account_id and webhook.created_at <= row.at
    ]

    def write(connection: Connection) -> bool:
        if not follow.is_held(connection, held):
            return False
        pending.put(connection, deliveries)
        audit.told(connection, [row.id for row in found])
        return True

    written = await database.write(write)
    return frozenset(each["webhook_id"] for each in deliveries) if written else frozenset()


def _read(connection: Connection) -> tuple[list[Row[Any]], list[Webhook]]:
    # The webhooks after the rows: one that was made before a row was written is among them, or the row would be taken for
    # told without it.
    found = audit.wanted(connection, SOME)
    return found, [each for each in webhooks.every(connection) if each.type == AUDIT_LOG] if found else []


def _delivery(webhook: Webhook, row: Row[Any], now: int) -> dict[str, Any]:
    return {
        "webhook_id": webhook.id,
        # Of no event of the journal, and of no message: what is done in an account arrives in its order.
        "event_id": 0,
        "message_id": f"account {row.account_id}",
        "kind": Kind.AUDIT,
        "at": row.at,
        "payload": _text(row),
        "replayed": False,
        "created_at": now,
    }


def _text(row: Row[Any]) -> str:
    told = ToldAudit(
        at=row.at,
        event_id=signing.event_id("audit", row.id),
        event=row.event,
        actor=(row.actor_type, row.actor_id, row.actor_name),
        resource=(row.resource_type, row.resource_id, row.resource_name),
        changes=msgspec.json.decode(row.changes),
    )
    return msgspec.json.encode(audit_payload(told)).decode()
