"""Header blocks and fields: read, changed, written. The standard library reads what we write."""

import re
from email import policy
from email.header import decode_header
from email.message import EmailMessage
from email.parser import BytesParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.mail import charsets, parameters, words
from mailferry.mail.address import Mailbox
from mailferry.mail.header import (
    BadHeader,
    Field,
    Head,
    decode,
    encode_field,
    encode_mailboxes,
    format_mailbox,
    parameter,
    read_head,
    values,
)

MESSAGE = (
    b"Received: from a\r\n\tby b;\r\n  today\r\nFrom: x@y.z\r\nX-Empty:\r\nSUBJECT:  folded\r\n  value \r\n"
    b"Received: from c\r\n\r\nSubject: not a field\r\n\r\nbody"
)


def stdlib(octets: bytes) -> EmailMessage:
    message = BytesParser(policy=policy.default).parsebytes(octets)
    assert isinstance(message, EmailMessage)
    return message


def test_a_header_block_is_read_to_the_octet() -> None:
    head = read_head(MESSAGE)
    assert [field.name for field in head.fields] == [b"Received", b"From", b"X-Empty", b"SUBJECT", b"Received"]
    assert head.fields[0].raw == b"Received: from a\r\n\tby b;\r\n  today\r\n"
    assert b"".join([field.raw for field in head.fields]) + b"\r\n" == MESSAGE[: head.body_at]
    assert MESSAGE[head.body_at :] == b"Subject: not a field\r\n\r\nbody"
    assert values(head, b"subject") == [b"folded  value"]
    assert values(head, b"Received") == [b"from a\tby b;  today", b"from c"]
    assert values(head, b"x-empty") == [b""]
    assert values(head, b"to") == []
    assert head.fields[3].lower == b"subject"


@pytest.mark.parametrize(
    ("message", "head"),
    [
        (b"A: b\r\n\r\n", Head((Field(b"A", b"A: b\r\n"),), 8)),
        (b"A: b\r\n", Head((Field(b"A", b"A: b\r\n"),), 6)),
        (b"A: b", Head((Field(b"A", b"A: b\r\n"),), 4)),
        (b"A: b\r\n\r\n\r\n", Head((Field(b"A", b"A: b\r\n"),), 8)),
        (b"A:\xc3\xa9\xff\r\n\r\n", Head((Field(b"A", b"A:\xc3\xa9\xff\r\n"),), 9)),
        (b"\r\nbody", Head((), 2)),
        (b"", Head((), 0)),
    ],
)
def test_a_message_may_be_nothing_but_a_header_or_a_body(message: bytes, head: Head) -> None:
    assert read_head(message) == head


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (b" A: b\r\n\r\n", 1),
        (b"\tA: b\r\n\r\n", 1),
        (b"hello\r\n\r\n", 1),
        (b"A: b\r\nFrom x Mon Nov 24\r\n\r\n", 2),
        (b"A: b\r\n c\r\nno colon\r\nD: e\r\n\r\n", 3),
        (b"A: b\r\nSubject : c\r\n\r\n", 2),
        (b"A: b\r\n: c\r\n\r\n", 2),
        (b"A: b\r\nS\xc3\xbc: c\r\n\r\n", 2),
        (b"A: b\r\nS\x7f: c\r\n\r\n", 2),
        (b"A: b\r\nC: d\r\n e\0f\r\n\r\nbody", 3),
        (b"\0A: b\r\n\r\n", 1),
        (b"A: b\r\nC: d\r\nbody without a blank line", 3),
    ],
)
def test_a_line_that_is_no_field_is_named(message: bytes, line: int) -> None:
    with pytest.raises(BadHeader) as refused:
        read_head(message)
    assert refused.value.line == line
    assert str(refused.value)


def test_a_nul_in_the_body_is_not_the_headers_business() -> None:
    assert read_head(b"A: b\r\n\r\n\0").body_at == 8


