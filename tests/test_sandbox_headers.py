"""Headers and lines by the RFCs, and what the DNS says of the sender: each rule met and not met."""

from collections.abc import Mapping
from datetime import UTC, datetime

import dkim as dkimpy
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from mailferry.mail import dkim
from mailferry.mail.reading import read
from mailferry.net.dns import Resolver
from mailferry.sandbox.checks import authentication, headers
from mailferry.sandbox.checks.finding import Finding
from tests.fakes.dns import FakeDNS, Records, Trouble

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
GOOD = (
    b"From: Ann <ann@example.com>\r\nTo: bob@example.org\r\nSubject: Minutes\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n"
    b"Message-ID: <a1@example.com>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"List-Unsubscribe: <https://example.com/u>, <mailto:u@example.com>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\nDear Bob\r\n"
)


def found(raw: bytes) -> list[Finding]:
    return headers.check(raw, read(raw), NOW)


def bad(raw: bytes) -> list[str]:
    return [f"{each.rule} {each.grade}: {each.sentence}" for each in found(raw) if each.grade != "pass"]


def test_a_good_message_passes_everything() -> None:
    assert bad(GOOD) == []
    assert [each.rule for each in found(GOOD)] == [
        "addresses",
        "date",
        "message-id",
        "seven-bit",
        "line-length",
        "list-unsubscribe",
    ]


def but(old: bytes, new: bytes) -> bytes:
    assert old in GOOD
    return GOOD.replace(old, new)


BAD = {
    but(b"From: Ann <ann@example.com>\r\n", b""): "addresses problem: There is no From field.",
    but(
        b"Subject: Minutes", b"Subject: a\r\nSubject: b"
    ): "once problem: There are 2 Subject fields, and there may be one.",
    but(b"Ann <ann@example.com>", b"Ann ann@example.com>"): (
        "addresses problem: The From field is no list of addresses: an element of the address list is no address."
    ),
    but(b"From: Ann <ann@example.com>", b"From: a@b.test, c@d.test"): (
        "addresses problem: Several addresses in From need a Sender field that says which of them sent it."
    ),
    but(b"Ann <ann@example.com>", b"nobody:;"): "addresses problem: The From field names nobody.",
    but(b"To: bob@example.org\r\n", b""): (
        "addresses warning: There is neither a To nor a Cc field: filters take that for spam."
    ),
    but(b"Date: Tue, 24 Nov 2026 10:00:00 +0000\r\n", b""): "date problem: There is no Date field.",
    but(b"Tue, 24 Nov 2026 10:00:00 +0000", b"yesterday"): "date problem: The Date field is no date: 'yesterday'.",
    but(b"10:00:00 +0000", b"10:00:00 GMT"): (
        "date warning: The Date field is written in an obsolete form: 'Tue, 24 Nov 2026 10:00:00 GMT'."
    ),
    but(b"Tue, 24 Nov", b"Thu, 26 Nov"): "date warning: The Date field is more than a day in the future.",
    but(b"Tue, 24 Nov 2026", b"Tue, 24 Nov 2020"): "date warning: The Date field is more than a day in the past.",
    but(b"Message-ID: <a1@example.com>\r\n", b""): (
        "message-id warning: There is no Message-ID field: replies and threads need it, and filters miss it."
    ),
    but(b"<a1@example.com>", b"a1"): "message-id problem: The Message-ID is not of the form <left@right>: 'a1'.",
    but(b"Subject: Minutes\r\n", b""): "subject warning: There is no subject.",
    but(
        b"Minutes", b"=?utf-8?q?a"
    ): "subject problem: An encoded word of the subject is broken, and readers see its code.",
    but(
        b"Minutes", b"\r\n".join([b" " + b"x" * 60] * 3)
    ): "subject note: The subject has 182 characters; lists show some 40 to 70.",
    but(b"To: bob", b"Bcc: x@y.test\r\nTo: bob"): (
        "bcc warning: There is a Bcc field: where it is not removed, each recipient sees the others."
    ),
    but(b"MIME-Version: 1.0\r\n", b""): (
        "mime-version warning: There is no MIME-Version field, so strict readers take the content for plain text."
    ),
    but(
        b"MIME-Version: 1.0", b"MIME-Version: 2.0"
    ): "mime-version problem: The MIME-Version is '2.0'; there is only 1.0.",
    but(b"Dear Bob", b"Dear B\xc3\xb6b"): (
        "seven-bit note: The body has eight-bit octets: it needs 8BITMIME, and some servers encode it anew, which breaks signatures."
    ),
    but(b"Dear Bob", b"Dear\0Bob"): "control problem: The message holds a NUL.",
    but(b"Dear Bob", b"Dear\rBob"): (
        "line-ends problem: A CR or LF stands alone: servers refuse that, because two of them could read two messages."
    ),
    but(b"Dear Bob", b"x" * 999): (
        "line-length problem: A line has 999 octets; 998 is the most, and servers cut or refuse what is longer."
    ),
    but(b"Minutes", b"x" * 75): "line-length note: A line of the header has 84 octets; 78 are wished for.",
    but(b"List-Unsubscribe: <https://example.com/u>, <mailto:u@example.com>\r\n", b""): (
        "list-unsubscribe problem: There is a List-Unsubscribe-Post field and no List-Unsubscribe that it could be about."
    ),
    but(b"<https://example.com/u>, <mailto:u@example.com>", b"https://example.com/u"): (
        "list-unsubscribe problem: The List-Unsubscribe field holds no URI in angle brackets."
    ),
    but(
        b"<https://example.com/u>, ", b""
    ): "list-unsubscribe problem: One click needs an https URI in List-Unsubscribe.",
    but(b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", b""): (
        "list-unsubscribe warning: There is no List-Unsubscribe-Post field, so nobody offers to unsubscribe with one click."
    ),
    but(b"=One-Click", b"=Yes"): (
        "list-unsubscribe problem: List-Unsubscribe-Post must be List-Unsubscribe=One-Click, not 'List-Unsubscribe=Yes'."
    ),
    but(b"charset=utf-8", b"charset=utf-8\r\nContent-Transfer-Encoding: x-odd"): (
        "mime problem: Part 1: the transfer encoding 'x-odd' is unknown: the part is as it came."
    ),
}


