"""Writes stories straight into the journal's tables: a message, its recipients, what happened to them."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, insert

from mailferry.journal.events import Kind, State
from mailferry.journal.ids import Ids
from mailferry.store.schema import attempts, events, messages, recipients

#: Kind, milliseconds after acceptance, facts.
Happened = tuple[Kind, int, dict[str, Any]]


def write_message(
    connection: Connection, ids: Ids, now: int, addresses: Sequence[str] = ("bob@example.net",), **columns: Any
) -> list[str]:
    """Returns the recipients' ids. ``columns`` are the message's."""
    given = {"account_id": 7, "domain_id": 5, "stream": "transactional", "sender": "ann@shop.example", "subject": "Hi"}
    message = given | columns | {"id": ids.new(), "created_at": now}
    connection.execute(insert(messages).values(message))
    rows = [
        {"id": ids.new(), "message_id": message["id"], "account_id": message["account_id"], "address": address}
        | {"kind": "to", "state": State.QUEUED.value}
        for address in addresses
    ]
    connection.execute(insert(recipients), rows)
    return [row["id"] for row in rows]


def write_story(
    connection: Connection, recipient_id: str, state: State, happenings: Sequence[Happened] = (), **columns: Any
) -> None:
    """``columns``: of one attempt (host, local_ip ...), when there was one; ``response`` is also the recipient's."""
    changed = {"state": state.value, "response": columns.get("response", "")}
    row = recipients.update().where(recipients.c.id == recipient_id).values(changed)
    connection.execute(row)
    for kind, at, facts in happenings:
        event = {"kind": kind.value, "at": at, "account_id": 7, "message_id": "", "recipient_id": recipient_id}
        connection.execute(insert(events).values(event | {"facts": msgspec.json.encode(facts).decode()}))
    if columns:
        connection.execute(insert(attempts).values(recipient_id=recipient_id, number=1, **columns))
