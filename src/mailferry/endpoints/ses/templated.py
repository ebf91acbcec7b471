"""Mail from templates: which one, with what data, and what becomes of a message.

A template that cannot be rendered is no error of the call, as at Amazon: its message is accepted, kept and rejected, and
what is missing stands in its log and in its "Rendering Failure".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import msgspec

from mailferry.endpoints.bodies import Share
from mailferry.endpoints.ses import addresses, list_management
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError, invalid
from mailferry.endpoints.ses.outgoing import Outgoing, Tag, send_one
from mailferry.endpoints.ses.parts import attachment, destination, headers, tags
from mailferry.intake import checks, render
from mailferry.intake.render import Produced, Rendered, Rendering
from mailferry.mail.compose import Content
from mailferry.resources.templates import Texts

#: Octets of a template's three parts together (quotas).
MAX_OCTETS = 500 * 1024
#: Characters of a variable's name that the log and events repeat: a template may have one of its own size.
MAX_NAME = 500
#: What list management and tracking put in their places is not known before delivery.
RESERVED = {
    "amazonSESUnsubscribeUrl": "{{amazonSESUnsubscribeUrl}}",
    "ses:openTracker": "{{ses:openTracker}}",
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A template of the account by its name, or texts that came with the call."""

    name: str = ""
    texts: Texts | None = None

    async def open(self, call: Call) -> Rendering:
        names = () if self.texts else (self.name,)
        return await call.deps.renderer.open(call.account_id, names=names, reserved=RESERVED)

    async def produce(self, rendering: Rendering, given: Mapping[str, Any]) -> Produced:
        """Raises `SesError`: there is no such template."""
        if self.texts:
            return await rendering.given(self.texts, given, escape=False, strict=True)
        return await rendering.named(self.name, given) or no_template(self.name)


async def send_v1(call: Call, params: Params) -> Result:
    to, cc, recipients = destination(params["Destination"])
    content = Content(
        addresses.mailbox(params["Source"]), to, cc, addresses.mailboxes(params.get("ReplyToAddresses", ()))
    )
    outgoing = Outgoing(params["Source"], recipients, content, set_name=params.get("ConfigurationSetName", ""))
    chosen, named = Chosen(params["Template"]), tags(params.get("Tags", ()))
    return {"MessageId": await _send(call, outgoing, chosen, data(params["TemplateData"]), named)}


async def send(call: Call, params: Params) -> Result:
    """SendEmail of v2 with a template as its content."""
    template = params["Content"]["Template"]
    chosen = choose(template)
    source = params.get("FromEmailAddress") or no_source()
    to, cc, recipients = destination(params.get("Destination", {}))
    content = Content(
        addresses.mailbox(source),
        to,
        cc,
        addresses.mailboxes(params.get("ReplyToAddresses", ())),
        attachments=tuple(map(attachment, template.get("Attachments", ()))),
        headers=headers(template.get("Headers", ())),
    )
    outgoing = Outgoing(
        source,
        recipients,
        content,
        set_name=params.get("ConfigurationSetName", ""),
        options=list_management.given(params.get("ListManagementOptions")),
    )
    named = tags(params.get("EmailTags", ()))
    return {"MessageId": await _send(call, outgoing, chosen, data(template.get("TemplateData", "")), named)}


async def _send(call: Call, outgoing: Outgoing, chosen: Chosen, given: Mapping[str, Any], named: Sequence[Tag]) -> str:
    rendering = await chosen.open(call)
    filled = fill(outgoing, chosen, await chosen.produce(rendering, given))
    with Share(call.deps.budget, call.deps.body.patience) as share:
        await take(share, filled)
        return await send_one(call, filled, named)


# --- which template ------------------------------------------------------------------------------------------------


def choose(template: Mapping[str, Any]) -> Chosen:
    """Of a name, an ARN and texts exactly one. Raises `SesError`."""
    kinds = ("TemplateName", "TemplateArn", "TemplateContent")
    if sum(bool(template.get(kind)) for kind in kinds) != 1:
        raise invalid("Exactly one of TemplateName, TemplateArn and TemplateContent must be given")
    if content := template.get("TemplateContent"):
        texts = Texts(content.get("Subject", ""), content.get("Html", ""), content.get("Text", ""))
        if texts == Texts("") or texts.octets > MAX_OCTETS:
            raise invalid(
                f"The template must have a subject, a text or an HTML part, at most {MAX_OCTETS} bytes together"
            )
        return Chosen(texts=texts)
    return Chosen(template.get("TemplateName") or name_of_arn(template["TemplateArn"]))


def name_of_arn(arn: str) -> str:
    """Whatever region and account it says: programs that move here bring their old ones. Raises `SesError`."""
    start, mark, name = arn.partition(":template/")
    if not (mark and name and start.startswith("arn:")):
        raise invalid(f"Invalid template ARN <{arn[:200]}>.")
    return name


def no_template(name: str) -> NoReturn:
    raise SesError("TemplateDoesNotExist", f"Template {name} does not exist", members={"TemplateName": name})


def no_source() -> NoReturn:
    raise invalid("Source cannot be empty")


# --- with what -----------------------------------------------------------------------------------------------------


def data(text: str) -> dict[str, Any]:
    """A JSON object; of nothing, an empty one. Raises `SesError`."""
    try:
        found = msgspec.json.decode(text) if text.strip() else {}
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise SesError("InvalidRenderingParameter", f"The template data is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise SesError("InvalidRenderingParameter", "The template data must be a JSON object.")
    return found


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Mapping[str, Any]:
    """Objects name by name and all the way down; lists and single values whole. ``base`` itself where nothing is over it."""
    if not over:
        return base
    try:
        return _merged(base, over)
    except RecursionError:
        raise SesError("InvalidRenderingParameter", "The template data lies too deep.") from None


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(base)
    for name, value in over.items():
        below = found.get(name)
        found[name] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return found


# --- what becomes of it --------------------------------------------------------------------------------------------


def failure(rendered: Rendered) -> str:
    """Why there is no message of it, in Amazon's words where it has some; nothing where there is one."""
    if rendered.missing:
        return f"Attribute '{rendered.missing[:MAX_NAME]}' is not present in the rendering data."
    return "; ".join(render.failures(rendered))[: 2 * MAX_NAME]


def fill(outgoing: Outgoing, chosen: Chosen, produced: Produced) -> Outgoing:
    assert outgoing.content is not None
    rendered, head = produced.rendered, produced.head
    why = failure(rendered)
    content = outgoing.content
    if not why:
        content = replace(content, subject=rendered.subject, text=rendered.text or None, html=rendered.html or None)
    return replace(
        outgoing,
        content=content,
        failure=why,
        template=chosen.name,
        template_id=head.id if head else 0,
        template_variables=produced.logged,
        category=head.facts.category if head else "",
    )


async def take(share: Share, outgoing: Outgoing) -> None:
    """A few octets of data can make megabytes. Raises `SesError`: there is no memory for so much now."""
    if outgoing.content and not await share.take(checks.octets(outgoing.content)):
        raise SesError("Throttling", "The server has no memory for this message now.")
