"""Sending: one message, or a batch."""

from typing import Any

from mailferry.endpoints.mailtrap import message, sandbox_sending, sending
from mailferry.endpoints.mailtrap.openapi.answers import SEND_ERRORS
from mailferry.endpoints.mailtrap.openapi.declaration import Asked, Declared, json
from mailferry.endpoints.mailtrap.openapi.schemas import (
    ANYTHING,
    EMAIL,
    SCALAR,
    UUID,
    Component,
    answered,
    any_of,
    array,
    asked,
    choice,
    free,
    text,
)
from mailferry.endpoints.mailtrap.table import Function
from mailferry.intake.checks import Limits

_LIMITS = Limits()

MAILBOX = Component("Mailbox", asked({"email": EMAIL, "name": text("What is shown before the address.")}, "email"))
_ATTACHMENT = Component(
    "Attachment",
    asked(
        {
            "content": text("Base64.", contentEncoding="base64"),
            "filename": text(),
            "type": text("The media type.", default="application/octet-stream"),
            "disposition": choice(("attachment", "inline"), default="attachment"),
            "content_id": text("What the HTML names an inline attachment by: `cid:...`."),
        },
        "content",
        "filename",
    ),
)
_RECIPIENTS = array(MAILBOX, maxItems=_LIMITS.recipients_per_field)
_SHARED: dict[str, Any] = {
    "from": MAILBOX,
    "reply_to": MAILBOX,
    "subject": text(),
    "text": text("The body as plain text."),
    "html": text("The body as HTML."),
    "attachments": array(_ATTACHMENT),
    "headers": free(text(), "Header fields to be added."),
    "category": text("One word for statistics and filters.", maxLength=_LIMITS.category),
    "custom_variables": free(
        SCALAR, f"Told again in the log and to webhooks; at most {_LIMITS.variables} bytes of JSON."
    ),
    "template_uuid": text("A template, in place of subject, text, html and category."),
    "template_variables": free(ANYTHING, "What the template is filled with."),
}
_MEMBERS = _SHARED | {"to": _RECIPIENTS, "cc": _RECIPIENTS, "bcc": _RECIPIENTS}
_MESSAGE = Component(
    "Message",
    asked(
        _MEMBERS,
        "from",
        about="With a recipient in `to`, `cc` or `bcc`; with a subject and a text or html, or with a template in place of them.",
        allOf=[any_of(*({"required": [name]} for name in message.RECIPIENT_FIELDS))],
        **{
            "if": {"required": ["template_uuid"]},
            "then": {"not": any_of(*({"required": [name]} for name in message.TEMPLATE_FIELDS))},
            "else": {"required": ["subject"], **any_of({"required": ["text"]}, {"required": ["html"]})},
        },
    ),
)
_BATCH = Component(
    "Batch",
    asked(
        {
            "base": asked(_SHARED, about="What all requests have, unless they say otherwise."),
            "requests": array(asked(_MEMBERS), minItems=1, maxItems=sending.MAX_REQUESTS),
        },
        "requests",
    ),
)
_IDS = array(UUID, "An id a recipient, in the order to, cc, bcc.")
_SENT = Component("Sent", answered({"success": {"type": "boolean", "const": True}, "message_ids": _IDS}))
_CAUGHT = Component(
    "Caught",
    answered(
        {
            "success": {"type": "boolean", "const": True},
            "message_ids": array(text("In decimal."), "One: the message's in its inbox.", minItems=1, maxItems=1),
        }
    ),
)


def _batch(name: str, result: Component) -> Component:
    results = array(any_of(result, SEND_ERRORS), "What became of each request, in their order.")
    return Component(name, answered({"success": {"type": "boolean", "const": True}, "responses": results}))


_BATCH_SENT, _BATCH_CAUGHT = _batch("BatchSent", _SENT), _batch("BatchCaught", _CAUGHT)
_HELLO = {
    "from": {"email": "hello@demo.mailferry.test"},
    "to": [{"email": "success@simulator.demo.mailferry.test"}],
    "subject": "Hello",
    "text": "It works.",
}
_REPLAYED = ("Idempotent-Replayed",)

DECLARED: dict[Function, Declared] = {
    sending.send: Declared(
        "Send a message",
        {200: json(_SENT, "Accepted: nothing loses it any more.", _REPLAYED)},
        Asked(_MESSAGE, example=_HELLO),
    ),
    sending.batch: Declared(
        "Send a batch of messages",
        {200: json(_BATCH_SENT, "Each request has a result of its own, also if all were refused.", _REPLAYED)},
        Asked(_BATCH, example={"base": {"from": _HELLO["from"]}, "requests": [_HELLO]}),
    ),
    sandbox_sending.send: Declared(
        "Send a message to a sandbox inbox",
        {200: json(_CAUGHT, "Caught: it is kept, and goes nowhere.")},
        Asked(_MESSAGE, example=_HELLO),
        about="Any sender and any recipients.",
    ),
    sandbox_sending.batch: Declared(
        "Send a batch of messages to a sandbox inbox",
        {200: json(_BATCH_CAUGHT, "Each request has a result of its own, also if all were refused.")},
        Asked(_BATCH, example={"base": {"from": _HELLO["from"]}, "requests": [_HELLO]}),
    ),
}
