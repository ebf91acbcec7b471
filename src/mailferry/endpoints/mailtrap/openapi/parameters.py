"""Parameters of paths and headers by their names: each is the same wherever it stands."""

from typing import Any

from mailferry.endpoints.mailtrap.openapi.schemas import ID, UUID, integer, text
from mailferry.endpoints.mailtrap.sending import MAX_KEY


def _in_path(name: str, about: str, schema: Any = ID) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": about, "schema": schema}


_PATH = (
    _in_path("account_id", "The account. A token of an organization may name each account of it."),
    _in_path("account_access_id", "What a user, an invitation or a token has access by."),
    _in_path("api_token_id", "The token's id, which is not the token."),
    _in_path("invitation_id", "The invitation."),
    _in_path("organization_id", "The organization."),
    _in_path("inbox_id", "The sandbox's inbox."),
    _in_path("sandbox_id", "The sandbox's inbox."),
    _in_path("project_id", "The project."),
    _in_path("inbox_message_id", "The message that an inbox caught."),
    _in_path("share_link_id", "The share link."),
    _in_path("attachment_id", "The attachment."),
    _in_path("sending_domain_id", "The sending domain."),
    _in_path("domain_id", "The sending domain."),
    _in_path("email_template_id", "The template."),
    _in_path("template_id", "The template."),
    _in_path("version", "The version's number, from 1."),
    _in_path("list_id", "The contact list."),
    _in_path("field_id", "The contact field."),
    _in_path("import_id", "The import."),
    _in_path("export_id", "The export."),
    _in_path("segment_id", "The segment."),
    _in_path("webhook_id", "The webhook."),
    _in_path("message_id", "The id that sending answered: one recipient of a message.", UUID),
    _in_path("suppression_id", "The suppression.", UUID),
    _in_path("tracking_opt_out_id", "What stands for a recipient of a domain.", UUID),
    _in_path(
        "contact_identifier",
        "The contact's id, or its address, percent-encoded.",
        text(minLength=1, examples=["ann@example.com"]),
    ),
)
_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key with the same body is sent once, and answered alike each time.",
    "schema": text(minLength=1, maxLength=MAX_KEY, pattern="^[ -~]+$"),
}
COMPONENTS: dict[str, Any] = {each["name"]: each for each in (*_PATH, _KEY)}

#: Which may be missing: an operator may lift the limits.
_HEADERS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("X-Request-Id", "Names this request in the server's log.", text()),
    ("X-Mailtrap-Version", "Always `v2`.", text()),
    ("X-Ratelimit-Limit", "How many requests the nearest limit allows.", integer(minimum=0)),
    ("X-Ratelimit-Remaining", "How many of them are left.", integer(minimum=0)),
    ("X-Ratelimit-Reset", "Seconds until there is room again.", integer(minimum=0)),
    ("Retry-After", "Seconds to wait.", integer(minimum=0)),
    ("Idempotent-Replayed", "`true`: this key was answered before, and nothing was sent again.", text()),
)
HEADERS: dict[str, Any] = {name: {"description": about, "schema": schema} for name, about, schema in _HEADERS}
SEND_HEADERS = ("X-Request-Id",)
GENERAL_HEADERS = ("X-Request-Id", "X-Mailtrap-Version", "X-Ratelimit-Limit", "X-Ratelimit-Remaining")
