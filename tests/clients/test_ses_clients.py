"""SES's clients with nothing changed but endpoint and keys: django-anymail, django-ses, the AWS SDK for JavaScript, nodemailer,
the AWS CLI, swaks. What each sends arrives under the id that it was told."""

import asyncio
import email
import email.policy
import json
import re
import subprocess
import sys
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from mailferry.resources.aws_regions import smtp_password
from tests.amazon import SENDER, Amazon, amazon, in_thread
from tests.clients.programs import run_program
from tests.peers.swaks import Said

DJANGO = Path(__file__).with_name("ses_django_sends.py")
NODE = Path(__file__).with_name("ses_tour.cjs")
#: What a customer has at Amazon, and types in here; Amazon's own example.
THEIRS = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}


@pytest.fixture
async def cloud(tmp_path: Path) -> Any:
    async with amazon(tmp_path) as found:
        yield found


def https(cloud: Amazon) -> str:
    return f"https://localhost:{cloud.server.https}"


async def arrived(cloud: Amazon, count: int) -> dict[str, EmailMessage]:
    """By recipient."""
    got = await cloud.mx.received(count)
    read = {mail: email.message_from_bytes(mail.content, policy=email.policy.default) for mail in got}
    return {to: message for mail, message in read.items() for to in mail.recipients}


def check_ids(told: dict[str, Any], mails: dict[str, EmailMessage]) -> None:
    for address, public_id in told.items():
        assert str(mails[address]["Message-ID"]).startswith(f"<{public_id}@"), address


async def django(cloud: Amazon, backend: str) -> dict[str, Any]:
    arguments = [backend, https(cloud), cloud.pair["access_key_id"], cloud.pair["secret_access_key"], SENDER]
    told: dict[str, Any] = json.loads(await run_program(cloud.server, [sys.executable, str(DJANGO), *arguments]))
    return told


async def test_django_s_backends(cloud: Amazon) -> None:
    content = {"Subject": "Hi {{name}}", "Text": "{{shop}}", "Html": "{{name}}"}
    create = cloud.client("sesv2").create_email_template
    await in_thread(create, TemplateName="welcome", TemplateContent=content)
    told = await django(cloud, "anymail")
    mails = await arrived(cloud, 5)
    check_ids(told, mails)
    ann = mails["ann@dest.test"]
    assert (ann["Subject"], ann["From"]) == ("Größe & Preis", f"Laden Köln <{SENDER}>")
    assert ann["Bcc"] is None and mails["dora@dest.test"]["To"] == "Ann <ann@dest.test>"
    # Where anymail keeps tags and metadata: it reads them back from the fields that events tell.
    assert (ann["X-Tag"], json.loads(ann["X-Metadata"]), ann["X-Order"]) == ("orders", {"user": 7}, "é 42")
    (report,) = [part for part in ann.walk() if part.get_content_type() == "text/csv"]
    assert (report.get_filename(), report.get_content().strip()) == ("Bericht.csv", "a;b")
    (image,) = [part for part in ann.walk() if part.get_content_type() == "image/gif"]
    assert image.get_content_disposition() == "inline"
    assert (await cloud.log(told["ann@dest.test"]))["category"] == "orders"
    gil, hal = mails["g@dest.test"], mails["h@dest.test"]
    assert (gil["Subject"], hal["Subject"]) == ("Hi Gil & Co", "Hi all")
    assert [body.get_content().strip() for body in (gil.get_body(("html",)), hal.get_body(("plain",))) if body] == [
        "Gil & Co",
        "Ö",
    ]
    assert [json.loads(mail["X-Metadata"]) for mail in (gil, hal)] == [{"user": 1}, {"user": 2}]
    assert (gil["X-Order"], hal["X-Order"], hal["X-Tag"], str(hal["To"])) == ("1", None, "welcome", "Hal <h@dest.test>")

    for number, version in enumerate(("v1", "v2"), 1):
        told = await django(cloud, version)
        assert told.pop(f"rate {version}") > 10
        mails = await arrived(cloud, 5 + 2 * number)
        check_ids(told, mails)
        assert mails[f"{version}@dest.test"]["Subject"] == "Größe"
        assert mails[f"b{version}@dest.test"]["To"] == f"{version}@dest.test"


