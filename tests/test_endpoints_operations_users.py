"""People, invitations, accounts and organizations by an operator, over verbs and as commands of a running server."""

import asyncio
import re
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from sqlalchemy import select

from mailferry.endpoints.operations.tools import Tools
from mailferry.resources import invitations, tokens, users
from mailferry.resources.permissions import ADMIN, OWNER
from mailferry.resources.system_mail import Mail
from mailferry.store.database import Database
from mailferry.store.schema import audit_log
from tests.beside import Beside
from tests.commands import ask_later, first_run, run_command
from tests.conftest import Clock
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.operator_tools import FIRST, SECOND, Operator, two_accounts
from tests.server import Mailferry, add_domain, running

OLGA, ANN = "olga@shop.test", "ann@dest.test"


class Host(Operator):
    """Who invites people."""

    def __init__(self, tools: Tools, mails: list[Mail]) -> None:
        super().__init__(tools)
        self.mails = mails

    async def accept(self, link: str) -> None:
        secret = link.rpartition("/")[2]
        accepted = await self.tools.database.write(
            lambda c: invitations.accept(c, secret, "Ann", "hash", self.tools.clock())
        )
        assert accepted

    async def events(self) -> list[tuple[str, str]]:
        wanted = select(audit_log.c.event, audit_log.c.actor_type).order_by(audit_log.c.id)
        return [tuple(row) for row in await self.tools.database.read(lambda c: c.execute(wanted).all())]


@pytest.fixture
async def operator(database: Database, clock: Clock) -> AsyncIterator[Host]:
    mails: list[Mail] = []

    async def send(mail: Mail) -> str:
        mails.append(mail)
        return ""

    async with two_accounts(database, clock, send_mail=send) as tools:
        await database.write(lambda c: users.create(c, FIRST, OLGA, "hash", OWNER, clock(), name="Olga"))
        yield Host(tools, mails)


async def test_somebody_is_invited_accepts_is_given_a_role_and_removed(operator: Host) -> None:
    made = await operator.ask("users.invite", email=" Ann@Dest.test", access=["account=admin", "billing=viewer"])
    link = made.pop("link")
    assert re.fullmatch(r"https://127\.0\.0\.1:\d+/invitations/[\w-]{43}", link)
    (mail,) = operator.mails
    assert mail.recipient == ANN and link in mail.text and mail.text.startswith("You are invited to the account First")
    assert (made.pop("email_sent"), made.pop("email_error")) == (True, None)
    assert await operator.ask("invitations.list") == [made] and made["access"] == ["account=admin", "billing=viewer"]
    assert await operator.ask("invitations.list", account=SECOND) == []

    await operator.accept(link)
    assert await operator.ask("invitations.list") == []
    listed = await operator.ask("users.list")
    assert [(each["email"], each["name"], each["access"]) for each in listed] == [
        (OLGA, "Olga", ["account=owner"]),
        (ANN, "Ann", ["account=admin", "billing=viewer"]),
    ]
    changed = await operator.ask("users.role", email=ANN.upper(), role="owner")
    assert changed["access"] == ["account=owner", "billing=viewer"]
    assert (await operator.ask("users.role", email=OLGA, role="viewer-plus"))["access"] == ["account=viewer-plus"]
    assert await operator.ask("users.remove", email=OLGA) == {"removed": OLGA, "account_id": FIRST}
    assert [each["email"] for each in await operator.ask("users.list", account=FIRST)] == [ANN]
    assert await operator.events() == [
        (event, "operator")
        for event in ("invitation.created", "permissions.updated", "permissions.updated", "account_access.deleted")
    ]


async def test_the_last_owner_stays(operator: Host) -> None:
    said = f"{OLGA} is the last owner of account 1 or of its organization: make somebody else an owner first"
    assert await operator.mistake("users.remove", email=OLGA) == said
    assert await operator.mistake("users.role", email=OLGA, role="admin") == said
    assert (await operator.ask("users.role", email=OLGA, role="owner"))["access"] == ["account=owner"]


