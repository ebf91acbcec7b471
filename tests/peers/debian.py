"""Unpacks Debian packages into a folder: no service is started, nothing on the system is displaced, no root is needed.

apt chooses what is missing on this very machine (`apt-get -s install`), downloads and verifies it
(`apt-get download`), and `dpkg -x` unpacks it; maintainer scripts never run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from .parts import CACHE, Home, Part, tree

# Never unpacked: a C library in LD_LIBRARY_PATH that does not match the system's loader breaks every program; the rest
# serves installation, compiling or PostgreSQL's JIT (100 MB, switched off).
USELESS = re.compile(
    r"(libc6|libc-bin|locales|debconf|dpkg|init|systemd|libllvm|libz3|.*-dev$|.*-doc$|(?!chromium).*-common$)"
)
INSTALL_LINE = re.compile(r"^Inst (\S+) (?:\[\S+\] )?\((\S+) ")
APT_LIMIT = 300  # seconds for one call of apt


class CannotUnpack(Exception):
    """A part could not be had from Debian; the text says which step failed and why."""


def unpack(part: Part) -> Home:
    """Downloads and unpacks a part and tries it; raises CannotUnpack."""
    _check_tools()
    folder = tree(part)
    beside = folder.with_name(folder.name + ".partial")
    _make_parent(folder.parent)
    shutil.rmtree(beside, ignore_errors=True)
    try:
        _fetch(part, beside / "packages")
        for package in sorted((beside / "packages").glob("*.deb")):
            _run(["dpkg", "-x", str(package), str(beside)])
        shutil.rmtree(beside / "packages")
        beside.chmod(0o755)
        _try(part, Home(beside))
        shutil.rmtree(folder, ignore_errors=True)
        # The rename comes last, so a folder under its final name is always whole.
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Home(folder)


def _fetch(part: Part, into: Path) -> None:
    """Downloads with the system's package lists; when those are empty or stale, with lists of our own."""
    into.mkdir(parents=True)
    try:
        _download(part, into, ())
    except CannotUnpack:
        _download(part, into, _own_lists())


def _download(part: Part, into: Path, options: Sequence[str]) -> None:
    simulated = _apt(["-s", "-qq", "--no-install-recommends", "install", *part.packages], options)
    wanted = list(chosen(simulated))
    if not wanted:
        raise CannotUnpack(f"{part.name}: apt names nothing to download, yet its programs are not on the system")
    # apt drops root for a download where it can, and complains where that user may not write: here it need not.
    _apt(["download", "-qq", "-o", "APT::Sandbox::User=root", *wanted], options, cwd=into)


def chosen(simulated: str) -> Iterable[str]:
    """Name and version of each package that a simulated installation would unpack and that is of use here."""
    for line in simulated.splitlines():
        found = INSTALL_LINE.match(line)
        if found and not USELESS.match(found[1]):
            yield f"{found[1]}={found[2]}"


def _own_lists() -> list[str]:
    """Fetches package lists into the cache, which an ordinary user may do and which leaves the system's alone."""
    state = CACHE / "apt"
    for name in ("lists/partial", "archives/partial"):
        (state / name).mkdir(parents=True, exist_ok=True)
    options = [f"Dir::State::lists={state}/lists", f"Dir::Cache={state}", f"Dir::Cache::archives={state}/archives"]
    options = [word for option in options for word in ("-o", option)]
    update = ["update", "-qq", "-o", "APT::Sandbox::User=root"]
    # One source of several may be out of reach; whether the lists suffice is judged by the download that follows.
    subprocess.run(["apt-get", *options, *update], env=_environment(), capture_output=True, timeout=APT_LIMIT)
    return options


def _try(part: Part, home: Home) -> None:
    if not home.has(part):
        raise CannotUnpack(f"{part.name}: its packages were unpacked, but not all of its programs were in them")
    program = home.program(part.trial[0])
    _run([str(program), *part.trial[1:]], environment=home.environment())


def _apt(arguments: Sequence[str], options: Sequence[str], cwd: Path | None = None) -> str:
    return _run(["apt-get", *options, *arguments], environment=_environment(), cwd=cwd)


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}


def _run(command: Sequence[str], environment: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=APT_LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotUnpack(f"{' '.join(command[:3])}: {error}") from error
    if done.returncode != 0:
        raise CannotUnpack(f"{' '.join(command[:3])} failed: {(done.stderr or done.stdout).strip()[-800:]}")
    return done.stdout


def _check_tools() -> None:
    for tool in ("apt-get", "dpkg"):
        if not shutil.which(tool):
            raise CannotUnpack(
                f"{tool} is not on this system, so packages cannot be unpacked; install the program by hand"
            )


def _make_parent(parent: Path) -> None:
    parent.mkdir(parents=True, exist_ok=True)
    if parent.stat().st_uid != os.geteuid():
        raise CannotUnpack(f"{parent} belongs to another user")
