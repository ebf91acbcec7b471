"""The official `mailtrap` SDK, unchanged: every public method that it has, against a live server."""

import asyncio
import json
import sys
import time
from pathlib import Path

from mailferry.resources import organizations, tokens
from mailferry.resources.permissions import ADMIN, Grant, Resource
from mailferry.store.database import open_database
from tests.clients.programs import run_program
from tests.clients.sdk_tour import NOT_YET, methods
from tests.commands import first_run, run_command
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.fakes.proxy import ConnectProxy
from tests.server import DOMAIN, Mailferry, add_domain, running

ZONE = {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}
TOUR = Path(__file__).with_name("sdk_tour.py")
NAMES = ("send.api.mailtrap.io", "bulk.api.mailtrap.io", "sandbox.api.mailtrap.io", "mailtrap.io")

#: Products of Mailtrap that are not served.
OTHER_PRODUCTS = frozenset({"inbound_api", "email_campaigns_api"})


async def test_every_method_of_the_sdk_gives_what_it_promises(tmp_path: Path) -> None:
    # All of it within seconds is more than a token may ask in them.
    async with (
        FakeDNS(ZONE) as dns,
        FakeMX() as mx,
        running(tmp_path, dns, smtp_port=mx.port, limits__api_rate=0) as server,
    ):
        organization, secret = await organize(server)
        await add_domain(server, dns)
        issued = await asyncio.to_thread(run_command, server, "certificates", *NAMES)
        assert issued.returncode == 0, issued.stderr
        arguments = [first_run(server)["api_token"], str(organization), secret, DOMAIN]
        async with ConnectProxy(server.https) as proxy:
            said = await run_program(server, [sys.executable, str(TOUR), *arguments], {"HTTPS_PROXY": proxy.url})
        told = json.loads(said)

    assert set(told["not_served"]) == NOT_YET, "what is served now must be taken out of sdk_tour.NOT_YET"
    wanted = {path for path in methods() if path.partition(".")[0] not in OTHER_PRODUCTS | NOT_YET}
    assert set(told["called"]) == wanted


def test_what_is_left_out_is_in_the_sdk() -> None:
    apis = {path.partition(".")[0] for path in methods()}
    assert apis >= OTHER_PRODUCTS | NOT_YET
    assert {"send", "batch_send", "contacts_api", "general_api", "company_info_api"} <= apis
    assert len(methods()) > 90


async def organize(server: Mailferry) -> tuple[int, str]:
    """Puts account 1 into an organization, which nothing but the database can do; returns its id and a token of it."""
    await asyncio.to_thread(server.stop)
    database = open_database("", server.data, 1)
    now = time.time_ns() // 1_000_000
    made = await database.write(lambda connection: organizations.create(connection, "Group", 1, now))
    granted = [Grant(Resource.ORGANIZATION, made, ADMIN)]
    _, secret = await database.write(
        lambda connection: tokens.create(connection, 1, "Of the group", granted, now, created_by="test")
    )
    await database.close()
    await asyncio.to_thread(server.start)
    return made, secret
