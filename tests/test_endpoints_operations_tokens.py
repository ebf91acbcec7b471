"""Tokens by an operator: the way back when the first one is lost, with rights on what is named and no more."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from mailferry.cli import app as cli
from mailferry.cli import tokens as cli_tokens
from mailferry.endpoints.operations.tools import Tools
from mailferry.resources import tokens
from mailferry.resources.permissions import ADMIN, NONE, VIEWER, Resource
from mailferry.resources.tokens import Credentials
from mailferry.store.database import Database
from mailferry.store.schema import audit_log
from tests.commands import first_run, run_command
from tests.conftest import Clock
from tests.fakes.dns import FakeDNS
from tests.operator_tools import FIRST, SECOND, Operator, two_accounts
from tests.server import Mailferry, message, running


class TokenOperator(Operator):
    def __init__(self, tools: Tools, credentials: Credentials) -> None:
        super().__init__(tools)
        self.credentials = credentials


@pytest.fixture
async def operator(database: Database, clock: Clock) -> AsyncIterator[TokenOperator]:
    credentials = Credentials(database, clock, clock)
    async with two_accounts(database, clock, forget_tokens=credentials.forget) as tools:
        yield TokenOperator(tools, credentials)


async def test_a_token_may_do_what_was_named(operator: TokenOperator) -> None:
    shop = await operator.ask("domains.add", domain="shop.test")
    other = await operator.ask("domains.add", domain="other.test")
    made = await operator.ask(
        "tokens.create",
        name="Shop",
        access=["domain:Shop.test=admin", f"domain:{other['id']}=viewer", "templates=viewer"],
    )
    assert made["access"] == ["domain:shop.test=admin", "domain:other.test=viewer", "templates=viewer"]
    found = await operator.credentials.token(made["token"])
    assert found is not None and (found.id, found.account_id, found.name) == (made["id"], FIRST, "Shop")
    rights = found.rights
    assert rights.account == NONE
    assert rights.on(Resource.DOMAIN, shop["id"]) == ADMIN and rights.on(Resource.DOMAIN, other["id"]) == VIEWER
    assert rights.on(Resource.TEMPLATES, FIRST) == VIEWER

    everything = await operator.ask("tokens.create", name="All", access=["account=admin"], account=SECOND)
    again = await operator.credentials.token(everything["token"])
    assert again is not None and (again.account_id, again.rights.account) == (SECOND, ADMIN)


async def test_a_secret_is_told_once_and_gone_when_it_is_revoked(operator: TokenOperator, database: Database) -> None:
    made = await operator.ask("tokens.create", name="Lost", access=["account=viewer"], account=SECOND)
    secret = made.pop("token")
    assert await operator.ask("tokens.list") == [made] and made["last_4_digits"] == secret[-4:]
    assert await operator.credentials.token(secret)
    assert await operator.ask("tokens.list", account=FIRST) == []
    assert await operator.mistake("tokens.revoke", token=made["id"], account=FIRST) == (
        f"there is no token {made['id']} of account 1; mailferry tokens list shows them"
    )
    revoked = await operator.ask("tokens.revoke", token=made["id"])
    assert revoked == {"revoked": made["id"], "name": "Lost", "account_id": SECOND}
    assert await operator.credentials.token(secret) is None, "at once, whatever was remembered"
    assert await operator.ask("tokens.list") == []
    noted = await database.read(lambda c: c.execute(select(audit_log.c.event, audit_log.c.actor_type)).all())
    assert [tuple(row) for row in noted] == [("api_token.created", "operator"), ("api_token.deleted", "operator")]


async def test_the_token_of_a_domain_is_had_by_a_reset(
    operator: TokenOperator, clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await operator.ask("domains.add", domain="shop.test")
    (own,) = await operator.ask("tokens.list")
    assert (own["name"], own["access"]) == (f"shop.test token {own['id']}", ["domain:shop.test=admin"])
    made = await operator.ask("tokens.reset", token=own["id"])
    found = await operator.credentials.token(made["token"])
    assert found is not None and made["access"] == own["access"]
    assert (found.rights.account, found.rights.on(Resource.DOMAIN, shop["id"])) == (NONE, ADMIN)
    told = f"token {own['id']} was reset already, or ends within 12 hours"
    assert await operator.mistake("tokens.reset", token=own["id"]) == told
    clock.forward(hours=12)
    assert [each["id"] for each in await operator.ask("tokens.list")] == [made["id"]]
    for account in (0, SECOND):
        assert "there is no token" in await operator.mistake("tokens.reset", token=own["id"], account=account)

    monkeypatch.setattr(cli_tokens, "call", lambda *_, **__: made)
    cli.run(["tokens", "reset", str(own["id"])])
    assert made["token"] in capsys.readouterr().out


async def test_access_that_is_none_makes_no_token(operator: TokenOperator) -> None:
    await operator.ask("domains.add", domain="below.test", account=SECOND)
    for access, text in (
        ([], "a token needs access to something, such as account=admin"),
        (["account=owner"], "'account=owner' is no access: RESOURCE=LEVEL with one of the levels admin, "),
        (["account:1=admin"], "the account has no 'account:1': access is given to account, "),
        (["domain=admin"], "the account has no 'domain': "),
        (["domain:below.test=admin"], "the account has no 'domain:below.test': "),
        (["organization=admin"], "the account has no 'organization': "),
        (["account=admin", "account=viewer"], "access to account is named twice"),
    ):
        assert (await operator.mistake("tokens.create", name="x", access=access)).startswith(text)
    for name in ("", "a\nb", "x" * 256):
        assert "a token's name is one line" in await operator.mistake(
            "tokens.create", name=name, access=["account=admin"]
        )
    found = await operator.tools.database.read(lambda c: tokens.of_account(c, FIRST, 0))
    assert found == []


async def test_the_way_back_after_the_first_token_is_lost(tmp_path: Any) -> None:
    async with FakeDNS({}) as dns, running(tmp_path, dns) as server:
        lost = first_run(server)["api_token"]
        assert run_command(server, "credentials", "--forget").returncode == 0
        made = server.command("tokens", "create", "Second", "--access", "domain:demo.mailferry.test=admin")
        (first,) = [each for each in server.ask("tokens.list") if each["name"] == "First token"]
        printed = run_command(server, "tokens", "list").stdout
        assert "domain:demo.mailferry.test=admin" in printed and made["token"] not in printed and lost not in printed
        body = message("success@simulator.demo.mailferry.test", sender="hello@demo.mailferry.test")
        assert send(server, body, lost) == send(server, body, made["token"]) == 200
        assert run_command(server, "tokens", "revoke", str(first["id"])).stdout == (
            f"Token {first['id']}, First token, is revoked.\n"
        )
        assert send(server, body, lost) == 401 and send(server, body, made["token"]) == 200


def send(server: Mailferry, body: Any, token: str) -> int:
    return server.post("/api/send", body, token)[0]
