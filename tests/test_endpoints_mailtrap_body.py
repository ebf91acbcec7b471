"""Bodies: what is no JSON, and memory that is bounded while octets arrive."""

import asyncio
import sys
from typing import Any

import msgspec
import pytest

from mailferry.endpoints.bodies import BodyBudget, BodyRules, Share
from mailferry.endpoints.mailtrap import wire
from mailferry.endpoints.mailtrap.errors import Problem
from tests.asgi import Answer
from tests.fakes.mailtrap_api import MESSAGE, SECRET, Api

LIMIT = 50 * 1024 * 1024


def texts(answer: Answer, status: int) -> list[str]:
    assert answer.status == status, answer.body
    assert answer.json["success"] is False
    found: list[str] = answer.json["errors"]
    return found


# --- JSON ----------------------------------------------------------------------------------------------------------


#: In the words of Python's own reader, which found better ones in 3.13.
TRAILING_COMMA = (
    "Illegal trailing comma before end of object at line 1 column 7"
    if sys.version_info >= (3, 13)
    else "Expecting property name enclosed in double quotes at line 1 column 8"
)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "it is empty"),
        (b" \r\n\t", "it is empty"),
        (b"\xef\xbb\xbf{}", "it starts with a byte order mark (RFC 8259 8.1)"),
        (b"[]", "an object is expected"),
        (b"null", "an object is expected"),
        (b'"text"', "an object is expected"),
        (b'{"a":1,}', TRAILING_COMMA),
        (b'{"a":1}\n{}', "Extra data at line 2 column 1"),
        (b'{"subject":"a\nb"}', "Invalid control character at at line 1 column 14"),
        (b"{'a': 1}", "Expecting property name enclosed in double quotes at line 1 column 2"),
        (b'{"a":NaN}', "NaN is no JSON number"),
        (b'{"a":-Infinity}', "-Infinity is no JSON number"),
        (b'{"a":1e999}', "a number is too large"),
        (b'{"a":' + b"9" * 5000 + b"}", "a number is too large"),
        (b'{"a":"\xff"}', "no UTF-8 at byte 6"),
        ('{"a":"ü"}'.encode("utf-16"), "no UTF-8 at byte 0"),
        (b'{"a":\n"\\ud800"}', "half a surrogate pair at line 2"),
        (b'{"a":"\\udc00\\ud800"}', "half a surrogate pair at line 1"),
        (b'{"a":' + b"[" * 100_000, "it is nested too deeply"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "it is nested too deeply"),
        (b'{"a":1,"a":2}', "'a' is there more than once"),
        (b'{"a":[{"b" : 1, "b" :2}]}', "'b' is there more than once"),
    ],
)
async def test_what_is_no_json_is_told_with_its_place(body: bytes, what: str) -> None:
    for target in ("/api/send", "/api/batch"):
        assert texts(await Api().post(target, body), 400) == [f"request body is not valid JSON: {what}"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":"\\":1"}',
        b'{"a" :1}',
        b'{"a"\n:1}',
        b'{"a":"\\ud83d\\ude00"}',
        b'{"a":{"a":[{"a":1}]}}',
        b"{}",
        b'{"a\\u003a:":"b:\\u003a"}',
    ],
)
def test_what_only_looks_wrong_is_read(body: bytes) -> None:
    assert isinstance(wire.decode(body), dict)


# --- sizes ---------------------------------------------------------------------------------------------------------


async def test_a_body_that_says_it_is_too_large_is_refused_at_once() -> None:
    api = Api()
    answer = await api.post(
        "/api/send", b"", headers={"Api-Token": SECRET, "Content-Length": str(LIMIT + 1)}, hang=True
    )
    assert texts(answer, 413) == [f"request body is too large (maximum is {LIMIT} bytes)"]
    absurd = await api.post("/api/send", b"", headers={"Api-Token": SECRET, "Content-Length": "9" * 5000}, hang=True)
    assert absurd.status == 413


async def test_a_body_that_does_not_say_is_counted_while_it_arrives() -> None:
    api = Api(body=BodyRules(limit=1000), budget=BodyBudget(10_000))
    pieces = [b" " * 100 for _ in range(50)]
    assert texts(await api.post("/api/send", pieces), 413) == ["request body is too large (maximum is 1000 bytes)"]
    assert api.deps.budget.used == 0


async def test_a_body_that_the_budget_can_never_hold_is_too_large_and_not_only_too_early() -> None:
    answer = await Api(budget=BodyBudget(60)).post("/api/send", MESSAGE)
    assert texts(answer, 413) == ["request body is too large (maximum is 60 bytes)"]


