"""Whatever a client sends, the answer has Mailtrap's shape, and is no 5xx."""

from typing import Any
from urllib.parse import quote

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.asgi import Answer
from tests.fakes.mailtrap_api import MESSAGE, Api

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=8
)
ADDRESS = st.sampled_from(
    ["a@shop.example", "ü@bücher.example", "a@", '"a b"@x.example', "a@x.example\r\nBcc: b@x.example"]
)
BOX = st.fixed_dictionaries({}, optional={"email": ADDRESS | JSON, "name": JSON}) | JSON
FILE = st.fixed_dictionaries(
    {},
    optional={
        "content": st.sampled_from(["aGk=", "aGk", "=", "a G\nk="]) | JSON,
        "filename": st.text() | JSON,
        "type": st.sampled_from(["text/plain", "text/calendar; method=REQUEST", "x/y; z"]) | JSON,
        "disposition": st.sampled_from(["inline", "attachment"]) | JSON,
        "content_id": JSON,
    },
)
NAMES = st.sampled_from(["X-A", "Reply-To", "reply-to", "Bcc", "Content-Transfer-Encoding", "Subject"]) | st.text()
HEADERS = st.dictionaries(NAMES, st.text() | JSON | st.just("=?utf-8?q?=0D=0A?= <a@b.example>"), max_size=3)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "from": BOX,
    "to": st.lists(BOX, max_size=3) | JSON,
    "cc": st.lists(BOX, max_size=3) | JSON,
    "bcc": st.lists(BOX, max_size=3) | JSON,
    "reply_to": BOX,
    "subject": st.text() | JSON,
    "text": st.text() | JSON,
    "html": st.text() | JSON,
    "headers": HEADERS | JSON,
    "attachments": st.lists(FILE | JSON, max_size=2) | JSON,
    "category": st.text() | JSON,
    "custom_variables": st.dictionaries(st.text(), JSON, max_size=3) | JSON,
    "template_uuid": st.none() | JSON,
    "template_variables": JSON,
}
CHANGES = st.fixed_dictionaries({}, optional=FIELDS)


def of_one_result(result: Any) -> None:
    if result["success"]:
        assert list(result) == ["success", "message_ids"] and all(
            isinstance(each, str) for each in result["message_ids"]
        )
    else:
        assert list(result) == ["success", "errors"] and result["errors"]
        assert all(isinstance(text, str) and text for text in result["errors"])
        assert len(set(result["errors"])) == len(result["errors"])


def of_dialect(answer: Answer) -> Any:
    assert answer.status < 500, answer.body
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    return answer.json


@given(CHANGES)
async def test_random_fields(changes: dict[str, Any]) -> None:
    answer = await Api().post("/api/send", MESSAGE | changes)
    result = of_dialect(answer)
    of_one_result(result)
    assert result["success"] is (answer.status == 200)


@given(CHANGES | JSON, st.lists(CHANGES | JSON, max_size=3) | JSON)
async def test_random_batches(base: Any, requests: Any) -> None:
    api = Api()
    answer = await api.post("/api/batch", {"base": base, "requests": requests})
    result = of_dialect(answer)
    if answer.status == 200:
        assert list(result) == ["success", "responses"]
        assert len(result["responses"]) == len(requests)
        for each in result["responses"]:
            of_one_result(each)
    else:
        of_one_result(result)


@given(st.binary(max_size=200) | JSON.map(msgspec.json.encode))
async def test_random_bodies(body: bytes) -> None:
    for target in ("/api/send", "/api/batch"):
        of_one_result(of_dialect(await Api().post(target, body)))


@given(st.data())
async def test_random_damage(data: st.DataObject) -> None:
    whole = bytearray(msgspec.json.encode(MESSAGE | {"headers": {"X-A": "ü"}, "custom_variables": {"a": 1.5}}))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=3) | st.sampled_from([b'"', b"\\", b"{"])
        )
    of_one_result(of_dialect(await Api().post("/api/send", bytes(whole))))


@given(st.text(max_size=40), st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]))
async def test_random_paths(rest: str, method: str) -> None:
    for prefix in ("/api/", "/api/send/", "/api/accounts/", "/bulk/api/", "/api/email_logs/x/"):
        answer = await Api().call(method, prefix + quote(rest), body=b"{}")
        if (prefix + rest).rstrip("/") == "/api/accounts" and method in ("GET", "HEAD"):
            continue  # a path of the table that reads; there is no database here
        # There is no inbox of such a name, which sending tells in its own words.
        unauthorized = {401} if prefix == "/api/send/" else set()
        assert answer.status in {204, 400, 403, 404, 405} | unauthorized, answer.body
        if answer.status != 204:
            assert "error" in answer.json or "errors" in answer.json
