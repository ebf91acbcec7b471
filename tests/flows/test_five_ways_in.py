"""The same message by Mailtrap's API and SMTP and by three ways of Amazon's: one look, one log, one count, one suppression list."""

import asyncio
import email
import email.policy
import re
import smtplib
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mailferry.mail.address import Mailbox
from mailferry.mail.compose import Content, compose
from tests.amazon import SENDER, Amazon, amazon, in_thread
from tests.commands import ask_later
from tests.flows.test_tracking import check_signatures
from tests.server import message

SUBJECT, TEXT, HTML = "Größe & Preis", "Grüße aus Köln\r\n", "<p>Grüße aus Köln</p>\r\n"


class Refused(Exception):
    """With the code and what else was heard."""


@pytest.fixture
async def cloud(tmp_path: Path, database_url: str) -> Any:
    async with amazon(tmp_path, database_url) as found:
        yield found


def whole(to: str) -> bytes:
    """As a program writes it that makes its own MIME, and makes it as Mailferry does: so that all can be compared."""
    content = Content(Mailbox(SENDER, "App"), (Mailbox(to),), subject=SUBJECT, text=TEXT, html=HTML)
    head, _, body = compose(content, message_id="program@app.test", date_ms=0).partition(b"\r\n\r\n")
    kept = [line for line in head.split(b"\r\n") if not line.startswith((b"Date:", b"Message-ID:"))]
    return b"\r\n".join([*kept, b"", body])


def by_mailtrap(cloud: Amazon, to: str) -> Any:
    body = message(to, subject=SUBJECT, text=TEXT, html=HTML) | {"from": {"email": SENDER, "name": "App"}}
    status, answer = cloud.server.post("/api/send", body, cloud.server.credentials["api_token"])
    if status != 200:
        raise Refused(status, answer)
    return answer


def by_smtp(cloud: Amazon, to: str, user: str = "", password: str = "") -> bytes:
    trusted = ssl.create_default_context(cafile=str(cloud.server.data / "ca" / "ca.pem"))
    with smtplib.SMTP("localhost", cloud.server.smtp, timeout=60) as client:
        client.starttls(context=trusted)
        client.login(user or "api", password or cloud.server.credentials["api_token"])
        client.mail(SENDER)
        client.rcpt(to)
        code, reply = client.data(whole(to))
    if code != 250:
        raise Refused(code, reply)
    return reply


def by_ses_smtp(cloud: Amazon, to: str) -> bytes:
    return by_smtp(cloud, to, cloud.pair["smtp_username"], cloud.pair["smtp_password"])


def by_ses_v1(cloud: Amazon, to: str) -> Any:
    return cloud.client("ses").send_raw_email(RawMessage={"Data": whole(to)})


def by_ses_v2(cloud: Amazon, to: str) -> Any:
    body = {"Text": {"Data": TEXT}, "Html": {"Data": HTML}}
    return cloud.client("sesv2").send_email(
        FromEmailAddress=f"App <{SENDER}>",
        Destination={"ToAddresses": [to]},
        Content={"Simple": {"Subject": {"Data": SUBJECT}, "Body": body}},
    )


WAYS: dict[str, Callable[[Amazon, str], Any]] = {
    "mailtrap": by_mailtrap,
    "smtp": by_smtp,
    "ses-smtp": by_ses_smtp,
    "ses-v1": by_ses_v1,
    "ses-v2": by_ses_v2,
}


def whatever_the_way(content: bytes) -> bytes:
    """All octets of a message but what is made anew for each: its id and date, the boundary, trace and signatures."""
    head, _, body = content.partition(b"\r\n\r\n")
    fields = re.split(rb"\r\n(?![ \t])", head)
    kept = [field for field in fields if not field.startswith((b"DKIM-Signature:", b"Received:"))]
    (boundary,) = re.findall(rb'boundary="?([^"\r\n;]+)', head)
    found = b"\r\n".join([*kept, b"", body]).replace(boundary, b"BOUNDARY")
    for pattern, name in ((rb"Message-ID: <[^@]+@", b"Message-ID: <ID@"), (rb"Date: [^\r]+", b"Date: NOW")):
        found, number = re.subn(rb"(?m)^" + pattern, name, found)
        assert number == 1, content
    return found