def test_the_block_is_bounded_and_hostile_ones_are_linear_work() -> None:
    with pytest.raises(BadHeader, match="larger"):
        read_head(b"A: b\r\n" * 200_000)
    for line in (
        b"x" * 1_000_000,
        b"A: b\r\n" * 150_000 + b"x",
        b"A:\r\n " + b" " * 900_000 + b"\r\n\r\nx" * 10 + b"\0",
    ):
        try:
            read_head(line)
        except BadHeader:
            continue
        assert b"\0" in line  # that one's NUL is in its body


DECODED = {
    b"plain text": "plain text",
    b"=?UTF-8?Q?Gr=C3=BC=C3=9Fe_an?= alle": "Grüße an alle",
    b"=?utf-8?q?a?= =?utf-8?q?b?=": "ab",
    b"=?utf-8?q?a?=\r\n =?utf-8?b?Yg==?=": "ab",
    b"=?utf-8?q?a?= x =?utf-8?q?b?=": "a x b",
    b"=?iso-8859-1?q?a=E9?= =?utf-8?q?b?=": "aéb",
    b"=?ISO-8859-1*en?Q?caf=E9?=": "café",
    b"=?utf-8?b?w6Q=?=": "ä",
    b"=?utf-8?b?w?= =?utf-8?q?=A4?=": "¤",
    b"=?utf-8?q?=C3?= =?utf-8?q?=A4?=": "ä",
    b"=?utf-8?b?w6Q?=": "ä",
    b"=?utf-8?b?w6Q=====?=": "ä",
    b"=?utf-8?b?!!w 6 Q!!?=": "ä",
    b"=?utf-8?b??=": "",
    b"=?utf-8?q?a b?=": "a b",
    b"=?utf-8?q?=ZZ?=": "=ZZ",
    b"=?utf-8?x?abc?=": "=?utf-8?x?abc?=",
    b"=?utf-8?q?open": "=?utf-8?q?open",
    b"=?nonsense?q?=C3=A4?=": "ä",
    b"=?nonsense?q?=E4?=": "ä",
    b"=?utf-8?q?=E4?=": "ä",
    b"=?zlib?b?eJwDAAAAAAE=?=": "x\x9c\x03\x00\x00\x00\x00\x01",
    b"=?unicode_escape?q?=5Cx41?=": "\\x41",
    b"=?idna?q?xn--bcher-kva?=": "xn--bcher-kva",
    b"=?utf-7?q?+2AA-?= =?unicode-1-1-utf-7?q?+AEE-?=": "+2AA-+AEE-",
    b"=?utf-16?b?AEEAQg==?=": "\0A\0B",
    b"=?utf-32-be?b?AAAAQQ==?=": "\0\0\0A",
    b"=?punycode?q?bcher-kva?=": "bcher-kva",
    b"=?rot13?q?nop?=": "nop",
    b"=?gb2312?b?xOO6ww==?=": "你好",
    b"=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=": "日本",
    b"=?windows-1252?q?=80?=": "€",
    b"=?koi8-r?b?8NLJ18XU?=": "Привет",
    b"\xc3\xa9": "é",
    b"\xe9": "é",
    b"\xe9 =?utf-8?q?=C3=A9?= \xc3\xa9": "é é é",
}


@pytest.mark.parametrize("value", DECODED)
def test_decode(value: bytes) -> None:
    assert decode(value) == DECODED[value]


#: By the names that mail uses, and what stands for "é" (or "日") in each.
CHARSETS = {
    "UTF-8": b"\xc3\xa9",
    "iso-8859-1": b"\xe9",
    "ISO-8859-15": b"\xe9",
    "latin1": b"\xe9",
    "windows-1252": b"\xe9",
    "cp1250": b"\xe9",
    "macintosh": b"\x8e",
    "ibm850": b"\x82",
    "Shift_JIS": b"\x93\xfa",
    "x-sjis": b"\x93\xfa",
    "EUC-JP": b"\xc6\xfc",
    "iso-2022-jp": b"\x1b$BF|\x1b(B",
    "gb2312": b"\xc8\xd5",
    "GBK": b"\xc8\xd5",
    "gb18030": b"\xc8\xd5",
    "Big5": b"\xa4\xe9",
    "ks_c_5601-1987": b"\xec\xed",
    "EUC-KR": b"\xec\xed",
    "iso-2022-kr": b"\x1b$)C\x0elm\x0f",
}


