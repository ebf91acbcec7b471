"""Mailferry as a target, by default on its embedded database: one node, its own DNS, the sink as the MX of the destination."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.fakes.dns import FakeDNS
from tests.peers.parts import CHECKOUT
from tests.peers.process import Process, free_port, greets

from .target import Target

DOMAIN = "bench.test"
DESTINATION = "dest.test"
HOST = "mail.bench-host.test"
COMMAND_LIMIT = 60  # seconds

SETTINGS = """
[server]
hostname = "{host}"

[http]
listen = "127.0.0.1:{http}"
tls_listen = "127.0.0.1:{https}"

[smtp]
listen = "127.0.0.1:{smtp}"
plain_auth = true

[metrics]
listen = "127.0.0.1:{metrics}"

[dns]
nameservers = ["{dns}"]

[delivery]
smtp_port = {sink}

[net]
allow_private = true

[database]
url = "{database}"
"""


class NotYet(Exception):
    """Mailferry could not be started or set up; the text says at which step."""


@contextlib.contextmanager
def mailferry(sink_port: int, folder: Path, *, tls: bool, database: str = "") -> Iterator[Target]:
    """Starts Mailferry with a data directory in `folder`, and makes it a sending domain that is verified and approved.

    ``database`` is a PostgreSQL URL; empty: the embedded SQLite.
    """
    zone: dict[str, Any] = {
        DESTINATION: {"MX": "10 mx.dest.test"},
        "mx.dest.test": {"A": "127.0.0.1"},
        HOST: {"A": "127.0.0.1"},
    }
    with _name_server(zone) as address:
        ports = {name: free_port() for name in ("http", "https", "smtp", "metrics")} | {"sink": sink_port}
        configuration = folder / "mailferry.toml"
        configuration.write_text(SETTINGS.format(host=HOST, dns=address, database=database, **ports))
        data = folder / "data"
        arguments = ["--data", str(data), "--config", str(configuration)]
        server = Process([*_command("serve"), *arguments], folder / "mailferry.log", environment=_environment())
        try:
            _wait(server, ports["smtp"])
            keys = _sending_domain(zone, arguments)
            yield _target(json.loads(_mailferry("credentials", "--json", *arguments)), ports, keys, tls=tls)
        finally:
            server.stop()


def _target(credentials: dict[str, Any], ports: dict[str, int], keys: dict[str, str], *, tls: bool) -> Target:
    smtp = credentials["smtp"]
    api = urllib.parse.urlsplit(credentials["https_url"] if tls else credentials["http_url"])
    return Target(
        name="Mailferry",
        sender=f"sender@{DOMAIN}",
        destination=DESTINATION,
        smtp_port=smtp["port"],
        username=smtp["username"],
        password=smtp["password"],
        http_port=api.port or ports["http"],
        token=credentials["api_token"],
        access_key=(credentials["ses"]["access_key_id"], credentials["ses"]["secret_access_key"]),
        ca_file=credentials["ca_file"] if tls else "",
        keys=keys,
        notes=(
            "Mailferry: embedded default (SQLite, one node), every message accepted after its syncs, AUTH once a "
            "connection, both signatures (RSA-2048 and Ed25519), return path and attempt recorded a recipient, MX "
            "looked up in a DNS of the benchmark's own.",
        ),
    )


def _sending_domain(zone: dict[str, Any], arguments: list[str]) -> dict[str, str]:
    """Adds the domain, publishes its records, has it verified and approved; returns the DKIM keys among the records."""
    _mailferry("domains", "add", DOMAIN, "--json", *arguments)
    records = json.loads(_mailferry("domains", "records", DOMAIN, "--json", *arguments))
    for record in records:
        zone.setdefault(record["domain"], {})[record["type"]] = record["value"]
    _mailferry("domains", "verify", DOMAIN, *arguments)
    _mailferry("domains", "approve", DOMAIN, *arguments)
    return {name: found["TXT"] for name, found in zone.items() if "_domainkey" in name and "TXT" in found}


def _wait(server: Process, port: int) -> None:
    try:
        server.wait_until(lambda: greets(port), "mailferry serve")
    except Exception as error:
        raise NotYet(str(error)) from error


def _mailferry(*arguments: str) -> str:
    done = subprocess.run(
        _command(*arguments), capture_output=True, text=True, cwd=CHECKOUT, env=_environment(), timeout=COMMAND_LIMIT
    )
    if done.returncode != 0:
        raise NotYet(f"mailferry {' '.join(arguments[:2])} failed: {(done.stderr or done.stdout)[-1000:]}")
    return done.stdout


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mailferry", *arguments]


def _environment() -> dict[str, str]:
    # Settings of whoever runs the benchmark must not leak into what is measured.
    return {name: value for name, value in os.environ.items() if not name.startswith("MAILFERRY_")}


@contextlib.contextmanager
def _name_server(zone: dict[str, Any]) -> Iterator[str]:
    """The test DNS server in a thread of its own; `zone` may be changed while it runs."""
    ready: list[str] = []
    loop = asyncio.new_event_loop()
    started = threading.Event()

    async def serve() -> None:
        async with FakeDNS() as server:
            server.zone = zone
            ready.append(server.address)
            started.set()
            await stop.wait()

    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    started.wait(10)
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
