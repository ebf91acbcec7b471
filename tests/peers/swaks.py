"""swaks, the Swiss army knife for SMTP: a client that prints the whole conversation."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from .parts import SWAKS, home

LIMIT = 60  # seconds


@dataclass(frozen=True, slots=True)
class Said:
    """How swaks ended (0: the message was taken) and the conversation as it printed it."""

    code: int
    transcript: str


def swaks(*arguments: str, body: bytes = b"") -> Said:
    """Runs swaks with the arguments of its command line; `body` goes to its standard input (`--data -`).

    Ask `parts.missing(SWAKS)` first.
    """
    found = home(SWAKS)
    assert found, "swaks is not there"
    # Named interpreter: the script's first line names /usr/bin/perl, and Perl's modules may be unpacked elsewhere.
    command = [str(found.program("perl")), str(found.program("swaks")), *arguments]
    done = subprocess.run(command, input=body, env=found.environment(), capture_output=True, timeout=LIMIT)
    return Said(done.returncode, (done.stdout + done.stderr).decode(errors="replace"))
