"""What a message needs of its way, and its change to seven bits, judged by the standard library's parser."""

import email
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.mail import parts
from mailferry.mail.address import Mailbox
from mailferry.mail.compose import Attachment, Content, compose
from mailferry.mail.structure import CannotDowngrade, HeaderNotAscii, Needs, downgrade, needs

HEAD = b"From: a@b.c\r\nMIME-Version: 1.0\r\n"


def crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def contents(octets: bytes) -> list[tuple[str, bytes]]:
    """Type and decoded content of every leaf, as Python's parser finds them."""
    found: list[tuple[str, bytes]] = []
    for part in email.message_from_bytes(octets).walk():
        if not part.is_multipart():
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            found.append((part.get_content_type(), content))
    return found


def changed(octets: bytes) -> bytes:
    """The message in seven bits, after everything that always holds has been checked."""
    assert needs(octets) != Needs(False, False, False)
    result = downgrade(octets)
    assert needs(result) == Needs(False, False, False)
    assert contents(result) == contents(octets)
    assert downgrade(result) == result
    return result


def encodings(octets: bytes) -> list[str]:
    return [str(part.get("Content-Transfer-Encoding", "-")) for part in email.message_from_bytes(octets).walk()]


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        (b"", Needs(False, False, False)),
        (b"A: b\r\n\r\nbody\r\n", Needs(False, False, False)),
        (b"A: \xc3\xa9\r\n\r\nbody\r\n", Needs(False, True, False)),
        (b"A: \xc3\xa9\r\n", Needs(False, True, False)),
        (b"A: b\r\n\r\n\xe9\r\n", Needs(True, False, False)),
        (b"\r\n\xe9\r\n", Needs(True, False, False)),
        (b"\r\nx\r\n\r\n\xe9\r\n", Needs(True, False, False)),
        (b"A: \xff\r\n\r\n\xff\r\n", Needs(True, True, False)),
        (b"A: b\r\n\r\n" + b"x" * 998 + b"\r\n", Needs(False, False, False)),
        (b"A: b\r\n\r\n" + b"x" * 999 + b"\r\n", Needs(False, False, True)),
        (b"A: b\r\n\r\n" + b"x" * 998, Needs(False, False, False)),
        (b"A: b\r\n\r\n" + b"x" * 999, Needs(False, False, True)),
        (b"A: " + b"x" * 996 + b"\r\n\r\n", Needs(False, False, True)),
        (b"A: b\r\n\r\n" + (b"x" * 998 + b"\r\n") * 5 + b"y" * 999 + b"\r\nz\r\n", Needs(False, False, True)),
    ],
)
def test_needs(message: bytes, wanted: Needs) -> None:
    assert needs(message) == wanted


@given(st.lists(st.sampled_from([0, 1, 500, 997, 998, 999, 1000, 2000]), max_size=6), st.booleans())
def test_long_lines_are_found_wherever_they_are(lengths: list[int], ended: bool) -> None:
    message = b"\r\n".join([b"x" * length for length in lengths]) + (b"\r\n" if ended else b"")
    assert needs(message).long_lines == any(length > 998 for length in lengths)


def test_text_becomes_quoted_printable_and_nothing_else_moves() -> None:
    message = HEAD + crlf(
        "X-Odd:   as it\n\twas \nContent-transfer-encoding: 8bit\nContent-Type: text/plain; charset=utf-8\n\nGrüße = =\n.\n"
    )
    assert changed(message) == HEAD + crlf(
        "X-Odd:   as it\n\twas \nContent-Transfer-Encoding: quoted-printable\n"
        "Content-Type: text/plain; charset=utf-8\n\nGr=C3=BC=C3=9Fe =3D =3D\n=2E\n"
    )