@pytest.mark.parametrize("raw", BAD, ids=lambda raw: BAD[raw][:40])
def test_what_is_wrong_is_said_and_nothing_else(raw: bytes) -> None:
    assert bad(raw) == [BAD[raw]]


def test_a_header_of_eight_bits_is_told() -> None:
    (first, second) = bad(but(b"Minutes", b"Gr\xc3\xbc\xc3\x9fe"))
    assert (
        first
        == "seven-bit warning: The header holds octets that are not ASCII: it needs SMTPUTF8, which not all servers have."
    )
    assert second.startswith("mime problem: A header field holds octets that are not ASCII")


def test_parts_in_an_encoding_hold_no_parts() -> None:
    body = b"multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: base64\r\n\r\n--x\r\n\r\na\r\n--x--\r\n"
    told = bad(
        but(b"text/plain; charset=utf-8", b"x/y")
        .replace(b"x/y", body.partition(b"\r\n\r\n")[0])
        .partition(b"\r\n\r\n")[0]
        + b"\r\n\r\n"
        + body.partition(b"\r\n\r\n")[2]
    )
    assert told == ["mime-encoding problem: Part 1 holds parts and is in base64, which is not allowed."]


@given(st.binary(max_size=300))
def test_any_octets_have_headers_that_can_be_judged(raw: bytes) -> None:
    found(raw)
    found(b"From: " + raw)
    found(b"Date: " + raw)


# --- SPF, DKIM, DMARC -------------------------------------------------------------------------------------------------

KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
)
ZONE: Mapping[str, Records] = {
    "example.com": {"TXT": ["v=spf1 include:x.test ~all", "other"]},
    "_dmarc.example.com": {"TXT": "v=DMARC1; p=reject"},
    "s._domainkey.example.com": {"TXT": dkim.record("rsa-sha256", dkim.public_part(KEY))},
}
SIGNED = dkimpy.sign(GOOD, b"s", b"example.com", PEM) + GOOD


async def authenticated(
    raw: bytes, zone: Mapping[str, Records] = ZONE, trouble: Mapping[str, Trouble] | None = None
) -> dict[str, tuple[str, str]]:
    async with FakeDNS({**zone, "other.test": {"A": "192.0.2.1"}}) as dns:
        dns.trouble.update(trouble or {})
        resolver = Resolver([dns.address], clock=lambda: 0, timeout=0.5)
        told = await authentication.check(raw, authentication.sender_domain(read(raw)), resolver)
        await resolver.close()
    return {each.rule: (each.grade, each.sentence) for each in told}


