"""Takes a file of contacts over: reads it, hands pieces of it to the server, writes down what was refused and why.

CSV with a head, or JSON Lines, as `contacts export` writes them; also gzipped. The file is never in memory as a whole.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import msgspec

from mailferry.cli.imports import Bar, Report, named, opened
from mailferry.cli.reach import Failure, call
from mailferry.config import Config
from mailferry.mail import address
from mailferry.mail.address import BadAddress
from mailferry.mail.cells import plain
from mailferry.resources.contacts import exports, imports, values
from mailferry.resources.contacts.exports import SUBSCRIBED, UNSUBSCRIBED
from mailferry.resources.contacts.values import BadValue, DataType
from mailferry.resources.suppressions.files import LONGEST_OBJECT, BadFile, text_of, unpacking
from mailferry.resources.suppressions.tables import lines, records
from mailferry.resources.suppressions.words import Refused, refuse

#: Octets of one piece, below what the control socket takes (operations/control.LINE_LIMIT).
PIECE_OCTETS = 512 * 1024
#: Of an object; what it has beside them would be lost without a word.
_MEMBERS = frozenset({*exports.COLUMNS, "fields"})


@dataclass(frozen=True, slots=True)
class Field:
    id: int
    data_type: DataType


@dataclass(frozen=True, slots=True)
class Known:
    """What the account's contacts may have; ``lists``: ids by id as text and by name; ``into``: those of all lines."""

    fields: Mapping[str, Field]
    lists: Mapping[str, int]
    into: frozenset[int]


@dataclass(slots=True)
class Result:
    lines: int = 0
    created: int = 0
    updated: int = 0
    refused: int = 0
    #: Where the refused lines are.
    report: str = ""

    def told(self) -> dict[str, Any]:
        counts = {"lines": self.lines, "created": self.created, "updated": self.updated, "refused": self.refused}
        return {**counts, "report": self.report or None}


#: Address, values by the field's id, ids of lists, whether it is unsubscribed: as the server takes it.
Row = tuple[str, dict[str, Any], list[int], bool]
#: A line before it is understood: its number, its text, and its members by their names.
Raw = tuple[int, str, dict[str, Any]]


def take_over(config: Config, account: int, file: str, into: Sequence[str], report: Path | None) -> Result:
    """Raises :class:`Failure`: the file is none, or the server is gone. What was imported until then stays."""
    known = _known(config, account, into)
    result = Result()
    try:
        with opened(file) as source, Report(file, report) as refusals, Bar(source) as bar, unpacking():
            text, is_json = text_of(source)
            found = _json_lines(text) if is_json else _table(text, known)
            rows = _usable(found, known, refusals, result)
            for number, piece in enumerate(_pieces(rows)):
                told = _send(config, account, piece, named(file), first=number == 0)
                result.created += told["created"]
                result.updated += told["updated"]
                bar.at(result.lines)
    except BadFile as error:
        raise Failure(f"{file}: {error}") from error
    except OSError as error:
        raise Failure(f"{error.filename or file}: {error.strerror}") from error
    result.report = refusals.told if result.refused else ""
    return result


def _known(config: Config, account: int, into: Sequence[str]) -> Known:
    standing = call(config, "contacts.lists", account=account)
    named = {each["name"]: each["id"] for each in standing} | {str(each["id"]): each["id"] for each in standing}
    if unknown := next((each for each in into if each not in named), None):
        raise Failure(f"{unknown} is no list here; mailferry contacts add-list {unknown!r} makes it one")
    tags = {
        each["merge_tag"]: Field(each["id"], DataType(each["data_type"]))
        for each in call(config, "contacts.fields", account=account)
    }
    return Known(tags, named, frozenset(named[each] for each in into))


# --- lines ---------------------------------------------------------------------------------------------------------


def _table(text: TextIO, known: Known) -> Iterator[Raw | Refused]:
    names: list[str] | None = None
    for number, record, cells in records(text):
        if cells is None:
            yield refuse(number, record, "the line is too long")
        elif names is None:
            names = _names(cells, known)
        elif len(cells) > len(names):
            yield refuse(number, record, f"it has {len(cells)} cells under {len(names)} columns")
        else:
            yield number, record, dict(zip(names, map(plain, cells), strict=False))


def _names(cells: Sequence[str], known: Known) -> list[str]:
    """Of the columns: ours as they are, a field's as `fields.TAG`."""
    names: list[str] = []
    of_field = {exports.column(tag): tag for tag in known.fields}
    for cell in cells:
        name = cell.strip()
        ours = name.lower()
        if ours in exports.COLUMNS:
            names.append(ours)
        elif name in of_field:
            names.append(f"fields.{of_field[name]}")
        else:
            raise BadFile(f"there is no field for its column {name!r}; {_MAKE_FIELD} {name!r} makes one")
    if "email" not in names:
        raise BadFile("its first line names no column email")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadFile(f"its first line names the column {twice.removeprefix('fields.')} twice")
    return names


