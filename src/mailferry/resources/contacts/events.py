"""What contacts did, told by the customer's own programs."""

from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection, insert

from mailferry.resources.contacts import contacts
from mailferry.resources.contacts.contacts import Found, Identifier
from mailferry.store.schema import contact_events

Scalar = str | int | float | bool | None


def add(
    connection: Connection, account_id: int, wanted: Identifier, name: str, params: Mapping[str, Scalar], now: int
) -> Found | None:
    """The contact; None: there is none."""
    found = contacts.find(connection, account_id, wanted, lock=True)
    if found is not None:
        values = {
            "account_id": account_id,
            "contact_id": found.id,
            "name": name,
            "params": msgspec.json.encode(params).decode(),
            "created_at": now,
        }
        connection.execute(insert(contact_events).values(values))
    return found
