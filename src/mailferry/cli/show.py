"""Prints results: JSON for programs, tables for people.

What somebody may want to copy (an id, a command, the value of a record) is never broken into lines.
"""

import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

#: A text that folds is not made narrower than this: where there is less room, each row becomes a block.
NARROWEST = 24
#: Where nobody looks at a terminal, nothing folds: a row is a line for grep.
ENDLESS = 100_000

COLOURS = {
    "delivered": "green",
    "compliant": "green",
    "pass": "green",
    "queued": "cyan",
    "held": "yellow",
    "active": "green",
    "waiting": "cyan",
    "paused": "yellow",
    "parked": "yellow",
    "failing": "red",
    "expired": "red",
    "under_review": "yellow",
    "unverified_dns": "yellow",
    "missing_company_info": "yellow",
    "awaiting_questionnaire": "yellow",
    "softfail": "yellow",
    "bounced": "red",
    "rejected": "red",
    "suspended": "red",
    "non_compliant": "red",
    "fail": "red",
    "yellow": "yellow",
    "red": "red",
    "green": "green",
    "missing": "red",
}


@dataclass(frozen=True, slots=True)
class Column:
    """``folds``: free text, which may take several lines where the terminal is narrow."""

    key: str
    heading: str
    folds: bool = False


def as_json(result: Any) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n")


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], empty: str) -> None:
    """What a stranger wrote is never taken for markup."""
    if not rows:
        line(empty)
        return
    drawn = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    cells = [[_cell(row.get(column.key)) for column in columns] for row in rows]
    least = 0
    for number, column in enumerate(columns):
        widest = max(len(column.heading), *(row[number].cell_len for row in cells))
        width = min(widest, NARROWEST) if column.folds else widest
        drawn.add_column(column.heading, overflow="fold", no_wrap=not column.folds, min_width=width)
        least += width + 1
    for row in cells:
        drawn.add_row(*row)
    if Console().is_terminal and least - 1 > Console().width:
        _blocks(cells, columns)
    else:
        _print(drawn)


def account_column(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Where it says something."""
    return [Column("account_id", "Account")] if len({row["account_id"] for row in rows}) > 1 else []


def facts(pairs: Sequence[tuple[str, Any]]) -> None:
    """Names and values below each other; what is empty is left out."""
    drawn = Table(box=None, show_header=False, pad_edge=False)
    drawn.add_column(style="bold")
    drawn.add_column(overflow="fold")
    for name, value in pairs:
        if value not in ("", None, {}, []):
            drawn.add_row(name, _cell(value))
    _print(drawn)


def line(text: str) -> None:
    # Not wrapped: a command that somebody copies must stay in one piece. Names of files may hold what is no text.
    print(text.encode(errors="backslashreplace").decode())


def text(of_others: str) -> None:
    """Many lines of what somebody wrote, as they are."""
    for each in of_others.splitlines():
        line(tame(each.expandtabs()))


def heading(text: str) -> None:
    Console().print(Text("\n" + tame(text), style="bold"), soft_wrap=True)


def marked(word: str, rest: str) -> None:
    """A line whose first word has its colour."""
    Console().print(Text.assemble((word, COLOURS.get(word.strip(), "")), tame(rest)), soft_wrap=True)


def _blocks(cells: Sequence[Sequence[Text]], columns: Sequence[Column]) -> None:
    """A terminal too narrow for the table: a row is a block, and each value has a line that nothing breaks but the terminal."""
    widest = max(len(column.heading) for column in columns)
    for number, row in enumerate(cells):
        if number:
            Console().print()
        for column, cell in zip(columns, row, strict=True):
            if cell.plain:
                name = Text(f"{column.heading:<{widest + 2}}", style="bold")
                Console().print(Text.assemble(name, cell), soft_wrap=True)


def _print(drawn: Table) -> None:
    console = Console()
    if console.is_terminal:
        console.print(drawn)
        return
    # Rich fills each row with blanks up to the widest one.
    page = io.StringIO()
    Console(file=page, width=ENDLESS).print(drawn)
    for row in page.getvalue().splitlines():
        line(row.rstrip())


def _cell(value: Any) -> Text:
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, list):
        return Text(tame(", ".join(map(str, value))))
    if isinstance(value, Mapping):
        return Text(msgspec.json.encode(value).decode())
    return Text(tame(str(value)), style=COLOURS.get(str(value), ""))


def moment(iso: str | None) -> str | None:
    """2026-11-24T07:38:39.105Z as people write it; programs have --json."""
    return iso[:19].replace("T", " ") if iso else None


def tame(text: str) -> str:
    """A subject or a reply may hold control characters, and a terminal would obey them."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
