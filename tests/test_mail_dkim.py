"""Signatures are judged by dkimpy and by the example of RFC 8463; our own code never verifies what it signed."""

import base64
import hashlib
import re
import types

import dkim as dkimpy
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailferry.mail import canonical, dkim
from mailferry.mail.canonical import relaxed_body, relaxed_body_hash, relaxed_fields
from mailferry.mail.header import plain_blanks, read_head

NOW = 1_700_000_000
ALGORITHMS: tuple[dkim.Algorithm, ...] = ("rsa-sha256", "ed25519-sha256")
PAIRS = {algorithm: dkim.generate(algorithm) for algorithm in ALGORITHMS}
PRIVATE = {algorithm: dkim.load(PAIRS[algorithm][0]) for algorithm in ALGORITHMS}
KEYS = [dkim.Key("example.com", f"mf{index}", algorithm) for index, algorithm in enumerate(ALGORITHMS)]

PLAIN = (
    b"Date: Fri, 11 Jul 2003 21:00:37 -0700\r\nMessage-ID: <1@example.com>\r\nFrom: A <a@example.com>\r\n"
    b"To: b@example.net\r\nSubject: Dinner\r\n\r\nHi.\r\n\r\nWe lost.\r\n"
)


class VerifyKey:
    """dkimpy asks PyNaCl to check Ed25519; here `cryptography` answers. Parsing, canonical forms, hashes are dkimpy's."""

    def __init__(self, public: bytes, encoder: object) -> None:
        self.key = ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(public))

    def verify(self, message: bytes, signature: bytes) -> None:
        self.key.verify(signature, message)


@pytest.fixture(autouse=True, scope="module")
def ed25519_for_dkimpy() -> object:
    nacl = types.SimpleNamespace(
        signing=types.SimpleNamespace(VerifyKey=VerifyKey),
        encoding=types.SimpleNamespace(Base64Encoder=None),
        exceptions=types.SimpleNamespace(BadSignatureError=InvalidSignature, ValueError=ValueError),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dkimpy, "nacl", nacl, raising=False)
        yield


def txt(name: bytes, timeout: int = 5) -> bytes:
    selector = name.split(b".")[0].decode()
    algorithm = next(key.algorithm for key in KEYS if key.selector == selector)
    return dkim.record(algorithm, PAIRS[algorithm][1]).encode()


def signed(message: bytes) -> bytes:
    unsigned = dkim.digest(read_head(message), message, KEYS, timestamp=NOW)
    fields = [dkim.finish(one, dkim.sign(PRIVATE[one.key.algorithm], one.digest)) for one in unsigned]
    return b"".join(fields) + message


def plain(message: bytes) -> bytes:
    """As it is prepared before it is signed."""
    head = read_head(message)
    return b"".join([*(plain_blanks(field).raw for field in head.fields), b"\r\n", message[head.body_at :]])


def verdicts(message: bytes) -> list[bool]:
    found = []
    for index in range(len(KEYS)):
        try:
            found.append(dkimpy.DKIM(message).verify(idx=index, dnsfunc=txt))
        except dkimpy.ValidationError:
            found.append(False)
    return found


def on_the_wire(message: bytes) -> bytes:
    """SMTP ends the last line before its dot, so no receiver sees a body without a last CRLF."""
    return message if message.endswith(b"\r\n") else message + b"\r\n"


# Messages with everything that canonicalisation is about: blanks of every kind, folding, repeated names, 8-bit octets.
words = st.text(alphabet='aB:;= \t"é<>\v\f', max_size=12).map(str.encode) | st.binary(max_size=6).map(
    lambda octets: re.sub(rb"[\x00\n\r]", b"~", octets)
)
folds = st.sampled_from([b"", b"\r\n ", b"\r\n\t", b" \r\n  ", b"\t\r\n\t \t", b"\r\n \r\n "])
values = st.lists(st.tuples(words, folds), max_size=4).map(lambda parts: b"".join(word + fold for word, fold in parts))
names = st.sampled_from(
    b"From from FROM To Cc Subject subject Date Message-ID Reply-To References MIME-Version Content-Type List-Id"
    b" List-Unsubscribe List-Unsubscribe-Post Feedback-ID Sender X-Other Received Content-Transfer-Encoding".split()
)
fields = st.tuples(names, values).map(lambda field: field[0] + b":" + field[1] + b"\r\n")
lines = st.text(alphabet="ab .\té\v\f", max_size=10).map(str.encode) | st.sampled_from(
    [b"", b" ", b"\t", b"  ", b"\0 \0"]
)
bodies = st.tuples(st.lists(lines, max_size=8), st.booleans()).map(
    lambda body: b"\r\n".join(body[0]) + (b"\r\n" if body[1] else b"")
)
messages = st.tuples(st.lists(fields, max_size=10), bodies).map(
    lambda message: b"From: a@example.com\r\n" + b"".join(message[0]) + b"\r\n" + message[1]
)