async def test_a_domain_that_is_set_up_and_a_signature_that_holds() -> None:
    assert await authenticated(SIGNED) == {
        "spf": ("pass", 'example.com has an SPF record: "v=spf1 include:x.test ~all".'),
        "dkim": ("pass", "The signature of example.com holds (rsa-sha256, selector s)."),
        "dmarc": ("pass", "The DMARC policy of example.com is p=reject; a signature that holds meets it."),
    }


async def test_a_message_that_is_not_signed_yet() -> None:
    told = await authenticated(GOOD)
    assert told["dkim"][0] == "note"
    assert told["dmarc"] == (
        "pass",
        "The DMARC policy of example.com is p=reject; no signature of this message meets it yet.",
    )


async def test_a_signature_that_does_not_hold() -> None:
    told = await authenticated(SIGNED.replace(b"Dear", b"Deer"))
    assert told["dkim"] == (
        "problem",
        "The signature of example.com does not hold: the body was changed after it was signed.",
    )
    assert "no signature of this message" in told["dmarc"][1]
    told = await authenticated(SIGNED, {})
    assert told["dkim"][1].endswith("there is no key at s._domainkey.example.com.")


async def test_a_signature_of_another_domain_meets_no_policy() -> None:
    other = GOOD.replace(b"ann@example.com", b"ann@else.test")
    zone = {**ZONE, "_dmarc.else.test": {"TXT": "v=DMARC1; p=none"}}
    told = await authenticated(dkimpy.sign(other, b"s", b"example.com", PEM) + other, zone)
    assert told["dkim"][0] == "pass" and "no signature of this message" in told["dmarc"][1]


@pytest.mark.parametrize(
    ("texts", "grade", "sentence"),
    [
        ([], "warning", "example.com has no SPF record."),
        (["v=spf1 a -all", "v=spf1 -all"], "problem", "example.com has 2 SPF records, which makes all void."),
        (["v=spf1 +all"], "problem", 'The SPF record of example.com lets everybody send: "v=spf1 +all".'),
        (["v=spf1 all"], "problem", 'The SPF record of example.com lets everybody send: "v=spf1 all".'),
        (["v=spf1 mx"], "warning", 'The SPF record of example.com does not say what others are: "v=spf1 mx".'),
        (["v=spf1 redirect=x.test"], "pass", 'example.com has an SPF record: "v=spf1 redirect=x.test".'),
    ],
)
async def test_spf_records(texts: list[str], grade: str, sentence: str) -> None:
    zone: dict[str, Records] = {**ZONE, "example.com": {"TXT": texts} if texts else {"A": "192.0.2.1"}}
    assert (await authenticated(GOOD, zone))["spf"] == (grade, sentence)


async def test_dmarc_of_a_parent_of_none_and_of_two() -> None:
    below = GOOD.replace(b"ann@example.com", b"ann@news.example.com")
    assert (await authenticated(below))["dmarc"][1].startswith("The DMARC policy of example.com is p=reject")
    assert (await authenticated(GOOD, {}))["dmarc"][0] == "warning"
    two: dict[str, Records] = {"_dmarc.example.com": {"TXT": ["v=DMARC1; p=none", "v=DMARC1; p=reject"]}}
    assert "2 DMARC records" in (await authenticated(GOOD, two))["dmarc"][1]
    void: dict[str, Records] = {"_dmarc.example.com": {"TXT": "v=DMARC1; p=maybe"}}
    assert "is void" in (await authenticated(GOOD, void))["dmarc"][1]


async def test_a_dns_that_does_not_answer_is_no_verdict() -> None:
    trouble: dict[str, Trouble] = dict.fromkeys(ZONE, "servfail")
    told = await authenticated(SIGNED, trouble=trouble)
    assert {grade for grade, _ in told.values()} == {"warning"}
    assert all("nothing is known" in sentence for _, sentence in told.values())


async def test_a_message_from_nobody() -> None:
    assert await authenticated(b"Subject: x\r\n\r\n") == {
        "dmarc": ("problem", "From names no domain that could be asked about.")
    }
