"""`.../sending_domains` and `.../domains`: a sending domain is added, shown, changed, deleted, explained by mail.

The list has an envelope and a single domain has none. Whoever may not see a domain is told that there is none.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from sqlalchemy import Connection
from starlette.responses import Response

from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer, texts
from mailferry.endpoints.mailtrap.forms import Form, identity, invalid, members, refuse
from mailferry.intake.submission import Accepted, Rcpt, Refused, Submission
from mailferry.mail.address import BadAddress, Mailbox
from mailferry.mail.compose import Content
from mailferry.resources import dns_records, domain_changes, domains
from mailferry.resources.domains import Domain
from mailferry.resources.permissions import ADMIN, VIEWER, Resource, Rights
from mailferry.resources.tracking_hosts import custom_host

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_FLAGS = [name for name, default in domains.SETTINGS.items() if isinstance(default, bool)]
#: Flags of Mailtrap that clients read and may set, and that nothing is behind here.
_ABSENT = ("inbound_enabled",)

#: Both sentences are what Mailtrap says of a name that is missing.
BLANK = "Domain name can't be blank, Tracking domain name is not a valid domain name"
INVALID = "Domain name is not a valid domain name"
TAKEN = "Domain name has already been taken"
NO_RECORDS = "The demo domain has no DNS records to set up"
NO_SENDER = (
    "Setup instructions cannot be sent: they leave from a domain of this account, and none is verified and approved yet"
)


async def get_list(call: Call) -> Response:
    seen = call.rights.granted(Resource.DOMAIN)
    found = await call.read(lambda connection: domains.of_account(connection, call.account_id))
    return answer({"data": [_shown(call, domain) for domain in found if seen is None or domain.id in seen]})


async def get_one(call: Call) -> Response:
    """Whoever waits for new records to be seen asks here again and again, so that DNS is looked up between the hours."""
    domain = await visible(call)
    if set(domain.statuses.values()) != {"pass"}:
        call.deps.look_up_domain(domain.id)
    return answer(_shown(call, domain))


async def create(call: Call) -> Response:
    name = _name(await members(call, "sending_domain" if call.legacy else "domain"))
    if await call.read(lambda connection: domains.by_name(connection, call.account_id, name)):
        _refuse_name(TAKEN)
    keys = await asyncio.to_thread(domains.fresh_keys)
    now = call.deps.clock()

    def write(connection: Connection) -> tuple[Domain, bool]:
        return domain_changes.add(connection, call.deps.sealer, call.account_id, name, keys, call.actor, now)

    made, new = await call.write(write)
    if not new:
        _refuse_name(TAKEN)
    call.deps.forget_domains()
    call.deps.look_up_domain(made.id)
    return answer(_shown(call, made))


async def update(call: Call) -> Response:
    domain = await visible(call, ADMIN)
    settings = _settings(Form(await members(call, "sending_domain" if call.legacy else "domain")))
    now = call.deps.clock()
    changed = await call.write(
        lambda connection: domain_changes.change(connection, domain, settings, call.actor, now),
    )
    if changed is None:
        refuse(call, Fault.NOT_FOUND)
    call.deps.forget_domains()
    return answer(_shown(call, changed))


async def delete(call: Call) -> Response:
    domain = await visible(call, ADMIN)
    now = call.deps.clock()
    await call.write(lambda connection: domain_changes.remove(connection, domain, call.actor, now))
    call.deps.forget_domains()
    call.deps.credentials.forget()
    return Response(status_code=204)


async def send_setup_instructions(call: Call) -> Response:
    domain = await visible(call, ADMIN)
    form = Form(await members(call))
    recipient = form.email("email")
    form.check()
    if domain.state == domains.DEMO:
        invalid({"base": [NO_RECORDS]})
    sender = await call.read(lambda connection: domains.first_compliant(connection, call.account_id))
    if sender is None:
        invalid({"base": [NO_SENDER]})
    results = await call.deps.intake.accept([_instructions(call, domain, sender, recipient)])
    assert isinstance(results, list)
    match results:
        case [Accepted()]:
            return Response(status_code=204)
        case [Refused(refusals)]:
            invalid({"base": texts(refusals)})
    raise AssertionError("one submission has one result")


async def visible(call: Call, least: int = VIEWER) -> Domain:
    """The domain of the path. Ends the request when the caller may not see it, or only look where ``least`` is more."""
    domain_id = identity(call, "sending_domain_id" if call.legacy else "domain_id")
    level = call.rights.on(Resource.DOMAIN, domain_id)
    found = await call.read(lambda connection: domains.by_id(connection, domain_id)) if level >= VIEWER else None
    # A level on the whole account answers for any number, so whose the domain is has to be looked at.
    if found is None or found.account_id != call.account_id:
        refuse(call, Fault.NOT_FOUND)
    if level < least:
        refuse(call, Fault.FORBIDDEN)
    return found


# --- what came -----------------------------------------------------------------------------------------------------


def _name(given: Mapping[str, Any]) -> str:
    name = given.get("domain_name")
    if name is None or (isinstance(name, str) and not name.strip()):
        _refuse_name(BLANK)
    try:
        return domains.named_anew(name) if isinstance(name, str) else _refuse_name(INVALID)
    except BadAddress:
        _refuse_name(INVALID)


def _refuse_name(text: str) -> NoReturn:
    invalid({"base": [f"Validation failed: {text}"]})


def _settings(form: Form) -> dict[str, bool | str]:
    """Those that were given; null is not given, but for the address, which it clears."""
    found: dict[str, bool | str] = {}
    for name in _FLAGS:
        if (flag := form.flag(name)) is not None:
            found[name] = flag
    for name in _ABSENT:
        if form.flag(name):
            form.wrong(name, "is not available")
    if "alert_recipient_email" in form.given:
        found["alert_recipient_email"] = form.email("alert_recipient_email", required=False)
    form.check()
    return found


# --- what is shown -------------------------------------------------------------------------------------------------


def _shown(call: Call, domain: Domain) -> dict[str, Any]:
    return {
        "id": domain.id,
        "domain_name": domain.name,
        "demo": domain.state == domains.DEMO,
        # Our states are Mailtrap's words.
        "compliance_status": domain.state,
        "dns_verified": domain.dns_verified,
        "dns_verified_at": moment(domain.verified_at) if domain.verified_at else "",
        "dns_records": _records(call, domain),
        **{name: getattr(domain, name) for name in _FLAGS},
        "alert_recipient_email": domain.alert_recipient_email or None,
        "custom_domain_tracking_enabled": bool(custom_host(domain)),
        **dict.fromkeys(_ABSENT, False),
        "inbound_verified": False,
        "permissions": _permissions(call.rights, domain.id),
    }


def _records(call: Call, domain: Domain) -> list[dict[str, str]]:
    """Every member of every record, always: Mailtrap leaves `dmarc` bare at first, and its own SDK breaks on that."""
    if domain.state == domains.DEMO:
        return []
    statuses = domain.statuses
    return [
        {
            "key": record.key,
            "domain": record.domain,
            "type": record.type,
            "value": record.value,
            "status": statuses.get(record.key, "unchecked"),
            "name": record.name,
        }
        for record in dns_records.records(domain, call.deps.operator)
    ]


def _permissions(rights: Rights, domain_id: int) -> dict[str, bool]:
    level = rights.on(Resource.DOMAIN, domain_id)
    return {"can_read": level >= VIEWER, "can_update": level >= ADMIN, "can_destroy": level >= ADMIN}


def _instructions(call: Call, domain: Domain, sender: Domain, recipient: str) -> Submission:
    subject, text, html = dns_records.instructions(domain.name, dns_records.records(domain, call.deps.operator))
    return Submission(
        account_id=call.account_id,
        token_id=call.token.id,
        sender_domains=frozenset({sender.id}),
        endpoint="system",
        stream="transactional",
        recipients=(Rcpt(recipient),),
        content=Content(
            sender=Mailbox(f"mailer@{sender.name}", "Mailferry"),
            to=(Mailbox(recipient),),
            subject=subject,
            text=text,
            html=html,
        ),
        client_ip=call.client_ip,
    )


def moment(ms: int) -> str:
    found = _EPOCH + timedelta(milliseconds=ms)
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")
