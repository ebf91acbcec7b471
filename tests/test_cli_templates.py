"""``mailferry templates``: what it prints, the files that it reads and writes, and what it says when something is wrong."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mailferry.cli import app as cli
from tests.commands import first_run
from tests.peers.process import free_port
from tests.server import Mailferry

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailferry]:
    settings = {"dns.nameservers": f"127.0.0.1:{free_port()}", "limits.templates": 3, "limits.api_rate": 0}
    made = Mailferry(tmp_path_factory.mktemp("cli") / "data", settings)
    made.start()
    yield made
    made.end()


@pytest.fixture
def run(server: Mailferry, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a verb in this process, which saves half a second: (exit status, standard output, standard error)."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.run(["templates", *arguments, "--data", str(server.data)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


@pytest.fixture(autouse=True)
def empty(server: Mailferry) -> None:
    clear(server)


def clear(server: Mailferry) -> None:
    token = first_run(server)["api_token"]
    for each in server.ask("templates.list"):
        assert server.request("DELETE", f"/api/email_templates/{each['id']}", token)[0] == 204


def put(server: Mailferry, **changes: Any) -> dict[str, Any]:
    given = {"name": "Welcome", "category": "onboarding", "subject": "Hi {{name}}", "body_html": "<p>{{name}}</p>\r\n"}
    return dict(server.ask("templates.put", **(given | changes)))


def folder(path: Path, *, facts: Any = None, **files: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    if facts is not None:
        (path / "template.json").write_text(facts if isinstance(facts, str) else json.dumps(facts))
    for name, text in files.items():
        (path / name.replace("_", ".")).write_bytes(text.encode())
    return path


def test_list_and_show(server: Mailferry, run: Run) -> None:
    assert run("list") == (0, "No templates.\n", "")
    made = put(server)
    rows = [line.split() for line in run("list")[1].splitlines()]
    assert rows[0] == ["Id", "UUID", "Name", "Category", "Version", "Updated", "(UTC)"]
    assert rows[1][:5] == [str(made["id"]), made["uuid"], "Welcome", "onboarding", "1"]
    assert json.loads(run("list", "--json")[1])[0]["escape"] is True

    for name in (str(made["id"]), made["uuid"].upper(), "Welcome"):
        status, out, _ = run("show", name)
        assert status == 0 and "Hi {{name}}" in out and "\nHTML\n<p>{{name}}</p>\n" in out
        assert "with HTML escapes; a missing variable is nothing" in out
    shown = json.loads(run("show", "Welcome", "--json")[1])
    assert (shown["body_html"], shown["reads"], shown["test_data"]) == ("<p>{{name}}</p>\r\n", ["name"], {})

    put(server, uuid="11111111-1111-4111-8111-111111111111")
    assert run("show", "Welcome") == (
        1,
        "",
        "mailferry: 2 templates are called 'Welcome': say which one by its id or UUID\n",
    )
    assert run("show", "x")[2] == "mailferry: there is no template 'x'; mailferry templates list shows them\n"


def test_what_is_exported_is_imported_unchanged(server: Mailferry, run: Run, tmp_path: Path) -> None:
    first = put(server, test_data={"name": "Ö"}, escape=False)
    second = put(server, uuid="11111111-1111-4111-8111-111111111111", body_html="", body_text="Hi\n", strict=True)
    target = tmp_path / "kept"
    folders = [target / "welcome", target / "welcome-11111111"]
    for _ in range(2):  # a second time writes the same files
        status, out, err = run("export", str(target))
        assert (status, err) == (0, "")
        assert out == f"{folders[0]}\n{folders[1]}\n2 templates written.\n"
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*.*")) == [
        *("welcome-11111111/body.txt", "welcome-11111111/subject.txt", "welcome-11111111/template.json"),
        *("welcome/body.html", "welcome/subject.txt", "welcome/template.json"),
    ]
    assert (folders[0] / "body.html").read_bytes() == b"<p>{{name}}</p>\r\n"
    assert json.loads((folders[0] / "template.json").read_text()) == {
        "uuid": first["uuid"],
        "name": "Welcome",
        "category": "onboarding",
        "escape": False,
        "strict": False,
        "test_data": {"name": "Ö"},
    }
    before = [server.ask("templates.show", template=each["uuid"]) for each in (first, second)]
    assert run("import", str(target)) == (0, f"{folders[0]}: unchanged\n{folders[1]}: unchanged\n", "")

    clear(server)
    status, out, _ = run("import", str(target), "--json")
    assert ([each["result"] for each in json.loads(out)], status) == (["created", "created"], 0)
    after = [server.ask("templates.show", template=each["uuid"]) for each in (first, second)]
    kept = ("uuid", "name", "category", "subject", "body_html", "body_text", "escape", "strict", "test_data")
    assert [[each[name] for name in kept] for each in after] == [[each[name] for name in kept] for each in before]


def test_a_folder_without_facts_needs_a_category(server: Mailferry, run: Run, tmp_path: Path) -> None:
    path = folder(tmp_path / "Bye", subject_txt="Bye {{name}}\n", body_txt="Bye")
    assert run("import", str(path)) == (1, f"{path}: refused: category is missing: it stands in template.json\n", "")
    folder(path, facts={"category": "c"})
    assert run("import", str(path)) == (0, f"{path}: created\n", "")
    shown = server.ask("templates.show", template="Bye")
    assert (shown["subject"], shown["body_text"], shown["body_html"]) == ("Bye {{name}}", "Bye", "")
    folder(path, body_html="<b>")
    assert run("import", str(path))[1] == f"{path}: updated\n"
    assert server.ask("templates.show", template="Bye")["version"] == 2
    put(server, name="Bye", uuid="11111111-1111-4111-8111-111111111111")
    assert "2 templates are called 'Bye'" in run("import", str(path))[1]


def test_what_mailtrap_lists_moves_in_with_its_uuids(server: Mailferry, run: Run, tmp_path: Path) -> None:
    """So that an application's template_uuid goes on to mean the same."""
    uuids = ["be5ed4dd-b374-4856-928d-f0957304123d", "2e0f2a45-3b0b-4742-b6b6-acb371e420b8"]
    listed = [
        {"id": 40423, "uuid": uuid, "name": "New Template", "category": "New", "subject": "s", "body_html": "<div>"}
        | {"body_text": None, "created_at": "2025-06-23T06:54:25.377Z", "updated_at": "2025-06-23T06:54:25.377Z"}
        for uuid in uuids
    ]
    file = tmp_path / "templates.json"
    for content in (listed, {"data": listed, "pagination": {}}):
        file.write_text(json.dumps(content))
        assert run("import", str(file))[0] == 0
    assert sorted(each["uuid"] for each in server.ask("templates.list")) == sorted(uuids)
    assert run("import", str(file))[1] == f"{file}, number 1: unchanged\n{file}, number 2: unchanged\n"


