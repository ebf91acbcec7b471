"""SES's SMTP interface: a derived password of any region, what its control fields do, and its replies, on both databases."""

import asyncio
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mailferry.resources.aws_regions import smtp_password
from tests.amazon import SENDER, Amazon, amazon, in_thread
from tests.commands import ask_later
from tests.flows.test_tracking import check_signatures
from tests.server import DOMAIN

TEXT = f"From: {SENDER}\r\nTo: a@dest.test\r\nBcc: b@dest.test\r\nSubject: S\r\nMessage-ID: <mine@app.test>\r\n"
CONTROLS = "X-SES-MESSAGE-TAGS: order=7, category=shop\r\nX-SES-TENANT: one\r\n"


@pytest.fixture
async def cloud(tmp_path: Path, database_url: str) -> Any:
    async with amazon(tmp_path, database_url) as found:
        yield found


@pytest.fixture
async def embedded(tmp_path: Path) -> Any:
    """Where the database makes no difference."""
    async with amazon(tmp_path) as found:
        yield found


@contextmanager
def connection(cloud: Amazon, region: str = "us-east-1", pair: Any = None) -> Iterator[smtplib.SMTP]:
    """Logged in as a program is that has Amazon's SMTP credentials."""
    pair = pair or cloud.pair
    trusted = ssl.create_default_context(cafile=str(cloud.server.data / "ca" / "ca.pem"))
    with smtplib.SMTP("localhost", cloud.server.smtp, timeout=60) as client:
        client.starttls(context=trusted)
        client.login(pair["access_key_id"], smtp_password(pair["secret_access_key"], region))
        yield client


def said(
    cloud: Amazon, text: str, sender: str = SENDER, to: tuple[str, ...] = ("a@dest.test",), **options: Any
) -> tuple[int, str]:
    """The last reply to one message."""
    with connection(cloud, **options) as client:
        client.mail(sender)
        for each in to:
            client.rcpt(each)
        code, reply = client.data(f"{text}\r\nIt works.\r\n")
        return code, reply.decode()


async def test_a_message_by_smtp_is_one_of_ses(cloud: Amazon) -> None:
    code, reply = await in_thread(said, cloud, TEXT + CONTROLS, region="eu-west-1")
    verdict, _, public_id = reply.partition(" ")
    assert (code, verdict, public_id[:4]) == (250, "Ok", "0102"), reply
    content = (await cloud.mx.received(1))[0].content
    check_signatures(content, cloud.dns)
    head = content.partition(b"\r\n\r\n")[0].lower()
    assert f"message-id: <{public_id}@".encode() in head
    assert b"x-ses-" not in head and b"\r\nbcc:" not in head and b"mine@app.test" not in head
    found = await cloud.log(public_id)
    assert (found["category"], found["custom_variables"]) == ("shop", {"order": "7", "category": "shop"})
    assert found["status"] == "delivered"
    # The envelope alone says who gets it.
    assert [mail.recipients for mail in cloud.mx.transactions] == [("a@dest.test",)]


async def test_every_refusal_is_in_words_of_ses(embedded: Amazon) -> None:
    other = TEXT.replace(SENDER, "n@other.test")
    code, reply = await in_thread(said, embedded, other, sender="n@other.test", region="ap-south-1")
    identities = "The following identities failed the check in region AP-SOUTH-1: n@other.test"
    assert (code, reply) == (554, f"Message rejected: Email address is not verified. {identities}")
    assert await in_thread(said, embedded, "X-SES-CONFIGURATION-SET: none\r\n" + TEXT) == (
        554,
        "Configuration Set does not exist",
    )
    code, reply = await in_thread(said, embedded, "X-SES-MESSAGE-TAGS: a b=c\r\n" + TEXT)
    assert code == 554 and reply.startswith("Transaction failed: Invalid tag name <a b>")
    assert await in_thread(said, embedded, "Subject: S\r\n") == (
        554,
        "Transaction failed: Missing required header 'From'.",
    )
    await in_thread(embedded.client("ses").update_account_sending_enabled, Enabled=False)
    code, reply = await in_thread(said, embedded, TEXT)
    assert code == 554 and reply.startswith("Message rejected: Sending paused for this account.")
    await in_thread(embedded.client("ses").update_account_sending_enabled, Enabled=True)
    assert not embedded.mx.transactions


