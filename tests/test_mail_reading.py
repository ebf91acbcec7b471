"""Mail as it comes: every charset, damaged parts, hostile sizes. Golden files are `data/mail/NN-name.eml` and `.txt`."""

import base64
import email
import email.policy
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.mail import charsets, lenient_parts, parts, transfer_decoding
from mailferry.mail.address import Mailbox
from mailferry.mail.reading import Node, read

GOLDEN = sorted((Path(__file__).parent / "data" / "mail").glob("*.eml"))
HEAD = b"From: a@b.test\r\nMIME-Version: 1.0\r\n"


def message(body: bytes, content_type: str = "multipart/mixed; boundary=x", more: bytes = b"") -> bytes:
    return HEAD + b"Content-Type: " + content_type.encode() + b"\r\n" + more + b"\r\n" + body


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_every_charset_of_mail_is_read(path: Path) -> None:
    subject, text, _ = path.with_suffix(".txt").read_text("utf-8").split("\n")
    found = read(path.read_bytes())
    assert (found.subject, (found.text or "").strip()) == (subject, text)
    # What is labelled rightly is no problem, and everything else is one.
    assert bool(found.problems) == (int(path.stem[:2]) >= 42 and path.stem[:2] not in CORRECT), found.problems


CORRECT = {"43", "53", "56", "57", "58", "59"}


def test_there_are_golden_files() -> None:
    assert len(GOLDEN) > 45


def tree(node: Node) -> list[str]:
    return [f"{each.path} {each.media}" for each in node.walk()]


RELATED = message(
    b"preamble\r\n--x\r\nContent-Type: multipart/alternative; boundary=y\r\n\r\n"
    b"--y\r\nContent-Type: text/plain\r\n\r\nplain\r\n"
    b"--y\r\nContent-Type: multipart/related; boundary=z\r\n\r\n"
    b"--z\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>caf=C3=A9<img src=3D'cid:i@x'>\r\n"
    b"--z\r\nContent-Type: image/png; name=i.png\r\nContent-ID: <i@x>\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw==\r\n--z--\r\n"
    b"--y--\r\n"
    b"--x\r\nContent-Type: text/plain; name*=UTF-8''%E2%82%AC.txt\r\nContent-Disposition: attachment\r\n\r\nnot shown\r\n"
    b"--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner text\r\n--x--\r\nepilogue\r\n"
)


def test_text_html_and_attachments_of_a_usual_mail() -> None:
    found = read(RELATED)
    assert (found.text, found.html) == ("plain", "<p>café<img src='cid:i@x'>")
    assert tree(found.tree) == [
        "1 multipart/mixed",
        "1.1 multipart/alternative",
        "1.1.1 text/plain",
        "1.1.2 multipart/related",
        "1.1.2.1 text/html",
        "1.1.2.2 image/png",
        "1.2 text/plain",
        "1.3 message/rfc822",
        "1.3.1 text/plain",
    ]
    image, text, mail = found.attachments
    assert (image.path, image.filename, image.content_id, image.encoding) == ("1.1.2.2", "i.png", "i@x", "base64")
    assert (image.size, image.content()) == (4, b"\x89PNG")
    assert (text.filename, text.disposition, text.content()) == ("€.txt", "attachment", b"not shown")
    assert mail.content() == b"Subject: inner\r\n\r\ninner text"
    # Text without a label that is not ASCII is told; here it is UTF-8.
    assert found.problems == ("part 1.1.2.1: text without a charset is not ASCII; read as utf_8",)


def test_the_root_of_a_related_whole_may_be_named() -> None:
    body = b"--x\r\nContent-Type: text/html\r\n\r\nother\r\n--x\r\nContent-Type: text/html\r\nContent-ID: <r>\r\n\r\nroot\r\n--x--\r\n"
    assert read(message(body, 'multipart/related; boundary=x; start="<r>"')).html == "root"
    assert read(message(body, "multipart/related; boundary=x")).html == "other"


