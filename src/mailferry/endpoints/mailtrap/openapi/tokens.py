"""API tokens."""

from mailferry.endpoints.mailtrap import api_tokens
from mailferry.endpoints.mailtrap.openapi.accounts import GRANT, LEVEL, RESOURCE_ID, RESOURCE_TYPE
from mailferry.endpoints.mailtrap.openapi.declaration import GONE, Asked, Declared, json
from mailferry.endpoints.mailtrap.openapi.schemas import ID, Component, answered, array, asked, nullable, text, time
from mailferry.endpoints.mailtrap.table import Function

_MEMBERS = {
    "id": ID,
    "name": text(),
    "last_4_digits": text(),
    "created_by": text(),
    "expires_at": nullable(time("Null: never.")),
    "last_used_at": nullable(time("Mailferry's own.")),
    "resources": array(GRANT),
}
_TOKEN = Component("ApiToken", answered(_MEMBERS))
_MADE = Component("NewApiToken", answered(_MEMBERS | {"token": text("The token itself, which is told here alone.")}))
_END = nullable(time("Within five years; null: never."))
#: A level on a resource, as it is asked for.
WANTED = asked(
    {"resource_type": RESOURCE_TYPE, "resource_id": RESOURCE_ID, "access_level": LEVEL},
    "resource_type",
    "resource_id",
    "access_level",
)

DECLARED: dict[Function, Declared] = {
    api_tokens.get_list: Declared(
        "List tokens", {200: json(array(_TOKEN))}, about="An admin of the account sees all, any other token itself."
    ),
    api_tokens.get_one: Declared("Show a token", {200: json(_TOKEN)}),
    api_tokens.create: Declared(
        "Make a token",
        {200: json(_MADE)},
        Asked(
            asked(
                {
                    "name": text(minLength=1, maxLength=255),
                    "resources": array(WANTED, minItems=1, maxItems=1000),
                    "expires_at": _END,
                },
                "name",
                "resources",
            ),
            example={
                "name": "Newsletter",
                "resources": [{"resource_type": "account", "resource_id": 1, "access_level": 100}],
            },
        ),
    ),
    api_tokens.delete: Declared("Delete a token", {204: GONE}),
    api_tokens.reset: Declared(
        "Put a new token in a token's place",
        {200: json(_MADE)},
        Asked(asked({"expires_at": _END}), required=False, example={"expires_at": None}),
        about="The old one goes on for twelve hours.",
    ),
}
