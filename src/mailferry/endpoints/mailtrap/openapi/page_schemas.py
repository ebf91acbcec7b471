"""JSON Schemas of the document as HTML: a list of members each, with a link where another object is meant."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

#: What a schema may say of a value's bounds, and how it reads.
_BOUNDS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "from {}",
    "maximum": "to {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "maxProperties": "at most {} members",
    "default": "{} by default",
}
#: Longer than any number that says something to a reader.
_ENDLESS = 10**12


class Words:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    @staticmethod
    def anchor(name: str) -> str:
        return f"object-{name}"

    def resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in node:
            found: Any = self._document
            for step in node["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            node = found
        return node

    def schema(self, schema: Mapping[str, Any]) -> str:
        return "".join(self._schema(schema))

    def _schema(self, schema: Mapping[str, Any]) -> Iterator[str]:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            yield f'<a href="#{self.anchor(name)}">{escape(name)}</a>'
            return
        yield f'<span class="type">{escape(", ".join(self._facts(schema)))}</span>'
        if about := schema.get("description"):
            yield f'<span class="about">{marked(about)}</span>'
        if isinstance(schema.get("items"), Mapping) and schema["items"]:
            yield f"<dl><dt>each</dt><dd>{self.schema(schema['items'])}</dd></dl>"
        if members := schema.get("properties"):
            yield f"<dl>{''.join(self._member(schema, name, each) for name, each in members.items())}</dl>"
        if isinstance(schema.get("additionalProperties"), Mapping) and schema["additionalProperties"]:
            yield f"<dl><dt>any name</dt><dd>{self.schema(schema['additionalProperties'])}</dd></dl>"
        if "anyOf" in schema:
            yield f'<ul class="ways">{"".join(f"<li>{self.schema(each)}</li>" for each in schema["anyOf"])}</ul>'

    def _member(self, schema: Mapping[str, Any], name: str, member: Mapping[str, Any]) -> str:
        must = ' <span class="must">required</span>' if name in schema.get("required", ()) else ""
        return f"<dt><code>{escape(name)}</code>{must}</dt><dd>{self.schema(member)}</dd>"

    @staticmethod
    def _facts(schema: Mapping[str, Any]) -> Iterator[str]:
        kinds = schema.get("type", "any of" if "anyOf" in schema else "anything")
        yield kinds if isinstance(kinds, str) else " or ".join(kinds)
        if "format" in schema:
            yield str(schema["format"])
        if "const" in schema:
            yield f"always {_json(schema['const'])}"
        if "enum" in schema:
            yield f"one of {', '.join(_json(each) for each in schema['enum'])}"
        for name, text in _BOUNDS.items():
            value = schema.get(name)
            if value is not None and not (isinstance(value, int) and value > _ENDLESS):
                yield text.format(_json(value))


def _json(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def marked(text: str) -> str:
    """What stands in backticks, as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))
