"""The ``mail`` object of Amazon's events: what was sent, by whom and to whom, with the header that it came with."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mailferry.consumers.ses.words import iso
from mailferry.mail import address, header
from mailferry.mail.address import BadAddress
from mailferry.resources.arns import arn, aws_account

#: Octets of a header that events repeat.
MOST = 10 * 1024
_FIELDS = re.compile(rb"(?m)^([!-9;-~]+):(.*\r\n(?:[ \t].*\r\n)*)")
_LISTS = {"from": b"from", "to": b"to", "cc": b"cc", "bcc": b"bcc", "replyTo": b"reply-to"}


@dataclass(frozen=True, slots=True)
class Sent:
    """One message, as events tell of it."""

    account_id: int
    public_id: str
    #: Unix milliseconds.
    created_at: int
    #: The sending domain, and the address in From.
    domain_name: str
    sender: str
    client_ip: str
    recipients: Sequence[str]
    #: What it was sent with (intake/submission.Publishing).
    publishing: Mapping[str, Any]
    #: The first octets of what is stored; empty where they are forgotten.
    head: bytes = b""


def mail(sent: Sent, *, headers: bool) -> dict[str, Any]:
    """What both kinds of event have. ``headers``: with the header, as far as it is still kept."""
    facts = sent.publishing
    found = {
        "timestamp": iso(sent.created_at),
        "source": facts.get("source") or sent.sender,
        "sourceArn": arn("ses", facts.get("region", ""), sent.account_id, f"identity/{sent.domain_name}"),
        "sendingAccountId": aws_account(sent.account_id),
        "messageId": sent.public_id,
        "destination": list(sent.recipients),
    }
    if not headers or not sent.head:
        return found
    fields, truncated = _fields(sent.head)
    return found | {
        "headersTruncated": truncated,
        "headers": [{"name": name, "value": value} for name, value in fields],
        "commonHeaders": _common(sent, fields),
    }


def published(sent: Sent, local_ip: str = "") -> dict[str, Any]:
    """As event publishing has it. ``local_ip``: where it left from, once it left."""
    found = mail(sent, headers=True)
    if common := found.get("commonHeaders"):
        common["messageId"] = sent.public_id
    return found | {"tags": _tags(sent, local_ip)}


def notified(sent: Sent, *, headers: bool) -> dict[str, Any]:
    """As notifications of an identity have it."""
    return mail(sent, headers=headers) | {
        "sourceIp": sent.client_ip,
        "callerIdentity": sent.publishing.get("caller", ""),
    }


def _tags(sent: Sent, local_ip: str) -> dict[str, list[str]]:
    """Those of the sender, and those that every message has."""
    facts = sent.publishing
    own = {
        "ses:operation": facts.get("operation", ""),
        "ses:configuration-set": facts.get("set", ""),
        "ses:source-ip": sent.client_ip,
        "ses:from-domain": sent.sender.rpartition("@")[2],
        "ses:caller-identity": facts.get("caller", ""),
        "ses:outgoing-ip": local_ip,
    }
    return {**{name: [value] for name, value in own.items() if value}, **facts.get("tags", {})}


def _fields(head: bytes) -> tuple[list[tuple[str, str]], bool]:
    """In their order, unfolded and not decoded; whether there were more."""
    end = head.find(b"\r\n\r\n")
    block, truncated = (head, len(head) > MOST) if end < 0 else (head[: end + 2], end > MOST)
    found: list[tuple[str, str]] = []
    for match in _FIELDS.finditer(block):
        if match.end() > MOST:
            return found, True
        name, value = match[1].decode("ascii"), match[2].replace(b"\r\n", b"").strip(b" \t")
        found.append((name, value.decode("utf-8", "replace")))
    return found, truncated


def _common(sent: Sent, fields: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Amazon leaves out what is not there."""
    first: dict[bytes, str] = {}
    for name, value in fields:
        first.setdefault(name.lower().encode(), value)
    found: dict[str, Any] = {name: _mailboxes(first[field]) for name, field in _LISTS.items() if field in first}
    for name, field in (("date", b"date"), ("messageId", b"message-id")):
        if field in first:
            found[name] = first[field]
    if b"subject" in first:
        found["subject"] = header.decode(first[b"subject"].encode())
    return found


def _mailboxes(value: str) -> list[str]:
    try:
        return [header.format_mailbox(each) for each in address.parse_mailboxes(value)]
    except (BadAddress, header.BadHeader):
        return [value]