@pytest.mark.parametrize("charset", CHARSETS)
def test_the_charsets_of_mail_are_known(charset: str) -> None:
    assert words.to_charset(CHARSETS[charset], charset) in ("é", "日")


@given(st.sampled_from(sorted(charsets.CHARSETS)), st.binary(max_size=40))
def test_no_charset_makes_what_is_no_character(charset: str, octets: bytes) -> None:
    words.to_charset(octets + b"+2AA-\\ud800\xed\xa0\x80", charset).encode()
    words.to_charset(b"+2AA-" + octets, charset).encode()


@given(st.binary(max_size=60) | st.text("=?utf-8qb8_ AZaz=?", max_size=60).map(str.encode))
def test_decode_never_raises(value: bytes) -> None:
    assert isinstance(decode(value), str)
    assert isinstance(decode(b"=?utf-8?b?" + value + b"?= =?x?q?" + value + b"?="), str)
    parameters.read(value)
    parameters.read(b"a/b; x=" + value + b'; y="' + value + b"; z*=" + value + b"; z*1=" + value)


def test_hostile_values_take_linear_work() -> None:
    assert len(decode(b"=?a?q?" * 100_000)) == 600_000
    assert decode(b"=?utf-8?q?a?= " * 50_000).strip() == "a" * 50_000
    assert parameters.read(b'a/b; x="' + b'\\";x="' * 100_000).value == "a/b"
    assert parameters.read(b"a/b" + b";x" * 300_000).parameters == {}


FIELDS = {
    ("Subject", "Hello"): b"Subject: Hello\r\n",
    ("Subject", ""): b"Subject:\r\n",
    ("Subject", "Grüße an alle"): b"Subject: =?UTF-8?B?R3LDvMOfZQ==?= an alle\r\n",
    ("Subject", "für Jürgen"): b"Subject: =?UTF-8?B?ZsO8ciBKw7xyZ2Vu?=\r\n",
    ("Subject", "Caféhausmusik am Abend"): b"Subject: =?UTF-8?Q?Caf=C3=A9hausmusik?= am Abend\r\n",
    ("Subject", "привет"): b"Subject: =?UTF-8?B?0L/RgNC40LLQtdGC?=\r\n",
    ("X-A", " x"): b"X-A: =?UTF-8?Q?_x?=\r\n",
    ("X-A", "x y "): b"X-A: x =?UTF-8?Q?y_?=\r\n",
    ("X-A", "a  b"): b"X-A: a  b\r\n",
    ("X-A", "a  ü  b"): b"X-A: a =?UTF-8?Q?_=C3=BC_?= b\r\n",
    ("X-A", "=?x?q?y?="): b"X-A: =?UTF-8?B?PT94P3E/eT89?=\r\n",
    ("X-A", "a\tb"): b"X-A: a\tb\r\n",
    ("X-A", "a\x07b"): b"X-A: =?UTF-8?B?YQdi?=\r\n",
    ("X-A", "\ud800"): b"X-A: =?UTF-8?Q?=3F?=\r\n",
    ("X-Json", '{"a": "b?=c"}'): b'X-Json: {"a": "b?=c"}\r\n',
    ("List-Unsubscribe", f"<mailto:u@example.com>, <https://example.com/{'u' * 90}>"): (
        b"List-Unsubscribe: <mailto:u@example.com>,\r\n <https://example.com/" + b"u" * 90 + b">\r\n"
    ),
    ("X-A", "word " * 15 + "end"): b"X-A:" + b" word" * 14 + b"\r\n word end\r\n",
}


