"""The send API as its clients see it: fields, order of ids, batches, refusals, idempotency."""

import base64
import binascii
from typing import Any

import msgspec
import pytest
from mailtrap.models.mail import Address, BatchEmailRequest, BatchMail, BatchSendEmailParams, Mail
from mailtrap.models.mail import Attachment as SdkAttachment
from mailtrap.models.mail.batch_mail import BatchSendResponse
from mailtrap.models.mail.mail import SendingMailResponse

from mailferry.endpoints.mailtrap import handover, sending
from mailferry.intake.checks import Limits
from mailferry.intake.submission import Rcpt
from mailferry.mail.address import Mailbox
from mailferry.mail.compose import Attachment
from mailferry.resources.permissions import ADMIN, VIEWER, Resource, Rights
from tests.fakes.mailtrap_api import MESSAGE, Api, with_token


def errors(answer: Any) -> list[str]:
    assert answer.status == 400, answer.body
    assert answer.json["success"] is False
    return answer.json["errors"]


async def refused(**changes: Any) -> list[str]:
    api = Api()
    found = errors(await api.post("/api/send", MESSAGE | changes))
    assert api.intake.accepted == []
    return found


async def sent(**changes: Any) -> Any:
    api = Api()
    answer = await api.post("/api/send", MESSAGE | changes)
    assert answer.status == 200, answer.body
    return api.only()


# --- one message ---------------------------------------------------------------------------------------------------


async def test_one_id_a_recipient_in_the_order_to_cc_bcc() -> None:
    api = Api()
    people = {name: [{"email": f"{name}{n}@example.net"} for n in range(2)] for name in ("bcc", "cc", "to")}
    answer = await api.post("/api/send", MESSAGE | people)
    assert (answer.status, answer.json) == (
        200,
        {"success": True, "message_ids": ["m1r0", "m1r1", "m1r2", "m1r3", "m1r4", "m1r5"]},
    )
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert [(rcpt.kind, rcpt.address) for rcpt in api.only().recipients] == [
        (kind, f"{kind}{n}@example.net") for kind in ("to", "cc", "bcc") for n in range(2)
    ]


async def test_every_field_reaches_the_intake() -> None:
    submission = await sent(
        **{
            "cc": [{"email": "Cee@EXAMPLE.net", "name": None}],
            "reply_to": {"email": "help@shop.example", "name": "Help"},
            "html": "<p>It left.</p>",
            "attachments": [
                {"content": "aGk=", "filename": "a.txt"},
                {
                    "content": base64.encodebytes(b"x" * 100).decode(),
                    "filename": "ü.png",
                    "type": "image/png",
                    "disposition": "inline",
                    "content_id": "logo",
                },
            ],
            "headers": {"X-Own": "v", "Content-Transfer-Encoding": "7bit", "X-Null": None},
            "category": "orders",
            "custom_variables": {"n": 1, "f": 1.5, "yes": True, "s": "ü", "none": None},
            "unknown": {"is": "ignored"},
        }
    )
    assert (submission.account_id, submission.token_id, submission.endpoint) == (7, 3, "mailtrap")
    assert (submission.stream, submission.client_ip) == ("transactional", "192.0.2.7")
    assert submission.recipients == (Rcpt("bob@example.net"), Rcpt("Cee@example.net", "cc"))
    assert submission.category == "orders"
    assert msgspec.json.decode(submission.custom_variables) == {
        "n": "1",
        "f": "1.5",
        "yes": "true",
        "s": "ü",
        "none": "",
    }
    content = submission.content
    assert content.sender == Mailbox("ann@shop.example", "Ann")
    assert content.cc == (Mailbox("Cee@example.net"),)
    assert content.reply_to == (Mailbox("help@shop.example", "Help"),)
    assert (content.subject, content.text, content.html) == ("Your order", "It left.", "<p>It left.</p>")
    assert content.headers == (("X-Own", "v"),)
    assert content.attachments == (
        Attachment("a.txt", b"hi"),
        Attachment("ü.png", b"x" * 100, "image/png", "inline", "logo"),
    )


async def test_null_and_empty_are_as_good_as_absent() -> None:
    """Symfony's bridge writes all of them."""
    nothing = {
        "html": None,
        "cc": [],
        "bcc": None,
        "attachments": [],
        "reply_to": None,
        "category": None,
        "headers": {},
    }
    submission = await sent(**nothing, custom_variables={}, template_uuid=None)
    assert (submission.content.html, submission.custom_variables, submission.content.reply_to) == (None, "{}", ())
    assert (await sent(text="", html="<p>")).content.text is None


