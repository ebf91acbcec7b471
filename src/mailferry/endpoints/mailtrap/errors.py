"""Everything that this API says when it says no: one table for the intake's reasons, one for faults of a request.

Texts that Mailtrap is known to send are verbatim; texts of our own imitate its style and are marked ``ours``.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from starlette.responses import Response

from mailferry.endpoints.bodies import BadBody, Flaw
from mailferry.endpoints.fallback import RETRY_SECONDS
from mailferry.intake.refusal import Reason, Refusal


class Shape(StrEnum):
    """Which of Mailtrap's bodies a path answers with."""

    SEND = "send"
    GENERAL = "general"


@dataclass(frozen=True, slots=True)
class Wording:
    """``text`` may name {field}, {part} (a member of the field's items), {index} and {detail}."""

    status: int
    text: str
    #: Where the refusal names an item of a list, if that reads differently.
    of_item: str = ""
    #: A second text that says why, always ours: users of Mailtrap are left guessing there.
    also: str = ""
    ours: bool = True


REASONS: Mapping[Reason, Wording] = {
    Reason.WRONG_TYPE: Wording(400, "'{field}' must be {detail}", "'{field}' {index} must be {detail}"),
    Reason.FROM_REQUIRED: Wording(400, "'from' is required", ours=False),
    Reason.FROM_INVALID: Wording(400, "'from' address is invalid", ours=False),
    Reason.FROM_FIELDS: Wording(400, "'From' header must be there once, with one address"),
    Reason.FROM_MISMATCH: Wording(400, "'From' header does not match the sender's domain", ours=False),
    Reason.SENDER_NOT_ALLOWED: Wording(401, "Unauthorized", also="{detail}", ours=False),
    Reason.DEMO_RECIPIENT: Wording(
        403,
        "Demo domains can only be used to send emails to account owners. "
        "You can only send testing emails to your own email address.",
        also="here that is the simulator only, for example success@simulator.demo.mailferry.test",
        ours=False,
    ),
    Reason.INBOX_NOT_ALLOWED: Wording(401, "Unauthorized", also="{detail}", ours=False),
    Reason.ENVIRONMENT_INBOX_GONE: Wording(
        403, "the environment rule has this caught by inbox {detail}, which is not there; nothing was sent"
    ),
    Reason.RECIPIENT_REQUIRED: Wording(400, "'to', 'cc' or 'bcc' address is required", ours=False),
    Reason.RECIPIENTS_TOO_MANY: Wording(400, "too many addresses in '{field}' (maximum is {detail})"),
    Reason.ADDRESS_INVALID: Wording(400, "'{field}' address is invalid", "address is invalid in '{field}' {index}"),
    Reason.SUBJECT_REQUIRED: Wording(400, "'subject' is required", ours=False),
    Reason.BODY_REQUIRED: Wording(400, "must specify either text or html body", ours=False),
    Reason.TEXT_INVALID: Wording(400, "'{field}' must not contain {detail}"),
    Reason.HEADER_NAME_INVALID: Wording(400, "'{detail}' header name is invalid"),
    Reason.HEADER_VALUE_INVALID: Wording(400, "'{detail}' header value is invalid"),
    Reason.HEADER_RESERVED: Wording(400, "'{detail}' header is reserved"),
    Reason.ATTACHMENT_FIELD_REQUIRED: Wording(400, "'{detail}' is required in '{field}' {index}"),
    Reason.ATTACHMENT_NOT_BASE64: Wording(400, "'content' is not valid base64 in '{field}' {index}"),
    Reason.ATTACHMENT_TYPE_INVALID: Wording(400, "'type' is not a valid MIME type in '{field}' {index}"),
    Reason.ATTACHMENT_DISPOSITION_INVALID: Wording(
        400, "'disposition' must be 'attachment' or 'inline' in '{field}' {index}"
    ),
    Reason.CATEGORY_TOO_LONG: Wording(400, "'category' is too long (maximum is {detail} characters)"),
    Reason.VARIABLES_TOO_LONG: Wording(400, "'custom_variables' is too long (maximum is {detail} bytes)"),
    Reason.VARIABLE_INVALID: Wording(400, "'{detail}' must be a string, a number or a boolean in 'custom_variables'"),
    Reason.NOT_ALLOWED_WITH_TEMPLATE: Wording(400, "'{field}' is not allowed with 'template_uuid'", ours=False),
    Reason.TEMPLATE_UNKNOWN: Wording(400, "'template_uuid' is not the UUID of a template of this account"),
    Reason.TEMPLATE_FAILED: Wording(400, "'template_uuid' cannot be rendered: {detail}"),
    Reason.TEMPLATE_EMPTY: Wording(400, "'template_uuid' gives a message without {detail}"),
    Reason.MESSAGE_MALFORMED: Wording(400, "message is malformed: {detail}"),
    Reason.MESSAGE_TOO_LARGE: Wording(413, "message is too large (maximum is {detail} bytes)"),
    Reason.RATE_EXCEEDED: Wording(429, "Rate limit exceeded", ours=False),
    Reason.QUOTA_EXCEEDED: Wording(429, "Daily limit of the account exceeded"),
}
#: A member of an item (``to.email``) reads like Mailtrap's "address is invalid in 'to' 0".
_OF_PART = {
    Reason.WRONG_TYPE: "'{part}' must be {detail} in {place}",
    Reason.TEXT_INVALID: "'{part}' must not contain {detail} in {place}",
}


