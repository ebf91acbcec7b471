"""A real Postfix as the recipient's MX: what arrives is byte for byte what was prepared, and strangers verify it."""

import asyncio
from pathlib import Path
from typing import Any

import dkim

from tests.fakes.dns import FakeDNS
from tests.peers.postfix import without_trace
from tests.server import DOMAIN, add_domain, dkim_keys, running, submit

HEAD = f"From: app@{DOMAIN}\r\nTo: a@dest.test\r\nSubject: {{}}\r\nMIME-Version: 1.0\r\n"
PARTS = "--b\r\nContent-Type: text/plain\r\n\r\none\r\n.\r\n..two\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n--b--\r\n"
MESSAGES = {
    "plain": HEAD.format("plain").encode() + b"\r\nHello\r\n.hidden dot\r\n",
    "multipart": HEAD.format("multipart").encode()
    + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    + PARTS.encode(),
    "eight": HEAD.format("eight").encode()
    + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    + "Größe  \t mit  Lücken \r\n\r\n\r\n".encode(),
    "long": HEAD.format("long").encode() + b"\r\n" + b"x" * 998 + b"\r\n",
    "large": HEAD.format("large").encode() + b"\r\n" + (b"0123456789" * 7 + b"\r\n") * 140_000,
}


async def test_postfix_gets_what_was_prepared_and_strangers_verify_it(
    tmp_path: Path, postfix_mx: Any, mailauth_verify: Any
) -> None:
    mx = await asyncio.to_thread(postfix_mx, "dest.test", tls=True)
    zone = {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}
    async with FakeDNS(zone) as dns, running(tmp_path, dns, smtp_port=mx.port) as server:
        await add_domain(server, dns)
        await asyncio.to_thread(submit, server, *MESSAGES.values())
        arrived = await asyncio.to_thread(mx.wait_for, len(MESSAGES), 60)
        keys = dkim_keys(dns)

    def lookup(name: bytes, timeout: float = 5) -> bytes | None:
        return keys.get(name.decode().rstrip("."), "").encode() or None

    assert len(keys) == 2
    for raw in arrived:
        got = without_trace(raw)
        name = got.split(b"Subject: ")[1].split(b"\r\n")[0].decode()
        # Nothing but fields in front of what was sent: two signatures, Received, Date and Message-ID.
        assert got.endswith(MESSAGES[name]), name
        added = got.removesuffix(MESSAGES[name])
        fields = [line.split(b":")[0] for line in added.split(b"\r\n") if line and line[:1] not in b" \t"]
        assert fields == [b"DKIM-Signature"] * 2 + [b"Received", b"Date", b"Message-ID"], name
        results = await asyncio.to_thread(mailauth_verify, got, keys)
        assert [(each.result, each.algorithm) for each in results] == [
            ("pass", "rsa-sha256"),
            ("pass", "ed25519-sha256"),
        ], name
        assert dkim.DKIM(got).verify(idx=0, dnsfunc=lookup), name
