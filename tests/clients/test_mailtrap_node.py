"""Mailtrap's official Node SDK, whose hosts cannot be changed: with a hosts entry, a certificate and port 443, as the page says."""

import asyncio
import contextlib
import re
import shlex
import socket
import textwrap
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailferry.credentials import DEMO_DOMAIN, SIMULATOR_DOMAIN
from tests.clients.programs import run_program
from tests.commands import first_run, run_command
from tests.peers.namespaces import Own
from tests.server import START_SECONDS, Mailferry

PAGE = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()
TOUR = Path(__file__).with_name("node_tour.cjs")
#: Root, but without the right to ports below 1024.
LIKE_A_USER = ["setpriv", "--bounding-set=-net_bind_service", "--"]


def blocks(language: str = "") -> list[str]:
    found = re.findall(r"^ *```(\w*)\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(text) for named, text in found if named == language]


def line(start: str) -> str:
    """The one line that the page tells to type, or to write into a file."""
    (found,) = [each for block in blocks() for each in block.splitlines() if each.startswith(start)]
    return found


@contextlib.asynccontextmanager
async def as_the_page_says(tmp_path: Path, own: Own, *, by_sysctl: bool = False) -> AsyncIterator[Mailferry]:
    """A server in namespaces of its own, on port 443, with the names in its certificate and in its /etc/hosts."""
    (settings,) = blocks("toml")
    server = Mailferry(tmp_path / "data", {"http.tls_listen": ",".join(tomllib.loads(settings)["http"]["tls_listen"])})
    own.hosts.write_text(f"127.0.0.1 localhost\n{line('127.0.0.1 ')}\n")
    # sudo looks where an ordinary user's shell does not.
    allowed = f'PATH="$PATH:/usr/sbin:/sbin"; {line("sudo sysctl").removeprefix("sudo ")} && exec "$@"'
    under = [*own.under, "sh", "-c", allowed, "sh", *LIKE_A_USER] if by_sysctl else own.under
    try:
        await asyncio.to_thread(start, server, under, tmp_path / "notify")
        command = shlex.split(line("mailferry certificates"))[1:-2]
        issued = await asyncio.to_thread(run_command, server, *command)
        assert issued.returncode == 0, issued.stderr
        yield server
    finally:
        await asyncio.to_thread(server.end)


def start(server: Mailferry, under: list[str], notify: Path) -> None:
    """From out here its ports cannot be seen, so it says itself when it listens (sd_notify(3))."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(notify))
        told.settimeout(START_SECONDS)
        server.extra["NOTIFY_SOCKET"] = str(notify)
        server.launch(under)
        try:
            assert told.recv(100) == b"READY=1"
        except TimeoutError:
            raise AssertionError(server.log.read_text()[-3000:]) from None


@pytest.mark.parametrize("by_sysctl", [False, True], ids=["as_root", "by_sysctl"])
async def test_the_program_of_the_page_sends(
    tmp_path: Path, own_hosts: Own, mailtrap_node: Path, by_sysctl: bool
) -> None:
    program = tmp_path / "send.js"
    program.write_text(next(block for block in blocks("js") if "send.js" in block))
    async with as_the_page_says(tmp_path, own_hosts, by_sysctl=by_sysctl) as server:
        assert server.process is not None
        environment = {
            "NODE_PATH": str(mailtrap_node / "node_modules"),
            "MAILTRAP_TOKEN": first_run(server)["api_token"],
        }
        said = await run_program(server, [*own_hosts.beside(server.process.pid), "node", str(program)], environment)
        (entry,) = await asyncio.to_thread(server.ask, "messages.list")
    assert re.fullmatch(r"\{ success: true, message_ids: \[ '[0-9a-f-]{36}' \] \}", " ".join(said.split()))
    assert (entry["to"], entry["stream"]) == (f"success@{SIMULATOR_DOMAIN}", "transactional")


async def test_the_sdk_and_its_nodemailer_transport(tmp_path: Path, own_hosts: Own, mailtrap_node: Path) -> None:
    async with as_the_page_says(tmp_path, own_hosts) as server:
        assert server.process is not None
        arguments = [first_run(server)["api_token"], "1", DEMO_DOMAIN, SIMULATOR_DOMAIN]
        command = [*own_hosts.beside(server.process.pid), "node", str(TOUR), *arguments]
        await run_program(server, command, {"NODE_PATH": str(mailtrap_node / "node_modules")})
        sent = await asyncio.to_thread(server.ask, "messages.list", limit=100)
    names = ("one", "copy", "two", "three", "mailer", "second", "blind", "template", "template2")
    assert {entry["to"] for entry in sent} == {f"success+{name}@{SIMULATOR_DOMAIN}" for name in names}


def test_the_page_names_all_hosts_of_the_sdks() -> None:
    assert set(line("127.0.0.1 ").split()[1:]) == set(shlex.split(line("mailferry certificates"))[2:-2])
