"""What docs/testing.md shows is run as it stands there, in its own language."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailferry.testing import Inbox, Server

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
PROGRAMS = {"bash": ["bash", "-e"], "javascript": ["node", "--input-type=module"], "ruby": ["ruby"]}
EXAMPLES = re.findall(r"^```(bash|javascript|ruby)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def inbox() -> Iterator[Inbox]:
    with Server() as server:
        made = server.new_inbox()
        with made.smtp() as client:
            message = b"From: shop@example.com\r\nTo: ann@example.com\r\nSubject: Welcome\r\n\r\nHello Ann\r\n"
            client.sendmail("shop@example.com", ["ann@example.com"], message)
        yield made


def run(inbox: Inbox, language: str, program: str) -> str:
    if not shutil.which(PROGRAMS[language][0]):
        pytest.skip(f"{PROGRAMS[language][0]} is not installed")
    server = inbox.server
    given = {"MAILFERRY": server.http_url, "TOKEN": server.token, "INBOX": str(inbox.id)}
    done = subprocess.run(
        PROGRAMS[language], input=program, env=os.environ | given, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl_waits_asserts_and_follows(inbox: Inbox) -> None:
    wait, check, events = (program for language, program in EXAMPLES if language == "bash")
    assert json.loads(run(inbox, "bash", wait))["subject"] == "Welcome"
    # The page shows what an assertion says that does not hold.
    shown = json.loads(re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0])
    said = json.loads(run(inbox, "bash", check))
    assert (said["errors"], said["matched"]) == (shown["errors"], shown["matched"])
    assert said["nearest"][0]["differences"] == shown["nearest"][0]["differences"]
    assert run(inbox, "bash", events.replace("timeout=2", "timeout=0&after=0")).count("\ndata: {") == 1


@pytest.mark.parametrize("language", ["javascript", "ruby"])
def test_other_languages_wait_and_read(inbox: Inbox, language: str) -> None:
    (program,) = (each for name, each in EXAMPLES if name == language)
    assert run(inbox, language, program).strip() == "Welcome Hello Ann"
