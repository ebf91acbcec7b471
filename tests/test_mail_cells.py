"""Cells that a spreadsheet takes for no formula, and that are read back as what they were."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.mail.cells import harmless, plain
from mailferry.resources.suppressions import Suppression, files
from mailferry.resources.suppressions.words import Line


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1"])
def test_a_formula_has_an_apostrophe_before_it(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "Ann", "'Ann'", "a=b", "'", "it's", "ann@x.test", " =1"])
def test_what_is_none_stays(text: str) -> None:
    assert harmless(text) == plain(text) == text


@given(st.text(alphabet="'=+-@\t\r\nab", max_size=8))
def test_it_is_read_back_as_it_was(text: str) -> None:
    assert plain(harmless(text)) == text and harmless(text)[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n")


def suppression(address: str, response: str = "") -> Suppression:
    named = {"id": "1", "account_id": 1, "address": address, "domain_id": 0, "domain_name": "", "stream": "any"}
    rest = {"type": "hard bounce", "recipient_id": "", "category": "", "response": response, "created_at": 1_000}
    given = named | rest
    return Suppression(**{name: given[name] for name in Suppression.__dataclass_fields__})  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["+tag@x.test", "=a@x.test", "-a@x.test", "'+a@x.test", "''=a@x.test", "'a@x.test"])
def test_suppressions_come_back_as_they_were(address: str) -> None:
    target = io.StringIO()
    files.write_csv(target, [[files.exported(suppression(address, "=cmd|' /C calc'!A0"))]])
    assert not any(cell[:1] in "=+-@" for row in csv.reader(io.StringIO(target.getvalue())) for cell in row if cell)
    (line,) = files.read(io.BytesIO(target.getvalue().encode()))
    assert isinstance(line, Line) and (line.address, line.response) == (address, "=cmd|' /C calc'!A0")


def test_an_apostrophe_of_another_file_is_part_of_the_address() -> None:
    (line,) = files.read(io.BytesIO(b"email,created\n'+a@x.test,2026-01-01\n"))
    assert isinstance(line, Line) and line.address == "'+a@x.test"