async def test_the_known_texts_of_an_empty_message() -> None:
    assert errors(await Api().post("/api/send", {})) == [
        "'from' is required",
        "'to', 'cc' or 'bcc' address is required",
        "'subject' is required",
        "must specify either text or html body",
    ]


async def test_the_known_texts_of_addresses() -> None:
    assert await refused(
        **{"from": {"email": "nobody"}, "to": [{"name": "x"}], "cc": [{"email": "a@b.example"}, {"email": "@"}]}
    ) == [
        "'from' address is invalid",
        "address is invalid in 'to' 0",
        "address is invalid in 'cc' 1",
    ]


async def test_every_wrong_type_is_told_once_and_in_place() -> None:
    assert await refused(
        **{
            "from": "ann@shop.example",
            "to": [{"email": 5}, "bob@example.net", {"email": "no", "name": []}],
            "cc": {"email": "bob@example.net"},
            "reply_to": ["x"],
            "subject": 5,
            "text": {},
            "headers": {"X-A": 1},
            "attachments": [{"filename": 1, "content": 2, "type": []}, 7, {"content": "***"}],
            "category": [],
            "custom_variables": [],
        }
    ) == [
        "'from' must be an object",
        "'email' must be a string in 'to' 0",
        "'to' 1 must be an object",
        "'name' must be a string in 'to' 2",
        "address is invalid in 'to' 2",
        "'cc' must be an array",
        "'reply_to' must be an object",
        "'subject' must be a string",
        "'text' must be a string",
        "'X-A' header value is invalid",
        "'content' must be a string in 'attachments' 0",
        "'filename' must be a string in 'attachments' 0",
        "'type' must be a string in 'attachments' 0",
        "'attachments' 1 must be an object",
        "'content' is not valid base64 in 'attachments' 2",
        "'filename' is required in 'attachments' 2",
        "'category' must be a string",
        "'custom_variables' must be an object",
    ]


async def test_only_recipients_of_a_wrong_type_are_not_also_missing() -> None:
    assert await refused(to="bob@example.net") == ["'to' must be an array"]


@pytest.mark.parametrize(
    "content", ["aGk", "aGk==", "a-k_", "data:text/plain;base64,aGk=", "aGk=aGk=", "ü", "\0\0\0\0"]
)
async def test_base64_is_strict(content: str) -> None:
    assert await refused(attachments=[{"content": content, "filename": "a"}]) == [
        "'content' is not valid base64 in 'attachments' 0"
    ]


async def test_attachments_larger_than_one_piece() -> None:
    octets = bytes(range(256)) * 10_000
    text = binascii.b2a_base64(octets, newline=False).decode()
    submission = await sent(attachments=[{"content": text, "filename": "a"}, {"content": "", "filename": "empty"}])
    assert [attachment.content for attachment in submission.content.attachments] == [octets, b""]
    for broken in (text[: 1 << 20][:-1] + "=" + text[1 << 20 :], text[:-1]):
        assert await refused(attachments=[{"content": broken, "filename": "a"}]) == [
            "'content' is not valid base64 in 'attachments' 0"
        ]


async def test_limits_have_texts() -> None:
    assert await refused(
        bcc=[{"email": "no"}] * 1001, category="c" * 256, custom_variables={"k": "v" * 1000, "nested": {}}
    ) == [
        "too many addresses in 'bcc' (maximum is 1000)",
        "'category' is too long (maximum is 255 characters)",
        "'nested' must be a string, a number or a boolean in 'custom_variables'",
        "'custom_variables' is too long (maximum is 1000 bytes)",
    ]


async def test_header_injection_is_told_where_it_was_tried() -> None:
    evil = "x\r\nBcc: eve@example.net"
    assert await refused(
        **{
            "from": {"email": "ann@shop.example", "name": evil},
            "to": [{"email": "bob@example.net", "name": evil}],
            "subject": evil,
            "headers": {"X-A": evil, evil: "v", "Bcc": "eve@example.net"},
            "attachments": [{"content": "", "filename": evil, "type": evil}],
            "category": evil,
        }
    ) == [
        "'name' must not contain a line break in 'from'",
        "'name' must not contain a line break in 'to' 0",
        "'subject' must not contain a line break",
        "'X-A' header value is invalid",
        "'x??Bcc: eve@example.net' header name is invalid",
        "'Bcc' header is reserved",
        "'filename' must not contain a line break in 'attachments' 0",
        "'type' is not a valid MIME type in 'attachments' 0",
        "'category' must not contain a line break",
    ]


