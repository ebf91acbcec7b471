"""Cells of CSV files that spreadsheets must not take for formulas: what a stranger chose may not run at who opens the file.

Such a cell has an apostrophe before it. Reading takes away exactly what writing put there, so a file of ours gives the same
values when it is read back; a text that begins with apostrophes and goes on as a formula gets one more.
"""

import re

#: What Excel, LibreOffice and Google Sheets begin a formula with, or skip before one.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")


def harmless(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def plain(cell: str) -> str:
    """The text that :func:`harmless` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
