"""A configuration set, found and changed: what its operations, its options and its event destinations stand on."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from mailferry.consumers.ses import destinations
from mailferry.consumers.webhooks import gather
from mailferry.endpoints.ses.deps import Call
from mailferry.endpoints.ses.errors import SesError
from mailferry.resources import audit, documents
from mailferry.resources.documents import Document, Kind

Body = dict[str, Any]


async def found(call: Call, name: str) -> Document:
    """Raises `SesError`."""
    document = await call.read(lambda c: documents.get(c, call.account_id, Kind.CONFIGURATION_SET, name))
    if document is None:
        raise missing(name)
    return document


async def changed(call: Call, name: str, change: Callable[[Body], object]) -> None:
    """``change`` is handed the document, locked, and may raise. Raises `SesError`."""
    now = call.now()

    def write(connection: Connection) -> None:
        document = documents.get(connection, call.account_id, Kind.CONFIGURATION_SET, name, locked=True)
        if document is None:
            raise missing(name)
        body = dict(document.body)
        change(body)
        key = destinations.key(body)
        documents.replace(connection, call.account_id, Kind.CONFIGURATION_SET, name, body, now, key=key)
        if key:
            # From this moment on the journal is kept, so that nothing goes uncounted.
            gather.begin(connection, now)
        note(connection, call, name, "configuration_set.updated", now)

    await call.write(write)
    call.deps.documents.forget()


def missing(name: str) -> SesError:
    text = f"Configuration set <{name}> does not exist."
    return SesError("ConfigurationSetDoesNotExist", text, members={"ConfigurationSetName": name})


def note(connection: Connection, call: Call, name: str, event: str, now: int) -> None:
    audit.note(connection, call.account_id, call.actor, event, ("configuration_set", 0, name), now)
