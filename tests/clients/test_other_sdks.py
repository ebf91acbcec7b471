"""What Mailtrap's SDKs for Ruby, PHP and Elixir send, octet for octet where it matters: paths, headers, forms of arrays,
members that are always there though empty. Read from their sources and replayed against a live server."""

import asyncio
import base64
import email
import email.policy
import http.client
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from tests.commands import ask_later, first_run
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.server import DOMAIN, Mailferry, add_domain, running

ZONE = {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}
SENDER = {"email": f"app@{DOMAIN}", "name": "Größe"}

RUBY = {
    "Accept-Encoding": "gzip;q=1.0,deflate;q=0.6,identity;q=0.3",
    "Accept": "*/*",
    "User-Agent": "mailtrap-ruby (https://github.com/mailtrap/mailtrap-ruby)",
    "Content-Type": "application/json",
}
PHP = {
    "User-Agent": "mailtrap-php (https://github.com/railsware/mailtrap-php)",
    "Content-Type": "application/json",
}
#: Erlang's own HTTP client, under Tesla: no user agent at all.
ELIXIR = {"te": "", "content-type": "application/json"}

#: Ruby's Mail::Base writes all of these, whatever a message has.
RUBY_EMPTY = {"to": [], "cc": [], "bcc": [], "attachments": [], "headers": {}, "custom_variables": {}}
RUBY_EMPTY |= {"template_variables": {}}


