"""The official `mailtrap` SDK, smtplib and swaks, with nothing changed but host and certificate."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.server import DOMAIN, add_domain, running, submit

ZONE = {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}

SDK = """
import sys
import mailtrap as mt

token, host = sys.argv[1:]
sender = mt.Address(email="app@sender.test", name="Größe & Co")
client = mt.MailtrapClient(token=token, api_host=host)
one = client.send(mt.Mail(sender=sender, to=[mt.Address(email="one@dest.test")], subject="One", text="1", category="c"))
assert one["success"] and len(one["message_ids"]) == 1, one
batch = client.batch_send(mt.BatchSendEmailParams(
    base=mt.BatchMail(sender=sender, subject="Batch", text="2"),
    requests=[mt.BatchEmailRequest(to=[mt.Address(email=f"batch{n}@dest.test")]) for n in range(3)]))
assert batch["success"] and all(r["success"] for r in batch["responses"]), batch
"""


async def test_the_sdk_sends_one_and_a_batch(tmp_path: Path) -> None:
    async with FakeDNS(ZONE) as dns, FakeMX() as mx, running(tmp_path, dns, smtp_port=mx.port) as server:
        await add_domain(server, dns)
        found = server.credentials
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", SDK, found["api_token"], f"localhost:{server.https}"],
            env=os.environ | {"REQUESTS_CA_BUNDLE": found["ca_file"]},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        got = await mx.received(4)
        assert {t.recipients[0] for t in got} == {"one@dest.test", *(f"batch{n}@dest.test" for n in range(3))}


async def test_smtplib_submits_over_starttls(tmp_path: Path) -> None:
    async with FakeDNS(ZONE) as dns, FakeMX() as mx, running(tmp_path, dns, smtp_port=mx.port) as server:
        await add_domain(server, dns)
        text = f"From: app@{DOMAIN}\r\nTo: a@dest.test\r\nSubject: S\r\nX-MT-Category: c\r\n\r\nHello\r\n"
        await asyncio.to_thread(submit, server, text.encode())
        (got,) = await mx.received(1)
        assert b"X-MT-Category" not in got.content and got.content.endswith(b"\r\n\r\nHello\r\n")
        assert server.command("messages", "list")[0]["subject"] == "S"


async def test_swaks_submits(tmp_path: Path, run_swaks: Callable[..., Any]) -> None:
    async with FakeDNS(ZONE) as dns, FakeMX() as mx, running(tmp_path, dns, smtp_port=mx.port) as server:
        await add_domain(server, dns)
        arguments = ["--server", f"127.0.0.1:{server.smtp}", "--tls", "--auth", "PLAIN", "--auth-user", "bulk"]
        arguments += [
            "--auth-password",
            server.credentials["api_token"],
            "--from",
            f"app@{DOMAIN}",
            "--to",
            "a@dest.test",
        ]
        said = await asyncio.to_thread(run_swaks, *arguments)
        await mx.received(1)
        assert server.command("messages", "list")[0]["stream"] == "bulk", said
