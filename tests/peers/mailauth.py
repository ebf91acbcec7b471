"""The judge of DKIM signatures (RFC 6376, RFC 8463): mailauth, a Node library, with keys handed in instead of a DNS.

Every signature of a message gets its own verdict, RSA and Ed25519 alike.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from .npm import JUDGES

VERIFY_LIMIT = 60  # seconds


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
    return JUDGES.missing("mailauth")


def verify_with_mailauth(message: bytes, keys: Mapping[str, str]) -> list[Signature]:
    """Verifies every signature of a message, in the order of its fields.

    `keys` maps DNS names ("s._domainkey.example.com") to TXT values; other names do not exist.
    """
    question = json.dumps({"message": message.decode("latin-1"), "keys": {k.lower(): v for k, v in keys.items()}})
    done = subprocess.run(
        ["node", str(JUDGES.source / "verify.cjs"), str(JUDGES.folder)],
        input=question,
        capture_output=True,
        text=True,
        timeout=VERIFY_LIMIT,
    )
    if done.returncode != 0:
        raise RuntimeError(f"mailauth gave up: {done.stderr[-2000:]}")
    return [Signature(**found) for found in json.loads(done.stdout)]
