"""What roles/ decides by itself: certificates that change while it runs, and which mail hosts are ourselves."""

import asyncio
import contextlib
import http.client
import json
import os
import shutil
import smtplib
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from sqlalchemy import Connection, delete
from structlog.testing import capture_logs

from mailferry.cli import app as cli
from mailferry.config import BadSetting, load
from mailferry.ending import Ending
from mailferry.house import House, clock, open_house
from mailferry.listening import Listening, certificate_hosts, own_hosts
from mailferry.net import authority as local
from mailferry.resources import domains, tokens
from mailferry.resources.permissions import ADMIN, Grant, Resource
from mailferry.resources.tokens import digest
from mailferry.roles import Parts, furnish
from mailferry.store.schema import tokens as tokens_table
from tests.commands import ask_later, first_run
from tests.fakes.dns import FakeDNS
from tests.peers.certificates import Authority, Certificate
from tests.peers.process import free_port
from tests.server import DOMAIN, Mailferry, add_domain, message, running

ROLES = frozenset({"api", "smtp"})
YEAR_MS = 365 * 86_400_000


@pytest.fixture
async def house(tmp_path: Path, authority: Authority) -> AsyncIterator[House]:
    """Its certificate is an operator's, in two files that a test may exchange."""
    install(tmp_path, authority.issue("localhost"))
    async with open_house(configured(tmp_path, **given(tmp_path))) as opened:
        yield opened


def configured(tmp_path: Path, **settings: str) -> Any:
    names = {name.replace("__", "."): value for name, value in settings.items()}
    return load(None, {}, {"server.data_dir": str(tmp_path / "data"), "server.hostname": "mail.mailferry.test"} | names)


def given(folder: Path) -> dict[str, str]:
    return {"tls__certificate": str(folder / "fullchain.pem"), "tls__key": str(folder / "privkey.pem")}


def install(folder: Path, issued: Certificate) -> None:
    """As certbot does it: links that point at other files from one moment to the next."""
    for name, path in (("fullchain.pem", issued.certificate), ("privkey.pem", issued.key)):
        kept = folder / f"{path.stem}-{os.urandom(4).hex()}{path.suffix}"
        shutil.copy(path, kept)
        (folder / "draft").symlink_to(kept)
        (folder / "draft").rename(folder / name)


def serial(issued: Path) -> int:
    return x509.load_pem_x509_certificate(issued.read_bytes()).serial_number


@contextlib.asynccontextmanager
async def served(context: ssl.SSLContext, ca_file: Path) -> AsyncIterator[Any]:
    """A listener with this context, and a way to see whose certificate it shows."""
    client = ssl.create_default_context(cafile=str(ca_file))

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def shown() -> int:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="localhost")
        found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return x509.load_der_x509_certificate(found).serial_number

    async with await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        yield shown


# --- durations --------------------------------------------------------------------------------------------------------


async def test_a_clock_that_is_set_back_lets_nothing_be_remembered_for_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall, steady, port, ending = time.time_ns, time.monotonic_ns, free_port(), Ending()
    settings = {"http__listen": f"127.0.0.1:{port}", "http__tls_listen": "", "server__roles": "api"}
    async with (
        FakeDNS({"a.test": {"TXT": "before"}}, ttl=60) as dns,
        open_house(configured(tmp_path, dns__nameservers=dns.address, metrics__listen="", **settings)) as house,
    ):
        await furnish(house)
        await Parts(house, ending).start()
        token = first_run_token(house)
        other = await house.database.write(lambda c: another_token(c, house))
        assert (await house.resolver.query("a.test", "TXT")).values == ("before",)
        assert await house.book.by_name(1, "a.test") is None
        while (status := await asked(port, token)) == 200:
            pass
        assert status == 429 == await asked(port, other)

        dns.zone["a.test"] = {"TXT": "after"}
        await house.database.write(lambda c: domains.add(c, house.sealer, 1, "a.test", (), clock()))
        await house.database.write(
            lambda c: c.execute(delete(tokens_table).where(tokens_table.c.token_hash == digest(token)))
        )
        monkeypatch.setattr(time, "time_ns", lambda: wall() - 3600 * 10**9)
        monkeypatch.setattr(time, "monotonic_ns", lambda: steady() + 61 * 10**9)
        assert (await house.resolver.query("a.test", "TXT")).values == ("after",)
        assert await house.book.by_name(1, "a.test") is not None
        assert (await asked(port, token), await asked(port, other)) == (401, 200)
        await ending.close()


def first_run_token(house: House) -> str:
    return str(json.loads((house.data_dir / "first-run.json").read_text())["api_token"])