@pytest.mark.parametrize(("name", "value"), FIELDS)
def test_encode_field_golden(name: str, value: str) -> None:
    assert encode_field(name, value) == FIELDS[name, value]


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\r\nBcc: x@y.z", "a\0b", "\r\n", "ü\n", "x" * 999 + "\n"])
def test_line_breaks_are_refused_everywhere(value: str) -> None:
    for write in (
        lambda: encode_field("X-A", value),
        lambda: encode_mailboxes("To", [Mailbox("a@b.c", value)]),
        lambda: encode_mailboxes("To", [Mailbox(value + "@b.c")]),
        lambda: encode_mailboxes("To", [Mailbox("a@b.c" + value)]),
        lambda: parameter("filename", value),
    ):
        with pytest.raises(BadHeader):
            write()


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "a\nb", "ü", "a\x7f", "a\0", "x" * 257])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(BadHeader):
        encode_field(name, "x")
    with pytest.raises(BadHeader):
        encode_mailboxes(name, [Mailbox("a@b.c")])


@pytest.mark.parametrize(
    "address",
    ["a@b.c, d@e.f", "a@b.c> <d@e.f", "a@b.c;", "a", "", "a b@c.d", '"a@b.c', "a@b@c", "a@[1.2.3.4]", "a@b.c\x01"],
)
def test_an_address_that_would_be_two_or_none_is_refused(address: str) -> None:
    with pytest.raises(BadHeader):
        encode_mailboxes("To", [Mailbox(address, "John")])


@pytest.mark.parametrize("length", [100, 500, 989])
def test_a_long_token_stays_whole_up_to_998_octets(length: int) -> None:
    assert encode_field("Subject", "x" * length) == b"Subject: " + b"x" * length + b"\r\n"


def test_a_longer_token_becomes_encoded_words() -> None:
    field = encode_field("Subject", "x" * 990)
    assert max(map(len, field.split(b"\r\n"))) <= 76
    assert decode(field[9:]) == "x" * 990
    spaces = "a" + " " * 2000 + "b"
    assert decode(read_head(encode_field("X-A", spaces)).fields[0].value) == spaces


VALUES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n\0"), max_size=120) | st.lists(
    st.sampled_from(["", "a", "word", "ü", "日本語", "😀", "=?", "x" * 80, "\t", "a\tb", "https://e.org/" + "y" * 70]),
    max_size=12,
).map(" ".join)


@given(st.sampled_from(["Subject", "X-A", "X-Quite-A-Long-Name-For-A-Header-Field"]), VALUES)
def test_what_is_written_is_read_back(name: str, value: str) -> None:
    raw = encode_field(name, value)
    assert raw.isascii()
    assert raw.endswith(b"\r\n")
    [field] = read_head(raw + b"\r\n").fields
    assert decode(field.value) == value
    for line in raw.split(b"\r\n")[:-1]:
        assert len(line) <= 998
        assert line.strip(b" \t")
        if b"=?UTF-8?" in line:
            assert len(line) <= 76 or not line.startswith(b" ")
    for word in re.findall(rb"=\?UTF-8\?.\?[^?]*\?=", raw):
        assert len(word) <= 75
        [(octets, charset)] = decode_header(word.decode())
        octets.decode(str(charset))  # whole characters only


@given(VALUES)
def test_the_standard_library_reads_the_same_subject(value: str) -> None:
    message = stdlib(encode_field("Subject", value) + b"\r\n")
    # It reads white space between encoded and plain words by its own rules; everything else must be equal.
    assert re.sub(r"\s+", "", str(message["Subject"])) == re.sub(r"\s+", "", value)


