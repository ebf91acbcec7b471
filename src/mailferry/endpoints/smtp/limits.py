"""What one SMTP connection, and all of them together, may use (RFC 5321 sections 4.5.3.1 and 4.5.3.2).

What any connection may use is in `endpoints/connection_limits.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailferry.endpoints.connection_limits import ConnectionLimits

MIB = 1024 * 1024

# As large as a body of the HTTP endpoints may be; Mailtrap takes 10 MB, Amazon SES 40 MB.
MESSAGE_OCTETS = 50 * MIB
# RFC 5321 4.5.3.1.6: 1000 octets with CRLF. Longer lines are cut or refused by the next hop, so the sender hears it
# here.
TEXT_LINE_OCTETS = 998
# RFC 5321 4.5.3.1.4: 512 octets with CRLF, and what the extensions add to MAIL: SIZE 26 (RFC 1870), BODY 17 (RFC 6152),
# SMTPUTF8 10 (RFC 6531), AUTH 500 (RFC 4954). One bound for all commands but AUTH: a table would protect nothing more.
COMMAND_OCTETS = 512 + 26 + 17 + 10 + 500
# RFC 5321 4.5.3.1.8 asks for at least 100; 1000 is what Postfix takes and what mailing applications are tuned to.
RECIPIENTS = 1000
# Mailtrap stops at 100. Ten times that: who reuses a connection saves us a TLS handshake and an AUTH a message.
MESSAGES = 1000
# Message octets in memory over all sessions: five of the largest, or 60,000 of the usual ones.
BUDGET_OCTETS = 256 * MIB


@dataclass(frozen=True, slots=True)
class Limits(ConnectionLimits):
    """The bounds of one server; octets and seconds."""

    message: int = MESSAGE_OCTETS
    text_line: int = TEXT_LINE_OCTETS
    command_line: int = COMMAND_OCTETS
    recipients: int = RECIPIENTS
    messages: int = MESSAGES
    budget: int = BUDGET_OCTETS


class Budget:
    """Octets of message data that all sessions of a server may hold at once.

    A session that gets no more drops what it has, reads its message to the end and answers 451 4.3.1: pausing instead
    could leave every session waiting for octets that another one holds.
    """

    __slots__ = ("left",)

    def __init__(self, octets: int) -> None:
        self.left = octets

    def take(self, octets: int) -> bool:
        """Reserve `octets`; False when they are not there."""
        if octets > self.left:
            return False
        self.left -= octets
        return True

    def give(self, octets: int) -> None:
        """Return what `take` reserved."""
        self.left += octets
