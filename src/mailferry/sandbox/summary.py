"""What a list shows of a message and what a search looks through, taken from its bytes once, when it is caught.

Half of what reading the message as a whole costs (mail/reading.py), which is done when somebody looks at it.
"""

import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mailferry.mail import header, parameters, parts, words
from mailferry.mail.address import BadAddress, Mailbox, parse_mailboxes
from mailferry.mail.parts import Part

#: Characters of what a search looks through. They stand in an index, whose entries PostgreSQL bounds to 2,700 octets.
SEARCHED = 600
#: Of the subject, when both it and the recipients are long.
_OF_SUBJECT = 300
#: Characters of a subject or name in a list; the message itself has all of it.
LINE = 1_000

_BLANKS = re.compile(r"[\t-\r]+")
#: PostgreSQL takes no NUL, no database half a surrogate pair, and the other controls would reach somebody's terminal.
_UNKEEPABLE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")
#: Whatever looks like an address, in a field that cannot be read as one.
_ADDRESS = re.compile(r"[^\s<>(),;:\"]{1,64}@[^\s<>(),;:\"]{1,255}")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_TEXTS = ("text/plain", "text/html")


@dataclass(frozen=True, slots=True)
class Summary:
    sender: Mailbox
    recipient: Mailbox
    subject: str
    searched: str
    html_size: int
    text_size: int


def summary(message: bytes, envelope_from: str = "", envelope_to: Sequence[str] = ()) -> Summary:
    """The envelope stands in where the header says nothing."""
    root = _tree(message)
    first = {field.lower: field for field in reversed(root.fields)}
    value = {name: first[name].value if name in first else b"" for name in (b"subject", b"to", b"from")}
    subject = kept_line(words.decode(value[b"subject"]))[:LINE]
    to = mailboxes(value[b"to"]) or [Mailbox(each) for each in envelope_to]
    sender = mailboxes(value[b"from"]) or [Mailbox(envelope_from)]
    text, html = _bodies(root)
    return Summary(
        sender[0],
        to[0] if to else Mailbox(""),
        subject,
        _searched(subject, to),
        _octets(message, html) if html else 0,
        _octets(message, text) if text else 0,
    )


def mailboxes(value: bytes) -> list[Mailbox]:
    """As an address field is read; from one that cannot be read, what looks like an address."""
    try:
        found = parse_mailboxes(value)
    except (BadAddress, ValueError):
        found = [Mailbox(each) for each in _ADDRESS.findall(words.decode(value))]
    return [Mailbox(kept_line(each.address)[:LINE], kept_line(each.name)[:LINE]) for each in found]


def wanted(search: str) -> str:
    """What is looked for in the form of what is looked through."""
    return kept_line(search).lower().strip()


def kept_line(text: str) -> str:
    """On one line, and as every database takes it: an encoded word (RFC 2047) can spell any character."""
    return text if text.isprintable() else _UNKEEPABLE.sub("\ufffd", _BLANKS.sub(" ", text))


def _searched(subject: str, to: Sequence[Mailbox]) -> str:
    recipients = " ".join(f"{each.address} {each.name}" for each in to[:20]).lower()
    subject = subject.lower()
    if len(subject) + len(recipients) >= SEARCHED:
        subject = subject[: max(_OF_SUBJECT, SEARCHED - 1 - len(recipients))]
    return f"{subject}\n{recipients}"[:SEARCHED]


def _tree(message: bytes) -> Part:
    """With more parts than anybody wrote, it is read as one."""
    try:
        return parts.read(message)
    except parts.TooManyParts:
        return head_of(message)


def head_of(message: bytes) -> Part:
    """Its fields, as far as there are any, and nothing of what is in its body."""
    end = message.find(b"\r\n\r\n") + 4
    # Of a container that has ended nothing is read; but one without an end would be, so it gets none.
    head = parts.read(message[:end] if end > 3 else message[: header.MAX_HEAD])
    return replace(head, end=len(message), media=_TEXTS[0], children=())


def _bodies(root: Part) -> tuple[Part | None, Part | None]:
    """The parts that are shown as text and as HTML: the first of each that is no file."""
    found: dict[str, Part] = {}
    for part in _leaves(root):
        if part.media in _TEXTS and not _is_file(part):
            found.setdefault(part.media, part)
    return found.get(_TEXTS[0]), found.get(_TEXTS[1])


def _leaves(part: Part) -> Iterator[Part]:
    """A message within the message is one of them."""
    if not part.children or part.media.startswith("message/"):
        yield part
        return
    for child in part.children:
        yield from _leaves(child)


def _is_file(part: Part) -> bool:
    disposition = parameters.read(_value(part, b"content-disposition"))
    return disposition.value == "attachment" or "filename" in disposition.parameters


def _octets(message: bytes, part: Part) -> int:
    """How many are left when the transfer encoding is undone."""
    body = message[part.body_at : part.end]
    if part.encoding == "quoted-printable":
        return len(binascii.a2b_qp(body))
    return len(_NOT_BASE64.sub(b"", body)) * 3 // 4 if part.encoding == "base64" else len(body)


def _value(part: Part, name: bytes) -> bytes:
    """Of the first field of that name, raw; empty when there is none."""
    return next((field.value for field in part.fields if field.lower == name), b"")
