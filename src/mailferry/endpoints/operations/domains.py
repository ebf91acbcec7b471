"""Sending domains for an operator: added, looked up, removed."""

import asyncio
from typing import Any

from sqlalchemy import Connection

from mailferry.credentials import ACCOUNT
from mailferry.endpoints.operations.lookups import check_domain, operator_of
from mailferry.endpoints.operations.reading import iso
from mailferry.endpoints.operations.tools import OPERATOR, Mistake, Tools, Verb
from mailferry.mail import address
from mailferry.resources import accounts, dns_records, domain_alerts, domain_changes, domains
from mailferry.resources.dns_records import RecordStatus
from mailferry.resources.domain_alerts import Standing
from mailferry.resources.domains import Domain


async def domains_add(tools: Tools, domain: str, account: int = ACCOUNT) -> dict[str, Any]:
    name = _name(domain)
    try:
        domains.named_anew(name)
    except address.BadAddress as error:
        raise Mistake(f"{name} cannot be added: {error}") from None
    await known_account(tools, account)
    keys = await asyncio.to_thread(domains.fresh_keys)
    made, new = await tools.database.write(
        lambda connection: domain_changes.add(connection, tools.sealer, account, name, keys, OPERATOR, tools.clock())
    )
    tools.book.forget()
    return shown(made) | {"added": new, "records": _records(tools, made)}


async def domains_list(tools: Tools, account: int = 0) -> list[dict[str, Any]]:
    """Of one account, or with 0 of all of them; each with how well it does, where that was ever judged."""

    def read(connection: Connection) -> tuple[list[Domain], dict[int, Standing]]:
        found = domains.of_account(connection, account) if account else domains.all_domains(connection)
        return found, domain_alerts.every(connection, account)

    found, standings = await tools.database.read(read)
    return [shown(domain) | {"deliverability": _deliverability(standings.get(domain.id))} for domain in found]


async def domains_records(tools: Tools, domain: str, account: int = 0) -> list[dict[str, Any]]:
    """None of the demo domain's: it is in no DNS."""
    return _records(tools, await domain_of(tools, domain, account))


async def domains_verify(tools: Tools, domain: str, account: int = 0) -> dict[str, Any]:
    """Ask DNS now; record by record what is missing, wrong or right."""
    found = await domain_of(tools, domain, account)
    if found.state == domains.DEMO:
        raise Mistake(f"{found.name} is the demo domain: it is in no DNS, and sends to its simulator only")
    statuses = await check_domain(tools, found)
    found = await domain_of(tools, domain, account)
    return shown(found) | {"records": [_status(status) for status in statuses]}


async def domains_remove(tools: Tools, domain: str, account: int = 0) -> dict[str, Any]:
    found = await domain_of(tools, domain, account)
    await tools.database.write(lambda connection: domain_changes.remove(connection, found, OPERATOR, tools.clock()))
    tools.book.forget()
    tools.forget_tokens()
    return {"removed": found.name}


VERBS: dict[str, Verb] = {
    "domains.add": domains_add,
    "domains.list": domains_list,
    "domains.records": domains_records,
    "domains.verify": domains_verify,
    "domains.remove": domains_remove,
}


async def domain_of(tools: Tools, name: str, account: int = 0) -> Domain:
    """Of whichever account (0), as long as only one has it."""
    wanted = _name(name)
    every = await tools.database.read(lambda connection: domains.named(connection, wanted))
    found = [domain for domain in every if account in (0, domain.account_id)]
    if not found:
        raise Mistake(
            f"{wanted} is no sending domain here; mailferry domains list shows them, mailferry domains add {wanted} makes it one"
        )
    if len(found) > 1:
        owners = ", ".join(str(domain.account_id) for domain in found)
        raise Mistake(f"{wanted} is a sending domain of the accounts {owners}; --account says which one is meant")
    return found[0]


async def known_account(tools: Tools, account: int) -> None:
    known = await tools.database.read(accounts.all_ids)
    if account not in known:
        raise Mistake(f"there is no account {account}; there are: {', '.join(map(str, known))}")


async def one_or_all(tools: Tools, account: int) -> None:
    """0 is all of them."""
    if account:
        await known_account(tools, account)


def _name(text: str) -> str:
    try:
        return domains.spelled(text)
    except address.BadAddress as error:
        raise Mistake(f"{text!r} is no domain name: {error}") from None


def _records(tools: Tools, domain: Domain) -> list[dict[str, Any]]:
    """The form that works anywhere, and in a zone of the operator's the CNAMEs as well."""
    if domain.state == domains.DEMO:
        return []
    operator = operator_of(tools)
    shown = [_record(record) for record in dns_records.records(domain, operator)]
    if operator.zone:
        shown = [{**record, "form": "zone"} for record in shown]
        shown += [{**_record(r), "form": "anywhere"} for r in dns_records.records_anywhere(domain, operator)]
    return shown


def _record(record: dns_records.Record) -> dict[str, Any]:
    names = ("key", "type", "name", "domain", "value", "required", "purpose")
    return {name: getattr(record, name) for name in names}


def _status(found: RecordStatus) -> dict[str, Any]:
    return _record(found.record) | {"status": found.status, "sentence": found.sentence}


def _deliverability(standing: Standing | None) -> dict[str, Any] | None:
    if standing is None or not standing.judged_at:
        return None
    names = ("bounce_level", "spam_level", "sent", "bounced", "delivered", "spam")
    counts = {name: getattr(standing, name) for name in names}
    return {"level": standing.worst, **counts, "judged_at": iso(standing.judged_at)}


def shown(domain: Domain) -> dict[str, Any]:
    return {
        "id": domain.id,
        "account_id": domain.account_id,
        "domain": domain.name,
        "state": domain.state,
        "dns_verified": domain.dns_verified,
        "suspicious": domain.suspicious,
        "return_path": domain.return_path_host,
        "hold_reason": domain.hold_reason,
        "keys": [{"selector": k.selector, "algorithm": k.algorithm, "published": k.published} for k in domain.keys],
    }
