"""What an operator does for accounts other than the first: whose domain is meant, and whose suppressions."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, insert

from mailferry.cli import app as cli
from mailferry.cli import domains as cli_domains
from mailferry.cli import environment as cli_environment
from mailferry.cli import organizations as cli_organizations
from mailferry.resources import audit, domains
from mailferry.store.database import Database
from mailferry.store.schema import domain_alerts, messages, queue, recipients
from tests.conftest import Clock
from tests.fakes.dns import FakeDNS
from tests.operator_tools import FIRST, SECOND, Operator, two_accounts


@pytest.fixture
async def operator(database: Database, clock: Clock) -> AsyncIterator[Operator]:
    settings = {"dns.zone": "dns.mailferry.test"}
    async with FakeDNS({}) as dns, two_accounts(database, clock, [dns.address], settings=settings) as tools:
        yield Operator(tools)


async def test_domains_are_listed_with_how_well_they_do(
    operator: Operator, clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = (await operator.ask("domains.add", domain="judged.test"))["id"]
    await operator.ask("domains.add", domain="new.test", account=SECOND)
    counts = {"sent": 2000, "bounced": 10, "delivered": 1990, "spam": 3}
    levels = {"bounce_level": "green", "spam_level": "red"}
    row = {"domain_id": judged, **levels, **counts, "judged_at": clock(), "checked_at": clock()}
    await operator.tools.database.write(lambda c: c.execute(insert(domain_alerts).values(row)))
    (first, second) = listed = await operator.ask("domains.list")
    told = {"level": "red", **levels, **counts, "judged_at": "2027-01-15T08:00:00.000Z"}
    assert (first["deliverability"], second["deliverability"]) == (told, None)

    monkeypatch.setattr(cli_domains, "call", lambda *_, **__: listed)
    cli.run(["domains", "list"])
    header, line, other = capsys.readouterr().out.splitlines()
    assert "Level" in header and " red " in line and "red" not in other
    monkeypatch.setattr(cli_domains, "call", lambda *_, **__: [second])
    cli.run(["domains", "list"])
    assert "Level" not in capsys.readouterr().out


async def test_a_quota_is_one_account_s_and_each_number_of_it_is_changed_alone(
    operator: Operator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    unlimited = {"account_id": SECOND, "per_day": 0, "per_second": 0.0, "sent": 0}
    assert await operator.ask("accounts.quota", account=SECOND) == unlimited
    await operator.ask("accounts.quota", account=SECOND, per_day=500)
    told = await operator.ask("accounts.quota", account=SECOND, per_second=2.5)
    assert told == unlimited | {"per_day": 500, "per_second": 2.5}
    assert await operator.ask("accounts.quota", account=FIRST) == unlimited | {"account_id": FIRST}
    assert "there is no account 3" in await operator.mistake("accounts.quota", account=3)
    noted = await operator.tools.database.read(lambda c: audit.page(c, SECOND))
    changes = ['{"per_second":{"from":0.0,"to":2.5}}', '{"per_day":{"from":0,"to":500}}']
    assert [(row.event, row.changes) for row in noted] == [("account.updated", each) for each in changes]

    asked: dict[str, Any] = {}
    monkeypatch.setattr(cli_organizations, "call", lambda *_, **given: asked.update(given) or told)
    cli.run(["accounts", "quota", "2", "--per-second", "2.5"])
    assert asked == {"account": 2, "per_day": None, "per_second": 2.5}
    assert capsys.readouterr().out == "Account 2: 0 recipients in the last 24 hours, of 500; a second: 2.5.\n"


async def test_a_domain_is_found_in_whichever_account_has_it(operator: Operator) -> None:
    own = await operator.ask("domains.add", domain="own.test")
    below = await operator.ask("domains.add", domain="below.test", account=SECOND)
    assert (own["account_id"], below["account_id"]) == (FIRST, SECOND)
    assert [each["domain"] for each in await operator.ask("domains.list")] == ["own.test", "below.test"]
    assert [each["domain"] for each in await operator.ask("domains.list", account=SECOND)] == ["below.test"]
    zone = (await operator.ask("dns.export"))["zone"]
    assert all(f"mf1.{each['id']}.dkim" in zone for each in (own, below))

    await operator.ask("domains.reject", domain="below.test", reason="No")
    review = await operator.ask("domains.review", domain="below.test")
    assert (review["state"], review["messages"][0]["text"]) == ("non_compliant", "No")
    assert await operator.mistake("domains.records", domain="below.test", account=FIRST) == (
        "below.test is no sending domain here; mailferry domains list shows them, mailferry domains add below.test makes it one"
    )
    assert await operator.mistake("domains.add", domain="x.test", account=9) == "there is no account 9; there are: 1, 2"


async def test_a_name_that_two_accounts_have_needs_the_account(operator: Operator) -> None:
    for account in (FIRST, SECOND):
        await operator.ask("domains.add", domain="both.test", account=account)
    for verb in ("records", "verify", "remove", "review", "approve", "reject", "suspend"):
        told = await operator.mistake(f"domains.{verb}", domain="both.test")
        assert told == "both.test is a sending domain of the accounts 1, 2; --account says which one is meant"
    await operator.ask("domains.reject", domain="both.test", account=SECOND)
    await operator.ask("domains.remove", domain="both.test", account=FIRST)
    (left,) = await operator.ask("domains.list")
    assert (left["account_id"], left["state"]) == (SECOND, "non_compliant")


async def test_suppressions_are_those_of_one_account(operator: Operator, clock: Clock) -> None:
    await operator.ask("domains.add", domain="below.test", account=SECOND)
    row = ["a@x.test", "below.test", "any", "hard bounce", None, "", ""]
    assert await operator.ask("suppressions.import", rows=[row], first=True, account=SECOND) == {"added": 1}
    assert "below.test is no sending domain here" in await operator.mistake("suppressions.import", rows=[row])
    added = await operator.ask("suppressions.add", email="b@x.test", domain="below.test", account=SECOND)
    assert added["added"] and added["domain"] == "below.test"
    assert await operator.ask("suppressions.list") == []
    assert [each["email"] for each in (await operator.ask("suppressions.export", account=SECOND))["rows"]] == [
        "a@x.test",
        "b@x.test",
    ]
    assert await operator.mistake("suppressions.remove", email="a@x.test") == "a@x.test is not suppressed"
    await operator.ask("suppressions.remove", email="a@x.test", account=SECOND)
    assert [each["email"] for each in await operator.ask("suppressions.list", account=SECOND)] == ["b@x.test"]
    for verb, arguments in (("add", {"email": "a@x.test"}), ("import", {"rows": []})):
        assert (
            await operator.mistake(f"suppressions.{verb}", account=9, **arguments)
            == "there is no account 9; there are: 1, 2"
        )


async def test_a_domain_that_was_never_verified_is_not_approved(operator: Operator, database: Database) -> None:
    added = await operator.ask("domains.add", domain="own.test")
    for state in (domains.UNVERIFIED, domains.SUSPENDED, domains.NON_COMPLIANT):
        await database.write(lambda c, state=state: domains.set_state(c, added["id"], state))  # type: ignore[misc]  # a default binds the loop variable
        assert "own.test was never verified; publish its records" in await operator.mistake(
            "domains.approve", domain="own.test"
        )


async def test_messages_and_the_queue_are_those_of_all_accounts_or_of_one(
    operator: Operator, database: Database, clock: Clock
) -> None:
    sent = {account: new_id() for account in (FIRST, SECOND)}
    for account, identity in sent.items():
        await database.write(lambda c, a=account, i=identity: wait(c, a, i, clock()))  # type: ignore[misc]  # a default binds the loop variable
    for verb, rows in (("messages.list", lambda found: found), ("queue.list", lambda found: found["oldest"])):
        assert {each["account_id"] for each in rows(await operator.ask(verb))} == {FIRST, SECOND}
        (one,) = rows(await operator.ask(verb, account=SECOND))
        assert (one["account_id"], one["message_id"]) == (SECOND, sent[SECOND])
        assert await operator.mistake(verb, account=9) == "there is no account 9; there are: 1, 2"
    assert (await operator.ask("queue.list"))["waiting"] == [{"state": "held", "reason": "x", "recipients": 2}]
    assert (await operator.ask("queue.list", account=FIRST))["waiting"][0]["recipients"] == 1
    for account in (0, SECOND):
        story = await operator.ask("messages.show", message=sent[SECOND], account=account)
        assert story["account_id"] == SECOND and story["recipients"][0]["waits"]["why"] == "held: x"
    assert await operator.mistake("messages.show", message=sent[SECOND], account=FIRST) == (
        f"there is no message or recipient {sent[SECOND]} in account 1; mailferry messages list shows them"
    )


def new_id() -> str:
    return str(uuid4())


def wait(connection: Connection, account: int, message: str, now: int) -> None:
    """A message with one recipient that is held."""
    recipient = new_id()
    connection.execute(insert(messages).values(id=message, account_id=account, created_at=now))
    values = {"id": recipient, "message_id": message, "account_id": account, "address": "a@dest.test"}
    connection.execute(insert(recipients).values(**values, state="held", reason="x", updated_at=now))
    connection.execute(insert(queue).values(recipient_id=recipient, due=None, expires_at=now))


async def test_an_environment_is_set_shown_and_cleared(
    operator: Operator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await operator.ask("domains.add", domain="shop.test", account=SECOND)
    rule = {"mode": "redirect", "redirect_to": "qa@example.net", "allow": ["@example.net"]}
    given = {"account": SECOND, "mode": "redirect", "to": "qa@example.net"}
    assert await operator.ask("environment.set", **given, allow="@example.net, ") == {"account": rule, "domains": {}}
    told = await operator.ask("environment.set", account=SECOND, mode="deliver", domain="shop.test")
    assert told == {"account": rule, "domains": {"shop.test": {"mode": "deliver"}}}
    assert await operator.ask("environment.show", account=FIRST) == {"account": None, "domains": {}}
    monkeypatch.setattr(cli_environment, "call", lambda *_, **__: told)
    cli.run(["environment", "show", "--account", str(SECOND)])
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["the", "account", "redirected", "qa@example.net", "@example.net"]
    assert second.split() == ["shop.test", "delivered"]
    for wrong, said in (
        ({"mode": "capture"}, "--inbox belongs to capture"),
        ({"mode": "capture", "inbox": 9}, "account 2 has no inbox 9"),
        ({"mode": "redirect", "to": "x"}, "--to is invalid"),
        ({"mode": "lose"}, "the mode is one of deliver, capture, redirect"),
        ({"mode": "deliver", "domain": "none.test"}, "none.test is no sending domain"),
    ):
        assert said in await operator.mistake("environment.set", account=SECOND, **wrong)
    await operator.ask("environment.clear", account=SECOND, domain="shop.test")
    assert await operator.ask("environment.clear", account=SECOND) == {"account": None, "domains": {}}