async def test_reply_to_as_a_header_is_read_as_addresses() -> None:
    """anymail gives several so, Symfony one, encoded and folded."""
    folded = "=?utf-8?Q?J=C3=BCrgen=2C?=\r\n =?utf-8?Q?_M=C3=BCller?= <j@example.net>, k@example.net"
    content = (await sent(headers={"reply-to": folded, "X-Long": "=?utf-8?Q?=C3=BC?=\r\n =?utf-8?Q?=C3=BC?="})).content
    assert content.reply_to == (Mailbox("j@example.net", "Jürgen, Müller"), Mailbox("k@example.net"))
    assert content.headers == (("X-Long", "üü"),)
    assert await refused(headers={"Reply-To": "nobody"}) == ["'Reply-To' header value is invalid"]
    both = {"headers": {"Reply-To": "k@example.net"}, "reply_to": {"email": "j@example.net"}}
    assert await refused(**both) == ["'Reply-To' header is reserved"]
    assert await refused(headers={"X-A": "=?utf-8?Q?a=0D=0ABcc:_eve=40example.net?="}) == [
        "'X-A' header value is invalid"
    ]


async def test_reply_to_as_a_header_that_says_the_same_as_the_field() -> None:
    """Batches of Mailtrap's PHP SDK give both, the field with the first address of the header."""
    field = {"email": "j@example.net"}
    twice = "J <j@EXAMPLE.net>, k@example.net"
    content = (await sent(headers={"Reply-To": twice}, reply_to=field)).content
    assert content.reply_to == (Mailbox("j@example.net", "J"), Mailbox("k@example.net")) and content.headers == ()
    for other in ("nobody", "K <k@example.net>, J <J@example.net>"):  # the local part is another one
        assert await refused(headers={"Reply-To": other}, reply_to=field) == ["'Reply-To' header is reserved"]


async def test_templates_exclude_content() -> None:
    assert await refused(template_uuid="x", category="c", html="h", to=[]) == [
        "'to', 'cc' or 'bcc' address is required",
        "'subject' is not allowed with 'template_uuid'",
        "'text' is not allowed with 'template_uuid'",
        "'html' is not allowed with 'template_uuid'",
        "'category' is not allowed with 'template_uuid'",
    ]


async def test_a_foreign_domain_is_unauthorized_and_says_why() -> None:
    answer = await Api().post("/api/send", MESSAGE | {"from": {"email": "ann@bank.example"}})
    assert answer.status == 401
    assert answer.json == {
        "success": False,
        "errors": ["Unauthorized", "bank.example is not a sending domain of this account"],
    }


async def test_a_message_too_large_is_413() -> None:
    api = Api()
    api.intake.limits = Limits(message=1000)
    answer = await api.post("/api/send", MESSAGE | {"text": "x" * 1001})
    assert (answer.status, answer.json["errors"]) == (413, ["message is too large (maximum is 1000 bytes)"])


async def test_a_domain_token_says_so_to_the_intake() -> None:
    api = Api(credentials=with_token(rights=Rights(7, 0, {(Resource.DOMAIN, 9): ADMIN, (Resource.DOMAIN, 8): VIEWER})))
    await api.post("/api/send", MESSAGE)
    assert api.only().sender_domains == {9}


@pytest.mark.parametrize(
    ("target", "role", "stream"),
    [
        ("/api/send", "", "transactional"),
        ("/api/send/", "", "transactional"),
        ("/api/send", "send", "transactional"),
        ("/api/send", "bulk", "bulk"),
        ("/bulk/api/send", "", "bulk"),
    ],
)
async def test_host_or_path_say_the_stream(target: str, role: str, stream: str) -> None:
    api = Api()
    assert (await api.post(target, MESSAGE, role=role)).status == 200
    assert api.only().stream == stream


@pytest.mark.parametrize("target", ["/api/send", "/api/batch", "/bulk/api/send"])
async def test_a_sandbox_s_host_wants_an_inbox_and_never_delivers(target: str) -> None:
    api = Api()
    answer = await api.post(target, MESSAGE, role="sandbox")
    assert (answer.status, answer.json["success"]) == (400, False)
    assert answer.json["errors"][0].startswith("an inbox is needed at this host: /api/send/{inbox_id}")
    assert api.intake.calls == []


# --- batch ---------------------------------------------------------------------------------------------------------