async def test_all_look_alike_and_stand_in_one_log_one_count_and_one_list(cloud: Amazon) -> None:
    for way, send in WAYS.items():
        await in_thread(send, cloud, f"{way}@dest.test")
    got = {mail.recipients[0].split("@")[0]: mail.content for mail in await cloud.mx.received(len(WAYS))}
    mails = {way: email.message_from_bytes(content, policy=email.policy.default) for way, content in got.items()}
    octets = {way: whatever_the_way(content).replace(f"{way}@".encode(), b"to@") for way, content in got.items()}
    assert {way for way in WAYS if octets[way] != octets["mailtrap"]} == set(), octets
    check_reading(mails["mailtrap"])
    for content in got.values():
        check_signatures(content, cloud.dns)
    # Mail by SMTP leaves with a trace (RFC 5321 4.4), and with no other.
    assert {way for way, mail in mails.items() if mail["Received"]} == {"smtp", "ses-smtp"}
    assert {way for way, mail in mails.items() if str(mail["Message-ID"]).startswith("<0100")} == {
        "ses-smtp",
        "ses-v1",
        "ses-v2",
    }

    until = time.monotonic() + 30
    while await counted(cloud) != len(WAYS):
        assert time.monotonic() < until
        await asyncio.sleep(3)  # ten questions a minute are answered
    assert await log(cloud) == {f"{way}@dest.test": ["delivered"] for way in WAYS}
    await suppressed_for_all(cloud)
    await caught_for_all(cloud)
    await limited_for_all(cloud)


def check_reading(mail: EmailMessage) -> None:
    """What a reader sees of it, read by the standard library."""
    texts = [mail.get_body((kind,)) for kind in ("plain", "html")]
    assert [part.get_content() for part in texts if part] == [TEXT, HTML]
    assert (str(mail["Subject"]), str(mail["From"])) == (SUBJECT, f"App <{SENDER}>")


async def asked(cloud: Amazon, path: str) -> Any:
    token = cloud.server.credentials["api_token"]
    status, answer = await in_thread(cloud.server.request, "GET", f"/api/accounts/1/{path}", token, None)
    assert status == 200, answer
    return answer


async def counted(cloud: Amazon) -> int:
    """Deliveries in the statistics."""
    days = [datetime.now(UTC) + timedelta(days=days) for days in (-1, 1)]
    start, end = (day.date().isoformat() for day in days)
    return int((await asked(cloud, f"stats?start_date={start}&end_date={end}"))["delivery_count"])


async def log(cloud: Amazon) -> dict[str, list[str]]:
    """Recipient -> what became of what was sent there."""
    found: dict[str, list[str]] = {}
    for each in (await asked(cloud, "email_logs"))["messages"]:
        found.setdefault(each["to"], []).append(each["status"])
    return found


async def suppressed_for_all(cloud: Amazon) -> None:
    """What bounced by one way is sent to by none."""
    cloud.mx.answers["RCPT"] = "550 5.1.1 User unknown"
    await in_thread(by_ses_smtp, cloud, "gone@dest.test")
    until = time.monotonic() + 30
    while not await asked(cloud, "suppressions"):
        assert time.monotonic() < until
        await asyncio.sleep(0.2)
    cloud.mx.answers.clear()
    count = len(cloud.mx.transactions)
    for send in WAYS.values():
        await in_thread(send, cloud, "gone@dest.test")
    assert (await log(cloud))["gone@dest.test"] == ["not_delivered"] * (1 + len(WAYS))
    assert len(cloud.mx.transactions) == count


