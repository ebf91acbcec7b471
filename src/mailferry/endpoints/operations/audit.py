"""The audit log for an operator: who changed what, when, and what it was before."""

from typing import Any

import msgspec
from sqlalchemy import Row

from mailferry.endpoints.operations.domains import known_account
from mailferry.endpoints.operations.reading import iso
from mailferry.endpoints.operations.tools import Tools, Verb
from mailferry.resources import audit


async def audit_list(tools: Tools, account: int = 0, before: int = 0, limit: int = 50) -> list[dict[str, Any]]:
    """Newest first, of one account, or with 0 of all of them; ``before``: only what is older than the one with this id."""
    if account:
        await known_account(tools, account)
    found = await tools.database.read(lambda connection: audit.page(connection, account, before, limit))
    return [_shown(row) for row in found]


VERBS: dict[str, Verb] = {"audit.list": audit_list}


def _shown(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "account_id": row.account_id,
        "at": iso(row.at),
        "event": row.event,
        "actor": {"type": row.actor_type, "id": row.actor_id, "name": row.actor_name},
        "resource": {"type": row.resource_type, "id": row.resource_id, "name": row.resource_name},
        "changes": msgspec.json.decode(row.changes),
    }
