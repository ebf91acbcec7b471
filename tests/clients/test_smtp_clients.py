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


async def test_an_inbox_catches_what_its_user_sends(tmp_path: Path, run_swaks: Callable[..., Said]) -> None:
    """swaks with each mechanism, and smtplib, which chooses: CRAM-MD5 in clear, PLAIN behind TLS."""

    def submit(server: Mailferry, user: str, password: str) -> None:
        for secure in (False, True):
            with smtplib.SMTP("localhost", server.smtp, timeout=60) as client:
                if secure:
                    client.starttls(context=ssl.create_default_context(cafile=str(server.data / "ca" / "ca.pem")))
                client.login(user, password)
                # No sending domain is asked for, and who is in no field was a Bcc.
                client.sendmail("any@where.test", ["a@dest.test", "hidden@dest.test"], TEXT.encode())

    async with FakeDNS(ZONE) as dns, running(tmp_path, dns) as server:
        made = first_run(server)
        inbox, token = made["sandbox"], made["api_token"]
        there = ["--server", f"localhost:{server.smtp}", "--from", "any@where.test", "--to", "a@dest.test,b@dest.test"]
        secret = ["--auth-user", inbox["username"], "--auth-password", inbox["password"]]
        trust = ["--tls", "--tls-verify", "--tls-ca-path", str(server.data / "ca" / "ca.pem")]
        for mechanism, secured in (("CRAM-MD5", []), ("PLAIN", trust), ("LOGIN", trust)):
            said = await asyncio.to_thread(run_swaks, *there, *secured, "--auth", mechanism, *secret)
            assert said.code == 0, said.transcript
        await asyncio.to_thread(submit, server, inbox["username"], inbox["password"])
        path = f"/api/accounts/1/inboxes/{inbox['inbox_id']}/messages"
        _, listed = await asyncio.to_thread(server.request, "GET", path, token)
        assert len(listed) == 5
        assert listed[0]["smtp_information"]["data"]["rcpt_to_addrs"] == ["a@dest.test", "hidden@dest.test"]
        _, header = await asyncio.to_thread(server.request, "GET", f"{path}/{listed[0]['id']}/mail_headers", token)
        assert header["headers"]["bcc"] == "hidden@dest.test"
        assert await ask_later(server, "messages.list") == []
