"""smtplib and swaks submit to both streams: STARTTLS and implicit TLS checked against the local authority, PLAIN and LOGIN."""

import asyncio
import smtplib
import ssl
from collections.abc import Callable
from pathlib import Path

from tests.commands import ask_later, first_run
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.peers.process import free_port
from tests.peers.swaks import Said
from tests.server import DOMAIN, Mailferry, add_domain, running

ZONE = {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}
TEXT = f"From: app@{DOMAIN}\r\nTo: a@dest.test\r\nSubject: S\r\nX-MT-Category: c\r\n\r\nGrüße\r\n"


async def test_smtplib_submits_to_both_streams(tmp_path: Path) -> None:
    implicit = free_port()

    def submit(server: Mailferry, token: str) -> None:
        trusted = ssl.create_default_context(cafile=str(server.data / "ca" / "ca.pem"))
        with smtplib.SMTP("localhost", server.smtp, timeout=60) as client:
            client.starttls(context=trusted)
            client.login("api", token)
            client.sendmail(f"app@{DOMAIN}", ["api@dest.test"], TEXT.encode(), mail_options=["BODY=8BITMIME"])
        with smtplib.SMTP_SSL("localhost", implicit, timeout=60, context=trusted) as client:
            client.user, client.password = "bulk", token  # type: ignore[assignment]  # smtplib's, as login() sets them
            client.ehlo()
            client.auth("LOGIN", client.auth_login)
            refused = client.sendmail(f"app@{DOMAIN}", ["bulk@dest.test", "b@dest.test"], TEXT.encode())
            assert refused == {}

    listen = ",".join((f"127.0.0.1:{free_port()}", f"tls://127.0.0.1:{implicit}"))
    async with (
        FakeDNS(ZONE) as dns,
        FakeMX() as mx,
        running(tmp_path, dns, smtp_port=mx.port, smtp__listen=listen) as server,
    ):
        server.smtp = int(listen.split(",")[0].rpartition(":")[2])
        await add_domain(server, dns)
        await asyncio.to_thread(submit, server, first_run(server)["api_token"])
        got = await mx.received(3)
        assert all(b"X-MT-Category" not in t.content and t.content.endswith("\r\n\r\nGrüße\r\n".encode()) for t in got)
        streams = {entry["to"]: entry["stream"] for entry in await ask_later(server, "messages.list")}
        assert streams == {"api@dest.test": "transactional", "bulk@dest.test": "bulk", "b@dest.test": "bulk"}


async def test_swaks_submits_to_both_streams(tmp_path: Path, run_swaks: Callable[..., Said]) -> None:
    async with FakeDNS(ZONE) as dns, FakeMX() as mx, running(tmp_path, dns, smtp_port=mx.port) as server:
        await add_domain(server, dns)
        secret = ["--auth-password", first_run(server)["api_token"]]
        there = ["--server", f"localhost:{server.smtp}", "--from", f"app@{DOMAIN}"]
        # The line that `mailferry certificates` prints for swaks.
        trust = ["--tls", "--tls-verify", "--tls-ca-path", str(server.data / "ca" / "ca.pem")]
        for user, mechanism in (("api", "PLAIN"), ("bulk", "LOGIN")):
            auth = ["--auth", mechanism, "--auth-user", user, *secret, "--to", f"{user}@dest.test"]
            said = await asyncio.to_thread(run_swaks, *there, *trust, *auth)
            assert said.code == 0, said.transcript
        said = await asyncio.to_thread(
            run_swaks, *there, "--auth", "PLAIN", "--auth-user", "api", *secret, "--to", "x@y"
        )
        assert said.code == 28, said.transcript  # swaks: AUTH was not to be had
        await mx.received(2)
        streams = {entry["to"]: entry["stream"] for entry in await ask_later(server, "messages.list")}
        assert streams == {"api@dest.test": "transactional", "bulk@dest.test": "bulk"}