def _json_lines(text: TextIO) -> Iterator[Raw | Refused]:
    for number, line in lines(text, LONGEST_OBJECT):
        if not line.strip():
            continue
        if len(line) == LONGEST_OBJECT:
            yield refuse(number, line, "the line is too long")
            continue
        try:
            members = msgspec.json.decode(line)
        except (msgspec.MsgspecError, RecursionError) as error:
            yield refuse(number, line, f"it is not valid JSON: {error}")
            continue
        given = members.get("fields") or {} if isinstance(members, dict) else None
        if not isinstance(given, dict):
            yield refuse(number, line, "it is no contact: an object with email, and fields as an object")
            continue
        if unknown := next((name for name in members if name not in _MEMBERS), None):
            yield refuse(number, line, f"{unknown!r} is nothing that a contact has; values of fields are in fields")
            continue
        yield number, line, members | {f"fields.{tag}": value for tag, value in given.items()}


def _usable(found: Iterable[Raw | Refused], known: Known, refusals: Report, result: Result) -> Iterator[Row]:
    for each in found:
        result.lines += 1
        if not isinstance(each, Refused):
            number, text, members = each
            try:
                # What is decoded as something that it is not is an address nobody has, or a name that is not theirs.
                if "\N{REPLACEMENT CHARACTER}" in text:
                    raise BadValue("it holds octets that are no text; save the file as UTF-8")
                yield _row(members, known)
                continue
            except (BadAddress, BadValue) as error:
                each = refuse(number, text, str(error))
        result.refused += 1
        refusals.write(each)


def _row(members: Mapping[str, Any], known: Known) -> Row:
    """Raises :class:`BadAddress` or :class:`BadValue`. What is empty stays as it is."""
    email = members.get("email")
    parsed = address.parse(email.strip() if isinstance(email, str) else "")
    found: dict[str, Any] = {}
    for name, given in members.items():
        if name.startswith("fields.") and given not in ("", None):
            field_id, value = _value(name.removeprefix("fields."), given, known)
            found[field_id] = value
    return parsed, found, _lists(members.get("list_ids"), known), _is_unsubscribed(members.get("status"))


def _is_unsubscribed(given: Any) -> bool:
    """A word that is not understood may be somebody's no."""
    word = given.strip().lower() if isinstance(given, str) else given
    if word not in (None, "", SUBSCRIBED, UNSUBSCRIBED):
        raise BadValue(f"status is {SUBSCRIBED} or {UNSUBSCRIBED}")
    return word == UNSUBSCRIBED


def _value(tag: str, given: Any, known: Known) -> tuple[str, Any]:
    field = known.fields.get(tag)
    if field is None:
        raise BadValue(f"there is no field {tag!r}; {_MAKE_FIELD} {tag!r} makes one")
    try:
        return str(field.id), values.understand(field.data_type, given)
    except BadValue as error:
        raise BadValue(f"{tag}: {error}") from None


def _lists(given: Any, known: Known) -> list[int]:
    wanted = given.split(";") if isinstance(given, str) else given or []
    if not isinstance(wanted, list):
        raise BadValue("list_ids are an array")
    found = set(known.into)
    for each in wanted:
        name = str(each).strip()
        if name and name not in known.lists:
            raise BadValue(f"there is no list {name}; mailferry contacts lists shows them")
        found |= {known.lists[name]} if name else set()
    return sorted(found)


# --- pieces --------------------------------------------------------------------------------------------------------


def _pieces(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """One transaction each: as imports over the API have them."""
    piece: list[Row] = []
    octets = written = 0
    for row in rows:
        octets += len(msgspec.json.encode(row)) + 1
        written += 1 + len(row[1]) + len(row[2])
        piece.append(row)
        if len(piece) >= imports.PIECE_CONTACTS or written >= imports.PIECE_ROWS or octets >= PIECE_OCTETS:
            yield piece
            piece, octets, written = [], 0, 0
    if piece:
        yield piece


def _send(config: Config, account: int, piece: list[Row], name: str, *, first: bool) -> dict[str, int]:
    try:
        told: dict[str, int] = call(config, "contacts.import", rows=piece, source=name, first=first, account=account)
    except Failure as failure:
        raise Failure(f"{failure}; what was imported stays, and the import may be run again") from failure
    return told


_MAKE_FIELD = "mailferry contacts add-field"