def test_fields_are_read_raw_and_decoded() -> None:
    raw = (
        b"Subject: =?utf-8?q?=C3=A9?=\r\n =?utf-8?q?=C3=A9?=\r\n"
        b'From: =?utf-8?q?D=2C_J?= <a@b.test>\r\nTo: "x, y" <c@d.test>, e@f.test\r\nCc: nobody at all, <g@h.test\r\n'
        b"reply-to: r@r.test\r\nX-Old : spaced\r\n\r\n"
    )
    found = read(raw)
    assert (found.subject, found.from_, found.reply_to) == ("éé", "D, J <a@b.test>", "r@r.test")
    assert found.headers[0].raw == b"Subject: =?utf-8?q?=C3=A9?=\r\n =?utf-8?q?=C3=A9?=\r\n"
    assert found.mailboxes("from") == [Mailbox("a@b.test", "D, J")]
    assert found.mailboxes("To") == [Mailbox("c@d.test", "x, y"), Mailbox("e@f.test")]
    assert found.mailboxes("Cc") == [Mailbox("g@h.test", "nobody at all")]
    assert found.header("x-old") == "spaced"
    assert found.problems == ()


FILENAMES = {
    b'filename="plain.txt"': "plain.txt",
    b"filename*=UTF-8''%E6%97%A5.txt": "日.txt",
    b"filename*=iso-8859-1'de'Gr%FC%DFe.txt": "Grüße.txt",
    b"filename*0*=UTF-8''%E6%97; filename*1*=%A5; filename*2=.txt": "日.txt",
    b'filename="=?UTF-8?B?5pel?=\r\n =?UTF-8?B?LnR4dA==?="': "日.txt",
    b"filename==?ISO-2022-JP?B?GyRCRnwbKEIudHh0?=": "日.txt",
    b'filename="\xe6\x97\xa5.txt"': "日.txt",
    'filename="отчёт за май.txt"'.encode("koi8-r"): "отчёт за май.txt",
    b'filename="a\\"b.txt"': 'a"b.txt',
    'filename="evil\u202egnp.exe"'.encode(): "evilgnp.exe",
    b'filename="=?utf-8?q?a=0D=0Ab?="': "ab",
}


@pytest.mark.parametrize("value", FILENAMES, ids=repr)
def test_filenames(value: bytes) -> None:
    body = b"--x\r\nContent-Disposition: attachment; " + value + b"\r\n\r\nx\r\n--x--\r\n"
    assert [each.filename for each in read(message(body)).attachments] == [FILENAMES[value]]


ENCODED = {
    ("base64", b"aGVs\r\nbG8=\r\n"): (b"hello", ""),
    ("base64", b"aGVsbG8"): (b"hello", "base64 lacks its end"),
    ("base64", b"aGVsbG8=a"): (b"hello", "base64 has an end inside of it: it was read on"),
    ("base64", b"aGVsbG8=aGVsbG8="): (b"hellohello", "base64 has an end inside of it: it was read on"),
    ("base64", b"aGVsbG8=\r\n-- \r\nlist footer"): (b"hello", "base64 is followed by other text, which is left out"),
    ("base64", b"aG!Vs*bG8="): (b"hello", "base64 holds octets that are none"),
    ("base64", b"aGVsbG8gb"): (b"hello ", "base64 is cut off"),
    ("base64", b""): (b"", ""),
    ("quoted-printable", b"a=3Db=\r\nc =\r\n=e9"): (b"a=bc \xe9", ""),
    ("quoted-printable", b"a=ZZb"): (b"a=ZZb", "quoted-printable holds = that stands for nothing"),
    ("x-uuencode", b"begin 644 a.txt\r\n%:&5L;&\\\r\n`\r\nend\r\n"): (b"hello", ""),
    ("x-uuencode", b"begin 644 a.txt\r\n%:&5L;&\\\r\n"): (b"hello", "uuencoded text has no end"),
    ("x-nonsense", b"abc"): (b"abc", "the transfer encoding 'x-nonsense' is unknown: the part is as it came"),
    ("8bit", b"\xff"): (b"\xff", ""),
}


