"""Whether an answer is one of those that the API's own description has for its operation."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema_rs

from mailferry.endpoints.mailtrap.openapi.document import document, template
from tests.asgi import Answer

DOCUMENT = document()


def resolved(node: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        found: Any = DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node


def breaches(method: str, path: str, answer: Answer) -> list[str]:
    """``path`` as table.py spells it. Stricter than clients are: what an object does not name, it must not have."""
    what = f"{method} {path} -> {answer.status}"
    responses = DOCUMENT["paths"][template(path)][method.lower()]["responses"]
    if str(answer.status) not in responses:
        return [f"{what}: no such status is declared; {answer.body[:300]!r}"]
    response = resolved(responses[str(answer.status)])
    found = [f"{what}: {name} is not declared" for name in _ours(answer) if name not in response["headers"]]
    media = answer.headers.get("content-type", "").partition(";")[0]
    content = response.get("content", {})
    if media not in content and (content or answer.body):
        return [*found, f"{what}: {media!r} is not declared"]
    if media == "application/json":
        validator = _validator(method, path, str(answer.status))
        wrong = [f"{what}: {each.instance_path}: {each.message[:300]}" for each in validator.iter_errors(answer.json)]
        found += wrong
    return found


def _ours(answer: Answer) -> list[str]:
    """Headers that say something of the API, in the document's spelling."""
    spelled = {name.lower(): name for name in DOCUMENT["components"]["headers"]}
    return [spelled[name] for name in answer.headers if name in spelled]


@cache
def _validator(method: str, path: str, status: str) -> Any:
    response = resolved(DOCUMENT["paths"][template(path)][method.lower()]["responses"][status])
    schema = strict(response["content"]["application/json"]["schema"])
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "components": _strict_components()}
    return jsonschema_rs.validator_for(whole | schema, validate_formats=True)


@cache
def _strict_components() -> Any:
    return {"schemas": strict(DOCUMENT["components"]["schemas"])}


def strict(node: Any) -> Any:
    if isinstance(node, list):
        return [strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    inner = {name: strict(each) for name, each in node.items()}
    if "properties" in inner and isinstance(inner.get("type"), (str, list)):
        inner.setdefault("additionalProperties", False)
    return inner