async def caught_for_all(cloud: Amazon) -> None:
    """Where the environment catches mail, whoever sends is told what they always are, and nothing else notices."""
    before, count = await log(cloud), len(cloud.mx.transactions)
    inbox = cloud.server.credentials["sandbox"]["inbox_id"]
    await ask_later(cloud.server, "environment.set", account=1, mode="capture", inbox=inbox)
    told = {way: await in_thread(send, cloud, f"{way}@dest.test") for way, send in WAYS.items()}
    assert told["mailtrap"]["success"] and len(told["mailtrap"]["message_ids"]) == 1
    assert told["smtp"].startswith(b"2.0.0 Ok: queued as ") and told["ses-smtp"].startswith(b"Ok 0100")
    assert all(told[way]["MessageId"].startswith("0100") for way in ("ses-v1", "ses-v2"))
    await in_thread(by_mailtrap, cloud, "gone@dest.test")
    caught = await asked(cloud, f"inboxes/{inbox}/messages")
    assert [each["to_email"] for each in caught] == ["gone@dest.test", *(f"{way}@dest.test" for way in reversed(WAYS))]
    assert {each["subject"] for each in caught} == {SUBJECT}
    assert await log(cloud) == before and len(cloud.mx.transactions) == count
    await ask_later(cloud.server, "environment.clear", account=1)


async def limited_for_all(cloud: Amazon) -> None:
    """What one way has sent, none may send beyond it; each says so in its own words, and in those of a moment."""
    await ask_later(cloud.server, "accounts.quota", account=1, per_day=1, per_second=2.5)
    told = await in_thread(cloud.client("ses").get_send_quota)
    assert (told["Max24HourSend"], told["MaxSendRate"]) == (1.0, 2.5)
    assert told["SentLast24Hours"] == 2 * len(WAYS) + 1
    daily = "Daily message quota exceeded."
    assert await refusals(cloud) == {
        "mailtrap": (429, {"success": False, "errors": ["Daily limit of the account exceeded"]}),
        "smtp": (451, b"4.7.1 Daily limit of the account exceeded, try again later"),
        "ses-smtp": (454, b"Throttling failure: " + daily.encode()),
        "ses-v1": (400, "Throttling", daily),
        "ses-v2": (429, "TooManyRequestsException", daily),
    }
    await ask_later(cloud.server, "accounts.quota", account=1, per_day=0, per_second=0.001)
    await in_thread(by_mailtrap, cloud, "last@dest.test")
    rate = "Maximum sending rate exceeded."
    assert await refusals(cloud) == {
        "mailtrap": (429, {"success": False, "errors": ["Rate limit exceeded"]}),
        "smtp": (451, b"4.7.1 Rate limit exceeded, try again later"),
        "ses-smtp": (454, b"Throttling failure: " + rate.encode()),
        "ses-v1": (400, "Throttling", rate),
        "ses-v2": (429, "TooManyRequestsException", rate),
    }
    bulk = await in_thread(
        cloud.client("sesv2").send_bulk_email,
        FromEmailAddress=SENDER,
        DefaultContent={"Template": {"TemplateContent": {"Subject": "S", "Text": "T"}, "TemplateData": "{}"}},
        BulkEmailEntries=[{"Destination": {"ToAddresses": ["a@dest.test"]}}],
    )
    assert bulk["BulkEmailEntryResults"] == [{"Status": "ACCOUNT_THROTTLED", "Error": rate}]
    assert (await in_thread(cloud.client("sesv2").get_account))["SendQuota"]["MaxSendRate"] == 0.001


async def refusals(cloud: Amazon) -> dict[str, Any]:
    return {way: await in_thread(refusal, send, cloud) for way, send in WAYS.items()}


def refusal(send: Callable[[Amazon, str], Any], cloud: Amazon) -> Any:
    """What a sender by this way is told."""
    try:
        found = send(cloud, "more@dest.test")
    except ClientError as error:
        told = error.response["Error"]
        return error.response["ResponseMetadata"]["HTTPStatusCode"], told["Code"], told["Message"]
    except Refused as error:
        return error.args
    raise AssertionError(f"it was sent: {found}")