async def test_who_may_log_in_and_send(cloud: Amazon) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError) as raw_secret:
        await in_thread(said, cloud, TEXT, region="no-region-1")
    assert (raw_secret.value.smtp_code, raw_secret.value.smtp_error) == (535, b"Authentication Credentials Invalid")
    nobody = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "x"}
    with pytest.raises(smtplib.SMTPAuthenticationError):
        await in_thread(said, cloud, TEXT, pair=nobody)

    viewer = await ask_later(cloud.server, "keys.create", name="reader", access=["account=viewer"])
    code, reply = await in_thread(said, cloud, TEXT, pair=viewer)
    assert (code, reply) == (
        554,
        "Access denied: User `arn:aws:iam::000000000001:user/reader' is not authorized to perform "
        "`ses:SendRawEmail' on resource `arn:aws:ses:us-east-1:000000000001:identity/*'",
    )
    confined = await ask_later(cloud.server, "keys.create", name="one", access=[f"domain:{DOMAIN}=admin"])
    assert (await in_thread(said, cloud, TEXT, pair=confined))[0] == 250

    def next_message() -> tuple[int, bytes]:
        with connection(cloud, pair=confined) as client:
            cloud.server.ask("keys.disable", key=confined["access_key_id"])
            return client.mail(SENDER)

    assert (await in_thread(next_message))[0] == 421
    with pytest.raises(smtplib.SMTPAuthenticationError):
        await in_thread(said, cloud, TEXT, pair=confined)


async def test_the_dialogue_is_the_one_of_amazons_guide(embedded: Amazon) -> None:
    """Addresses without brackets, AUTH LOGIN in two steps, fifty recipients a message, ASCII."""

    def talk() -> list[tuple[int, str]]:
        with connection(embedded) as client:
            replies = [client.docmd(f"MAIL FROM: {SENDER}"), client.docmd("RCPT TO: a@dest.test")]
            replies += [client.rcpt(f"{number}@dest.test") for number in range(50)][-2:]
            client.rset()
            replies += [client.docmd("MAIL FROM:<>"), client.docmd(f"MAIL FROM:<{SENDER}> SMTPUTF8")]
            client.command_encoding = "utf-8"
            replies += [client.docmd("RCPT TO:<ü@dest.test>")]
        return [(code, reply.decode()) for code, reply in replies]

    assert [(code, reply.split(" ", 1)[1] if code == 250 else reply) for code, reply in await in_thread(talk)] == [
        (250, "Sender ok"),
        (250, "Recipient ok"),
        (250, "Recipient ok"),
        (452, "Too many recipients"),
        (501, "Invalid MAIL FROM address provided"),
        (250, "Sender ok"),
        (553, "<?@dest.test> Invalid email address"),
    ]

    def by_login() -> str:
        trusted = ssl.create_default_context(cafile=str(embedded.server.data / "ca" / "ca.pem"))
        with smtplib.SMTP("localhost", embedded.server.smtp, timeout=60) as client:
            client.ehlo()
            # Without TLS there is what users of sandbox inboxes may have, and no way to say a password.
            assert set(client.esmtp_features.get("auth", "").split()) <= {"CRAM-MD5"}
            client.starttls(context=trusted)
            client.user = embedded.pair["access_key_id"]  # type: ignore[assignment]  # smtplib's, as login() sets them
            client.password = embedded.pair["smtp_password"]  # type: ignore[assignment]
            client.ehlo()
            client.auth("LOGIN", client.auth_login, initial_response_ok=False)
            client.sendmail(SENDER, ["a@dest.test"], f"{TEXT}\r\nIt works.\r\n")
            return "sent"

    assert await asyncio.to_thread(by_login) == "sent"
