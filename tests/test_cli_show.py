"""Tables on a terminal and in a pipe: what is copied stays whole, strangers' text is tame, rows are lines for grep."""

import io
from typing import Any

import pytest
from rich.console import Console

from mailferry.cli import show
from mailferry.cli.show import Column

COLUMNS = [Column("id", "Id"), Column("to", "To", folds=True), Column("why", "Why", folds=True)]
ID = "01a20c7e-1482-71d8-be13-f272292fd8fe"
ROW = {"id": ID, "to": "somebody.with.a.long.name@somewhere.example.test", "why": "word " * 30}


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, rows: list[dict[str, Any]]) -> list[str]:
    page = io.StringIO()

    def terminal(**options: Any) -> Console:
        return Console(**{"file": page, "width": columns, "force_terminal": True, "color_system": None} | options)

    monkeypatch.setattr(show, "Console", terminal)
    show.table(rows, COLUMNS, "None.")
    return page.getvalue().splitlines()


def test_in_a_pipe_a_row_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show.table([ROW, ROW], COLUMNS, "None.")
    lines = printed(capsys)
    assert len(lines) == 3 and lines[1] == lines[2] == f"{ID} {ROW['to']} {ROW['why'].rstrip()}"


@pytest.mark.parametrize("columns", [20, 80])
def test_on_a_narrow_terminal_a_row_is_a_block(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    lines = on_a_terminal(monkeypatch, columns, [ROW, ROW])
    block = [f"Id   {ID}", f"To   {ROW['to']}", f"Why  {ROW['why']}".rstrip()]
    assert [text.rstrip() for text in lines] == [*block, "", *block]


@pytest.mark.parametrize("columns", [90, 120, 300])
def test_on_a_terminal_text_folds_and_ids_never(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    lines = on_a_terminal(monkeypatch, columns, [ROW])
    assert sum(text.startswith(ID) for text in lines) == 1
    assert max(map(len, lines)) <= columns
    assert "".join(lines).count("word") == 30
    assert (len(lines) > 2) == (columns < 300)


def test_no_rows_are_a_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    show.table([], COLUMNS, "Nothing waits.")
    assert printed(capsys) == ["Nothing waits."]


def test_what_strangers_wrote_is_neither_markup_nor_a_command_to_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show.table([{"id": "[red]x[/red]", "to": "\x1b]0;title\x07\r\x9b2J", "why": "a\nb\u202e"}], COLUMNS, "")
    show.facts([("subject", "\x1b[31m[bold]")])
    show.heading("a\x1b[2J[b]")
    show.marked("fail  ", "x\x1by")
    out = capsys.readouterr().out
    assert "[red]x[/red]" in out and "[bold]" in out and "[2J[b]" in out
    assert not set(out) & {"\x1b", "\x07", "\r", "\x9b", "\u202e"}
    assert "a\N{REPLACEMENT CHARACTER}b" in out


def test_values_are_shown_as_people_write_them(capsys: pytest.CaptureFixture[str]) -> None:
    columns = [Column(name, name) for name in ("none", "yes", "no", "list", "table", "number")]
    show.table([{"yes": True, "no": False, "list": ["a", "b"], "table": {"a": 1}, "number": 7}], columns, "")
    assert printed(capsys)[1] == '-    yes no a, b {"a":1} 7'
    show.as_json({"a": [1]})
    assert capsys.readouterr().out == '{\n  "a": [\n    1\n  ]\n}\n'
