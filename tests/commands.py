"""An operator's two ways to a server: the command line as a program of its own, and what it says on the control socket."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.server import Mailferry


def run_command(server: Mailferry, *arguments: str, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command about this server's data folder; ``config`` is a settings file."""
    where = ["--data", str(server.data), *(["--config", str(config)] if config else [])]
    return subprocess.run(
        [sys.executable, "-m", "mailferry", *arguments, *where],
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def first_run(server: Mailferry) -> dict[str, Any]:
    """What the first start made, from its file."""
    return dict(json.loads((server.data / "first-run.json").read_bytes()))


async def ask_later(server: Mailferry, verb: str, **arguments: Any) -> Any:
    """:meth:`Mailferry.ask` in a thread, where fakes that the server calls live in this loop."""
    return await asyncio.to_thread(server.ask, verb, **arguments)
