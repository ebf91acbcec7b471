"""What an operator may ask for: one function a verb, run by the server (control socket) or by the command line itself.

Each takes the tools and plain arguments and returns plain data, which is what ``--json`` prints. What the operator did
wrong is a :class:`Mistake` that says what would be right.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mailferry.config import Config
from mailferry.delivery import release
from mailferry.endpoints.operations import reading
from mailferry.mail import address
from mailferry.net.dns import Resolver
from mailferry.resources import dns_records, domains
from mailferry.resources.dns_records import RecordStatus
from mailferry.resources.domains import Domain, DomainBook
from mailferry.store.database import Database
from mailferry.store.secrets import Sealer

#: The account of the command line: sub-accounts come with Mailtrap's API.
ACCOUNT = 1


class Mistake(ValueError):
    """The operator's; the text is shown as it is."""


@dataclass(frozen=True, slots=True)
class Tools:
    database: Database
    sealer: Sealer
    book: DomainBook
    resolver: Resolver
    config: Config
    hostname: str
    clock: Callable[[], int]
    #: Tells the worker that mail may have come due.
    wake: Callable[[], None]
    #: Takes newly issued host names and certificates into use.
    reload_hosts: Callable[[], None]


Verb = Callable[..., Awaitable[Any]]


async def domains_add(tools: Tools, domain: str) -> dict[str, Any]:
    name = _name(domain)
    keys = await asyncio.to_thread(domains.fresh_keys)
    made, new = await tools.database.write(
        lambda connection: domains.add(connection, tools.sealer, ACCOUNT, name, keys, tools.clock())
    )
    tools.book.forget()
    return _shown(made) | {"added": new, "records": _records(tools, made)}


async def domains_list(tools: Tools) -> list[dict[str, Any]]:
    found = await tools.database.read(lambda connection: domains.of_account(connection, ACCOUNT))
    return [_shown(domain) for domain in found]


async def domains_records(tools: Tools, domain: str) -> list[dict[str, Any]]:
    return _records(tools, await _domain(tools, domain))


async def domains_verify(tools: Tools, domain: str) -> dict[str, Any]:
    """Ask DNS now; record by record what is missing, wrong or right."""
    found = await _domain(tools, domain)
    if found.state == domains.DEMO:
        raise Mistake(f"{found.name} is the demo domain: it is in no DNS, and sends to its simulator only")
    statuses = await check_domain(tools, found)
    found = await _domain(tools, domain)
    return _shown(found) | {"records": [_status(status) for status in statuses]}


async def check_domain(tools: Tools, domain: Domain) -> Sequence[RecordStatus]:
    """Look its records up and keep what that means; also what housekeeping does every hour."""
    statuses = await dns_records.verify(tools.resolver, dns_records.records(domain, _operator(tools)))
    before = {key.selector for key in domain.keys if key.published}
    published = dns_records.published_selectors(statuses, before)
    # A name server that is away says nothing about the domain.
    verified = dns_records.verified(statuses) if dns_records.conclusive(statuses) else domain.dns_verified
    await tools.database.write(
        lambda connection: domains.set_verified(connection, domain, verified, published, tools.clock())
    )
    tools.book.forget()
    if verified and not domain.dns_verified:
        await _let_go(tools, domain.id)
    return statuses


async def domains_approve(tools: Tools, domain: str) -> dict[str, Any]:
    """End the review (or a suspension): all that was held for it leaves."""
    found = await _domain(tools, domain)
    if found.state == domains.UNVERIFIED:
        raise Mistake(
            f"{found.name} was never verified; publish its records, then: mailferry domains verify {found.name}"
        )
    if found.state == domains.DEMO:
        raise Mistake(f"{found.name} is the demo domain and needs no approval")
    await _set_state(tools, found, domains.COMPLIANT)
    released = await _let_go(tools, found.id) if found.dns_verified else 0
    return _shown(await _domain(tools, domain)) | {"released": released}


async def domains_suspend(tools: Tools, domain: str) -> dict[str, Any]:
    """Its mail is accepted and held until it is approved again."""
    found = await _domain(tools, domain)
    if found.state == domains.DEMO:
        raise Mistake(f"{found.name} is the demo domain; remove it instead")
    await _set_state(tools, found, domains.SUSPENDED)
    return _shown(await _domain(tools, domain))


