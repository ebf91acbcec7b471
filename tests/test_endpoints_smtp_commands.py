"""Command lines, one by one: what they mean, or what is wrong with them."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.endpoints.sasl import Challenge, Credentials, Exchange, Failure
from mailferry.endpoints.smtp.commands import Auth, Hello, Mail, Plain, Rcpt, parse
from mailferry.endpoints.smtp.login import FAILURES
from mailferry.endpoints.smtp.replies import Reply, clean
from mailferry.mail import address


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"EHLO client.test", Hello(True, "client.test")),
        (b"helo [192.0.2.1]", Hello(False, "[192.0.2.1]")),
        (b"EHLO my_windows_box ", Hello(True, "my_windows_box")),
        ("EHLO möwe.test".encode(), Hello(True, "möwe.test")),
        (b"MAIL FROM:<>", Mail("")),
        (b"mail from:<a@Example.COM>", Mail("a@example.com")),
        (b"MAIL FROM: <a@b.test>", Mail("a@b.test")),
        (b"MAIL FROM: a@b.test", Mail("a@b.test")),
        (b"MAIL FROM:a@b.test SIZE=12345", Mail("a@b.test", 12345)),
        (b"MAIL FROM:<a@b.test>  SIZE=12345 ", Mail("a@b.test", 12345)),
        (b"MAIL FROM:<a@b.test> SIZE=1 BODY=8BITMIME", Mail("a@b.test", 1, True)),
        (b"MAIL FROM:<a@b.test> body=8bitmime size=7", Mail("a@b.test", 7, True)),
        (b"MAIL FROM:<a@b.test> BODY=7BIT SMTPUTF8", Mail("a@b.test", 0, False, True)),
        (b"MAIL FROM:<a@b.test> AUTH=<>", Mail("a@b.test")),
        (b"MAIL FROM:<a@b.test> AUTH=e+3Dmc2@example.com SIZE=3", Mail("a@b.test", 3)),
        ("MAIL FROM:<möwe@b.test> SMTPUTF8".encode(), Mail("möwe@b.test", 0, False, True)),
        (b'MAIL FROM:<"a>b c"@b.test>', Mail('"a>b c"@b.test')),
        (b'MAIL FROM:<"a\\"> x"@b.test> SIZE=1', Mail('"a\\"> x"@b.test', 1)),
        (b"RCPT TO:<c@d.test>", Rcpt("c@d.test", True)),
        (b"RCPT TO: c@d.test", Rcpt("c@d.test", True)),
        ("RCPT TO:<c@bücher.test>".encode(), Rcpt("c@xn--bcher-kva.test", False)),
        (b"DATA", Plain("DATA")),
        (b"data  ", Plain("DATA")),
        (b"RSET", Plain("RSET")),
        (b"NOOP what ever", Plain("NOOP")),
        (b"HELP", Plain("HELP")),
        (b"VRFY somebody", Plain("VRFY")),
        (b"QUIT", Plain("QUIT")),
        (b"STARTTLS", Plain("STARTTLS")),
        (b"AUTH plain AGEAYg==", Auth("PLAIN", "AGEAYg==")),
        (b"AUTH LOGIN", Auth("LOGIN", None)),
        (b"AUTH PLAIN =", Auth("PLAIN", "=")),
    ],
)
def test_lines_that_mean_something(line, command):
    assert parse(line) == command


@pytest.mark.parametrize(
    ("line", "code", "enhanced", "words"),
    [
        (b"", 500, "5.5.1", "not recognized"),
        (b" NOOP", 500, "5.5.1", "not recognized"),
        (b"XYZZY", 500, "5.5.1", "not recognized"),
        (b"MAIL\tFROM:<a@b.test>", 500, "5.5.1", "not recognized"),
        (b"EHLO", 501, "5.5.4", "EHLO needs one"),
        (b"HELO a b", 501, "5.5.4", "HELO needs one"),
        (b"EHLO a\x07b", 501, "5.5.4", "EHLO needs one"),
        (b"EHLO " + b"x" * 256, 501, "5.5.4", "EHLO needs one"),
        (b"MAIL", 501, "5.5.4", "expected MAIL FROM:<address>"),
        (b"MAIL TO:<a@b.test>", 501, "5.5.4", "expected MAIL FROM:<address>"),
        (b"MAIL FROM <a@b.test>", 501, "5.5.4", "expected MAIL FROM:<address>"),
        (b"MAIL FROM:a", 501, "5.5.4", "angle brackets"),
        (b"MAIL FROM:<a@b.test", 501, "5.5.4", "angle brackets"),
        (b"MAIL FROM:<<a@b.test>>", 501, "5.5.4", "angle brackets"),
        (b"MAIL FROM:<a@b.test>SIZE=1", 501, "5.5.4", "space between"),
        (b"MAIL FROM:<a@b.test> SIZE=", 501, "5.5.4", "SIZE needs a number"),
        (b"MAIL FROM:<a@b.test> SIZE=-1", 501, "5.5.4", "SIZE needs a number"),
        (b"MAIL FROM:<a@b.test> SIZE=" + b"9" * 21, 501, "5.5.4", "SIZE needs a number"),
        ("MAIL FROM:<a@b.test> SIZE=١".encode(), 501, "5.5.4", "SIZE needs a number"),
        (b"MAIL FROM:<a@b.test> SIZE=1 SIZE=2", 501, "5.5.4", "twice"),
        (b"MAIL FROM:<a@b.test> BODY=BINARYMIME", 501, "5.5.4", "BODY is"),
        (b"MAIL FROM:<a@b.test> BODY", 501, "5.5.4", "BODY is"),
        (b"MAIL FROM:<a@b.test> SMTPUTF8=yes", 501, "5.5.4", "no value"),
        (b"MAIL FROM:<a@b.test> AUTH=a+b", 501, "5.5.4", "xtext"),
        (b"MAIL FROM:<a@b.test> RET=HDRS", 555, "5.5.4", "RET"),
        (b"MAIL FROM:<a@b.test> SIZE=1 =x", 555, "5.5.4", "Parameter"),
        (b"MAIL FROM:<@relay.test:a@b.test>", 501, "5.1.7", "source routes"),
        (b"MAIL FROM:<a>", 501, "5.1.7", "@"),
        (b"MAIL FROM:<a b@c.test>", 501, "5.1.7", "Bad sender address"),
        (b"MAIL FROM:<a@[192.0.2.1]>", 501, "5.1.7", "Bad sender address"),
        (b"MAIL FROM:<a@b.test\x01>", 501, "5.1.7", "Bad sender address"),
        ("MAIL FROM:<möwe@b.test>".encode(), 553, "5.6.7", "SMTPUTF8"),
        ("MAIL FROM:<a@möwe.test> SIZE=1".encode(), 553, "5.6.7", "SMTPUTF8"),
        (b"MAIL FROM:<\xff@b.test>", 501, "5.5.4", "UTF-8"),
        (b"RCPT TO:<>", 501, "5.1.3", "null path"),
        (b"RCPT TO:<@a.test,@b.test:c@d.test>", 501, "5.1.3", "source routes"),
        (b"RCPT TO:<c@@d.test>", 501, "5.1.3", "Bad recipient address"),
        (b"RCPT TO:<c@d.test> NOTIFY=NEVER", 555, "5.5.4", "NOTIFY"),
        (b"RCPT FROM:<c@d.test>", 501, "5.5.4", "expected RCPT TO:<address>"),
        (b"DATA now", 501, "5.5.4", "DATA takes no argument"),
        (b"RSET x", 501, "5.5.4", "RSET takes no argument"),
        (b"QUIT x", 501, "5.5.4", "QUIT takes no argument"),
        (b"STARTTLS x", 501, "5.5.4", "STARTTLS takes no argument"),
        (b"VRFY", 501, "5.5.4", "VRFY needs"),
        (b"AUTH", 501, "5.5.4", "mechanism"),
        (b"AUTH a.b", 501, "5.5.4", "mechanism"),
        (b"AUTH PLAIN secret secret", 501, "5.5.4", "one initial response"),
    ],
)
def test_lines_that_are_refused(line, code, enhanced, words):
    reply = parse(line)
    assert isinstance(reply, Reply)
    assert (reply.code, reply.enhanced) == (code, enhanced)
    assert words in reply.text


def test_refusals_quote_nothing_that_may_be_a_secret():
    secret = "c2VjcmV0LXRva2Vu"
    for line in (
        secret,
        f"AUTH {secret}=",
        f"AUTH PLAIN {secret} {secret}",
        f"EHLO {secret} {secret}",
        f"DATA {secret}",
    ):
        reply = parse(line.encode())
        assert isinstance(reply, Reply)
        assert secret not in reply.text
    assert secret not in repr(parse(f"AUTH PLAIN {secret}".encode()))


@given(st.binary(max_size=80))
def test_every_line_means_something_or_is_refused(octets):
    for verb in (b"", b"MAIL FROM:", b"RCPT TO:<", b"EHLO ", b"AUTH "):
        answer = parse(verb + octets.translate(None, b"\r\n\0"))
        assert not isinstance(answer, Reply) or 500 <= answer.code <= 555


LABEL = st.text("abz09-", max_size=5) | st.text("aA0-", min_size=60, max_size=64)
ADDRESS = st.builds(
    lambda local, labels: f"{local}@{'.'.join(labels)}",
    st.text('aZ0.+-_"\\\\ é', max_size=6) | st.text("a", min_size=60, max_size=66),
    st.lists(LABEL, max_size=4),
)


@given(ADDRESS)
def test_the_short_way_reads_addresses_as_the_long_way_does(text):
    try:
        expected = address.parse(text)
    except address.BadAddress:
        expected = None
    answer = parse(f"RCPT TO:<{text}>".encode())
    assert (answer.address if isinstance(answer, Rcpt) else None) == expected
    answer = parse(f"MAIL FROM:<{text}> SIZE=1 SMTPUTF8".encode())
    assert (answer.sender if isinstance(answer, Mail) else None) == expected
    if text.isascii():
        answer = parse(f"MAIL FROM:<{text}> SIZE=1 BODY=8BITMIME".encode())
        assert answer == Mail(expected, 1, True) if expected else isinstance(answer, Reply)


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("initial", "outcome"),
    [
        (encode("\0user\0pass"), Credentials("user", "pass")),
        (encode("user\0user\0pass"), Credentials("user", "pass")),
        (encode("\0möwe\0påss"), Credentials("möwe", "påss")),
        (encode("other\0user\0pass"), 535),
        (encode("user\0pass"), 501),
        (encode("\0a\0b\0c"), 501),
        (base64.b64encode(b"\0\xff\0x").decode(), 501),
        ("=", 501),
        ("no base64!", 501),
        ("AGEAYg", 501),
        ("*", 501),
    ],
)
def test_plain(initial, outcome):
    got = Exchange("PLAIN").begin(initial)
    assert (FAILURES[got].code if isinstance(got, Failure) else got) == outcome
    exchange = Exchange("PLAIN")
    assert exchange.begin(None) == Challenge("")
    got = exchange.answer(b"" if initial == "=" else initial.encode())
    assert (FAILURES[got].code if isinstance(got, Failure) else got) == outcome


def test_login():
    exchange = Exchange("LOGIN")
    assert exchange.begin(None) == Challenge(encode("Username:"))
    assert exchange.answer(encode("user").encode()) == Challenge(encode("Password:"))
    assert exchange.answer(encode("pass").encode()) == Credentials("user", "pass")
    exchange = Exchange("LOGIN")
    assert exchange.begin(encode("user")) == Challenge(encode("Password:"))
    assert exchange.answer(b"") == Credentials("user", "")


def test_an_exchange_can_be_cancelled():
    exchange = Exchange("LOGIN")
    exchange.begin(None)
    assert FAILURES[exchange.answer(b"*")] == Reply(501, "5.7.0", "Authentication cancelled")


def test_credentials_do_not_show():
    assert "hunter2" not in repr(Credentials("hunter2", "hunter2"))


def test_a_reply_is_one_line_whatever_it_quotes():
    reply = Reply(550, "5.7.1", "no\r\n250 2.0.0 yes\0\x1b[31m \u00e4 \u2028 end")
    assert reply.wire() == b"550 5.7.1 no  250 2.0.0 yes  [31m ?   end\r\n"
    assert Reply(354, "", "go").wire() == b"354 go\r\n"


def test_a_code_that_is_no_code_becomes_a_local_error():
    assert Reply(0, "2.0.0", "what").wire().startswith(b"451 ")


def test_a_long_text_is_several_lines():
    lines = Reply(554, "5.7.1", "word " * 300).wire().decode().splitlines(keepends=True)
    assert len(lines) > 1
    assert all(len(line) <= 512 and line.endswith("\r\n") for line in lines)
    assert [line[:10] for line in lines] == ["554-5.7.1 "] * (len(lines) - 1) + ["554 5.7.1 "]
    assert len(Reply(554, "5.7.1", "x" * 100_000).wire()) <= 8 * 512
    assert Reply(554, "5.7.1", " " * 1000).wire() == b"554 5.7.1 \r\n"


@given(st.text())
def test_cleaned_text_never_breaks_a_line(text):
    assert all(32 <= ord(char) <= 126 for char in clean(text))