MAILBOX_FIELDS = {
    (Mailbox("a@b.c"),): b"To: a@b.c\r\n",
    (Mailbox("a@b.c", "John Doe"),): b"To: John Doe <a@b.c>\r\n",
    (Mailbox("a@b.c", "John Q. Public"),): b'To: "John Q. Public" <a@b.c>\r\n',
    (Mailbox("a@b.c", 'a"b\\'),): b'To: "a\\"b\\\\" <a@b.c>\r\n',
    (Mailbox("a@b.c", "Doe, J"), Mailbox("d@e.f")): b'To: "Doe, J" <a@b.c>, d@e.f\r\n',
    (Mailbox("a@b.c", "Jörg"),): b"To: =?UTF-8?B?SsO2cmc=?= <a@b.c>\r\n",
    (Mailbox("a@b.c", "=?x?q?y?="),): b"To: =?UTF-8?B?PT94P3E/eT89?= <a@b.c>\r\n",
    (Mailbox("jörg@b.c", "J"),): "To: J <jörg@b.c>\r\n".encode(),
    (Mailbox('"a b"@b.c'),): b'To: "a b"@b.c\r\n',
    (Mailbox("a@b.c", " "),): b'To: " " <a@b.c>\r\n',
}


@pytest.mark.parametrize("mailboxes", MAILBOX_FIELDS)
def test_encode_mailboxes_golden(mailboxes: tuple[Mailbox, ...]) -> None:
    field = encode_mailboxes("To", mailboxes)
    assert field == MAILBOX_FIELDS[mailboxes]
    assert ", ".join(map(format_mailbox, mailboxes)) == field.decode()[4:-2]


def test_many_mailboxes_are_folded_between_addresses() -> None:
    field = encode_mailboxes("To", [Mailbox(f"person{n}@example.com", "Some Body") for n in range(50)])
    assert max(map(len, field.split(b"\r\n"))) <= 76
    assert [one.addr_spec for one in stdlib(field + b"\r\n")["To"].addresses] == [
        f"person{n}@example.com" for n in range(50)
    ]


def test_an_address_field_without_addresses_is_refused() -> None:
    with pytest.raises(BadHeader):
        encode_mailboxes("To", [])


PARAMETERS = {
    "a.txt": b'filename="a.txt"',
    'a"b\\.txt': b'filename="a\\"b\\\\.txt"',
    "ä.txt": b"filename*=UTF-8''%C3%A4.txt",
    "a%'*b=?.txt": b"filename*=UTF-8''a%25%27%2Ab%3D%3F.txt",
    "€" * 10: b"filename*0*=UTF-8''" + b"%E2%82%AC" * 5 + b";\r\n filename*1*=" + b"%E2%82%AC" * 5,
}


@pytest.mark.parametrize("value", PARAMETERS)
def test_parameter_golden(value: str) -> None:
    assert parameter("filename", value) == PARAMETERS[value]


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n\0"), min_size=1, max_size=300))
def test_parameters_are_read_back(value: str) -> None:
    raw = b"attachment;\r\n " + parameters.file_name(value)
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 420
    assert parameters.read(raw) == parameters.Parameterised("attachment", {"filename": value})


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (b"", ("", {})),
        (b";", ("", {})),
        (b" Text/HTML ;\r\n\tCharset = UTF-8", ("text/html", {"charset": "UTF-8"})),
        (b'a/b; boundary="x;y\\"z" ; c=d (e)', ("a/b", {"boundary": 'x;y"z', "c": "d"})),
        (b"a/b; c=d; c=e", ("a/b", {"c": "d"})),
        (b'a/b; c="open', ("a/b", {"c": "open"})),
        (b"a/b; n*0*=iso-8859-1'en'%E9; n*1=%20; n*3=no", ("a/b", {"n": "é%20"})),
        (b"a/b; n=plain; n*=utf-8''%C3%A9", ("a/b", {"n": "é"})),
    ],
)
def test_parameters_are_read_leniently(raw: bytes, read: tuple[str, dict[str, str]]) -> None:
    assert parameters.read(raw) == parameters.Parameterised(*read)
