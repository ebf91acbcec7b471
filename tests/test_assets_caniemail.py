"""The set-up fetches the data of the HTML check exactly as locked, says why when it cannot, and stops nothing."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parent.parent / "assets" / "caniemail"


@pytest.fixture
def provide(tmp_path: Path) -> ModuleType:
    """The program, with a lock and a place for data of its own."""
    shutil.copytree(FOLDER, tmp_path / "assets", ignore=shutil.ignore_patterns("__pycache__"))
    spec = importlib.util.spec_from_file_location("provide", FOLDER / "provide.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.HERE, module.DATA = tmp_path / "assets", tmp_path / "data"
    module.LOCK, module.STAMP = tmp_path / "assets" / "package-lock.json", tmp_path / "data" / "package-lock.json"
    return module


def npm_that(provide: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    """An npm of our own is the only program on the path."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "npm").write_text(f"#!{sys.executable}\n{script}")
    (programs / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))


#: Leaves what npm would leave.
WORKS = """
import os, pathlib, sys
assert sys.argv[1] == "ci" and "--ignore-scripts" in sys.argv
assert sorted(os.listdir()) == [".npmrc", "package-lock.json", "package.json"]
package = pathlib.Path("node_modules/caniemail")
(package / "data").mkdir(parents=True)
(package / "LICENSE").write_text("MIT")
(package / "data" / "caniemail.json").write_text('{"last_update_date": "2026-05-13 14:45:41 +0000"}')
"""


def test_it_is_fetched_once_a_lock(provide: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    npm_that(provide, monkeypatch, tmp_path, WORKS)
    assert provide.main([]) == 0
    assert provide.date() == "2026-05-13"
    assert (provide.DATA / "LICENSE").read_text() == "MIT"
    monkeypatch.setenv("PATH", "")
    assert provide.main(["--strict"]) == 0  # nothing to do
    provide.LOCK.write_text(provide.LOCK.read_text().replace("2.", "3."))
    assert provide.main(["--strict"]) == 1  # another lock means other data


@pytest.mark.parametrize(
    "script, said",
    [("", "npm, which fetches it, is not installed"), ("import sys; sys.exit('no such host')", "no such host")],
)
def test_what_cannot_be_had_is_said_and_stops_nothing(
    script: str,
    said: str,
    provide: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PATH", "")
    if script:
        npm_that(provide, monkeypatch, tmp_path, script)
    assert provide.main([]) == 0
    assert said in capsys.readouterr().err
    assert provide.main(["--strict"]) == 1
    assert not (provide.DATA / "caniemail.json").exists()


def test_an_update_locks_the_newest_version_and_nothing_but_it(
    provide: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = {"version": "9.0.0", "integrity": "sha512-x", "license": "MIT", "resolved": "https://x.test/a.tgz"}
    packages = {"": {}, "node_modules/caniemail": newest | {"dependencies": {"a": "1"}}, "node_modules/a": newest}
    lock = tmp_path / "made.json"
    lock.write_text(json.dumps({"packages": packages}))
    updates = f"""
import shutil, sys
if sys.argv[1] == "install":
    assert "caniemail@latest" in sys.argv and "--package-lock-only" in sys.argv
    shutil.copy({str(lock)!r}, "package-lock.json")
    sys.exit()
"""
    npm_that(provide, monkeypatch, tmp_path, updates + WORKS)
    assert provide.main(["--update"]) == 0
    assert "2026-05-13" in capsys.readouterr().out
    assert json.loads((provide.HERE / "package.json").read_text())["dependencies"] == {"caniemail": "9.0.0"}
    made = json.loads(provide.LOCK.read_text())["packages"]
    assert made["node_modules/caniemail"] == {"version": "9.0.0", "integrity": "sha512-x", "license": "MIT"}
    assert list(made) == ["", "node_modules/caniemail"]


def test_the_lock_names_one_package_its_digest_and_no_host() -> None:
    lock = (FOLDER / "package-lock.json").read_text()
    assert "resolved" not in lock and "://" not in lock
    packages = json.loads(lock)["packages"]
    assert list(packages) == ["", "node_modules/caniemail"]
    assert packages["node_modules/caniemail"]["integrity"].startswith("sha512-")


def test_git_ignores_the_data() -> None:
    data = "src/mailferry/sandbox/checks/html/data/caniemail.json"
    root = FOLDER.parent.parent
    if not (root / ".git").exists() or not shutil.which("git"):
        pytest.skip("no checkout")
    assert subprocess.run(["git", "check-ignore", "-q", data], cwd=root).returncode == 0
    assert subprocess.run(["git", "ls-files", "--error-unmatch", data], cwd=root, capture_output=True).returncode == 1
