"""The strangers themselves: each starts, does its office, and leaves nothing behind. Mailferry takes no part here."""

import asyncio
import base64
import contextlib
import hashlib
import os
import smtplib
import socket
import ssl
import subprocess
import sys
import time

import dkim
import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from sqlalchemy import create_engine, text

from . import debian, npm, parts
from .fixtures import require
from .opendkim import Signer
from .postfix import without_trace
from .process import Process, is_free, scratch
from .relays import Yardstick

pytestmark = pytest.mark.peer

MESSAGE = (
    b"From: Ada <ada@sender.test>\r\nTo: bob@dest.test\r\nSubject: Strangers\r\n"
    b"Date: Tue, 24 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@sender.test>\r\n\r\nA  body \r\nof two lines\r\n"
)


# --- set-up


def test_setup_says_nothing_when_everything_is_there():
    done = subprocess.run([sys.executable, parts.CHECKOUT / "tests" / "setup.py"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_missing_part_is_named(monkeypatch):
    nowhere = parts.Part("Nowhere", ("no-such-package",), ("no-such-program",), ("no-such-program",))
    assert "Nowhere is not there" in parts.missing(nowhere)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="Nowhere"):
        require(nowhere)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root under CI can have everything")
def test_as_root_under_ci_a_missing_part_fails(monkeypatch):
    nowhere = parts.Part("Nowhere", ("no-such-package",), ("no-such-program",), ("no-such-program",))
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="Nowhere"):
        require(nowhere)


def test_apt_choice_leaves_out_what_would_break_the_system_libraries():
    simulated = (
        "Inst libc6 [2.36-9] (2.36-10 Debian:12 [amd64])\n"
        "Inst libmilter1.0.1 (8.17.1.9-2 Debian:12 [amd64])\n"
        "Inst postgresql-common (248 Debian:12 [all])\n"
        "Conf libmilter1.0.1 (8.17.1.9-2 Debian:12 [amd64])\n"
    )
    assert list(debian.chosen(simulated)) == ["libmilter1.0.1=8.17.1.9-2"]


def test_a_program_ends_with_its_stop():
    with scratch("mf-test") as folder:
        process = Process(["sleep", "600"], folder / "log", environment=os.environ)
        process.stop()
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)
    assert not folder.exists()


# --- PostgreSQL


def test_each_test_gets_a_database_of_its_own(postgres_cluster, postgres_url):
    other = postgres_cluster.create_database()
    for url in (postgres_url, other):
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE only_here (n integer)"))
        engine.dispose()
    postgres_cluster.drop_database(other)
    with pytest.raises(psycopg.OperationalError):
        postgres_cluster.connect(other.rpartition("/")[2])


def test_what_is_committed_survives_a_kill(synced_postgres_cluster):
    name = synced_postgres_cluster.create_database().rpartition("/")[2]
    with synced_postgres_cluster.connect(name) as connection:
        connection.execute("CREATE TABLE kept (n integer)")
        connection.execute("INSERT INTO kept VALUES (1)")
        synced_postgres_cluster.kill()
    synced_postgres_cluster.start_again()
    with synced_postgres_cluster.connect(name) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(1,)]
        assert connection.execute("SHOW fsync").fetchone() == ("on",)


# --- Postfix as MX


def test_the_mx_keeps_every_octet(postfix_mx):
    mx = postfix_mx("dest.test")
    head = b"From: ada@sender.test\r\nBcc: hidden@x.test\r\nSubject: caf\xc3\xa9\r\nno-space:value\r\n"
    body = b"\r\n..dots\r\n.\xff\xfe\r\n" + b"x" * 998 + b"\r\n\r\n\r\n"
    with smtplib.SMTP("127.0.0.1", mx.port) as client:
        client.sendmail("ada@sender.test", ["bob@dest.test", "eve@dest.test"], head + body, ["BODY=8BITMIME"])
    arrived = mx.wait_for(2)
    assert [without_trace(message) for message in arrived] == [head + body] * 2
    assert {b"X-Original-To: bob@dest.test", b"X-Original-To: eve@dest.test"} == {
        line for message in arrived for line in message.split(b"\n") if line.startswith(b"X-Original-To:")
    }


