"""What fields take by their type, and what is kept of it."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.resources.contacts import values
from mailferry.resources.contacts.values import BadValue, DataType

TEXT, INTEGER, FLOAT, BOOLEAN, DATE = DataType


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        (TEXT, "Ann", "Ann"),
        (TEXT, "", ""),
        (TEXT, "one\ntwo\tthree", "one\ntwo\tthree"),
        (TEXT, 11111, "11111"),
        (TEXT, 1.5, "1.5"),
        (TEXT, True, "true"),
        (TEXT, "x" * 255, "x" * 255),
        (INTEGER, 5, 5),
        (INTEGER, -(2**63) + 1, -(2**63) + 1),
        (INTEGER, " 007 ", 7),
        (INTEGER, "-12", -12),
        (INTEGER, 4.0, 4),
        (FLOAT, 5, 5.0),
        (FLOAT, "1.50", 1.5),
        (FLOAT, ".5e-3", 0.0005),
        (BOOLEAN, True, True),
        (BOOLEAN, "False", False),
        (BOOLEAN, 1, True),
        (BOOLEAN, "0", False),
        (DATE, "2024-02-29", "2024-02-29"),
        (DATE, " 1990-01-02 ", "1990-01-02"),
        *((kind, None, None) for kind in DataType),
        *((kind, "", None) for kind in (INTEGER, FLOAT, BOOLEAN, DATE)),
    ],
)
def test_what_is_understood(kind: DataType, given: Any, kept: Any) -> None:
    found = values.understand(kind, given)
    assert found == kept and type(found) is type(kept)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (TEXT, ["a"]),
        (TEXT, {"a": 1}),
        (TEXT, "x" * 256),
        (TEXT, "a\0b"),
        (TEXT, "a\x1bb"),
        (INTEGER, "five"),
        (INTEGER, "5.0"),
        (INTEGER, 5.5),
        (INTEGER, True),
        (INTEGER, 2**63),
        (INTEGER, "9" * 19),
        (INTEGER, "٣"),
        (FLOAT, "nan"),
        (FLOAT, "inf"),
        (FLOAT, "1e999"),
        (FLOAT, 10**400),
        (FLOAT, math.inf),
        (FLOAT, False),
        (FLOAT, "1_000"),
        (BOOLEAN, "yes"),
        (BOOLEAN, 2),
        (BOOLEAN, 1.0),
        (DATE, "2023-02-29"),
        (DATE, "0000-01-01"),
        (DATE, "20240229"),
        (DATE, "2024-02-29T10:00:00Z"),
        (DATE, "29.02.2024"),
        (DATE, 20240229),
    ],
)
def test_what_is_refused_says_what_would_be_right(kind: DataType, given: Any) -> None:
    with pytest.raises(BadValue) as refused:
        values.understand(kind, given)
    assert str(refused.value).startswith(("must ", "is too long"))


@given(
    st.sampled_from(DataType),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates().map(str) | st.lists(st.integers()),
)
def test_whatever_is_understood_is_shown_as_it_was_kept(kind: DataType, given: Any) -> None:
    try:
        value = values.understand(kind, given)
    except BadValue:
        return
    if value is None:
        return
    row = values.row(kind, value)
    assert values.shown(row["value"]) == value and type(values.shown(row["value"])) is type(value)
    assert values.understand(kind, value) == value
    assert [name for name in ("text_key", "integer_key", "float_key") if row[name] is not None] == [values.KEYS[kind]]