async def test_a_batch_answers_in_place() -> None:
    api = Api()
    base = {"from": MESSAGE["from"], "subject": "S", "text": "T"}
    requests = [
        {"to": [{"email": "a@example.net"}, {"email": "b@example.net"}]},
        {"to": [{"email": 5}]},
        "no object",
        {"to": [{"email": "no"}], "subject": None},
        {"to": [{"email": "c@example.net"}], "from": {"email": "ann@bank.example"}},
        {"cc": [{"email": "c@example.net"}], "subject": "own"},
    ]
    answer = await api.post("/api/batch", {"base": base, "requests": requests})
    assert (answer.status, answer.json) == (
        200,
        {
            "success": True,
            "responses": [
                {"success": True, "message_ids": ["m1r0", "m1r1"]},
                {"success": False, "errors": ["'email' must be a string in 'to' 0"]},
                {"success": False, "errors": ["'requests' 2 must be an object"]},
                {"success": False, "errors": ["address is invalid in 'to' 0"]},
                {"success": False, "errors": ["Unauthorized", "bank.example is not a sending domain of this account"]},
                {"success": True, "message_ids": ["m2r0"]},
            ],
        },
    )
    assert [submission.content.subject for submission in api.intake.accepted if submission.content] == ["S", "own"]


async def test_all_of_a_batch_may_be_refused_and_it_is_still_answered_200() -> None:
    answer = await Api().post("/api/batch", {"requests": [{"to": [{"email": "a@example.net"}]}]})
    assert (answer.status, answer.json["responses"]) == (
        200,
        [
            {
                "success": False,
                "errors": ["'from' is required", "'subject' is required", "must specify either text or html body"],
            }
        ],
    )


async def test_a_property_of_a_request_replaces_that_of_the_base() -> None:
    api = Api()
    base = {"from": MESSAGE["from"], "subject": "S", "text": "T", "headers": {"X-A": "base", "X-B": "base"}}
    base |= {"custom_variables": {"a": "base"}, "attachments": [{"content": "aGk=", "filename": "base"}]}
    to = {"to": [{"email": "a@example.net"}]}
    own = {"headers": {"X-A": "own"}, "custom_variables": {"b": "own"}}
    own["attachments"] = [{"content": "aGk=", "filename": "own"}]
    await api.post("/api/batch", {"base": base, "requests": [to, to | own, to]})
    first, second, third = api.intake.accepted
    assert first.content and second.content and third.content
    assert (second.content.headers, second.custom_variables) == ((("X-A", "own"),), '{"b":"own"}')
    assert [each.filename for each in second.content.attachments] == ["own"]
    assert first.content.headers == third.content.headers == (("X-A", "base"), ("X-B", "base"))
    # Decoded once for all: five hundred copies of a large attachment would fill the memory.
    assert first.content.attachments[0].content is third.content.attachments[0].content


async def test_an_empty_collection_of_a_request_says_nothing() -> None:
    """Mailtrap's own example of a batch in Ruby writes them."""
    api = Api()
    base = {"from": MESSAGE["from"], "subject": "S", "text": "T", "headers": {"X-A": "base"}}
    base |= {"custom_variables": {"a": "base"}, "attachments": [{"content": "aGk=", "filename": "base"}]}
    empty: dict[str, Any] = {"attachments": [], "headers": {}, "custom_variables": {}, "template_variables": {}}
    await api.post("/api/batch", {"base": base, "requests": [{"to": [{"email": "a@example.net"}], "cc": []} | empty]})
    (message,) = api.intake.accepted
    assert message.content and message.custom_variables == '{"a":"base"}'
    assert message.content.headers == (("X-A", "base"),) and len(message.content.attachments) == 1


async def test_what_is_wrong_with_the_base_is_wrong_with_every_request() -> None:
    base = MESSAGE | {"to": [], "attachments": [{"content": "?", "filename": "a"}]}
    answer = await Api().post("/api/batch", {"base": base, "requests": [{"to": MESSAGE["to"]}] * 2})
    wrong = {"success": False, "errors": ["'content' is not valid base64 in 'attachments' 0"]}
    assert answer.json["responses"] == [wrong, wrong]


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        ({}, ["empty field: 'requests'"]),
        ({"requests": []}, ["empty field: 'requests'"]),
        ({"requests": None, "base": {}}, ["empty field: 'requests'"]),
        ({"requests": {}, "base": []}, ["'base' must be an object", "'requests' must be an array"]),
        ({"requests": [{}] * 501}, ["too many items in 'requests' (maximum is 500)"]),
        ({"requests": [{}], "base": {"cc": [{"email": "a@example.net"}]}}, ["'cc' is not allowed in 'base'"]),
    ],
)
async def test_a_bad_envelope_is_400(body: Any, texts: list[str]) -> None:
    assert errors(await Api().post("/api/batch", body)) == texts


