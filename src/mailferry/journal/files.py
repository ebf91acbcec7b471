"""Rows of the log as files, piece by piece: CSV (RFC 4180) for spreadsheets, JSON Lines for programs."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from mailferry.mail.cells import harmless


class Form(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"


def head(form: Form, columns: Sequence[str]) -> bytes:
    """What stands before the first row."""
    return _csv([columns]) if form is Form.CSV else b""


def body(form: Form, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """JSON Lines have all that a row holds, CSV the columns."""
    if form is Form.JSONL:
        return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    return _csv([_cell(row[name]) for name in columns] for row in rows)


def _csv(lines: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    """Nothing is an empty cell, an object or a list is JSON, and no text is a formula: it has an apostrophe before it."""
    if value is None or value in ({}, []):
        return ""
    text = msgspec.json.encode(value).decode() if isinstance(value, dict | list) else str(value)
    return harmless(text)
