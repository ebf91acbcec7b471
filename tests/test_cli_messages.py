"""``mailferry messages export`` and ``raw``: files of any length, beside a server and without one."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mailferry.cli import app as cli
from mailferry.endpoints.operations.messages import COLUMNS
from mailferry.journal.search import STRETCH
from tests.commands import first_run
from tests.peers.process import free_port
from tests.server import Mailferry, message

Run = Callable[..., tuple[int, str, str]]
NO_SUCH = "00000000-0000-7000-8000-000000000000"
SENT = STRETCH + 300


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailferry]:
    """With more messages than one piece holds; the last has a subject that a spreadsheet would run."""
    made = Mailferry(tmp_path_factory.mktemp("cli") / "data", {"dns.nameservers": f"127.0.0.1:{free_port()}"})
    made.start()
    token = first_run(made)["api_token"]
    mail = {"sender": "hello@demo.mailferry.test", "category": "é"}
    mails = [message(f"success+{n}@simulator.demo.mailferry.test", **mail) for n in range(SENT)]
    mails[-1]["subject"] = '=HYPERLINK("http://x.test")\x1b[2J'
    for start in range(0, SENT, 100):
        status, answer = made.post("/api/batch", {"requests": mails[start : start + 100]}, token)
        assert status == 200 and not answer.get("errors"), answer
    yield made
    made.end()


@pytest.fixture
def run(server: Mailferry, capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        capsysbinary.readouterr()
        status = cli.run(["messages", *arguments, "--data", str(server.data)])
        printed = capsysbinary.readouterr()
        return status, printed.out.decode(), printed.err.decode()

    return call


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def newest(server: Mailferry) -> dict[str, Any]:
    (found,) = server.ask("messages.list", limit=1)
    return dict(found)


def test_csv_has_all_of_it(server: Mailferry, run: Run) -> None:
    status, out, err = run("export")
    assert (status, err) == (0, "")
    found = rows(out)
    assert [row["to"] for row in found] == [f"success+{n}@simulator.demo.mailferry.test" for n in reversed(range(SENT))]
    assert tuple(found[0]) == COLUMNS
    assert found[0]["subject"] == '\'=HYPERLINK("http://x.test")\x1b[2J'
    listed = newest(server)
    assert {name: found[0][name] for name in ("id", "message_id", "from", "accepted_at")} == {
        name: listed[name] for name in ("id", "message_id", "from", "accepted_at")
    }
    assert found[0]["category"] == "é"


def test_json_lines_go_to_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    assert run("export", "--format", "jsonl", "--output", str(file)) == (
        0,
        f"{SENT:,} recipients written to {file}.\n",
        "",
    )
    found = [json.loads(line) for line in file.read_bytes().splitlines()]
    assert len({each["id"] for each in found}) == SENT
    assert found[0]["subject"] == '=HYPERLINK("http://x.test")\x1b[2J'
    assert set(found[0]) == set(COLUMNS)


def test_filters(server: Mailferry, run: Run) -> None:
    assert len(rows(run("export", "--to", "SUCCESS+12@")[1])) == 1
    assert len(rows(run("export", "--from", "hello@")[1])) == SENT
    assert rows(run("export", "--from", "nobody@")[1]) == []
    assert rows(run("export", "--state", "rejected")[1]) == []
    last = newest(server)
    day = last["accepted_at"][:10]
    assert len(rows(run("export", "--from-date", "2026-01-01", "--to-date", day)[1])) == SENT
    assert rows(run("export", "--to-date", "2026-01-01")[1]) == []
    at = rows(run("export", "--from-date", last["accepted_at"], "--account", "1")[1])
    assert at and {row["accepted_at"] for row in at} == {last["accepted_at"]}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--from-date", "yesterday"], "--from-date must be a day (2026-11-24) or a time (2026-11-24T08:00:00Z), not "),
        (["--to-date", "9999-12-31"], "--to-date must be a day"),
        (["--account", "7"], "there is no account 7; there are: 1"),
    ],
)
def test_what_is_wrong_makes_no_file(run: Run, tmp_path: Path, options: list[str], told: str) -> None:
    file = tmp_path / "log.csv"
    status, out, err = run("export", "--output", str(file), *options)
    assert (status, out) == (1, "") and told in err
    assert not file.exists()


def test_a_file_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "none" / "log.csv"
    assert run("export", "--output", str(file)) == (
        1,
        "",
        f"mailferry: {file} cannot be written: No such file or directory\n",
    )


def test_a_terminal_sees_the_progress_and_no_control_characters(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run("export", "--to", "success+12@")[2] == "\r0 recipients\r1 recipient\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    status, out, err = run("export", "--to", f"success+{SENT - 1}@")
    assert (status, err) == (0, "")
    assert "\x1b" not in out and "\N{REPLACEMENT CHARACTER}[2J" in out


def test_the_bytes_of_a_message(server: Mailferry, run: Run, tmp_path: Path) -> None:
    last = newest(server)
    status, out, err = run("raw", last["id"])
    assert (status, err) == (0, "")
    assert "\r\nFrom: " in f"\r\n{out}" and out.endswith("\r\n")
    size = server.ask("messages.show", message=last["id"])["size"]
    file = tmp_path / "message.eml"
    assert run("raw", last["message_id"], "--output", str(file)) == (0, "", "")
    assert file.read_bytes() == out.encode() and len(out.encode()) == size
    told = f"mailferry: there is no message or recipient {NO_SUCH}; mailferry messages list shows them\n"
    assert run("raw", NO_SUCH) == (1, "", told)


def test_without_a_server_it_is_the_same(server: Mailferry, run: Run) -> None:
    """Comes last."""
    beside = run("export"), run("raw", newest(server)["id"])
    identity = newest(server)["id"]
    server.stop()
    assert (rows(run("export")[1]), run("raw", identity)) == (rows(beside[0][1]), beside[1])
