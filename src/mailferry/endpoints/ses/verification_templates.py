"""Custom verification email templates: kept and read back. Nothing is sent from them, since a domain verifies its addresses."""

from collections.abc import Mapping
from typing import Any, NoReturn

from sqlalchemy import Connection

from mailferry.endpoints.ses import addresses, paging, tags
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError, invalid
from mailferry.intake import texts
from mailferry.mail import address
from mailferry.mail.address import BadAddress
from mailferry.resources import audit, documents, domains
from mailferry.resources.documents import Document, Kind

MAX_TEMPLATES = 50
MAX_NAME = 255
PAGE = 50
#: Octets of one.
MAX_OCTETS = 10 * 1024 * 1024
_PARTS = ("FromEmailAddress", "TemplateSubject", "TemplateContent", "SuccessRedirectionURL", "FailureRedirectionURL")
_KIND = Kind.VERIFICATION_TEMPLATE


async def create(call: Call, params: Params) -> Result:
    name, body, given = params["TemplateName"], _body(params), tags.read(params)
    if not 1 <= len(name) <= MAX_NAME or name != name.strip() or not name.isprintable():
        raise invalid(f"The template name must have 1 to {MAX_NAME} printable characters, no blank at its ends.")

    def write(connection: Connection) -> None:
        _check_sender(call, connection, body["FromEmailAddress"])
        if documents.count(connection, call.account_id, _KIND) >= MAX_TEMPLATES:
            text = f"An account has at most {MAX_TEMPLATES} custom verification email templates."
            raise SesError("LimitExceeded", text)
        if not documents.add(connection, call.account_id, _KIND, name, body, call.now()):
            text = f"Custom verification email template <{name}> already exists"
            members = {"CustomVerificationEmailTemplateName": name}
            raise SesError("CustomVerificationEmailTemplateAlreadyExists", text, members=members)
        tags.put(connection, call, _resource(name), given)
        _note(call, connection, name, "created")

    await call.write(write)
    return None


async def get(call: Call, params: Params) -> Result:
    name = params["TemplateName"]
    found = await call.read(lambda connection: documents.get(connection, call.account_id, _KIND, name))
    kept = await call.read(lambda connection: tags.of(connection, call.account_id, _resource(name)))
    return {"TemplateName": name, **(found or _missing(name)).body, "Tags": kept or None}


async def update(call: Call, params: Params) -> Result:
    """Only what is given changes."""
    name, changes = params["TemplateName"], _body(params)

    def write(connection: Connection) -> None:
        found = documents.get(connection, call.account_id, _KIND, name, locked=True) or _missing(name)
        if "FromEmailAddress" in changes:
            _check_sender(call, connection, changes["FromEmailAddress"])
        documents.replace(connection, call.account_id, _KIND, name, {**found.body, **changes}, call.now())
        _note(call, connection, name, "updated")

    await call.write(write)
    return None


async def delete_v1(call: Call, params: Params) -> Result:
    """Also where there is none."""
    await _delete(call, params["TemplateName"])
    return None


async def delete_v2(call: Call, params: Params) -> Result:
    if not await _delete(call, params["TemplateName"]):
        _missing(params["TemplateName"])
    return None


async def list_v1(call: Call, params: Params) -> Result:
    return await _list(call, params, paging.size(params, PAGE, PAGE, "MaxResults"))


async def list_v2(call: Call, params: Params) -> Result:
    return await _list(call, params, paging.size(params, PAGE, PAGE))


async def _list(call: Call, params: Params, most: int) -> Result:
    """By their names, without their texts."""
    after = paging.after(params)
    found = await call.read(
        lambda connection: documents.page(connection, call.account_id, _KIND, after=after, most=most + 1)
    )
    shown, following = paging.page(found, most, lambda document: document.name)
    return {"CustomVerificationEmailTemplates": list(map(_shown, shown)), "NextToken": following}


async def _delete(call: Call, name: str) -> bool:
    def write(connection: Connection) -> bool:
        removed = documents.remove(connection, call.account_id, _KIND, name)
        if removed:
            tags.forget(connection, call.account_id, _resource(name))
            _note(call, connection, name, "deleted")
        return removed

    return await call.write(write)


def _resource(name: str) -> str:
    return f"{tags.VERIFICATION_TEMPLATE}/{name}"


def _shown(document: Document) -> dict[str, Any]:
    return {"TemplateName": document.name, **{k: v for k, v in document.body.items() if k != "TemplateContent"}}


def _body(params: Params) -> Mapping[str, Any]:
    found = {part: params[part] for part in _PARTS if part in params}
    content = found.get("TemplateContent", "")
    if any(map(texts.flaw, found.values())) or len(content.encode(errors="replace")) > MAX_OCTETS:
        text = f"The content must be text of at most {MAX_OCTETS} bytes."
        raise SesError("CustomVerificationEmailInvalidContent", text)
    return found


def _check_sender(call: Call, connection: Connection, sender: str) -> None:
    """It is of a verified domain, or of one below. Raises `SesError`."""
    try:
        name = address.split(addresses.mailbox(sender).address)[1]
    except BadAddress:
        raise invalid("Illegal address") from None
    while "." in name:
        domain = domains.by_name(connection, call.account_id, name)
        if domain and (domain.verified_at or domain.state == domains.DEMO):
            return
        name = name.partition(".")[2]
    text = f"Email address is not verified. The following identities failed the check in region {call.region.upper()}: "
    raise SesError("FromEmailAddressNotVerified", text + sender, members={"FromEmailAddress": sender})


def _missing(name: str) -> NoReturn:
    text = f"Custom verification email template <{name}> does not exist"
    members = {"CustomVerificationEmailTemplateName": name}
    raise SesError("CustomVerificationEmailTemplateDoesNotExist", text, members=members)


def _note(call: Call, connection: Connection, name: str, deed: str) -> None:
    resource = ("verification_template", name, name)
    audit.note(connection, call.account_id, call.actor, f"verification_template.{deed}", resource, call.now())
