"""The official `mailtrap` SDK's suppressions, every method of it, against a live server."""

import asyncio
import subprocess
import sys
from pathlib import Path

from tests.clients.test_mailtrap_sdk import environment
from tests.commands import ask_later, first_run, run_command
from tests.fakes.dns import FakeDNS
from tests.fakes.proxy import ConnectProxy
from tests.server import DOMAIN, add_domain, running

SCRIPT = f"""
import sys
from datetime import datetime, timezone
import mailtrap as mt
from mailtrap.models.suppressions import CreateSuppressionParams

token, domain = sys.argv[1], int(sys.argv[2])
api = mt.MailtrapClient(token=token, account_id="1").suppressions_api.suppressions
assert api.get_list() == []
made = api.create(CreateSuppressionParams(email="Ann@Dest.test", domain_id=domain, sending_stream="bulk"))
assert (made.email, made.type, made.sending_stream, made.domain_name) == (
    "ann@dest.test", "manual import", "bulk", "{DOMAIN}"), made
assert abs((datetime.now(timezone.utc) - made.created_at).total_seconds()) < 60
other = api.create(CreateSuppressionParams("bob@dest.test", domain, "transactional", "spam complaint"))
assert [each.email for each in api.get_list()] == ["bob@dest.test", "ann@dest.test"]
assert api.get_list(email="ANN@dest.test") == [made] and api.get_list(email="x@dest.test") == []
try:
    api.create(CreateSuppressionParams(email="ann@dest.test", domain_id=domain, sending_stream="bulk"))
    sys.exit("it was made twice")
except mt.APIError as error:
    assert error.status == 422 and "email" in str(error.errors), error
assert api.delete(made.id) == made
try:
    api.delete(made.id)
    sys.exit("it was deleted twice")
except mt.APIError as error:
    assert (error.status, error.errors) == (404, ["Not Found"]), error
assert api.get_list() == [other]
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
        (standing,) = await ask_later(server, "suppressions.list")
        assert (standing["email"], standing["type"]) == ("bob@dest.test", "spam complaint")