@settings(deadline=None, max_examples=150)
@given(messages)
@example(b"From: a@example.com\r\n\r\n")
@example(b"From: a@example.com\r\n\r\nno line end")
@example(b"From: a@example.com\r\n\r\nblank at the very end ")
@example(b"From: a@example.com\r\n\r\n\r\n\r\n\r\n")
@example(b"From: a@example.com\r\n\r\n \r\n\t\r\n  \r\n")
@example(b"From: a@example.com\r\nfrom: b@example.com\r\nSubject:\r\nSubject: \t \r\n\r\n\r\nx \t y\r\n\r\n")
def test_dkimpy_verifies_every_signature_by_index(message: bytes) -> None:
    assert verdicts(on_the_wire(signed(plain(message)))) == [True, True]


@pytest.mark.parametrize(
    "before, after",
    [
        (b"We lost.", b"We lost,"),
        (b"We lost.", b"Welost."),
        (b"\r\n\r\nHi.", b"\r\n\r\n\r\nHi."),
        (b"We lost.\r\n", b"We lost.\r\nBuy now\r\n"),
        (b"To: b@example.net", b"To: c@example.net"),
        (b"Subject: Dinner", b"Subject: Din ner"),
        (b"Subject: Dinner\r\n", b""),
        (b"From: A", b"From: B"),
        (b"t=1700000000", b"t=1700000001"),
        (b"d=example.com", b"d=example.org"),
        (b"h=from:from:", b"h=from:"),
    ],
)
def test_tampering_is_detected(before: bytes, after: bytes) -> None:
    message = signed(PLAIN)
    assert before in message
    assert verdicts(message.replace(before, after)) == [False, False]


@pytest.mark.parametrize(
    "name",
    b"From To Cc Subject Date Message-ID Reply-To In-Reply-To References MIME-Version Content-Type List-Id"
    b" List-Unsubscribe List-Unsubscribe-Post Feedback-ID".split(),
)
def test_nobody_can_add_a_sealed_field(name: bytes) -> None:
    field = name + b": evil\r\n"
    assert verdicts(field + signed(PLAIN)) == [False, False]
    assert verdicts(signed(field + PLAIN)) == [True, True]
    assert verdicts(field + signed(field + PLAIN)) == [False, False]


def test_what_relays_add_leaves_the_signatures_whole() -> None:
    added = b"Received: from x by y; z\r\nReturn-Path: <>\r\nX-Spam: no\r\nContent-Transfer-Encoding: 7bit\r\n"
    assert verdicts(added + signed(PLAIN)) == [True, True]
    sender = b"Sender: s@example.com\r\n"
    assert verdicts(sender + signed(sender + PLAIN)) == [False, False]


def test_what_gateways_do_to_blanks_leaves_the_signatures_whole() -> None:
    message = signed(PLAIN.replace(b"Hi.", b"Hi  there. \t").replace(b"Dinner", b"Dinner\r\n for  two"))
    changed = message.replace(b"Hi  there. \t", b"Hi there.").replace(b"Dinner\r\n for  two", b"Dinner for two")
    assert changed != message
    assert verdicts(changed + b"\r\n\r\n") == [True, True]


def test_repeated_fields_are_signed_from_the_bottom_up() -> None:
    message = b"Cc: first@example.com\r\n" + PLAIN.replace(b"To:", b"Cc: second@example.com\r\nTo:")
    assert verdicts(signed(message)) == [True, True]
    swapped = (
        signed(message).replace(b"first@", b"other@").replace(b"second@", b"first@").replace(b"other@", b"second@")
    )
    assert verdicts(swapped) == [False, False]


def test_the_field_is_folded_and_says_what_it_should() -> None:
    rsa_field, ed_field = (
        dkim.finish(one, dkim.sign(PRIVATE[one.key.algorithm], one.digest))
        for one in dkim.digest(read_head(PLAIN), PLAIN, KEYS, timestamp=NOW)
    )
    assert all(len(line) <= 77 for field in (rsa_field, ed_field) for line in field.split(b"\r\n"))
    tags = dict(part.strip().split(b"=", 1) for part in rsa_field.split(b":", 1)[1].split(b";"))
    assert list(tags) == [b"v", b"a", b"c", b"d", b"s", b"t", b"h", b"bh", b"b"]
    assert tags[b"c"] == b"relaxed/relaxed"
    listed = tags[b"h"].replace(b"\r\n\t", b"").split(b":")
    assert [listed.count(name) for name in (b"from", b"subject", b"cc", b"list-unsubscribe", b"sender")] == [
        2,
        2,
        1,
        1,
        0,
    ]
    assert b"a=ed25519-sha256" in ed_field and b"bh=" + tags[b"bh"] in ed_field


