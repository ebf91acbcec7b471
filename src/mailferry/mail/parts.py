"""The tree of MIME parts as offsets into the message (RFC 2045, RFC 2046); nothing is decoded or copied.

Lenient where mail in the wild is wrong, in the way of Python's parser: a part's header ends at the first line that is
no field, a missing last delimiter is the end of the enclosing part, a multipart without delimiters is a leaf.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from mailferry.mail import parameters
from mailferry.mail.charsets import to_text
from mailferry.mail.header import Field

MAX_DEPTH = 50
"""Containers inside each other; real mail has below ten. What is deeper is left as a leaf."""

MAX_PARTS = 10_000
"""Parts of a message; bounds the memory that a message of nothing but delimiters could take."""

_FIELD = re.compile(rb"([!-9;-~]+):.*\n(?:[ \t].*\n)*")
_ENCODING = re.compile(rb"[^\s;()]+")


class TooManyParts(ValueError):
    """A message of more than `MAX_PARTS` parts."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part: header from `start`, body from `body_at` to `end` (the CRLF before a delimiter is not part of it).

    `media` is the lower-case media type, `encoding` the lower-case transfer encoding ("" when there is none).
    """

    start: int
    body_at: int
    end: int
    fields: tuple[Field, ...]
    media: str
    parameters: dict[str, str]
    encoding: str
    children: tuple["Part", ...] = ()

    @property
    def is_container(self) -> bool:
        """Whether its type says that parts are inside, found or not."""
        return self.media.startswith("multipart/") or self.media in ("message/rfc822", "message/global")

    def walk(self) -> Iterator["Part"]:
        """This part and all inside it, in the order of the message."""
        yield self
        for child in self.children:
            yield from child.walk()


def read(message: bytes) -> Part:
    """The tree of a message with CRLF line ends. Raises `TooManyParts`."""
    return Reader(message).part(0, len(message), depth=0, default="text/plain")


class Reader:
    def __init__(self, message: bytes) -> None:
        self.message = message
        self.left = MAX_PARTS

    def part(self, start: int, end: int, *, depth: int, default: str) -> Part:
        self.left -= 1
        if self.left < 0:
            raise TooManyParts(f"the message has more than {MAX_PARTS} parts")
        fields, body_at = self.head(start, end)
        content_type = parameters.read(_first(fields, b"content-type"))
        # RFC 2045 section 5.2: what is no media type is read as plain text.
        media = content_type.value if content_type.value.count("/") == 1 else default
        encoding = _ENCODING.search(_first(fields, b"content-transfer-encoding"))
        part = Part(
            start,
            body_at,
            end,
            fields,
            media,
            content_type.parameters,
            to_text(encoding[0]).lower() if encoding else "",
        )
        if not part.is_container:
            return part
        return self._with_children(part, depth) if depth < MAX_DEPTH else self.too_deep(part)

    def too_deep(self, part: Part) -> Part:
        return part

    def head(self, start: int, end: int) -> tuple[tuple[Field, ...], int]:
        fields: list[Field] = []
        at = start
        while match := _FIELD.match(self.message, at, end):
            fields.append(Field(match[1], match[0]))
            at = match.end()
        if self.message.startswith(b"\r\n", at, end):
            return tuple(fields), at + 2
        # A header that ends with the part: its last line end was taken for the delimiter's.
        if self.message.find(b"\n", at, end) < 0 and (last := _FIELD.fullmatch(self.message[at:end] + b"\r\n")):
            return (*fields, Field(last[1], last[0])), end
        return tuple(fields), at

    def _with_children(self, part: Part, depth: int) -> Part:
        if part.media.startswith("multipart/"):
            # RFC 2046 section 5.1.5: a digest's parts are messages unless they say otherwise.
            default = "message/rfc822" if part.media == "multipart/digest" else "text/plain"
            ranges = self.between_delimiters(part)
        elif part.encoding in ("base64", "quoted-printable"):  # forbidden, but seen: what is inside is not readable
            return part
        else:
            default = "text/plain"
            ranges = [(part.body_at, part.end)]
        return replace(part, children=self.parts(ranges, depth + 1, default))

    def parts(self, ranges: list[tuple[int, int]], depth: int, default: str) -> tuple[Part, ...]:
        return tuple([self.part(start, end, depth=depth, default=default) for start, end in ranges])

    def between_delimiters(self, part: Part) -> list[tuple[int, int]]:
        boundary = part.parameters.get("boundary", "").rstrip()
        if not boundary or not boundary.isascii():
            return []
        return self.between(boundary.encode(), part)

    def between(self, boundary: bytes, part: Part) -> list[tuple[int, int]]:
        # RFC 2046 section 5.1.1: a delimiter is a line; the CRLF in front of it belongs to it.
        delimiters = _delimiters(boundary, self.message, part.body_at, part.end)
        ranges: list[tuple[int, int]] = []
        opened: int | None = None
        for match in islice(delimiters, self.left + 2):  # more parts than these are not read
            if opened is not None:
                ranges.append((opened, max(opened, match.start())))
            opened = min(match.end() + 2, part.end)
            if match[1]:
                return ranges
        if opened is not None:
            ranges.append((opened, part.end))
        return ranges


def _delimiters(boundary: bytes, message: bytes, start: int, end: int) -> Iterator[re.Match[bytes]]:
    """Lines of the boundary, each with the CRLF in front of it (but for one that is the first) and none behind it.

    One expression that scans in C: a loop over lines that begin with two hyphens took minutes for hostile ones.
    """
    line = rb"--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r\n|\Z)"
    if first := re.compile(line).match(message, start, end):
        yield first
    yield from re.compile(rb"\r\n" + line).finditer(message, start, end)


def _first(fields: tuple[Field, ...], name: bytes) -> bytes:
    for field in fields:
        if field.lower == name:
            return field.value
    return b""
