"""The bound that RSA sets: how many RSA-2048 signatures both cores make in a second and do nothing else."""

from __future__ import annotations

import re
import subprocess

from tests.peers.parts import OPENSSL, home

PROCESSES = 2
SECONDS = 2
LIMIT = 60  # seconds


def rsa_signatures() -> float:
    """Signatures a second by `openssl speed`, or 0 when it is not there."""
    found = home(OPENSSL)
    if not found:
        return 0.0
    command = [str(found.program("openssl")), "speed", "-multi", str(PROCESSES), "-seconds", str(SECONDS), "rsa2048"]
    done = subprocess.run(command, env=found.environment(), capture_output=True, text=True, timeout=LIMIT)
    # rsa 2048 bits 0.000135s 0.000004s   7400.5 261234.5
    line = re.search(r"^rsa\s+2048 bits\s+\S+\s+\S+\s+([\d.]+)", done.stdout, re.MULTILINE)
    return float(line[1]) if line else 0.0
