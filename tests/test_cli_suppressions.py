"""``mailferry suppressions``: what it prints and what it says when something is wrong, beside a server and without one."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailferry.cli import app as cli
from mailferry.cli import suppression_import
from mailferry.cli.suppression_import import PIECE_OCTETS
from tests.commands import run_command
from tests.peers.process import free_port
from tests.server import Mailferry

DEMO = "demo.mailferry.test"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailferry]:
    made = Mailferry(tmp_path_factory.mktemp("cli") / "data", {"dns.nameservers": f"127.0.0.1:{free_port()}"})
    made.start()
    yield made
    made.end()


@pytest.fixture
def run(server: Mailferry, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a verb in this process, which saves half a second: (exit status, standard output, standard error)."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.run(["suppressions", *arguments, "--data", str(server.data)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


@pytest.fixture
def empty(server: Mailferry) -> None:
    for each in server.ask("suppressions.list", limit=100_000):
        server.ask("suppressions.remove", email=each["email"], stream=each["stream"], domain=each["domain"])


def imported(run: Run, file: Path, *options: str) -> dict[str, int]:
    status, out, err = run("import", str(file), "--json", *options)
    assert (status, err) == (0, "")
    return {name: count for name, count in json.loads(out).items() if name != "report"}


def test_one_is_added_listed_and_lifted(empty: None, run: Run) -> None:
    assert run("list") == (0, "No suppressions.\n", "")
    assert run("add", "Ann@X.test")[1] == "ann@x.test is suppressed, all domains, any stream.\n"
    added = run("add", "ann@x.test", "--domain", f"{DEMO.upper()}.", "--stream", "bulk", "--type", "spam-complaint")
    assert added == (0, f"ann@x.test is suppressed, {DEMO}, bulk stream.\n", "")
    again = run("add", "ANN@x.test", "--domain", DEMO, "--stream", "bulk")[1]
    assert again == f"ann@x.test was suppressed already (spam complaint), {DEMO}, bulk stream.\n"

    rows = [line.split() for line in run("list")[1].splitlines()]
    assert rows[0] == ["Address", "Type", "Domain", "Stream", "Since", "(UTC)"]
    assert [row[:5] for row in rows[1:]] == [
        ["ann@x.test", "spam", "complaint", DEMO, "bulk"],
        ["ann@x.test", "manual", "import", "all", "any"],
    ]
    assert len(json.loads(run("list", "ANN@x.test", "--type", "spam-complaint", "--json")[1])) == 1
    for options in (("--stream", "transactional"), ("--type", "hard-bounce"), ("bob@x.test",)):
        assert run("list", *options)[1] == "No suppressions.\n"

    assert run("remove", "Ann@x.test", "--domain", DEMO)[1] == (
        f"ann@x.test may be written to again, {DEMO}, bulk stream (it was: spam complaint).\n"
    )
    assert run("remove", "Ann@x.test", "--stream", "bulk") == (
        1,
        "",
        "mailferry: ann@x.test is not suppressed there\n",
    )
    assert [each["stream"] for each in json.loads(run("remove", "ann@x.test", "--json")[1])] == ["any"]
    assert run("remove", "ann@x.test") == (1, "", "mailferry: ann@x.test is not suppressed\n")


def test_the_operator_says_what_the_file_does_not(empty: None, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "unsubscribes.csv"
    file.write_text(f"email,type,sending_stream,domain_name\na@x.test,,,\nb@x.test,spam complaint,bulk,{DEMO}\n")
    assert imported(run, file) == {"lines": 2, "added": 2, "already": 0, "refused": 0}
    # A name says more than nothing, and less than a column.
    told = {
        each["email"]: (each["type"], each["stream"], each["domain"]) for each in json.loads(run("list", "--json")[1])
    }
    assert told == {"a@x.test": ("unsubscription", "any", ""), "b@x.test": ("spam complaint", "bulk", DEMO)}
    fixed = ("--type", "hard-bounce", "--stream", "transactional", "--domain", DEMO)
    assert imported(run, file, *fixed) == {"lines": 2, "added": 2, "already": 0, "refused": 0}
    assert len(json.loads(run("list", "--json", *fixed)[1])) == 2


def test_only_a_file_without_any_order_is_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppression_import, "WINDOW", 3)

    def order(*rows: tuple[str, int | None]) -> list[tuple[str, int | None]]:
        given = iter([[name, "", "any", "manual import", at, "", ""] for name, at in rows])
        return [(row[0], row[4]) for row in suppression_import._in_order(given)]

    for times in ((1, 2, 3, 4), (4, 3, 3, 1), (None, None, None, None)):
        rows = list(zip("dbac", times, strict=True))
        assert order(*rows) == rows
    # Window by window; of one address in two spellings the first line stays before the second.
    assert order(("b", 2), ("A", 3), ("a", 1), ("d", 2), ("c", 3)) == [
        *(("A", 3), ("a", 1), ("b", 2)),
        *(("d", 2), ("c", 3)),
    ]


def test_refused_lines_are_reported(empty: None, run: Run, tmp_path: Path) -> None:
    file, report = tmp_path / "list.txt", tmp_path / "report.csv"
    file.write_text("a@x.test\nnobody\n")
    assert run("import", str(file), "--report", str(report))[1] == (
        f"2 lines: 1 added, 0 there already, 1 refused: see {report}.\n"
    )
    assert list(csv.reader(io.StringIO(report.read_text()))) == [
        ["line", "why", "text"],
        ["2", "there is no address", "nobody"],
    ]
    file.write_text("email,domain_name\na@x.test,other.test\n")
    status, out, err = run("import", str(file))
    assert (status, err) == (1, "") and out == f"1 line: 0 added, 0 there already, 1 refused: see {file}.refused.csv.\n"
    assert "other.test is no sending domain here; --domain says" in Path(f"{file}.refused.csv").read_text()
    report.unlink()
    file.write_text("b@x.test")
    assert run("import", str(file), "--report", str(report))[1] == "1 line: 1 added, 0 there already, 0 refused.\n"
    assert not report.exists()


def test_what_is_wrong_is_one_line(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(b"PK\x03\x04")
    bad = tmp_path / "bad.txt"
    bad.write_text("nobody")
    none = tmp_path / "none"
    for arguments, text in (
        (("import", str(none)), f"{none}: No such file or directory"),
        (("import", str(tmp_path)), f"{tmp_path}: Is a directory"),
        (("import", str(file)), f"{file}: it is a ZIP archive or a spreadsheet: unpack it, or save the sheet as CSV"),
        (("import", str(bad), "--report", str(bad)), f"--report {bad} is the file that is imported"),
        (("import", str(bad), "--report", str(none / "r")), f"{none / 'r'}: No such file or directory"),
        (("import", str(bad), "--domain", "x.test"), "x.test is no sending domain here; --domain says for which one, "),
        (("export", str(none / "x")), f"{none / 'x'} cannot be written: No such file or directory"),
        (("export", str(none), "--domain", "x.test"), "x.test is no sending domain here; mailferry domains list shows"),
        (("list", "--domain", "x.test"), "x.test is no sending domain here; mailferry domains list shows them"),
        (("add", "nobody"), "'nobody' is no mail address: an address must have an @"),
        (("remove", "nobody"), "'nobody' is no mail address: an address must have an @"),
    ):
        status, out, err = run(*arguments)
        assert (status, out) == (1, ""), arguments
        assert err.startswith(f"mailferry: {text}") and err.count("\n") == 1, err
    assert not none.exists() and bad.read_text() == "nobody"


def test_pieces_fit_the_control_socket(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    send = suppression_import.call

    def counting(config: object, verb: str, **arguments: object) -> object:
        sizes.append(len(json.dumps(arguments)))
        return send(config, verb, **arguments)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(suppression_import, "call", counting)
    file = tmp_path / "long.csv"
    file.write_text("email,response\n" + "".join(f'r{n}@x.test,"550 {"ü" * 900}"\n' for n in range(1500)))
    assert imported(run, file)["added"] == 1500
    assert len(sizes) > 5 and max(sizes) < 4 * PIECE_OCTETS


def test_an_export_is_a_file_that_can_be_imported(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("".join(f"r{n}@x.test,bounce\n" for n in range(2001)) + "a@x.test,spam\n")
    assert imported(run, file, "--domain", DEMO)["added"] == 2002
    copy = tmp_path / "copy"
    assert run("export", str(copy), "--domain", DEMO) == (0, f"2,002 suppressions written to {copy}.\n", "")
    assert imported(run, copy) == {"lines": 2002, "added": 0, "already": 2002, "refused": 0}
    assert (
        run("export", str(copy), "--domain", DEMO, "--type", "spam-complaint")[1]
        == f"1 suppression written to {copy}.\n"
    )
    status, out, _ = run("export", "-", "--json", "--domain", DEMO, "--type", "spam-complaint")
    assert status == 0 and json.loads(out)["email"] == "a@x.test"


def test_without_a_server_and_from_standard_input(server: Mailferry, tmp_path: Path) -> None:
    server.stop()
    file = tmp_path / "list.csv"
    file.write_text("email\n" + "".join(f"r{n}@x.test\n" for n in range(2100)))
    bulk = ("--stream", "bulk")
    done = run_command(server, "suppressions", "import", str(file), *bulk)
    assert done.stdout == "2,100 lines: 2,100 added, 0 there already, 0 refused.\n", done.stderr
    piped = subprocess.run(
        [sys.executable, "-m", "mailferry", "suppressions", "import", "-", *bulk, "--data", str(server.data)],
        env=server.environment,
        input='{"emailAddress":"R1@x.test"}\n{"emailAddress":"nobody"}\n',
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (piped.returncode, piped.stdout) == (0, "2 lines: 0 added, 1 there already, 1 refused.\n")
    assert piped.stderr == 'line,why,text\n2,an address must have an @,"{""emailAddress"":""nobody""}"\n'
    exported = run_command(server, "suppressions", "export", "-", *bulk)
    assert exported.returncode == 0 and exported.stdout.count("\n") == 2101
