"""The AUTH exchange of SMTP (RFC 4954) and POP3 (RFC 5034): PLAIN (RFC 4616), LOGIN (draft-murchison-sasl-login) and
CRAM-MD5 (RFC 2195).

Pure: from responses to credentials. No value made here shows anything that the client sent when it is printed.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from dataclasses import dataclass, field
from enum import Enum, auto

#: They tell the password.
PASSWORD_MECHANISMS = ("PLAIN", "LOGIN")
CHALLENGE_MECHANISM = "CRAM-MD5"

#: RFC 2195: the user's name may hold spaces, the digest is 16 octets in hex.
_DIGEST = re.compile(r"(.+) ([0-9A-Fa-f]{32})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client claims. Both are kept out of the representation: people put passwords into user names."""

    username: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Digest:
    """What a client claims without telling its password: that it is the key of this HMAC-MD5 (in hex) of our challenge."""

    username: str = field(repr=False)
    challenge: bytes
    digest: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the server asks next, in base64."""

    base64: str


USERNAME = Challenge("VXNlcm5hbWU6")  # "Username:"
PASSWORD = Challenge("UGFzc3dvcmQ6")  # "Password:"
EMPTY = Challenge("")  # RFC 4954 section 4: an empty challenge still has the space after 334


class Failure(Enum):
    """Why an exchange came to nothing; each protocol has its own words for it."""

    CANCELLED = auto()
    NOT_BASE64 = auto()
    MALFORMED = auto()
    #: On behalf of another user (RFC 4616 authorization identity).
    PROXY = auto()


Outcome = Challenge | Credentials | Digest | Failure


class Exchange:
    """One AUTH command from its first line to credentials or a refusal."""

    __slots__ = ("_challenge", "_username", "mechanism")

    def __init__(self, mechanism: str, host: str = "") -> None:
        """``host``: our name, which is part of a challenge that is no empty one."""
        self.mechanism = mechanism
        self._username: str | None = None
        # RFC 2195 section 2: it has the form of a Message-ID, and never comes twice.
        self._challenge = f"<{secrets.token_hex(16)}@{host}>".encode()

    def begin(self, initial: str | None) -> Outcome:
        """The answer to the AUTH line; `initial` is its initial response, None without one."""
        if self.mechanism == CHALLENGE_MECHANISM:
            # RFC 4954 section 4: where the server speaks first there is no initial response.
            return Challenge(base64.b64encode(self._challenge).decode()) if initial is None else Failure.MALFORMED
        if initial is None:
            return EMPTY if self.mechanism == "PLAIN" else USERNAME
        # RFC 4954 section 4: "=" is an initial response of no octets.
        return self._respond(b"" if initial == "=" else initial.encode())

    def answer(self, line: bytes) -> Outcome:
        """The answer to a line that responds to a challenge."""
        return Failure.CANCELLED if line == b"*" else self._respond(line)

    def _respond(self, encoded: bytes) -> Outcome:
        try:
            text = base64.b64decode(encoded, validate=True).decode("utf-8")
        except binascii.Error:
            return Failure.NOT_BASE64
        except UnicodeDecodeError:
            return Failure.MALFORMED
        if self.mechanism == CHALLENGE_MECHANISM:
            return self._digest(text)
        return self._plain(text) if self.mechanism == "PLAIN" else self._login(text)

    def _digest(self, text: str) -> Outcome:
        found = _DIGEST.fullmatch(text)
        return Digest(found[1], self._challenge, found[2]) if found and "\0" not in text else Failure.MALFORMED

    def _plain(self, text: str) -> Outcome:
        """RFC 4616 section 2: authorization identity NUL authentication identity NUL password."""
        parts = text.split("\0")
        if len(parts) != 3:
            return Failure.MALFORMED
        authorize, username, password = parts
        if authorize not in ("", username):
            return Failure.PROXY
        return Credentials(username, password)

    def _login(self, text: str) -> Outcome:
        if "\0" in text:
            return Failure.MALFORMED
        if self._username is None:
            self._username = text
            return PASSWORD
        return Credentials(self._username, text)
