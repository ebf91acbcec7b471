"""Whatever is put in the place of a right request's members, ids and parameters, the answer has a shape of Mailtrap's and is no
5xx: every path of ours, with bodies that are nearly right, since what is all wrong is refused at the door.
"""

import copy
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailferry.endpoints.mailtrap.table import TABLE
from tests.asgi import Answer
from tests.contracts.cases import Request
from tests.contracts.openapi import breaches
from tests.contracts.operations import blank, shared_name
from tests.delivery_support import SQLITE
from tests.mailtrap_roles import CASE_OF
from tests.working_house import WorkingHouse, engines, working

__all__ = ["engines", "working"]
pytestmark = SQLITE

#: Of each operation; `make soak` asks for more.
EXAMPLES = (
    8 if settings.default is None or settings.default.max_examples <= 100 else settings.default.max_examples // 50
)

OPERATIONS = [(method, row.path) for row in TABLE for method in row.ops]

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
)
ODD = st.sampled_from(
    [
        "",
        " ",
        "\0",
        "\ud800",
        "\r\nBcc: x@y.test",
        "ü@ü.test",
        "{{#if}}",
        "%00",
        "9" * 30,
        -1,
        1 << 63,
        1e308,
        "x" * 300,
        [[]],
    ]
)
JSON = st.recursive(
    SCALARS | ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
)
SEGMENT = st.sampled_from(["0", "-1", "x", "%", "a@b", "\0", "\n", "..", "9" * 25, "٣"]) | st.text(
    min_size=1, max_size=9
)
GONE = object()


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways to everything in a body, the body itself first."""
    yield way
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        yield from places(each, (*way, name))


def put(body: Any, way: tuple[Any, ...], value: Any) -> Any:
    if not way:
        return {} if value is GONE else value
    changed = copy.deepcopy(body)
    at = changed
    for name in way[:-1]:
        at = at[name]
    if value is GONE:
        del at[way[-1]]
    else:
        at[way[-1]] = value
    return changed


def damaged(data: st.DataObject, right: Request) -> Request:
    body, ids, query = right.body, right.ids, right.query
    for _ in range(data.draw(st.integers(1, 2))):
        if body is not None:
            way = data.draw(st.sampled_from(list(places(body))))
            body = put(body, way, data.draw(JSON | st.just(GONE)))
    if ids and data.draw(st.integers(0, 3)) == 0:
        ids = (*ids[:-1], data.draw(SEGMENT))
    if data.draw(st.integers(0, 1)):
        value = quote(str(data.draw(SEGMENT)), safe="")
        query = re.sub(r"=[^&]*", f"={value}", query, count=1) + f"&last_id={value}&{value}[{value}]={value}"
    return Request(ids, body, query)


@dataclass(frozen=True)
class Ready:
    """An operation, and what is right for it in a house that all examples share."""

    house: WorkingHouse
    method: str
    path: str
    right: Sequence[Request]


@pytest.fixture(params=OPERATIONS, ids=" ".join)
async def ready(request: pytest.FixtureRequest, working: WorkingHouse) -> Ready:
    method, path = request.param
    case = await CASE_OF[f"{method} {blank(shared_name(path))}"](working, "{account_id}" in path)
    return Ready(working, method, path, case.right)


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
async def test_nearly_right_requests(ready: Ready, data: st.DataObject) -> None:
    request = damaged(data, data.draw(st.sampled_from(ready.right)))
    ids = iter([ready.house.account, *request.ids] if "{account_id}" in ready.path else request.ids)
    target = re.sub(r"\{[^}]*\}", lambda _: quote(str(next(ids)), safe="@"), ready.path) + f"?{request.query}"
    headers = {"Authorization": f"Bearer {ready.house.admin}"}
    # The standard library writes lone surrogates, as careless clients do.
    body = b"" if request.body is None else json.dumps(request.body).encode()
    answer = await ready.house.call(ready.method, target, headers=headers, body=body)
    of_dialect(answer)
    if not elsewhere(ready.path, target):
        assert breaches(ready.method, ready.path, answer) == []


def elsewhere(path: str, target: str) -> bool:
    """An id with a slash makes another path of it."""
    return "contact_identifier" not in path and target.lower().count("%2f") > 0


def of_dialect(answer: Answer) -> None:
    assert answer.status < 500, answer.body
    if answer.status < 300 or not answer.body:
        return
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    body = msgspec.json.decode(answer.body, type=dict[str, Any])
    assert {"error", "errors"} & set(body) and "detail" not in body
    if isinstance(body.get("errors"), dict):
        # Opting out of tracking says by 404 so what it does not find, as Mailtrap was recorded.
        assert body["errors"] and (answer.status == 422 or (answer.status == 404 and set(body["errors"]) == {"base"}))
