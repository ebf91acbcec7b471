"""The official `mailtrap` SDK keeps sending domains and their company info: every method of both, against a real server."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.commands import ask_later, first_run
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.server import DOMAIN, Mailferry, running

ZONE = {
    "mail.mailferry.test": {"A": "127.0.0.1"},
    "dest.test": {"MX": "10 mx.dest.test"},
    "mx.dest.test": {"A": "127.0.0.1"},
}

#: The SDK knows one general host, which is read when an API is asked for.
BEGIN = """
import json
import sys
import time

import mailtrap as mt
import mailtrap.client
from mailtrap.exceptions import APIError
from mailtrap.models.company_info import CreateCompanyInfoParams, UpdateCompanyInfoParams
from mailtrap.models.sending_domains import (
    CreateSendingDomainParams, SendSetupInstructionsParams, UpdateSendingDomainParams)

token, host, account, domain = sys.argv[1:]
mailtrap.client.GENERAL_HOST = host
client = mt.MailtrapClient(token=token, account_id=account)
domains = client.sending_domains_api.sending_domains
companies = client.company_info_api.company_info

def refused(status, call, *arguments):
    try:
        call(*arguments)
    except APIError as error:
        assert error.status == status, error
        return error.errors
    raise AssertionError("it was not refused")
"""
ADD = """
made = domains.create(CreateSendingDomainParams(domain_name=domain))
assert (made.domain_name, made.compliance_status, made.dns_verified, made.demo) == (domain, "unverified_dns", False, False)
assert made.permissions.can_update and made.dns_verified_at == "" and made.alert_recipient_email is None
assert refused(422, domains.create, CreateSendingDomainParams(domain_name=domain)) == [
    "base: Validation failed: Domain name has already been taken"]
assert refused(422, domains.send_setup_instructions, made.id, SendSetupInstructionsParams(email="dns@dest.test")) != []
until = time.monotonic() + 20
while (statuses := {record.status for record in domains.get_by_id(made.id).dns_records}) == {"unchecked"}:
    assert time.monotonic() < until, "nobody looked"
    time.sleep(0.05)
assert statuses == {"missing"}
print(json.dumps({"id": made.id, "records": [vars(record) for record in made.dns_records]}))
"""
KEEP = """
(listed,) = [each for each in domains.get_list() if each.domain_name == domain]
shown = domains.get_by_id(listed.id)
assert shown == listed and shown.dns_verified and shown.dns_verified_at.endswith("Z")
assert shown.compliance_status == "compliant"
assert {record.key: record.status for record in shown.dns_records} == dict.fromkeys(
    ["verification", "spf", "dkim1", "dkim2", "dmarc", "link_verification"], "pass")

changed = domains.update(shown.id, UpdateSendingDomainParams(open_tracking_enabled=False, click_tracking_enabled=True))
assert (changed.open_tracking_enabled, changed.click_tracking_enabled) == (False, True)
assert domains.get_by_id(shown.id) == changed

refused(404, companies.get, shown.id)
given = companies.create(shown.id, CreateCompanyInfoParams(
    name="Shop", address="1 Main St", city="Kyiv", country="UA", zip_code="01001", website_url="https://shop.test"))
assert (given.name, given.info_level, given.phone) == ("Shop", "business", None)
moved = companies.update(shown.id, UpdateCompanyInfoParams(city="Lviv", info_level="individual"))
assert (moved.city, moved.info_level, moved.name) == ("Lviv", "individual", "Shop")
assert companies.get(shown.id) == moved

sent = domains.send_setup_instructions(shown.id, SendSetupInstructionsParams(email="dns@dest.test"))
assert sent.message == "Instructions email has been sent successfully"
"""
DELETE = """
(shown,) = [each for each in domains.get_list() if each.domain_name == domain]
assert domains.delete(shown.id).id == shown.id
assert refused(404, domains.get_by_id, shown.id) == ["Not Found"]
assert domain not in [each.domain_name for each in domains.get_list()]
"""


async def test_the_sdk_keeps_domains_and_company_info(tmp_path: Path) -> None:
    async with FakeDNS(ZONE) as dns, FakeMX() as mx, running(tmp_path, dns, smtp_port=mx.port) as server:
        made = json.loads(await script(server, ADD))
        for record in made["records"]:
            dns.zone[record["domain"]] = {**dns.zone.get(record["domain"], {}), record["type"]: record["value"]}
        assert (await ask_later(server, "domains.verify", domain=DOMAIN))["dns_verified"]
        await ask_later(server, "domains.approve", domain=DOMAIN)

        await script(server, KEEP)
        (mail,) = await mx.received(1)
        assert (mail.sender.rpartition("@")[2], mail.recipients) == (made["records"][0]["domain"], ("dns@dest.test",))
        assert (
            f"Subject: DNS records for {DOMAIN}\r\n".encode() in mail.content
            and b"\r\nDKIM-Signature: " in mail.content
        )

        await script(server, DELETE)


async def script(server: Mailferry, text: str) -> str:
    made: dict[str, Any] = first_run(server)
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = await asyncio.to_thread(
        subprocess.run,
        [
            sys.executable,
            "-c",
            BEGIN + text,
            made["api_token"],
            f"localhost:{server.https}",
            str(made["account_id"]),
            DOMAIN,
        ],
        env=clean | {"REQUESTS_CA_BUNDLE": str(server.data / "ca" / "ca.pem")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
