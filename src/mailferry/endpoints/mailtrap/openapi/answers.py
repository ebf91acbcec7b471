"""The answers that paths have without a declaration's saying so: refusals, in the shape of their path (errors.py)."""

from collections.abc import Mapping

from mailferry.endpoints.mailtrap.errors import MAX_TEXTS, Shape
from mailferry.endpoints.mailtrap.openapi.declaration import Answer, Declared, json
from mailferry.endpoints.mailtrap.openapi.schemas import Component, answered, any_of, array, free, text

ERROR = Component("Error", answered({"error": text("What is wrong.")}))
ERRORS = Component("ErrorText", answered({"errors": text("What is wrong.")}))
FIELD_ERRORS = Component(
    "FieldErrors",
    answered(
        {
            "errors": free(
                array(text()), "What is wrong, by the member of the request; `base` is the request as a whole."
            )
        }
    ),
)
SEND_ERRORS = Component(
    "SendErrors",
    answered(
        {
            "success": {"type": "boolean", "const": False},
            "errors": array(text(), "All that is wrong, the gravest first.", minItems=1, maxItems=MAX_TEXTS + 1),
        }
    ),
)

_RETRY = ("Retry-After",)
_SLOWER = ("Retry-After", "X-Ratelimit-Reset")

_SENDING: Mapping[int, Answer] = {
    400: json(SEND_ERRORS, "What was sent is wrong.", name="SendWrong"),
    401: json(
        SEND_ERRORS, "The token is unknown, or must not send as this domain: a second text says why.", name="SendBy"
    ),
    403: json(SEND_ERRORS, "The domain must not send this.", name="SendForbidden"),
    408: json(SEND_ERRORS, "The body did not arrive in time.", name="SendTooSlow"),
    409: json(SEND_ERRORS, "The idempotency key stands for another request.", name="SendKeyReused"),
    413: json(SEND_ERRORS, "The body or the message is too large.", name="SendTooLarge"),
    415: json(SEND_ERRORS, "The body is compressed, or in another charset than UTF-8.", name="SendEncoded"),
    429: json(SEND_ERRORS, "There is no room for this body right now.", _RETRY, name="SendBusy"),
    500: json(SEND_ERRORS, "A fault of the server.", name="SendFault"),
    503: json(SEND_ERRORS, "Mail cannot be kept for the moment; nothing was sent.", _RETRY, name="SendUnavailable"),
}
_ALWAYS: Mapping[int, Answer] = {
    401: json(ERROR, "The token is unknown.", name="Unauthorized"),
    403: json(ERRORS, "The token must not do this, or the account is none of its own.", name="Forbidden"),
    429: json(any_of(ERROR, ERRORS), "Too many requests.", _SLOWER, name="TooMany"),
    500: json(ERRORS, "A fault of the server.", name="Fault"),
    503: json(ERROR, "The database is away for a moment.", _RETRY, name="Unavailable"),
}
_BODY: Mapping[int, Answer] = {
    400: json(ERROR, "The body is no JSON object.", name="NoJson"),
    408: json(ERROR, "The body did not arrive in time.", name="TooSlow"),
    413: json(ERROR, "The body is too large.", name="TooLarge"),
    415: json(ERROR, "The body is compressed, or in another charset than UTF-8.", name="Encoded"),
    422: json(FIELD_ERRORS, "What was sent is wrong.", name="Invalid"),
}
_QUERY: Mapping[int, Answer] = {400: json(ERROR, "A parameter is wrong.", name="BadQuery")}
_NAMED: Mapping[int, Answer] = {
    404: json(ERROR, "There is no such thing, or the token must not see it.", name="NotFound")
}


def common(shape: Shape, declared: Declared, *, names_something: bool) -> dict[int, Answer]:
    """By status. ``names_something``: the path holds more than an account's id."""
    if shape is Shape.SEND:
        return dict(_SENDING)
    asked = _BODY if declared.body else _QUERY if declared.query else {}
    return {**_ALWAYS, **asked, **(_NAMED if names_something else {})}
