"""Host names that a customer wants mail to use in place of ours: in return paths, and in the links of mail.

One is used from when the DNS was seen to bring it to us; housekeeping looks every hour (endpoints/operations/lookups.py).
"""

from sqlalchemy import Connection

from mailferry.resources import documents
from mailferry.resources.dns_records import Operator, Record, links_at, return_path_at
from mailferry.resources.documents import Document, Kind

RETURN_PATH, LINKS = "return_path", "links"
#: Of an account: each is looked up every hour, for good, since mail with its links is read for months.
MOST = 1_000
#: More than an account can have.
_IDENTITIES = 100_000


def named(purpose: str, host: str) -> str:
    """The name of its document."""
    return f"{purpose}:{host}"


def want(connection: Connection, account_id: int, purpose: str, host: str, now: int) -> bool:
    """From now on it is looked up, and served if it is for links. False: the account has too many."""
    name = named(purpose, host)
    if documents.get(connection, account_id, Kind.CUSTOM_HOST, name):
        return True
    if documents.count(connection, account_id, Kind.CUSTOM_HOST) >= MOST and not _forget_unused(connection, account_id):
        return False
    documents.add(connection, account_id, Kind.CUSTOM_HOST, name, {}, now)
    if purpose == LINKS:
        documents.replace(connection, account_id, Kind.CUSTOM_HOST, name, {}, now, key=host)
    return True


def _forget_unused(connection: Connection, account_id: int) -> int:
    """Names for return paths that no identity asks for any more; how many. What mail has in its links is kept for good."""
    identities = documents.page(connection, account_id, Kind.IDENTITY, most=_IDENTITIES)
    asked = {named(RETURN_PATH, each.body["mail_from"]["domain"]) for each in identities if "mail_from" in each.body}
    hosts = documents.page(connection, account_id, Kind.CUSTOM_HOST, most=MOST, prefix=named(RETURN_PATH, ""))
    unused = [each.name for each in hosts if each.name not in asked]
    for name in unused:
        documents.remove(connection, account_id, Kind.CUSTOM_HOST, name)
    return len(unused)


def is_ours(found: Document | None) -> bool:
    """Whether the last look that was answered found what must be there."""
    return found is not None and found.body.get("status") == "pass"


def was_ours(found: Document | None) -> bool:
    return found is not None and bool(found.body.get("seen_at"))


def put_status(connection: Connection, account_id: int, name: str, status: str, now: int) -> None:
    seen = {"seen_at": now} if status == "pass" else {}
    documents.change(
        connection, account_id, Kind.CUSTOM_HOST, name, lambda body: {**body, "status": status, **seen}, now
    )


def record(name: str, operator: Operator) -> Record:
    """What is to be published for it; ``name`` is its document's."""
    purpose, _, host = name.partition(":")
    return (links_at if purpose == LINKS else return_path_at)(host, operator)


def serves_links(connection: Connection, host: str) -> bool:
    """``host`` is in lower case."""
    return bool(documents.accounts_of_key(connection, Kind.CUSTOM_HOST, host))
