"""Prints results: JSON for programs, tables for people."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

COLOURS = {
    "delivered": "green",
    "compliant": "green",
    "pass": "green",
    "queued": "cyan",
    "held": "yellow",
    "under_review": "yellow",
    "unverified_dns": "yellow",
    "softfail": "yellow",
    "bounced": "red",
    "rejected": "red",
    "suspended": "red",
    "fail": "red",
    "missing": "red",
}


def as_json(result: Any) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n")


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[tuple[str, str]], empty: str) -> None:
    """``columns`` are (key, heading). Wide texts fold; what a stranger wrote is never taken for markup."""
    console = Console()
    if not rows:
        console.print(empty, markup=False)
        return
    drawn = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for _, heading in columns:
        drawn.add_column(heading, overflow="fold")
    for row in rows:
        drawn.add_row(*(_cell(row.get(key)) for key, _ in columns))
    console.print(drawn)


def facts(pairs: Sequence[tuple[str, Any]]) -> None:
    drawn = Table(box=None, show_header=False, pad_edge=False)
    drawn.add_column(style="bold")
    drawn.add_column(overflow="fold")
    for name, value in pairs:
        if value not in ("", None, {}, []):
            drawn.add_row(name, _cell(value))
    Console().print(drawn)


def line(text: str) -> None:
    # Not wrapped: a command that somebody copies must stay in one piece.
    print(text)


def heading(text: str) -> None:
    Console().print(Text(f"\n{text}", style="bold"))


def _cell(value: Any) -> Text:
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, Mapping | list):
        return Text(msgspec.json.encode(value).decode())
    return Text(str(value), style=COLOURS.get(str(value), ""))