NESTED = HEAD + crlf("""Content-Type: multipart/mixed; boundary="outer"
Content-Transfer-Encoding: 8bit

préamble
--outer
Content-Type: multipart/alternative; boundary=inner
Content-Transfer-Encoding: 8BIT

--inner
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

größe
--inner \t
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: 8bit

<p>plain</p>
--inner--
épilogue
--outer
Content-Type: application/octet-stream
Content-Transfer-Encoding: binary

\u00ff\u00fe
--outer
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

From: x@y.z
Subject: inside

ünside

--outer
Content-Type: text/plain
Content-Transfer-Encoding: base64

aGVsbG8=
--outer--
""")


def test_every_level_of_a_nested_message() -> None:
    result = changed(NESTED)
    assert encodings(result) == [
        "7bit",
        "7bit",
        "quoted-printable",
        "7bit",
        "base64",
        "7bit",
        "quoted-printable",
        "base64",
    ]
    assert b"\r\npr??amble\r\n--outer\r\n" in result
    assert b"\r\n??pilogue\r\n--outer\r\n" in result
    assert b"\r\n--inner \t\r\n" in result
    inside = b"From: x@y.z\r\nSubject: inside\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    assert inside + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=BCnside\r\n\r\n--outer" in result


def test_only_what_needs_it_changes() -> None:
    # The last part of the nested message is 7-bit already: its octets are the same before and after.
    tail = NESTED[NESTED.rindex(b"--outer\r\nContent-Type: text/plain\r\n") :]
    assert changed(NESTED).endswith(tail)


def test_a_seven_bit_message_comes_back_as_it_was() -> None:
    message = compose(
        Content(Mailbox("a@b.c"), text="t", html="<b>ü</b>", attachments=(Attachment("f", b"\xff" * 99),)),
        message_id="a@b",
        date_ms=0,
    )
    assert downgrade(message) == message


def multipart(part: str, *, end: str = "--x--\n", boundary: str = "boundary=x") -> bytes:
    return HEAD + crlf(f"Content-Type: multipart/mixed; {boundary}\n\n--x\n{part}\n{end}")


TEXT = "Content-Type: text/plain; charset=utf-8\n"