def another_token(connection: Connection, house: House) -> str:
    return tokens.create(connection, 1, "Other", [Grant(Resource.ACCOUNT, 1, ADMIN)], clock())[1]


async def asked(port: int, token: str) -> int:
    def ask() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/api/suppressions", headers={"Authorization": f"Bearer {token}"})
        status = connection.getresponse().status
        connection.close()
        return status

    return await asyncio.to_thread(ask)


# --- certificates -----------------------------------------------------------------------------------------------------


async def test_renewed_files_are_served_without_a_restart(house: House, tmp_path: Path, authority: Authority) -> None:
    listening = Listening(house, ROLES)
    async with served(listening.https, authority.ca_file) as https, served(listening.smtp, authority.ca_file) as smtp:
        first = serial(tmp_path / "fullchain.pem")
        assert (await https(), await smtp()) == (first, first)
        tending = asyncio.create_task(listening.tend(0.01))
        install(tmp_path, authority.issue("localhost"))
        second = serial(tmp_path / "fullchain.pem")
        assert second != first
        async with asyncio.timeout(30):
            while (await https(), await smtp()) != (second, second):
                await asyncio.sleep(0.02)
        tending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await tending


def unpaired(folder: Path, other: Certificate) -> None:
    shutil.copy(other.key, folder / "privkey.pem")


def garbage(folder: Path, other: Certificate) -> None:
    (folder / "fullchain.pem").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")


def empty(folder: Path, other: Certificate) -> None:
    (folder / "privkey.pem").write_bytes(b"")


def gone(folder: Path, other: Certificate) -> None:
    (folder / "privkey.pem").unlink()


def locked(folder: Path, other: Certificate) -> None:
    """OpenSSL would ask the terminal for the password, and the server would stand still until somebody answers."""
    key = serialization.load_pem_private_key((folder / "privkey.pem").read_bytes(), None)
    password = serialization.BestAvailableEncryption(b"password")
    formats = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "privkey.pem").write_bytes(key.private_bytes(*formats, password))


BREAKS = [unpaired, garbage, empty, gone, locked]


@pytest.mark.parametrize("breaks", BREAKS)
async def test_broken_files_keep_the_old_certificate_and_are_logged_once(
    house: House, tmp_path: Path, authority: Authority, breaks: Any
) -> None:
    listening = Listening(house, ROLES)
    async with served(listening.https, authority.ca_file) as https:
        first = await https()
        with capture_logs() as logged:
            listening.refresh()
            assert logged == []
            breaks(tmp_path, authority.issue("localhost"))
            for _ in range(3):
                listening.refresh()
        assert [entry["event"] for entry in logged] == ["certificate_not_loaded"]
        assert logged[0]["log_level"] == "error" and str(tmp_path / "privkey.pem") in logged[0]["error"]
        assert await https() == first

        with capture_logs() as logged:
            install(tmp_path, authority.issue("localhost"))
            listening.refresh()
            listening.refresh()
        assert [entry["event"] for entry in logged] == ["certificate_loaded"]
        assert await https() == serial(tmp_path / "fullchain.pem") != first


@pytest.mark.parametrize("breaks", BREAKS)
async def test_broken_files_are_told_at_the_start(
    house: House, tmp_path: Path, authority: Authority, breaks: Any
) -> None:
    breaks(tmp_path, authority.issue("localhost"))
    with pytest.raises(BadSetting) as caught:
        Listening(house, ROLES)
    text = str(caught.value)
    assert text.startswith("[tls] certificate from command line: ") and "\n" not in text
    assert str(tmp_path / "privkey.pem") in text


async def test_a_broken_authority_keeps_the_old_certificate_and_is_logged_once(tmp_path: Path) -> None:
    async with open_house(configured(tmp_path)) as house:
        listening = Listening(house, ROLES)
        key = house.data_dir / "ca" / "ca.key"
        good = key.read_bytes()
        with capture_logs() as logged:
            key.write_bytes(b"nonsense")
            listening.refresh()
            listening.refresh()
            key.write_bytes(good)
            listening.refresh()
        assert [(entry["event"], str(key) in entry["error"]) for entry in logged] == [("certificate_not_loaded", True)]


async def test_our_own_certificate_is_renewed_before_it_ends(tmp_path: Path) -> None:
    """A server that runs for more than a year must not be found with a certificate that has ended."""
    async with open_house(configured(tmp_path, http__hosts="mail.example.test")) as house:
        listening = Listening(house, ROLES)
        async with served(listening.https, local.ca_file(house.data_dir)) as https:
            first = await https()
            listening.refresh()
            assert await https() == first
            old = [*certificate_hosts(house), "gone.test"]  # other names, so that it is issued now, a year ago
            local.ensure_server_certificate(house.data_dir, old, clock=lambda: local.unix_ms() - YEAR_MS)
            listening.refresh()
            pem = house.data_dir / "ca" / "server.pem"
            assert await https() == serial(pem) != first
        names = x509.load_pem_x509_certificate(pem.read_bytes()).extensions
        known = names.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
        assert {"mail.example.test", "bulk.mail.example.test", "mail.mailferry.test", "localhost"} <= set(known)
        assert "gone.test" not in known