async def test_an_invitation_is_sent_again_and_revoked(operator: Host) -> None:
    made = await operator.ask("users.invite", email=ANN, access=["account=owner"], account=SECOND)
    again = await operator.ask("invitations.resend", invitation=made["id"])
    assert again["link"] != made["link"] and len({mail.key for mail in operator.mails}) == 2
    said = f"there is no invitation {made['id']} of account 1; mailferry invitations list shows them"
    for verb in ("invitations.resend", "invitations.revoke"):
        assert await operator.mistake(verb, invitation=made["id"], account=FIRST) == said
    revoked = await operator.ask("invitations.revoke", invitation=made["id"])
    assert revoked == {"revoked": made["id"], "email": ANN, "account_id": SECOND}
    assert (await operator.mistake("invitations.revoke", invitation=made["id"])).startswith("there is no invitation")
    events = [event for event, _ in await operator.events()]
    assert events == ["invitation.created", "invitation.resent", "invitation.deleted"]


@pytest.mark.parametrize("verb", ["invitations.resend", "invitations.revoke"])
async def test_an_invitation_that_is_accepted_meanwhile_is_said_to_be_gone(
    operator: Host, beside: Beside, clock: Clock, verb: str
) -> None:
    made = await operator.ask("users.invite", email=ANN, access=["account=admin"])
    secret = made["link"].rpartition("/")[2]
    accepted, said = await beside.during(
        lambda c: invitations.accept(c, secret, "Ann", "hash", clock()),
        lambda: operator.mistake(verb, invitation=made["id"]),
    )
    assert accepted and said == f"there is no invitation {made['id']}; mailferry invitations list shows them"
    assert await operator.events() == [("invitation.created", "operator")]


async def test_what_is_no_invitation(operator: Host) -> None:
    for email, access, text in (
        ("ann", ["account=viewer"], "'ann' is no mail address: "),
        ("ann@dest.test\r\nBcc: a@b.test", ["account=viewer"], "'ann@dest.test\\r\\nBcc: a@b.test' is no mail address"),
        (ANN, [], "a person needs access to something, such as account=admin"),
        (ANN, ["billing=owner"], "'billing=owner' is no access: an account has owners"),
        (ANN, ["account=root"], "'account=root' is no access: RESOURCE=LEVEL with one of the levels owner, admin, "),
        (ANN, ["organization=admin"], "the account has no 'organization': "),
        (OLGA, ["account=viewer"], f"{OLGA} has access to account 1 already"),
    ):
        assert (await operator.mistake("users.invite", email=email, access=access)).startswith(text)
    assert (await operator.mistake("users.role", email=OLGA, role="root")).startswith("'root' is no role; there are: ")
    assert (await operator.mistake("users.role", email=ANN, role="admin")).startswith(f"{ANN} has no access to")
    assert (await operator.mistake("users.list", account=7)).startswith("there is no account 7")
    assert operator.mails == [] and await operator.events() == []


async def test_accounts_are_made_and_put_under_one_roof(operator: Host) -> None:
    group = await operator.ask("organizations.create", name="Group")
    assert [each["name"] for each in group["accounts"]] == ["First"]
    below = await operator.ask("accounts.create", name="Below", organization=group["id"])
    assert below["organization_id"] == group["id"]
    changed = await operator.ask("organizations.add-account", organization=group["id"], account=SECOND)
    assert [each["name"] for each in changed["accounts"]] == ["First", "Second", "Below"]
    assert await operator.ask("organizations.list") == [changed]
    alone = await operator.ask("accounts.create", name="Alone")
    assert [
        (each["name"], each["organization_id"], each["owners"]) for each in await operator.ask("accounts.list")
    ] == [
        ("First", group["id"], [OLGA]),
        ("Second", group["id"], []),
        ("Below", group["id"], []),
        ("Alone", None, []),
    ]
    taken = "account 2 is in an organization already; mailferry organizations list shows in which"
    assert await operator.mistake("organizations.create", name="Other", account=SECOND) == taken
    assert await operator.mistake("organizations.add-account", organization=group["id"], account=SECOND) == taken
    known = f"there is no organization 99; there are: {group['id']}"
    assert await operator.mistake("organizations.add-account", organization=99, account=alone["id"]) == known
    assert await operator.mistake("accounts.create", name="x", organization=99) == known
    for verb in ("accounts.create", "organizations.create"):
        assert "'s name is one line of 1 to 255" in await operator.mistake(verb, name="a\nb")
    events = [event for event, _ in await operator.events()]
    assert events == ["organization.created", "account.created", "account.updated", "account.created"]


