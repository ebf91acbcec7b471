"""Messages that we compose: by golden octets, and read back by the standard library."""

import base64
import re
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.mail import transfer
from mailferry.mail.address import Mailbox
from mailferry.mail.compose import Attachment, Content, compose, format_date
from mailferry.mail.header import BadHeader, decode, read_head, values
from mailferry.mail.transfer import base64_lines, quoted_printable, quoted_printable_text

DATE_MS = 1_763_956_980_123
SENDER = Mailbox("news@example.com", "News")
TO = (Mailbox("a@example.net"),)


def made(content: Content) -> bytes:
    return compose(content, message_id="id-1@example.com", date_ms=DATE_MS)


def parsed(octets: bytes) -> EmailMessage:
    message = BytesParser(policy=policy.default).parsebytes(octets)
    assert isinstance(message, EmailMessage)
    for part in message.walk():
        assert part.defects == []
    return message


def lines_ended_by_lf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def text_of(part: EmailMessage) -> str:
    octets = part.get_payload(decode=True)
    assert isinstance(octets, bytes)
    return octets.decode().replace("\r\n", "\n")


def test_a_plain_message_golden() -> None:
    content = Content(
        sender=SENDER,
        to=(Mailbox("a@example.net", "Ann"), Mailbox("b@example.net")),
        cc=(Mailbox("c@example.net"),),
        reply_to=(Mailbox("r@example.com"),),
        subject="Hello",
        text="1 = 1\n.\nFrom here\ntab\t\nend",
        headers=(("X-One", "1"), ("X-Two", "2")),
    )
    assert made(content).decode("ascii") == (
        "Date: Mon, 24 Nov 2025 04:03:00 +0000\r\n"
        "Message-ID: <id-1@example.com>\r\n"
        "From: News <news@example.com>\r\n"
        "To: Ann <a@example.net>, b@example.net\r\n"
        "Cc: c@example.net\r\n"
        "Reply-To: r@example.com\r\n"
        "Subject: Hello\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n"
        "X-One: 1\r\n"
        "X-Two: 2\r\n"
        "\r\n"
        "1 =3D 1\r\n"
        "=2E\r\n"
        "Fro=\r\n"
        "m here\r\n"
        "tab=09\r\n"
        "end\r\n"
    )


def test_containers_golden() -> None:
    content = Content(
        sender=SENDER,
        to=TO,
        text="t",
        html="<p>h</p>",
        attachments=(
            Attachment("a.bin", b"\0\1\2"),
            Attachment("l.png", b"png", "image/png", "inline", "logo@x"),
        ),
    )
    octets = made(content)
    assert made(content) == octets
    unique = re.findall(rb'boundary="=_m_([0-9a-f]{24})"', octets)[0].decode()
    assert octets.decode("ascii").partition("MIME-Version: 1.0\r\n")[2].replace(unique, "U") == (
        'Content-Type: multipart/mixed;\r\n boundary="=_m_U"\r\n'
        "\r\n"
        "--=_m_U\r\n"
        'Content-Type: multipart/alternative;\r\n boundary="=_a_U"\r\n'
        "\r\n"
        "--=_a_U\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
        "\r\n"
        "t\r\n"
        "--=_a_U\r\n"
        'Content-Type: multipart/related; type="text/html";\r\n boundary="=_r_U"\r\n'
        "\r\n"
        "--=_r_U\r\n"
        "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
        "\r\n"
        "<p>h</p>\r\n"
        "--=_r_U\r\n"
        "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n"
        'Content-Disposition: inline;\r\n filename="l.png"\r\nContent-ID: <logo@x>\r\n'
        "\r\n"
        "cG5n\r\n"
        "--=_r_U--\r\n"
        "\r\n"
        "--=_a_U--\r\n"
        "\r\n"
        "--=_m_U\r\n"
        "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
        'Content-Disposition: attachment;\r\n filename="a.bin"\r\n'
        "\r\n"
        "AAEC\r\n"
        "--=_m_U--\r\n"
    )


def shape(part: EmailMessage) -> object:
    kind = part.get_content_subtype()
    return [kind, *map(shape, part.iter_parts())] if part.is_multipart() else kind


FILE = Attachment("f.pdf", b"f", "application/pdf")
INLINE = Attachment("i.png", b"i", "image/png", "inline", "i")


