"""The query protocol (SES v1, SNS, STS): a form in, XML out.

Lists are ``X.member.N``, maps ``X.entry.N.key`` and ``.value``, structures are dotted. An empty list is sent as the bare
key with nothing behind it, and means no element.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus
from xml.sax.saxutils import escape

from mailferry.endpoints.ses.errors import SesError
from mailferry.endpoints.ses.model import Operation, Service, Shape

#: Names in one request: fifty bulk entries with fifty recipients and as many tags have fewer.
MAX_PAIRS = 20_000
_DEPTH = 12
#: XML 1.0 has no way to write them at all.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_Tree = dict[str, Any]


def read_form(octets: bytes) -> list[tuple[str, str]]:
    """``application/x-www-form-urlencoded`` as UTF-8; the order is kept."""
    parts = octets.split(b"&", MAX_PAIRS)
    if len(parts) > MAX_PAIRS:
        raise SesError("MalformedInput", f"The request has more than {MAX_PAIRS} parameters.")
    pairs = (part.decode("latin-1").partition("=") for part in parts if part)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]


def read(operation: Operation, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The operation's input; names that it does not know are ignored."""
    tree: _Tree = {}
    for name, value in pairs:
        _plant(tree, name, value)
    found: dict[str, Any] = _value(operation.input, tree, "")
    return found


def _plant(tree: _Tree, name: str, value: str) -> None:
    *path, last = name.split(".", _DEPTH)
    for step in path:
        below = tree.setdefault(step, {})
        if not isinstance(below, dict):  # "a=1&a.b=2"
            below = tree[step] = {}
        tree = below
    if not isinstance(tree.get(last), dict):
        tree[last] = value


def _value(shape: Shape, given: Any, where: str) -> Any:
    match shape.kind:
        case "structure":
            tree = given if isinstance(given, dict) else {}
            return {
                name: _value(member.shape, tree[member.wire], f"{where}{name}.")
                for name, member in shape.members.items()
                if member.wire in tree
            }
        case "list":
            assert shape.item
            return [_value(shape.item, each, where) for each in _numbered(given, "member")]
        case "map":
            assert shape.item
            entries = [each for each in _numbered(given, "entry") if isinstance(each, dict)]
            return {str(each.get("key", "")): _value(shape.item, each.get("value", ""), where) for each in entries}
    if isinstance(given, dict):
        raise SesError("MalformedInput", f"{where.rstrip('.')} must be a single value.")
    return _scalar(shape, given, where.rstrip("."))


def _numbered(given: Any, word: str) -> list[Any]:
    tree = given.get(word, given) if isinstance(given, dict) else {}
    numbers = sorted((int(key), key) for key in tree if key.isascii() and key.isdecimal() and len(key) < 9)
    return [tree[key] for _, key in numbers]


def _scalar(shape: Shape, text: str, where: str) -> Any:
    try:
        match shape.kind:
            case "boolean":
                return {"true": True, "false": False}[text.lower()]
            case "integer" | "long":
                return whole(shape.kind, int(text))
            case "double" | "float":
                return float(text)
            case "blob":
                return base64.b64decode(text, validate=False)
            case "timestamp":
                return milliseconds(text)
            case _:
                return text
    except (KeyError, ValueError, binascii.Error):
        raise SesError("MalformedInput", f"{text[:100]!r} at {where} is no {shape.kind}.") from None


def milliseconds(text: str) -> int:
    """Unix milliseconds of an ISO-8601 moment. Raises `ValueError`."""
    found = datetime.fromisoformat(text.strip())
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def whole(kind: str, number: int) -> int:
    """An integer or long as Java holds it: databases hold no more either. Raises `ValueError`."""
    bits = 31 if kind == "integer" else 63
    if not -(1 << bits) <= number < 1 << bits:
        raise ValueError
    return number


def iso(ms: int) -> str:
    """Such as ``2026-01-02T03:04:05.678Z``."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def write(service: Service, operation: Operation, result: Mapping[str, Any] | None, request_id: str) -> str:
    """An operation without output has no result element; with one it stands even when it is empty."""
    body = ""
    if operation.output is not None:
        wrapper = operation.wrapper or f"{operation.name}Result"
        body = f"<{wrapper}>{_inner(operation.output, result or {})}</{wrapper}>"
    return (
        f'<{operation.name}Response xmlns="{service.namespace}">{body}'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation.name}Response>"
    )


def write_error(service: Service, error: SesError, status: int, request_id: str) -> str:
    """Modelled members stand within ``Error``."""
    kind = "Receiver" if status >= 500 else "Sender"
    more = "".join(f"<{name}>{_text(value)}</{name}>" for name, value in error.members.items())
    message = "" if error.message is None else f"<Message>{_text(error.message)}</Message>"
    return (
        f'<ErrorResponse xmlns="{service.namespace}"><Error><Type>{kind}</Type><Code>{_text(error.code)}</Code>'
        f"{message}{more}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )


def _inner(shape: Shape, value: Any) -> str:
    match shape.kind:
        case "structure":
            return "".join(
                _element(member.wire, member.shape, value[name])
                for name, member in shape.members.items()
                if value.get(name) is not None
            )
        case "list":
            assert shape.item
            return "".join(_element("member", shape.item, each) for each in value)
        case "map":
            assert shape.item
            item = shape.item
            return "".join(
                f"<entry><key>{_text(key)}</key>{_element('value', item, each)}</entry>" for key, each in value.items()
            )
        case "boolean":
            return "true" if value else "false"
        case "timestamp":
            return iso(value)
        case "double" | "float":
            return repr(float(value))
        case "blob":
            return base64.b64encode(value).decode()
    return _text(str(value))


def _element(name: str, shape: Shape, value: Any) -> str:
    return f"<{name}>{_inner(shape, value)}</{name}>"


def _text(text: str) -> str:
    # A parser makes a line feed of a bare CR.
    return escape(_NOT_XML.sub("\ufffd", text), {"\r": "&#xD;"})
