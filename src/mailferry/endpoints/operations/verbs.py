"""What an operator may ask for: one function a verb, run by the server (control socket) or by the command line itself.

Each takes the tools and plain arguments and returns plain data, which is what ``--json`` prints. What the operator did
wrong is a :class:`Mistake` that says what would be right.
"""

from typing import Any

from mailferry.endpoints.operations import domains as domain_verbs
from mailferry.endpoints.operations import reading, reviews, suppressions, templates
from mailferry.endpoints.operations.lookups import operator_of
from mailferry.endpoints.operations.tools import ACCOUNT, Mistake, Tools, Verb
from mailferry.resources import dns_records, domains


async def dns_export(tools: Tools) -> dict[str, str]:
    """The operator's zone, with what every domain's CNAMEs point at."""
    zone = tools.config["dns.zone"]
    if not zone:
        raise Mistake('no zone is set; say [dns] zone = "mail.example.com" in the settings')
    found = await tools.database.read(domains.all_domains)
    real = [domain for domain in found if domain.state != domains.DEMO]
    _, addresses = await tools.resolver.addresses(tools.hostname)
    serial = tools.clock() // 1000
    return {"zone": dns_records.export_zone(operator_of(tools), real, serial=serial, addresses=addresses)}


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
    **domain_verbs.VERBS,
    **reviews.VERBS,
    "dns.export": dns_export,
    "certificates.reload": certificates_reload,
    "messages.list": messages_list,
    "messages.show": messages_show,
    "queue.list": queue_list,
    **suppressions.VERBS,
    # --- templates
    **templates.VERBS,
}