def test_the_mx_relays_nothing_and_knows_a_limit(postfix_mx):
    mx = postfix_mx("dest.test", message_size_limit=10_000)
    with smtplib.SMTP("127.0.0.1", mx.port) as client:
        client.ehlo()
        assert client.esmtp_features["size"] == "10000"
        client.mail("ada@sender.test")
        assert client.rcpt("bob@elsewhere.test")[0] == 554
    assert mx.messages() == []


def test_the_mx_offers_starttls(postfix_mx, authority):
    mx = postfix_mx("dest.test", tls=True)
    with smtplib.SMTP("127.0.0.1", mx.port) as client:
        client.starttls(context=ssl.create_default_context(cafile=str(authority.ca_file)))
        client.sendmail("ada@sender.test", ["bob@dest.test"], MESSAGE)
    assert b"TLSv1.3" in mx.wait_for(1)[0]


def test_a_stopped_postfix_leaves_its_port_and_folder(postfix_mx):
    mx = postfix_mx("dest.test")
    assert not is_free(mx.port)
    mx.stop()
    # The master is gone; its smtpd processes share the listening socket and end a moment later, on a busy machine too.
    until = time.monotonic() + 10
    while not is_free(mx.port):
        assert time.monotonic() < until, mx.port
        time.sleep(0.05)
    assert not mx.folder.exists()


# --- Postfix as a client of a submission server


