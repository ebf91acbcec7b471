"""Takes facts out of Mailtrap's OpenAPI files: method, path, statuses, names and types of members; no texts.

``python -m tests.contracts.facts DIR`` compares ``mailtrap.json`` beside this file with the vendor's files in DIR (folders
``legacy`` and ``current``) and says what differs; with ``--write`` it writes the table anew.

How a shape is written: a word is a type, words joined by ``|`` any of them; a list holds the shape of its items; an object
names its members, with ``?`` behind those that may be missing and ``*`` for names that are free; ``{"any of": [...]}``.
Where a shape holds itself, ``any`` stands inside. What is not JSON or has no body is null.
"""

import argparse
import difflib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("mailtrap.json")
#: What these describe is not served yet.
LEFT_OUT = ("inbound",)
METHODS = ("get", "post", "put", "patch", "delete")
ANY, ANY_OF, OPTIONAL, FREE = "any", "any of", "?", "*"

Shape = Any


def committed() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(TABLE.read_text())
    return found


def read(folder: Path) -> list[dict[str, Any]]:
    """All operations of the files, in the order of the files."""
    found = []
    for family in ("legacy", "current"):
        for path in sorted((folder / family).glob("*.openapi.yml")):
            name = path.name.removesuffix(".openapi.yml")
            if name not in LEFT_OUT:
                found += [{"family": family, "file": name, **each} for each in _operations(path)]
    return found


def _operations(path: Path) -> Iterator[dict[str, Any]]:
    import yaml  # here, since tests read the table and need no YAML

    spec = Spec(yaml.safe_load(path.read_text()))
    for place, item in spec.document["paths"].items():
        for method in METHODS:
            if operation := item.get(method):
                shared = [*item.get("parameters", ()), *operation.get("parameters", ())]
                parameters = [spec.resolved(each) for each in shared]
                yield {
                    "operation": f"{method.upper()} {place}",
                    "query": sorted(each["name"] for each in parameters if each["in"] == "query"),
                    "asks": spec.body(operation.get("requestBody", {})),
                    "answers": {str(status): spec.body(each) for status, each in operation["responses"].items()},
                }


class Spec:
    """One OpenAPI document, of which as much is understood as Mailtrap uses."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._within: list[str] = []

    def resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in node:
            found: Any = self.document
            for step in node["$ref"].removeprefix("#/").split("/"):
                found = found[step.replace("~1", "/").replace("~0", "~")]
            node = found
        return node

    def body(self, node: Mapping[str, Any]) -> Shape:
        content = self.resolved(node).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        return self.shape(schema) if schema else None

    def shape(self, schema: Mapping[str, Any]) -> Shape:
        name = schema.get("$ref", "")
        if name and name in self._within:
            return ANY
        self._within.append(name)
        try:
            return self._shape(self.resolved(schema))
        finally:
            self._within.pop()

    def _shape(self, schema: Mapping[str, Any]) -> Shape:
        for word in ("oneOf", "anyOf"):
            if word in schema and "properties" not in schema:
                return _any_of([self.shape(each) for each in schema[word]])
        if "allOf" in schema:
            return self._merged([*schema["allOf"], {k: v for k, v in schema.items() if k != "allOf"}])
        kinds = schema.get("type", "object" if "properties" in schema else ANY)
        kinds = [kinds] if isinstance(kinds, str) else list(kinds)
        if schema.get("nullable") and "null" not in kinds:
            kinds.append("null")
        return _any_of([self._of_kind(kind, schema) for kind in kinds])

    def _of_kind(self, kind: str, schema: Mapping[str, Any]) -> Shape:
        if kind == "array":
            return [self.shape(schema.get("items", {}))]
        return self._object(schema) if kind == "object" else kind

    def _object(self, schema: Mapping[str, Any]) -> Shape:
        required = schema.get("required", ())
        members = {
            name if name in required else name + OPTIONAL: self.shape(each)
            for name, each in schema.get("properties", {}).items()
        }
        free = schema.get("additionalProperties", not members)
        if free:
            members[FREE] = self.shape(free) if isinstance(free, dict) else ANY
        return members

    def _merged(self, parts: list[Mapping[str, Any]]) -> Shape:
        """All parts at once, which are objects wherever Mailtrap uses this."""
        members: dict[str, Any] = {}
        for part in parts:
            found = self.resolved(part)
            if any(word in found for word in ("properties", "allOf")):
                members |= self.shape(found)
        return members


def _any_of(shapes: list[Shape]) -> Shape:
    different = [shape for number, shape in enumerate(shapes) if shape not in shapes[:number]]
    if all(isinstance(shape, str) for shape in different):
        return "|".join(different)
    return different[0] if len(different) == 1 else {ANY_OF: different}


def written(operations: list[dict[str, Any]]) -> str:
    """The table as it stands in its file: a line an operation, so that a comparison can be read."""
    lines = [f"  {json.dumps(each, sort_keys=False)}" for each in operations]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def compare(folder: Path) -> list[str]:
    """What differs, line by line; nothing where the table is what the files say."""
    ours, theirs = TABLE.read_text().splitlines(), written(read(folder)).splitlines()
    return list(difflib.unified_diff(ours, theirs, TABLE.name, str(folder), n=0, lineterm=""))


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares the table of facts with Mailtrap's OpenAPI files.")
    parser.add_argument("folder", type=Path, help="where legacy/ and current/ lie")
    parser.add_argument("--write", action="store_true", help="write the table anew")
    given = parser.parse_args()
    operations = read(given.folder)
    if not operations:
        print(f"{given.folder} holds no legacy/*.openapi.yml and no current/*.openapi.yml", file=sys.stderr)
        return 2
    if given.write:
        TABLE.write_text(written(operations))
    different = compare(given.folder)
    print("\n".join(different) or f"{len(operations)} operations: nothing differs")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
