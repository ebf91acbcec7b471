"""The API's own description: complete, valid, in agreement with Mailtrap's contract, and served to whoever asks."""

import base64
import hashlib
import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from openapi_spec_validator import validate

from mailferry import __version__
from mailferry.endpoints.mailtrap.openapi import serving
from mailferry.endpoints.mailtrap.openapi.declaration import OWN
from mailferry.endpoints.mailtrap.openapi.document import AREAS, declarations, template
from mailferry.endpoints.mailtrap.table import TABLE, UNKNOWN
from tests.contracts.facts import ANY, ANY_OF, FREE, OPTIONAL, Shape, Spec
from tests.contracts.openapi import DOCUMENT
from tests.contracts.operations import DEVIATIONS, NEVER, Operation, operations
from tests.contracts.test_mailtrap import OURS, places, served_path
from tests.fakes.mailtrap_api import SECRET, Api

SPEC = Spec(DOCUMENT)
OPERATIONS = operations()

#: What Mailtrap's contract has and this API, which says so, has not.
NOT_ASKED = {"webhook.inbound_inbox_id"}
#: In no contract of Mailtrap's, and in its SDKs or on its experimental pages.
NOT_OURS = re.compile(
    r"\w+ /(bulk/)?api/(send|batch).*|POST .*/suppressions|\w+ .*/templates(/\{template_id\})?"
    r"|PUT .*/contacts/\{contact_identifier\}|\w+ .*/tracking_opt_outs.*"
)


def described() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def declared(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][template(served_path(operation))][operation.method.lower()]
    return found


# --- complete ------------------------------------------------------------------------------------------------------


def test_every_path_is_described_and_nothing_else() -> None:
    served = {(method, template(row.path)) for row in TABLE for method in row.ops}
    assert {(method, path) for method, path, _ in described()} == served
    assert not any(row.ops for row in UNKNOWN)


def test_every_function_is_declared_once_and_no_other() -> None:
    assert set(declarations()) == {op.function for row in TABLE for op in row.ops.values()}
    assert len(declarations()) == sum(len(each) for each in AREAS.values())


def test_the_document_is_openapi() -> None:
    validate(DOCUMENT)
    names = [operation["operationId"] for _, _, operation in described()]
    assert len(set(names)) == len(names)
    assert DOCUMENT["info"]["version"] == __version__


def test_nothing_is_named_for_nobody() -> None:
    """Components that no operation leads to would be read as a part of the API."""
    text = str(DOCUMENT)
    for kind in ("schemas", "responses", "parameters", "headers"):
        for name in DOCUMENT["components"][kind]:
            assert f"'#/components/{kind}/{name}'" in text, name


def test_our_own_operations_are_marked() -> None:
    known = {(each.method, template(served_path(each))) for each in OPERATIONS}
    for method, path, operation in described():
        own = (method, path) not in known and not NOT_OURS.fullmatch(f"{method} {path}")
        assert operation.get(OWN, False) == own, (method, path)
        assert ("Mailferry's own" in operation["description"]) == own
        listed = path.replace("{contact_identifier}", "{contact_identifier:path}")
        assert not own or any(re.fullmatch(each, f"{method} {listed}") for each in OURS)


# --- as Mailtrap has it --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.family}: {each}")
def test_bodies_and_parameters_are_those_of_the_contract(operation: Operation) -> None:
    ours = declared(operation)
    body = SPEC.body(ours.get("requestBody", {}))
    assert set(places(operation.asks)) - NOT_ASKED <= set(places(body))
    assert required(operation.asks) - required(body) <= SOFTER.get(operation.name, set())
    given = [SPEC.resolved(each)["name"] for each in ours["parameters"]]
    names = {name.partition("[")[0] for name in given}
    assert {name.partition("[")[0] for name in operation.query} <= names


