"""The table of texts: every reason and fault has one, and the bodies have Mailtrap's four shapes."""

import string

import msgspec
import pytest

from mailferry.endpoints.mailtrap.errors import FAULTS, REASONS, Fault, Problem, Shape, problem, refused, texts
from mailferry.intake.refusal import Reason, Refusal

#: As Mailtrap's contract and recordings spell them; a text that is not among them is marked as ours.
KNOWN = {
    "'from' is required",
    "'to', 'cc' or 'bcc' address is required",
    "'subject' is required",
    "must specify either text or html body",
    "'from' address is invalid",
    "'From' header does not match the sender's domain",
    "'{field}' is not allowed with 'template_uuid'",
    "Unauthorized",
    "Demo domains can only be used to send emails to account owners. "
    "You can only send testing emails to your own email address.",
    "empty field: 'requests'",
    "Rate limit exceeded",
    "Account access forbidden",
    "Access forbidden",
    "Throttled",
    "Missing required parameter: {detail}",
    "Not Found",
    "Conflict",
    "Internal server error",
}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_text_that_can_be_filled(reason: Reason) -> None:
    for field, index in (("to", None), ("to", 2)):
        (text, *_) = texts([Refusal(reason, field, index, "a detail")])
        assert text and "{" not in text


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_has_a_text_in_both_shapes(fault: Fault) -> None:
    send = msgspec.json.decode(problem(Shape.SEND, Problem(fault, "a detail")).body)
    assert send["success"] is False and len(send["errors"]) == 1 and send["errors"][0]
    general = msgspec.json.decode(problem(Shape.GENERAL, Problem(fault, "a detail")).body)
    assert list(general) in (["error"], ["errors"]) and isinstance(next(iter(general.values())), str)


def test_texts_are_known_or_marked_as_ours() -> None:
    assert {wording.text for wording in [*REASONS.values(), *FAULTS.values()] if not wording.ours} == KNOWN
    assert REASONS[Reason.ADDRESS_INVALID].of_item == "address is invalid in '{field}' {index}"


def test_placeholders_are_those_that_are_filled() -> None:
    for wording in REASONS.values():
        for text in (wording.text, wording.of_item, wording.also):
            assert {name for _, name, _, _ in string.Formatter().parse(text) if name} <= {"field", "index", "detail"}


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (Fault.TOKEN_WRONG, 401, {"error": "Incorrect API token"}),
        (Fault.ACCOUNT_FORBIDDEN, 403, {"errors": "Account access forbidden"}),
        (Fault.FORBIDDEN, 403, {"errors": "Access forbidden"}),
        (Fault.THROTTLED, 429, {"error": "Throttled"}),
        (Fault.NOT_FOUND, 404, {"error": "Not Found"}),
        (Fault.BUSY, 429, {"errors": "Rate limit exceeded"}),
        (Fault.OURS, 500, {"errors": "Internal server error"}),
    ],
)
def test_bodies_of_the_general_api(fault: Fault, status: int, body: object) -> None:
    answer = problem(Shape.GENERAL, Problem(fault))
    assert (answer.status_code, msgspec.json.decode(answer.body)) == (status, body)


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        (Fault.TOKEN_WRONG, 401, "Unauthorized"),
        (Fault.REQUESTS_EMPTY, 400, "empty field: 'requests'"),
        (Fault.BUSY, 429, "Rate limit exceeded"),
        (Fault.OURS, 500, "Internal server error"),
    ],
)
def test_bodies_of_the_send_api(fault: Fault, status: int, text: str) -> None:
    answer = problem(Shape.SEND, Problem(fault))
    assert (answer.status_code, msgspec.json.decode(answer.body)) == (status, {"success": False, "errors": [text]})


def test_the_gravest_refusal_gives_the_status_and_comes_first() -> None:
    found = [Refusal(Reason.SUBJECT_REQUIRED, "subject"), Refusal(Reason.SENDER_NOT_ALLOWED, "from", detail="why")]
    answer = refused(found)
    assert answer.status_code == 401
    assert msgspec.json.decode(answer.body)["errors"] == ["Unauthorized", "why", "'subject' is required"]
    demo = refused([Refusal(Reason.DEMO_RECIPIENT, "to")])
    assert demo.status_code == 403
    assert msgspec.json.decode(demo.body)["errors"][1].startswith("here that is the simulator only")


def test_a_text_is_told_once_and_a_detail_is_cut_and_cleaned() -> None:
    long = Refusal(Reason.HEADER_RESERVED, "headers", detail="X\r\n" + "y" * 1000)
    (text,) = texts([long, long])
    assert text.startswith("'X??yyy") and len(text) < 250
    assert texts([Refusal(Reason.HEADER_RESERVED, "headers", detail="{field}")]) == ["'{field}' header is reserved"]