ODD = {
    "no MIME fields": (HEAD[:13] + crlf("\nü\n"), ["quoted-printable"]),
    "no MIME fields, Latin-1": (HEAD[:13] + b"\r\n\xfc\r\n", ["quoted-printable"]),
    "no body line end": (HEAD + crlf("\nü"), ["quoted-printable"]),
    "no final boundary": (multipart(TEXT + "\nü\n", end=""), ["-", "quoted-printable"]),
    "bogus encoding": (multipart(TEXT + "Content-Transfer-Encoding: utf-8\n\nü"), ["-", "quoted-printable"]),
    "two encodings": (
        multipart(TEXT + "Content-Transfer-Encoding: 8bit\nContent-Transfer-Encoding: base64\n\nü"),
        ["-", "quoted-printable"],
    ),
    "8-bit octets in quoted-printable": (
        multipart(TEXT + "Content-Transfer-Encoding: quoted-printable\n\n=C3=BC ü =\nx"),
        ["-", "quoted-printable"],
    ),
    "bare line ends in quoted-printable": (
        multipart(TEXT + "Content-Transfer-Encoding: quoted-printable\n\nü=0Ax"),
        ["-", "base64"],
    ),
    "8-bit octets in base64": (
        multipart("Content-Type: image/png\nContent-Transfer-Encoding: base64\n\naGVs\nübG8="),
        ["-", "base64"],
    ),
    "long line of base64": (
        multipart("Content-Type: image/png\nContent-Transfer-Encoding: base64\n\n" + "aGVs" * 500),
        ["-", "base64"],
    ),
    "long line of text": (multipart(TEXT + "\n" + "x" * 3000), ["-", "quoted-printable"]),
    "part without a header": (multipart("\nü"), ["-", "quoted-printable"]),
    "part whose header does not end": (multipart(TEXT + "no field ü"), ["-", "quoted-printable"]),
    "part that would look like a header": (multipart("é: x\n\ny"), ["-", "quoted-printable"]),
    "type that is none": (multipart("Content-Type: nonsense\n\nü"), ["-", "quoted-printable"]),
    "boundary in RFC 2231": (multipart(TEXT + "\nü", boundary="boundary*=us-ascii''%78"), ["-", "quoted-printable"]),
    "8bit label on seven bits": (
        multipart(TEXT + "Content-Transfer-Encoding: 8bit\n\nx\n--x\n" + TEXT + "\nü"),
        ["-", "7bit", "quoted-printable"],
    ),
    "digest": (
        HEAD + crlf("Content-Type: multipart/digest; boundary=x\n\n--x\n\nSubject: in\n\nü\n--x--\n"),
        ["-", "-", "quoted-printable"],
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_messages(name: str) -> None:
    message, wanted = ODD[name]
    result = changed(message)
    assert encodings(result) == wanted
    for part in email.message_from_bytes(result).walk():
        assert len(part.get_all("Content-Transfer-Encoding", [])) <= 1


def test_the_charset_of_a_message_without_mime() -> None:
    assert b"\r\nContent-Type: text/plain; charset=utf-8\r\n" in changed(ODD["no MIME fields"][0])
    assert b"\r\nContent-Type: text/plain; charset=unknown-8bit\r\n" in changed(ODD["no MIME fields, Latin-1"][0])


SEALED = {
    "signed": multipart("Content-Type: multipart/signed; boundary=y\n\n--y\n\nü\n--y\n\nsig\n--y--"),
    "encrypted": HEAD + crlf("Content-Type: multipart/encrypted; boundary=y\n\n--y\n\nü\n--y--\n"),
    "S/MIME": multipart("Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: binary\n\nü"),
    "old S/MIME": multipart("Content-Type: application/X-PKCS7-MIME\n\nü"),
    "inline PGP": multipart(TEXT + "\nhi\n-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nü"),
    "header of the message": b"Subject: \xc3\xbc\r\n\r\n\xc3\xbc\r\n",
    "header of a part": multipart("Content-Type: text/plain; name=ü\n\nx"),
    "header of an inner message": multipart("Content-Type: message/rfc822\n\nSubject: ü\n\nx"),
    "no boundary": HEAD + crlf("Content-Type: multipart/mixed\n\nü\n"),
    "boundary that is not there": HEAD + crlf("Content-Type: multipart/mixed; boundary=z\n\nü\n"),
    "delivery by pieces": multipart("Content-Type: message/partial; id=x\n\nü"),
    "uuencode": multipart("Content-Type: image/png\nContent-Transfer-Encoding: x-uuencode\n\nü"),
}


@pytest.mark.parametrize("name", SEALED)
def test_what_cannot_change_is_refused_with_a_reason(name: str) -> None:
    with pytest.raises(CannotDowngrade) as refused:
        downgrade(SEALED[name])
    assert str(refused.value)
    assert isinstance(refused.value, HeaderNotAscii) == name.startswith("header")


def test_inline_pgp_starts_a_line() -> None:
    begins = b"-----BEGIN PGP SIGNED MESSAGE-----\r\n"
    assert changed(HEAD + b"\r\n> " + begins + "ü\r\n".encode())
    for body in (begins + "ü\r\n".encode(), b"x\r\n" + begins + "ü\r\n".encode()):
        with pytest.raises(CannotDowngrade):
            downgrade(HEAD + b"\r\n" + body)


@pytest.mark.parametrize("name", [name for name in SEALED if not name.startswith("header")])
def test_it_passes_untouched_when_it_is_seven_bit(name: str) -> None:
    message = SEALED[name].replace("ü".encode(), b"u").replace(b"binary", b"base64")
    assert downgrade(message) == message


def test_a_sealed_part_stays_and_its_neighbour_changes() -> None:
    signed = (
        "Content-Type: multipart/signed; boundary=y\nContent-Transfer-Encoding: 8bit\n\n--y\n\nu\n--y\n\nsig\n--y--"
    )
    result = changed(multipart(signed + "\n--x\n" + TEXT + "\nü"))
    assert crlf(signed) in result


def nested(depth: int) -> bytes:
    octets = b"Content-Type: text/plain\r\n\r\n\xc3\xbc\r\n"
    for level in range(depth):
        mark = f"b{level}".encode()
        octets = b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n--%b\r\n%b\r\n--%b--\r\n" % (
            mark,
            mark,
            octets,
            mark,
        )
    return octets


def test_nesting_is_bounded() -> None:
    changed(nested(parts.MAX_DEPTH))
    with pytest.raises(CannotDowngrade, match="multipart/mixed"):
        downgrade(nested(parts.MAX_DEPTH + 1))
    assert needs(downgrade(nested(parts.MAX_DEPTH + 30).replace(b"\xc3\xbc", b"u"))) == Needs(False, False, False)


def test_the_number_of_parts_is_bounded() -> None:
    with pytest.raises(CannotDowngrade, match="10000"):
        downgrade(HEAD + b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n" * 20_000)


def test_offsets_name_the_parts() -> None:
    tree = parts.read(NESTED)
    assert [part.media for part in tree.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "application/octet-stream",
        "message/rfc822",
        "text/plain",
        "text/plain",
    ]
    text = tree.children[0].children[0]
    assert NESTED[text.body_at : text.end] == "größe".encode()
    assert NESTED[text.start : text.body_at].endswith(b"8bit\r\n\r\n")
    assert (tree.start, tree.end) == (0, len(NESTED))


def test_parts_may_be_empty() -> None:
    message = HEAD + b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n--x\r\n\r\n--x\r\n\r\nbody\r\n--x--\r\n"
    found = [message[part.start : part.end] for part in parts.read(message).children]
    assert found == [b"", b"", b"\r\nbody"]


LEAF = st.builds(
    "Content-Type: {}\nContent-Transfer-Encoding: {}\n\n{}".format,
    st.sampled_from(["text/plain", "text/html; charset=utf-8", "image/png", "application/pdf"]),
    st.sampled_from(["8bit", "binary", "7bit", "nonsense", "quoted-printable"]),
    st.text(st.sampled_from("ab =.-\nüж"), max_size=80),
)


def _wrap(inner: list[str], number: int) -> str:
    mark = f"mark{number}"
    body = "".join([f"--{mark}\n{part}\n" for part in inner])
    return f"Content-Type: multipart/mixed; boundary={mark}\n\n{body}--{mark}--\n"


TREES = st.recursive(
    LEAF,
    lambda inner: (
        st.builds(_wrap, st.lists(inner, min_size=1, max_size=3), st.integers(0, 10**6))
        | inner.map(lambda part: "Content-Type: message/rfc822\n\n" + part)
    ),
    max_leaves=6,
)


@given(TREES)
def test_any_tree_keeps_its_contents(tree: str) -> None:
    message = HEAD + crlf(tree + "\n")
    result = downgrade(message)
    assert needs(result) == Needs(False, False, False)
    assert contents(result) == contents(message)
    assert kinds(email.message_from_bytes(result)) == kinds(email.message_from_bytes(message))


def kinds(message: Message) -> list[str]:
    return [part.get_content_type() for part in message.walk()]


@given(st.text(st.sampled_from("--x\r\n :ü\tab;="), max_size=200), st.sampled_from(["mixed", "digest", "signed"]))
def test_rubbish_is_changed_or_refused(body: str, subtype: str) -> None:
    body = body.replace("\r", "").replace("\n", "\r\n")
    message = HEAD + f"Content-Type: multipart/{subtype}; boundary=x\r\n\r\n{body}\r\n--x\r\n\r\nü\r\n".encode()
    try:
        result = downgrade(message)
    except CannotDowngrade:
        return
    assert needs(result) == Needs(False, False, False)
    assert parts.read(result).media == f"multipart/{subtype}"
