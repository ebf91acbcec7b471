import base64
import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.mail import returnpath

DAY = 86_400_000
NOW = 1_790_000_000_000
KEY = bytes(range(32))
KEYS = {0: KEY[::-1], 7: KEY, 65535: KEY * 2}
RECIPIENT = "0198c2f4-8a51-7d3e-9b4c-1f2e3d4c5b6a"

recipients = st.uuids().map(str)
times = st.integers(0, 65_000 * DAY)


@given(recipients, times, st.sampled_from(sorted(KEYS)), st.integers(0, 30 * DAY))
def test_round_trip(recipient: str, made_ms: int, key_id: int, later_ms: int) -> None:
    local = returnpath.make(recipient, made_ms, key_id, KEYS[key_id])
    assert re.fullmatch("[a-z2-7]{48}", local)
    assert returnpath.read(local, made_ms + later_ms, KEYS) == recipient
    assert returnpath.read(local.upper(), made_ms + later_ms, KEYS) == recipient
    assert returnpath.read(local.title(), made_ms + later_ms, KEYS) == recipient


@given(st.integers(0, 47), st.characters(codec="utf-8"))
def test_no_other_character_anywhere_is_taken(index: int, other: str) -> None:
    local = returnpath.make(RECIPIENT, NOW, 7, KEY)
    changed = local[:index] + other + local[index + 1 :]
    expected = RECIPIENT if other.isascii() and other.lower() == local[index] else None
    assert returnpath.read(changed, NOW, KEYS) == expected


def test_every_single_flip_is_detected() -> None:
    local = returnpath.make(RECIPIENT, NOW, 7, KEY)
    for index in range(len(local)):
        for other in "abcdefghijklmnopqrstuvwxyz234567":
            if other != local[index]:
                assert returnpath.read(local[:index] + other + local[index + 1 :], NOW, KEYS) is None


@given(st.binary(min_size=30, max_size=30))
def test_made_up_octets_are_not_ours(octets: bytes) -> None:
    assert returnpath.read(base64.b32encode(octets).decode().lower(), NOW, KEYS) is None


@given(st.text(max_size=64))
def test_any_text_is_read_without_error(text: str) -> None:
    assert returnpath.read(text, NOW, KEYS) is None


def test_valid_for_thirty_days_and_for_a_clock_a_little_ahead() -> None:
    local = returnpath.make(RECIPIENT, NOW, 7, KEY)
    midnight = NOW // DAY * DAY
    assert returnpath.read(local, midnight + 31 * DAY - 1, KEYS) == RECIPIENT
    assert returnpath.read(local, midnight + 31 * DAY, KEYS) is None
    assert returnpath.read(local, midnight - 1, KEYS) == RECIPIENT
    assert returnpath.read(local, midnight - DAY - 1, KEYS) is None


def test_keys_are_told_apart_by_number() -> None:
    local = returnpath.make(RECIPIENT, NOW, 7, KEY)
    assert returnpath.read(local, NOW, {8: KEY}) is None
    assert returnpath.read(local, NOW, {7: KEY[::-1]}) is None
    assert returnpath.read(local, NOW, {}) is None


def test_the_layout_is_as_documented() -> None:
    octets = base64.b32decode(returnpath.make(RECIPIENT, NOW, 7, KEY).upper())
    assert int.from_bytes(octets[:2], "big") == 7
    assert octets[2:18] == uuid.UUID(RECIPIENT).bytes
    assert int.from_bytes(octets[18:20], "big") == NOW // DAY
    assert len(octets) == 30


def test_keys_that_protect_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="16 octets"):
        returnpath.make(RECIPIENT, NOW, 7, b"short")
    with pytest.raises(ValueError, match="65535"):
        returnpath.make(RECIPIENT, NOW, 65536, KEY)