@pytest.mark.parametrize(
    ("facts", "files", "said"),
    [
        (
            {},
            {"subject_txt": "{{#if"},
            "subject is not a valid Handlebars template: line 1, column 1: this tag is never closed",
        ),
        (
            {},
            {"subject_txt": "s", "body_html": "{{/x}}"},
            "body_html is not a valid Handlebars template: line 1, column 1: ",
        ),
        ({}, {"subject_txt": ""}, "subject is missing"),
        ({}, {"subject_txt": "x" * 256}, "subject is longer than 255 characters"),
        ({}, {"subject_txt": "a\nb"}, "subject must not contain a line break"),
        ({}, {"subject_txt": "s", "body_txt": "\0"}, "body_text must not contain a NUL character"),
        ({"uuid": "x"}, {"subject_txt": "s"}, "'x' is no UUID"),
    ],
    ids=str,
)
def test_what_is_refused_is_said_beside_what_is_taken(
    run: Run, tmp_path: Path, facts: Any, files: Any, said: str
) -> None:
    folder(tmp_path / "a", facts={"category": "c"} | facts, **files)
    folder(tmp_path / "b", facts={"category": "c"}, subject_txt="fine")
    status, out, _ = run("import", str(tmp_path))
    first, second = out.splitlines()
    assert (
        status == 1
        and first.startswith(f"{tmp_path / 'a'}: refused: {said}")
        and second == f"{tmp_path / 'b'}: created"
    )


@pytest.mark.parametrize(
    ("facts", "files", "said"),
    [
        ("{", {"subject_txt": "s"}, "template.json is no JSON: "),
        ([], {"subject_txt": "s"}, "template.json must hold an object"),
        ({"escape": "no"}, {"subject_txt": "s"}, "escape must be true or false"),
        ({"test_data": []}, {"subject_txt": "s"}, "test_data must be an object"),
        ({"name": 5}, {"subject_txt": "s"}, "name must be a text"),
        ({}, {"body_html": "x"}, "holds no template: a folder of one has a subject.txt"),
        (
            {},
            {"subject_txt": "s", "body_html": "x" * 1_000_000},
            "a template of more than 1,000,000 octets goes over the API",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_files_that_cannot_be_read(run: Run, tmp_path: Path, facts: Any, files: Any, said: str) -> None:
    folder(tmp_path, facts=facts, **files)
    status, out, err = run("import", str(tmp_path))
    assert (status, out) == (1, "") and said in err


def test_other_files_and_none(run: Run, tmp_path: Path) -> None:
    assert run("import", str(tmp_path / "no"))[2] == f"mailferry: there is no {tmp_path / 'no'}\n"
    (tmp_path / "x.json").write_text('{"data": 5}')
    assert "is no list of templates" in run("import", str(tmp_path / "x.json"))[2]
    folder(tmp_path / "a", facts={"category": "c"}, subject_txt="s", body_html="x")
    (tmp_path / "a" / "body.html").write_bytes(b"\xff")
    assert "body.html is no UTF-8" in run("import", str(tmp_path))[2]


def test_where_nothing_can_be_written(server: Mailferry, run: Run, tmp_path: Path) -> None:
    put(server)
    (tmp_path / "file").write_text("")
    assert run("export", str(tmp_path / "file")) == (
        1,
        "",
        f"mailferry: {tmp_path / 'file' / 'welcome'} cannot be written: Not a directory\n",
    )


def test_no_more_than_the_settings_allow(server: Mailferry, run: Run, tmp_path: Path) -> None:
    for number in range(4):
        folder(tmp_path / f"t{number}", facts={"category": "c"}, subject_txt="s", body_txt="b")
    status, out, _ = run("import", str(tmp_path))
    assert status == 1 and out.count(": created\n") == 3
    assert "refused: an account may have 3 templates; [limits] templates says so" in out


def test_a_uuid_is_the_same_in_any_case(server: Mailferry, run: Run, tmp_path: Path) -> None:
    made = put(server)
    folder(tmp_path / "a", facts={"category": "c", "uuid": made["uuid"].upper()}, subject_txt="s")
    assert run("import", str(tmp_path))[1] == f"{tmp_path / 'a'}: updated\n"
