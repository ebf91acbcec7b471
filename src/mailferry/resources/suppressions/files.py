"""Suppression lists as files: CSV and plain lists (:mod:`tables`), JSON (RFC 8259) and JSON Lines.

Reading is forgiving, and streams: a file of millions of lines is never in memory. What a record means is said by
:mod:`words`.
"""

import contextlib
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO

import msgspec

from mailferry.mail.cells import harmless
from mailferry.resources.suppressions.standing import Suppression
from mailferry.resources.suppressions.tables import COLUMNS, read_table
from mailferry.resources.suppressions.words import Line, Refused, refuse, role, understand

#: Octets looked at to tell encoding and format.
HEAD = 64 * 1024
#: Characters of one JSON object.
LONGEST_OBJECT = 256 * 1024


class BadFile(ValueError):
    """It is no list of any kind; the text says what it seems to be."""


class Source(Protocol):
    """A file of octets, or a pipe: it is read once, from its start to its end."""

    def read(self, size: int, /) -> bytes: ...


def read(source: Source) -> Iterator[Line | Refused]:
    """Everything in it, in its order. Raises :class:`BadFile`."""
    with unpacking():
        text, is_json = text_of(source)
        yield from _json(text) if is_json else read_table(text)


@contextlib.contextmanager
def unpacking() -> Iterator[None]:
    """Around all that is read of a file which may be gzipped."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadFile(f"it is a damaged gzip file: {error}") from error


def text_of(source: Source) -> tuple[TextIO, bool]:
    """Unpacked and decoded, and whether it seems to be JSON. Raises :class:`BadFile`."""
    head, file = _headed(source)
    if head[:2] == b"\x1f\x8b":  # Mailtrap mails its export gzipped
        head, file = _headed(gzip.GzipFile(fileobj=file))
    if head[:4] == b"PK\x03\x04":
        raise BadFile("it is a ZIP archive or a spreadsheet: unpack it, or save the sheet as CSV")
    encoding = _encoding(head)
    start = head[:1024].decode(encoding, "ignore").lstrip("\ufeff \t\r\n")
    if "\0" in start:
        raise BadFile("it holds octets that are no text")
    text = io.TextIOWrapper(file, encoding, errors="replace", newline="")
    return text, start[:1] in ("{", "[")


def exported(suppression: Suppression) -> dict[str, str]:
    """A row of an export, by its columns."""
    at = datetime.fromtimestamp(suppression.created_at / 1000, UTC).isoformat(timespec="milliseconds")
    scope = (suppression.stream, suppression.domain_name, at.replace("+00:00", "Z"))
    values = (suppression.address, suppression.type, *scope, suppression.category, suppression.response)
    return dict(zip(COLUMNS, values, strict=True))


def write_csv(file: TextIO, pages: Iterable[Sequence[dict[str, str]]]) -> int:
    """Rows as :func:`exported` makes them; returns how many there were."""
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    count = 0
    for rows in pages:
        writer.writerows({name: harmless(cell) for name, cell in row.items()} for row in rows)
        count += len(rows)
    return count


def write_json_lines(file: TextIO, pages: Iterable[Sequence[dict[str, str]]]) -> int:
    count = 0
    for rows in pages:
        file.writelines(msgspec.json.encode(row).decode() + "\n" for row in rows)
        count += len(rows)
    return count


# --- octets --------------------------------------------------------------------------------------------------------


class _Raw(io.RawIOBase):
    """What was looked at already, then the rest: a pipe cannot be read twice."""

    def __init__(self, head: bytes, rest: Source) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._head[: len(buffer)] or self._rest.read(len(buffer))
        self._head = self._head[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)


def _headed(source: Source) -> tuple[bytes, io.BufferedReader]:
    head = b""
    while len(head) < HEAD and (piece := source.read(HEAD - len(head))):
        head += piece
    return head, io.BufferedReader(_Raw(head, source), HEAD)


def _encoding(head: bytes) -> str:
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if head.startswith(mark):
            return encoding
    # UTF-16 without its mark: every other octet of an address is NUL.
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        octets = head[start:400:2]
        if octets and octets.count(0) > 0.8 * len(octets):
            return encoding
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # and not just cut in the middle of a character
            return "cp1252"  # what Excel saves in the West; it differs in names and reasons, not in addresses
    return "utf-8"


# --- JSON ----------------------------------------------------------------------------------------------------------

#: A string, or one of the marks between; a quote alone begins a string that has not ended yet.
_TOKEN = re.compile(r'"(?>[^"\\]++|\\.)*+"|["{}\[\]]', re.DOTALL)


def _json(text: TextIO) -> Iterator[Line | Refused]:
    found = False
    for number, raw in _objects(text):
        found = True
        try:
            value = msgspec.json.decode(raw)
        except (msgspec.MsgspecError, RecursionError) as error:
            yield refuse(number, raw, f"it is not valid JSON: {error}")
            continue
        members = value if isinstance(value, dict) else {"email": value}
        cells = [(role(name), _cell(each)) for name, each in members.items()]
        if any(name == "address" for name, _ in cells):
            yield understand(number, raw, cells)
        elif [] not in members.values():  # an empty list in its wrapper
            yield refuse(number, raw, "there is no address")
    if not found:
        raise BadFile("it looks like JSON and holds no list of suppressions")


def _cell(value: Any) -> str:
    if isinstance(value, list):  # Mailgun's tags
        return " ".join(map(_cell, value))
    return "" if isinstance(value, (dict, bool)) or value is None else str(value)


def _objects(text: TextIO) -> Iterator[tuple[int, str]]:
    """Objects in lists, whatever they are wrapped in, and those that stand one a line; with their line numbers.

    An object around a list is told from one that is a suppression itself by what stands before the list: no address.
    """
    buffer, scanned, line, counted = "", 0, 1, 0
    marks: list[str] = []
    start: int | None = None
    depth = 0
    while piece := text.read(HEAD):
        buffer += piece
        for token in _TOKEN.finditer(buffer, scanned):
            mark = token[0]
            if mark == '"':
                break  # the rest of the string is still to be read
            scanned = token.end()
            if mark in ("{", "["):
                listed = marks[-1:] == ["["]
                marks.append(mark)
                wrapper = start is None or (depth == 1 and "@" not in buffer[start : token.start()])
                if mark == "{" and wrapper and (listed or len(marks) == 1):
                    start, depth = token.start(), len(marks)
            elif mark in ("}", "]"):
                if start is not None and len(marks) == depth:
                    line, counted = line + buffer.count("\n", counted, start), start
                    yield line, buffer[start:scanned]
                    start = None
                del marks[-1:]
            elif start is None and marks[-1:] == ["["] and "@" in mark:
                line, counted = line + buffer.count("\n", counted, scanned), scanned
                yield line, mark
        keep = scanned if start is None else start
        if len(buffer) - keep > LONGEST_OBJECT:
            raise BadFile(f"line {line}: an object of more than {LONGEST_OBJECT} characters is no suppression")
        line += buffer.count("\n", counted, keep)
        buffer, scanned, counted = buffer[keep:], scanned - keep, 0
        start = None if start is None else 0
    if marks:
        yield line, buffer or marks[-1]  # the file ends in the middle
