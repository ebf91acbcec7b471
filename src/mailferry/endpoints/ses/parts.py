"""Parts that the forms of every way of sending have alike: destinations, tags, headers, attachments."""

from collections.abc import Mapping, Sequence
from typing import Any

from mailferry.endpoints.ses import addresses
from mailferry.endpoints.ses.errors import invalid
from mailferry.endpoints.ses.outgoing import Tag
from mailferry.intake.submission import Rcpt
from mailferry.mail.compose import Attachment

_DISPOSITIONS = {"INLINE": "inline", "ATTACHMENT": "attachment"}
#: Of one message (quotas).
MAX_HEADERS = 15


def destination(given: Mapping[str, Any]) -> tuple[Any, Any, tuple[Rcpt, ...]]:
    """Mailboxes of To and of Cc, and all recipients with those of Bcc. Raises `SesError`."""
    to, cc, bcc = (addresses.mailboxes(given.get(name, ())) for name in ("ToAddresses", "CcAddresses", "BccAddresses"))
    kinds = ((to, "to"), (cc, "cc"), (bcc, "bcc"))
    return to, cc, tuple(rcpt for found, kind in kinds for rcpt in addresses.recipients(found, kind))


def tags(given: Sequence[Mapping[str, str]]) -> list[Tag]:
    return [Tag(each.get("Name", ""), each.get("Value", "")) for each in given]


def headers(given: Sequence[Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
    """Raises `SesError`."""
    if len(given) > MAX_HEADERS:
        raise invalid(f"A message has at most {MAX_HEADERS} headers of its own, this one has {len(given)}")
    return tuple((each["Name"], each["Value"]) for each in given)


def attachment(given: Mapping[str, Any]) -> Attachment:
    inline = _DISPOSITIONS.get(given.get("ContentDisposition", ""), "attachment") == "inline"
    return Attachment(
        filename=given["FileName"],
        content=given["RawContent"],
        content_type=given.get("ContentType") or "application/octet-stream",
        # Without an id nothing in the HTML can name it.
        disposition="inline" if inline and given.get("ContentId") else "attachment",
        content_id=given.get("ContentId", ""),
    )