@pytest.mark.parametrize("given", ENCODED, ids=repr)
def test_transfer_encodings_that_are_damaged(given: tuple[str, bytes]) -> None:
    assert transfer_decoding.decode(given[1], given[0]) == ENCODED[given]


MENDED = {
    "no boundary named": (
        message(b"--q\r\nContent-Type: text/html\r\n\r\n<b>x</b>\r\n--q--\r\n", "multipart/mixed"),
        "a multipart does not name the boundary that it has: it was found by its lines",
    ),
    "another boundary named": (
        message(b"hi\r\n--q\r\nContent-Type: text/html\r\n\r\n<b>x</b>\r\n--q--\r\n"),
        "a multipart does not name the boundary that it has: it was found by its lines",
    ),
    "LF": (
        message(b"--x\r\nContent-Type: text/html\r\n\r\n<b>x</b>\r\n--x--\r\n").replace(b"\r\n", b"\n"),
        "lines end in LF alone (RFC 5322 2.3); they are read as if they ended in CRLF",
    ),
    "CR": (
        message(b"--x\r\nContent-Type: text/html\r\n\r\n<b>x</b>\r\n--x--\r\n").replace(b"\r\n", b"\r"),
        "lines end in CR alone (RFC 5322 2.3); they are read as if they ended in CRLF",
    ),
    "no last delimiter": (message(b"--x\r\nContent-Type: text/html\r\n\r\n<b>x</b>"), None),
    "no blank line": (
        b"Content-Type: text/html\r\n<b>x</b>",
        "a header ends without a blank line, at '<b>x</b>'",
    ),
    "mbox": (b"From a@b.test Mon Jan  1 00:00:00 2026\r\nContent-Type: text/html\r\n\r\n<b>x</b>", None),
}


@pytest.mark.parametrize("name", MENDED)
def test_what_is_broken_is_mended_and_told(name: str) -> None:
    raw, problem = MENDED[name]
    found = read(raw)
    assert found.html == "<b>x</b>" and found.text is None
    assert found.problems == ((problem,) if problem else ())


def test_a_multipart_without_any_part_shows_what_it_holds() -> None:
    found = read(message(b"just text"))
    assert found.text == "just text"
    assert found.problems == ("a multipart holds no line of its boundary: it is read as one part",)


def nested(depth: int) -> bytes:
    inner = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level) for level in range(depth)
    )
    return HEAD + inner + b"\r\nthe end"


