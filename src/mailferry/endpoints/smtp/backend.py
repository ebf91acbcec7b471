"""The waist between the SMTP session (RFC 5321) and the product: what is asked, and what the answers mean."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mailferry.endpoints.line_server import Log
from mailferry.endpoints.smtp.replies import Reply

__all__ = ["Backend", "Envelope", "Identity", "Log", "PasswordBackend", "Peer"]

# Whatever `authenticate` returned: the session keeps it and hands it back, and never looks inside. A type variable
# would say the same and travel through every signature.
Identity = Any


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is connected, and how.

    `tls` is "TLSv1.3 TLS_AES_256_GCM_SHA384", or "" in clear. `local` is our side as "address:port". `helo` is what
    the client calls itself, verified by nobody; "" before EHLO.
    """

    ip: str
    port: int
    tls: str = ""
    local: str = ""
    helo: str = ""


@dataclass(slots=True)
class Envelope:
    """One mail transaction.

    `sender` is "" for the null path; addresses are as `mailferry.mail.address.parse` gives them. `size` is what the
    client declared, 0 when it did not. `memo` belongs to the backend: what it learnt in `rcpt` and wants in `data`.
    """

    sender: str
    size: int = 0
    body8bit: bool = False
    smtputf8: bool = False
    recipients: list[str] = field(default_factory=list)
    memo: Any = None


class PasswordBackend(Protocol):
    """The product as the session sees it.

    The calls of one session come one after the other. When the client goes away, the call that runs is cancelled: it
    must either have happened or not. An exception is a bug; the client hears 451 and may try again. A reply with code
    421 also ends the connection.
    """

    @property
    def greeting_name(self) -> str:
        """The host name of the greeting and of EHLO (RFC 5321 4.2)."""

    async def authenticate(self, peer: Peer, username: str, password: str) -> Identity | Reply:
        """Who that is, or the reply that says no. Permanent refusals (5xx) are counted."""

    def account(self, identity: Identity) -> Hashable:
        """Whose it is: connections are counted by that."""

    def words(self, identity: Identity) -> Mapping[Reply, Reply]:
        """What the session itself says to it in other words than its own (replies.py)."""

    async def mail(self, identity: Identity | None, sender: str, size: int, peer: Peer) -> Reply | None:
        """May it begin? None, or a reply of 2xx, accepts. `identity` is None where no AUTH is required."""

    async def rcpt(self, identity: Identity | None, envelope: Envelope, address: str) -> Reply | None:
        """May `address` be added to `envelope.recipients`? None, or a reply of 2xx, accepts."""

    async def data(self, identity: Identity | None, envelope: Envelope, message: bytes) -> Reply:
        """Take the message, dots unstuffed, every line ended by CRLF. A reply of 2xx takes responsibility for it."""


class Backend(PasswordBackend, Protocol):
    """One that also takes challenges."""

    async def challenged(self, peer: Peer, username: str, challenge: bytes, digest: str) -> Identity | Reply:
        """As `authenticate`, for a client that tells the HMAC-MD5 of a challenge (in hex) and not the password (RFC 2195)."""
