"""Suppression lists as CSV (RFC 4180, and what programs make of it) and as plain lists, one address a line.

A stray quote, a line without end or an unknown column costs its own line and no other.
"""

import csv
import re
from collections import deque
from collections.abc import Iterator
from functools import cache
from typing import TextIO

from mailferry.mail.cells import plain
from mailferry.resources.suppressions.words import Line, Refused, guess, refuse, role, understand

#: Characters of a line; its rest is skipped.
LONGEST = 64 * 1024
#: Lines that a quoted cell may span. What a host said has a few; a quote that is never closed would take the whole file.
MOST_JOINED = 50


#: Of our own files; Mailtrap's names, so that an export can be read by whatever reads Mailtrap's API.
COLUMNS = (
    *("email", "type", "sending_stream", "domain_name", "created_at"),
    *("message_bounce_category", "message_esp_response"),
)


def read_table(text: TextIO) -> Iterator[Line | Refused]:
    table: _Table | None = None
    for number, record, cells in records(text):
        if cells is None:
            yield refuse(number, record, f"the line is longer than {LONGEST} characters")
        elif table is None:
            table = _Table(cells)
            if not table.headed:
                yield table.line(number, record, cells)
        elif cells != table.first or not table.headed:  # files that were put together repeat their heads
            yield table.line(number, record, cells)


class _Table:
    """Which column holds what: by the first record, if that is no suppression itself."""

    def __init__(self, first: list[str]) -> None:
        self.first = first
        self.headed = not any("@" in cell for cell in first) and (len(first) > 1 or bool(role(first[0])))
        roles = [role(cell) for cell in first] if self.headed else []
        self._columns = [(name, place) for place, name in enumerate(roles) if name]
        self._named = "address" in roles
        #: Ours have harmless cells. In others an apostrophe is part of an address.
        self._ours = tuple(first) == COLUMNS

    def line(self, number: int, record: str, cells: list[str]) -> Line | Refused:
        cells = [plain(cell) for cell in cells] if self._ours else cells
        found = [(name, cells[place]) for name, place in self._columns if place < len(cells)]
        if self._named:
            return understand(number, record, found)
        # Nobody said where the addresses are: the first cell that looks like one.
        at = next((place for place, cell in enumerate(cells) if "@" in cell), None)
        if at is not None:
            found.append(("address", cells[at]))
            known = {at, *(place for _, place in self._columns)}
            found += [(guess(cell), cell) for place, cell in enumerate(cells) if place not in known and cell.strip()]
        return understand(number, record, found)


def records(text: TextIO) -> Iterator[tuple[int, str, list[str] | None]]:
    """The number of the first line, the record as it stands, its cells. None: it is too long to be one."""
    numbered_lines = lines(text)
    ahead: deque[tuple[int, str]] = deque()
    delimiter: str | None = None
    while (numbered := ahead.popleft() if ahead else next(numbered_lines, None)) is not None:
        number, record = numbered
        if not record.strip():
            continue
        if len(record) == LONGEST:
            yield number, record, None
            continue
        if delimiter is None:
            if told := re.fullmatch(r"sep=(.)\s*", record, re.IGNORECASE):  # Excel's own
                delimiter = told[1]
                continue
            delimiter = _delimiter(record)
        if '"' not in record:
            yield number, record, record.rstrip("\r\n").split(delimiter) if delimiter else [record.strip()]
            continue
        if record.count('"') % 2:
            record = _joined(record, delimiter, numbered_lines, ahead)
        yield number, record, _cells(record, delimiter)


def _delimiter(record: str) -> str:
    """Empty: a list of addresses, one a line."""
    bare = re.sub(r'"[^"]*"', "", record)
    counts = {mark: bare.count(mark) for mark in ",;\t|"}
    most = max(counts, key=lambda mark: counts[mark])
    return most if counts[most] else ""


def _joined(record: str, delimiter: str, rest: Iterator[tuple[int, str]], ahead: deque[tuple[int, str]]) -> str:
    """With the lines that its quoted cell goes on in; unchanged where that makes no well-formed record."""
    whole = record
    for place in range(MOST_JOINED if delimiter else 0):
        if place == len(ahead):
            if (numbered := next(rest, None)) is None:
                break
            ahead.append(numbered)
        whole += ahead[place][1]
        if len(whole) > LONGEST:
            break
        if whole.count('"') % 2 == 0:
            if not _record(delimiter).fullmatch(whole):
                break
            for _ in range(place + 1):
                ahead.popleft()
            return whole
    return record


@cache
def _record(delimiter: str) -> re.Pattern[str]:
    """RFC 4180 2: quotes stand around whole cells. Two stray quotes some lines apart do not."""
    mark = re.escape(delimiter)
    cell = rf'(?: *+"(?>[^"]|"")*+" *+|[^"\r\n{mark}]*+)'
    return re.compile(rf"{cell}(?>{mark}{cell})*+[\r\n]*+")


def _cells(record: str, delimiter: str) -> list[str]:
    if not delimiter:
        # `"a b"@example.com` has quotes of its own (RFC 5321 4.1.2), and a list has no others but around the whole line.
        cell = record.strip()
        if cell.count('"') % 2:
            return [cell.strip('"')]
        return [cell[1:-1].replace('""', '"') if cell[0] == cell[-1] == '"' else cell]
    if record.count('"') % 2 == 0:
        try:
            return next(csv.reader([record], delimiter=delimiter, skipinitialspace=True))
        except (csv.Error, StopIteration):
            pass
    return [cell.strip().strip('"') for cell in record.strip().split(delimiter)]


def lines(text: TextIO, longest: int = LONGEST) -> Iterator[tuple[int, str]]:
    """Numbered, with their ends; one that is too long is cut, and its rest skipped."""
    number = 0
    while line := text.readline(longest):
        number += 1
        yield number, line
        while len(line) == longest and line[-1] not in "\r\n":
            line = text.readline(longest)