class Fault(StrEnum):
    """What is wrong with a request as a whole, before there is a submission."""

    JSON_INVALID = "json_invalid"  # detail: what and where
    REQUESTS_EMPTY = "requests_empty"
    REQUESTS_TOO_MANY = "requests_too_many"  # detail: the limit
    NOT_IN_BASE = "not_in_base"  # detail: the field
    INBOX_REQUIRED = "inbox_required"
    CONFLICT = "conflict"
    BATCH_TOO_LARGE = "batch_too_large"  # detail: the limit
    KEY_INVALID = "key_invalid"
    KEY_REUSED = "key_reused"
    QUERY_INVALID = "query_invalid"  # detail: what would be right
    ENCODING_UNSUPPORTED = "encoding_unsupported"  # detail: the Content-Encoding
    CHARSET_UNSUPPORTED = "charset_unsupported"  # detail: the charset
    BODY_TOO_LARGE = "body_too_large"  # detail: the limit
    VALUES_TOO_MANY = "values_too_many"
    BODY_TOO_SLOW = "body_too_slow"
    BUSY = "busy"
    TOKEN_WRONG = "token_wrong"  # noqa: S105 - a word, no secret
    ACCOUNT_FORBIDDEN = "account_forbidden"
    FORBIDDEN = "forbidden"  # the token may see the account, and not do this
    THROTTLED = "throttled"
    PARAMETER_REQUIRED = "parameter_required"  # detail: its name
    NOT_FOUND = "not_found"
    LINK_EXPIRED = "link_expired"
    METHOD_WRONG = "method_wrong"
    UNAVAILABLE = "unavailable"  # the database is away for a while
    OURS = "ours"  # a bug or a broken part of Mailferry


FAULTS: Mapping[Fault, Wording] = {
    Fault.JSON_INVALID: Wording(400, "request body is not valid JSON: {detail}"),
    Fault.REQUESTS_EMPTY: Wording(400, "empty field: 'requests'", ours=False),
    Fault.REQUESTS_TOO_MANY: Wording(400, "too many items in 'requests' (maximum is {detail})"),
    Fault.NOT_IN_BASE: Wording(400, "'{detail}' is not allowed in 'base'"),
    Fault.INBOX_REQUIRED: Wording(
        400, "an inbox is needed at this host: /api/send/{{inbox_id}}; nothing was sent, and it never delivers"
    ),
    Fault.CONFLICT: Wording(409, "Conflict", ours=False),
    Fault.BATCH_TOO_LARGE: Wording(413, "messages of the batch are too large together (maximum is {detail} bytes)"),
    Fault.KEY_INVALID: Wording(400, "'Idempotency-Key' must be 1 to 255 printable ASCII characters"),
    Fault.KEY_REUSED: Wording(409, "'Idempotency-Key' was already used with another request body"),
    Fault.QUERY_INVALID: Wording(400, "{detail}"),
    Fault.ENCODING_UNSUPPORTED: Wording(415, "Content-Encoding '{detail}' is not supported"),
    Fault.CHARSET_UNSUPPORTED: Wording(415, "charset '{detail}' is not supported, send UTF-8"),
    Fault.BODY_TOO_LARGE: Wording(413, "request body is too large (maximum is {detail} bytes)"),
    Fault.VALUES_TOO_MANY: Wording(413, "request body holds too many values"),
    Fault.BODY_TOO_SLOW: Wording(408, "request body did not arrive in time"),
    Fault.BUSY: Wording(429, "Rate limit exceeded", ours=False),
    Fault.TOKEN_WRONG: Wording(401, "Unauthorized", ours=False),
    Fault.ACCOUNT_FORBIDDEN: Wording(403, "Account access forbidden", ours=False),
    Fault.FORBIDDEN: Wording(403, "Access forbidden", ours=False),
    Fault.THROTTLED: Wording(429, "Throttled", ours=False),
    Fault.PARAMETER_REQUIRED: Wording(400, "Missing required parameter: {detail}", ours=False),
    Fault.NOT_FOUND: Wording(404, "Not Found", ours=False),
    Fault.LINK_EXPIRED: Wording(403, "This link has expired, ask for a new one"),
    Fault.METHOD_WRONG: Wording(405, "Method Not Allowed"),
    Fault.UNAVAILABLE: Wording(503, "Service unavailable, try again later"),
    Fault.OURS: Wording(500, "Internal server error", ours=False),
}
#: Where the general API says it in other words, or under the other of its two keys.
_GENERAL_TEXTS = {Fault.TOKEN_WRONG: "Incorrect API token"}
_GENERAL_ERRORS = frozenset({Fault.ACCOUNT_FORBIDDEN, Fault.FORBIDDEN, Fault.BUSY, Fault.OURS})
#: Seconds.
_RETRY_AFTER = {Fault.BUSY: 1, Fault.UNAVAILABLE: RETRY_SECONDS}

