"""What commands that take a file over have in common: the file, the report of refused lines, and the bar on the terminal."""

import contextlib
import csv
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mailferry.cli.reach import Failure
from mailferry.mail.cells import harmless
from mailferry.mail.reply import clean
from mailferry.resources.suppressions.words import Refused

#: As a file's name: standard input or output.
STDIO = "-"


@contextlib.contextmanager
def opened(file: str) -> Iterator[BinaryIO]:
    if file == STDIO:
        yield sys.stdin.buffer
        return
    with Path(file).open("rb") as source:
        yield source


def named(file: str) -> str:
    """As the server is told of it: names of files may hold octets that are no text, and line ends."""
    return "standard input" if file == STDIO else clean(Path(file).name)


class Report:
    """Refused lines as CSV: number, why, text. The file is made with the first of them, and no spreadsheet runs them."""

    def __init__(self, file: str, path: Path | None) -> None:
        self.path = path if path or file == STDIO else Path(f"{file}.refused.csv")
        self._source = file
        self._file: TextIO | None = None
        self._writer: Any = None

    def write(self, refused: Refused) -> None:
        if self._writer is None:
            self._writer = csv.writer(self._open(), lineterminator="\n")
            self._writer.writerow(("line", "why", "text"))
        self._writer.writerow((refused.number, harmless(refused.why), harmless(refused.text)))

    @property
    def told(self) -> str:
        """Where it is; empty: nowhere that is a file. The name may hold octets that are no text."""
        return str(self.path).encode(errors="backslashreplace").decode() if self.path else ""

    def _open(self) -> TextIO:
        if self.path is None:
            return sys.stderr
        if self.path.exists() and self._source != STDIO and self.path.samefile(self._source):
            raise Failure(f"--report {self.path} is the file that is imported")
        self._file = self.path.open("w", encoding="utf-8", errors="replace", newline="")
        return self._file

    def __enter__(self) -> "Report":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


class Bar:
    """How far a file is read, on a terminal. A pipe has no length: then lines are counted."""

    def __init__(self, source: BinaryIO) -> None:
        about = os.fstat(source.fileno())
        self._source = source if stat.S_ISREG(about.st_mode) else None
        console = Console(stderr=True)
        columns = (BarColumn(), TextColumn("{task.fields[lines]:,} lines"), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task("", total=about.st_size if self._source else None, lines=0)

    def at(self, lines: int) -> None:
        place = self._source.tell() if self._source else None
        self._progress.update(self._task, completed=place, lines=lines)

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
