"""What is in a message that was caught: its fields, its two bodies, its attachments. Anything that came can be read."""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from mailferry.mail import parameters, parts, words
from mailferry.mail.header import Field
from mailferry.mail.parts import Part

_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_TEXTS = ("text/plain", "text/html")


@dataclass(frozen=True, slots=True)
class Attached:
    """``number`` counts from 1 in the order of the message. ``disposition``: attachment or inline."""

    number: int
    filename: str
    media: str
    disposition: str
    content_id: str
    encoding: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Contents:
    """None: the message has no such body."""

    text: str | None
    html: str | None
    attached: tuple[Attached, ...]


def tree(message: bytes) -> Part:
    """With more parts than anybody wrote, it is read as one."""
    try:
        return parts.read(message)
    except parts.TooManyParts:
        head = parts.read(message[: message.find(b"\r\n\r\n") + 4])
        return Part(0, head.body_at, len(message), head.fields, "text/plain", {}, "")


def bodies(root: Part) -> tuple[Part | None, Part | None]:
    """The parts that are shown as text and as HTML: the first of each that is no file."""
    found: dict[str, Part] = {}
    for part in _leaves(root):
        if part.media in _TEXTS and not _is_file(part):
            found.setdefault(part.media, part)
    return found.get(_TEXTS[0]), found.get(_TEXTS[1])


def read(message: bytes) -> Contents:
    root = tree(message)
    text, html = bodies(root)
    files = [part for part in _leaves(root) if part is not text and part is not html]
    return Contents(
        _text(message, text) if text else None,
        _text(message, html) if html else None,
        tuple(_attached(message, part, number) for number, part in enumerate(files, 1)),
    )


def octets(message: bytes, part: Part) -> bytes:
    """Of its body, the transfer encoding undone."""
    body = message[part.body_at : part.end]
    if part.encoding == "quoted-printable":
        return binascii.a2b_qp(body)
    if part.encoding != "base64":
        return body
    given = _NOT_BASE64.sub(b"", body)
    if len(given) % 4 == 1:  # six bits are no octet; the rest is worth reading
        given = given[:-1]
    return binascii.a2b_base64(given + b"=" * (-len(given) % 4))


def _leaves(part: Part) -> Iterator[Part]:
    """A message within the message is one of them."""
    if not part.children or part.media.startswith("message/"):
        yield part
        return
    for child in part.children:
        yield from _leaves(child)


def _text(message: bytes, part: Part) -> str:
    return words.to_charset(octets(message, part), part.parameters.get("charset", ""))


def _attached(message: bytes, part: Part, number: int) -> Attached:
    disposition = parameters.read(value(part.fields, b"content-disposition"))
    name = words.decode((disposition.parameters.get("filename") or part.parameters.get("name") or "").encode())
    identity = words.decode(value(part.fields, b"content-id")).strip("<> \t")
    inline = disposition.value == "inline" or (bool(identity) and disposition.value != "attachment")
    kind = "inline" if inline else "attachment"
    return Attached(number, name, part.media, kind, identity, part.encoding, octets(message, part))


def _is_file(part: Part) -> bool:
    disposition = parameters.read(value(part.fields, b"content-disposition"))
    return disposition.value == "attachment" or "filename" in disposition.parameters


def value(fields: tuple[Field, ...], name: bytes) -> bytes:
    """Of the first field of that name, raw; empty when there is none."""
    return next((field.value for field in fields if field.lower == name), b"")
