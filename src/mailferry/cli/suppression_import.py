"""Takes a file of suppressions over: reads it, hands pieces of it to the server, writes down what was refused and why."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import msgspec

from mailferry.cli.imports import Bar, Report, named, opened
from mailferry.cli.reach import Failure, call
from mailferry.config import Config
from mailferry.mail import address
from mailferry.resources.suppressions import ANY, MANUAL_IMPORT
from mailferry.resources.suppressions.files import BadFile, read
from mailferry.resources.suppressions.words import Line, Refused, refuse, type_of_file

#: Lines of one piece. It is one transaction: a quarter of a second on two old cores, during which others wait to write.
PIECE = 2000
#: Lines that are looked at together, see :func:`_in_order`; some 30 MB.
WINDOW = 50_000
#: Octets of one piece, below what the control socket takes (operations/control.LINE_LIMIT).
PIECE_OCTETS = 512 * 1024


@dataclass(frozen=True, slots=True)
class Fixed:
    """What the operator said of all lines, whatever they say themselves; empty: nothing."""

    domain: str
    stream: str
    type: str


@dataclass(slots=True)
class Result:
    lines: int = 0
    added: int = 0
    refused: int = 0
    #: Where the refused lines are.
    report: str = ""

    def told(self) -> dict[str, Any]:
        already = self.lines - self.added - self.refused
        counts = {"lines": self.lines, "added": self.added, "already": already, "refused": self.refused}
        return {**counts, "report": self.report or None}


def take_over(config: Config, account: int, file: str, fixed: Fixed, report: Path | None) -> Result:
    """Raises :class:`Failure`: the file is none, or the server is gone. What was imported until then stays."""
    known = {domain["domain"] for domain in call(config, "domains.list", account=account)}
    if fixed.domain and fixed.domain not in known:
        raise Failure(_no_domain(fixed.domain))
    result = Result()
    try:
        with opened(file) as source, Report(file, report) as refusals, Bar(source) as bar:
            lines = _usable(read(source), known, fixed, refusals, result)
            rows = _in_order(_rows(lines, fixed, type_of_file(named(file))))
            for number, piece in enumerate(_pieces(rows)):
                result.added += _send(config, account, piece, named(file), first=number == 0)
                bar.at(result.lines)
    except BadFile as error:
        raise Failure(f"{file}: {error}") from error
    except OSError as error:
        raise Failure(f"{error.filename or file}: {error.strerror}") from error
    result.report = refusals.told if result.refused else ""
    return result


def _usable(
    found: Iterable[Line | Refused], known: set[str], fixed: Fixed, refusals: Report, result: Result
) -> Iterator[Line]:
    for each in found:
        result.lines += 1
        if isinstance(each, Line):
            if fixed.domain or not each.domain or each.domain in known:
                yield each
                continue
            each = refuse(each.number, each.text, _no_domain(each.domain))
        result.refused += 1
        refusals.write(each)


def _rows(lines: Iterable[Line], fixed: Fixed, of_file: str) -> Iterator[list[Any]]:
    """As the server takes them."""
    for line in lines:
        type_ = fixed.type or line.type or of_file or MANUAL_IMPORT
        scope = [fixed.domain or line.domain, fixed.stream or line.stream or ANY]
        yield [line.address, *scope, type_, line.created_at, line.category, line.response]


def _in_order(rows: Iterator[list[Any]]) -> Iterator[list[Any]]:
    """Files in no order at all are sorted by address, as much of them as fits into memory.

    Rows that come in any order land everywhere in the database's indexes, and each costs several pages of them. In the
    order of their addresses half of the pages are shared; files in the order of their times share the other half already.
    """
    while window := list(islice(rows, WINDOW)):
        times = [row[4] or 0 for row in window]
        if any(a > b for a, b in pairwise(times)) and any(a < b for a, b in pairwise(times)):
            window.sort(key=lambda row: address.key(row[0]))  # of two reasons for one address the first stays first
        yield from window


def _pieces(rows: Iterable[list[Any]]) -> Iterator[list[list[Any]]]:
    piece: list[list[Any]] = []
    octets = 0
    for row in rows:
        octets += len(msgspec.json.encode(row)) + 1
        piece.append(row)
        if len(piece) >= PIECE or octets >= PIECE_OCTETS:
            yield piece
            piece, octets = [], 0
    if piece:
        yield piece


def _send(config: Config, account: int, piece: list[list[Any]], name: str, *, first: bool) -> int:
    try:
        told = call(config, "suppressions.import", rows=piece, source=name, first=first, account=account)
    except Failure as failure:
        raise Failure(f"{failure}; what was imported stays, and the import may be run again") from failure
    return int(told["added"])


def _no_domain(name: str) -> str:
    return f"{name} is no sending domain here; --domain says for which one, mailferry domains add {name} makes it one"
