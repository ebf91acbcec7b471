"""No secret and no text of a message gets out by the logs, the command line, the metrics or an error."""

import asyncio
import base64
import contextlib
import json
import re
import smtplib
from itertools import product
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from mailferry.credentials import REGION
from mailferry.resources.aws_regions import smtp_password
from tests.hostile import Target, besieged, connected, said_until_closed
from tests.server import message

BODY = "only the recipient reads this 5b1d2f"
ATTACHED = b"only the recipient opens this 9c3e7a"
WRONG = "ffffffffffffffffffffffffffffffff"
RELAY_PASSWORD = "relay-password-4d1c"
#: A pair of Amazon's that is taken over, and whose SMTP password is asked for.
THEIRS = ("AKIAIOSFODNN7EXAMPLE", "theirSecretMDENG/bPxRfiCY0123456789ABCD")
#: How a private key begins in PEM, and as the base64 of its DER: RSA and Ed25519 (RFC 5958, RFC 8410).
PRIVATE_KEYS = ("PRIVATE KEY", "MIIEvQIBADAN", "MIIEvAIBADAN", "MIIEvgIBADAN", "MC4CAQAwBQYDK2VwBCIE")


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def secrets_of(target: Target) -> list[str]:
    """All that must not be seen, whole and in halves, and as clients encode it."""
    first = json.loads((target.server.data / "first-run.json").read_bytes())
    passwords = [first["owner"]["password"], first["sandbox"]["password"], WRONG, RELAY_PASSWORD]
    passwords += [secret for _, secret in (THEIRS, own_pair(target))]
    passwords += [smtp_password(secret, REGION) for _, secret in (THEIRS, own_pair(target))]
    half = len(target.token) // 2
    key = (target.server.data / "secret.key").read_bytes().strip()
    texts = [*passwords, target.token[:half], target.token[half:], BODY, ATTACHED.decode()]
    encoded = [base64_of(text) for text in (target.token, WRONG, BODY, ATTACHED.decode())]
    encoded += [base64_of(f"\0api\0{token}") for token in (target.token, WRONG)]
    encoded += [base64_of(f"api:{target.token}"), key.hex(), base64.b64encode(key).decode(), key.decode("latin-1")]
    # The padding hides the last octets' end, and base64 of a part depends on where the part begins.
    return [*PRIVATE_KEYS, *texts, *(each.rstrip("=")[:-1] for each in encoded)]


def own_pair(target: Target) -> tuple[str, str]:
    pair = json.loads((target.server.data / "first-run.json").read_bytes())["ses"]
    return pair["access_key_id"], pair["secret_access_key"]


def sign_in_every_way(target: Target) -> list[str]:
    """Key pairs of Amazon's dialect, right and wrong, by its API and by SMTP; what was answered to the wrong ones."""
    with contextlib.suppress(AssertionError):  # the second time there is one already
        target.server.ask("keys.create", name="theirs", access=["account=admin"], key_id=THEIRS[0], secret=THEIRS[1])
    answers = []
    content = {"Simple": {"Subject": {"Data": "S"}, "Body": {"Text": {"Data": BODY}}}}
    for (key_id, secret), given in product((THEIRS, own_pair(target)), ("", WRONG)):
        ses = boto3.client(
            "sesv2",
            region_name=REGION,
            endpoint_url=f"http://127.0.0.1:{target.server.http}",
            aws_access_key_id=key_id,
            aws_secret_access_key=given or secret,
        )
        try:
            to = {"ToAddresses": ["a@dest.test"]}
            ses.send_email(FromEmailAddress="app@sender.test", Destination=to, Content=content)
            target.good += 1
        except ClientError as error:
            answers.append(repr(error.response))
        # The secret itself is a mistake that people make.
        for password in (smtp_password(given or secret, REGION), secret):
            with smtplib.SMTP("127.0.0.1", target.server.smtp, timeout=30) as client:
                client.starttls(context=target.context)
                try:
                    client.login(key_id, password)
                    client.sendmail("app@sender.test", ["a@dest.test"], f"From: app@sender.test\r\n\r\n{BODY}\r\n")
                    target.good += 1
                except smtplib.SMTPAuthenticationError as error:
                    answers.append(repr(error))
    assert len(answers) == 8
    return answers


def call_in_every_way(target: Target) -> list[str]:
    """Right and wrong tokens by HTTP; what was answered to the wrong ones."""
    server, token, half = target.server, target.token, target.token[:16]
    body = message(
        "a@dest.test", text=BODY, attachments=[{"filename": "a.txt", "content": base64.b64encode(ATTACHED).decode()}]
    )
    for headers in ({"Authorization": f"Bearer {token}"}, {"Api-Token": token}):
        status, _ = server.post("/api/send", body, "", headers)
        assert status == 200
        target.good += 1
    wrong: list[dict[str, str]] = [
        {"Api-Token": WRONG},
        {"Api-Token": half},
        {"Api-Token": f"{token}{token}"},
        {"Authorization": token},
        {"Authorization": f"Bearer: {token}"},
        {"Authorization": f"Bearer {token} {token}"},
        {"Authorization": f"Token token={token}"},
        {"Authorization": f"Basic {base64_of(f'api:{token}')}"},
        {"Authorization": f"Bearer {WRONG}", "Api-Token": token},
        {"Cookie": f"token={token}"},
    ]
    answers = [server.post("/api/send", body, "", headers) for headers in wrong]
    answers += [server.request("GET", f"/api/email_logs?api_token={token}&access_token={token}")]
    assert {status for status, _ in answers} == {401}
    answers += [
        server.request("GET", f"/api/email_logs?filters[to][value]={token}&filters[status][value]={token}", token)
    ]
    refused = body | {"subject": 1, "to": [{"email": BODY}], "headers": {"Date": BODY}}
    answers += [server.post("/api/send", refused, token), server.post("/api/batch", {"requests": [refused]}, token)]
    raw = [
        f"GET /health HTTP/1.1\r\nApi-Token: {token}\r\nNo colon {token}\r\n\r\n",
        f"{token}\r\n\r\n",
        f"{BODY}\r\n\r\n",
    ]
    return [json.dumps(answers), *(repr(target.http(octets.encode())) for octets in raw)]