#: Members that the contract wants, and that may be missing here: what is given changes, and nothing else.
SOFTER: dict[str, set[str]] = {
    # A webhook of the audit log has neither.
    "POST webhooks": {"webhook.sending_stream", "webhook.event_types"},
    "PATCH contacts/{contact_identifier}": {"contact.email"},
    "PATCH email_templates/{email_template_id}": {f"email_template.{each}" for each in ("name", "category", "subject")},
}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.family}: {each}")
def test_answers_are_those_of_the_contract(operation: Operation) -> None:
    ours = declared(operation)
    for status, shape in operation.answers.items():
        if (f"{operation.family} {operation.name}", status) in NEVER:
            continue
        excused = {place for each in DEVIATIONS if each.meets(operation, status) for place in each.places}
        excused = {place.replace("[]", "").lstrip(".") for place in excused}
        mine = SPEC.body(ours["responses"][str(status)])
        missing = set() if "" in excused else set(places(shape)) - excused - set(places(mine))
        free = excused | set(open_places(mine))
        assert [each for each in missing if not any(each.startswith(f"{place}.") for place in free)] == [], status


def open_places(shape: Shape, place: str = "") -> Iterator[str]:
    """Where anything may stand, or members of any name."""
    if isinstance(shape, list):
        yield from open_places(shape[0], place)
    elif isinstance(shape, str):
        yield from [place] if shape == ANY else []
    elif isinstance(shape, dict):
        yield from [place] if FREE in shape else []
        for each in shape.get(ANY_OF, ()):
            yield from open_places(each, place)
        for name in shape.keys() - {ANY_OF, FREE}:
            yield from open_places(shape[name], f"{place}.{name.removesuffix(OPTIONAL)}".removeprefix("."))


def required(shape: Shape, place: str = "") -> set[str]:
    """Members that must be there, where the objects around them must be there too."""
    if not isinstance(shape, dict) or "any of" in shape:
        return set()
    found: set[str] = set()
    for name, inner in shape.items():
        if name != "*" and not name.endswith("?"):
            where = f"{place}.{name}".removeprefix(".")
            found |= {where} | required(inner, where)
    return found


# --- served --------------------------------------------------------------------------------------------------------


async def test_programs_are_given_the_document_without_a_token() -> None:
    answer = await Api().call("GET", serving.FILE)
    assert answer.status == 200 and answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json == DOCUMENT
    assert answer.headers["cache-control"] == "public, max-age=300"
    again = await Api().call("GET", serving.FILE, headers={"If-None-Match": f'"x", W/{answer.headers["etag"]}'})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", answer.headers["etag"])
    stale = await Api().call("GET", serving.FILE, headers={"If-None-Match": '"x"'})
    assert (stale.status, stale.body) == (200, answer.body)
    page = await Api().call("GET", serving.FILE, headers={"Origin": "https://tools.test"})
    assert page.headers["access-control-allow-origin"] == "*"
    head = await Api().call("HEAD", serving.FILE)
    assert (head.status, head.headers["etag"]) == (200, answer.headers["etag"])


async def test_people_are_given_a_page_that_loads_and_runs_nothing() -> None:
    answer = await Api().call("GET", serving.PAGE)
    assert answer.status == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy
    page = Page()
    page.feed(answer.body.decode())
    style = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert f"'sha256-{style}'" in policy
    assert not page.tags & {"script", "img", "link", "iframe", "object", "form", "input"}
    assert page.attributes <= {"lang", "charset", "name", "content", "class", "aria-label", "href", "id"}
    assert page.links - {serving.FILE} <= {f"#{each}" for each in page.ids}
    assert len(page.ids) == len(page.all_ids)


async def test_the_page_tells_of_every_path() -> None:
    text = html.unescape((await Api().call("GET", serving.PAGE)).body.decode())
    for _, path, operation in described():
        assert f'<code class="at">{path}</code>' in text and operation["summary"] in text


async def test_whoever_writes_to_them_is_told_that_there_is_no_such_thing() -> None:
    for path in (serving.FILE, serving.PAGE):
        answer = await Api().call("POST", path, headers={"Api-Token": SECRET}, body=b"{}")
        assert (answer.status, answer.json) == (404, {"error": "Not Found"})


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.all_ids: list[str] = []
        self.style = ""

    @property
    def ids(self) -> set[str]:
        return set(self.all_ids)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value or "" for name, value in attrs if name == "href"}
        self.all_ids += [value or "" for name, value in attrs if name == "id"]

    def handle_data(self, data: str) -> None:
        if self.lasttag == "style" and not self.style:
            self.style = data
