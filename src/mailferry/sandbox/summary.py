"""What a list shows of a message and what a search looks through, taken from its bytes once, when it is caught."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mailferry.mail import words
from mailferry.mail.address import BadAddress, Mailbox, parse_mailboxes
from mailferry.sandbox import contents

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
    root = contents.tree(message)
    subject = kept_line(words.decode(contents.value(root.fields, b"subject")))[:LINE]
    to = mailboxes(contents.value(root.fields, b"to")) or [Mailbox(each) for each in envelope_to]
    sender = mailboxes(contents.value(root.fields, b"from")) or [Mailbox(envelope_from)]
    text, html = contents.bodies(root)
    return Summary(
        sender[0],
        to[0] if to else Mailbox(""),
        subject,
        _searched(subject, to),
        len(contents.octets(message, html)) if html else 0,
        len(contents.octets(message, text)) if text else 0,
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