@pytest.mark.parametrize(
    ("text", "html", "attachments", "expected"),
    [
        ("t", None, (), "plain"),
        (None, "h", (), "html"),
        (None, None, (), "plain"),
        ("", "", (), ["alternative", "plain", "html"]),
        ("t", "h", (), ["alternative", "plain", "html"]),
        ("t", None, (FILE,), ["mixed", "plain", "pdf"]),
        (None, None, (FILE,), ["mixed", "plain", "pdf"]),
        ("t", None, (INLINE,), ["mixed", "plain", "png"]),
        (None, "h", (INLINE,), ["related", "html", "png"]),
        ("t", "h", (INLINE,), ["alternative", "plain", ["related", "html", "png"]]),
        (None, "h", (FILE, INLINE), ["mixed", ["related", "html", "png"], "pdf"]),
        ("t", "h", (FILE, INLINE), ["mixed", ["alternative", "plain", ["related", "html", "png"]], "pdf"]),
    ],
)
def test_only_the_containers_that_are_needed(
    text: str | None, html: str | None, attachments: tuple[Attachment, ...], expected: object
) -> None:
    content = Content(sender=SENDER, to=TO, text=text, html=html, attachments=attachments)
    assert shape(parsed(made(content))) == expected


def test_recipients_that_are_all_hidden_are_told_apart_from_a_missing_field() -> None:
    head = read_head(made(Content(sender=SENDER, text="t")))
    assert values(head, b"to") == [b"undisclosed-recipients:;"]
    head = read_head(made(Content(sender=SENDER, cc=TO, text="t")))
    assert values(head, b"to") == []
    assert values(head, b"cc") == [b"a@example.net"]


def test_a_utf8_local_part_is_the_only_thing_that_is_not_ascii() -> None:
    octets = made(Content(sender=SENDER, to=(Mailbox("jörg@example.net", "Jörg"),), subject="ü", text="ü", html="ü"))
    assert [line for line in octets.split(b"\r\n") if not line.isascii()] == [
        "To: =?UTF-8?B?SsO2cmc=?= <jörg@example.net>".encode()
    ]


@pytest.mark.parametrize("ms", [0, 951_782_399_999, DATE_MS, 1_709_164_800_000, 4_102_444_799_000])
def test_dates(ms: int) -> None:
    assert int(parsedate_to_datetime(format_date(ms)).timestamp()) == ms // 1000
    assert format_date(0) == "Thu, 01 Jan 1970 00:00:00 +0000"


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("image/png", "image/png"),
        (" text/calendar; method=REQUEST; charset=utf-8 ", "text/calendar; method=REQUEST; charset=utf-8"),
        ('text/csv; header="a; b"', 'text/csv; header="a; b"'),
        ("application/pdf; name=Résumé.pdf", "application/pdf"),
        ("application/pdf;", "application/pdf"),
        ("pdf", "application/octet-stream"),
        ("", "application/octet-stream"),
        ("a/b c", "application/octet-stream"),
        ("ü/ü", "application/octet-stream"),
        ("a/b; " + "x=y; " * 200, "application/octet-stream"),
        ("message/rfc822", "application/octet-stream"),
        ("Multipart/Mixed; boundary=x", "application/octet-stream"),
    ],
)
def test_types_of_attachments(given: str, written: str) -> None:
    octets = made(Content(sender=SENDER, to=TO, text="t", attachments=(Attachment("f", b"f", given),)))
    assert f"\r\nContent-Type: {written}\r\n".encode() in octets


@pytest.mark.parametrize(
    ("given", "written"),
    [("logo", "logo"), ("<a@b>", "a@b"), ("ü b", "%C3%BC%20b"), ("a>b<c", "a%3Eb%3Cc"), ("x" * 600, "x" * 500)],
)
def test_content_ids(given: str, written: str) -> None:
    file = Attachment("f", b"f", "image/png", "inline", given)
    octets = made(Content(sender=SENDER, to=TO, html="h", attachments=(file,)))
    assert f"\r\nContent-ID: <{written}>\r\n".encode() in octets


