"""The header block of a message, read (RFC 5322 section 2.2).

How fields are written is in `encode`, `parameters` and `words`; their verbs have this module as their front.
"""

import re
from dataclasses import dataclass

from mailferry.mail.encode import encode_field, encode_mailboxes, format_mailbox
from mailferry.mail.parameters import parameter
from mailferry.mail.words import BadHeader, decode

__all__ = [
    "BadHeader",
    "Field",
    "Head",
    "decode",
    "encode_field",
    "encode_mailboxes",
    "format_mailbox",
    "is_large",
    "parameter",
    "plain_blanks",
    "read_head",
    "values",
]

MAX_HEAD = 1 << 20
"""Octets of a header block. Ten thousand recipients in To need half of it; without a bound a body without a blank line
would become millions of fields."""

LARGE = 256 * 1024
"""Octets of a message beyond which an event loop should have it read, changed or composed in a thread: others would wait
for it. For a smaller one the way there and back costs more than the work."""

LARGE_HEAD = 16 * 1024
"""The same of a header block, which is read at a fiftieth of the speed: 40,000 addresses in 250,000 octets of To took half
a second."""

# RFC 5322 section 3.6.8: a name is of printable characters except the colon. `.` stops at LF only, hence callers
# guarantee CRLF line ends.
_FIELDS = re.compile(rb"(?m)^(([!-9;-~]+):.*\n(?:[ \t].*\n)*)")
_LINE = re.compile(rb"[!-9;-~]+:|[ \t]")
_ODD_BLANKS = bytes.maketrans(b"\v\f", b"  ")
_BLANK_LINES = re.compile(rb"\r\n[ \t]+(?=\r\n)")


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `name` as it was written, `raw` the whole of it with folding and final CRLF."""

    name: bytes
    raw: bytes

    @property
    def lower(self) -> bytes:
        """The name to compare by."""
        return self.name.lower()

    @property
    def value(self) -> bytes:
        """What follows the colon, unfolded, white space around it removed."""
        value = self.raw[len(self.name) + 1 :]
        return value.replace(b"\r\n", b"").strip(b" \t")


@dataclass(frozen=True, slots=True)
class Head:
    """The header block of a message; `body_at` is the offset of the first octet after the blank line."""

    fields: tuple[Field, ...]
    body_at: int


def is_large(message: bytes) -> bool:
    """Whether an event loop should leave the message to a thread."""
    return len(message) > LARGE or (len(message) > LARGE_HEAD and message.find(b"\r\n\r\n", 0, LARGE_HEAD) < 0)


def read_head(message: bytes) -> Head:
    """The fields of a message with CRLF line ends; a message may end with its header block.

    Raises `BadHeader` with the number of the line that is no field, or that holds a NUL, and for a block too large.
    """
    if not message:
        return Head((), 0)
    if message.startswith(b"\r\n"):
        return Head((), 2)
    end = message.find(b"\r\n\r\n")
    if end >= 0:
        block, body_at = message[: end + 2], end + 4
    else:
        block, body_at = message if message.endswith(b"\r\n") else message + b"\r\n", len(message)
    if len(block) > MAX_HEAD:
        raise BadHeader(f"the header is larger than {MAX_HEAD} octets")
    fields = tuple([Field(name, raw) for raw, name in _FIELDS.findall(block)])
    # findall() skips what does not match, so one comparison of lengths tells whether every line was part of a field.
    if sum([len(field.raw) for field in fields]) != len(block) or b"\0" in block:
        raise _bad(block)
    return Head(fields, body_at)


def plain_blanks(field: Field) -> Field:
    """The field with spaces in place of vertical tabs and form feeds, which are controls of old (RFC 5322 4.1).

    To DKIM they are no blanks (RFC 6376 2.8), yet verifiers take off those at the ends of a value as if they were.
    """
    if b"\v" not in field.raw and b"\f" not in field.raw:
        return field
    # A line that is nothing but blanks now would end the head for some readers.
    return Field(field.name, _BLANK_LINES.sub(b"", field.raw.translate(_ODD_BLANKS)))


def _bad(block: bytes) -> BadHeader:
    for number, line in enumerate(block.split(b"\r\n"), 1):
        if b"\0" in line:
            return BadHeader(f"line {number} of the header holds a NUL", number)
        if number == 1 and line[:1] in (b" ", b"\t"):
            return BadHeader("the header starts with a continuation line", 1)
        if not _LINE.match(line):
            return BadHeader(f"line {number} of the header is no field", number)
    return BadHeader("the header has a bare line feed")  # callers promise that there is none


def values(head: Head, name: bytes) -> list[bytes]:
    """The raw values of every field of that name, in order, unfolded; encoded words are left (`decode` reads them)."""
    name = name.lower()
    return [field.value for field in head.fields if field.name.lower() == name]
