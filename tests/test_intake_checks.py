"""What the intake finds wrong with a submission: everything, once, in the order of the fields."""

import json
from dataclasses import replace

import msgspec
import pytest

from mailferry.intake import texts
from mailferry.intake.checks import Limits, check, in_field_order, sender, sender_domain
from mailferry.intake.refusal import Reason, Refusal
from mailferry.intake.submission import Rcpt, Submission
from mailferry.mail.address import Mailbox
from mailferry.mail.compose import Attachment, Content, compose
from mailferry.mail.header import read_head

CONTENT = Content(
    sender=Mailbox("ann@shop.example", "Ann"),
    to=(Mailbox("bob@example.net", "Bob"),),
    subject="Your order",
    text="It left.",
)
SUBMISSION = Submission(
    account_id=1,
    token_id=1,
    sender_domains=None,
    endpoint="mailtrap",
    stream="transactional",
    recipients=(Rcpt("bob@example.net"),),
    content=CONTENT,
)
RAW = b"From: Ann <ann@shop.example>\r\nTo: bob@example.net\r\nSubject: hi\r\n\r\nIt left.\r\n"


def of_content(limits: Limits | None = None, **changes: object) -> list[tuple[object, ...]]:
    return found(replace(SUBMISSION, content=replace(CONTENT, **changes)), limits)


def of_raw(raw: bytes, **changes: object) -> list[tuple[object, ...]]:
    return found(replace(SUBMISSION, content=None, raw=raw, **changes))


def found(submission: Submission, limits: Limits | None = None) -> list[tuple[object, ...]]:
    return [(r.reason, r.field, r.index) for r in check(submission, limits or Limits())]


def attachment(**changes: object) -> Attachment:
    return replace(Attachment("a.txt", b"x", "text/plain"), **changes)


def test_nothing_is_wrong() -> None:
    assert check(SUBMISSION, Limits()) == ()
    assert check(replace(SUBMISSION, content=None, raw=RAW), Limits()) == ()


def test_all_is_told_at_once_in_the_order_of_the_fields() -> None:
    empty = replace(SUBMISSION, content=Content(sender=Mailbox("")), recipients=(), category="c" * 256)
    assert found(empty) == [
        (Reason.FROM_REQUIRED, "from", None),
        (Reason.RECIPIENT_REQUIRED, "to", None),
        (Reason.SUBJECT_REQUIRED, "subject", None),
        (Reason.BODY_REQUIRED, "text", None),
        (Reason.CATEGORY_TOO_LONG, "category", None),
    ]


def test_field_order_puts_items_in_their_order_and_strangers_last() -> None:
    given = [
        Refusal(Reason.WRONG_TYPE, "zebra"),
        Refusal(Reason.WRONG_TYPE, "cc.name", 0),
        Refusal(Reason.WRONG_TYPE, "to", 2),
        Refusal(Reason.WRONG_TYPE, "to"),
    ]
    assert [(r.field, r.index) for r in in_field_order(given)] == [
        ("to", None),
        ("to", 2),
        ("cc.name", 0),
        ("zebra", None),
    ]


def test_addresses_are_named_by_field_and_place() -> None:
    recipients = (Rcpt("ok@x.example"), Rcpt("no"), Rcpt("no@@x", "cc"), Rcpt("ok@x.example", "bcc"), Rcpt("", "bcc"))
    assert found(replace(SUBMISSION, recipients=recipients)) == [
        (Reason.ADDRESS_INVALID, "to", 1),
        (Reason.ADDRESS_INVALID, "cc", 0),
        (Reason.ADDRESS_INVALID, "bcc", 1),
    ]


def test_too_many_recipients_are_one_refusal_and_not_a_thousand() -> None:
    recipients = tuple(Rcpt("no", "cc") for _ in range(1001)) + (Rcpt("ok@x.example"),) * 1000
    assert found(replace(SUBMISSION, recipients=recipients)) == [(Reason.RECIPIENTS_TOO_MANY, "cc", None)]


def test_sender_and_reply_to_are_addresses() -> None:
    assert of_content(sender=Mailbox("nobody")) == [(Reason.FROM_INVALID, "from", None)]
    assert of_content(reply_to=(Mailbox("nobody"),)) == [(Reason.ADDRESS_INVALID, "reply_to", None)]


