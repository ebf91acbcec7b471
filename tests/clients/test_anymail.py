"""django-anymail with nothing changed but `MAILTRAP_API_URL`: what it sends arrives, and its webhook view knows our words."""

import asyncio
import email
import email.policy
import hashlib
import hmac
import json
import sys
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from mailferry.consumers.mailtrap_words import PAYLOAD_EVENT
from tests.clients.anymail_webhook import Refused, normalised
from tests.clients.programs import run_program
from tests.commands import ask_later, first_run
from tests.conftest import eventually
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.fakes.receiver import Receiver
from tests.server import DOMAIN, Mailferry, add_domain, message, running

ZONE = {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}
PROGRAM = Path(__file__).with_name("anymail_sends.py")
SENDER = f"app@{DOMAIN}"
ARRIVING = {f"{name}@dest.test" for name in ("ann", "bob", "carl", "dora", "plain", "image", "template")} | {
    f"{name}@dest.test" for name in ("other0", "other1", "other2", "e", "f", "copy", "g", "h")
}
SECRET = "0123456789abcdef" * 2


async def test_what_anymail_sends_arrives(tmp_path: Path) -> None:
    async with FakeDNS(ZONE) as dns, FakeMX() as mx, running(tmp_path, dns, smtp_port=mx.port) as server:
        await add_domain(server, dns)
        told = await send(server, await asyncio.to_thread(template, server))
        got = await mx.received(len(ARRIVING) + 1)  # the copy of a batch goes once a request
        log = {entry["id"]: entry for entry in await ask_later(server, "messages.list", limit=100)}
        logged = {to: await asyncio.to_thread(log_of, server, told[to][1]) for to in ("ann@dest.test", "f@dest.test")}

    assert {to for mail in got for to in mail.recipients} == ARRIVING
    assert told.pop("i@dest.test") == ["failed", None]
    assert {status for status, _ in told.values()} == {"queued"}
    assert "never@dest.test" not in {entry["to"] for entry in log.values()}
    assert {log[found]["to"]: found for _, found in told.values()} == {to: found for to, (_, found) in told.items()}
    check_single({mail.recipients[0]: parsed(mail.content) for mail in got}["ann@dest.test"])
    check_others({to: parsed(mail.content) for mail in got for to in mail.recipients})
    assert logged["ann@dest.test"]["category"] == "orders"
    assert logged["ann@dest.test"]["custom_variables"] == {"user": "7", "plan": "gold"}
    assert logged["f@dest.test"]["custom_variables"] == {"user": "2", "plan": "gold"}


def check_single(mail: EmailMessage) -> None:
    assert mail["Subject"] == "Größe & Preis" and mail["From"] == f"Laden Köln <{SENDER}>"
    assert mail["To"] == "Ann <ann@dest.test>, bob@dest.test" and mail["Bcc"] is None
    assert mail["Cc"].addresses[0].display_name == "Carl C."
    assert [each.display_name for each in mail["Reply-To"].addresses] == ["Hilfe für alle", "Other"]
    assert mail["X-Order"] == "é 42" and mail["List-Unsubscribe"] == "<https://shop.test/u>"
    (report,) = mail.iter_attachments()
    assert report.get_filename() == "Bericht.csv" and report.get_content() == "a;b\n"
    html = mail.get_body(("html",))
    assert html is not None and "cid:" in html.get_content()
    (image,) = [part for part in mail.walk() if part.get_content_type() == "image/gif"]
    assert image["Content-ID"].strip("<>") in html.get_content() and image.get_content_disposition() == "inline"


def check_others(mails: dict[str, EmailMessage]) -> None:
    assert mails["plain@dest.test"].get_content_type() == "multipart/alternative"
    assert any(part["Content-ID"] == "<dot>" for part in mails["image@dest.test"].walk())
    assert mails["e@dest.test"]["To"] == "e@dest.test" and mails["e@dest.test"]["X-Order"] == "1"
    assert mails["f@dest.test"]["To"] == "Frank <f@dest.test>" and mails["f@dest.test"]["X-Order"] is None
    assert mails["template@dest.test"]["Subject"] == "Hi Tom & Ö"
    assert mails["g@dest.test"]["Subject"] == "Hi Gil" and mails["h@dest.test"]["Subject"] == "Hi all"


async def send(server: Mailferry, template: str) -> dict[str, list[Any]]:
    url = f"https://localhost:{server.https}/api/"
    arguments = [url, first_run(server)["api_token"], SENDER, template]
    told: dict[str, list[Any]] = json.loads(await run_program(server, [sys.executable, str(PROGRAM), *arguments]))
    return told


def template(server: Mailferry) -> str:
    made = {"name": "Welcome", "subject": "Hi {{{name}}}", "category": "welcome", "body_text": "Hi {{{name}}}"}
    status, answer = server.post(
        "/api/accounts/1/email_templates", {"email_template": made}, first_run(server)["api_token"]
    )
    assert status == 201, answer
    return str(answer["uuid"])


