"""A full disk: mail is refused for the moment and in every dialect, `/health` says why, and room is all that it needs."""

import contextlib
import os
import resource
import smtplib
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.commands import first_run
from tests.peers import parts
from tests.peers.process import free_port
from tests.server import START_SECONDS, Mailferry, message

SENDER = "hello@demo.mailferry.test"
TO = "success@simulator.demo.mailferry.test"
SIZE = 32 * 1024 * 1024
REFUSED = 6
#: A message is larger than all that the server writes besides, its log as well, so that a limit hits messages alone.
MEBIBYTE = 1024 * 1024
TEXT = (f"{'x' * 62}\r\n") * (2 * MEBIBYTE // 64)


@dataclass
class Disk:
    """A running server, and what takes its room away and gives it back."""

    server: Mailferry
    fill: Callable[[], None]
    free: Callable[[], None]

    @property
    def segments(self) -> list[Path]:
        return sorted((self.server.data / "segments").iterdir())


def launched(tmp_path: Path, under: list[str]) -> Mailferry:
    server = Mailferry(tmp_path / "data", {"dns.nameservers": f"127.0.0.1:{free_port()}"})
    server.data.mkdir(mode=0o700)
    server.launch([*under, str(server.data)] if under else [])
    return server


@contextlib.contextmanager
def tmpfs(tmp_path: Path) -> Iterator[Disk]:
    """A small file system that only the server sees, so that nothing is left of it when the test is killed."""
    private = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size={SIZE},mode=700 tmpfs "$0" && exec "$@"']
    if subprocess.run([*private, str(tmp_path), "true"], capture_output=True).returncode != 0:
        # Under CI as root that is a failure; the other disk needs no permission.
        (pytest.fail if parts.strict() else pytest.skip)("file systems cannot be mounted here")
    server = launched(tmp_path, private)
    assert server.process is not None
    inside = Path(f"/proc/{server.process.pid}/root{server.data}")
    filler = inside / "filler"

    def fill() -> None:
        room = os.statvfs(inside)
        filler.write_bytes(bytes(room.f_bavail * room.f_frsize - 256 * 1024))

    server.wait_until_healthy()
    server.data = inside
    try:
        yield Disk(server, fill, filler.unlink)
    finally:
        server.end()


@contextlib.contextmanager
def limit(tmp_path: Path) -> Iterator[Disk]:
    """Files that cannot grow: a write beyond the limit fails in the middle."""
    server = launched(tmp_path, [])
    assert server.process is not None
    pid = server.process.pid

    def largest(octets: int) -> None:
        hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (octets, hard))

    server.wait_until_healthy()
    try:
        yield Disk(server, lambda: largest(disk_use(server) + MEBIBYTE), lambda: largest(resource.RLIM_INFINITY))
    finally:
        server.end()


def disk_use(server: Mailferry) -> int:
    (segment,) = (server.data / "segments").glob("*.seg")
    return segment.stat().st_size


@pytest.fixture(params=[tmpfs, limit])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    with request.param(tmp_path) as made:
        yield made


def post(server: Mailferry, subject: str) -> tuple[int, Any]:
    return server.post(
        "/api/send", message(TO, sender=SENDER, subject=subject, text=TEXT), first_run(server)["api_token"]
    )


def smtp(server: Mailferry) -> tuple[int, bytes]:
    """What the end of a message is answered with."""
    made = first_run(server)
    context = ssl.create_default_context(cafile=str(server.data / "ca" / "ca.pem"))
    with smtplib.SMTP("localhost", server.smtp, timeout=30) as client:
        client.starttls(context=context)
        client.login("api", made["api_token"])
        client.mail(SENDER)
        client.rcpt(TO)
        return client.data(f"From: {SENDER}\r\nTo: {TO}\r\nSubject: smtp\r\n\r\n{TEXT}".encode())


def settled(server: Mailferry) -> list[str]:
    until = time.monotonic() + START_SECONDS
    while True:
        found = server.ask("messages.list", limit=100)
        if all(each["state"] == "delivered" for each in found) or time.monotonic() > until:
            return sorted(each["subject"] for each in found)
        time.sleep(0.05)


def test_a_full_disk_refuses_for_the_moment_and_goes_on_when_there_is_room(disk: Disk) -> None:
    server = disk.server
    assert post(server, "before")[0] == 200
    before = disk.segments
    disk.fill()
    for _ in range(REFUSED):
        status, said = post(server, "refused")
        assert (status, said) == (503, {"success": False, "errors": ["Service unavailable, try again later"]})
        code, text = smtp(server)
        assert (code, text[:6]) == (451, b"4.3.0 "), (code, text)
    status, said = server.request("GET", "/health")
    assert (status, said["status"]) == (503, "unwell") and said["disk"]
    assert disk.segments == before, "a file for each refusal"

    disk.free()
    assert post(server, "after")[0] == 200
    assert server.request("GET", "/health")[0] == 200
    assert smtp(server)[0] == 250
    assert settled(server) == ["after", "before", "smtp"]
    assert disk.segments == before


def test_what_was_accepted_is_there_after_a_full_disk_and_a_kill(tmp_path: Path) -> None:
    """The bytes of refused mail lie nowhere between those of accepted mail."""
    with limit(tmp_path) as disk:
        server = disk.server
        assert post(server, "first")[0] == 200
        disk.fill()
        assert post(server, "refused")[0] == 503
        disk.free()
        assert post(server, "second")[0] == 200
        server.kill()
        size = disk_use(server)
        server.start()
        assert post(server, "third")[0] == 200
        assert settled(server) == ["first", "second", "third"]
        bodies = b"".join(path.read_bytes() for path in disk.segments)
        assert size < 2.5 * len(TEXT) and b"refused" not in bodies
        assert all(name in bodies for name in (b"first", b"second", b"third"))
