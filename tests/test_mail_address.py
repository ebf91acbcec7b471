"""Addresses one by one and in lists; the standard library counts along."""

from email import policy
from email.parser import BytesParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.mail import address
from mailferry.mail.address import BadAddress, Mailbox, parse, parse_mailboxes
from mailferry.mail.header import encode_mailboxes, read_head, values

GOOD = {
    "john.doe@example.com": "john.doe@example.com",
    "John.Doe@Example.COM": "John.Doe@example.com",
    "a+b=c/d!#$%&'*?^_`{|}~-@x.test": "a+b=c/d!#$%&'*?^_`{|}~-@x.test",
    "root@localhost": "root@localhost",
    "x@1and1.com": "x@1and1.com",
    "x@a--b.example": "x@a--b.example",
    '"john doe"@example.com': '"john doe"@example.com',
    '"a@b"@example.com': '"a@b"@example.com',
    r'"a\"b\\"@example.com': r'"a\"b\\"@example.com',
    "jörg@example.com": "jörg@example.com",
    "用户@例子.测试": "用户@xn--fsqu00a.xn--0zwm56d",
    "x@BÜCHER.example": "x@xn--bcher-kva.example",
    "x@straße.example": "x@xn--strae-oqa.example",
    "x@ｅｘａｍｐｌｅ。com": "x@example.com",
    "x@xn--bcher-kva.example": "x@xn--bcher-kva.example",
    "a" * 64 + "@example.com": "a" * 64 + "@example.com",
    "x@" + "a" * 63 + ".example": "x@" + "a" * 63 + ".example",
}

BAD = [
    "",
    "john",
    "@example.com",
    "john@",
    "john@@example.com",
    "a@b@example.com",
    ".john@example.com",
    "john.@example.com",
    "jo..hn@example.com",
    "john doe@example.com",
    " john@example.com",
    "john@example.com ",
    "john@example.com\n",
    "john@exam\nple.com",
    "jo\rhn@example.com",
    "jo\0hn@example.com",
    '"jo\nhn"@example.com',
    '"jo\u0085hn"@example.com',
    '"john@example.com',
    '"jo"hn"@example.com',
    '"john\\"@example.com',
    "<john@example.com>",
    "John <john@example.com>",
    "john@example.com, jane@example.com",
    "john@example.com.",
    "john@.example.com",
    "john@example..com",
    "john@-example.com",
    "john@example-.com",
    "john@exam_ple.com",
    "john@[127.0.0.1]",
    "john@[IPv6:::1]",
    "john@127.0.0.1",
    "john@example.1",
    "john@0",
    "john@" + "a" * 64 + ".example",
    "a" * 65 + "@example.com",
    "é" * 33 + "@example.com",
    "x@" + "a." * 126 + "aa",
    "jo\u00a0hn@example.com",
    "jo\u2028hn@example.com",
    "jo\ud800hn@example.com",
    "x@\u2603\u200d.example\u0000",
    "x@xn--\u00fc.example",
    "x@" + "ü" * 5000,
    "x@ü..example",
]


@pytest.mark.parametrize("text", GOOD)
def test_an_address_is_kept_but_for_the_case_of_its_domain(text: str) -> None:
    assert parse(text) == GOOD[text]
    assert parse(GOOD[text]) == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_address_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(BadAddress) as refused:
        parse(text)
    assert str(refused.value)


def test_the_whole_address_has_at_most_254_octets() -> None:
    domain = ".".join(["a" * 61] * 3) + "."
    longest = "a" * 64 + "@" + domain + "b" * (254 - 65 - len(domain))
    assert parse(longest) == longest
    with pytest.raises(BadAddress, match="254"):
        parse(longest + "b")


def test_parts_and_key() -> None:
    assert address.split('"a@b"@example.com') == ('"a@b"', "example.com")
    assert address.key("John.Doe@example.com") == address.key("JOHN.doe@EXAMPLE.com") == "john.doe@example.com"
    assert address.is_ascii("a@b.c")
    assert not address.is_ascii("ü@b.c")


@given(st.text(max_size=80))
def test_whatever_parse_lets_through_holds_no_line_break_and_parses_to_itself(text: str) -> None:
    try:
        parsed = parse(text)
    except BadAddress:
        return
    assert parse(parsed) == parsed
    assert not set(parsed) & set("\r\n\0\t")
    assert parse_mailboxes(parsed) == [Mailbox(parsed)]