def submit_in_every_way(target: Target) -> list[str]:
    """Right and wrong passwords by SMTP; what was answered to the wrong ones."""
    said: list[str] = []
    for password, mechanism in ((target.token, "PLAIN"), (target.token, "LOGIN"), (WRONG, "PLAIN"), (WRONG, "LOGIN")):
        with smtplib.SMTP("127.0.0.1", target.server.smtp, timeout=30) as client:
            client.starttls(context=target.context)
            client.ehlo()
            client.user, client.password = "api", password  # what `auth` reads
            try:
                client.auth(mechanism, getattr(client, f"auth_{mechanism.lower()}"))
            except smtplib.SMTPAuthenticationError as error:
                said.append(repr(error))
                # Out of step, a client says its secrets as commands.
                lines = [
                    target.token,
                    f"AUTH {target.token}",
                    f"AUTH PLAIN {target.token}",
                    f"MAIL FROM:<{target.token}>",
                ]
                said += [repr(client.docmd(line)) for line in lines]
                continue
            client.sendmail("app@sender.test", ["a@dest.test"], f"From: app@sender.test\r\n\r\n{BODY}\r\n")
            target.good += 1
            with contextlib.suppress(smtplib.SMTPDataError):
                client.sendmail("app@sender.test", ["a@dest.test"], f"From: x@evil.test\r\n\r\n{BODY}\r\n")
                raise AssertionError("a foreign sender was accepted")
    with connected(target.server.smtp) as wire:
        wire.sendall(f"EHLO x\r\nAUTH PLAIN {base64_of(chr(0) + 'api' + chr(0) + target.token)}\r\nQUIT\r\n".encode())
        said.append(repr(said_until_closed(wire)))
    assert len(said) == 11
    return said


def look_everywhere(target: Target) -> list[str]:
    """What an operator can have printed, apart from `credentials`, and what monitoring sees."""
    server, found = target.server, target.server.ask("messages.list")
    own = {"domain": "sender.test"}
    asked: list[tuple[str, dict[str, Any]]] = [
        ("domains.add", {"domain": "other.test"}),
        ("domains.list", {}),
        ("keys.list", {}),
    ]
    asked += [("domains.records", own), ("domains.verify", own), ("queue.list", {})]
    asked += [("messages.show", {"message": each["id"]}) for each in found]
    # What a command prints with --json is what the socket says; two are run to see it.
    shown = [server.command("config", "--show"), server.command("messages", "show", found[0]["id"]), found]
    assert target.token in json.dumps(server.credentials)  # there it is found, so that elsewhere it would be
    return [
        *map(json.dumps, shown),
        *(json.dumps(server.ask(verb, **given)) for verb, given in asked),
        metrics(server.metrics),
    ]


def metrics(port: int) -> str:
    with connected(port) as wire:
        wire.sendall(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        return said_until_closed(wire).decode()


async def test_no_secret_gets_out(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"log__level": "debug", "log__format": "json", "relay__password": RELAY_PASSWORD}
    async with besieged(tmp_path, **settings) as target:
        seen = await tell_it_secrets(target)
        await asyncio.to_thread(target.server.stop)
        target.server.settings["log.format"] = "console"
        await asyncio.to_thread(target.server.start)
        seen += await tell_it_secrets(target)
        seen += await asyncio.to_thread(break_it, target)
        await asyncio.to_thread(target.server.stop)
        log = re.sub(r"\x1b\[[0-9;]*m", "", target.server.log.read_text())
        # It was there to be told, and was told.
        for word in ("smtp_auth_failed", "api_refused", "http_refused", "accepted", "stopped"):
            assert log.count(word) >= 2, word
        for secret in secrets_of(target):
            assert secret not in log and not [text for text in seen if secret in text], secret


def break_it(target: Target) -> list[str]:
    """Without its table nothing can be kept: exceptions and their texts come up from the database."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(target.server.data / "mailferry.db")) as database:
        database.execute("ALTER TABLE messages RENAME TO gone")
    answer = target.post(message("a@dest.test", text=BODY, custom_variables={"k": BODY}))
    assert answer.status == 500, answer
    with pytest.raises(smtplib.SMTPDataError) as refused:
        target.submit(f"From: app@sender.test\r\n\r\n{BODY}\r\n".encode())
    return [repr(answer), repr(refused.value)]


async def tell_it_secrets(target: Target) -> list[str]:
    answers = await asyncio.to_thread(call_in_every_way, target)
    replies = await asyncio.to_thread(submit_in_every_way, target)
    replies += await asyncio.to_thread(sign_in_every_way, target)
    await target.unharmed()
    return [*answers, *replies, *await asyncio.to_thread(look_everywhere, target)]
