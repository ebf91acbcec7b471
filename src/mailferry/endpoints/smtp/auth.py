"""The AUTH exchange (RFC 4954) for PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login).

Pure: from responses to credentials. No reply made here, and no representation of a value, holds anything that the
client sent.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

from mailferry.endpoints.smtp.replies import AUTH_BASE64, AUTH_CANCELLED, AUTH_MALFORMED, AUTH_PROXY, Reply

MECHANISMS = ("PLAIN", "LOGIN")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client claims. Both are kept out of the representation: people put passwords into user names."""

    username: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the server asks next, in base64."""

    base64: str


USERNAME = Challenge("VXNlcm5hbWU6")  # "Username:"
PASSWORD = Challenge("UGFzc3dvcmQ6")  # "Password:"
EMPTY = Challenge("")  # RFC 4954 section 4: an empty challenge still has the space after 334

Outcome = Challenge | Credentials | Reply


class Exchange:
    """One AUTH command from its first line to credentials or a refusal."""

    __slots__ = ("_username", "mechanism")

    def __init__(self, mechanism: str) -> None:
        self.mechanism = mechanism
        self._username: str | None = None

    def begin(self, initial: str | None) -> Outcome:
        """The answer to the AUTH line; `initial` is its initial response, None without one."""
        if initial is None:
            return EMPTY if self.mechanism == "PLAIN" else USERNAME
        # RFC 4954 section 4: "=" is an initial response of no octets.
        return self._respond(b"" if initial == "=" else initial.encode())

    def answer(self, line: bytes) -> Outcome:
        """The answer to a line that responds to a challenge."""
        return AUTH_CANCELLED if line == b"*" else self._respond(line)

    def _respond(self, encoded: bytes) -> Outcome:
        try:
            text = base64.b64decode(encoded, validate=True).decode("utf-8")
        except binascii.Error:
            return AUTH_BASE64
        except UnicodeDecodeError:
            return AUTH_MALFORMED
        return self._plain(text) if self.mechanism == "PLAIN" else self._login(text)

    def _plain(self, text: str) -> Outcome:
        """RFC 4616 section 2: authorization identity NUL authentication identity NUL password."""
        parts = text.split("\0")
        if len(parts) != 3:
            return AUTH_MALFORMED
        authorize, username, password = parts
        if authorize not in ("", username):
            return AUTH_PROXY
        return Credentials(username, password)

    def _login(self, text: str) -> Outcome:
        if "\0" in text:
            return AUTH_MALFORMED
        if self._username is None:
            self._username = text
            return PASSWORD
        return Credentials(self._username, text)
