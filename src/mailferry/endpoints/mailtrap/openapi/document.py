"""The OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1), made of table.py and the declarations of each area."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from mailferry import __version__
from mailferry.endpoints.mailtrap import rates
from mailferry.endpoints.mailtrap.errors import Shape
from mailferry.endpoints.mailtrap.openapi import (
    accounts,
    answers,
    contacts,
    domains,
    environments,
    faults,
    invitations,
    logs,
    parameters,
    sandbox,
    sandbox_queries,
    segments,
    sending,
    stats,
    suppressions,
    template_versions,
    templates,
    tokens,
    tracking_opt_outs,
    webhooks,
)
from mailferry.endpoints.mailtrap.openapi.declaration import OWN, Answer, Asked, Declared, Parameter, in_family
from mailferry.endpoints.mailtrap.openapi.schemas import Component
from mailferry.endpoints.mailtrap.rates import Rate
from mailferry.endpoints.mailtrap.table import TABLE, Function, Need, Op, Path
from mailferry.resources.permissions import ADMIN, VIEWER, Resource

#: In the order in which the page shows them.
AREAS: Mapping[str, Mapping[Function, Declared]] = {
    "Sending": sending.DECLARED,
    "Email logs": logs.DECLARED,
    "Statistics": stats.DECLARED,
    "Sending domains": domains.DECLARED | environments.DECLARED,
    "Suppressions": suppressions.DECLARED,
    "Opting out of tracking": tracking_opt_outs.DECLARED,
    "Templates": templates.DECLARED | template_versions.DECLARED,
    "Contacts": contacts.DECLARED | segments.DECLARED,
    "Webhooks": webhooks.DECLARED,
    "Sandbox": sandbox.DECLARED | sandbox_queries.DECLARED | faults.DECLARED,
    "Accounts": accounts.DECLARED,
    "Invitations": invitations.DECLARED,
    "API tokens": tokens.DECLARED,
}

ABOUT = """\
Mailtrap's API as Mailferry serves it. Clients of Mailtrap change their host and nothing else.

The general API has two families of paths. Those below `/api/accounts/{account_id}` are what nearly all SDKs call; those
without it mean the account of the token. Both do the same, and call inboxes and sending domains by other names.

