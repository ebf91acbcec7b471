"""What an operator may ask for: one function a verb, run by the server (control socket) or by the command line itself.

Each takes the tools and plain arguments and returns plain data, which is what ``--json`` prints. What the operator did
wrong is a :class:`Mistake` that says what would be right.
"""

from typing import Any

from mailferry.endpoints.operations import (
    audit,
    contacts,
    environments,
    inboxes,
    invitations,
    keys,
    messages,
    organizations,
    reading,
    reviews,
    share_links,
    stats,
    suppressions,
    templates,
    tokens,
    users,
    webhooks,
)
from mailferry.endpoints.operations import domains as domain_verbs
from mailferry.endpoints.operations.lookups import operator_of
from mailferry.endpoints.operations.tools import Mistake, Tools, Verb
from mailferry.resources import dns_records, domains

#: Settings that say where a server is found, and the role that listens there.
LISTENERS = {"http.listen": "api", "http.tls_listen": "api", "smtp.listen": "smtp", "pop3.listen": "smtp"}
#: And under which names.
NAMES = ("server.public_url", "server.hostname", "tls.certificate")


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


async def server_listeners(tools: Tools) -> dict[str, Any]:
    """What this process listens on and how it is told of: settings by name, those of roles that it has not left empty."""
    roles, config = set(tools.config["server.roles"]), tools.config
    found: dict[str, Any] = {name: config[name] if role in roles else [] for name, role in LISTENERS.items()}
    return found | {name: config[name] for name in NAMES}


async def certificates_reload(tools: Tools) -> dict[str, Any]:
    tools.reload_hosts()
    return {}


async def queue_list(tools: Tools, limit: int = 50, account: int = 0) -> dict[str, Any]:
    """Account 0 is all of them."""
    await domain_verbs.one_or_all(tools, account)
    now = tools.clock()
    return await tools.database.read(lambda connection: reading.queue_list(connection, account, now, limit))


VERBS: dict[str, Verb] = {
    **audit.VERBS,
    **contacts.VERBS,
    **domain_verbs.VERBS,
    **reviews.VERBS,
    "dns.export": dns_export,
    "server.listeners": server_listeners,
    "certificates.reload": certificates_reload,
    "queue.list": queue_list,
    **environments.VERBS,
    **inboxes.VERBS,
    **invitations.VERBS,
    **keys.VERBS,
    **messages.VERBS,
    **organizations.VERBS,
    **share_links.VERBS,
    **stats.VERBS,
    **suppressions.VERBS,
    **templates.VERBS,
    **tokens.VERBS,
    **users.VERBS,
    **webhooks.VERBS,
}
