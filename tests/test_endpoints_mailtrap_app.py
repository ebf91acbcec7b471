"""What happens to every request before its function is called: tokens, accounts, methods, paths. In the path's shape."""

import errno
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mailferry.endpoints.mailtrap.app import TABLE
from mailferry.endpoints.mailtrap.errors import Shape
from mailferry.store.database import open_database, unavailable
from mailferry.store.threads import Busy
from mailferry.store.writer import WriterClosed
from tests.fakes.mailtrap_api import MESSAGE, SECRET, Api

GENERAL_401 = {"error": "Incorrect API token"}
SEND_401 = {"success": False, "errors": ["Unauthorized"]}


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {SECRET}"},
        {"authorization": f"bearer  {SECRET} "},
        {"Api-Token": SECRET},
        {"Api-Token": SECRET, "Authorization": f"Bearer {SECRET}"},
        {"Api-Token": SECRET, "Authorization": "Basic cHJveHk6cGFzc3dvcmQ="},
    ],
)
async def test_a_token_comes_in_either_header(headers: dict[str, str]) -> None:
    assert (await Api().post("/api/send", MESSAGE, headers=headers)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Api-Token": ""},
        {"Api-Token": "f" * 32},
        {"Api-Token": "ü" * 32},
        {"Api-Token": "f" * 100_000},
        {"Authorization": SECRET},
        {"Authorization": f"Token {SECRET}"},
        {"Authorization": "Bearer"},
        {"Api-Token": SECRET, "Authorization": "Bearer other"},
        {"Api-Token": "other", "Authorization": f"Bearer {SECRET}"},
    ],
)
async def test_without_one_right_token_it_is_401(headers: dict[str, str]) -> None:
    api = Api()
    send = await api.post("/api/send", MESSAGE, headers=headers)
    general = await api.call("GET", "/api/accounts/7/email_logs", headers=headers)
    assert (send.status, send.json) == (401, SEND_401)
    assert (general.status, general.json) == (401, GENERAL_401)
    assert api.intake.calls == []
    assert SECRET not in repr(api.log.told)


async def test_a_foreign_account_is_forbidden_and_its_errors_are_a_string() -> None:
    for target in ("/api/accounts/8/email_logs", "/api/accounts/x/email_logs/y", "/api/accounts/8/anything"):
        answer = await Api().call("GET", target)
        assert (answer.status, answer.json) == (403, {"errors": "Account access forbidden"})


UNKNOWN = """
    /api /api/ /api/nothing /api/planets /api/accounts/7 /api/accounts/7/postboxes /api//send /api/email_logs/x/y
    /api/accounts/7/email_logs/x/y /api/%2e%2e/send /api/%0Asend
"""


@pytest.mark.parametrize("target", UNKNOWN.split())
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "BREW"])
async def test_unknown_paths_are_404_after_the_token(target: str, method: str) -> None:
    answer = await Api().call(method, target)
    assert (answer.status, answer.json) == (404, {"error": "Not Found"})
    assert (await Api().call(method, target, headers={})).json == GENERAL_401


@pytest.mark.parametrize("target", ["/bulk/api/x", "/api/send/1/2", "/api/batch/1/2", "/bulk/api/send/1"])
async def test_unknown_paths_beside_sending_have_its_shape(target: str) -> None:
    answer = await Api().post(target, MESSAGE)
    assert (answer.status, answer.json) == (404, {"success": False, "errors": ["Not Found"]})


