"""The tree of any message at all, within bounds: for who shows mail, and must show something whatever came.

As `parts`, and beyond it: headers and counts are bounded, what is beyond is left out; a boundary that is not named is
found; blanks before a colon are read. What was cut or mended is told.
"""

import re

from mailferry.mail.charsets import to_text
from mailferry.mail.header import MAX_HEAD, Field
from mailferry.mail.parts import MAX_DEPTH, MAX_PARTS, Part, Reader

MAX_FIELDS = 50_000
"""Header fields of all parts together."""

MAX_PROBLEMS = 50
"""Of one message. Who reads more has understood."""

# RFC 5322 section 4.5: blanks before the colon are obsolete, and to be read.
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*(:.*\n(?:[ \t].*\n)*)")
_LIKE_DELIMITER = re.compile(rb"(?<=\n)--([!-~](?:[ -~]{0,68}[!-~])?)[ \t]*\r\nContent-[A-Za-z-]+:")
_MAILBOX_LINE = re.compile(rb">?From .*\r\n(?=[!-9;-~]+:)")  # of mbox files, and of some old mailers


class Problems(list[str]):
    """What is wrong with a message, each once and in the order of finding."""

    def tell(self, problem: str) -> None:
        if problem not in self and len(self) < MAX_PROBLEMS:
            self.append(problem)


def read(message: bytes, problems: Problems) -> Part:
    """The tree of any octets; lines end in CRLF. Never raises."""
    start = match.end() if (match := _MAILBOX_LINE.match(message)) else 0
    return _LenientReader(message, problems).part(start, len(message), depth=0, default="text/plain")


class _LenientReader(Reader):
    def __init__(self, message: bytes, problems: Problems) -> None:
        super().__init__(message)
        self.tell = problems.tell
        self.fields_left = MAX_FIELDS

    def too_deep(self, part: Part) -> Part:
        self.tell(f"more than {MAX_DEPTH} parts inside each other: what is deeper is not read")
        return part

    def parts(self, ranges: list[tuple[int, int]], depth: int, default: str) -> tuple[Part, ...]:
        found: list[Part] = []
        for start, end in ranges:
            if self.left == 0:
                self.tell(f"more than {MAX_PARTS} parts: the rest is not read")
                break
            found.append(self.part(start, end, depth=depth, default=default))
        return tuple(found)

    def head(self, start: int, end: int) -> tuple[tuple[Field, ...], int]:
        blank = self.message.find(b"\r\n\r\n", start, end)
        limit = min(start + MAX_HEAD, end if blank < 0 else blank + 2)
        fields: list[Field] = []
        at = start
        while self.fields_left and (match := _FIELD.match(self.message, at, limit)):
            fields.append(Field(match[1], match[1] + match[2]))
            at = match.end()
            self.fields_left -= 1
        if self.message.startswith(b"\r\n", at, end):
            return tuple(fields), at + 2
        if not self.fields_left or limit == start + MAX_HEAD:
            self.tell("a header is too large: not all of its fields are read")
            return tuple(fields), end if blank < 0 else blank + 4
        # A header that ends with the part: its last line end was taken for the delimiter's.
        last = self.message[at:end] if self.message.find(b"\n", at, end) < 0 else b""
        if match := _FIELD.fullmatch(last + b"\r\n"):
            return (*fields, Field(match[1], match[1] + match[2])), end
        if at < end:
            shown = to_text(self.message[at : min(at + 40, end)].partition(b"\r\n")[0])
            self.tell(f"a header ends without a blank line, at {shown!r}")
        return tuple(fields), at

    def between_delimiters(self, part: Part) -> list[tuple[int, int]]:
        if found := super().between_delimiters(part):
            return found
        # What stands first where a delimiter should, with a part's header behind it, is meant for one.
        if guessed := _LIKE_DELIMITER.search(self.message, part.body_at, part.end):
            self.tell("a multipart does not name the boundary that it has: it was found by its lines")
            return self.between(guessed[1], part)
        self.tell("a multipart holds no line of its boundary: it is read as one part")
        return []