async def test_the_smarthost_client_authenticates_under_tls(postfix_client, authority):
    issued = authority.issue("localhost", "127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(issued.certificate, issued.key)
    server = Submission(context)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        client = postfix_client(port, username="api", password="tok en:1", ca_file=authority.ca_file)
        await asyncio.to_thread(client.sendmail, MESSAGE.replace(b"\r\n", b"\n"), "ada@sender.test", ["bob@dest.test"])
        content = await server.arrived()
    assert server.secured == "TLSv1.3"
    assert server.credentials == b"\0api\0tok en:1"
    assert content.endswith(b"A  body \r\nof two lines\r\n")
    assert b"Subject: Strangers\r\n" in content


async def test_the_smarthost_client_keeps_its_mail_from_a_server_it_does_not_know(postfix_client, authority):
    issued = authority.issue("other.test")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(issued.certificate, issued.key)
    server = Submission(context)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        client = postfix_client(port, username="api", password="token", ca_file=authority.ca_file)
        await asyncio.to_thread(client.sendmail, MESSAGE, "ada@sender.test", ["bob@dest.test"])
        await asyncio.to_thread(client.wait_for_log, "status=deferred")
    assert "bob@dest.test" in client.queue()
    assert server.credentials == b""


class Submission:
    """The least of a submission server: STARTTLS, then AUTH PLAIN, then one message."""

    def __init__(self, context: ssl.SSLContext):
        self._context = context
        self._content = asyncio.get_running_loop().create_future()
        self.secured = ""
        self.credentials = b""

    async def arrived(self) -> bytes:
        return await self._content

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            writer.write(b"220 submission.test ESMTP\r\n")
            while line := await reader.readline():
                await self._command(line, reader, writer)
        writer.close()

    async def _command(self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        verb = line.split()[0].upper()
        if verb == b"EHLO":
            writer.write(b"250-submission.test\r\n250 " + (b"AUTH PLAIN" if self.secured else b"STARTTLS") + b"\r\n")
        elif verb == b"STARTTLS":
            writer.write(b"220 Go on\r\n")
            await writer.start_tls(self._context)
            self.secured = writer.get_extra_info("ssl_object").version()
        elif verb == b"AUTH":
            self.credentials = base64.b64decode(line.split()[2])
            writer.write(b"235 Welcome\r\n")
        elif verb == b"DATA":
            writer.write(b"354 Go on\r\n")
            content = await reader.readuntil(b"\r\n.\r\n")
            self._content.set_result(content.removesuffix(b".\r\n"))
            writer.write(b"250 Ok\r\n")
        else:
            writer.write(b"250 Ok\r\n")


# --- clients and judges


def test_swaks_sends(postfix_mx, run_swaks):
    mx = postfix_mx("dest.test", tls=True)
    arguments = ["--server", f"127.0.0.1:{mx.port}", "--to", "bob@dest.test", "--from", "ada@sender.test"]
    said = run_swaks(*arguments, "--tls", "--data", "-", body=MESSAGE)
    assert said.code == 0, said.transcript
    assert "TLS started with cipher TLSv1.3" in said.transcript
    assert without_trace(mx.wait_for(1)[0]).startswith(b"From: Ada <ada@sender.test>\r\n")
    refused = run_swaks(*arguments, "--to", "bob@elsewhere.test")
    assert refused.code != 0 and "Relay access denied" in refused.transcript


def signed() -> tuple[bytes, dict[str, str]]:
    """MESSAGE under an RSA signature by dkimpy and an Ed25519 signature, and their keys as they would be published."""
    rsa, ed25519 = generate_private_key(65537, 2048), Ed25519PrivateKey.generate()
    pem = rsa.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    first = dkim.sign(MESSAGE, b"r", b"sender.test", pem, canonicalize=(b"relaxed", b"relaxed"))
    der = rsa.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    raw = ed25519.public_key().public_bytes_raw()
    keys = {
        "r._domainkey.sender.test": f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}",
        "e._domainkey.sender.test": f"v=DKIM1; k=ed25519; p={base64.b64encode(raw).decode()}",
    }
    return first + ed25519_signature(ed25519) + MESSAGE, keys


def ed25519_signature(key: Ed25519PrivateKey) -> bytes:
    """By hand, in the canonicalisation that changes nothing (RFC 6376 3.4.1): dkimpy needs one more library for it."""
    head, _, body = MESSAGE.partition(b"\r\n\r\n")
    hashed = base64.b64encode(hashlib.sha256(body).digest())
    field = b"DKIM-Signature: v=1; a=ed25519-sha256; c=simple/simple; d=sender.test; s=e; h=From; bh=%b; b=" % hashed
    # RFC 8463 3: what Ed25519 signs is the digest.
    covered = hashlib.sha256(head.split(b"\r\n")[0] + b"\r\n" + field).digest()
    return field + base64.b64encode(key.sign(covered)) + b"\r\n"


def test_mailauth_judges_each_signature(mailauth_verify):
    message, keys = signed()
    good = mailauth_verify(message, keys)
    assert [(found.selector, found.algorithm, found.result) for found in good] == [
        ("r", "rsa-sha256", "pass"),
        ("e", "ed25519-sha256", "pass"),
    ]
    assert "pass" not in {found.result for found in mailauth_verify(message.replace(b"two", b"too"), keys)}
    swapped = dict(zip(keys, reversed(keys.values()), strict=True))
    assert "pass" not in {found.result for found in mailauth_verify(message, swapped)}
    assert mailauth_verify(MESSAGE, keys) == []


def test_opendkim_judges_rsa(opendkim_verify):
    message, keys = signed()
    assert opendkim_verify(message, keys)
    assert not opendkim_verify(message.replace(b"two", b"too"), keys)
    assert not opendkim_verify(message, {})
    assert not opendkim_verify(MESSAGE, keys)


def test_the_yardstick_signs_what_passes_through(postfix_mx, opendkim_verify):
    mx = postfix_mx("dest.test")
    with Signer("sender.test") as signer, Yardstick(mx.port, milter=signer.socket) as relay:
        with smtplib.SMTP("127.0.0.1", relay.port) as client:
            client.sendmail("ada@sender.test", ["bob@dest.test"], MESSAGE)
        arrived = without_trace(mx.wait_for(1)[0])
        assert opendkim_verify(arrived, signer.keys())


def test_mailauth_needs_no_network():
    # The lock names no registry, and the resolver is handed in: nothing in a verification may ask the world.
    script = (npm.JUDGES.source / "verify.cjs").read_text()
    assert "resolver" in script and "node:dns" not in script
    for packages in npm.ALL:
        assert "resolved" not in (packages.source / "package-lock.json").read_text()


def test_ports_are_loopback_only(postfix_mx):
    mx = postfix_mx("dest.test")
    outward = {found[4][0] for found in socket.getaddrinfo(socket.gethostname(), None)} - {"127.0.0.1", "::1"}
    for address in outward:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.settimeout(2)
            with pytest.raises(OSError):
                probe.connect((address, mx.port))