async def test_a_wrong_method_is_405_with_what_is_allowed() -> None:
    send = await Api().call("GET", "/api/send")
    assert (send.status, send.headers["allow"]) == (405, "OPTIONS, POST")
    assert send.json == {"success": False, "errors": ["Method Not Allowed"]}
    general = await Api().call("POST", "/api/email_logs")
    assert (general.status, general.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert general.json == {"error": "Method Not Allowed"}


async def test_options_needs_no_token() -> None:
    answer = await Api().call("OPTIONS", "/api/send", headers={})
    assert (answer.status, answer.headers["allow"], answer.body) == (204, "OPTIONS, POST", b"")


async def test_every_answer_has_a_request_id_and_the_general_api_its_version() -> None:
    api = Api()
    answers = [
        await api.call("GET", "/api/x"),
        await api.call("GET", "/api/send"),
        await api.post("/api/send", MESSAGE),
    ]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3
    assert [answer.headers.get("x-mailtrap-version") for answer in answers] == ["v2", None, None]


async def test_a_sandbox_host_delivers_nothing_and_tells_nothing() -> None:
    for method, target in (("GET", "/api/email_logs"), ("GET", "/api/x"), ("DELETE", "/api/sandboxes/1")):
        answer = await Api().call(method, target, role="sandbox")
        assert (answer.status, answer.json) == (404, {"error": "Not Found"})


async def test_a_bug_of_ours_is_500_in_the_path_s_shape_and_logged_with_its_id() -> None:
    api = Api()
    api.intake.fail_at_call = 1
    answer = await api.post("/api/send", MESSAGE)
    assert (answer.status, answer.json) == (500, {"success": False, "errors": ["Internal server error"]})
    name, facts = api.log.told[0]
    assert (name, facts["request_id"]) == ("api_failed", answer.headers["x-request-id"])
    general = await api.call("GET", "/api/email_logs")
    assert (general.status, general.json) == (500, {"errors": "Internal server error"})


class _Pg(psycopg.OperationalError):
    def __init__(self, sqlstate: str) -> None:
        super().__init__("secret of a parameter")
        self.sqlstate = sqlstate


def _failed(cause: Exception) -> DBAPIError:
    return OperationalError("SELECT 1", {}, cause)


@pytest.mark.parametrize(
    "error",
    [
        _failed(psycopg.OperationalError("connection refused")),
        *(_failed(_Pg(state)) for state in ("08006", "53300", "57014", "57P01", "57P03", "55P03", "40001")),
        PoolTimeout(),
        Busy(),
        WriterClosed(),
        OSError(errno.ENOSPC, "no space"),
    ],
    ids=repr,
)
async def test_a_database_that_is_away_is_503_in_the_path_s_shape_and_one_line(error: Exception) -> None:
    class Away:
        async def read(self, *_: Any) -> Any:
            raise error

        write = accept = read

    api = Api(db=Away())
    answer = await api.call("GET", "/api/email_logs")
    assert (answer.status, answer.json) == (503, {"error": "Service unavailable, try again later"})
    assert answer.headers["retry-after"] == "5"
    assert [name for name, _ in api.log.told] == ["api_unavailable"]
    assert "secret" not in str(api.log.told)
    api = Api()
    api.intake.accept = Away().accept  # type: ignore[assignment]
    answer = await api.post("/api/send", MESSAGE)
    assert (answer.status, answer.json) == (503, {"success": False, "errors": ["Service unavailable, try again later"]})
    assert answer.headers["retry-after"] == "5"


async def test_a_request_that_comes_while_the_process_ends_is_503(tmp_path: Path) -> None:
    database = open_database("", tmp_path, 1)
    await database.close()
    answer = await Api(db=database).call("GET", "/api/email_logs")
    assert (answer.status, answer.json) == (503, {"error": "Service unavailable, try again later"})


@pytest.mark.parametrize("error", [_failed(_Pg("42703")), _failed(sqlite3.OperationalError("no such table: x"))])
async def test_a_statement_that_is_wrong_is_a_bug(error: Exception) -> None:
    assert not unavailable(error)


def test_what_sends_has_the_shape_of_sending() -> None:
    for row in TABLE:
        sends = row.path.startswith(("/api/send", "/api/batch", "/bulk/"))
        assert (row.shape is Shape.SEND) == sends, row.path


REFUSED = [
    ("POST", "/api/send", MESSAGE | {"subject": "", "to": []}, 400, "recipient_required, subject_required"),
    ("POST", "/api/send", MESSAGE | {"text": 5, "html": True}, 400, "wrong_type"),
    ("POST", "/api/send", b"{", 400, "json_invalid"),
    ("GET", "/api/send", b"", 405, "method_wrong"),
    ("GET", "/api/nothing", b"", 404, "not_found"),
    ("GET", "/api/accounts/8/email_logs", b"", 403, "account_forbidden"),
    ("POST", "/api/domains", {"domain": {"domain_name": SECRET}}, 422, "Validation failed: Domain name is not a valid"),
    ("POST", "/api/suppressions", {"email": f"{SECRET}@", "domain": SECRET}, 422, "email is invalid"),
]


@pytest.mark.parametrize(("method", "target", "body", "status", "reason"), REFUSED)
async def test_the_log_says_why_and_repeats_nothing(
    method: str, target: str, body: object, status: int, reason: str
) -> None:
    api = Api()
    octets = body if isinstance(body, bytes) else msgspec.json.encode(body)
    assert (await api.call(method, target, body=octets)).status == status
    (told,) = [facts for event, facts in api.log.told if event == "api_refused"]
    assert told["status"] == status and told["reason"].startswith(reason)
    assert SECRET not in repr(api.log.told)