def test_a_command_has_a_running_server_load_the_files_now(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path, authority.issue("localhost"))
    settings = {name.replace("__", "."): value for name, value in given(tmp_path).items()}
    server = Mailferry(tmp_path / "data", settings)
    for name in settings:
        monkeypatch.setenv(f"MAILFERRY_{name.replace('.', '_').upper()}", settings[name])

    def certificates(*names: str) -> tuple[int, str]:
        status = cli.run(["certificates", *names, "--data", str(server.data)])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    pem = tmp_path / "fullchain.pem"
    assert certificates() == (0, f"{pem} is right; no server runs in {server.data} that could load it.\n")
    server.start()
    try:
        first = shown_by(server, authority)
        assert first == [serial(pem)] * 2
        install(tmp_path, authority.issue("localhost"))
        assert certificates() == (0, f"{pem} is in use now.\n")
        assert shown_by(server, authority) == [serial(pem)] * 2 != first

        status, text = certificates("mail.example.test")
        assert status == 1 and "names are those of [tls] certificate" in text
        unpaired(tmp_path, authority.issue("localhost"))
        status, text = certificates()
        assert status == 1 and text.startswith("mailferry: [tls] certificate from MAILFERRY_TLS_CERTIFICATE: ")
        assert "(key values mismatch)" in text and text.count("\n") == 1
        assert shown_by(server, authority) == [serial(pem)] * 2
    finally:
        server.stop()
    assert "Traceback" not in server.log.read_text()


def shown_by(server: Mailferry, authority: Authority) -> list[int]:
    """The serial numbers that HTTPS and STARTTLS show."""
    client = ssl.create_default_context(cafile=str(authority.ca_file))
    pem = ssl.get_server_certificate(("localhost", server.https), ca_certs=str(authority.ca_file), timeout=30)
    with smtplib.SMTP("localhost", server.smtp, timeout=30) as session:
        session.starttls(context=client)
        found = session.sock.getpeercert(binary_form=True)  # type: ignore[union-attr]  # it is a TLS socket now
    return [
        x509.load_pem_x509_certificate(pem.encode()).serial_number,
        x509.load_der_x509_certificate(found).serial_number,
    ]


# --- ourselves --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["mail.mailferry.test"]),
        ({"server__public_url": "https://Ferry.example.TEST:8443/x"}, ["ferry.example.test", "mail.mailferry.test"]),
        (
            {"http__hosts": "MX.example.test, *.example.test"},
            ["*.example.test", "mail.mailferry.test", "mx.example.test"],
        ),
    ],
)
async def test_our_own_names(tmp_path: Path, settings: dict[str, str], names: Sequence[str]) -> None:
    async with open_house(configured(tmp_path, **settings)) as house:
        assert sorted(own_hosts(house)) == names


async def test_mail_is_not_sent_in_circles(tmp_path: Path) -> None:
    """RFC 5321 5.1: where we are the domain's mail host under any of our names, only hosts before us may be tried."""
    ours = {"a.test": "mail.mailferry.test", "b.test": "ferry.example.test", "c.test": "MX.example.test."}
    zone: dict[str, Any] = {domain: {"MX": f"10 {host}"} for domain, host in ours.items()}
    zone |= {"mail.mailferry.test": {"A": "127.0.0.1"}, "ferry.example.test": {"A": "127.0.0.1"}}
    settings = {"server__public_url": "https://ferry.example.test", "http__hosts": "mx.example.test"}
    async with FakeDNS(zone) as dns, running(tmp_path, dns, **settings) as server:
        await add_domain(server, dns)
        to = [{"email": f"x@{domain}"} for domain in ours]
        body = message("x@a.test", sender=f"app@{DOMAIN}") | {"to": to}
        status, _ = await asyncio.to_thread(server.post, "/api/send", body, first_run(server)["api_token"])
        assert status == 200
        bounced: list[dict[str, Any]] = []

        async with asyncio.timeout(30):
            while len(bounced) < 3:
                bounced = await ask_later(server, "messages.list", state="bounced")
                await asyncio.sleep(0.05)
        for each in bounced:
            assert "comes to this host, which does not take it" in each["reason"] + str(each["last_response"]), each
