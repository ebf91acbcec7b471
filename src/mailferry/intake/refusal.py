"""Why the intake said no: one list of reasons, without a wire word. Each endpoint owns the table from reason to text."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """The value is the name in logs and metrics."""

    WRONG_TYPE = "wrong_type"  # detail: what would be right, e.g. "a string"
    FROM_REQUIRED = "from_required"
    FROM_INVALID = "from_invalid"
    FROM_FIELDS = (
        "from_fields"  # not exactly one From field with one mailbox (RFC 5322 3.6.2 allows more, a sender rule cannot)
    )
    FROM_MISMATCH = "from_mismatch"  # envelope and From are of different domains
    SENDER_NOT_ALLOWED = (
        "sender_not_allowed"  # not a verified domain of this account, or not this token's; detail says which
    )
    DEMO_RECIPIENT = "demo_recipient"  # the demo domain writes to the simulator only
    INBOX_NOT_ALLOWED = (
        "inbox_not_allowed"  # of the sandbox: there is none, or it is not this token's; detail says which
    )
    ENVIRONMENT_INBOX_GONE = (
        "environment_inbox_gone"  # the environment rule has it caught by an inbox that is not there; detail: its number
    )
    RECIPIENT_REQUIRED = "recipient_required"
    RECIPIENTS_TOO_MANY = "recipients_too_many"  # detail: the limit
    ADDRESS_INVALID = "address_invalid"
    SUBJECT_REQUIRED = "subject_required"
    BODY_REQUIRED = "body_required"
    TEXT_INVALID = "text_invalid"  # NUL, or characters that no encoding can carry
    HEADER_NAME_INVALID = "header_name_invalid"
    HEADER_VALUE_INVALID = "header_value_invalid"
    HEADER_RESERVED = "header_reserved"
    ATTACHMENT_FIELD_REQUIRED = "attachment_field_required"
    ATTACHMENT_NOT_BASE64 = "attachment_not_base64"
    ATTACHMENT_TYPE_INVALID = "attachment_type_invalid"
    ATTACHMENT_DISPOSITION_INVALID = "attachment_disposition_invalid"
    CATEGORY_TOO_LONG = "category_too_long"
    VARIABLES_TOO_LONG = "variables_too_long"
    VARIABLE_INVALID = "variable_invalid"
    NOT_ALLOWED_WITH_TEMPLATE = "not_allowed_with_template"
    TEMPLATE_UNKNOWN = "template_unknown"
    TEMPLATE_FAILED = "template_failed"  # it cannot be rendered with these variables; detail: which text, where and why
    TEMPLATE_EMPTY = "template_empty"  # detail: what the message would lack
    MESSAGE_MALFORMED = "message_malformed"  # a raw message whose header block cannot be read; detail says where
    MESSAGE_TOO_LARGE = "message_too_large"  # detail: the limit in octets
    RATE_EXCEEDED = "rate_exceeded"  # of the account, in a second
    QUOTA_EXCEEDED = "quota_exceeded"  # of the account, in 24 hours


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that is wrong: where (``to``, index 2), and what would be right."""

    reason: Reason
    field: str = ""
    index: int | None = None
    detail: str = ""
