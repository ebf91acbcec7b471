"""A Postfix that sends all its mail through Mailferry: SASL inside STARTTLS, the certificate checked by name."""

import asyncio
from pathlib import Path
from typing import Any

from tests.commands import ask_later, first_run
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.peers.relays import SmarthostClient
from tests.server import DOMAIN, Mailferry, add_domain, running

ZONE = {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}
#: Complete, so that Postfix adds nothing but its Received field.
HEAD = f"From: app@{DOMAIN}\r\nTo: {{to}}\r\nSubject: {{name}}\r\nDate: Tue, 24 Nov 2026 07:00:00 +0000\r\nMessage-ID: <{{name}}@{DOMAIN}>\r\n"
MIME = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"


def written(name: str, to: str = "a@dest.test", more: str = "", body: str = "Hello\r\n.\r\n..dots\r\n") -> bytes:
    return (HEAD.format(name=name, to=to) + more + "\r\n" + body).encode()


PLAIN = written("plain")
EIGHT = written("eight", more=MIME, body="Größe  \t mit  Lücken \r\n\r\n")
SEVERAL = written("several", to="a@dest.test, b@dest.test")
#: A client that leaves its Bcc field in: who is named there must not be told to the others.
BLIND = written("blind", more="Bcc: c@dest.test\r\n")
WITHOUT_BCC = written("blind")
FOREIGN = PLAIN.replace(DOMAIN.encode(), b"foreign.test")


async def test_a_smarthost_client_sends_plain_eight_bit_several_and_blind_copies(
    tmp_path: Path, postfix_client: Any
) -> None:
    async with FakeDNS(ZONE) as dns, FakeMX() as mx, running(tmp_path, dns, smtp_port=mx.port) as server:
        await add_domain(server, dns)
        client = await asyncio.to_thread(connect, server, postfix_client, "api")
        for message, recipients in (
            (PLAIN, ["a@dest.test"]),
            (EIGHT, ["a@dest.test"]),
            (SEVERAL, ["a@dest.test", "b@dest.test", "c@dest.test"]),
            (BLIND, ["a@dest.test", "c@dest.test"]),
        ):
            await asyncio.to_thread(send, client, message, recipients)
        got = await mx.received(7)

        arrived: dict[str, list[bytes]] = {}
        for each in got:
            (recipient,) = each.recipients
            arrived.setdefault(name_of(each.content), []).append(each.content)
            if name_of(each.content) in ("several", "blind") and recipient != "c@dest.test":
                assert b"c@dest.test" not in each.content
        for message in (PLAIN, EIGHT, SEVERAL, WITHOUT_BCC):
            contents = arrived[name_of(message)]
            assert len(set(contents)) == 1
            assert contents[0].endswith(message), contents[0]
            added = contents[0].removesuffix(message)
            # Two signatures and our own trace on top of Postfix's: nothing else is added, nothing is changed.
            fields = [line.split(b":")[0] for line in added.split(b"\r\n") if line and line[:1] not in b" \t"]
            assert fields == [b"DKIM-Signature"] * 2 + [b"Received"] * 2
            assert b"\r\nReceived: by mail.mailferry.test with ESMTP id " in added
        assert {name: len(contents) for name, contents in arrived.items()} == {
            "plain": 1,
            "eight": 1,
            "several": 3,
            "blind": 2,
        }
        log = await asyncio.to_thread(client.wait_for_log, "Verified TLS connection established")
        assert "Untrusted TLS connection" not in log

        await asyncio.to_thread(send, client, FOREIGN, ["a@dest.test"], "app@foreign.test")
        log = await asyncio.to_thread(client.wait_for_log, "status=bounced")
        assert "said: 5" in log.partition("status=bounced")[2].partition("\n")[0]
        streams = {entry["stream"] for entry in await ask_later(server, "messages.list")}
        assert streams == {"transactional"} and len(mx.transactions) == 7


async def test_a_smarthost_client_sends_bulk_to_a_postfix(tmp_path: Path, postfix_client: Any, postfix_mx: Any) -> None:
    mx = await asyncio.to_thread(postfix_mx, "dest.test", tls=True)
    async with FakeDNS(ZONE) as dns, running(tmp_path, dns, smtp_port=mx.port) as server:
        await add_domain(server, dns)
        client = await asyncio.to_thread(connect, server, postfix_client, "bulk")
        await asyncio.to_thread(send, client, EIGHT, ["a@dest.test", "b@dest.test"])
        for raw in await asyncio.to_thread(mx.wait_for, 2):
            assert raw.endswith(EIGHT.replace(b"\r\n", b"\n"))
        streams = {entry["stream"] for entry in await ask_later(server, "messages.list")}
        assert streams == {"bulk"}


def connect(server: Mailferry, postfix_client: Any, username: str) -> SmarthostClient:
    client: SmarthostClient = postfix_client(
        server.smtp,
        username=username,
        password=first_run(server)["api_token"],
        ca_file=server.data / "ca" / "ca.pem",
        extra={"message_drop_headers": ""},
    )
    return client


def send(client: SmarthostClient, message: bytes, recipients: list[str], sender: str = f"app@{DOMAIN}") -> None:
    client.sendmail(message.replace(b"\r\n", b"\n"), sender, recipients)


def name_of(message: bytes) -> str:
    return message.partition(b"Subject: ")[2].partition(b"\r\n")[0].decode()