#: The graver status wins when a request has several faults: that the sender is wrong must be seen, whatever else is.
_GRAVITY = (401, 403, 413, 429)
_UNSHOWABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
#: A thousand bad addresses would be answered with a thousand lines that nobody reads.
MAX_TEXTS = 100
#: Details come from the client; an answer repeats no more of them than a reader needs.
_MAX_DETAIL = 200


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault with its detail, as a value that functions return."""

    fault: Fault
    detail: str = ""


class Reasoned(Response):
    """Knows why it refuses: words of ours alone, since what a client wrote may be a secret, and the log is read by others."""

    reasons: tuple[str, ...] = ()


def status(refusals: Iterable[Refusal]) -> int:
    found = {REASONS[refusal.reason].status for refusal in refusals}
    return next((grave for grave in _GRAVITY if grave in found), 400)


def texts(refusals: Iterable[Refusal]) -> list[str]:
    """What the client reads, each text once; that of the gravest refusal first ("Unauthorized" is looked for there)."""
    ordered = sorted(refusals, key=lambda refusal: REASONS[refusal.reason].status not in _GRAVITY)
    found: dict[str, None] = {}
    for refusal in ordered:
        found |= dict.fromkeys(text for text in _texts(refusal) if text)
    if len(found) <= MAX_TEXTS:
        return list(found)
    return [*list(found)[:MAX_TEXTS], f"and {len(found) - MAX_TEXTS} errors more"]


def refused(refusals: Iterable[Refusal]) -> Response:
    """The answer of a send request of which nothing was kept."""
    refusals = tuple(refusals)
    return answer(refused_body(refusals), status(refusals), [refusal.reason for refusal in refusals])


def refused_body(refusals: Iterable[Refusal]) -> dict[str, Any]:
    return {"success": False, "errors": texts(refusals)}


def problem(shape: Shape, found: Problem) -> Response:
    """The answer to a faulty request, in the shape of its path."""
    wording = FAULTS[found.fault]
    text = wording.text.format(detail=_showable(found.detail))
    if shape is Shape.SEND:
        body: dict[str, Any] = {"success": False, "errors": [text]}
    elif found.fault in _GENERAL_ERRORS:
        body = {"errors": text}
    else:
        body = {"error": _GENERAL_TEXTS.get(found.fault, text)}
    response = answer(body, wording.status, [found.fault])
    if found.fault in _RETRY_AFTER:
        response.headers["Retry-After"] = str(_RETRY_AFTER[found.fault])
    return response


def answer(body: Any, status: int = 200, reasons: Iterable[str] = ()) -> Response:
    """``reasons``: of a refusal, as the log names them."""
    response = json_response(msgspec.json.encode(body), status)
    response.reasons = tuple(dict.fromkeys(reasons))
    return response


def json_response(body: bytes, status: int = 200) -> Reasoned:
    return Reasoned(body, status, media_type="application/json; charset=utf-8")


def _texts(refusal: Refusal) -> tuple[str, str]:
    wording = REASONS[refusal.reason]
    field, _, part = refusal.field.partition(".")
    place = f"'{field}'" if refusal.index is None else f"'{field}' {refusal.index}"
    text = wording.text if refusal.index is None else wording.of_item or wording.text
    facts = {"field": field, "part": part, "place": place, "index": refusal.index, "detail": _showable(refusal.detail)}
    return (_OF_PART[refusal.reason] if part else text).format(**facts), wording.also.format(**facts)


def _showable(detail: str) -> str:
    return _UNSHOWABLE.sub("?", detail[:_MAX_DETAIL])


_BODIES = {
    Flaw.TOO_LARGE: Fault.BODY_TOO_LARGE,
    Flaw.TOO_SLOW: Fault.BODY_TOO_SLOW,
    Flaw.BUSY: Fault.BUSY,
    Flaw.ENCODING: Fault.ENCODING_UNSUPPORTED,
    Flaw.CHARSET: Fault.CHARSET_UNSUPPORTED,
}


def of_body(error: BadBody) -> Problem:
    return Problem(_BODIES[error.flaw], error.detail)
