"""The audit log for an operator: it can be read, and every command that changes something stands in it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Connection, insert, update

from mailferry.cli import app as cli
from mailferry.cli import audit as cli_audit
from mailferry.consumers.webhooks import pending
from mailferry.endpoints.operations.tools import Mistake, Tools
from mailferry.endpoints.operations.verbs import VERBS
from mailferry.resources import users
from mailferry.resources.permissions import OWNER
from mailferry.store.database import Database
from mailferry.store.schema import domains, webhook_deliveries
from tests.conftest import Clock
from tests.operator_tools import FIRST, SECOND, two_accounts

SHOP = {"domain": "shop.test"}
WEBHOOK = {"webhook": 1}
PAIR = {"key_id": "AKIAIOSFODNN7EXAMPLE", "secret": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
KEY = {"key": PAIR["key_id"]}
LETTER = {"name": "Letter", "category": "Welcome"}

#: In this order each of them changes something, and is told of by this event.
CHANGES: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("domains.add", SHOP, "api_token.created"),
    ("domains.ask", {**SHOP, "questions": ["Who?"]}, "domain_review.question"),
    ("domains.say", {**SHOP, "text": "Hello"}, "domain_review.message"),
    ("domains.approve", SHOP, "domain.updated"),
    ("domains.suspend", SHOP, "domain.updated"),
    ("domains.reject", SHOP, "domain.updated"),
    ("tokens.create", {"name": "Shop", "access": ["account=admin"]}, "api_token.created"),
    ("tokens.reset", {"token": 2}, "api_token.reset"),
    ("tokens.revoke", {"token": 2}, "api_token.deleted"),
    ("suppressions.add", {"email": "bob@example.net"}, "suppression.created"),
    ("suppressions.remove", {"email": "bob@example.net"}, "suppression.deleted"),
    ("suppressions.import", {"rows": [], "source": "list.csv", "first": True}, "suppression.imported"),
    ("templates.put", {**LETTER, "subject": "Hi", "body_text": "One"}, "email_template.created"),
    ("templates.put", {**LETTER, "subject": "Hi", "body_text": "Two"}, "email_template.updated"),
    ("webhooks.add", {"url": "https://example.com/", "events": ["delivery"]}, "webhook.created"),
    ("webhooks.pause", WEBHOOK, "webhook.updated"),
    ("webhooks.resume", WEBHOOK, "webhook.updated"),
    ("webhooks.reset_secret", WEBHOOK, "webhook.secret_reset"),
    ("webhooks.replay", {**WEBHOOK, "parked": True}, "webhook.replayed"),
    ("webhooks.remove", WEBHOOK, "webhook.deleted"),
    ("domains.remove", SHOP, "domain.deleted"),
    ("keys.create", {"name": "deploy", "access": ["account=admin"], **PAIR}, "access_key.created"),
    ("keys.disable", KEY, "access_key.disabled"),
    ("keys.enable", KEY, "access_key.enabled"),
    ("keys.revoke", KEY, "access_key.deleted"),
    ("users.invite", {"email": "ann@example.net", "access": ["account=viewer"]}, "invitation.created"),
    ("invitations.resend", {"invitation": 1}, "invitation.resent"),
    ("invitations.revoke", {"invitation": 1}, "invitation.deleted"),
    ("users.role", {"email": "kim@example.net", "role": "viewer"}, "permissions.updated"),
    ("users.remove", {"email": "kim@example.net"}, "account_access.deleted"),
    ("accounts.create", {"name": "Third"}, "account.created"),
    ("accounts.quota", {"account": 1, "per_day": 500}, "account.updated"),
    ("environment.set", {"account": 1, "mode": "redirect", "to": "qa@example.net"}, "environment.updated"),
    ("environment.clear", {"account": 1}, "environment.updated"),
    ("organizations.create", {"name": "Roof"}, "organization.created"),
    ("organizations.add-account", {"organization": 1, "account": 2}, "account.updated"),
    ("contacts.add_list", {"name": "News"}, "contact_list.created"),
    ("contacts.add_field", {"tag": "city"}, "contact_field.created"),
    ("contacts.import", {"rows": [["bob@example.net", {}, [], False]], "first": True}, "contact.imported"),
    ("contacts.delete", {"contact": "bob@example.net"}, "contact.deleted"),
    ("projects.add", {"name": "Shop"}, "project.created"),
    ("inboxes.add", {"name": "Staging"}, "inbox.created"),
    ("inboxes.share", {"inbox": 1}, "share_link.created"),
    ("inboxes.unshare", {"inbox": 1, "link": 1}, "share_link.deleted"),
)
#: These only look; ``verify`` asks the DNS, ``test`` sends what is invented, ``rebuild`` counts what happened once more.
LOOKS = {
    *("audit.list", "domains.list", "domains.records", "domains.review", "domains.verify", "dns.export"),
    *(
        "environment.show",
        "server.listeners",
        "certificates.reload",
        "messages.list",
        "messages.show",
        "messages.export",
        "messages.raw",
        "queue.list",
        "stats.show",
    ),
    *("stats.rebuild", "suppressions.list", "suppressions.export", "templates.list", "templates.show", "tokens.list"),
    *("accounts.list", "contacts.export", "contacts.fields", "contacts.list", "contacts.lists", "contacts.show"),
    *("invitations.list", "keys.list", "keys.smtp_password", "organizations.list", "users.list"),
    *("projects.list", "inboxes.list", "inboxes.show", "inboxes.links", "inboxes.messages"),
    *("webhooks.list", "webhooks.show", "webhooks.test", "webhooks.log", "webhooks.attempts"),
}


@pytest.fixture
async def tools(database: Database, clock: Clock) -> AsyncIterator[Tools]:
    async with two_accounts(database, clock) as made:
        for email in ("owner@example.net", "kim@example.net"):
            await database.write(lambda c, email=email: users.create(c, FIRST, email, "", OWNER, clock()))  # type: ignore[misc]  # a default binds the loop variable
        yield made


async def ask(tools: Tools, verb: str, **arguments: Any) -> Any:
    return await VERBS[verb](tools, **arguments)


async def test_every_command_that_changes_something_is_told_of(tools: Tools) -> None:
    assert {verb for verb, _, _ in CHANGES} | LOOKS == set(VERBS), "a new command is put into one of the two"
    for verb, arguments, event in CHANGES:
        before = (await ask(tools, "audit.list") or [{"id": 0}])[0]["id"]
        await ask(tools, verb, **arguments)
        (newest, *_) = await ask(tools, "audit.list")
        assert newest["id"] > before and newest["event"] == event, verb
        assert newest["actor"] == {"type": "operator", "id": 0, "name": "command line"}
        if verb == "domains.add":  # as if its records had been found
            seen = update(domains).values(verified_at=1, dns_verified=True)
            await tools.database.write(lambda c, seen=seen: c.execute(seen))  # type: ignore[misc]  # a default binds the loop variable


async def test_what_is_skipped_is_told_of(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "SOME", 2)
    await ask(tools, "webhooks.add", url="https://example.com/", events=["delivery"], paused=True)
    row = {"webhook_id": 1, "event_id": 1, "message_id": "m", "kind": "delivery", "payload": "{}", "at": 0}

    def wait(connection: Connection) -> None:
        connection.execute(insert(webhook_deliveries), [{**row, "state": "waiting", "lane": 0}] * 3)

    await tools.database.write(wait)
    assert (await ask(tools, "webhooks.resume", webhook=1, skip=True))["skipped"] == 3
    told = [(each["event"], each["changes"]) for each in await ask(tools, "audit.list", limit=3)]
    assert told == [
        ("webhook.updated", {"active": {"from": False, "to": True}}),
        ("webhook.skipped", {"range": {"from": "", "to": "1 waiting events"}}),
        ("webhook.skipped", {"range": {"from": "", "to": "2 waiting events"}}),
    ]


async def test_it_is_read_of_one_account_or_all_page_by_page(tools: Tools, clock: Clock) -> None:
    for account, name in ((FIRST, "One"), (SECOND, "Two"), (FIRST, "Three")):
        await ask(tools, "tokens.create", name=name, access=["account=admin"], account=account)
        clock.forward(seconds=1)

    async def names(**arguments: Any) -> list[str]:
        return [each["resource"]["name"] for each in await ask(tools, "audit.list", **arguments)]

    assert await names() == ["Three", "Two", "One"]
    assert await names(account=FIRST) == ["Three", "One"] and await names(account=SECOND) == ["Two"]
    (newest,) = await ask(tools, "audit.list", limit=1)
    assert newest["at"] == "2027-01-15T08:00:02.000Z" and newest["account_id"] == FIRST
    assert await names(before=newest["id"]) == ["Two", "One"]
    with pytest.raises(Mistake, match="there is no account 3"):
        await ask(tools, "audit.list", account=3)


async def test_people_read_a_table(
    tools: Tools, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(tools, "webhooks.add", url="https://example.com/x", events=["delivery"])
    await ask(tools, "webhooks.pause", webhook=1)
    found = await ask(tools, "audit.list")
    found[0]["actor"] = {"type": "api_token", "id": 7, "name": "Shop\x1b[2J"}
    found[0]["changes"]["text"] = {"from": "", "to": "x" * 100}
    monkeypatch.setattr(cli_audit, "call", lambda *_, **__: found)
    assert cli.run(["audit", "list"]) == 0
    _, changed, made = capsys.readouterr().out.splitlines()
    assert "2027-01-15 08:00:00" in changed and "webhook.updated" in changed and "1 https://example.com/x" in changed
    assert "active: true -> false" in changed and f'text: "" -> {"x" * 60}...' in changed
    assert "Shop\N{REPLACEMENT CHARACTER}[2J (api_token 7)" in changed
    assert "command line" in made and "webhook.created" in made

    monkeypatch.setattr(cli_audit, "call", lambda *_, **__: [])
    assert cli.run(["audit", "list", "--account", "1"]) == 0
    assert capsys.readouterr().out == "Nothing was changed.\n"
