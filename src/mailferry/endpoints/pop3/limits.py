"""What one POP3 connection, and all of them together, may use; what any connection may is in connection_limits.py."""

from __future__ import annotations

from dataclasses import dataclass

from mailferry.endpoints.connection_limits import ConnectionLimits

# RFC 2449 section 4: 255 octets with CRLF.
COMMAND_OCTETS = 255
# RFC 1939 section 3: at least ten minutes.
IDLE_SECONDS = 600.0
# Octets of messages that are being read, over all sessions: a client that reads slowly holds its message for as long.
READING_OCTETS = 256 * 1024 * 1024
# Seconds that a session waits for room among them.
PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Limits(ConnectionLimits):
    """The bounds of one server; octets and seconds."""

    idle: float = IDLE_SECONDS
    command_line: int = COMMAND_OCTETS
    reading: int = READING_OCTETS
