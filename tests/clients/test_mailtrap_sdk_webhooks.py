"""The official `mailtrap` SDK's webhooks, every method of it, against a live server."""

import asyncio
import subprocess
import sys
from pathlib import Path

from tests.clients.test_mailtrap_sdk import environment
from tests.commands import ask_later, first_run, run_command
from tests.fakes.dns import FakeDNS
from tests.fakes.proxy import ConnectProxy
from tests.server import DOMAIN, add_domain, running

SCRIPT = """
import sys
import mailtrap as mt
from mailtrap.models.webhooks import CreateWebhookParams, UpdateWebhookParams

token, domain = sys.argv[1], int(sys.argv[2])
api = mt.MailtrapClient(token=token, account_id="1").webhooks_api.webhooks
assert api.get_list() == []
made = api.create(CreateWebhookParams(
    url="https://example.com/hook", webhook_type="email_sending", sending_stream="bulk",
    event_types=["delivery", "spam_complaint", "soft_bounce"], domain_id=domain))
assert len(made.signing_secret) == 32 and int(made.signing_secret, 16) >= 0, made
assert (made.url, made.active, made.payload_format, made.sending_stream, made.domain_id) == (
    "https://example.com/hook", True, "json", "bulk", domain), made
assert made.event_types == ["delivery", "spam_complaint", "soft_bounce"], made
(listed,) = api.get_list()
found = api.get_by_id(made.id)
assert found == listed and found.id == made.id and not hasattr(found, "signing_secret"), found
changed = api.update(made.id, UpdateWebhookParams(active=False, payload_format="jsonlines", event_types=["open"]))
assert (changed.active, changed.payload_format, changed.event_types) == (False, "jsonlines", ["open"]), changed
assert changed.url == made.url and changed.domain_id == domain
try:
    api.create(CreateWebhookParams(url="", webhook_type="email_sending"))
    sys.exit("it was made of nothing")
except mt.APIError as error:
    assert error.status == 422, error
    for name in ("url", "event_types", "sending_stream"):
        assert name in str(error.errors), error.errors
assert api.delete(made.id).id == made.id
try:
    api.get_by_id(made.id)
    sys.exit("it is there still")
except mt.APIError as error:
    assert (error.status, error.errors) == (404, ["Not Found"]), error
"""


async def test_every_method_of_the_sdk(tmp_path: Path) -> None:
    async with FakeDNS({}) as dns, running(tmp_path, dns) as server, ConnectProxy(server.https) as proxy:
        await add_domain(server, dns)
        issued = await asyncio.to_thread(run_command, server, "certificates", "mailtrap.io")
        assert issued.returncode == 0, issued.stderr
        (domain,) = [each for each in await ask_later(server, "domains.list") if each["domain"] == DOMAIN]
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", SCRIPT, first_run(server)["api_token"], str(domain["id"])],
            env=environment(server) | {"HTTPS_PROXY": proxy.url},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
