"""Suppressions."""

from mailferry.endpoints.mailtrap import suppressions
from mailferry.endpoints.mailtrap.openapi.declaration import Asked, Declared, Parameter, enveloped, json
from mailferry.endpoints.mailtrap.openapi.schemas import (
    EMAIL,
    ID,
    STREAM,
    UUID,
    Component,
    answered,
    array,
    asked,
    choice,
    text,
    time,
)
from mailferry.endpoints.mailtrap.table import Function
from mailferry.resources import suppressions as stored

_TYPE = choice(stored.TYPES)
_OF_MESSAGE = (
    *("message_bounce_category", "message_category", "message_client_ip", "message_created_at"),
    *("message_esp_response", "message_esp_server_type", "message_outgoing_ip", "message_recipient_mx_name"),
    *("message_sender_email", "message_subject"),
)
_SUPPRESSION = Component(
    "Suppression",
    answered(
        {
            "id": UUID,
            "type": _TYPE,
            "created_at": time(),
            "email": text(),
            "sending_stream": choice((*STREAM["enum"], "any")),
            "domain_name": text("Empty: all of the account's domains."),
        }
        | {name: text() for name in _OF_MESSAGE},
        about="`message_...` is of the message that caused it. Where there is nothing, the text is empty.",
    ),
)

DECLARED: dict[Function, Declared] = {
    suppressions.get_list: Declared(
        "List suppressions",
        {200: json(array(_SUPPRESSION, maxItems=suppressions.PAGE), "Newest first.")},
        query=(
            Parameter("email", text(), "Of this address alone."),
            Parameter("start_time", time(), "Made then or later."),
            Parameter("end_time", time(), "Made then or earlier."),
            Parameter("last_id", UUID, "The id of the last one of the page before."),
        ),
    ),
    suppressions.create: Declared(
        "Suppress an address",
        {201: enveloped(_SUPPRESSION)},
        Asked(
            asked(
                {"email": EMAIL, "domain_id": ID, "sending_stream": STREAM, "type": _TYPE},
                "email",
                "domain_id",
                "sending_stream",
            ),
            example={"email": "ann@example.com", "domain_id": 1, "sending_stream": "transactional"},
        ),
    ),
    suppressions.delete: Declared("Let an address be written to again", {200: json(_SUPPRESSION, "What stood.")}),
}
