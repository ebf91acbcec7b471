"""What a field of a contact may hold, by its type, and the keys by which segments find it."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import date
from enum import StrEnum
from typing import Any

import msgspec

#: Text, integer, float, boolean, or a date as yyyy-mm-dd.
Value = str | int | float | bool

#: Mailtrap's.
LONGEST_TEXT = 255
_LARGEST = (1 << 63) - 1


class DataType(StrEnum):
    TEXT = "text"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"


#: The column of contact_values that a type is found by.
KEYS: Mapping[DataType, str] = {
    DataType.TEXT: "text_key",
    DataType.INTEGER: "integer_key",
    DataType.FLOAT: "float_key",
    DataType.BOOLEAN: "integer_key",
    DataType.DATE: "integer_key",
}


class BadValue(ValueError):
    """The text says what would be right."""


def understand(kind: DataType, given: Any) -> Value | None:
    """The value as it is kept. None: there is none, which an empty text is too, except in a text field.

    Numbers and truth come as text as well, and text fields take any scalar. Raises :class:`BadValue`.
    """
    if given is None or (given == "" and kind is not DataType.TEXT):
        return None
    return _READERS[kind](given)


def row(kind: DataType, value: Value) -> dict[str, Any]:
    """The columns of contact_values."""
    found: dict[str, Any] = dict.fromkeys(("text_key", "integer_key", "float_key"))
    found[KEYS[kind]] = key(kind, value)
    return found | {"value": msgspec.json.encode(value).decode()}


def key(kind: DataType, value: Value) -> str | int | float:
    """What values of this type are compared by."""
    match kind:
        case DataType.TEXT:
            return str(value).casefold()
        case DataType.DATE:
            return date.fromisoformat(str(value)).toordinal()
        case DataType.FLOAT:
            return float(value)
        case _:
            return int(value)


def shown(stored: str) -> Value:
    """Of the column ``value``."""
    value: Value = msgspec.json.decode(stored)
    return value


def _text(given: Any) -> str:
    if isinstance(given, str):
        text = given
    elif isinstance(given, (bool, int, float)):
        text = msgspec.json.encode(given).decode()
    else:
        raise BadValue("must be a text")
    if len(text) > LONGEST_TEXT:
        raise BadValue(f"is too long (maximum is {LONGEST_TEXT} characters)")
    if _CONTROL.search(text):
        raise BadValue("must not contain control characters")
    return text


def _integer(given: Any) -> int:
    digits = isinstance(given, str) and re.fullmatch(r"[+-]?[0-9]{1,19}", given.strip())
    if digits or (isinstance(given, float) and given.is_integer()):
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int) or abs(given) > _LARGEST:
        raise BadValue("must be an integer")
    return given


def _float(given: Any) -> float:
    if isinstance(given, str) and _NUMBER.fullmatch(given.strip()):
        given = float(given)
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        try:
            number = float(given)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise BadValue("must be a number")


def _boolean(given: Any) -> bool:
    known = {"true": True, "false": False, "1": True, "0": False}
    word = str(given).strip().lower() if isinstance(given, (str, bool, int)) else ""
    if word not in known:
        raise BadValue("must be true or false")
    return known[word]


def _date(given: Any) -> str:
    text = given.strip() if isinstance(given, str) else ""
    if _DATE.fullmatch(text):
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            pass
    raise BadValue("must be a date (yyyy-mm-dd)")


#: PostgreSQL has no NUL in a text; the rest would break lines where these texts are shown.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

_READERS: Mapping[DataType, Callable[[Any], Value]] = {
    DataType.TEXT: _text,
    DataType.INTEGER: _integer,
    DataType.FLOAT: _float,
    DataType.BOOLEAN: _boolean,
    DataType.DATE: _date,
}
