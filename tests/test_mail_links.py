"""Links in mail: what was signed comes back, and nothing else does."""

import base64
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.mail import links
from mailferry.mail.links import Key, Kind, Link

KEY = Key(7, bytes(range(32)))
KEYS = {7: KEY.secret, 8: bytes(32)}
RECIPIENT = "01920000-0000-7000-8000-000000000001"

ASCII = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=300)
IDENTITIES = st.tuples(st.integers(0, 2**32 - 1), st.uuids().map(str))
LINKS = st.one_of(
    st.builds(lambda i: (Kind.OPEN, Link(*i)), IDENTITIES),
    st.builds(lambda i, url: (Kind.CLICK, Link(*i, url=url)), IDENTITIES, ASCII),
    st.builds(lambda i, url, tags: (Kind.CLICK, Link(*i, url=url, tags=tags)), IDENTITIES, ASCII, ASCII),
    st.builds(
        lambda i, stream, address: (Kind.CHOICE, Link(*i, stream=stream, address=address)),
        IDENTITIES,
        st.sampled_from(["transactional", "bulk"]),
        st.text(st.characters(exclude_categories=("Cs",)), max_size=80),
    ),
    st.builds(
        lambda i, topic, address: (Kind.TOPIC, Link(*i, topic_id=topic, address=address)),
        IDENTITIES,
        st.integers(0, 2**63 - 1),
        st.text(st.characters(exclude_categories=("Cs",)), max_size=80),
    ),
)


@given(LINKS)
def test_what_was_signed_comes_back(made: tuple[Kind, Link]) -> None:
    kind, link = made
    token = links.make(kind, link, KEY)
    assert token.isascii() and token.replace("-", "").replace("_", "").isalnum()
    assert links.read(kind, token, KEYS) == link


@given(LINKS, st.data())
def test_nothing_else_does(made: tuple[Kind, Link], data: st.DataObject) -> None:
    kind, link = made
    token = links.make(kind, link, KEY)
    octets = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    at = data.draw(st.integers(0, len(octets) - 1))
    octets[at] ^= data.draw(st.integers(1, 255))
    forged = base64.urlsafe_b64encode(octets).decode().rstrip("=")
    assert links.read(kind, forged, KEYS) is None
    for other in Kind:
        if other is not kind:
            assert links.read(other, token, KEYS) is None


@given(st.text(max_size=200) | st.binary(max_size=150).map(lambda b: base64.urlsafe_b64encode(b).decode().rstrip("=")))
def test_what_nobody_signed_is_nothing(token: str) -> None:
    assert all(links.read(kind, token, KEYS) is None for kind in Kind)


def test_a_target_cannot_be_put_behind_another_ones_signature() -> None:
    good = links.make(Kind.CLICK, Link(1, RECIPIENT, url="https://shop.test/"), KEY)
    octets = base64.urlsafe_b64decode(good + "=" * (-len(good) % 4))
    evil = octets[:23] + b"https://evil.test/" + octets[-10:]
    assert links.read(Kind.CLICK, base64.urlsafe_b64encode(evil).decode().rstrip("="), KEYS) is None


def test_a_key_that_is_gone_opens_nothing_and_an_old_one_still_does() -> None:
    token = links.make(Kind.OPEN, Link(1, RECIPIENT), Key(8, bytes(32)))
    assert links.read(Kind.OPEN, token, KEYS) == Link(1, RECIPIENT)
    assert links.read(Kind.OPEN, token, {7: KEY.secret}) is None


def test_the_link_of_a_pixel_is_short() -> None:
    assert len(links.make(Kind.OPEN, Link(1, str(uuid.UUID(int=5))), KEY)) == 44


@pytest.mark.parametrize(("number", "secret"), [(-1, bytes(32)), (65536, bytes(32)), (1, bytes(15))])
def test_a_key_that_is_none(number: int, secret: bytes) -> None:
    with pytest.raises(ValueError, match="key"):
        Key(number, secret)
