"""The suppression list for an operator: shown, added to, lifted, taken over from a file and written to one, in pieces."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from mailferry.credentials import ACCOUNT
from mailferry.endpoints.operations.domains import known_account
from mailferry.endpoints.operations.reading import iso
from mailferry.endpoints.operations.tools import OPERATOR, Mistake, Tools, Verb
from mailferry.mail import address
from mailferry.mail.address import BadAddress
from mailferry.resources import audit, domains, suppressions
from mailferry.resources.suppressions import ALL_DOMAINS, ANY, MANUAL_IMPORT, Query, Suppression, files

#: Of one piece of an export.
EXPORTED = 2000
#: Lifted with one command: an address has one suppression a domain and stream.
REMOVED = 10_000


async def suppressions_list(
    tools: Tools,
    email: str = "",
    domain: str = "",
    stream: str = "",
    type: str = "",
    limit: int = 50,
    account: int = ACCOUNT,
) -> list[dict[str, Any]]:
    """Newest first."""
    query = Query(
        account,
        address=address.key(email.strip()),
        domain_id=await _domain_id(tools, account, domain) if domain else None,
        stream=stream,
        type=type,
        limit=limit,
    )
    return [_shown(each) for each in await tools.database.read(lambda connection: suppressions.page(connection, query))]


async def suppressions_add(
    tools: Tools, email: str, domain: str = "", stream: str = ANY, type: str = MANUAL_IMPORT, account: int = ACCOUNT
) -> dict[str, Any]:
    await known_account(tools, account)
    domain_id = await _domain_id(tools, account, domain) if domain else ALL_DOMAINS
    now = tools.clock()
    row = suppressions.entry(account, _address(email), now, domain_id=domain_id, stream=stream, type=type)

    def write(connection: Connection) -> tuple[Suppression, bool]:
        new = suppressions.add(connection, [row], OPERATOR.name)
        scope = Query(account, address=row["address"], domain_id=domain_id, stream=stream)
        (standing,) = suppressions.page(connection, scope)
        if new:
            resource = ("suppression", standing.id, standing.address)
            audit.note(connection, account, OPERATOR, "suppression.created", resource, now)
        return standing, bool(new)

    standing, new = await tools.database.write(write)
    return _shown(standing) | {"added": new}


async def suppressions_remove(
    tools: Tools, email: str, domain: str = "", stream: str = "", account: int = ACCOUNT
) -> list[dict[str, Any]]:
    """All that stand for an address, or those of one domain and stream."""
    query = Query(
        account,
        address=address.key(_address(email)),
        domain_id=await _domain_id(tools, account, domain) if domain else None,
        stream=stream,
        limit=REMOVED,
    )
    now = tools.clock()

    def write(connection: Connection) -> list[Suppression]:
        removed = suppressions.remove(connection, suppressions.page(connection, query), OPERATOR.name, now)
        for each in removed:
            resource = ("suppression", each.id, each.address)
            audit.note(connection, account, OPERATOR, "suppression.deleted", resource, now)
        return removed

    removed = await tools.database.write(write)
    if not removed:
        raise Mistake(f"{query.address} is not suppressed{' there' if domain or stream else ''}")
    return [_shown(each) for each in removed]


async def suppressions_import(
    tools: Tools, rows: Sequence[Sequence[Any]], source: str = "", first: bool = False, account: int = ACCOUNT
) -> dict[str, int]:
    """One piece of a file: (address, domain or "", stream, type, Unix milliseconds or None, category, response) a row.

    Doing it twice is doing it once. ``first``: with this piece the import begins, which the audit log tells.
    """
    await known_account(tools, account)
    named = await tools.database.read(lambda connection: domains.of_account(connection, account))
    known = {domain.name: domain.id for domain in named} | {"": ALL_DOMAINS}
    if unknown := next((row[1] for row in rows if row[1] not in known), None):
        raise _no_domain(unknown)
    now = tools.clock()
    entries = await asyncio.to_thread(_entries, account, rows, known, now)

    def write(connection: Connection) -> int:
        if first:
            audit.note(connection, account, OPERATOR, "suppression.imported", ("file", "", source), now)
        return len(suppressions.add(connection, entries, f"{OPERATOR.name}: {source}", now))

    return {"added": await tools.database.write(write)}


async def suppressions_export(
    tools: Tools,
    after: Sequence[Any] = (),
    email: str = "",
    domain: str = "",
    stream: str = "",
    type: str = "",
    account: int = ACCOUNT,
) -> dict[str, Any]:
    """Rows of one piece, and where the next one begins; empty: that was all."""
    query = Query(
        account,
        address=address.key(email.strip()),
        domain_id=await _domain_id(tools, account, domain) if domain else None,
        stream=stream,
        type=type,
        limit=EXPORTED,
    )
    found = await tools.database.read(lambda connection: suppressions.walk(connection, query, after))
    goes_on = len(found) == EXPORTED
    return {
        "rows": [files.exported(each) for each in found],
        "after": suppressions.scope(found[-1]) if goes_on else (),
    }


VERBS: dict[str, Verb] = {
    "suppressions.list": suppressions_list,
    "suppressions.add": suppressions_add,
    "suppressions.remove": suppressions_remove,
    "suppressions.import": suppressions_import,
    "suppressions.export": suppressions_export,
}


def _entries(account: int, rows: Sequence[Sequence[Any]], known: Mapping[str, int], now: int) -> list[dict[str, Any]]:
    entries = [
        suppressions.entry(
            account,
            row[0],
            min(row[4] or now, now),
            domain_id=known[row[1]],
            stream=row[2],
            type=row[3],
            category=row[5],
            response=row[6],
        )
        for row in rows
    ]
    # Two imports at once lock the same rows in the same order.
    return sorted(entries, key=lambda each: (each["address"], each["domain_id"], each["stream"]))


def _shown(suppression: Suppression) -> dict[str, Any]:
    return {
        "id": suppression.id,
        "email": suppression.address,
        "type": suppression.type,
        "domain": suppression.domain_name,
        "stream": suppression.stream,
        "since": iso(suppression.created_at),
        "recipient_id": suppression.recipient_id,
        "category": suppression.category,
        "response": suppression.response,
    }


def _address(text: str) -> str:
    try:
        return address.parse(text.strip())
    except BadAddress as error:
        raise Mistake(f"{text!r} is no mail address: {error}") from None


async def _domain_id(tools: Tools, account: int, name: str) -> int:
    wanted = name.strip().rstrip(".").lower()
    found = await tools.database.read(lambda connection: domains.by_name(connection, account, wanted))
    if found is None:
        raise _no_domain(wanted)
    return found.id


def _no_domain(name: str) -> Mistake:
    return Mistake(f"{name} is no sending domain here; mailferry domains list shows them")