BOMBS = {
    "10,000 deep": (nested(10_000), "more than 50 parts inside each other: what is deeper is not read"),
    "10,000 messages deep": (
        HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 10_000,
        "more than 50 parts inside each other: what is deeper is not read",
    ),
    "12,000 parts": (message(b"--x\r\n\r\na\r\n" * 12_000), "more than 10000 parts: the rest is not read"),
    "delimiters": (message(b"--x\r\n" * 500_000), "more than 10000 parts: the rest is not read"),
    "parts in parts": (
        message(b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n" + b"--y\r\n" * 6_000 + b"--x\r\n" * 6_000),
        "more than 10000 parts: the rest is not read",
    ),
    "fields": (b"a:\r\n" * 500_000, "a header is too large: not all of its fields are read"),
    "a field": (b"Subject: " + b"x" * 3_000_000, "a header is too large: not all of its fields are read"),
    "folding": (b"Subject: x\r\n" + b" y\r\n" * 500_000, "a header is too large: not all of its fields are read"),
    "words": (
        b"Subject:" + b" =?utf-8?q?=C3=A9?=\r\n" * 60_000 + b"\r\nbody",
        "a header is too large: not all of its fields are read",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_read_within_bounds(name: str) -> None:
    raw, problem = BOMBS[name]
    found = read(raw)
    nodes = list(found.tree.walk())
    assert len(nodes) <= parts.MAX_PARTS and all(len(each.path.split(".")) <= parts.MAX_DEPTH + 1 for each in nodes)
    assert sum(len(each.headers) for each in nodes) <= lenient_parts.MAX_FIELDS + 10_000
    assert problem in found.problems


def test_a_body_behind_a_header_that_is_too_large_is_still_read() -> None:
    found = read(b"Content-Type: text/plain\r\n" + b"X: y\r\n" * 200_000 + b"\r\nthe body")
    assert found.text == "the body"
    assert found.header("Content-Type") == "text/plain"


def test_twenty_five_megabytes_are_read() -> None:
    data = random.Random(1).randbytes(18_000_000)
    body = b"--x\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=a\r\n\r\n"
    found = read(message(body + base64.encodebytes(data).replace(b"\n", b"\r\n") + b"--x--\r\n"))
    (attachment,) = found.attachments
    assert attachment.size == len(data) and attachment.content() == data


def test_problems_are_few_and_each_is_told_once() -> None:
    many = b"".join(
        b"--x\r\nContent-Type: text/plain; charset=x%d\r\n\r\n\xe9\r\n--x\r\n\r\n=\r\n" % number
        for number in range(200)
    )
    found = read(message(many))
    assert len(found.problems) == lenient_parts.MAX_PROBLEMS == len(set(found.problems))


@given(st.binary(max_size=400))
def test_any_octets_are_read(raw: bytes) -> None:
    everything(raw)
    everything(HEAD + raw)


PIECES = [
    b"--x\r\n",
    b"--x--\r\n",
    b"--y\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"=",
    b"=?",
    b"?=",
    b"=?utf-8?b?",
    b";",
    b'"',
    b"\0",
    b"Content-Type: multipart/mixed; boundary=x\r\n",
    b"Content-Type: multipart/related; boundary=y; start=a\r\n",
    b"Content-Type: message/rfc822\r\n",
    b"Content-Type: text/html; charset=",
    b"iso-2022-jp\r\n",
    b"utf-7\r\n",
    b"utf-16",
    b"Content-Transfer-Encoding: ",
    b"base64\r\n",
    b"quoted-printable\r\n",
    b"x-uuencode\r\n",
    b"begin 644 a\r\n",
    b"Content-Disposition: attachment; filename",
    b"*0*=",
    b"*1=",
    b"utf-8''%E2%82",
    b"\xe2\x82\xac",
    b"\xff\xfe",
    b"\x1b$B",
    b"From: ",
    b"To: a@b, <c@d>",
    b"<meta charset=gb2312>",
    b"<p>",
    b"(" * 50,
]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join))
def test_what_looks_like_mail_is_read(raw: bytes) -> None:
    everything(raw)


def everything(raw: bytes) -> None:
    found = read(raw)
    for node in found.tree.walk():
        assert len(node.content()) == node.size
    for name in ("From", "To"):
        found.mailboxes(name)
    for text in (
        found.subject,
        found.text,
        found.html,
        *found.problems,
        *(each.filename for each in found.attachments),
    ):
        (text or "").encode()  # no lone surrogate


@given(st.sampled_from([*sorted(charsets.CHARSETS), "utf-7", "utf-16", "utf-32le", ""]), st.binary(max_size=60))
def test_any_octets_are_text_of_any_charset(label: str, octets: bytes) -> None:
    charsets.read(octets, label, ("koi8-r", "utf-16", "iso-2022-jp")).text.encode()


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20), min_size=1, max_size=4),
    st.randoms(),
)
def test_what_the_standard_library_writes_is_read_back(texts: list[str], chance: random.Random) -> None:
    made = email.message.EmailMessage(policy=email.policy.SMTP)
    made["Subject"] = "a"
    made.set_content(texts[0])
    for number, text in enumerate(texts[1:]):
        made.add_attachment(text.encode(), maintype="application", subtype="x", filename=f"{number}é.bin")
    found = read(made.as_bytes())
    assert (found.text or "").removesuffix("\r\n") == texts[0]
    assert [each.content() for each in found.attachments] == [text.encode() for text in texts[1:]]
    assert [each.filename for each in found.attachments] == [f"{number}é.bin" for number in range(len(texts) - 1)]
