"""A short notation for JSON Schema 2020-12, which OpenAPI 3.1 takes as it is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mailferry.endpoints.mailtrap.forms import MAX_ID


@dataclass(frozen=True, slots=True, eq=False)
class Component:
    """A schema with a name: the document holds it once, and refers to it."""

    name: str
    schema: "Schema"


#: May hold components anywhere.
Schema = Mapping[str, Any] | Component


def text(about: str = "", **more: Any) -> dict[str, Any]:
    return _of("string", about, more)


def integer(about: str = "", **more: Any) -> dict[str, Any]:
    return _of("integer", about, more)


def number(about: str = "", **more: Any) -> dict[str, Any]:
    return _of("number", about, more)


def flag(about: str = "", **more: Any) -> dict[str, Any]:
    return _of("boolean", about, more)


def time(about: str = "", **more: Any) -> dict[str, Any]:
    return text(about, format="date-time", **more)


def choice(words: Iterable[str], about: str = "", **more: Any) -> dict[str, Any]:
    return text(about, enum=[str(word) for word in words], **more)


def array(of: Schema, about: str = "", **more: Any) -> dict[str, Any]:
    return _of("array", about, {"items": of, **more})


def answered(members: Mapping[str, Schema], about: str = "") -> dict[str, Any]:
    """An object of an answer: all of its members are there."""
    return _of("object", about, {"properties": members, "required": list(members)})


def asked(members: Mapping[str, Schema], *required: str, about: str = "", **more: Any) -> dict[str, Any]:
    """An object of a request."""
    needed = {"required": list(required)} if required else {}
    return _of("object", about, {"properties": members, **needed, **more})


def free(of: Schema, about: str = "", **more: Any) -> dict[str, Any]:
    """An object whose names are the customer's own."""
    return _of("object", about, {"additionalProperties": of, **more})


def nullable(schema: Schema) -> dict[str, Any]:
    if isinstance(schema, Mapping) and isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return any_of(schema, {"type": "null"})


def any_of(*schemas: Schema, about: str = "") -> dict[str, Any]:
    return {"anyOf": list(schemas)} | ({"description": about} if about else {})


def _of(kind: str, about: str, more: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": kind, **({"description": about} if about else {}), **more}


#: Whatever JSON can say.
ANYTHING: dict[str, Any] = {}
SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean", "null"]}
ID = integer(format="int64", minimum=1, maximum=MAX_ID)
COUNT = integer(minimum=0)
UUID = text(format="uuid")
EMAIL = text(format="email", maxLength=320)
STREAM = choice(("transactional", "bulk"))
