"""Canonical forms of a message for DKIM: "relaxed" header fields and bodies, RFC 6376 3.4.2 and 3.4.4.

Relaxed bodies cost scans, "simple" ones (3.4.3) cost none, and relaxed was still chosen: a signature should survive a
gateway that trims or squeezes blanks, and the scans are small beside RSA. Microseconds on one core of an AMD EPYC,
CPython 3.11, SHA-256 included (one RSA-2048 signature in the same run: 800 to 900):

    body                                        simple   relaxed   relaxed by re.sub
    4 KiB of prose                                   4        12                 280
    4 KiB of indented HTML                           4        23                 150
    50 KiB of prose                                 34       145               3,000
    50 KiB of prose, a blank at each line end       35       310               3,300
    50 KiB of indented HTML                         34       380               3,500
    1 MiB of base64 behind 4 KiB of prose          670       740              26,000
    1 MiB of base64 behind 4 KiB of HTML           670       890              31,000

What a scan costs decided the code: one octet is looked for at memory speed, a needle of two or three at about 1 ns an
octet (bytes.translate is no faster), a regular expression with a class in it at 15 to 30.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence

from mailferry.mail.transfer import PIECE

# Regions without any blank (base64) are crossed at memory speed and only the rest is searched in windows of this many
# octets. Smaller ones pay for calls (0.2 us each), larger ones search into an attachment for nothing.
WINDOW = 8192

_BLANKS = re.compile(rb"[ \t\r\n]+")
_RUNS = re.compile(rb" {2,}")


def relaxed_fields(fields: Sequence[bytes]) -> bytes:
    """Whole header fields, one behind the other, in their relaxed form with CRLF behind each (RFC 6376 3.4.2).

    Folding is undone, runs of blanks become one, the name is lower case, nothing blank surrounds the colon.
    """
    whole = b"".join(fields)
    if b"\v" in whole or b"\f" in whole:
        # bytes.split() takes these two for blanks as well; to RFC 5234 (WSP) they are ordinary octets.
        return b"".join([_relaxed_odd(field) for field in fields])
    lines = []
    for field in fields:
        name, _, value = field.partition(b":")
        lines.append(b"%b:%b\r\n" % (name.rstrip().lower(), b" ".join(value.split())))
    return b"".join(lines)


def _relaxed_odd(field: bytes) -> bytes:
    name, _, value = field.partition(b":")
    return name.rstrip(b" \t").lower() + b":" + _BLANKS.sub(b" ", value).strip(b" ") + b"\r\n"


def relaxed_body_hash(message: bytes, start: int) -> bytes:
    """SHA-256 of the relaxed form of the body that begins at `start`.

    That of a large one is made in pieces: the work on the whole would hold the interpreter for a tenth of a second.
    """
    if len(message) - start <= PIECE:
        return hashlib.sha256(relaxed_body(message[start:])).digest()
    hashed = hashlib.sha256()
    held: list[bytes] = []  # line ends that count only where something follows
    is_empty = True
    for piece in _whole_lines(message, start):
        tidy = piece if _is_tidy(piece) else _tidied(piece)
        text = tidy.rstrip(b"\r\n")
        if text:
            for line_ends in held:
                hashed.update(line_ends)
            hashed.update(text)
            held = []
            is_empty = False
        held.append(tidy[len(text) :])
    if not is_empty:
        hashed.update(b"\r\n")
    return hashed.digest()


def _whole_lines(message: bytes, at: int) -> Iterator[bytes]:
    """Pieces that end with a line; one that is larger than a piece stays whole, for blanks run on inside it."""
    while at < len(message):
        end = message.rfind(b"\n", at, at + PIECE) + 1 or message.find(b"\n", at + PIECE) + 1 or len(message)
        yield message[at:end]
        at = end


def relaxed_body(body: bytes) -> bytes:
    """A body in its relaxed form (RFC 6376 3.4.4); line ends must be CRLF already, as the intake sees to."""
    return _one_line_end(body if _is_tidy(body) else _tidied(body))


def _is_tidy(body: bytes) -> bool:
    """No tab, no run of blanks, no blank before a line end: most mail, and all that remains to do is at its end."""
    if b"\t" in body or body.endswith(b" "):
        return False
    start = body.find(b" ")
    while start >= 0:
        end = start + WINDOW
        # Both needles may begin on the window's last octet and reach beyond it.
        if body.find(b"  ", start, end + 1) >= 0 or body.find(b" \r\n", start, end + 2) >= 0:
            return False
        start = body.find(b" ", end)
    return True


def _tidied(body: bytes) -> bytes:
    body = body.replace(b"\t", b" ")
    # What follows the last blank (an attachment, mostly) stays as it is; the CRLF after it may be needed.
    end = body.rfind(b" ") + 3
    head = _squeeze(body[:end]).replace(b" \r\n", b"\r\n")
    body = head + body[end:]
    # A last line without line end loses its blanks as well. Some verifiers forget that; they never see such a body,
    # because SMTP ends the last line before its dot (RFC 5321 4.1.1.4).
    return body[:-1] if body.endswith(b" ") else body


def _squeeze(text: bytes) -> bytes:
    """Every run of spaces made one space.

    Each pair becomes space and mark; then each mark that another space follows goes together with that space, which
    leaves one space and at most one mark of every run. Three plain replacements: a third of what a regular
    expression needs, a half of replacing pairs until none is left.
    """
    if b"\0" in text:  # cannot serve as the mark; nobody sends this
        return _RUNS.sub(b" ", text)
    return text.replace(b"  ", b" \0").replace(b"\0 ", b"").replace(b"\0", b"")


def _one_line_end(body: bytes) -> bytes:
    """Empty lines at the end go, a missing last CRLF comes; a body of nothing else is empty (RFC 6376 3.4.4 b)."""
    if body.endswith(b"\r\n") and not body.endswith(b"\r\n\r\n") and body != b"\r\n":
        return body
    text = body.rstrip(b"\r\n")
    return text + b"\r\n" if text else b""
