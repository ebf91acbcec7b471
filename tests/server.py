"""A real Mailferry as its own process, its DNS, and what a client needs to talk to it."""

import asyncio
import contextlib
import json
import os
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.fakes.dns import FakeDNS
from tests.forked import Forked
from tests.peers.process import free_port

START_SECONDS = 30.0
DOMAIN = "sender.test"


class Mailferry:
    """Start it, talk to it, stop or kill it, start it again on the same data."""

    def __init__(self, data: Path, settings: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> None:
        self.data = data
        self.http, self.https, self.smtp, self.metrics = (free_port() for _ in range(4))
        self.settings = {
            "http.listen": f"127.0.0.1:{self.http}",
            "http.tls_listen": f"127.0.0.1:{self.https}",
            "smtp.listen": f"127.0.0.1:{self.smtp}",
            "metrics.listen": f"127.0.0.1:{self.metrics}",
            "server.hostname": "mail.mailferry.test",
            "net.allow_private": "true",
            "log.format": "json",
            "delivery.retry_seconds": "1",
            **settings,
        }
        self.extra = dict(environment or {})
        self.log = data.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | Forked | None = None

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MAILFERRY_")}
        settings = {f"MAILFERRY_{key.replace('.', '_').upper()}": str(value) for key, value in self.settings.items()}
        return clean | settings | self.extra

    def start(self) -> None:
        self.launch()
        self.wait_until_healthy()

    def launch(self, under: Sequence[str] = ()) -> None:
        """Start the process, under another program (strace) where one is named, and do not wait for it."""
        arguments = ["serve", "--data", str(self.data)]
        if not under and not self.extra:
            self.process = Forked(arguments, self.environment, self.log)
            return
        command = [*under, sys.executable, "-m", "mailferry", *arguments]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def wait_until_healthy(self) -> None:
        assert self.process is not None
        until = time.monotonic() + START_SECONDS
        while not self._healthy():
            if self.process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"mailferry did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)

    def stop(self) -> float:
        """SIGTERM; returns the seconds that it took to end."""
        assert self.process is not None
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.log.read_text()[-3000:]
        return time.monotonic() - started

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def command(self, *arguments: str, check: bool = True) -> Any:
        """A command of the command line with --json, decoded."""
        done = subprocess.run(
            [sys.executable, "-m", "mailferry", *arguments, "--json", "--data", str(self.data)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if check:
            assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else done.stderr

    def ask(self, verb: str, **arguments: Any) -> Any:
        """What a command asks of the running server, without starting a program for it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(60)
            connection.connect(str(self.data / "control.sock"))
            connection.sendall(json.dumps({"verb": verb, "arguments": arguments}).encode() + b"\n")
            answer = json.loads(connection.makefile("rb").readline())
        assert "error" not in answer, answer
        return answer["result"]

    @cached_property
    def credentials(self) -> dict[str, Any]:
        """What the first start made; the same for all of this server's starts."""
        return dict(self.command("credentials"))

    def post(self, path: str, body: Any, token: str, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
        return self.request("POST", path, token, json.dumps(body).encode(), headers)

    def request(
        self,
        method: str,
        path: str,
        token: str = "",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        port: int = 0,
    ) -> tuple[int, Any]:
        request = urllib.request.Request(f"http://127.0.0.1:{port or self.http}{path}", body, method=method)
        request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def _healthy(self) -> bool:
        with contextlib.suppress(OSError, AssertionError):
            # This listener is there whatever the roles are, and is the last to open.
            return self.request("GET", "/health", port=self.metrics)[0] == 200
        return False


@contextlib.asynccontextmanager
async def running(
    tmp_path: Path, dns: FakeDNS, *, smtp_port: int = 25, url: str = "", **settings: Any
) -> AsyncIterator[Mailferry]:
    """A server whose resolver is ``dns`` and whose MX port is ``smtp_port``; settings as section__name."""
    chosen = {name.replace("__", "."): value for name, value in settings.items()}
    chosen |= {"dns.nameservers": dns.address, "delivery.smtp_port": smtp_port, "database.url": url}
    server = Mailferry(tmp_path / "data", chosen)
    try:
        await asyncio.to_thread(server.start)
        yield server
    finally:
        await asyncio.to_thread(server.end)


async def add_domain(server: Mailferry, dns: FakeDNS, name: str = DOMAIN, *, approve: bool = True) -> dict[str, Any]:
    """Add a sending domain, publish what it asks for, verify and approve it; returns what `domains add` said."""
    added = await asyncio.to_thread(server.ask, "domains.add", domain=name)
    for record in added["records"]:
        dns.zone[record["domain"]] = {**dns.zone.get(record["domain"], {}), record["type"]: record["value"]}
    dns.zone.setdefault("mail.mailferry.test", {"A": "127.0.0.1"})
    verified = await asyncio.to_thread(server.ask, "domains.verify", domain=name)
    assert verified["dns_verified"], verified
    if approve:
        await asyncio.to_thread(server.ask, "domains.approve", domain=name)
    return dict(added)


def submit(server: Mailferry, *texts: bytes, to: str = "a@dest.test") -> None:
    """Hand messages over by smtplib: STARTTLS checked against the local authority, AUTH, one connection."""
    found = server.credentials
    with smtplib.SMTP("127.0.0.1", server.smtp, timeout=60) as client:
        client.starttls(context=ssl.create_default_context(cafile=found["ca_file"]))
        client.login("api", found["api_token"])
        for text in texts:
            client.sendmail(f"app@{DOMAIN}", [to], text, mail_options=["BODY=8BITMIME"])


def dkim_keys(dns: FakeDNS) -> dict[str, str]:
    """DNS name -> key record, for verifiers."""
    return {
        name: str(records["TXT"]) for name, records in dns.zone.items() if "._domainkey." in name and "TXT" in records
    }


def message(to: str, *, sender: str = f"app@{DOMAIN}", **fields: Any) -> dict[str, Any]:
    """A body for /api/send."""
    return {"from": {"email": sender}, "to": [{"email": to}], "subject": "Hello", "text": "It works.\n"} | fields
