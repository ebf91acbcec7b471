"""An operator's two ways to a server: the command line as a program of its own, and what it says on the control socket."""

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.fakes.dns import FakeDNS
from tests.server import DOMAIN, Mailferry


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


def ask(server: Mailferry, verb: str, **arguments: Any) -> Any:
    """What a command asks of a running server, without the half second that starting a program takes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(60)
        connection.connect(str(server.data / "control.sock"))
        connection.sendall(json.dumps({"verb": verb, "arguments": arguments}).encode() + b"\n")
        answer = json.loads(connection.makefile("rb").readline())
    assert "error" not in answer, answer
    return answer["result"]


def first_run(server: Mailferry) -> dict[str, Any]:
    """What the first start made, from its file."""
    return dict(json.loads((server.data / "first-run.json").read_bytes()))


async def add_own_domain(server: Mailferry, dns: FakeDNS, name: str = DOMAIN) -> None:
    """A sending domain that is verified and approved."""
    dns.zone.setdefault("mail.mailferry.test", {"A": "127.0.0.1"})
    for record in (await ask_later(server, "domains.add", domain=name))["records"]:
        dns.zone[record["domain"]] = {**dns.zone.get(record["domain"], {}), record["type"]: record["value"]}
    assert (await ask_later(server, "domains.verify", domain=name))["dns_verified"]
    await ask_later(server, "domains.approve", domain=name)


async def ask_later(server: Mailferry, verb: str, **arguments: Any) -> Any:
    """:func:`ask` in a thread, where fakes that the server calls live in this loop."""
    return await asyncio.to_thread(ask, server, verb, **arguments)
