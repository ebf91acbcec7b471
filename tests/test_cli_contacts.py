"""``mailferry contacts``: what it prints, takes over and writes, and what it says when something is wrong."""

import csv
import gzip
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailferry.cli import app as cli
from mailferry.cli import contact_import
from tests.commands import run_command
from tests.peers.process import free_port
from tests.server import Mailferry

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailferry]:
    made = Mailferry(tmp_path_factory.mktemp("cli") / "data", {"dns.nameservers": f"127.0.0.1:{free_port()}"})
    made.start()
    for tag, type in (("name", "text"), ("age", "integer"), ("email_ok", "boolean"), ("status", "text")):
        made.ask("contacts.add_field", tag=tag, type=type)
    for name in ("News", "Old"):
        made.ask("contacts.add_list", name=name)
    yield made
    made.end()


@pytest.fixture
def run(server: Mailferry, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a verb in this process, which saves half a second: (exit status, standard output, standard error)."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.run(["contacts", *arguments, "--data", str(server.data)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


@pytest.fixture(autouse=True)
def empty(server: Mailferry) -> None:
    for each in server.ask("contacts.list", limit=100_000):
        server.ask("contacts.delete", contact=each["id"])
    for each in server.ask("suppressions.list", limit=100_000):
        server.ask("suppressions.remove", email=each["email"])


def imported(run: Run, file: Path, *options: str) -> dict[str, int]:
    status, out, err = run("import", str(file), "--json", *options)
    assert err == "" and status in (0, 1)
    return {name: count for name, count in json.loads(out).items() if name != "report"}


def everybody(run: Run) -> dict[str, dict[str, object]]:
    return {each["email"]: each for each in json.loads(run("list", "--json", "--limit", "100000")[1])}


def write(path: Path, text: str) -> Path:
    path.write_text(text, newline="")
    return path


def test_a_file_makes_and_changes_contacts(run: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "Email,name,age,list_ids\nAnn@x.test,Ann,30,1;2\nbob@x.test,,,\n")
    assert imported(run, file) == {"lines": 2, "created": 2, "updated": 0, "refused": 0}
    assert imported(run, file, "--list", "News") == {"lines": 2, "created": 0, "updated": 2, "refused": 0}
    found = everybody(run)
    assert found["Ann@x.test"]["fields"] == {"name": "Ann", "age": 30} and found["Ann@x.test"]["list_ids"] == [1, 2]
    assert found["bob@x.test"]["fields"] == {} and found["bob@x.test"]["list_ids"] == [1]
    imported(run, write(tmp_path / "b.csv", "email,name,age\nann@x.test,,31\n"))
    assert everybody(run)["Ann@x.test"]["fields"] == {"name": "Ann", "age": 31}  # an empty cell changes nothing


def test_what_is_wrong_costs_its_own_line_and_is_reported(run: Run, tmp_path: Path) -> None:
    lines = [
        "email,age,list_ids",
        "ann@x.test,thirty,",
        "nobody,1,",
        "bob@x.test,1,9",
        "eve@x.test,1,",
        "a@x.test,1,,1",
    ]
    file = write(tmp_path / "a.csv", "\n".join(lines))
    assert imported(run, file) == {"lines": 5, "created": 1, "updated": 0, "refused": 4}
    report = list(csv.DictReader(io.StringIO((tmp_path / "a.csv.refused.csv").read_text())))
    assert [each["line"] for each in report] == ["2", "3", "4", "6"]
    assert report[0]["why"].startswith("age: ") and "no list 9" in report[2]["why"] and "4 cells" in report[3]["why"]
    assert run("import", str(write(tmp_path / "b.csv", "email\nnobody\n")))[0] == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [("email,shoe\na@x.test,1\n", "no field for its column 'shoe'"), ("name,age\nAnn,1\n", "names no column email")],
)
def test_a_file_that_is_none_is_refused_whole(run: Run, tmp_path: Path, text: str, why: str) -> None:
    status, out, err = run("import", str(write(tmp_path / "a.csv", text)))
    assert status == 1 and out == "" and why in err and everybody(run) == {}


# --- odd and hostile files -----------------------------------------------------------------------------------------


def report(file: Path) -> list[tuple[str, str, str]]:
    with file.with_name(f"{file.name}.refused.csv").open(newline="") as text:
        return [(each["line"], each["why"], each["text"]) for each in csv.DictReader(text)]


def test_who_said_no_is_not_subscribed_for_the_spelling_of_it(run: Run, tmp_path: Path) -> None:
    text = "email,status\na@x.test,Unsubscribed\nb@x.test,unsubscribed \nc@x.test,opted out\nd@x.test,Subscribed\n"
    file = write(tmp_path / "a.csv", text)
    assert imported(run, file) == {"lines": 4, "created": 3, "updated": 0, "refused": 1}
    statuses = {email: each["status"] for email, each in everybody(run).items()}
    assert statuses == {"a@x.test": "unsubscribed", "b@x.test": "unsubscribed", "d@x.test": "subscribed"}
    assert report(file)[0][:2] == ("4", "status is subscribed or unsubscribed")