async def test_who_owns_the_organization_owns_its_accounts(operator: Host, database: Database) -> None:
    group = await operator.ask("organizations.create", name="Group")
    made = await operator.ask("users.invite", email=ANN, access=["organization=owner"])
    await operator.accept(made["link"])
    below = await operator.ask("accounts.create", name="Below", organization=group["id"])
    assert below["owners"] == [ANN]
    token = await operator.ask("tokens.create", name="Group's", access=["organization=admin"])
    found = await database.read(lambda c: tokens.find(c, tokens.digest(token["token"])))
    assert found and (found.rights.organization, found.rights.account) == (ADMIN, ADMIN)
    assert token["access"] == ["organization=admin"]


# --- a running server --------------------------------------------------------------------------------------------------


def accepted(server: Mailferry, link: str) -> tuple[int, str]:
    form = {"action": "accept", "name": "Ann", "password": "correct horse", "password_again": "correct horse"}
    return page(server, link, urlencode(form).encode())


def page(server: Mailferry, link: str, body: bytes | None = None) -> tuple[int, str]:
    address = f"http://127.0.0.1:{server.http}/invitations/{link.rpartition('/')[2]}"
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def test_the_commands_of_a_server_that_has_no_domain_yet(tmp_path: Path) -> None:
    """Nothing is lost where no mail can be sent: the link is on the screen."""
    async with FakeDNS({}) as dns, running(tmp_path, dns) as server:
        printed = run_command(server, "users", "invite", ANN, "--access", "account=owner").stdout
        assert "Invitation 1 for ann@dest.test: account=owner in account 1." in printed
        assert "No mail was sent: no domain of the account is verified and approved" in printed
        (first,) = re.findall(r"https://\S+/invitations/\S+", printed)
        assert ANN in run_command(server, "invitations", "list").stdout
        link = server.command("invitations", "resend", "1")["link"]
        assert page(server, first)[0] == 404
        status, text = page(server, link)
        assert status == 200 and "owner of the account" in text
        assert accepted(server, link)[0] == 200 and accepted(server, link)[0] == 404
        owner = "owner@mailferry.test"
        assert run_command(server, "users", "remove", owner).stdout == (
            f"{owner} has no access to account 1 any more.\n"
        )
        assert run_command(server, "users", "remove", ANN).returncode == 1
        listed = run_command(server, "users", "list").stdout
        assert "account=owner" in listed and owner not in listed
        assert server.command("users", "role", ANN, "owner")["name"] == "Ann"
        bob = server.command("users", "invite", "bob@dest.test")
        assert bob["access"] == ["account=viewer"]
        assert "is revoked" in run_command(server, "invitations", "revoke", str(bob["id"])).stdout
        group = server.command("organizations", "create", "Group")["id"]
        alone = server.command("accounts", "create", "Second")["id"]
        assert "accounts 1 Mailferry, 2 Second." in (
            run_command(server, "organizations", "add-account", str(group), str(alone)).stdout
        )
        for noun in ("accounts", "organizations"):
            assert "Second" in run_command(server, noun, "list").stdout
        for secret in (first, link):
            assert secret.rpartition("/")[2] not in server.log.read_text()


async def test_the_mail_arrives_and_its_text_is_shown_to_no_token(tmp_path: Path) -> None:
    """Whoever read it could accept in the place of the address, and have a password under its name."""
    zone = {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}
    async with (
        FakeMX() as mx,
        FakeDNS(zone) as dns,
        running(tmp_path, dns, smtp_port=mx.port, server__public_url="https://mail.shop.test") as server,
    ):
        await add_domain(server, dns)
        made = await ask_later(server, "users.invite", email=ANN, access=["account=viewer"])
        assert made["email_sent"] and made["link"].startswith("https://mail.shop.test/invitations/")
        (arrived,) = await mx.received(1)
        assert made["link"] in arrived.content.decode().replace("=\r\n", "")

        token = first_run(server)["api_token"]
        _, listed = await asyncio.to_thread(server.request, "GET", "/api/email_logs", token)
        (sent,) = listed["messages"]
        assert (sent["subject"], sent["to"]) == ("Invitation to Mailferry", ANN)
        _, shown = await asyncio.to_thread(server.request, "GET", f"/api/email_logs/{sent['message_id']}", token)
        assert shown["raw_message_url"] is None