Operations that Mailtrap does not have are marked with `x-mailferry-own`.
"""


def document() -> dict[str, Any]:
    builder = _Builder()
    paths = builder.paths()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mailferry",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The host that this document was asked of."}],
        "security": [{"bearer": []}, {"apiToken": []}],
        "tags": [{"name": name} for name in AREAS],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API token."},
                "apiToken": {"type": "apiKey", "in": "header", "name": "Api-Token", "description": "The same token."},
            },
            "parameters": parameters.COMPONENTS,
            "headers": parameters.HEADERS,
            "responses": dict(sorted(builder.responses.items())),
            "schemas": dict(sorted(builder.schemas.items())),
        },
    }


@cache
def declarations() -> dict[Function, tuple[str, Declared]]:
    """With the area."""
    return {function: (area, each) for area, found in AREAS.items() for function, each in found.items()}


def template(path: str) -> str:
    """As OpenAPI writes a path of the table."""
    return re.sub(r":\w+\}", "}", path)


class _Builder:
    """Collects what has a name on its way through the table."""

    def __init__(self) -> None:
        self.schemas: dict[str, Any] = {}
        self.responses: dict[str, Any] = {}

    def paths(self) -> dict[str, Any]:
        return {
            template(row.path): {method.lower(): self._operation(row, method, op) for method, op in row.ops.items()}
            for row in TABLE
            if row.ops
        }

    def _operation(self, row: Path, method: str, op: Op) -> dict[str, Any]:
        area, declared = declarations()[op.function]
        older = "{account_id}" in row.path
        operation: dict[str, Any] = {
            "operationId": re.sub(r"\W+", "_", f"{method.lower()}{template(row.path)}").strip("_"),
            "summary": declared.summary,
            "description": "\n\n".join(_description(row, op, declared)),
            "tags": [area],
            "parameters": [*self._path(row), *self._query(in_family(declared.query, older)), *_headers(row)],
            "responses": self._responses(row, declared, older),
        }
        if declared.body:
            operation["requestBody"] = self._body(declared.body, older)
        if declared.ours:
            operation[OWN] = True
        return operation

    def _path(self, row: Path) -> Iterator[dict[str, Any]]:
        for name in re.findall(r"\{(\w+)", row.path):
            yield {"$ref": f"#/components/parameters/{name}"}

    def _query(self, given: tuple[Parameter, ...]) -> Iterator[dict[str, Any]]:
        for each in given:
            about = {"description": each.about} if each.about else {}
            yield {
                "name": each.name,
                "in": "query",
                "required": each.required,
                **about,
                "schema": self.put(each.schema),
            }

    def _body(self, asked: Asked, older: bool) -> dict[str, Any]:
        schema, example = self.put(asked.schema), asked.example
        if wrapper := in_family(asked.wrapper, older):
            schema = {"type": "object", "properties": {wrapper: schema}, "required": [wrapper]}
            example = {wrapper: example}
        shown = {} if asked.example is None else {"example": example}
        return {"required": asked.required, "content": {"application/json": {"schema": schema, **shown}}}

    def _responses(self, row: Path, declared: Declared, older: bool) -> dict[str, Any]:
        names_something = bool(re.sub(r"\{account_id\}", "", row.path).count("{"))
        found = answers.common(row.shape, declared, names_something=names_something)
        for status, each in declared.answers.items():
            found.pop(status, None)
            if answer := in_family(each, older):
                found[status] = answer
        headers = parameters.GENERAL_HEADERS if row.shape is Shape.GENERAL else parameters.SEND_HEADERS
        return {str(status): self._response(answer, headers) for status, answer in sorted(found.items())}

    def _response(self, answer: Answer, headers: tuple[str, ...]) -> dict[str, Any]:
        if not answer.name:
            return self._written(answer, headers)
        if answer.name not in self.responses:
            self.responses[answer.name] = self._written(answer, headers)
        return {"$ref": f"#/components/responses/{answer.name}"}

    def _written(self, answer: Answer, headers: tuple[str, ...]) -> dict[str, Any]:
        named = {name: {"$ref": f"#/components/headers/{name}"} for name in (*headers, *answer.headers)}
        content = {media: {"schema": self.put(schema)} for media, schema in answer.content.items()}
        return {"description": answer.about, "headers": named, **({"content": content} if content else {})}

    def put(self, value: Any) -> Any:
        """With a reference in each component's place."""
        if isinstance(value, Component):
            if value.name not in self.schemas:
                self.schemas[value.name] = {}  # so that a schema may hold itself
                self.schemas[value.name] = self.put(value.schema)
            return {"$ref": f"#/components/schemas/{value.name}"}
        if isinstance(value, Mapping):
            return {name: self.put(each) for name, each in value.items()}
        return [self.put(each) for each in value] if isinstance(value, (list, tuple)) else value


def _headers(row: Path) -> Iterator[dict[str, Any]]:
    if row.shape is Shape.SEND and "{" not in row.path:
        yield {"$ref": "#/components/parameters/Idempotency-Key"}


# --- what table.py says, in words ----------------------------------------------------------------------------------


def _description(row: Path, op: Op, declared: Declared) -> Iterator[str]:
    if declared.ours:
        yield "Mailferry's own: Mailtrap has no such operation."
    if declared.about:
        yield declared.about
    if row.stream and row.stream != "sandbox":
        yield f"All of it goes to the {row.stream} stream, whatever the host's name is."
    if need := _needed(op.need):
        yield need
    if row.shape is Shape.GENERAL:
        counted = [_counted(rates.GENERAL), *([_counted(op.rate)] if op.rate else [])]
        yield f"At most {', and '.join(counted)}."


def _needed(need: Need) -> str:
    word = {ADMIN: "an admin", VIEWER: "a viewer"}.get(need.level)
    if word is None:
        return ""
    of = {
        (): "the account",
        (Resource.DOMAIN,): "a sending domain, and sees those alone",
        (Resource.TEMPLATES,): "the account's templates",
        (Resource.BILLING,): "the account's billing",
        (Resource.PROJECT, Resource.INBOX): "a project or inbox, and sees those alone",
    }[need.within]
    return f"The token must be {word} of {of}."


def _counted(rate: Rate) -> str:
    window = "a minute" if rate.window_ms == 60_000 else f"in {rate.window_ms // 1000} seconds"
    which = "" if rate is rates.GENERAL else " of this kind"
    return f"{rate.requests} requests{which} {window} by {'a' if rate.of == 'token' else 'an'} {rate.of}"