def test_a_digest_is_all_that_a_signing_process_needs() -> None:
    for one in dkim.digest(read_head(PLAIN), PLAIN, KEYS, timestamp=NOW):
        assert len(one.digest) == 32
        private, _ = PAIRS[one.key.algorithm]
        assert len(dkim.sign(dkim.load(private), one.digest)) == (256 if one.key.algorithm == "rsa-sha256" else 64)


# RFC 8463 appendix A.3: one message, two published signatures.
RFC8463_FIELDS = [
    b"From: Joe SixPack <joe@football.example.com>\r\n",
    b"To: Suzie Q <suzie@shopping.example.net>\r\n",
    b"Subject: Is dinner ready?\r\n",
    b"Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n",
    b"Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n",
]
RFC8463_BODY = b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n\r\n"
RFC8463_ED25519 = (
    b"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
    b" d=football.example.com; i=@football.example.com;\r\n"
    b" q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
    b" subject : date : message-id : from : subject : date;\r\n"
    b" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    b" b="
)
RFC8463_RSA = (
    b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
    b" d=football.example.com; i=@football.example.com;\r\n"
    b" q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"
    b" date : message-id : from : subject : date;\r\n"
    b" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    b" b="
)
RFC8463_RSA_PUBLIC = (
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91"
    "y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
)


def rfc8463_digest(unsigned_field: bytes) -> bytes:
    return hashlib.sha256(relaxed_fields(RFC8463_FIELDS) + relaxed_fields([unsigned_field])[:-2]).digest()


def test_the_example_of_rfc_8463() -> None:
    body_hash = base64.b64encode(hashlib.sha256(relaxed_body(RFC8463_BODY)).digest())
    assert body_hash == b"2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="
    secret = base64.b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    signature = dkim.sign(ed25519.Ed25519PrivateKey.from_private_bytes(secret), rfc8463_digest(RFC8463_ED25519))
    assert base64.b64encode(signature) == (
        b"/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw=="
    )
    published = base64.b64decode(
        "F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeef"
        "Osk2JzdA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8="
    )
    public = serialization.load_der_public_key(base64.b64decode(RFC8463_RSA_PUBLIC))
    assert isinstance(public, rsa.RSAPublicKey)
    digest = rfc8463_digest(RFC8463_RSA)
    public.verify(published, digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))  # raises when it is wrong


def slow_relaxed_body(body: bytes) -> bytes:
    """RFC 6376 3.4.4 word by word."""
    text = re.sub(rb"[ \t]+", b" ", re.sub(rb"[ \t]+(\r\n|\Z)", rb"\1", body))
    text = re.sub(rb"(\r\n)*\Z", b"", text, count=1)
    return text + b"\r\n" if text else b""


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from([b" ", b"  ", b"\t", b"\r\n", b"a", b"\0", b".", b"\xe9"]), max_size=40).map(b"".join))
@example(b" " * 9 + b"x" + b" " * 8 + b"\r\n")
@example(b"\0  \0")
def test_relaxed_bodies(body: bytes) -> None:
    assert relaxed_body(body) == slow_relaxed_body(body)


@pytest.mark.parametrize("offset", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("blanks", [b"  ", b" \r\n", b"\t", b"   \r\n", b" \t"])
def test_blanks_at_the_edge_of_a_search_window(blanks: bytes, offset: int) -> None:
    for start in (b" ", b"x", b""):
        body = (start + b"y" * 8192)[: 8192 + offset] + blanks + b"z" * 9000 + b" w\r\n"
        assert relaxed_body(body) == slow_relaxed_body(body)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b" \r\n", b"a", b"bcdefgh"]), max_size=60).map(b"".join),
    st.integers(1, 30),
)
@example(b"x" * 9 + b" " * 9 + b"y\r\n", 12)
@example(b"x" * 9 + b"\r\n" * 30, 12)
def test_a_body_that_is_hashed_in_pieces_is_the_same_body(body: bytes, piece: int) -> None:
    wanted = hashlib.sha256(slow_relaxed_body(body)).digest()
    assert relaxed_body_hash(b"A: b\r\n\r\n" + body, 8) == wanted
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canonical, "PIECE", piece)
        assert relaxed_body_hash(b"A: b\r\n\r\n" + body, 8) == wanted


