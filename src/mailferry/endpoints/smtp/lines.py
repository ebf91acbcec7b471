"""Command lines out of the octets of a connection: their end, their length, what must not be in them (RFC 5321 2.3.8).

For commands what `data.Scanner` is for messages. Pure, no I/O.
"""

from __future__ import annotations

from mailferry.endpoints.smtp import replies
from mailferry.endpoints.smtp.data import CRLF, CRLF_OCTETS
from mailferry.endpoints.smtp.limits import Limits
from mailferry.endpoints.smtp.replies import Reply


class Lines:
    """Takes lines from the front of the buffer that it is given again and again."""

    __slots__ = ("_limits", "_skipping")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._skipping: Reply | None = None  # the rest of a line that is too long is being skipped, then this is said

    def take(self, buffer: bytearray, in_auth: bool) -> bytes | Reply | None:
        """The next line without its CRLF, the reply to one that is not acceptable, or None while it is not complete.

        `in_auth` says that it answers a challenge: such lines may be longer (RFC 4954 section 4).
        """
        end = buffer.find(CRLF)
        if end < 0:
            return self._judge_unfinished(buffer, in_auth)
        line = bytes(buffer[:end])
        if b"\n" in line or b"\r" in line:
            return _bare(line)
        del buffer[: end + CRLF_OCTETS]
        if self._skipping is not None:
            too_long, self._skipping = self._skipping, None
            return too_long
        size = end + CRLF_OCTETS
        if size > self._limits.command_line and size > self._longest(line, in_auth):
            return _too_long(line, in_auth)
        return line if b"\0" not in line else replies.NUL_OCTET

    def _judge_unfinished(self, buffer: bytearray, in_auth: bool) -> Reply | None:
        if b"\n" in buffer or b"\r" in buffer[:-1]:
            return _bare(buffer)
        if self._skipping is not None or len(buffer) > self._longest(buffer, in_auth):
            # Refused when it ends, and as a whole. Only a CR that may belong to its end is kept.
            self._skipping = self._skipping or _too_long(buffer, in_auth)
            del buffer[:-1]
        return None

    def _longest(self, line: bytes | bytearray, in_auth: bool) -> int:
        return self._limits.auth_line if _is_auth(line, in_auth) else self._limits.command_line


def _is_auth(line: bytes | bytearray, in_auth: bool) -> bool:
    return in_auth or line[:5].upper() == b"AUTH "


def _too_long(line: bytes | bytearray, in_auth: bool) -> Reply:
    return replies.LONG_AUTH_LINE if _is_auth(line, in_auth) else replies.LONG_LINE


def _bare(line: bytes | bytearray) -> Reply:
    """The reply to a line with a bare CR or LF: the one that comes first."""
    lf, cr = line.find(b"\n"), line.find(b"\r")
    return replies.BARE_LF if lf >= 0 and not 0 <= cr < lf else replies.BARE_CR
