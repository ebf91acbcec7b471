"""What the pages tell somebody to type, set, watch or read is there: commands, settings, metrics, log events, files."""

import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App
from prometheus_client import REGISTRY

from mailferry import metrics
from mailferry.cli.app import app
from mailferry.config import load
from mailferry.roles.doors import not_bound

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUNNING = (ROOT / "docs" / "running.md").read_text()


def blocks(page: str, language: str = "") -> Iterator[str]:
    for found, block in re.findall(r"^```(\w*)\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        if found == language:
            yield block


def typed(page: str) -> list[str]:
    """Command lines of ours, in blocks and within the text."""
    lines = [line for block in blocks(page) for line in block.splitlines()]
    lines += re.findall(r"`(mailferry [^`]+)`", page)
    return [line.removeprefix(".venv/bin/") for line in lines if re.match(r"(\.venv/bin/)?mailferry ", line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_there(page: Path) -> None:
    for line in typed(page.read_text()):
        # "a|b" and "a ... b" stand for several commands; what follows is told apart by the command itself.
        words = shlex.split(line.split("...")[0], comments=True)[1:]
        command: App = app
        while words and not words[0].startswith("-") and set(words[0].split("|")) <= set(command):
            for name in words[0].split("|"):
                found = command[name]
            command, words = found, words[1:]
        verbs = [name for name in command if not name.startswith("-")]
        assert command is not app or words[0] in ("--help", "--version"), line
        assert not (verbs and words and not command.default_command), f"{line}: {words[0]} is no verb of this noun"
        for word in words:
            if word.startswith("--") and word not in ("--help", "--version"):
                assert word.partition("=")[0] in options(command), line


def options(command: App) -> set[str]:
    collection = command.assemble_argument_collection()
    return {name for argument in collection for name in argument.names if name.startswith("--")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_and_linked_files_are_there(page: Path, tmp_path: Path) -> None:
    text = page.read_text()
    for block in blocks(text, "toml"):
        tomllib.loads(block)
        file = tmp_path / "mailferry.toml"
        file.write_text(block)
        load(file, {})
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target
    titles = {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.M)
    }
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        assert anchor in titles


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_source_files_that_are_named_are_there(page: Path) -> None:
    """Named from the root, from the source's root, or by the last parts of their path."""
    sources = [
        f"/{path.relative_to(ROOT)}" for room in ("src", "tests", "bench") for path in (ROOT / room).rglob("*.py")
    ]
    named = set(re.findall(r"`([\w/]+\.py)`", page.read_text()))
    assert {name for name in named if not any(path.endswith(f"/{name}") for path in sources)} == set()


def test_what_is_to_be_watched_is_told_by_the_server() -> None:
    known = {sample.name for each in REGISTRY.collect() for sample in each.samples}
    known |= {each._name for each in vars(metrics).values() if hasattr(each, "_name")}
    for name in re.findall(r"`(mailferry_\w+)", RUNNING):
        assert re.sub(r"_(total|count)$", "", name) in known or name in known, name
    source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    events = RUNNING.partition("Useful events in the log:")[2].partition("\n\n")[0]
    names = re.findall(r"`(\w+)`", events)
    assert len(names) >= 6
    for name in names:
        assert f'"{name}"' in source, name


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_the_unit_is_one_that_systemd_understands(tmp_path: Path) -> None:
    (unit,) = blocks(RUNNING, "ini")
    program = tmp_path / "mailferry"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    file = tmp_path / "mailferry.service"
    file.write_text(re.sub(r"ExecStart=\S+", f"ExecStart={program}", unit))
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, timeout=60)
    assert str(file) not in done.stderr and "mailferry.service:" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr


def test_a_port_that_needs_rights_says_where_they_are_explained() -> None:
    told = not_bound("smtp.listen", PermissionError(13, "Permission denied"))
    assert "ports below 1024 need CAP_NET_BIND_SERVICE (docs/running.md)" in told


def test_the_pages_are_read_at_all() -> None:
    lines = [line for page in PAGES for line in typed(page.read_text())]
    assert len(lines) > 40 and {"mailferry queue", "mailferry domains verify example.com"} <= {
        line.partition("  ")[0] for line in lines
    }