def log_of(server: Mailferry, message_id: str) -> dict[str, Any]:
    status, answer = server.request("GET", f"/api/email_logs/{message_id}", first_run(server)["api_token"])
    assert status == 200, answer
    return dict(answer)


def parsed(content: bytes) -> EmailMessage:
    return email.message_from_bytes(content, policy=email.policy.default)


# --- its webhook view ----------------------------------------------------------------------------------------------

COMMON = {
    "timestamp": 1728669700,
    "sending_stream": "transactional",
    "message_id": "1df37d17-3d5a-7000-8000-000000000000",
    "email": "ann@dest.test",
    "event_id": "bede7236-3d5a-7000-8000-000000000000",
    "sending_domain_name": DOMAIN,
    "category": "orders",
    "custom_variables": {"user": "7"},
}
BOUNCE = {"response": "550 5.1.1 unknown", "response_code": 550, "bounce_category": "badmailbox"}
VISITOR = {"ip": "192.0.2.1", "user_agent": "Mozilla/5.0"}
#: Mailtrap's word in a payload, and what else there is -> anymail's kind of event and reason.
PAYLOADS: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "delivery": ({}, "delivered", None),
    "soft bounce": (BOUNCE, "deferred", "other"),
    "bounce": (BOUNCE, "bounced", "bounced"),
    "suspension": ({"reason": "Your account has reached its daily sending limit."}, "deferred", "other"),
    "reject": ({"reason": "Recipient in suppression list. Reason: unsubscription"}, "rejected", "blocked"),
    "open": (VISITOR, "opened", None),
    "click": ({**VISITOR, "url": "https://shop.test/"}, "clicked", None),
    "unsubscribe": (VISITOR, "unsubscribed", "unsubscribed"),
    "spam": ({}, "complained", "spam"),
}


async def test_its_webhook_view_takes_what_our_webhooks_send(tmp_path: Path) -> None:
    async with (
        FakeDNS(ZONE) as dns,
        FakeMX() as mx,
        Receiver() as receiver,
        running(tmp_path, dns, smtp_port=mx.port) as server,
    ):
        await add_domain(server, dns)
        token = first_run(server)["api_token"]
        wanted = {"url": receiver.url(), "webhook_type": "email_sending", "sending_stream": "transactional"}
        wanted["event_types"] = ["delivery", "bounce"]
        _, made = await asyncio.to_thread(server.post, "/api/webhooks", {"webhook": wanted}, token)
        await asyncio.to_thread(server.post, "/api/send", message("a@dest.test", category="orders"), token)
        await eventually(lambda: receiver.taken)
        mx.answers["RCPT"] = "550 5.1.1 User unknown"
        more = message("b@dest.test", custom_variables={"user": 7})
        await asyncio.to_thread(server.post, "/api/send", more, token)
        await eventually(lambda: len(receiver.taken) == 2)
    secret = made["data"]["signing_secret"]
    arrived, bounced = (event for each in receiver.requests for event in normalised(each.body, each.headers, secret))
    assert (arrived.event_type, arrived.recipient, arrived.tags) == ("delivered", "a@dest.test", ["orders"])
    assert (bounced.event_type, bounced.reject_reason, bounced.metadata) == ("bounced", "bounced", {"user": "7"})
    assert "User unknown" in bounced.mta_response
    with pytest.raises(Refused):
        normalised(receiver.requests[0].body, receiver.requests[0].headers, "0" * 32)


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"Content-Type": "application/json", "Mailtrap-Signature": digest}


def test_the_webhook_view_knows_every_word_of_a_payload() -> None:
    assert set(PAYLOADS) == set(PAYLOAD_EVENT.values())
    body = json.dumps(
        {"events": [{"event": word, **COMMON, **more} for word, (more, _, _) in PAYLOADS.items()]}
    ).encode()
    events = normalised(body, signed(body), SECRET)
    wanted = [(kind, reason) for _, kind, reason in PAYLOADS.values()]
    assert [(event.event_type, event.reject_reason) for event in events] == wanted
    for event, (more, _, _) in zip(events, PAYLOADS.values(), strict=True):
        assert (event.message_id, event.event_id) == (COMMON["message_id"], COMMON["event_id"])
        assert (event.recipient, event.tags, event.metadata) == ("ann@dest.test", ["orders"], {"user": "7"})
        assert event.timestamp.timestamp() == COMMON["timestamp"]
        assert (event.mta_response, event.click_url) == (more.get("response"), more.get("url"))
        assert event.user_agent == more.get("user_agent")


@pytest.mark.parametrize("headers", [{}, {"Mailtrap-Signature": "0" * 64}, signed(b"{}", "another")])
def test_the_webhook_view_checks_the_signature(headers: dict[str, str]) -> None:
    with pytest.raises(Refused):
        normalised(b"{}", headers, SECRET)
    assert normalised(b"{}", signed(b"{}"), SECRET) == []
