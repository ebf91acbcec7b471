"""Key pairs by an operator: made, taken over from Amazon, switched off and on, ended; no secret is told twice."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from mailferry.cli import keys as cli
from mailferry.cli.options import Where
from mailferry.endpoints.operations.tools import Tools
from mailferry.resources import aws_regions
from mailferry.resources.access_keys import AccessKeys, region_of
from mailferry.resources.aws_regions import smtp_password
from mailferry.resources.permissions import ADMIN, NONE, VIEWER, Resource
from mailferry.store.database import Database
from mailferry.store.schema import access_keys, audit_log
from tests.commands import run_command
from tests.conftest import Clock
from tests.fakes.dns import FakeDNS
from tests.operator_tools import FIRST, SEALER, SECOND, Operator, two_accounts
from tests.server import running

#: Of Amazon's own examples; the passwords are what Amazon's script derives.
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
PASSWORDS = {
    "us-east-1": "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9",
    "eu-west-1": "BMW5RDrXmmVs0lV7GpI4oLkHXpZ4stDsk6q91z1g38Pk",
}
PAIR = {"key_id": "AKIAIOSFODNN7EXAMPLE", "secret": SECRET}


class KeyOperator(Operator):
    def __init__(self, tools: Tools, keys: AccessKeys) -> None:
        super().__init__(tools)
        self.keys = keys


@pytest.fixture
async def operator(database: Database, clock: Clock) -> AsyncIterator[KeyOperator]:
    keys = AccessKeys(database, SEALER, clock, clock)
    async with two_accounts(database, clock, forget_keys=keys.forget) as tools:
        yield KeyOperator(tools, keys)


@pytest.mark.parametrize("region", PASSWORDS)
def test_passwords_are_those_of_amazon(region: str) -> None:
    assert smtp_password(SECRET, region) == PASSWORDS[region]


def test_a_password_of_any_region_is_known_by_its_region() -> None:
    assert {"us-east-1", "ap-southeast-7", "cn-north-1", "us-gov-west-1", "eusc-de-east-1"} <= set(aws_regions.names())
    assert "aws-global" not in aws_regions.names()
    for region in aws_regions.names():
        assert region_of(SECRET, smtp_password(SECRET, region)) == region
    for wrong in ("", SECRET, "ü\ud800", smtp_password(SECRET, "mars-1"), smtp_password("other", "us-east-1")):
        assert region_of(SECRET, wrong) == ""


async def test_a_key_may_do_what_was_named(operator: KeyOperator) -> None:
    shop = await operator.ask("domains.add", domain="shop.test")
    made = await operator.ask("keys.create", name="shop", access=["domain:shop.test=admin", "templates=viewer"])
    assert made["access"] == ["domain:shop.test=admin", "templates=viewer"] and len(made["access_key_id"]) == 20
    found = await operator.keys.key(made["access_key_id"])
    assert found is not None and (found.secret, found.account_id) == (made["secret_access_key"], FIRST)
    assert found.rights.account == NONE and found.rights.on(Resource.DOMAIN, shop["id"]) == ADMIN
    assert found.rights.on(Resource.TEMPLATES, FIRST) == VIEWER
    assert "no access" in await operator.mistake("keys.create", name="x", access=["root"])


async def test_a_pair_of_amazons_is_taken_over_once(operator: KeyOperator, database: Database) -> None:
    made = await operator.ask("keys.create", name="theirs", access=["account=admin"], account=SECOND, **PAIR)
    assert (made["access_key_id"], made["secret_access_key"]) == (PAIR["key_id"], SECRET)
    found = await operator.keys.key(PAIR["key_id"])
    assert found is not None and (found.secret, found.account_id) == (SECRET, SECOND)
    (row,) = await database.read(lambda connection: connection.execute(select(access_keys)).all())
    assert SECRET.encode() not in bytes(row.secret_sealed)
    told = await operator.mistake("keys.create", name="again", access=["account=admin"], **PAIR)
    assert told == f"there is a key pair {PAIR['key_id']} already; mailferry keys list shows them"
    (listed,) = await operator.ask("keys.list")
    assert SECRET not in str(listed) and listed["last_used_at"] is None
    assert await operator.ask("keys.smtp_password", key=PAIR["key_id"], region="eu-west-1") == {
        "smtp_username": PAIR["key_id"],
        "smtp_password": PASSWORDS["eu-west-1"],
        "region": "eu-west-1",
    }


WRONG = {
    "no id": ({"key_id": "", "secret": SECRET}, "is no id of an access key"),
    "a short id": ({"key_id": "AKIA", "secret": SECRET}, "is no id of an access key"),
    "an odd id": ({"key_id": "AKIA/OSFODNN7EXAMPL", "secret": SECRET}, "is no id of an access key"),
    "an id in small letters": ({"key_id": "akiaiosfodnn7example", "secret": SECRET}, "is no id of an access key"),
    "no secret": ({"key_id": PAIR["key_id"], "secret": ""}, "a secret access key is 16 to 128 printable"),
    "a secret in two lines": ({"key_id": PAIR["key_id"], "secret": f"{SECRET}\n{SECRET}"}, "a secret access key is"),
    "a name that is no user's": ({"name": "two words"}, "a key's name is a user's"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_is_no_pair_is_refused(operator: KeyOperator, wrong: str) -> None:
    changed, told = WRONG[wrong]
    assert told in await operator.mistake("keys.create", **({"name": "x", "access": ["account=admin"]} | changed))
    assert await operator.ask("keys.list") == []


async def test_a_key_is_switched_off_and_on_and_ended(operator: KeyOperator, database: Database) -> None:
    made = await operator.ask("keys.create", name="shop", access=["account=viewer"])
    key = made["access_key_id"]
    assert (await operator.keys.key(key)).rights.account == VIEWER  # type: ignore[union-attr]
    assert (await operator.ask("keys.disable", key=key))["disabled"] is True
    assert (await operator.keys.key(key)).disabled  # type: ignore[union-attr]  # at once, although it was remembered
    assert (await operator.ask("keys.enable", key=key, account=FIRST))["disabled"] is False
    assert not (await operator.keys.key(key)).disabled  # type: ignore[union-attr]
    told = await operator.mistake("keys.revoke", key=key, account=SECOND)
    assert told == f"there is no key {key} of account 2; mailferry keys list shows them"
    revoked = {"revoked": key, "name": "shop", "account_id": FIRST}
    assert await operator.ask("keys.revoke", key=key) == revoked
    assert await operator.keys.key(key) is None and await operator.ask("keys.list") == []
    events = await database.read(
        lambda connection: connection.execute(select(audit_log).where(audit_log.c.event.like("access_key.%"))).all()
    )
    done = ["created", "disabled", "enabled", "deleted"]
    assert [event.event for event in events] == [f"access_key.{each}" for each in done]
    assert made["secret_access_key"] not in str(events)


def test_the_secret_of_a_pair_that_is_taken_over_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "wJalrXUtnFEMI"}
    made = {"name": "old", "access": ["account=admin"], "account_id": 1, **pair}
    monkeypatch.setattr(cli, "call", lambda config, verb, **asked: made)
    monkeypatch.setattr(cli, "_secret", lambda key_id: pair["secret_access_key"])
    cli.create("old", where=Where(data=tmp_path), take_over=pair["access_key_id"])
    told = capsys.readouterr().out
    assert pair["access_key_id"] in told and pair["secret_access_key"] not in told


async def test_the_commands(tmp_path: Path) -> None:
    async with FakeDNS({}) as dns, running(tmp_path, dns) as server:
        printed = await asyncio.to_thread(run_command, server, "keys", "create", "shop", "--access", "account=viewer")
        key, secret = re.findall(r"  (\S+)$", printed.stdout, re.MULTILINE)
        assert printed.returncode == 0 and printed.stdout.startswith("Key shop: account=viewer in account 1.\n")
        assert key.startswith("MFAK") and len(secret) == 40
        told = await asyncio.to_thread(server.command, "keys", "smtp-password", key, "--region", "eu-west-1")
        assert told["smtp_password"] == smtp_password(secret, "eu-west-1")
        await asyncio.to_thread(server.command, "keys", "disable", key)
        listed = (await asyncio.to_thread(run_command, server, "keys", "list")).stdout
        (line,) = [line for line in listed.splitlines() if key in line]
        assert ("shop" in line, "disabled" in line, "never" in line) == (True, True, True)
        assert "first-key" in listed and secret not in listed
        assert (await asyncio.to_thread(server.command, "keys", "enable", key))["disabled"] is False
        revoked = await asyncio.to_thread(run_command, server, "keys", "revoke", key)
        assert revoked.stdout == f"Key {key}, shop, is revoked.\n"
