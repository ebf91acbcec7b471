"""Makes sure that the programs of other projects that the tests need are there; run by make before pytest.

Looks for system copies first and unpacks what is missing into .cache. As root under CI a missing part is a failure;
elsewhere it is named here, and the tests that need it are skipped by name. Prints nothing when nothing was to do.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

from peers import debian, npm, parts

CANIEMAIL = Path(__file__).parent.parent / "assets" / "caniemail" / "provide.py"


def main() -> int:
    parts.CACHE.mkdir(exist_ok=True)
    with (parts.CACHE / "setup.lock").open("w") as lock:
        # Two runs at once (make test beside make bench) must not unpack over each other.
        fcntl.flock(lock, fcntl.LOCK_EX)
        lacking = [reason for part in parts.PARTS if (reason := provide(part))]
        lacking += [reason for packages in npm.ALL if (reason := provide_packages(packages))]
        lacking += [reason for reason in [provide_data()] if reason]
    return report(lacking)


def provide(part: parts.Part) -> str:
    """Finds or unpacks one part; returns why it cannot be had, or an empty string."""
    if not parts.home(part):
        started = time.monotonic()
        try:
            debian.unpack(part)
        except debian.CannotUnpack as error:
            return str(error)
        print(f"{part.name}: unpacked in {time.monotonic() - started:.0f} s", flush=True)
    return parts.missing(part)


def provide_packages(packages: npm.Packages) -> str:
    """Installs what one of npm's locks holds; returns why it cannot be had, or an empty string."""
    if not packages.missing():
        return ""
    try:
        packages.install()
    except npm.CannotInstall as error:
        return f"{packages.name}: {error}"
    print(f"{packages.name}: installed", flush=True)
    return ""


def provide_data() -> str:
    """Fetches what the HTML check of the sandbox knows of mail clients; returns why it cannot be had, or an empty string."""
    done = subprocess.run([sys.executable, CANIEMAIL, "--strict"], capture_output=True, text=True)
    return done.stderr.strip()


def report(lacking: list[str]) -> int:
    if not lacking:
        return 0
    strict = parts.strict()
    verdict = "these parts must be there" if strict else "the tests that need these parts are skipped"
    print(f"tests/setup.py, as user {os.geteuid()}: {verdict}:", file=sys.stderr)
    for reason in lacking:
        print(f"  - {reason}", file=sys.stderr)
    return 1 if strict else 0


if __name__ == "__main__":
    sys.exit(main())
