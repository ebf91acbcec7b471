"""The account's suppression list, v2: the list that Mailtrap's side has, address by address.

What is put stands for all domains and both streams. Shown is the newest of all that stands for an address, whoever wrote
it and for whichever domain, so that a customer sees why mail stops; and deleted is all of it. Unsubscriptions are the
recipients' own: they are no part of Amazon's list, and are neither shown nor lifted here.
"""

from typing import Any

from sqlalchemy import Connection, select

from mailferry.endpoints.ses import account, addresses, ids, paging
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import invalid, not_found
from mailferry.mail import address as mail_address
from mailferry.mail.address import BadAddress
from mailferry.resources import audit, documents, suppressions
from mailferry.resources.documents import Kind
from mailferry.resources.permissions import Resource
from mailferry.resources.suppressions import Query, Suppression
from mailferry.store.schema import recipients

#: Of one page, and its default.
MOST = 1000
#: What is written for a reason; what a reason shows is more (a manual import is a bounce that somebody knew of).
TYPES = {"BOUNCE": suppressions.HARD_BOUNCE, "COMPLAINT": suppressions.SPAM_COMPLAINT}
_REASONS = {
    suppressions.HARD_BOUNCE: "BOUNCE",
    suppressions.MANUAL_IMPORT: "BOUNCE",
    suppressions.SPAM_COMPLAINT: "COMPLAINT",
}


async def put(call: Call, params: Params) -> Result:
    address, type_, now = parsed(params["EmailAddress"]), TYPES[params["Reason"]], call.now()

    def write(connection: Connection) -> None:
        _check_tenant(connection, call, params)
        suppressions.put(connection, call.account_id, {address: type_}, actor(call), now)
        _tell(call, connection, "suppression.created", address)

    await call.write(write)
    return {}


async def get(call: Call, params: Params) -> Result:
    address = parsed(params["EmailAddress"])

    def read(connection: Connection) -> tuple[Suppression, str] | None:
        _check_tenant(connection, call, params)
        query = Query(call.account_id, _seen(call), mail_address.key(address), limit=1)
        found = suppressions.newest(connection, query, suppressions.LISTED)
        return (found[0], _message_id(connection, found[0])) if found else None

    found = await call.read(read)
    if found is None:
        raise _missing(params["EmailAddress"])
    suppression, message_id = found
    attributes = {"FeedbackId": ids.public(suppression.id, call.region)}
    if message_id:
        attributes["MessageId"] = ids.public(message_id, call.region)
    return {"SuppressedDestination": {**_shown(suppression), "Attributes": attributes, **_tenant(params)}}


async def delete(call: Call, params: Params) -> Result:
    address, now = parsed(params["EmailAddress"]), call.now()

    def write(connection: Connection) -> bool:
        _check_tenant(connection, call, params)
        lifted = suppressions.lift(connection, call.account_id, [address], actor(call), now)
        if lifted:
            _tell(call, connection, "suppression.deleted", address)
        return bool(lifted)

    if not await call.write(write):
        raise _missing(params["EmailAddress"])
    return {}


async def list_of(call: Call, params: Params) -> Result:
    most, after = paging.size(params, MOST, MOST), paging.after(params)
    wanted = params.get("Reasons") or tuple(TYPES)
    types = [type_ for type_, reason in _REASONS.items() if reason in wanted]
    query = Query(
        call.account_id, _seen(call), since=params.get("StartDate"), until=params.get("EndDate"), limit=most + 1
    )

    def read(connection: Connection) -> list[Suppression]:
        _check_tenant(connection, call, params)
        return suppressions.newest(connection, query, types, after)

    found = await call.read(read)
    shown, following = paging.page(found, most, lambda each: each.address)
    return {"SuppressedDestinationSummaries": [_shown(each) for each in shown], "NextToken": following}


async def put_account_attributes(call: Call, params: Params) -> Result:
    """Without reasons nothing is suppressed for the account, as the AWS CLI's manual says."""
    members: dict[str, Any] = {}
    if "ValidationAttributes" in params:
        members["validation"] = params["ValidationAttributes"]
    if "SuppressedReasons" in params or not members:
        members["suppressed"] = sorted(set(params.get("SuppressedReasons", ())))
    await account.change(call, **members)
    return {}


def parsed(text: str) -> str:
    try:
        return mail_address.parse(text.strip())
    except BadAddress:
        raise invalid(addresses.flaw(text)) from None


def actor(call: Call) -> str:
    """As the list's history has it."""
    return f"{call.actor.kind} {call.actor.id} {call.actor.name}"


def _seen(call: Call) -> frozenset[int] | None:
    return call.rights.granted(Resource.DOMAIN)


def _shown(found: Suppression) -> dict[str, Any]:
    return {
        "EmailAddress": found.address,
        "Reason": _REASONS[found.type],
        "LastUpdateTime": found.created_at,
    }


def _message_id(connection: Connection, found: Suppression) -> str:
    """Ours, of the message that caused it; empty where none did, or where the log has forgotten it."""
    if not found.recipient_id:
        return ""
    asked = select(recipients.c.message_id).where(recipients.c.id == found.recipient_id)
    return connection.execute(asked).scalar() or ""


def _check_tenant(connection: Connection, call: Call, params: Params) -> None:
    """A tenant has the account's list."""
    name = params.get("TenantName")
    if name and documents.get(connection, call.account_id, Kind.TENANT, name) is None:
        raise not_found(f"Tenant <{name}> does not exist.")


def _tenant(params: Params) -> dict[str, str]:
    return {"TenantName": params["TenantName"]} if "TenantName" in params else {}


def _missing(address: str) -> Exception:
    return not_found(f"Email address {address} does not exist on your suppression list.")


def _tell(call: Call, connection: Connection, event: str, address: str) -> None:
    resource = ("suppression", mail_address.key(address), mail_address.key(address))
    audit.note(connection, call.account_id, call.actor, event, resource, call.now())