@pytest.mark.parametrize("evil", ["\r\nBcc: x@y.z", "\n", "\r", "\0"])
def test_no_text_brings_a_field_of_its_own(evil: str) -> None:
    contents = [
        Content(Mailbox("a@b.c", "x" + evil), TO, text="t"),
        Content(Mailbox("a@b.c" + evil), TO, text="t"),
        Content(SENDER, (Mailbox("a@b.c", evil + "x"),), text="t"),
        Content(SENDER, TO, (Mailbox("a" + evil + "@b.c"),), text="t"),
        Content(SENDER, TO, reply_to=(Mailbox("a@b.c", evil),), text="t"),
        Content(SENDER, TO, subject="s" + evil, text="t"),
        Content(SENDER, TO, text="t", headers=(("X-A", "v" + evil),)),
        Content(SENDER, TO, text="t", headers=(("X-A" + evil, "v"),)),
        Content(SENDER, TO, text="t", headers=(("X-A: b\r\nX-B", "v"),)),
        Content(SENDER, TO, text="t", attachments=(Attachment("f" + evil, b""),)),
        Content(SENDER, TO, text="t", attachments=(Attachment("f", b"", "a/b" + evil),)),
        Content(SENDER, TO, text="t", attachments=(Attachment("f", b"", "a/b", "inline", "c" + evil),)),
    ]
    for content in contents:
        with pytest.raises(BadHeader):
            made(content)
    with pytest.raises(BadHeader):
        compose(Content(SENDER, TO, text="t"), message_id="a" + evil, date_ms=0)


SAFE = st.characters(exclude_categories=("Cs",))
IN_HEADER = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n\0"), max_size=80)
BODY = (
    st.none()
    | st.text(SAFE, max_size=300)
    | st.lists(
        st.sampled_from(
            [
                "\n",
                "\r\n",
                "\r",
                ".",
                "From ",
                " ",
                "\t",
                "=",
                "x" * 74,
                "word ",
                "ü",
                "日本語",
                "--=_m_",
                "<a href=3D>",
                "\0",
            ]
        ),
        max_size=60,
    ).map("".join)
)
FILE_NAMES = IN_HEADER.filter(lambda name: name == name.strip() and name != "")
ATTACHMENTS = st.builds(
    Attachment,
    filename=FILE_NAMES,
    content=st.binary(max_size=300),
    content_type=st.sampled_from(["application/pdf", "image/png", "message/rfc822", "text/csv; charset=latin-1"]),
    disposition=st.sampled_from(["attachment", "inline"]),
    content_id=st.sampled_from(["", "logo", "a@b"]),
)
CONTENTS = st.builds(
    Content,
    sender=st.builds(Mailbox, st.just("a@b.c"), IN_HEADER),
    to=st.lists(st.builds(Mailbox, st.sampled_from(["x@y.z", '"a, b"@y.z']), IN_HEADER), max_size=3).map(tuple),
    subject=IN_HEADER,
    text=BODY,
    html=BODY,
    attachments=st.lists(ATTACHMENTS, max_size=3).map(tuple),
    headers=st.lists(st.tuples(st.just("X-Custom"), IN_HEADER), max_size=2).map(tuple),
)


@given(CONTENTS)
def test_the_standard_library_reads_what_was_said(content: Content) -> None:
    octets = made(content)
    assert octets.isascii()
    lines = octets.split(b"\r\n")
    assert lines[-1] == b""
    assert all(len(line) <= 998 and b"\r" not in line and b"\n" not in line for line in lines)

    message = parsed(octets)
    bodies, files = [], []
    for part in message.walk():
        if part.is_multipart():
            continue
        (files if part.get_content_disposition() else bodies).append(part)

    expected = [body for body in (content.text, content.html) if body is not None] or [""]
    single = not message.is_multipart()
    for part, body in zip(bodies, expected, strict=True):
        assert part["Content-Transfer-Encoding"] == "quoted-printable"
        wanted = lines_ended_by_lf(body)
        assert text_of(part) in ((wanted, wanted + "\n") if single and not wanted.endswith("\n") else (wanted,))
    inline = [file for file in content.attachments if file.disposition == "inline" and content.html is not None]
    in_order = inline + [file for file in content.attachments if file not in inline]
    assert [part.get_payload(decode=True) for part in files] == [file.content for file in in_order]
    assert [squeezed(part.get_filename() or "") for part in files] == [squeezed(file.filename) for file in in_order]
    assert [part.get_content_disposition() for part in files] == [file.disposition for file in in_order]


