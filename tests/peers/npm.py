"""Packages from npm, exactly as locked, in the cache. The locks name no registry: npm asks the one that it is set to."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .parts import CACHE

HERE = Path(__file__).parent
OLDEST_NODE = 18
NPM_LIMIT = 300  # seconds


class CannotInstall(Exception):
    """Packages could not be had; the text says why."""


@dataclass(frozen=True, slots=True)
class Packages:
    """What one lock holds. `source` is the folder of package.json and its lock, `folder` has node_modules."""

    name: str
    source: Path
    folder: Path

    def missing(self, what: str = "") -> str:
        """Why it cannot be used here; empty when it can."""
        if not shutil.which("node"):
            return f"{what or self.name} is not there: Node is not installed"
        return "" if self.installed() else f"{what or self.name} is not there: see the output of tests/setup.py"

    def installed(self) -> bool:
        # The stamp is the lock that was installed, so a changed lock is installed anew.
        return self._stamp.exists() and self._stamp.read_bytes() == (self.source / "package-lock.json").read_bytes()

    def install(self) -> None:
        """Raises CannotInstall."""
        _check_node()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(self.source / name, self.folder / name)
        npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(npm, cwd=self.folder, capture_output=True, text=True, timeout=NPM_LIMIT)
        if done.returncode != 0:
            raise CannotInstall(f"npm ci failed: {done.stderr.strip()[-800:]}")
        shutil.copy(self.source / "package-lock.json", self._stamp)

    @property
    def _stamp(self) -> Path:
        return self.folder / "installed.json"


#: Independent judges of DKIM signatures and of templates.
JUDGES = Packages("mailauth and handlebars.js", HERE / "node", CACHE / "node")
#: Mailtrap's official Node SDK and nodemailer, for which it has a transport.
MAILTRAP = Packages("Mailtrap's Node SDK", HERE / "node_sdk", CACHE / "node-sdk")
#: The AWS SDK for JavaScript and nodemailer, whose SES transport stands on it.
AMAZON = Packages("the AWS SDK for JavaScript", HERE / "node_aws", CACHE / "node-aws")
#: A catcher of mail that the sandbox is measured beside; wants Node 20, and only the benchmark has it installed.
MAILDEV = Packages("maildev", HERE / "node_maildev", CACHE / "node-maildev")

ALL = (JUDGES, MAILTRAP, AMAZON)


def _check_node() -> None:
    if not shutil.which("node") or not shutil.which("npm"):
        raise CannotInstall(f"Node {OLDEST_NODE} or newer and npm are needed and not installed (Debian: nodejs, npm)")
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=30).stdout
    version = re.match(r"v(\d+)\.", said)
    if not version or int(version[1]) < OLDEST_NODE:
        raise CannotInstall(f"Node {OLDEST_NODE} or newer is needed, this one says {said.strip()!r}")
