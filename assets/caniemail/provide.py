"""Puts the data of the sandbox's HTML check where the server looks for it; run by make, with any Python 3.

The data is one file of the npm package `caniemail`. npm fetches the version that the lock beside this file holds, and
checks its digest. Nothing of the package is run, so the lock holds the package alone, without what its code would need.
Node is needed here and nowhere else: whoever has none gets a server that says so when its HTML check is asked for.

`--update` takes the newest version into the lock first. `--strict` ends with status 1 where the data cannot be had.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DATA = ROOT / "src" / "mailferry" / "sandbox" / "checks" / "html" / "data"
LOCK = HERE / "package-lock.json"
#: The lock of what lies in DATA: another lock means other data.
STAMP = DATA / "package-lock.json"
PACKAGE = "caniemail"
NPM_LIMIT = 120  # seconds
SETTINGS = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1")


class CannotProvide(Exception):
    """The data could not be had; the text says why."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--update", action="store_true", help="take the newest version into the lock first")
    parser.add_argument("--strict", action="store_true", help="fail where the data cannot be had")
    given = parser.parse_args(arguments)
    try:
        if given.update:
            update()
        provide()
    except CannotProvide as error:
        print(
            f"The sandbox's HTML check has no data: {error}. All else works; `make setup` tries again.", file=sys.stderr
        )
        return 1 if given.strict or given.update else 0
    if given.update:
        print(f"The data is of {date()}. `make test` says which of its features nothing finds yet.")
    return 0


def missing() -> bool:
    return not STAMP.exists() or STAMP.read_bytes() != LOCK.read_bytes()


def provide() -> None:
    """Raises CannotProvide. Does nothing where the locked data is there."""
    if not missing():
        return
    DATA.mkdir(parents=True, exist_ok=True)
    with (DATA / ".lock").open("w") as lock, tempfile.TemporaryDirectory() as folder:
        fcntl.flock(lock, fcntl.LOCK_EX)  # make serve beside make test
        if not missing():
            return
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(HERE / name, folder)
        npm("ci", folder=folder)
        package = Path(folder) / "node_modules" / PACKAGE
        STAMP.unlink(missing_ok=True)
        shutil.copy(package / "LICENSE", DATA / "LICENSE")
        shutil.copy(package / "data" / "caniemail.json", DATA / "caniemail.json")
        shutil.copy(LOCK, STAMP)


def update() -> None:
    """Raises CannotProvide."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(HERE / ".npmrc", folder)
        npm("install", "--package-lock-only", "--save-exact", f"{PACKAGE}@latest", folder=folder)
        found = json.loads((Path(folder) / "package-lock.json").read_text())["packages"][f"node_modules/{PACKAGE}"]
    manifest = json.loads((HERE / "package.json").read_text())
    manifest["dependencies"] = {PACKAGE: found["version"]}
    lock = {
        "name": PACKAGE,
        "lockfileVersion": 3,
        "requires": True,
        "packages": {
            "": {"dependencies": manifest["dependencies"]},
            f"node_modules/{PACKAGE}": {key: found[key] for key in ("version", "integrity", "license")},
        },
    }
    for name, content in (("package.json", manifest), ("package-lock.json", lock)):
        (HERE / name).write_text(json.dumps(content, indent=2) + "\n")


def npm(*arguments: str, folder: str) -> None:
    if not shutil.which("npm"):
        raise CannotProvide("npm, which fetches it, is not installed (Debian: apt-get install npm)")
    try:
        done = subprocess.run(
            ["npm", *arguments, *SETTINGS], cwd=folder, capture_output=True, text=True, timeout=NPM_LIMIT
        )
    except subprocess.TimeoutExpired:
        raise CannotProvide(f"npm {arguments[0]} took more than {NPM_LIMIT} s") from None
    if done.returncode != 0:
        raise CannotProvide(f"npm {arguments[0]} failed: {done.stderr.strip()[-800:]}")


def date() -> str:
    return str(json.loads((DATA / "caniemail.json").read_text())["last_update_date"])[:10]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