async def test_the_aws_sdk_for_javascript_and_nodemailer(cloud: Amazon, amazon_node: Path) -> None:
    command = ["node", str(NODE), https(cloud), cloud.pair["access_key_id"], cloud.pair["secret_access_key"], SENDER]
    told = json.loads(await run_program(cloud.server, command, {"NODE_PATH": str(amazon_node / "node_modules")}))
    mails = await arrived(cloud, 3)
    check_ids(told, mails)
    assert set(mails) == {"sdk@dest.test", "mailer@dest.test", "blind@dest.test"}
    assert mails["sdk@dest.test"]["Subject"] == "Über das SDK" and mails["blind@dest.test"]["Bcc"] is None
    (attached,) = mails["mailer@dest.test"].iter_attachments()
    assert attached.get_filename() == "Größe.txt"
    assert [(await cloud.log(told[f"{name}@dest.test"]))["category"] for name in ("sdk", "mailer")] == [
        "node",
        "nodemailer",
    ]


async def test_the_aws_cli_with_a_pair_that_was_taken_over(cloud: Amazon) -> None:
    """Keys and region come from where the CLI always has them; the secret is never an argument of ours."""
    made = await in_thread(take_over, cloud)
    assert made["secret_access_key"] == THEIRS["secret_access_key"]
    environment = {
        "AWS_ACCESS_KEY_ID": THEIRS["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": THEIRS["secret_access_key"],
        "AWS_DEFAULT_REGION": "ap-south-1",
        "AWS_ENDPOINT_URL_SES": https(cloud),
    }

    async def aws(*arguments: str) -> Any:
        program = Path(sys.executable).with_name("aws")
        return json.loads(await run_program(cloud.server, [str(program), *arguments], environment))

    quota = await aws("ses", "get-send-quota")
    assert quota["Max24HourSend"] > 0 and quota["MaxSendRate"] > 0
    # The CLI's own shorthand, which it makes a Destination and a Message of.
    words = [
        "--from",
        SENDER,
        "--to",
        "v1@dest.test",
        "--subject",
        "By v1",
        "--text",
        "It works.",
        "--html",
        "<p>It works.</p>",
    ]
    one = await aws("ses", "send-email", *words)
    content = "Simple={Subject={Data=By v2},Body={Text={Data=It works.}}}"
    destination = ["--from-email-address", SENDER, "--destination", "ToAddresses=v2@dest.test"]
    two = await aws("sesv2", "send-email", "--endpoint-url", https(cloud), *destination, "--content", content)
    mails = await arrived(cloud, 2)
    check_ids({"v1@dest.test": one["MessageId"], "v2@dest.test": two["MessageId"]}, mails)
    assert {to: mail["Subject"] for to, mail in mails.items()} == {"v1@dest.test": "By v1", "v2@dest.test": "By v2"}
    assert one["MessageId"].startswith("0109")


def take_over(cloud: Amazon) -> Any:
    """By the command, with the secret on its standard input."""
    command = [
        sys.executable,
        "-m",
        "mailferry",
        "keys",
        "create",
        "theirs",
        "--import",
        THEIRS["access_key_id"],
        "--json",
    ]
    done = subprocess.run(
        [*command, "--data", str(cloud.server.data)],
        env=cloud.server.environment,
        input=THEIRS["secret_access_key"] + "\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_swaks_with_smtp_credentials_of_amazon(cloud: Amazon, run_swaks: Callable[..., Said]) -> None:
    await in_thread(take_over, cloud)
    trust = ["--tls", "--tls-verify", "--tls-ca-path", str(cloud.server.data / "ca" / "ca.pem")]
    there = ["--server", f"localhost:{cloud.server.smtp}", "--from", SENDER, "--to", "a@dest.test", *trust]
    user = ["--auth-user", THEIRS["access_key_id"]]
    for number, (region, mechanism) in enumerate((("us-gov-west-1", "PLAIN"), ("eu-west-1", "LOGIN")), 1):
        secret = ["--auth-password", smtp_password(THEIRS["secret_access_key"], region), "--auth", mechanism]
        said = await asyncio.to_thread(run_swaks, *there, *user, *secret)
        assert said.code == 0, said.transcript
        found = re.search(r"250 Ok ([0-9a-f-]+)", said.transcript)
        assert found, said.transcript
        await cloud.mx.received(number)
        assert found[1].encode() in cloud.mx.transactions[-1].content
    wrong = ["--auth-password", THEIRS["secret_access_key"], "--auth", "PLAIN"]
    said = await asyncio.to_thread(run_swaks, *there, *user, *wrong)
    assert said.code == 28 and "535 Authentication Credentials Invalid" in said.transcript
    elsewhere = ["--from", "n@other.test", *trust, *user, "--auth", "PLAIN", "--auth-password"]
    password = smtp_password(THEIRS["secret_access_key"], "us-east-1")
    said = await asyncio.to_thread(run_swaks, *there, *elsewhere, password)
    assert "554 Message rejected: Email address is not verified." in said.transcript, said.transcript
