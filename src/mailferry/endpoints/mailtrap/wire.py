"""JSON as it comes (RFC 8259), and picking members of it by their type.

msgspec decodes to plain objects; whatever cannot be decoded is looked at once more, slowly, to say what is wrong and
where. A member of another type than the API wants becomes a refusal beside all others, and reads as absent.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn, TypeVar

import msgspec

from mailferry.endpoints.mailtrap.errors import Fault, Problem
from mailferry.intake.refusal import Reason, Refusal

T = TypeVar("T")

_TEXT, _OBJECT, _ARRAY = "a string", "an object", "an array"
_BOM = b"\xef\xbb\xbf"

#: Attachments, headers, variables: more than any message has.
MAX_ITEMS = 1000
#: Characters of what stands on one line of a message. Patterns that read addresses and media types take a hundred octets
#: of memory for each.
MAX_LINE = 1000
#: Of one message. A megabyte of ``[1,1,1`` would otherwise be answered with twenty of "must be an object".
MAX_REFUSALS = 100


def decode(body: bytes | bytearray) -> dict[str, Any] | Problem:
    """The object that the body is, or what is wrong with it."""
    return _decode(body, dict, "an object is expected")


def decode_array(body: bytes | bytearray) -> list[Any] | Problem:
    return _decode(body, list, "an array is expected")


def _decode(body: bytes | bytearray, kind: type[T], expected: str) -> T | Problem:
    try:
        value = msgspec.json.decode(body)
        if not isinstance(value, kind):
            return Problem(Fault.JSON_INVALID, expected)
        if _may_repeat(body, value):
            _decode_strictly(body.decode())
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return Problem(Fault.JSON_INVALID, _explain(body, error))
    return value


# --- what is wrong with JSON ---------------------------------------------------------------------------------------


class _RepeatedError(ValueError):
    """RFC 8259 4: names within an object should be unique; which of two is meant, nobody can say."""


def _may_repeat(body: bytes | bytearray, value: Any) -> bool:
    """msgspec keeps the last of two members of one name and says nothing. Colons that are written are counted against
    colons that are left, which costs a fraction of decoding with a look at each member. A colon that was spelled as an
    escape lets the slow way decide.
    """
    return body.count(b":") != _colons(value)


def _colons(value: Any) -> int:
    if isinstance(value, str):
        return value.count(":")
    if isinstance(value, dict):
        names: Iterable[str] = value
        return len(value) + sum([name.count(":") for name in names]) + sum([_colons(each) for each in value.values()])
    return sum([_colons(item) for item in value]) if isinstance(value, list) else 0


def _decode_strictly(text: str) -> Any:
    """Ten times slower. Raises ValueError with a line and a column for what the standard's grammar does not know."""
    return _STRICT.decode(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _RepeatedError(f"{name!r} is there more than once")
            seen.add(name)
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


_STRICT = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)


def _explain(body: bytes | bytearray, error: Exception) -> str:
    if not body.strip():
        return "it is empty"
    if body.startswith(_BOM):
        return "it starts with a byte order mark (RFC 8259 8.1)"
    try:
        text = body.decode()
    except UnicodeDecodeError as wrong:
        return f"no UTF-8 at byte {wrong.start}"
    try:
        _decode_strictly(text)
    except json.JSONDecodeError as wrong:
        return f"{wrong.msg} at line {wrong.lineno} column {wrong.colno}"
    except RecursionError:
        return "it is nested too deeply"
    except ValueError as wrong:
        # int() refuses more than 4300 digits with a text about Python.
        return str(wrong) if isinstance(wrong, _RepeatedError) or "JSON" in str(wrong) else "a number is too large"
    if lone := _LONE_SURROGATE.search(text):
        return f"half a surrogate pair at line {text.count(chr(10), 0, lone.start()) + 1}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return "a number is too large"


#: json reads half a pair, msgspec does not. Where both stand side by side it is a pair.
_LONE_SURROGATE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)


# --- members by type -----------------------------------------------------------------------------------------------


class Fields:
    """The members of one JSON object. ``null`` is the same as absent, as it is for Mailtrap's own SDKs."""

    __slots__ = ("_field", "_index", "_members", "refusals")

    def __init__(
        self, members: Mapping[str, Any], refusals: list[Refusal], field: str = "", index: int | None = None
    ) -> None:
        self._members = members
        self._field = field
        self._index = index
        self.refusals = refusals

    def __contains__(self, name: str) -> bool:
        return self._members.get(name) is not None

    def raw(self, name: str) -> Any:
        return self._members.get(name)

    @property
    def all(self) -> Mapping[str, Any]:
        return self._members

    def text(self, name: str, most: int = 0) -> str:
        """``most``: in characters; 0 leaves the length to others."""
        value = self._members.get(name)
        if isinstance(value, str):
            return (
                value
                if len(value) <= most or not most
                else self._wrong(name, f"{_TEXT} of at most {most} characters", "")
            )
        return "" if value is None else self._wrong(name, _TEXT, "")

    def object(self, name: str) -> "Fields | None":
        value = self._members.get(name)
        if isinstance(value, dict):
            return Fields(value, self.refusals, name)
        return None if value is None else self._wrong(name, _OBJECT, None)

    def members(self, name: str) -> Mapping[str, Any]:
        """Of an object whose names are the client's own."""
        value = self._members.get(name)
        if isinstance(value, dict):
            return (
                value if len(value) <= MAX_ITEMS else self._wrong(name, f"{_OBJECT} of at most {MAX_ITEMS} members", {})
            )
        return {} if value is None else self._wrong(name, _OBJECT, {})

    def objects(self, name: str, most: int = 0) -> Iterator["Fields"]:
        """The items of an array. An item that is no object is refused and reads as an empty one: places stay. With
        ``most`` an array may be longer, of which one item too many is handed out: what that means, the caller says.
        """
        value = self._members.get(name)
        if not isinstance(value, list):
            if value is not None:
                self._wrong(name, _ARRAY, None)
            return
        if len(value) > MAX_ITEMS and not most:
            self._wrong(name, f"{_ARRAY} of at most {MAX_ITEMS} items", None)
            return
        for index, item in enumerate(value[: most + 1] if most else value):
            if isinstance(item, dict):
                yield Fields(item, self.refusals, name, index)
            else:
                self.tell(Refusal(Reason.WRONG_TYPE, name, index, _OBJECT))
                yield Fields({}, [], name, index)  # what it lacks, needs no telling

    def refuse(self, reason: Reason, detail: str = "") -> None:
        self.tell(Refusal(reason, self._field, self._index, detail))

    def tell(self, refusal: Refusal) -> None:
        if len(self.refusals) < MAX_REFUSALS:
            self.refusals.append(refusal)

    def _wrong(self, name: str, right: str, otherwise: Any) -> Any:
        field = f"{self._field}.{name}" if self._field else name
        self.tell(Refusal(Reason.WRONG_TYPE, field, self._index, right))
        return otherwise