def test_octets_that_only_python_takes_for_blanks_stay() -> None:
    assert relaxed_fields([b"Subject : \va\f \t b\x1c\r\n c \r\n", b"TO:b\r\n"]) == b"subject:\va\f b\x1c c\r\nto:b\r\n"
    message = PLAIN.replace(b"Dinner", b"a\vb \f c")
    assert verdicts(signed(message)) == [True, True]


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (b"Subject:\v a\fb \v\r\n", b"Subject:  a b  \r\n"),
        (b"Subject: a\r\n \v\f\r\n b\r\n\t\f\r\n", b"Subject: a\r\n b\r\n"),
        (b"Subject:\v\r\n", b"Subject: \r\n"),
        (b"Subject: a\r\n \r\n b\r\n", b"Subject: a\r\n \r\n b\r\n"),
    ],
)
def test_old_controls_in_a_field_become_blanks(given: bytes, plain: bytes) -> None:
    (field,) = read_head(given).fields
    assert plain_blanks(field).raw == plain


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_record_matches_its_key_and_no_other(algorithm: dkim.Algorithm) -> None:
    _, public = PAIRS[algorithm]
    _, other = dkim.generate("ed25519-sha256")
    text = dkim.record(algorithm, public)
    assert text.startswith("v=DKIM1; k=")
    assert dkim.matches(text, algorithm, public)
    assert not dkim.matches(dkim.record("ed25519-sha256", other), algorithm, public)
    found = dkim.parse_record(text)
    assert found == dkim.Record(algorithm, base64.b64decode(public))
    assert not found.revoked and not found.testing


P = PAIRS["rsa-sha256"][1].decode()


@pytest.mark.parametrize(
    "text, same",
    [
        (f"v=DKIM1;k=rsa;p={P}", True),
        (f"v=DKIM1; p={P};", True),
        (f"p={P}", True),
        (f"k=rsa; p={P}; v=DKIM1; t=s", True),
        (f"  v = DKIM1 ;\tk = rsa ; p = {P[:100]} {P[100:200]}\t{P[200:]} ; ", True),
        (f"v=DKIM1; k=rsa; h=sha1:sha256; s=email:other; n=a note; x=unknown; p={P}", True),
        (f"v=DKIM1; k=rsa; t=y; p={P}", True),
        ("v=DKIM1; k=rsa; p=", False),
        ("v=DKIM1; k=rsa", False),
        ("", False),
        ("v=spf1 include:example.com ~all", False),
        (f"v=DKIM2; k=rsa; p={P}", False),
        (f"v=DKIM1; k=ed25519; p={P}", False),
        (f"v=DKIM1; k=rsa; h=sha1; p={P}", False),
        (f"v=DKIM1; k=rsa; s=tlsrpt; p={P}", False),
        (f"v=DKIM1; k=rsa; p={P[:-8]}", False),
        (f"v=DKIM1; k=rsa; p={P}; p={P}", False),
        (f'v=DKIM1; k=rsa; p="{P}"', False),
        (f"v=DKIM1; k=rsa; p={P[:50]}é{P[50:]}", False),
        (f"v=DKIM1 k=rsa p={P}", False),
    ],
)
def test_published_records(text: str, same: bool) -> None:
    assert dkim.matches(text, "rsa-sha256", P.encode()) is same


def test_revoked_and_testing_keys_are_told() -> None:
    revoked = dkim.parse_record("v=DKIM1; p=")
    assert revoked is not None and revoked.revoked
    testing = dkim.parse_record(f"v=DKIM1; t=y:s; p={P}")
    assert testing is not None and testing.testing


def test_generated_keys_are_what_the_rfcs_ask_for() -> None:
    private = PRIVATE["rsa-sha256"]
    assert isinstance(private, rsa.RSAPrivateKey) and private.key_size == 2048
    assert PAIRS["rsa-sha256"][0].startswith(b"-----BEGIN PRIVATE KEY-----")
    assert len(base64.b64decode(PAIRS["ed25519-sha256"][1])) == 32
    for algorithm in ALGORITHMS:
        assert dkim.public_part(PRIVATE[algorithm]) == PAIRS[algorithm][1]


def test_keys_that_cannot_sign_are_refused() -> None:
    def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    with pytest.raises(ValueError, match="RSA or Ed25519"):
        dkim.load(pem(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(ValueError):
        dkim.load(b"not a key")


def test_a_key_made_elsewhere_is_tested() -> None:
    good = PAIRS["rsa-sha256"][0]
    assert isinstance(dkim.load(good, foreign=True), rsa.RSAPrivateKey)
    numbers = PRIVATE["rsa-sha256"].private_numbers()
    wrong = rsa.RSAPrivateNumbers(
        p=numbers.p,
        q=numbers.q,
        d=numbers.d,
        dmp1=numbers.dmp1 + 2,
        dmq1=numbers.dmq1,
        iqmp=numbers.iqmp,
        public_numbers=numbers.public_numbers,
    ).private_key(unsafe_skip_rsa_key_validation=True)
    pem = wrong.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(ValueError):
        dkim.load(pem, foreign=True)
