"""Reading contracts: what becomes of an OpenAPI file, and what is told when the table and the files part."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.contracts import facts, shapes

SCHEMAS = {
    "Node": {
        "type": "object",
        "properties": {"below": {"type": "array", "items": {"$ref": "#/components/schemas/Node"}}},
    },
    "Named": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "nullable": True}}},
    "Either": {"oneOf": [{"type": "integer"}, {"type": "string"}, {"type": "integer"}]},
    "Both": {"allOf": [{"$ref": "#/components/schemas/Named"}, {"properties": {"id": {"type": "integer"}}}]},
    "Free": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
    "Mixed": {"anyOf": [{"type": "string"}, {"type": "object"}]},
}
SHAPES: dict[str, Any] = {
    "Node": {"below?": ["any"]},
    "Named": {"name": "string|null"},
    "Either": "integer|string",
    "Both": {"name": "string|null", "id?": "integer"},
    "Free": {"*": "string|null"},
    "Mixed": {"any of": ["string", {"*": "any"}]},
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_becomes_a_shape(name: str) -> None:
    spec = facts.Spec({"components": {"schemas": SCHEMAS}})
    assert spec.shape({"$ref": f"#/components/schemas/{name}"}) == SHAPES[name]


def test_an_operation_is_told_without_its_texts(tmp_path: Path) -> None:
    node = {"description": "Secret sauce", "content": {"application/json": {"schema": SCHEMAS["Named"]}}}
    get = {
        "summary": "Secret sauce",
        "parameters": [{"name": "last_id", "in": "query"}, {"name": "id", "in": "path"}],
        "responses": {"200": node, "204": {"description": "Nothing"}},
    }
    (tmp_path / "current").mkdir()
    for name in ("contacts", "inbound"):
        document = {"paths": {"/api/contacts/{id}": {"get": get, "x-extra": {}}}}
        (tmp_path / "current" / f"{name}.openapi.yml").write_text(json.dumps(document))
    assert facts.read(tmp_path) == [
        {
            "family": "current",
            "file": "contacts",
            "operation": "GET /api/contacts/{id}",
            "query": ["last_id"],
            "asks": None,
            "answers": {"200": {"name": "string|null"}, "204": None},
        }
    ]
    different = facts.compare(tmp_path)
    assert any(line.startswith("-") and "/api/send" in line for line in different)
    assert any(line.startswith("+") and "/api/contacts/{id}" in line for line in different)


def test_the_table_holds_names_and_types_alone() -> None:
    """Mailtrap's texts are theirs."""
    words: set[str] = set()

    def collect(shape: Any) -> None:
        if isinstance(shape, dict):
            words.update(name for name in shape)
            for inner in shape.values():
                collect(inner)
        elif isinstance(shape, list):
            for inner in shape:
                collect(inner)
        elif shape is not None:
            words.add(shape)

    for row in facts.committed():
        collect([row["asks"], row["answers"], row["query"]])
    assert [word for word in words if not re.fullmatch(r"[\w|?*\[\]]+|any of", word)] == []


# --- shapes


@pytest.mark.parametrize(
    ("shape", "value", "places"),
    [
        ("integer", 1, []),
        ("integer", True, [""]),
        ("integer", "1", [""]),
        ("number", 1.5, []),
        ("boolean", 1, [""]),
        ("string|null", None, []),
        ("string", None, [""]),
        ("any", [], []),
        (None, {}, [""]),
        (["string"], [], ["[]"]),
        (["string"], "a", [""]),
        (["string"], ["a", 1], ["[]"]),
        ({"a?": "string"}, {}, ["a"]),
        ({"a": {"b": ["integer"]}}, {"a": {"b": [1, "2"]}}, ["a.b[]"]),
        ({"a": "string"}, {"a": "x", "more": 1}, []),
        ({"*": "string"}, {}, ["*"]),
        ({"*": "string"}, {"x": 1}, ["*"]),
        ({"*": "string", "a": "integer"}, {"a": 1}, []),
        ({"any of": [{"b": "integer", "c": "integer"}, {"a": "integer", "b": "integer"}]}, {"a": 1}, ["b"]),
    ],
)
def test_what_is_wrong_is_named(shape: Any, value: Any, places: list[str]) -> None:
    assert [flaw.partition(":")[0] for flaw in shapes.flaws(shape, value)] == places


def test_one_full_list_is_enough_to_know_what_lists_hold() -> None:
    assert shapes.flaws([{"a": ["string"]}], [{"a": []}, {"a": ["x"]}]) == []
    assert shapes.flaws({"a": ["string"]}, {"a": []}, {"a": ["x"]}) == []
    assert shapes.flaws([{"a": ["string"]}], [{"a": []}, {"a": []}]) != []
