"""SMTP replies as values and as octets (RFC 5321 section 4.2, RFC 2034), and those that the session gives by itself.

Texts that clients look for are kept as the field knows them; `552 5.3.4 Error: message too big`,
`530 5.7.1 Authentication required` and `535 5.7.8 Too many connections per account` are Mailtrap's.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

# RFC 5321 4.5.3.1.5: a reply line has at most 512 octets with its code and CRLF. What is left for code, enhanced code
# and the spaces between them is 32.
REPLY_TEXT_OCTETS = 480
# A reply is for people; a backend that answers a novel is cut off, so that clients with small buffers survive it.
REPLY_LINES = 8


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer to one command.

    `code` is the three-digit SMTP code, and 421 also ends the connection. `enhanced` is the RFC 3463 code ("5.7.1"),
    or "" where RFC 2034 section 4 has none (greeting, EHLO, 3xx). `text` may come from anywhere: what would break a
    reply line is cleaned away when it is written.
    """

    code: int
    enhanced: str
    text: str

    def wire(self) -> bytes:
        """The reply as it goes over the wire: one line, or several of at most 512 octets when the text is long."""
        # Anything else would put the client out of step: a code that is no code is our failure, not the client's.
        code = self.code if 200 <= self.code <= 599 else 451
        enhanced = f"{clean(self.enhanced)} " if self.enhanced else ""
        text = clean(self.text)
        if len(text) <= REPLY_TEXT_OCTETS:
            return f"{code} {enhanced}{text}\r\n".encode("ascii")
        lines = textwrap.wrap(text, REPLY_TEXT_OCTETS)[:REPLY_LINES] or [""]
        # RFC 2034 section 4: the enhanced code stands on every line.
        parts = [f"{code}-{enhanced}{line}\r\n" for line in lines[:-1]]
        return "".join([*parts, f"{code} {enhanced}{lines[-1]}\r\n"]).encode("ascii")


def clean(text: str) -> str:
    """`text` as it may stand in a reply line: RFC 5321 4.2 `textstring`, printable ASCII.

    A backend's text can hold what a stranger wrote. A line break in it would forge a second reply; without SMTPUTF8
    for replies (RFC 6531 3.7.4.1) other alphabets are not allowed either.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if " " <= char <= "~" else ("?" if char.isprintable() else " ") for char in text)


# Accepting.
MAIL_OK = Reply(250, "2.1.0", "Sender ok")
RCPT_OK = Reply(250, "2.1.5", "Recipient ok")
DATA_GO = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
OK = Reply(250, "2.0.0", "Ok")
BYE = Reply(221, "2.0.0", "Bye")
TLS_GO = Reply(220, "2.0.0", "Ready to start TLS")
AUTH_OK = Reply(235, "2.7.0", "Authentication successful")
# RFC 5321 3.5.3: 252 for a server that will not say, so that VRFY finds no addresses.
VRFY = Reply(252, "2.0.0", "Cannot verify a user, but a message to it will be tried")
HELP = Reply(214, "2.0.0", "Commands: EHLO HELO STARTTLS AUTH MAIL RCPT DATA RSET NOOP VRFY HELP QUIT")

# The line itself.
BARE_LF = Reply(500, "5.5.2", "Error: bare line feed, lines end with CR LF (RFC 5321 2.3.8)")
BARE_CR = Reply(500, "5.5.2", "Error: bare carriage return, lines end with CR LF (RFC 5321 2.3.8)")
NUL_OCTET = Reply(500, "5.5.2", "Error: NUL octet in a command")
LONG_LINE = Reply(500, "5.5.2", "Error: command line too long")
LONG_AUTH_LINE = Reply(500, "5.5.6", "Authentication exchange line is too long")  # RFC 4954 section 6
UNKNOWN = Reply(500, "5.5.1", "Error: command not recognized")
NOT_OFFERED = Reply(502, "5.5.1", "Error: command not implemented")

# The order of things (RFC 5321 4.1.4).
HELLO_FIRST = Reply(503, "5.5.1", "Error: send EHLO first")
MAIL_FIRST = Reply(503, "5.5.1", "Error: need MAIL command")
NESTED_MAIL = Reply(503, "5.5.1", "Error: nested MAIL command")
NO_RECIPIENTS = Reply(554, "5.5.1", "Error: no valid recipients")  # RFC 2920 3.1 (5): DATA after refused RCPTs
TLS_ACTIVE = Reply(503, "5.5.1", "Error: TLS is already active")
AUTH_TWICE = Reply(503, "5.5.1", "Error: already authenticated")

# Who may.
AUTH_REQUIRED = Reply(530, "5.7.1", "Authentication required")
# RFC 3207 section 4 gives this answer to whatever must not be said in clear, and it names the remedy; Gmail and
# others made clients know it. RFC 4954's 538 is left for a connection that has no STARTTLS to offer, where the remedy
# would be a lie.
TLS_REQUIRED = Reply(530, "5.7.0", "Must issue a STARTTLS command first")
ENCRYPTION_REQUIRED = Reply(538, "5.7.11", "Encryption required for requested authentication mechanism")
AUTH_MECHANISM = Reply(504, "5.5.4", "Unrecognized authentication type")
AUTH_CANCELLED = Reply(501, "5.7.0", "Authentication cancelled")
AUTH_BASE64 = Reply(501, "5.5.2", "Cannot decode the authentication response: it is no base64")
AUTH_MALFORMED = Reply(501, "5.5.2", "Malformed authentication response")
AUTH_PROXY = Reply(535, "5.7.8", "Authorization on behalf of another user is not supported")
AUTH_UNAVAILABLE = Reply(454, "4.7.0", "Temporary authentication failure")  # RFC 4954 section 6
TOO_MANY_FAILURES = Reply(421, "4.7.0", "Too many failed authentications, closing connection")

# Amounts.
TOO_BIG = Reply(552, "5.3.4", "Error: message too big")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Error: too many recipients")
TOO_MANY_MESSAGES = Reply(421, "4.7.0", "Too many messages on this connection, connect again")
TOO_MANY_ERRORS = Reply(421, "4.7.0", "Too many errors, closing connection")
TOO_MANY_CONNECTIONS = Reply(421, "4.7.0", "Too many connections, try again later")
TOO_MANY_FROM_ADDRESS = Reply(421, "4.7.0", "Too many connections from your address, try again later")
TOO_MANY_OF_ACCOUNT = Reply(535, "5.7.8", "Too many connections per account")
NO_MEMORY = Reply(451, "4.3.1", "Insufficient system resources, try again later")
NON_ASCII = Reply(553, "5.6.7", "Address is not ASCII, and the SMTPUTF8 parameter was not given")  # RFC 6531 3.5

# Ends.
HANG_UP = Reply(421, "4.4.2", "")  # is not said: the connection is cut
TIMEOUT = Reply(421, "4.4.2", "Timeout, closing connection")
SHUTDOWN = Reply(421, "4.3.2", "Service is shutting down, try again later")
LOCAL_ERROR = Reply(451, "4.3.0", "Local error in processing, try again later")
BROKEN = Reply(421, "4.3.0", "Local error, closing connection")
