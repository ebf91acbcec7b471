"""When a failed attempt is made again."""

from random import Random

from hypothesis import example, given
from hypothesis import strategies as st

from mailferry.delivery.retry import LONGEST_MS, retry_at

NOW = 1_800_000_000_000
DAY = 86_400_000
FIRST = 60_000
FAR = NOW + 30 * DAY


def wait(tries: int, seed: int = 1, expires_at: int = FAR) -> int:
    return retry_at(NOW, tries, expires_at, FIRST, Random(seed)) - NOW


def test_each_wait_is_about_twice_the_one_before() -> None:
    for tries in range(1, 8):
        middle = sum(wait(tries, seed) for seed in range(400)) / 400
        assert 0.95 < middle / (FIRST * 2 ** (tries - 1)) < 1.05


def test_no_wait_is_longer_than_the_longest() -> None:
    assert all(LONGEST_MS * 0.75 <= wait(tries) <= LONGEST_MS * 1.25 for tries in (12, 40, 10_000))


def test_what_failed_together_does_not_come_back_together() -> None:
    waits = sorted(wait(1, seed) for seed in range(200))
    assert len(set(waits)) > 150
    assert waits[-1] - waits[0] > FIRST * 0.4


@given(
    tries=st.integers(1, 1000),
    left=st.integers(-DAY, 10 * DAY),
    first=st.integers(1000, 4 * 3_600_000),  # delivery.retry_seconds
    seed=st.integers(0, 1000),
)
@example(tries=1, left=0, first=FIRST, seed=0)
@example(tries=1, left=-5, first=1000, seed=0)
def test_the_next_try_is_later_but_never_after_the_last_moment(tries: int, left: int, first: int, seed: int) -> None:
    due = retry_at(NOW, tries, NOW + left, first, Random(seed))
    plain = min(first * 2 ** (tries - 1), LONGEST_MS)
    assert NOW <= due <= NOW + plain * 1.25
    # What is too old already is tried once more at once, and then bounces.
    assert due <= max(NOW + left, NOW + 1000)
    if NOW + plain * 1.25 <= NOW + left:
        assert due >= NOW + int(plain * 0.75)