LISTS: dict[str, list[Mailbox]] = {
    "": [],
    " , ,, ": [],
    "a@b.c": [Mailbox("a@b.c")],
    "<a@b.c>": [Mailbox("a@b.c")],
    "A@B.C": [Mailbox("A@b.c")],
    "John Doe <a@b.c>": [Mailbox("a@b.c", "John Doe")],
    "John Q. Public <a@b.c>": [Mailbox("a@b.c", "John Q. Public")],
    '"Doe, John" <a@b.c>': [Mailbox("a@b.c", "Doe, John")],
    r'"a \"b\" \\ c" <a@b.c>': [Mailbox("a@b.c", r'a "b" \ c')],
    '"x@y.z" <a@b.c>': [Mailbox("a@b.c", "x@y.z")],
    '"x@y.z, " <a@b.c>, d@e.f': [Mailbox("a@b.c", "x@y.z, "), Mailbox("d@e.f")],
    'Dr "Who, the" Doctor <a@b.c>': [Mailbox("a@b.c", "Dr Who, the Doctor")],
    "(hi, there <x@y.z>) John (not (nested, <q@r.s>) \\) him) <a@b.c> (bye)": [Mailbox("a@b.c", "John")],
    "a@b.c (John, the one)": [Mailbox("a@b.c")],
    "< (c) a@b.c (d) >": [Mailbox("a@b.c")],
    ",a@b.c,, ,d@e.f,": [Mailbox("a@b.c"), Mailbox("d@e.f")],
    '"a b"@c.d, <"e@f"@g.h>': [Mailbox('"a b"@c.d'), Mailbox('"e@f"@g.h')],
    "=?utf-8?q?Doe=2C_John_=3Cx=40y=2Ez=3E?= <a@b.c>": [Mailbox("a@b.c", "Doe, John <x@y.z>")],
    "=?utf-8?b?SsO2?=\r\n =?utf-8?b?cmc=?= <a@b.c>": [Mailbox("a@b.c", "Jörg")],
    "Jörg <jörg@b.c>": [Mailbox("jörg@b.c", "Jörg")],
    "undisclosed-recipients:;": [],
    "Us: a@b.c, Jim <d@e.f>;": [Mailbox("a@b.c"), Mailbox("d@e.f", "Jim")],
    "Us:a@b.c,;, g@h.i, Them: ;": [Mailbox("a@b.c"), Mailbox("g@h.i")],
}

BAD_LISTS = [
    "John",
    "John Doe",
    "John <>",
    "<a@b.c",
    "<a@b.c> x",
    "<a@b.c> <d@e.f>",
    "a@b.c <d@e.f>",
    "a@b.c d@e.f",
    "a@b.c; d@e.f",
    "John a@b.c",
    "x@y.z John <a@b.c>",
    "a @b.c",
    "a@ b.c",
    "a@b .c",
    "a@b@c",
    "<@x.y,@z.w:a@b.c>",
    "<a@[127.0.0.1]>",
    '"John <a@b.c>',
    "(John a@b.c",
    "John) <a@b.c>",
    "Us: a@b.c",
    "Us: Them: a@b.c;;",
    ": a@b.c;",
    "a@b.c;",
    "a\0@b.c",
    "John\n <a@b.c>",
    "John \0 <a@b.c>",
    "=?utf-8?q?Doe,_John?= <a@b.c>",
]


@pytest.mark.parametrize("value", LISTS)
def test_mailboxes_are_counted_exactly(value: str) -> None:
    assert parse_mailboxes(value) == LISTS[value]
    assert parse_mailboxes(value.encode()) == LISTS[value]


@pytest.mark.parametrize("value", BAD_LISTS)
def test_a_list_that_two_readers_could_count_differently_is_refused(value: str) -> None:
    with pytest.raises(BadAddress) as refused:
        parse_mailboxes(value)
    assert str(refused.value)


NAMES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n\0"), max_size=60)
ADDRESSES = st.builds(
    "{}@{}".format,
    st.sampled_from(["a", "john.doe", '"a, b"', r'"q\"q"', '"x@y"', "jörg", "o'brien+tag", "=?x?="]),
    st.sampled_from(["example.com", "xn--bcher-kva.example", "localhost"]),
)
MAILBOXES = st.lists(st.builds(Mailbox, ADDRESSES, NAMES), min_size=1, max_size=5)


@given(MAILBOXES)
def test_what_is_written_is_read_back(mailboxes: list[Mailbox]) -> None:
    field = encode_mailboxes("To", mailboxes)
    [value] = values(read_head(field + b"\r\n"), b"to")
    assert parse_mailboxes(value) == mailboxes
    assert all(len(line) <= 998 for line in field.split(b"\r\n"))


@given(st.lists(st.builds(Mailbox, ADDRESSES.filter(str.isascii), NAMES.map(str.strip)), min_size=1, max_size=5))
def test_the_standard_library_counts_the_same_addresses(mailboxes: list[Mailbox]) -> None:
    message = BytesParser(policy=policy.default).parsebytes(encode_mailboxes("To", mailboxes) + b"\r\n")
    read = message["To"].addresses
    assert [one.domain for one in read] == [address.split(one.address)[1] for one in mailboxes]
    # It reads white space between words of a name by its own rules; everything else must be equal.
    assert ["".join(one.display_name.split()) for one in read] == ["".join(one.name.split()) for one in mailboxes]


@given(st.text(st.sampled_from('a@.b<>,:;"\\() =?utf8q'), max_size=40))
def test_no_list_makes_the_reader_fail_otherwise(value: str) -> None:
    try:
        found = parse_mailboxes(value)
    except BadAddress:
        return
    assert all(parse(mailbox.address) == mailbox.address for mailbox in found)


def test_hostile_lists_take_linear_work() -> None:
    for value in ("(" * 100_000, '"' * 100_001, "a " * 50_000, "<" * 100_000, "a@b.c," * 20_000 + "x"):
        with pytest.raises(BadAddress):
            parse_mailboxes(value)
