"""Recipients whose opens and clicks are not followed."""

from mailferry.endpoints.mailtrap import tracking_opt_outs
from mailferry.endpoints.mailtrap.openapi.answers import ERROR, FIELD_ERRORS
from mailferry.endpoints.mailtrap.openapi.declaration import Asked, Declared, Parameter, enveloped, json
from mailferry.endpoints.mailtrap.openapi.schemas import (
    EMAIL,
    ID,
    UUID,
    Component,
    answered,
    any_of,
    array,
    asked,
    nullable,
    text,
    time,
)
from mailferry.endpoints.mailtrap.table import Function

_OPT_OUT = Component(
    "TrackingOptOut", answered({"id": UUID, "email": text(), "created_at": time(), "domain_name": text()})
)
#: An unknown path or id of another shape is told by `error`, as everywhere.
_NO_OPT_OUT = json(any_of(FIELD_ERRORS, ERROR), "There is no such opt-out, or the token must not see it.")
_PAGE = answered(
    {
        "data": array(_OPT_OUT, maxItems=tracking_opt_outs.PAGE),
        "last_id": nullable(text("Null: this is the last page.")),
    }
)

DECLARED: dict[Function, Declared] = {
    tracking_opt_outs.get_list: Declared(
        "List who opted out of tracking",
        {200: json(_PAGE, "Newest first.")},
        query=(
            Parameter("email", text(), "Of this address alone."),
            Parameter("start_time", time(), "Made then or later."),
            Parameter("end_time", time(), "Made then or earlier."),
            Parameter("last_id", UUID, "That of the page before."),
        ),
    ),
    tracking_opt_outs.create: Declared(
        "Have a recipient's opens and clicks not followed",
        {201: enveloped(_OPT_OUT)},
        Asked(
            asked({"email": EMAIL, "domain_id": ID}, "email", "domain_id"),
            example={"email": "ann@example.com", "domain_id": 1},
        ),
    ),
    tracking_opt_outs.delete: Declared(
        "Let a recipient's opens and clicks be followed again", {200: json(_OPT_OUT, "What stood."), 404: _NO_OPT_OUT}
    ),
}