class House:
    def __init__(self, server: Mailferry, mx: FakeMX) -> None:
        self.server, self.mx = server, mx
        self.token = first_run(server)["api_token"]

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str],
        name: str = "authorization",
        expect: int = 200,
    ) -> Any:
        """The target as it stands: no library writes it anew."""
        secret = self.token if name.lower() == "api-token" else f"Bearer {self.token}"
        sent = json.dumps(body).encode() if body is not None else None

        def ask() -> tuple[int, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", self.server.http, timeout=30)
            try:
                connection.request(method, path, sent, {**headers, name: secret})
                answer = connection.getresponse()
                return answer.status, answer.read()
            finally:
                connection.close()

        status, content = await asyncio.to_thread(ask)
        assert status == expect, (status, content)
        return json.loads(content) if content else None

    async def got(self, count: int) -> dict[str, EmailMessage]:
        return {
            mail.recipients[0]: email.message_from_bytes(mail.content, policy=email.policy.default)
            for mail in await self.mx.received(count)
        }


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with FakeDNS(ZONE) as dns, FakeMX() as mx, running(tmp_path, dns, smtp_port=mx.port) as server:
        await add_domain(server, dns)
        yield House(server, mx)


# --- Ruby ----------------------------------------------------------------------------------------------------------


async def test_ruby_sends_every_member_though_empty(house: House) -> None:
    content = {"subject": "Ruby", "text": "text", "category": "rb"}
    mail = RUBY_EMPTY | {"from": SENDER, "to": [{"email": "one@dest.test"}]} | content
    # Base64.encode64 breaks its lines; ActionMailer gives every attachment a Content-ID.
    attachment = {
        "content": base64.encodebytes(b"x" * 100).decode(),
        "filename": "note.txt",
        "type": "text/plain",
        "disposition": "attachment",
        "content_id": "65a@host.mail",
    }
    said = await house.ask(
        "POST", "/api/send", mail | {"attachments": [attachment]}, headers=RUBY, name="Authorization"
    )
    assert said["success"] and len(said["message_ids"]) == 1
    got = (await house.got(1))["one@dest.test"]
    (note,) = got.iter_attachments()
    assert (got["Subject"], note.get_filename(), note.get_content_type()) == ("Ruby", "note.txt", "text/plain")


async def test_ruby_batches_of_mails_that_leave_what_they_have_not_to_the_base(house: House) -> None:
    shared = {
        "subject": "Base",
        "text": "text",
        "attachments": [{"content": base64.b64encode(b"a").decode(), "filename": "a.txt"}],
        "headers": {"X-Base": "yes"},
        "custom_variables": {"plan": "gold"},
    }
    base = RUBY_EMPTY | {"from": SENDER} | shared
    own = {"to": [{"email": "own@dest.test"}], "subject": "Own", "headers": {"X-Own": "yes"}}
    requests = [RUBY_EMPTY | {"to": [{"email": "a@dest.test"}]}, RUBY_EMPTY | own]
    said = await house.ask("POST", "/bulk/api/batch", {"base": base, "requests": requests}, headers=RUBY)
    assert [each["success"] for each in said["responses"]] == [True, True]
    got = await house.got(2)
    assert (got["a@dest.test"]["Subject"], got["a@dest.test"]["X-Base"]) == ("Base", "yes")
    assert [part.get_filename() for part in got["a@dest.test"].iter_attachments()] == ["a.txt"]
    assert (got["own@dest.test"]["Subject"], got["own@dest.test"]["X-Base"]) == ("Own", None)
    (entry,) = [each for each in await ask_later(house.server, "messages.list") if each["to"] == "a@dest.test"]
    log = await house.ask("GET", f"/api/accounts/1/email_logs/{entry['id']}", headers=RUBY)
    assert (log["custom_variables"], log["sending_stream"]) == ({"plan": "gold"}, "bulk")


async def test_ruby_templates_in_a_batch(house: House) -> None:
    wanted = {"name": "N", "subject": "Hi {{{name}}}", "category": "c", "body_text": "T"}
    made = await house.ask(
        "POST", "/api/accounts/1/email_templates", {"email_template": wanted}, headers=RUBY, expect=201
    )
    variables = {"name": "all"}
    base = RUBY_EMPTY | {"from": SENDER, "template_uuid": made["uuid"], "template_variables": variables}
    own = {"to": [{"email": "b@dest.test"}], "template_variables": {"name": "Bob"}}
    requests = [RUBY_EMPTY | {"to": [{"email": "a@dest.test"}]}, RUBY_EMPTY | own]
    await house.ask("POST", "/api/batch", {"base": base, "requests": requests}, headers=RUBY)
    got = await house.got(2)
    assert (got["a@dest.test"]["Subject"], got["b@dest.test"]["Subject"]) == ("Hi all", "Hi Bob")


async def test_ruby_queries(house: House) -> None:
    """URI.encode_www_form: a name for each value of an array, brackets encoded, spaces as plus signs."""
    for name, category in (("a", "Welcome Email"), ("b", "Other"), ("c", "None")):
        mail = {"from": SENDER, "to": [{"email": f"{name}@dest.test"}], "subject": "S", "text": "T"}
        await house.ask("POST", "/api/send", mail | {"category": category}, headers=RUBY)
    filters = (
        "filters%5Bsent_after%5D=2025-01-01T00%3A00%3A00Z"
        "&filters%5Bcategory%5D%5Boperator%5D=equal"
        "&filters%5Bcategory%5D%5Bvalue%5D%5B%5D=Welcome+Email&filters%5Bcategory%5D%5Bvalue%5D%5B%5D=Other"
    )
    logs = await house.ask("GET", f"/api/accounts/1/email_logs?{filters}", headers=RUBY)
    assert {each["to"] for each in logs["messages"]} == {"a@dest.test", "b@dest.test"}
    cursor = logs["messages"][0]["message_id"]
    older = await house.ask("GET", f"/api/accounts/1/email_logs?search_after={cursor}&{filters}", headers=RUBY)
    assert [each["to"] for each in older["messages"]] == ["a@dest.test"]
    domains = (await house.ask("GET", "/api/accounts/1/sending_domains", headers=RUBY))["data"]
    (domain,) = [each["id"] for each in domains if each["domain_name"] == DOMAIN]
    period = f"start_date=2026-01-01&end_date={datetime.now(UTC).date()}"
    chosen = f"{period}&sending_domain_ids%5B%5D={domain}&sending_domain_ids%5B%5D=999&categories%5B%5D=Welcome+Email"
    async with asyncio.timeout(30):
        while (await house.ask("GET", f"/api/accounts/1/stats?{chosen}", headers=RUBY))["delivery_count"] != 1:
            await asyncio.sleep(3)  # ten questions a minute are answered
    path = f"/api/accounts/1/account_accesses?domain_ids={domain}&domain_ids=999&project_ids=999"
    (access,) = await house.ask("GET", path, headers=RUBY)
    assert access["specifier_type"] == "ApiToken"
    every = await house.ask("GET", "/api/accounts/1/account_accesses", headers=RUBY)
    assert len(every) > 1


async def test_ruby_keeps_contacts_and_permissions(house: House) -> None:
    lists = "/api/accounts/1/contacts/lists"
    first = await house.ask("POST", lists, {"name": "Customers"}, headers=RUBY)
    made = {"contact": {"email": "ann+a@dest.test", "list_ids": [first["id"]]}}
    ann = await house.ask("POST", "/api/accounts/1/contacts", made, headers=RUBY, expect=201)
    # What may stand in a path as it is (RFC 3986 3.3) is not encoded by URI::HTTPS.
    moved = {"contact": {"list_ids_excluded": [first["id"]]}}
    said = await house.ask("PATCH", "/api/accounts/1/contacts/ann+a@dest.test", moved, headers=RUBY)
    assert (said["action"], said["data"]["id"], said["data"]["list_ids"]) == ("updated", ann["data"]["id"], [])
    body = {"contacts": [{"email": "bob@dest.test", "list_ids_included": [first["id"]]}]}
    assert (await house.ask("POST", "/api/accounts/1/contacts/imports", body, headers=RUBY, expect=201))["id"]
    token = {"name": "T", "resources": [{"resource_type": "account", "resource_id": 1, "access_level": 10}]}
    made = await house.ask("POST", "/api/accounts/1/api_tokens", token, headers=RUBY)
    every = await house.ask("GET", "/api/accounts/1/account_accesses", headers=RUBY)
    (access,) = [each["id"] for each in every if each["specifier"]["id"] == made["id"]]
    bulk = f"/api/accounts/1/account_accesses/{access}/permissions/bulk"
    wanted = {"permissions": [{"resource_id": "1", "resource_type": "account", "_destroy": True}]}
    assert "updated" in (await house.ask("PUT", bulk, wanted, headers=RUBY))["message"]
    # A POST without any body, as `reset` makes it.
    assert (await house.ask("POST", f"/api/accounts/1/api_tokens/{made['id']}/reset", headers=RUBY))["token"]
    assert await house.ask("DELETE", f"{lists}/{first['id']}", headers=RUBY, expect=204) is None


# --- PHP -----------------------------------------------------------------------------------------------------------


async def test_php_sends_what_symfony_made(house: House) -> None:
    mail = {
        "from": SENDER,
        "to": [{"email": "one@dest.test", "name": "Ann"}],
        "subject": "PHP <&>",
        "text": "text",
        "html": '<img src="cid:dot.gif">',
        "cc": [{"email": "copy@dest.test"}],
        # Its content comes out of a MIME part in lines, which the SDK joins; an inline part's name is its id.
        "attachments": [
            {
                "content": base64.b64encode(b"GIF89a").decode(),
                "type": "image/gif",
                "filename": "dot.gif",
                "disposition": "inline",
                "content_id": "dot.gif",
            }
        ],
        # Header fields as Symfony spells and folds them; older versions have Reply-To among them.
        "headers": {
            "Reply-To": "=?utf-8?Q?J=C3=BCrgen?= <help@dest.test>, other@dest.test",
            "X-Long": "a" * 60 + "\r\n " + "b" * 60,
        },
        "custom_variables": {"user_id": "45982"},
        "category": "php",
    }
    said = await house.ask("POST", "/api/send", mail, headers=PHP)
    assert len(said["message_ids"]) == 2
    got = (await house.got(2))["one@dest.test"]
    assert [each.display_name for each in got["Reply-To"].addresses] == ["Jürgen", ""]
    assert got["X-Long"].replace(" ", "") == "a" * 60 + "b" * 60
    assert any(part["Content-ID"] == "<dot.gif>" for part in got.walk())


async def test_php_batches_name_reply_to_twice(house: House) -> None:
    base = {"from": SENDER, "subject": "Batch", "text": "text"}
    base |= {"headers": {"Reply-To": "Help <help@dest.test>"}, "reply_to": {"email": "help@dest.test", "name": "Help"}}
    requests = [{"to": [{"email": "a@dest.test"}]}, {"to": [{"email": "b@dest.test"}], "headers": {"X-Own": "1"}}]
    said = await house.ask("POST", "/api/batch", {"base": base, "requests": requests}, headers=PHP)
    assert [each["success"] for each in said["responses"]] == [True, True], said
    assert {mail["Reply-To"] for mail in (await house.got(2)).values()} == {"Help <help@dest.test>"}


async def test_php_updates_contacts_by_put_and_writes_empty_objects_as_arrays(house: House) -> None:
    path = "/api/accounts/1/contacts"
    new = {"email": "ann+a@dest.test", "fields": [], "list_ids": []}
    ann = await house.ask("POST", path, {"contact": new}, headers=PHP, expect=201)
    assert ann["data"]["fields"] == {}
    changed = {"email": "ann+a@dest.test", "fields": [], "list_ids_included": [], "list_ids_excluded": []}
    changed |= {"unsubscribed": None}
    # urlencode()
    said = await house.ask("PUT", f"{path}/ann%2Ba%40dest.test", {"contact": changed}, headers=PHP)
    assert (said["action"], said["data"]["id"]) == ("updated", ann["data"]["id"])
    said = await house.ask("PUT", f"/api/contacts/{ann['data']['id']}", {"contact": changed}, headers=PHP)
    assert said["action"] == "updated"
    del changed["unsubscribed"]
    await house.ask("POST", f"{path}/imports", {"contacts": [changed]}, headers=PHP, expect=201)
    said = await house.ask(
        "POST", f"{path}/ann%2Ba%40dest.test/events", {"name": "Login", "params": []}, headers=PHP, expect=201
    )
    assert said["params"] == {}


async def test_php_queries_and_permissions(house: House) -> None:
    """http_build_query, whose numbers within the brackets newer versions take out again."""
    for brackets in ("%5B%5D", "%5B0%5D"):
        path = f"/api/accounts/1/account_accesses?inbox_ids{brackets}=1&project_ids{brackets}=999"
        assert await house.ask("GET", path, headers=PHP) == []
    (domain,) = [
        each["id"]
        for each in (await house.ask("GET", "/api/accounts/1/sending_domains", headers=PHP))["data"]
        if each["domain_name"] == DOMAIN
    ]
    every = await house.ask("GET", "/api/accounts/1/account_accesses", headers=PHP)
    (access,) = [each["id"] for each in every if each["specifier"]["name"].startswith(f"{DOMAIN} token")]
    bulk = f"/api/accounts/1/account_accesses/{access}/permissions/bulk"
    wanted = [
        {"resource_id": "1", "resource_type": "account", "access_level": "10"},
        {"resource_id": str(domain), "resource_type": "mailsend_domain", "_destroy": True},
    ]
    await house.ask("PUT", bulk, {"permissions": wanted}, headers=PHP)
    (root,) = await house.ask("GET", "/api/accounts/1/permissions/resources", headers=PHP)
    assert root["type"] == "account"
    gone = "/api/accounts/1/suppressions?email=ann%40dest.test"
    assert await house.ask("GET", gone, headers=PHP) == []


# --- Elixir, and the command line's header -------------------------------------------------------------------------


async def test_elixir_sends_by_its_own_functions_and_by_bamboo(house: House) -> None:
    own = {
        "subject": "Hello",
        "from": SENDER,
        "html": "<strong>Hello</strong>",
        "text": "Hello",
        "to": [{"email": "one@dest.test", "name": "Jane"}],
        "cc": [{"email": "copy@dest.test", "name": "Alice"}],
    }
    assert len((await house.ask("POST", "/api/send", own, headers=ELIXIR))["message_ids"]) == 2
    # Bamboo's adapter gives the members that a message has not as empty ones, and attachments without type or place.
    bamboo = own | {"to": [{"email": "two@dest.test"}], "cc": [], "bcc": [], "headers": {}, "attachments": []}
    assert (await house.ask("POST", "/api/send", bamboo, headers=ELIXIR))["success"]
    note = {"filename": "note.txt", "content": base64.b64encode(b"note").decode(), "content_id": "note"}
    more = bamboo | {
        "to": [{"email": "three@dest.test"}],
        "attachments": [note],
        "headers": {"Reply-To": "a@dest.test"},
    }
    assert (await house.ask("POST", "/api/send", more, headers=ELIXIR))["success"]
    got = await house.got(4)
    assert got["three@dest.test"]["Reply-To"] == "a@dest.test"
    assert [part.get_filename() for part in got["three@dest.test"].iter_attachments()] == ["note.txt"]


async def test_elixir_reads_and_hears_no(house: House) -> None:
    ((account,),) = [await house.ask("GET", "/api/accounts", headers=ELIXIR)]
    assert account["id"] == 1
    house.token = ""
    assert await house.ask("GET", "/api/accounts", headers=ELIXIR, expect=401) == {"error": "Incorrect API token"}
    said = await house.ask("POST", "/api/send", {}, headers=ELIXIR, expect=401)
    assert said["errors"] == ["Unauthorized"]


async def test_the_command_line_says_who_it_is_by_another_header(house: House) -> None:
    cli = {"User-Agent": "mailtrap-cli", "Content-Type": "application/json"}
    mail = {"from": SENDER, "to": [{"email": "one@dest.test"}], "subject": "CLI", "text": "text"}
    assert (await house.ask("POST", "/api/send", mail, headers=cli, name="Api-Token"))["success"]
    (account,) = await house.ask("GET", "/api/accounts", headers=cli, name="Api-Token")
    assert account["access_levels"] == [100]
