"""Signatures judged: those of dkimpy in every canonicalization, our own, and what was changed behind them."""

import base64
from itertools import product

import dkim as dkimpy
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from mailferry.mail import dkim, dkim_verify
from mailferry.mail.header import read_head

MESSAGE = (
    b"From: A <a@example.test>\r\nTo: b@example.org\r\nSubject:  two\r\n   lines \r\nX: 1\r\nX: 2\r\n\r\n"
    b"Some  text \r\n\twith tabs\r\n\r\n\r\n"
)
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)
PEM = RSA_KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
)
RECORD = dkim.record("rsa-sha256", dkim.public_part(RSA_KEY))


def signed(
    message: bytes = MESSAGE, canonical: tuple[bytes, bytes] = (b"relaxed", b"relaxed"), **options: object
) -> bytes:
    names = [b"from", b"subject", b"x", b"x", b"x"]
    return (
        dkimpy.sign(message, b"sel", b"example.test", PEM, canonicalize=canonical, include_headers=names, **options)
        + message
    )


def verdict(message: bytes, texts: tuple[str, ...] = (RECORD,)) -> str:
    (signature,) = dkim_verify.signatures(message)
    assert signature.problem or signature.key_name == "sel._domainkey.example.test"
    return dkim_verify.judge(message, signature, texts)


KINDS = [pytest.param(pair, id=b"/".join(pair).decode()) for pair in product((b"simple", b"relaxed"), repeat=2)]


@pytest.mark.parametrize("canonical", KINDS)
def test_signatures_of_dkimpy_hold(canonical: tuple[bytes, bytes]) -> None:
    for body in (
        b"",
        b"\r\n",
        b"x",
        b"x\r\n\r\n",
        b"x \r\n",
        b" \r\n\r\n",
        MESSAGE.partition(b"\r\n\r\n")[2],
    ):
        message = signed(MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body, canonical)
        assert verdict(message) == "", body


@pytest.mark.parametrize("canonical", KINDS)
def test_what_is_changed_behind_them_is_found(canonical: tuple[bytes, bytes]) -> None:
    message = signed(canonical=canonical)
    assert verdict(message.replace(b"Some", b"some")) == "the body was changed after it was signed"
    changed = "a signed header field was changed, or another key signed it"
    assert verdict(message.replace(b"\r\nX: 2", b"\r\nX: 3")) == changed
    assert verdict(b"X: 0\r\n" + message) == changed  # one more than was there is signed as missing
    assert verdict(message.replace(b"To: b@", b"To: c@")) == ""  # not signed
    spaced = message.replace(b"X: 1\r\n", b"X:   1\r\n")
    assert verdict(spaced) == ("" if canonical[0] == b"relaxed" else changed)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n", b"\r", b"\n"]), max_size=12).map(b"".join),
    st.sampled_from([b"simple", b"relaxed"]),
)
def test_any_body_is_canonical_as_dkimpy_has_it(body: bytes, kind: bytes) -> None:
    # dkimpy makes CRLF of a lone CR or LF before it signs.
    message = (
        b"From: a@example.test\r\n\r\n"
        + body.replace(b"\r\n", b"\n").replace(b"\r", b"").replace(b"\n", b"\r\n")
        + b"end\r\n"
    )
    assert verdict(signed(message, (b"relaxed", kind))) == ""


def test_our_own_signatures_hold() -> None:
    private, public = dkim.generate("ed25519-sha256")
    key = dkim.Key("example.test", "sel", "ed25519-sha256")
    (unsigned,) = dkim.digest(read_head(MESSAGE), MESSAGE, [key], timestamp=1)
    message = dkim.finish(unsigned, dkim.sign(dkim.load(private), unsigned.digest)) + MESSAGE
    assert verdict(message, (dkim.record("ed25519-sha256", public),)) == ""
    assert verdict(message) == "its key is for rsa-sha256, the signature is ed25519-sha256"


def test_keys_that_do_not_do() -> None:
    message = signed()
    assert verdict(message, ()) == "there is no key at sel._domainkey.example.test"
    assert verdict(message, ("v=spf1 -all",)) == "what sel._domainkey.example.test has is no DKIM key"
    assert verdict(message, ("v=DKIM1; p=",)) == "its key is revoked"
    assert verdict(message, (RECORD + "; h=sha1",)) == "its key may not be used for mail or with SHA-256"
    assert verdict(message, ("v=DKIM1; p=" + base64.b64encode(b"x" * 80).decode(),)) == "its key cannot be read"
    other = dkim.record("rsa-sha256", dkim.public_part(rsa.generate_private_key(public_exponent=65537, key_size=1024)))
    assert verdict(message, (other,)) == "a signed header field was changed, or another key signed it"
    assert verdict(message, (other, RECORD)) == ""


FIELD = b"v=1; a=rsa-sha256; d=example.test; s=sel; h=from; bh=x; b=y"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b"nonsense", "it is no list of tags"),
        (FIELD.replace(b"; bh=x", b""), "it has no bh="),
        (FIELD.replace(b"v=1", b"v=2"), "its version is 2, not 1"),
        (FIELD.replace(b"s=sel", b"s=*"), "its d= or s= is no name"),
        (FIELD.replace(b"sha256", b"sha1"), "rsa-sha1 is not accepted any more (RFC 8301)"),
        (FIELD.replace(b"rsa", b"dsa"), "its algorithm dsa-sha256 is unknown"),
        (FIELD.replace(b"h=from", b"h=to"), "it does not sign the From field"),
        (FIELD + b"; c=odd", "its canonicalization odd is unknown"),
        (FIELD + b"; i=@other.test", "its i= is not of its domain"),
    ],
)
def test_fields_that_are_no_signature(value: bytes, problem: str) -> None:
    assert verdict(b"DKIM-Signature: " + value + b"\r\n" + MESSAGE) == problem


def test_a_length_is_obeyed_and_no_body_is_shorter() -> None:
    message = signed(length=True)
    assert verdict(message + b"more") == ""
    assert verdict(message.replace(b"Some  text \r\n\twith tabs\r\n", b"")) == "its l= is longer than the body"


@given(st.binary(max_size=200))
def test_any_octets_are_judged(value: bytes) -> None:
    for message in (value, b"DKIM-Signature: " + value + b"\r\n\r\n", b"DKIM-Signature: " + FIELD + b";" + value):
        for signature in dkim_verify.signatures(message):
            dkim_verify.judge(message, signature, (RECORD, value.decode("latin-1")))