async def test_a_body_in_pieces() -> None:
    whole = msgspec.json.encode(MESSAGE)
    answer = await Api().post("/api/send", [whole[n : n + 7] for n in range(0, len(whole), 7)])
    assert answer.status == 200


async def test_a_large_body_is_read_in_a_thread() -> None:
    api = Api()
    assert (await api.post("/api/send", MESSAGE | {"text": "x" * 1_000_000})).status == 200
    assert api.deps.budget.used == 0


async def test_a_client_that_stops_in_the_middle_is_sent_away() -> None:
    api = Api(body=BodyRules(idle=0.05))
    assert texts(await api.post("/api/send", b'{"a":', hang=True), 408) == ["request body did not arrive in time"]
    assert api.deps.budget.used == 0


async def test_a_client_that_drips_is_sent_away_too() -> None:
    api = Api(body=BodyRules(idle=5, total=0.05))

    async def drip() -> Any:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b" ", "more_body": True}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/send",
        "query_string": b"",
        "client": None,
        "root_path": "",
    }
    scope |= {"headers": [(b"api-token", SECRET.encode())]}
    await api.app(scope, drip, send)
    assert sent[0]["status"] == 408


async def test_a_client_that_hangs_up_is_not_answered() -> None:
    api = Api()

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError("nobody is there")

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/send",
        "query_string": b"",
        "client": None,
        "root_path": "",
    }
    await api.app(scope | {"headers": [(b"api-token", SECRET.encode())]}, receive, send)
    assert [name for name, _ in api.log.told] == ["api_client_gone"]


# --- what it says of itself ----------------------------------------------------------------------------------------


async def test_compression_is_refused() -> None:
    answer = await Api().post("/api/send", b"\x1f\x8b", headers={"Api-Token": SECRET, "Content-Encoding": "gzip"})
    assert texts(answer, 415) == ["Content-Encoding 'gzip' is not supported"]


@pytest.mark.parametrize(
    "kind",
    ["application/json", "application/x-www-form-urlencoded", "text/plain; charset=iso-8859-1", "", "nonsense;;="],
)
async def test_the_content_type_is_not_asked(kind: str) -> None:
    answer = await Api().post("/api/send", MESSAGE, headers={"Api-Token": SECRET, "Content-Type": kind})
    assert answer.status == 200


async def test_another_charset_counts_only_where_it_matters() -> None:
    label = {"Api-Token": SECRET, "Content-Type": 'application/json; charset="klingon"'}
    assert (await Api().post("/api/send", MESSAGE, headers=label)).status == 200
    answer = await Api().post("/api/send", MESSAGE | {"subject": "ü"}, headers=label)
    assert texts(answer, 415) == ["charset 'klingon' is not supported, send UTF-8"]


# --- the budget of all ---------------------------------------------------------------------------------------------


async def test_a_request_waits_for_memory_and_then_is_told_to_come_again() -> None:
    budget = BodyBudget(1000)
    api = Api(budget=budget, body=BodyRules(patience=0.05))
    with Share(budget, 1) as other:
        assert await other.take(990)
        answer = await api.post("/api/send", MESSAGE)
        assert texts(answer, 429) == ["Rate limit exceeded"]
        assert answer.headers["retry-after"] == "1"
    assert budget.used == 0


async def test_memory_that_is_given_back_goes_to_who_waits_longest() -> None:
    budget = BodyBudget(100)
    order: list[str] = []

    async def want(name: str, octets: int) -> None:
        assert await budget.take(octets, 5)
        order.append(name)

    await want("first", 80)
    waiting = [asyncio.create_task(want("large", 60)), asyncio.create_task(want("small", 10))]
    await asyncio.sleep(0)
    assert order == ["first"]
    budget.give(80)
    await asyncio.gather(*waiting)
    assert (order, budget.used) == (["first", "large", "small"], 70)


async def test_who_gives_up_or_is_cancelled_holds_nothing_and_lets_others_pass() -> None:
    budget = BodyBudget(100)
    assert await budget.take(50, 0)
    impatient = asyncio.create_task(budget.take(90, 0.02))
    cancelled = asyncio.create_task(budget.take(80, 5))
    small = asyncio.create_task(budget.take(50, 5))
    await asyncio.sleep(0)
    cancelled.cancel()
    assert [await impatient, await small] == [False, True]
    assert budget.used == 100
    assert not await budget.take(101, 5)  # it would never fit


async def test_what_is_granted_in_the_moment_of_cancelling_is_given_back() -> None:
    budget = BodyBudget(100)
    assert await budget.take(100, 0)
    waiting = asyncio.create_task(budget.take(60, 5))
    await asyncio.sleep(0)
    budget.give(100)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert budget.used == 0


def test_a_problem_is_a_value() -> None:
    assert isinstance(wire.decode(b"x"), Problem)