async def test_a_large_batch_goes_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "SLICE_OCTETS", 250)
    monkeypatch.setattr(sending, "MAX_KEYED_OCTETS", 450)
    api = Api()
    body = {"base": MESSAGE | {"to": None, "text": "t" * 100}, "requests": [{"to": MESSAGE["to"]}] * 5}
    answer = await api.post("/api/batch", body)
    assert api.intake.calls == [2, 2, 1]
    assert [item["message_ids"] for item in answer.json["responses"]] == [[f"m{n}r0"] for n in range(1, 6)]
    keyed = await api.post("/api/batch", body, headers={"Idempotency-Key": "k"})
    assert (keyed.status, keyed.json["errors"]) == (
        413,
        ["messages of the batch are too large together (maximum is 450 bytes)"],
    )


async def test_ids_of_what_was_accepted_are_told_though_the_rest_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "SLICE_OCTETS", 10)
    api = Api()
    api.intake.fail_at_call = 2
    answer = await api.post("/api/batch", {"base": MESSAGE | {"to": None}, "requests": [{"to": MESSAGE["to"]}] * 3})
    failed = {"success": False, "errors": ["Internal server error"]}
    assert (answer.status, answer.json["responses"]) == (
        200,
        [{"success": True, "message_ids": ["m1r0"]}, failed, failed],
    )
    assert [name for name, _ in api.log.told] == ["batch_slice_failed"]


# --- idempotency ---------------------------------------------------------------------------------------------------


async def test_a_key_gives_the_first_answer_again() -> None:
    api = Api()
    key = {"Idempotency-Key": '"8e03978e"'}
    first = await api.post("/api/send", MESSAGE, headers=key)
    again = await api.post("/api/send", MESSAGE, headers=key)
    assert (again.status, again.body) == (200, first.body)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert len(api.intake.accepted) == 1


async def test_a_key_with_another_body_is_409_and_the_streams_are_apart() -> None:
    api = Api()
    key = {"Idempotency-Key": "k"}
    await api.post("/api/send", MESSAGE, headers=key)
    other = await api.post("/api/send", MESSAGE | {"subject": "other"}, headers=key)
    assert (other.status, other.json) == (
        409,
        {"success": False, "errors": ["'Idempotency-Key' was already used with another request body"]},
    )
    assert (await api.post("/bulk/api/send", MESSAGE, headers=key)).status == 200
    assert [submission.stream for submission in api.intake.accepted] == ["transactional", "bulk"]


async def test_refusals_are_not_kept_under_a_key() -> None:
    api = Api()
    key = {"Idempotency-Key": "k"}
    assert (await api.post("/api/send", MESSAGE | {"subject": ""}, headers=key)).status == 400
    assert (await api.post("/api/send", MESSAGE, headers=key)).status == 200


async def test_the_kept_answer_of_a_batch_has_its_refusals_in_place() -> None:
    api = Api()
    body = {"base": MESSAGE | {"to": None}, "requests": [7, {"to": MESSAGE["to"]}, {"to": [{"email": "no"}]}]}
    first = await api.post("/api/batch", body, headers={"Idempotency-Key": "k"})
    again = await api.post("/api/batch", body, headers={"Idempotency-Key": "k"})
    assert [item["success"] for item in first.json["responses"]] == [False, True, False]
    assert again.body == first.body
    assert len(api.intake.accepted) == 1


@pytest.mark.parametrize("key", ["", "k" * 256, "kü", "k\t"])
async def test_a_key_is_printable_ascii(key: str) -> None:
    api = Api()
    assert errors(await api.post("/api/send", MESSAGE, headers={"Idempotency-Key": key})) == [
        "'Idempotency-Key' must be 1 to 255 printable ASCII characters"
    ]
    assert api.intake.calls == []


# --- the official SDK's models -------------------------------------------------------------------------------------


async def test_what_the_official_sdk_writes_and_reads() -> None:
    api = Api()
    attached = SdkAttachment(content=base64.b64encode(b"hi"), filename="a.txt", mimetype="text/plain")
    mail = Mail(
        sender=Address("ann@shop.example", "Ann"),
        to=[Address("bob@example.net")],
        subject="S",
        text="T",
        attachments=[attached],
        custom_variables={"n": 1},
        headers={"X-A": "v"},
    )
    answer = await api.post("/api/send", mail.api_data)
    assert SendingMailResponse(**answer.json).message_ids == ["m1r0"]
    params = BatchSendEmailParams(
        base=BatchMail(sender=Address("ann@shop.example"), subject="S", text="T"),
        requests=[BatchEmailRequest(to=[Address("bob@example.net")]), BatchEmailRequest(to=[Address("no")])],
    )
    response = BatchSendResponse(**(await api.post("/api/batch", params.api_data)).json)
    assert [item.errors for item in response.responses] == [None, ["address is invalid in 'to' 0"]]
