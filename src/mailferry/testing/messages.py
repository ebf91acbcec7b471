"""A caught message as a test sees it."""

import json
from collections.abc import Mapping
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import cached_property
from typing import Any

from mailferry.testing.http import Failed, Http


class NoMessage(AssertionError):
    """What was expected is not in the inbox. The text says what is there instead, and how it differs."""


class Message:
    """What the list shows is there at once; the message itself is fetched when it is looked at."""

    def __init__(self, http: Http, path: str, shown: Mapping[str, Any]) -> None:
        self._http, self._path = http, path
        self.id: int = shown["id"]
        self.subject: str = shown["subject"]
        self.from_email: str = shown["from_email"]
        self.from_name: str = shown["from_name"]
        #: The first of To.
        self.to_email: str = shown["to_email"]
        self.to_name: str = shown["to_name"]
        self.created_at = datetime.fromisoformat(shown["created_at"])
        self.category: str = shown["category"]
        self.custom_variables: dict[str, Any] = shown["custom_variables"]
        envelope = shown["smtp_information"].get("data", {})
        #: Of the envelope, Bcc among them; empty where the message came by the API.
        self.envelope_from: str = envelope.get("mail_from_addr", "")
        self.envelope_to: list[str] = envelope.get("rcpt_to_addrs", [])

    def __repr__(self) -> str:
        return f"<Message {self.id} to {self.to_email}: {self.subject!r}>"

    @cached_property
    def raw(self) -> bytes:
        """As it came."""
        body = self._body("body.eml")
        assert body is not None
        return body

    @cached_property
    def email(self) -> EmailMessage:
        """Read by Python's email package: headers as `message.email["Reply-To"]`."""
        return message_from_bytes(self.raw, policy=default)

    @cached_property
    def text(self) -> str | None:
        """None: it has no plain text."""
        body = self._body("body.txt")
        return None if body is None else body.decode()

    @cached_property
    def html(self) -> str | None:
        """None: it has no HTML."""
        body = self._body("body.html")
        return None if body is None else body.decode()

    @cached_property
    def attachments(self) -> dict[str, bytes]:
        """Contents by file name."""
        found = [part for part in self.email.walk() if part.get_filename()]
        return {str(part.get_filename()): part.get_payload(decode=True) for part in found}  # type: ignore[misc]

    def _body(self, name: str) -> bytes | None:
        status, body = self._http.ask("GET", f"{self._path}/{self.id}/{name}")
        if status not in (200, 409):
            raise Failed(f"message {self.id} cannot be read any more: {status} {body.decode(errors='replace')[:200]}")
        return body if status == 200 else None


def told(answer: bytes) -> str:
    """What a 422 says, in lines to be read in the output of a test."""
    found = json.loads(answer)
    lines = [text for texts in found["errors"].values() for text in texts]
    for near in found.get("nearest", ()):
        shown = near["message"]
        lines.append(f"  message {shown['id']} to {shown['to_email']}: {shown['subject']!r}")
        lines += [
            f"    {each['condition']}: wanted {each['wanted']!r}, found {each['found']!r}"
            for each in near["differences"]
        ]
    if "nearest" in found and not found["nearest"]:
        lines.append("  the inbox is empty")
    return "\n".join(lines)
