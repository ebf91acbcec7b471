"""The judge of DKIM signatures (RFC 6376, RFC 8463): mailauth, a Node library, with keys handed in instead of a DNS.

Every signature of a message gets its own verdict, RSA and Ed25519 alike.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .parts import CACHE

HERE = Path(__file__).parent / "node"
FOLDER = CACHE / "node"
OLDEST_NODE = 18
NPM_LIMIT = 300  # seconds
VERIFY_LIMIT = 60  # seconds


class CannotInstall(Exception):
    """mailauth could not be had; the text says why."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What mailauth says of one DKIM-Signature field: `result` is "pass", "fail", "neutral", "permerror" ..."""

    domain: str
    selector: str
    algorithm: str
    result: str
    comment: str = ""


def missing() -> str:
    """Why mailauth cannot be used here; empty when it can."""
    if not shutil.which("node"):
        return "mailauth is not there: Node is not installed"
    return "" if installed() else "mailauth is not there: see the output of tests/setup.py"


def install() -> None:
    """Installs mailauth, handlebars.js and what they need, exactly as locked, into the cache; raises CannotInstall."""
    _check_node()
    if installed():
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(HERE / name, FOLDER / name)
    npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(npm, cwd=FOLDER, capture_output=True, text=True, timeout=NPM_LIMIT)
    if done.returncode != 0:
        raise CannotInstall(f"npm ci failed: {done.stderr.strip()[-800:]}")
    shutil.copy(HERE / "package-lock.json", _stamp())


def verify_with_mailauth(message: bytes, keys: Mapping[str, str]) -> list[Signature]:
    """Verifies every signature of a message, in the order of its fields.

    `keys` maps DNS names ("s._domainkey.example.com") to TXT values; other names do not exist.
    """
    question = json.dumps({"message": message.decode("latin-1"), "keys": {k.lower(): v for k, v in keys.items()}})
    done = subprocess.run(
        ["node", str(HERE / "verify.cjs"), str(FOLDER)],
        input=question,
        capture_output=True,
        text=True,
        timeout=VERIFY_LIMIT,
    )
    if done.returncode != 0:
        raise RuntimeError(f"mailauth gave up: {done.stderr[-2000:]}")
    return [Signature(**found) for found in json.loads(done.stdout)]


def installed() -> bool:
    """Whether the Node parts of the lock are in the cache: mailauth and handlebars.js."""
    # The stamp is the lock that was installed, so a changed lock is installed anew.
    return _stamp().exists() and _stamp().read_bytes() == (HERE / "package-lock.json").read_bytes()


def _stamp() -> Path:
    return FOLDER / "installed.json"


def _check_node() -> None:
    if not shutil.which("node") or not shutil.which("npm"):
        raise CannotInstall(f"Node {OLDEST_NODE} or newer and npm are needed and not installed (Debian: nodejs, npm)")
    if installed():
        return
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=30).stdout
    version = re.match(r"v(\d+)\.", said)
    if not version or int(version[1]) < OLDEST_NODE:
        raise CannotInstall(f"Node {OLDEST_NODE} or newer is needed, this one says {said.strip()!r}")
