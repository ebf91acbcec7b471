"""The official `mailtrap` SDK with nothing changed but host and certificate, and its names once DNS sends them here."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from tests.commands import ask_later, first_run, run_command
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.fakes.proxy import ConnectProxy
from tests.server import DOMAIN, Mailferry, add_domain, running

ZONE = {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}

#: What each script begins with; `client` is made by the line that the test adds.
BEGIN = f"""
import sys
import mailtrap as mt

token, host = sys.argv[1:]
sender = mt.Address(email="app@{DOMAIN}", name="Größe & Co")

def mail(to):
    return mt.Mail(sender=sender, to=[mt.Address(email=to)], subject=to, text="1", category="c")

def batch(*to):
    return mt.BatchSendEmailParams(
        base=mt.BatchMail(sender=sender, subject="Batch", text="2"),
        requests=[mt.BatchEmailRequest(to=[mt.Address(email=address)]) for address in to])
"""
ONE_AND_A_BATCH = """
client = mt.MailtrapClient(token=token, api_host=host)
one = client.send(mail("one@dest.test"))
assert one["success"] and len(one["message_ids"]) == 1, one
many = client.batch_send(batch("a@dest.test", "b@dest.test", "c@dest.test"))
assert many["success"] and all(answer["success"] for answer in many["responses"]), many
"""
#: The SDK joins "https://", its host and "/api/send", so a host may carry the prefix.
BULK_BY_PREFIX = """
client = mt.MailtrapClient(token=token, api_host=f"{host}/bulk", bulk=True)
assert client.send(mail("prefix@dest.test"))["success"]
assert client.batch_send(batch("prefixes@dest.test"))["responses"][0]["success"]
"""
BULK_BY_NAME = """
client = mt.MailtrapClient(token=token, api_host=f"bulk.{host}")
assert client.send(mail("label@dest.test"))["success"]
assert client.batch_send(batch("labels@dest.test"))["responses"][0]["success"]
"""
#: Not even the host is given: the SDK calls Mailtrap's names, and DNS sends them here.
UNCHANGED = """
assert mt.MailtrapClient(token=token).send(mail("unchanged@dest.test"))["success"]
client = mt.MailtrapClient(token=token, bulk=True)
assert client.send(mail("bulk@dest.test"))["success"]
assert client.batch_send(batch("bulks@dest.test"))["responses"][0]["success"]
logs = mt.MailtrapClient(token=token, account_id="1").email_logs_api.email_logs.get_list()
assert {entry.to for entry in logs.messages} >= {"unchanged@dest.test", "bulk@dest.test"}, logs
"""
REFUSED = """
try:
    mt.MailtrapClient(token="0" * 32, api_host=host).send(mail("never@dest.test"))
    sys.exit("a wrong token was taken")
except mt.AuthorizationError as error:
    assert error.errors == ["Unauthorized"], error
caught = mt.MailtrapClient(token=token, sandbox=True, inbox_id="1").send(mail("never@dest.test"))
assert caught["success"] and len(caught["message_ids"]) == 1 and caught["message_ids"][0].isdecimal(), caught
"""

TRANSACTIONAL = {f"{name}@dest.test" for name in ("one", "a", "b", "c", "unchanged")}
BULK = {f"{name}@dest.test" for name in ("prefix", "prefixes", "label", "labels", "bulk", "bulks")}
NAMES = ("send.api.mailtrap.io", "bulk.api.mailtrap.io", "sandbox.api.mailtrap.io", "mailtrap.io")


async def test_the_sdk_sends_one_a_batch_and_bulk(tmp_path: Path) -> None:
    async with (
        FakeDNS(ZONE) as dns,
        FakeMX() as mx,
        running(tmp_path, dns, smtp_port=mx.port) as server,
        ConnectProxy(server.https) as proxy,
    ):
        await add_domain(server, dns)
        issued = await asyncio.to_thread(run_command, server, "certificates", *NAMES)
        assert issued.returncode == 0, issued.stderr
        host = f"localhost:{server.https}"
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", BEGIN + ONE_AND_A_BATCH + BULK_BY_PREFIX, first_run(server)["api_token"], host],
            env=environment(server),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        # What resolves nowhere on this machine goes through the proxy: bulk.localhost and Mailtrap's own names.
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", BEGIN + BULK_BY_NAME + UNCHANGED + REFUSED, first_run(server)["api_token"], host],
            env=environment(server) | {"HTTPS_PROXY": proxy.url},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert set(proxy.asked) == {host, f"bulk.{host}", *(f"{name}:443" for name in NAMES)}

        got = await mx.received(len(TRANSACTIONAL | BULK))
        assert {t.recipients[0] for t in got} == TRANSACTIONAL | BULK
        # Nothing else was taken: not with a wrong token, and what an inbox caught goes nowhere.
        streams = {entry["to"]: entry["stream"] for entry in await ask_later(server, "messages.list")}
        assert streams == dict.fromkeys(TRANSACTIONAL, "transactional") | dict.fromkeys(BULK, "bulk")


def environment(server: Mailferry) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return clean | {"REQUESTS_CA_BUNDLE": str(server.data / "ca" / "ca.pem")}