def test_what_an_object_says_is_not_lost_without_a_word(run: Run, tmp_path: Path) -> None:
    lines = [
        '{"email": "a@x.test", "name": "Ann"}',
        '{"email": "b@x.test", "unsubscribed": true}',
        '{"email": "c@x.test", "list_ids": 1}',
        '{"email": "d@x.test", "status": ["unsubscribed"]}',
        '{"email": "e@x.test", "id": "x", "created_at": 1, "list_ids": null, "fields": null}',
    ]
    file = write(tmp_path / "a.jsonl", "\n".join(lines))
    assert imported(run, file) == {"lines": 5, "created": 1, "updated": 0, "refused": 4}
    whys = [why for _, why, _ in report(file)]
    assert "'name' is nothing" in whys[0] and "'unsubscribed'" in whys[1]
    assert whys[2:] == ["list_ids are an array", "status is subscribed or unsubscribed"]


def test_an_object_without_end_is_not_read_into_memory(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    readline = io.TextIOWrapper.readline

    class Watched(io.TextIOWrapper):
        def readline(self, size: int = -1, /) -> str:  # type: ignore[override]  # typeshed has another name
            asked.append(size)
            return readline(self, size)

        def __next__(self) -> str:
            raise AssertionError("a line of whatever length")

    monkeypatch.setattr("mailferry.resources.suppressions.files.io.TextIOWrapper", Watched)
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(gzip.compress(b'{"email":"' + b"a" * 1_000_000 + b'@x.test"}\n{"email":"b@x.test"}\n'))
    assert imported(run, file) == {"lines": 2, "created": 1, "updated": 0, "refused": 1}
    assert report(file)[0][:2] == ("1", "the line is too long") and 0 < max(asked) < 1_000_000


def test_an_object_that_is_too_deep_costs_its_line(run: Run, tmp_path: Path) -> None:
    deep = '{"email":"a@x.test","fields":' + "[" * 20_000 + "]" * 20_000 + '}\n{"email":"b@x.test"}\n'
    file = write(tmp_path / "a.jsonl", deep)
    assert imported(run, file) == {"lines": 2, "created": 1, "updated": 0, "refused": 1}
    assert "recursion" in report(file)[0][1]


def test_octets_that_are_no_text_make_no_address_and_no_name(run: Run, tmp_path: Path) -> None:
    """What the file is written in is told by its first 64 KB; the rest may be something else."""
    many = b"".join(b"# @%d\n" % n for n in range(10_000))
    file = tmp_path / "a.csv"
    file.write_bytes(b"email,name\n" + many + b"j\xf6rg@x.test,x\nbob@x.test,J\xf6rg\nann@x.test,Ann\n")
    assert imported(run, file)["created"] == 1 and [*everybody(run)] == ["ann@x.test"]
    assert [why for _, why, _ in report(file)[-2:]] == ["it holds octets that are no text; save the file as UTF-8"] * 2


def test_the_report_runs_as_no_formula(run: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "email,name\n=cmd|calc!A1,x\n")
    assert imported(run, file)["refused"] == 1
    assert report(file)[0][2] == "'=cmd|calc!A1,x"


def test_a_column_that_stands_twice_is_a_mistake(run: Run, tmp_path: Path) -> None:
    for head in ("email,Email", "email,name,name"):
        status, out, err = run("import", str(write(tmp_path / "a.csv", f"{head}\na@x.test,b@x.test\n")))
        assert status == 1 and out == "" and "twice" in err


def test_a_file_may_have_a_name_that_is_no_text(run: Run, tmp_path: Path) -> None:
    file = write(tmp_path / os.fsdecode(b"a\xff\n.csv"), "email\na@x.test\nnobody\n")
    assert imported(run, file)["created"] == 1
    status, out, err = run("import", str(file))
    assert (status, err) == (0, "") and "\\udcff" in out
    assert run("export", str(tmp_path / os.fsdecode(b"\xff")))[0] == 0
    told = run("add-list", os.fsdecode(b"N\xff"))
    assert told == (1, "", "mailferry: an argument holds octets that are no text in UTF-8\n")


def test_an_export_that_ends_early_leaves_no_half_of_a_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pieces, of which the server gives one."""
    imported(run, write(tmp_path / "a.csv", "email\n" + "".join(f"u{n}@x.test\n" for n in range(1_001))))
    folder = tmp_path / "out"
    folder.mkdir()
    before = write(folder / "old.csv", "the last one\n")
    with monkeypatch.context() as patched:
        patched.setattr("mailferry.cli.reach._by_running", lambda *_: {"error": "the server ended"})
        for name in ("old.csv", "new.csv"):
            assert run("export", str(folder / name)) == (1, "", "mailferry: the server ended\n")
    assert [*folder.iterdir()] == [before] and before.read_text() == "the last one\n"
    (folder / "link.csv").symlink_to(before)
    assert run("export", str(folder / "link.csv"))[0] == 0
    assert (folder / "link.csv").is_symlink() and before.read_text().count("@x.test") == 1_001
    assert run("export", "/dev/null")[0] == 0 and "cannot be written: Is a directory" in run("export", str(folder))[2]


def test_an_unknown_list_and_a_missing_file(run: Run, tmp_path: Path) -> None:
    assert "Nope is no list here" in run("import", "x.csv", "--list", "Nope")[2]
    assert "No such file" in run("import", str(tmp_path / "none.csv"))[2]
    assert "is no list here" in run("export", str(tmp_path / "x.csv"), "--list", "Nope")[2]
    assert not (tmp_path / "x.csv").exists()


HARD = ["=1+1", "'=1", "+49 30", "-", "@home", 'a;b,"c"', "'", "two\nlines", "Größe", "\tx"]


@pytest.mark.parametrize("form", ["csv", "json", "gz"])
def test_what_is_exported_comes_back_as_it_was(run: Run, tmp_path: Path, form: str) -> None:
    rows = [
        {"email": f"+u{n}@x.test", "fields": {"name": text, "age": -n, "status": "x"}} for n, text in enumerate(HARD)
    ]
    rows[0] |= {"list_ids": [2], "status": "unsubscribed"}
    rows[1] |= {"fields": {"email_ok": True}}
    imported(run, write(tmp_path / "in.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))
    before = everybody(run)
    assert before["+u1@x.test"]["fields"] == {"email_ok": True} and before["+u0@x.test"]["status"] == "unsubscribed"
    file = tmp_path / "out"
    status, out, err = run("export", str(file), *(["--json"] if form == "json" else []))
    assert (status, out, err) == (0, f"{len(HARD)} contacts written to {file}.\n", "")
    if form != "json":
        cells = [cell for row in csv.reader(io.StringIO(file.read_text())) for cell in row]
        assert not [
            cell for cell in cells if cell[:1] in tuple("=+@\t") or (cell[:1] == "-" and not cell[1:].isdigit())
        ]
    if form == "gz":
        file.write_bytes(gzip.compress(file.read_bytes()))
    for each in before:
        assert run("delete", each)[0] == 0
    assert imported(run, file)["created"] == len(HARD)
    for email, after in everybody(run).items():
        assert {name: after[name] for name in ("fields", "list_ids", "status")} == {
            name: before[email][name] for name in ("fields", "list_ids", "status")
        }


def test_many_go_in_pieces_and_come_out_in_pieces(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    send = contact_import._send
    monkeypatch.setattr(contact_import, "_send", lambda *a, **k: sent.append(len(a[2])) or send(*a, **k))
    file = write(tmp_path / "a.csv", "email,name\n" + "".join(f"u{n}@x.test,{'x' * 200}\n" for n in range(2500)))
    assert imported(run, file)["created"] == 2500
    assert sum(sent) == 2500 and len(sent) == 3
    assert run("export", str(tmp_path / "out.csv"))[0] == 0
    assert len(list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))) == 2500


def test_chosen_by_list_and_subscription(run: Run, tmp_path: Path) -> None:
    rows = "email,list_ids,status\nann@x.test,1,\nbob@x.test,2,unsubscribed\n"
    imported(run, write(tmp_path / "a.csv", rows))
    chosen = lambda *options: [each["email"] for each in json.loads(run("list", "--json", *options)[1])]  # noqa: E731
    assert chosen("--list", "Old") == chosen("--unsubscribed") == ["bob@x.test"]
    assert chosen("--list", "1") == chosen("--subscribed") == ["ann@x.test"]
    run("export", str(tmp_path / "out.csv"), "--unsubscribed")
    assert [each["email"] for each in csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text()))] == ["bob@x.test"]


def test_one_is_shown_and_deleted(run: Run, tmp_path: Path) -> None:
    imported(run, write(tmp_path / "a.csv", "email,name,list_ids\nann@x.test,Ann,1\n"))
    shown = run("show", "ANN@x.test")[1]
    assert "ann@x.test" in shown and "News" in shown and "Ann" in shown and "subscribed" in shown
    assert "ann@x.test" in run("list")[1]
    assert run("delete", "ann@x.test") == (0, "ann@x.test is deleted.\n", "")
    assert "there is no contact ann@x.test" in run("show", "ann@x.test")[2]
    assert "neither a contact's id nor a mail address" in run("delete", "ann")[2]
    assert run("list") == (0, "No contacts.\n", "")


def test_lists_and_fields(run: Run) -> None:
    assert "News" in run("lists")[1] and "age" in run("fields")[1]
    assert "there is a list 'News' already" in run("add-list", "News")[2]
    assert "already" in run("add-field", "age")[2]
    assert "one line" in run("add-list", "N\n\x1b[31m")[2] and "one line" in run("add-field", "b", "--name", "\x00")[2]
    assert "is no merge tag" in run("add-field", "a b")[2] and "is no merge tag" in run("add-field", "email")[2]


def test_without_a_server_as_beside_one(server: Mailferry, tmp_path: Path) -> None:
    server.stop()
    try:
        file = write(tmp_path / "a.csv", "email,name\nann@x.test,Ann\n")
        assert (
            run_command(server, "contacts", "import", str(file)).stdout == "1 line: 1 created, 0 changed, 0 refused.\n"
        )
        assert run_command(server, "contacts", "export", "-").stdout.count("ann@x.test") == 1
    finally:
        server.start()