@pytest.mark.parametrize("evil", ["a\r\nBcc: eve@x.example", "a\nb", "a\rb", "a\0b", "a\ud800b"])
def test_no_text_of_a_header_field_may_break_out_of_it(evil: str) -> None:
    cases = {
        "from.name": {"sender": Mailbox("ann@shop.example", evil)},
        "to.name": {"to": (Mailbox("bob@example.net", evil),)},
        "cc.name": {"cc": (Mailbox("bob@example.net", evil),)},
        "reply_to.name": {"reply_to": (Mailbox("bob@example.net", evil),)},
        "subject": {"subject": evil},
        "attachments.filename": {"attachments": (attachment(filename=evil),)},
        "attachments.content_id": {"attachments": (attachment(content_id=evil),)},
    }
    for field, changes in cases.items():
        assert [(reason, place) for reason, place, _ in of_content(**changes)] == [(Reason.TEXT_INVALID, field)]
    assert of_content(headers=(("X-Own", evil),)) == [(Reason.HEADER_VALUE_INVALID, "headers", None)]
    assert of_content(headers=((f"X-{evil}", "v"),)) == [(Reason.HEADER_NAME_INVALID, "headers", None)]
    assert of_content(attachments=(attachment(content_type=f"text/{evil}"),)) == [
        (Reason.ATTACHMENT_TYPE_INVALID, "attachments", 0)
    ]
    assert found(replace(SUBMISSION, category=evil)) == [(Reason.TEXT_INVALID, "category", None)]


def test_an_endless_from_is_refused_unread() -> None:
    endless = b"From: " + b"ann@shop.example,\r\n " * 10_000 + b"ann@shop.example\r\n\r\n"
    (refusal,) = check(replace(SUBMISSION, content=None, raw=endless), Limits())
    assert (refusal.reason, refusal.detail) == (Reason.FROM_INVALID, "it has more than 32768 octets")
    name = b"\r\n ".join([b"=?UTF-8?B?w6nDqcOpw6nDqcOpw6nDqcOpw6nDqQ==?="] * 500)
    long = b"From: " + name + b" <ann@shop.example>\r\n\r\n"
    assert check(replace(SUBMISSION, content=None, raw=long), Limits()) == ()


@pytest.mark.parametrize(
    ("variables", "reasons"),
    [
        ({"k": "a\0b"}, [Reason.TEXT_INVALID]),
        ({"a\0b": "v"}, [Reason.TEXT_INVALID]),
        ({"k": "\\\0"}, [Reason.TEXT_INVALID]),
        ({"k": "\\u0000"}, []),
        ({"k": "C:\\\\u0000"}, []),
        ({"k": "line\nline\ttab\x01"}, []),
        ({"ключ": "\u2028 значение"}, []),
    ],
)
def test_no_variable_holds_a_nul_however_json_spells_it(variables: dict[str, str], reasons: list[Reason]) -> None:
    for text in (msgspec.json.encode(variables).decode(), json.dumps(variables, separators=(",", ":"))):
        assert [reason for reason, *_ in found(replace(SUBMISSION, custom_variables=text))] == reasons


@pytest.mark.parametrize(
    ("decoded", "kept", "line"),
    [
        ("Grüße, 日本", "Grüße, 日本", "Grüße, 日本"),
        ("a\0b\ud800c\x1b[1m\x7f", "a\ufffdb\ufffdc\ufffd[1m\ufffd", "a\ufffdb\ufffdc\ufffd[1m\ufffd"),
        ("a\r\n\tb\u2028\xa0c", "a\r\n\tb\u2028\xa0c", "a b\u2028\xa0c"),
        ("", "", ""),
    ],
)
def test_decoded_texts_as_they_are_kept(decoded: str, kept: str, line: str) -> None:
    assert (texts.kept(decoded), texts.kept_line(decoded)) == (kept, line)


def test_bodies_may_have_lines_but_no_nul() -> None:
    assert of_content(text="a\r\nb\nc\td\x1b") == []
    assert of_content(text="a\0", html="b\udfff") == [
        (Reason.TEXT_INVALID, "text", None),
        (Reason.TEXT_INVALID, "html", None),
    ]
    assert of_content(text=None, html="<p>") == []
    assert of_content(text="", html="") == [(Reason.BODY_REQUIRED, "text", None)]


RESERVED = """
    From sender TO Cc bcc Reply-To Subject Date Message-ID MIME-Version Return-Path Received DKIM-Signature Delivered-To
    Authentication-Results Content-Type content-anything X-MT-Category Resent-To ARC-Seal
"""


@pytest.mark.parametrize("name", RESERVED.split())
def test_reserved_headers_are_refused(name: str) -> None:
    assert check(replace(SUBMISSION, content=replace(CONTENT, headers=((name, "v"),))), Limits()) == (
        Refusal(Reason.HEADER_RESERVED, "headers", detail=name),
    )


@pytest.mark.parametrize("name", ["", "X Own", "X:Own", "Ünicode", "X" * 127, "X\t"])
def test_header_names_are_of_rfc_5322(name: str) -> None:
    assert of_content(headers=((name, "v"),)) == [(Reason.HEADER_NAME_INVALID, "headers", None)]


def test_headers_that_clients_need_pass() -> None:
    wanted = (
        "List-Unsubscribe",
        "In-Reply-To",
        "References",
        "X-Entity-Ref-ID",
        "Auto-Submitted",
        "Feedback-ID",
        "Precedence",
    )
    assert of_content(headers=tuple((name, "<https://x.example/?" + "q" * 2000 + "> ü") for name in wanted)) == []


@pytest.mark.parametrize(
    "kind", ["text/plain", "TEXT/csv; charset=utf-8", 'text/calendar; method=REQUEST;name="a \\" b"']
)
def test_media_types_may_have_parameters(kind: str) -> None:
    assert of_content(attachments=(attachment(content_type=kind),)) == []


