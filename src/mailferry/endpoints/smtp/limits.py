"""What one SMTP connection, and all of them together, may use (RFC 5321 sections 4.5.3.1 and 4.5.3.2).

Every bound is a constant with its reason and a field of `Limits`, so that a listener and a test can choose their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass

MIB = 1024 * 1024

# As large as a body of the HTTP endpoints may be; Mailtrap takes 10 MB, Amazon SES 40 MB.
MESSAGE_OCTETS = 50 * MIB
# RFC 5321 4.5.3.1.6: 1000 octets with CRLF. Longer lines are cut or refused by the next hop, so the sender hears it
# here.
TEXT_LINE_OCTETS = 998
# RFC 5321 4.5.3.1.4: 512 octets with CRLF, and what the extensions add to MAIL: SIZE 26 (RFC 1870), BODY 17 (RFC 6152),
# SMTPUTF8 10 (RFC 6531), AUTH 500 (RFC 4954). One bound for all commands but AUTH: a table would protect nothing more.
COMMAND_OCTETS = 512 + 26 + 17 + 10 + 500
# RFC 4954 section 4: the bound that fits every SASL mechanism.
AUTH_OCTETS = 12288
# RFC 5321 4.5.3.1.8 asks for at least 100; 1000 is what Postfix takes and what mailing applications are tuned to.
RECIPIENTS = 1000
# Mailtrap stops at 100. Ten times that: who reuses a connection saves us a TLS handshake and an AUTH a message.
MESSAGES = 1000
# Postfix' smtpd_hard_error_limit: a client that is wrong twenty times is out of step, or guesses.
BAD_COMMANDS = 20
# Clients that try PLAIN and then LOGIN with one wrong password fail twice.
AUTH_FAILURES = 3
# One connection holds at most INPUT_OCTETS and one read (256 KiB) of unprocessed input: 320 MiB for all of them, at
# worst.
CONNECTIONS = 1000
CONNECTIONS_PER_ADDRESS = 100
# Mailtrap stops at 10. Ten times that, for the pools of an application's servers add up; in each process, since they do
# not count together.
CONNECTIONS_PER_ACCOUNT = 100
# RFC 5321 4.5.3.2.7: at least five minutes.
IDLE_SECONDS = 300.0
# A connection is not for ever: nodes are drained, and revoked credentials end with it.
CONNECTION_SECONDS = 3600.0
# 50 MiB in 15 minutes is 0.5 Mbit/s; slower is a slow loris.
DATA_SECONDS = 900.0
HANDSHAKE_SECONDS = 30.0
# A client that half-closes after its last command still gets its answer, a client that is gone is not worked for
# longer.
EOF_GRACE_SECONDS = 5.0
# After a last reply input is read on for this long: closing with unread input resets the connection, and the client
# would lose the reply that tells it why.
LINGER_SECONDS = 2.0
# Unprocessed input beyond which reading pauses while the backend works (pipelined commands).
INPUT_OCTETS = 64 * 1024
# Message octets in memory over all sessions: five of the largest, or 60,000 of the usual ones.
BUDGET_OCTETS = 256 * MIB


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one server; octets and seconds."""

    message: int = MESSAGE_OCTETS
    text_line: int = TEXT_LINE_OCTETS
    command_line: int = COMMAND_OCTETS
    auth_line: int = AUTH_OCTETS
    recipients: int = RECIPIENTS
    messages: int = MESSAGES
    bad_commands: int = BAD_COMMANDS
    auth_failures: int = AUTH_FAILURES
    connections: int = CONNECTIONS
    connections_per_address: int = CONNECTIONS_PER_ADDRESS
    connections_per_account: int = CONNECTIONS_PER_ACCOUNT
    idle: float = IDLE_SECONDS
    connection: float = CONNECTION_SECONDS
    data: float = DATA_SECONDS
    handshake: float = HANDSHAKE_SECONDS
    eof_grace: float = EOF_GRACE_SECONDS
    linger: float = LINGER_SECONDS
    input: int = INPUT_OCTETS
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


class Gate:
    """At most `limit` connections at once that are logged in to one account."""

    __slots__ = ("_limit", "_open")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: Counter[Hashable] = Counter()

    def enter(self, account: Hashable) -> bool:
        """One more; False when that would be too many."""
        if self._open[account] >= self._limit:
            return False
        self._open[account] += 1
        return True

    def leave(self, account: Hashable) -> None:
        """A connection that was let in is gone, or has begun anew by STARTTLS."""
        count_down(self._open, account)


def count_down(counter: Counter[Hashable], key: Hashable) -> None:
    """One less; what has come down to nothing is forgotten."""
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
