"""Programs of other people's making, run beside a live server as processes of their own."""

import asyncio
import os
import subprocess
from collections.abc import Mapping, Sequence

from tests.server import Mailferry

PROGRAM_SECONDS = 120


async def run_program(server: Mailferry, command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """What a program printed; it must end well. It trusts the server's authority and knows no proxy but a given one."""
    done = await asyncio.to_thread(
        subprocess.run,
        [*command],
        env=clean_environment() | trusting(server) | dict(environment or {}),
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def trusting(server: Mailferry) -> dict[str, str]:
    """The variables that `mailferry certificates` prints for Python requests and for Node.js, and that of boto3."""
    ca = str(server.data / "ca" / "ca.pem")
    return {"REQUESTS_CA_BUNDLE": ca, "NODE_EXTRA_CA_CERTS": ca, "AWS_CA_BUNDLE": ca}


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
