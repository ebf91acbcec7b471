"""systemd is told when the server listens and when it ends, in the datagrams of sd_notify(3)."""

import socket
from pathlib import Path

import pytest

from mailferry import readiness
from tests.peers.process import free_port
from tests.server import Mailferry


def listening(address: str) -> socket.socket:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    found.settimeout(30)
    found.bind(address)
    return found


def test_a_server_says_ready_when_it_listens_and_stopping_when_it_ends(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    nowhere = {"dns.nameservers": f"127.0.0.1:{free_port()}"}
    server = Mailferry(tmp_path / "data", nowhere, {"NOTIFY_SOCKET": path})
    with listening(path) as systemd:
        server.launch()
        try:
            assert systemd.recv(100) == b"READY=1"
            # At once, with no second try: it listens.
            assert server.request("GET", "/health")[0] == 200
            server.stop()
        finally:
            server.end()
        assert systemd.recv(100) == b"STOPPING=1"


def test_an_abstract_name_is_understood() -> None:
    name = f"mailferry-test-{free_port()}"
    with listening(f"\0{name}") as systemd:
        readiness.tell("READY=1", {"NOTIFY_SOCKET": f"@{name}"})
        assert systemd.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/at/all", "@nobody-listens-here"])
def test_whoever_does_not_listen_costs_nothing(address: str) -> None:
    readiness.tell("READY=1", {"NOTIFY_SOCKET": address})