async def domains_remove(tools: Tools, domain: str) -> dict[str, Any]:
    found = await _domain(tools, domain)
    await tools.database.write(lambda connection: domains.remove(connection, found.id, tools.clock()))
    tools.book.forget()
    return {"removed": found.name}


async def dns_export(tools: Tools) -> dict[str, str]:
    """The operator's zone, with what every domain's CNAMEs point at."""
    zone = tools.config["dns.zone"]
    if not zone:
        raise Mistake('no zone is set; say [dns] zone = "mail.example.com" in the settings')
    found = await tools.database.read(lambda connection: domains.of_account(connection, ACCOUNT))
    real = [domain for domain in found if domain.state != domains.DEMO]
    _, addresses = await tools.resolver.addresses(tools.hostname)
    serial = tools.clock() // 1000
    return {"zone": dns_records.export_zone(_operator(tools), real, serial=serial, addresses=addresses)}


async def certificates_reload(tools: Tools) -> dict[str, Any]:
    tools.reload_hosts()
    return {}


async def messages_list(tools: Tools, **filters: Any) -> list[dict[str, Any]]:
    return await tools.database.read(lambda connection: reading.messages_list(connection, ACCOUNT, **filters))


async def messages_show(tools: Tools, message: str) -> dict[str, Any]:
    story = await tools.database.read(lambda connection: reading.messages_show(connection, ACCOUNT, message))
    if story is None:
        raise Mistake(f"there is no message or recipient {message}; mailferry messages list shows them")
    return story


async def queue_list(tools: Tools, limit: int = 50) -> dict[str, Any]:
    now = tools.clock()
    return await tools.database.read(lambda connection: reading.queue_list(connection, ACCOUNT, now, limit))


VERBS: dict[str, Verb] = {
    "domains.add": domains_add,
    "domains.list": domains_list,
    "domains.records": domains_records,
    "domains.verify": domains_verify,
    "domains.approve": domains_approve,
    "domains.suspend": domains_suspend,
    "domains.remove": domains_remove,
    "dns.export": dns_export,
    "certificates.reload": certificates_reload,
    "messages.list": messages_list,
    "messages.show": messages_show,
    "queue.list": queue_list,
}


async def _set_state(tools: Tools, domain: Domain, state: str) -> None:
    await tools.database.write(lambda connection: domains.set_state(connection, domain.id, state))
    tools.book.forget()


async def _let_go(tools: Tools, domain_id: int) -> int:
    total = 0
    while True:
        now = tools.clock()
        released = await tools.database.write(lambda c, now=now: release.release_domain(c, domain_id, now))  # type: ignore[misc]  # a default binds the loop variable
        total += released
        if released < release.SOME:
            tools.wake()
            return total


async def _domain(tools: Tools, name: str) -> Domain:
    wanted_name = _name(name)
    found = await tools.database.read(lambda connection: domains.by_name(connection, ACCOUNT, wanted_name))
    if found is None:
        raise Mistake(f"{wanted_name} is no sending domain here; mailferry domains add {wanted_name}")
    return found


def _name(text: str) -> str:
    try:
        return address.split(address.parse(f"postmaster@{text.strip().rstrip('.')}"))[1]
    except address.BadAddress as error:
        raise Mistake(f"{text!r} is no domain name: {error}") from None


def _operator(tools: Tools) -> dns_records.Operator:
    return dns_records.Operator(tools.hostname, tools.config["dns.zone"])


def _records(tools: Tools, domain: Domain) -> list[dict[str, Any]]:
    """The form that works anywhere, and in a zone of the operator's the CNAMEs as well."""
    operator = _operator(tools)
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


def _shown(domain: Domain) -> dict[str, Any]:
    return {
        "id": domain.id,
        "domain": domain.name,
        "state": domain.state,
        "dns_verified": domain.dns_verified,
        "suspicious": domain.suspicious,
        "return_path": domain.return_path_host,
        "hold_reason": domain.hold_reason,
        "keys": [{"selector": k.selector, "algorithm": k.algorithm, "published": k.published} for k in domain.keys],
    }
