"""How much memory JSON will take: never far too little, and nothing for text."""

import json
import tracemalloc

import msgspec
import pytest

from mailferry.endpoints.mailtrap.weight import USUAL_GROWTH, USUAL_OCTETS, growth

#: What grows most: some of each are in an array.
ITEMS = [
    b"[]",
    b"{}",
    b"1",
    b"1.5",
    b"123456789",
    b'"a"',
    b'"ab"',
    b"[[[[]]]]",
    b'{"":1}',
    b'{"":""}',
    b'{"a":{"b":{"c":{}}}}',
    b'{"email":"a@b.c","name":"A"}',
    b'{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}',
]


@pytest.mark.parametrize("item", ITEMS)
def test_it_is_not_underestimated(item: bytes) -> None:
    body = b'{"to":[' + b",".join([item] * 50_000) + b"]}"
    tracemalloc.start()
    value = msgspec.json.decode(body)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert value and taken <= growth(body, 1 << 40) + USUAL_GROWTH * len(body) + USUAL_OCTETS


def test_names_are_not_underestimated_either() -> None:
    body = json.dumps({f"name{number}": number for number in range(100_000)}).encode()
    tracemalloc.start()
    value = msgspec.json.decode(body)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert value and taken <= growth(body, 1 << 40) + USUAL_GROWTH * len(body) + USUAL_OCTETS


@pytest.mark.parametrize(
    "text",
    ["a{color:red;b:[c],d}" * 300_000, '[],"{' * 500_000, '\\"[],' * 500_000, '\\\\" [],{}' * 300_000, "x" * 5_000_000],
)
def test_text_does_not_grow_whatever_it_holds(text: str) -> None:
    assert growth(json.dumps({"text": text, "to": [{"email": text}]}).encode(), 1 << 40) == 0


def test_where_a_window_ends_makes_no_difference() -> None:
    for shift in range(6):
        body = b"[" + b" " * shift + b'"[[[[[",[],' * 200_000 + b"1]"
        assert 15_000_000 < growth(body, 1 << 40) < 40_000_000


def test_small_bodies_are_not_looked_at_and_counting_stops_at_what_is_asked() -> None:
    assert growth(b"[" * 28 * 1024, 0) == 0
    most = 10_000_000
    assert most < growth(b"[" * 50_000_000, most) < 5 * most
