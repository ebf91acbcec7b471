"""The rest-json protocol (SES v2): a path, a query and a JSON body in, JSON out."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import msgspec

from mailferry.endpoints.ses.errors import SesError
from mailferry.endpoints.ses.model import Operation, Shape
from mailferry.endpoints.ses.query import milliseconds, whole

_SCALARS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "double": (int, float),
    "float": (int, float),
    "timestamp": (int, float, str),
    "blob": (str,),
}
#: Years 1 to 9999, in Unix seconds: what can be written as a date.
_FIRST, _LAST = -62_135_596_800, 253_402_300_799
#: In one list. No operation takes more than a hundred; what is looked at before its own limit is asked is bounded by this.
MAX_ITEMS = 1_000
_JAVA = {"string": "String", "boolean": "Boolean", "integer": "Integer", "long": "Long", "blob": "ByteBuffer"}


def read(
    operation: Operation, labels: Mapping[str, str], query: Sequence[tuple[str, str]], body: bytes
) -> dict[str, Any]:
    """The operation's input; members that it does not know are ignored, null is as good as absent."""
    given = _document(body)
    found: dict[str, Any] = {}
    for name, member in operation.input.members.items():
        if member.location == "uri":
            found[name] = unquote(labels[member.wire])
        elif member.location == "querystring":
            values = [value for key, value in query if key == member.wire]
            if values:
                found[name] = _from_query(member.shape, values, name)
        elif (value := given.get(member.wire)) is not None:
            found[name] = _value(member.shape, value)
        # What is in the body today was in the query when the operation was a GET (paths.py).
        elif (
            not body and member.shape.kind in _SCALARS and (old := [each for key, each in query if key == member.wire])
        ):
            found[name] = _from_query(member.shape, old, name)
    return found


def _document(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SesError("SerializationException", f"The request body is no JSON: {error}") from None
    if not isinstance(given, dict):
        raise SesError("SerializationException", "The request body must be a JSON object.")
    return given


def _from_query(shape: Shape, values: list[str], name: str) -> Any:
    if shape.kind == "list":
        assert shape.item
        return [_from_query(shape.item, [value], name) for value in values]
    text = values[-1]
    try:
        match shape.kind:
            case "integer" | "long":
                return whole(shape.kind, int(text))
            case "boolean":
                return {"true": True, "false": False}[text.lower()]
            case "timestamp":
                return milliseconds(text)
    except (KeyError, ValueError):
        raise SesError("SerializationException", f"{text[:100]!r} at {name} is no {shape.kind}.") from None
    return text


def _value(shape: Shape, given: Any) -> Any:
    match shape.kind:
        case "structure":
            if not isinstance(given, dict):
                raise SesError("SerializationException", "Expected a structure or null")
            return {
                name: _value(member.shape, given[member.wire])
                for name, member in shape.members.items()
                if given.get(member.wire) is not None
            }
        case "list":
            if not isinstance(given, list):
                raise SesError("SerializationException", "Expected list or null")
            if len(given) > MAX_ITEMS:
                raise SesError("SerializationException", f"A list has at most {MAX_ITEMS} members.")
            item = shape.item
            assert item
            return [_value(item, each) for each in given if each is not None]
        case "map":
            if not isinstance(given, dict):
                raise SesError("SerializationException", "Expected map or null")
            item = shape.item
            assert item
            return {key: _value(item, each) for key, each in given.items() if each is not None}
    return _scalar(shape, given)


def _scalar(shape: Shape, given: Any) -> Any:
    wanted = _SCALARS[shape.kind]
    if not isinstance(given, wanted) or (isinstance(given, bool) and bool not in wanted):
        article = "an" if shape.kind == "boolean" else "a"  # as Amazon's own answer has it
        java = _JAVA.get(shape.kind, shape.kind.capitalize())
        raise SesError("SerializationException", f"{_token(given)} can not be converted to {article} {java}")
    value: Any = given
    try:
        if shape.kind == "blob":
            return base64.b64decode(value, validate=True)
        if shape.kind == "timestamp":
            return milliseconds(value) if isinstance(value, str) else _moment(value)
        if shape.kind in ("integer", "long"):
            return whole(shape.kind, value)
    except (ValueError, OverflowError, binascii.Error):
        raise SesError("SerializationException", f"{str(given)[:100]!r} is no {shape.kind}") from None
    return value


def _moment(seconds: float) -> int:
    """Unix milliseconds. Raises `ValueError` and `OverflowError`."""
    if not _FIRST <= seconds <= _LAST:
        raise ValueError
    return int(seconds * 1000)


def _token(given: Any) -> str:
    """What Jackson calls it."""
    match given:
        case bool():
            return "TRUE_VALUE" if given else "FALSE_VALUE"
        case int() | float():
            return "NUMBER_VALUE"
        case str():
            return "STRING_VALUE"
        case list():
            return "START_ARRAY"
    return "START_OBJECT"


def write(operation: Operation, result: Mapping[str, Any] | None) -> bytes:
    """What is None is left out; timestamps are seconds with a fraction."""
    if operation.output is None:
        return b"{}"
    return msgspec.json.encode(_out(operation.output, result or {}))


def _out(shape: Shape, value: Any) -> Any:
    match shape.kind:
        case "structure":
            return {
                member.wire: _out(member.shape, value[name])
                for name, member in shape.members.items()
                if value.get(name) is not None
            }
        case "list":
            assert shape.item
            return [_out(shape.item, each) for each in value]
        case "map":
            assert shape.item
            return {key: _out(shape.item, each) for key, each in value.items()}
        case "timestamp":
            return value / 1000
        case "double" | "float":
            return float(value)
        case "blob":
            return base64.b64encode(value).decode()
    return value


def dumps(value: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(value)
