"""Tags that templates and contact lists are made with: they have no room for them, so they are a document of their own."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from mailferry.endpoints.ses import tags
from mailferry.endpoints.ses.deps import Call
from mailferry.resources import documents
from mailferry.resources.documents import Kind

#: The words before a name in ARNs.
TEMPLATE = "template"
VERIFICATION_TEMPLATE = "custom-verification-email-template"
CONTACT_LIST = "contact-list"

Tags = Sequence[Mapping[str, str]]


def put(connection: Connection, call: Call, word: str, name: str, given: Tags) -> None:
    """Those of an earlier one of that name are gone. Raises `SesError`."""
    tags.check(given)
    forget(connection, call, word, name)
    if given:
        documents.add(connection, call.account_id, Kind.TAGS, f"{word}/{name}", {"Tags": given}, call.now())


def of(connection: Connection, call: Call, word: str, name: str) -> Tags:
    found = documents.get(connection, call.account_id, Kind.TAGS, f"{word}/{name}")
    kept: Tags = found.body["Tags"] if found else ()
    return kept


def forget(connection: Connection, call: Call, word: str, name: str) -> None:
    documents.remove(connection, call.account_id, Kind.TAGS, f"{word}/{name}")