def squeezed(name: str) -> str:
    """Python's reader takes control characters and white space of names by its own rules; ours is exact elsewhere."""
    return re.sub(r"\s+", "", name)


@given(CONTENTS)
def test_our_own_reader_gets_every_header_text_exactly(content: Content) -> None:
    head = read_head(made(content))
    assert decode(values(head, b"subject")[0]) == content.subject
    assert [decode(value) for value in values(head, b"x-custom")] == [value for _, value in content.headers]
    assert len(values(head, b"from")) == len(values(head, b"date")) == len(values(head, b"message-id")) == 1


QP = st.text(st.sampled_from("abc =.\t\n\r\nFrom üж日\0\x7f"), max_size=400) | BODY.map(lambda body: body or "")


@given(QP)
def test_quoted_printable_is_exact_and_its_lines_are_safe(text: str) -> None:
    encoded = quoted_printable_text(text)
    canonical = lines_ended_by_lf(text).replace("\n", "\r\n").encode()
    assert quoted_printable(canonical) == encoded
    check_quoted_printable(encoded, canonical)


@given(QP, st.integers(1, 200))
def test_a_text_that_is_encoded_in_pieces_is_as_exact(text: str, piece: int) -> None:
    canonical = lines_ended_by_lf(text).replace("\n", "\r\n").encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer, "PIECE", piece)
        check_quoted_printable(quoted_printable_text(text), canonical)
        check_quoted_printable(quoted_printable(canonical), canonical)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r", " "])
def test_a_large_text_with_and_without_lines(line_end: str) -> None:
    text = f"Größe = \t{line_end}" * 40_000
    canonical = lines_ended_by_lf(text).replace("\n", "\r\n").encode()
    assert len(text) > transfer.PIECE
    check_quoted_printable(quoted_printable_text(text), canonical)
    check_quoted_printable(quoted_printable(canonical), canonical)


def check_quoted_printable(encoded: bytes, canonical: bytes) -> None:
    assert encoded.isascii()
    assert quopri_by_hand(encoded) == canonical
    for line in encoded.split(b"\r\n"):
        assert len(line) <= 76
        assert line != b"."
        assert not line.startswith(b"From ")
        assert not line.endswith((b" ", b"\t"))
        assert not re.search(rb"[^\t -~]", line)
        assert not re.search(rb"=(?![0-9A-F]{2}|\Z)", line)


def quopri_by_hand(encoded: bytes) -> bytes:
    """RFC 2045 section 6.7 to the letter, so that no leniency of a library hides a fault."""
    unfolded = encoded.replace(b"=\r\n", b"")
    assert not re.search(rb"=(?![0-9A-F]{2})", unfolded)
    return re.sub(rb"=([0-9A-F]{2})", lambda code: bytes.fromhex(code[1].decode()), unfolded)


@pytest.mark.parametrize("encoded", ["x", "=", "ü"])
def test_lines_around_the_limit(encoded: str) -> None:
    for before in range(65, 80):
        for after in range(4):
            text = "x" * before + encoded + "y" * after
            lines = quoted_printable_text(text).split(b"\r\n")
            assert all(len(line) <= 76 and not re.search(rb"=(?![0-9A-F]{2}|\Z)", line) for line in lines)
            assert quopri_by_hand(b"\r\n".join(lines)) == text.encode()
            assert len(lines) == 1 or before + after > 69


@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 114, 57 * 8192 - 1, 57 * 8192, 57 * 8192 + 1, 57 * 8192 * 2 + 5])
def test_base64_lines(size: int) -> None:
    octets = bytes(range(256)) * (size // 256 + 1)
    assert base64_lines(octets[:size]) == base64.encodebytes(octets[:size]).replace(b"\n", b"\r\n")


def test_a_dense_text_is_safe_too() -> None:
    # The C encoder does not see a line that its own soft break has made.
    for filler in range(60, 90):
        for tail in (".", ".\nж", "From ж", "From "):
            text = "ж" * 30 + "x" * filler + tail
            encoded = quoted_printable_text(text)
            assert quopri_by_hand(encoded) == text.replace("\n", "\r\n").encode()
            assert not any(line == b"." or line.startswith(b"From ") for line in encoded.split(b"\r\n"))
