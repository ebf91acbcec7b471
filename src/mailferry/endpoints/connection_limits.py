"""What one connection of a server that talks in lines may use, and all of them together; SMTP and POP3 add their own.

Every bound is a constant with its reason and a field, so that a listener and a test can choose their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass

# RFC 4954 section 4, RFC 5034 section 4: the bound that fits every SASL mechanism.
AUTH_OCTETS = 12288
# A client that is wrong twenty times is out of step, or guesses (Postfix' smtpd_hard_error_limit).
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
# For one message, to us or from us: 50 MiB in 15 minutes is 0.5 Mbit/s; slower is a slow loris.
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


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The bounds of one server; octets and seconds."""

    auth_line: int = AUTH_OCTETS
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