@pytest.mark.parametrize(
    "kind", ["text", "text/", "/plain", "text/plain; charset", "text plain/x", "text/plän", "*/*/*"]
)
def test_what_is_no_media_type(kind: str) -> None:
    assert of_content(attachments=(attachment(content_type=kind),)) == [
        (Reason.ATTACHMENT_TYPE_INVALID, "attachments", 0)
    ]


def test_attachments_have_a_name_and_inline_ones_an_id() -> None:
    wrong = (
        attachment(),
        attachment(filename=""),
        attachment(disposition="inline"),
        attachment(disposition="sideways", content_id="x"),
    )
    assert [
        (r.reason, r.index, r.detail)
        for r in check(replace(SUBMISSION, content=replace(CONTENT, attachments=wrong)), Limits())
    ] == [
        (Reason.ATTACHMENT_FIELD_REQUIRED, 1, "filename"),
        (Reason.ATTACHMENT_FIELD_REQUIRED, 2, "content_id"),
        (Reason.ATTACHMENT_DISPOSITION_INVALID, 3, ""),
    ]


def test_labels_have_limits() -> None:
    assert found(replace(SUBMISSION, category="ü" * 255, custom_variables="x" * 1000)) == []
    assert found(replace(SUBMISSION, category="ü" * 256, custom_variables="ü" * 501)) == [
        (Reason.CATEGORY_TOO_LONG, "category", None),
        (Reason.VARIABLES_TOO_LONG, "custom_variables", None),
    ]


def test_a_message_has_a_largest_size() -> None:
    limits = Limits(message=1000)
    assert of_content(limits, attachments=(attachment(content=b"x" * 720),)) == []
    assert of_content(limits, attachments=(attachment(content=b"x" * 760),)) == [(Reason.MESSAGE_TOO_LARGE, "", None)]
    assert found(replace(SUBMISSION, content=None, raw=RAW + b"x" * 1000), limits) == [
        (Reason.MESSAGE_TOO_LARGE, "", None)
    ]


def test_the_head_of_what_passes_can_be_read_again() -> None:
    """Delivery reads it with mail/header.py, which stops at a mebibyte."""
    names = tuple(Mailbox(f"{number}@example.net", "ü" * 95) for number in range(1000))
    many = replace(SUBMISSION, content=replace(CONTENT, to=names, cc=names))
    assert found(many) == []
    composed = compose(many.content, message_id="<1@shop.example>", date_ms=0)
    assert len(read_head(composed).fields) > 5
    assert of_content(to=names, cc=tuple(replace(name, name="ü" * 300) for name in names)) == [
        (Reason.TEXT_INVALID, "cc", None)
    ]
    assert of_content(subject="s" * 1_000_000) == [(Reason.TEXT_INVALID, "subject", None)]


def test_a_whole_message_needs_one_from_with_one_mailbox() -> None:
    second = b"From: ann@shop.example\r\nFROM: eve@bank.example\r\n\r\n"
    two = b"From: ann@shop.example, eve@bank.example\r\n\r\n"
    hidden = b"From: =?utf-8?q?eve=40bank=2Eexample=2C?= <ann@shop.example>\r\n\r\n"
    assert of_raw(second) == [(Reason.FROM_FIELDS, "from", None)]
    assert of_raw(two) == [(Reason.FROM_FIELDS, "from", None)]
    assert of_raw(b"Subject: hi\r\n\r\n") == [(Reason.FROM_FIELDS, "from", None)]
    assert of_raw(b"From: nobody\r\n\r\n") == [(Reason.FROM_INVALID, "from", None)]
    assert of_raw(hidden) == []


def test_a_whole_message_must_be_readable() -> None:
    assert of_raw(b"From: ann@shop.example\r\nno field\r\n\r\n") == [(Reason.MESSAGE_MALFORMED, "", None)]
    assert of_raw(RAW + b"a\0b\r\n") == [(Reason.MESSAGE_MALFORMED, "", None)]


def test_envelope_and_from_are_of_one_domain() -> None:
    assert of_raw(RAW, envelope_from="bounce@SHOP.example") == []
    assert of_raw(RAW, envelope_from="ann@sub.shop.example") == [(Reason.FROM_MISMATCH, "from", None)]
    assert of_raw(RAW, envelope_from="no address") == [(Reason.FROM_MISMATCH, "from", None)]


def test_the_sender_is_read_as_it_will_be_checked() -> None:
    assert sender(replace(SUBMISSION, content=None, raw=RAW)) == Mailbox("ann@shop.example", "Ann")
    assert (
        sender_domain(replace(SUBMISSION, content=replace(CONTENT, sender=Mailbox("a@BÜCHER.example"))))
        == "xn--bcher-kva.example"
    )
    with pytest.raises(ValueError, match="no sender"):
        sender(replace(SUBMISSION, content=None, raw=b"Subject: hi\r\n\r\n"))
