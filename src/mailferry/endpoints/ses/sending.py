"""SendEmail and SendRawEmail of both versions: from their forms to one :class:`Outgoing`, and to one answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from mailferry.endpoints.bodies import aside
from mailferry.endpoints.ses import addresses, list_management, raw, templated
from mailferry.endpoints.ses.conditions import check_tenant
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError, invalid
from mailferry.endpoints.ses.outgoing import Outgoing, send_one
from mailferry.endpoints.ses.parts import attachment, destination, headers, tags
from mailferry.intake.submission import Rcpt
from mailferry.mail.compose import Content


async def send_email_v1(call: Call, params: Params) -> Result:
    to, cc, recipients = destination(params["Destination"])
    body = params["Message"]["Body"]
    content = Content(
        sender=addresses.mailbox(params["Source"]),
        to=to,
        cc=cc,
        reply_to=addresses.mailboxes(params.get("ReplyToAddresses", ())),
        subject=params["Message"]["Subject"]["Data"],
        text=body.get("Text", {}).get("Data"),
        html=body.get("Html", {}).get("Data"),
    )
    outgoing = Outgoing(params["Source"], recipients, content=content, set_name=params.get("ConfigurationSetName", ""))
    return {"MessageId": await send_one(call, outgoing, tags(params.get("Tags", ())))}


async def send_raw_email_v1(call: Call, params: Params) -> Result:
    data = params["RawMessage"]["Data"]
    message = await aside(len(data), lambda: raw.Message(data, source=params.get("Source", "")))
    given = addresses.recipients(addresses.mailboxes(params.get("Destinations", ())), "to")
    return {"MessageId": await _send_raw(call, message, given, params, params.get("Tags", ()))}


async def send_email_v2(call: Call, params: Params) -> Result:
    content = params["Content"]
    kinds = [kind for kind in ("Raw", "Simple", "Template") if kind in content]
    if len(kinds) != 1:
        raise invalid("Exactly one of Content.Simple, Content.Raw and Content.Template must be given")
    await check_tenant(call, params.get("TenantName", ""))
    given = params.get("Destination", {})
    if kinds == ["Raw"]:
        data, sender = content["Raw"]["Data"], params.get("FromEmailAddress", "")
        reply_to = params.get("ReplyToAddresses", ())
        message = await aside(len(data), lambda: raw.Message(data, source=sender, sender=sender, reply_to=reply_to))
        return {"MessageId": await _send_raw(call, message, destination(given)[2], params, params.get("EmailTags", ()))}
    if kinds == ["Template"]:
        return await templated.send(call, params)
    if not params.get("FromEmailAddress"):
        raise invalid(None)  # Amazon gives no text either
    to, cc, recipients = destination(given)
    simple = _simple(params, content["Simple"], to, cc)
    outgoing = Outgoing(
        params["FromEmailAddress"],
        recipients,
        content=simple,
        set_name=params.get("ConfigurationSetName", ""),
        options=list_management.given(params.get("ListManagementOptions")),
    )
    return {"MessageId": await send_one(call, outgoing, tags(params.get("EmailTags", ())))}


async def _send_raw(
    call: Call, message: raw.Message, given: Sequence[Rcpt], params: Params, named: Sequence[Mapping[str, str]]
) -> str:
    """What the call says wins over the message's own control fields, and is not added to them."""
    recipients, flaw = tuple(given), None
    if not recipients:
        try:
            recipients = message.recipients()
        except SesError as error:
            flaw = error
    outgoing = Outgoing(
        message.source,
        recipients,
        raw=message.octets(),
        author=message.author,
        set_name=params.get("ConfigurationSetName") or message.set_name,
        envelope_from=message.envelope_from,
        options=list_management.given(params.get("ListManagementOptions")) or message.options,
        flaw=flaw,
    )
    return await send_one(call, outgoing, tags(named) or message.tags)


def _simple(params: Params, simple: Mapping[str, Any], to: Any, cc: Any) -> Content:
    body = simple.get("Body", {})
    return Content(
        sender=addresses.mailbox(params["FromEmailAddress"]),
        to=to,
        cc=cc,
        reply_to=addresses.mailboxes(params.get("ReplyToAddresses", ())),
        subject=simple["Subject"]["Data"],
        text=body.get("Text", {}).get("Data"),
        html=body.get("Html", {}).get("Data"),
        attachments=tuple(map(attachment, simple.get("Attachments", ()))),
        headers=headers(simple.get("Headers", ())),
    )
