"""Mailferry in other people's test-suites: its server, its inboxes, and what a failed expectation says."""

import signal
import smtplib
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest

from mailferry.testing import Inbox, Message, NoMessage, Server, StartFailed
from mailferry.testing import server as starting

MESSAGE = b"From: shop@a.test\r\nTo: Ann <ann@x.test>\r\nSubject: Welcome\r\nX-Kind: greeting\r\n\r\nHello\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as started:
        yield started


@pytest.fixture
def inbox(server: Server) -> Inbox:
    return server.new_inbox()


def send(inbox: Inbox, message: bytes = MESSAGE, *to: str) -> None:
    with inbox.smtp() as client:
        client.sendmail("bounce@a.test", to or ["ann@x.test", "hidden@x.test"], message)


def test_a_message_is_what_was_sent(inbox: Inbox) -> None:
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "Shop <shop@a.test>", "Ann <ann@x.test>", "Grüße"
    letter.set_content("Hällo\n")
    letter.add_alternative("<p>Hällo</p>\n", subtype="html")
    letter.add_attachment(b"1,2", maintype="text", subtype="csv", filename="a.csv")
    with inbox.smtp() as client:
        client.send_message(letter, "bounce@a.test", ["ann@x.test", "hidden@x.test"])
    found = inbox.wait_for(to="hidden@x.test", sender="shop@a.test", subject="grü", text="hällo", html="<p>")
    assert (found.subject, found.from_name, found.to_email) == ("Grüße", "Shop", "ann@x.test")
    assert (found.envelope_from, found.envelope_to) == ("bounce@a.test", ["ann@x.test", "hidden@x.test"])
    assert (found.text, found.html) == ("Hällo\r\n", "<p>Hällo</p>\r\n")
    assert found.attachments == {"a.csv": b"1,2"}
    assert found.email["Subject"] == "Grüße" and found.raw.startswith(b"From: Shop")
    assert repr(found) == f"<Message {found.id} to ann@x.test: 'Grüße'>"


def test_each_inbox_is_empty_and_stays_alone(server: Server, inbox: Inbox) -> None:
    other = server.new_inbox("test_of_others[\x00" + "x" * 300)
    send(inbox)
    inbox.expect(1)
    assert other.messages() == []
    with pytest.raises(smtplib.SMTPAuthenticationError), smtplib.SMTP(other.host, other.port) as client:
        client.login(inbox.username, other.password)


def test_messages_are_found_by_all_that_is_asked(inbox: Inbox) -> None:
    send(inbox)
    send(inbox, MESSAGE.replace(b"Welcome", b"Welcome back"))
    first, second = inbox.messages()
    assert (first.subject, second.subject) == ("Welcome", "Welcome back")
    assert inbox.latest().id == second.id
    assert inbox.latest(header={"X-Kind": "GREET"}, has_attachment=False, after=first).id == second.id
    hour = timedelta(hours=1)
    assert len(inbox.messages(since=datetime.now() - hour, after=first.id)) == 1
    assert inbox.messages(since=datetime.now() + hour) == []
    assert inbox.delete(subject="back") == 1
    assert [each.id for each in inbox.messages()] == [first.id]
    inbox.clear()
    assert inbox.messages() == []


def test_a_message_is_waited_for(inbox: Inbox) -> None:
    later = threading.Thread(target=send, args=(inbox,))
    later.start()
    assert inbox.wait_for(subject="Welcome", timeout=30).to_email == "ann@x.test"
    later.join()


def test_what_is_not_there_is_told_with_what_is(inbox: Inbox) -> None:
    with pytest.raises(NoMessage) as nothing:
        inbox.latest()
    assert str(nothing.value).endswith("found 0\n  the inbox is empty")
    send(inbox)
    with pytest.raises(NoMessage) as other:
        inbox.wait_for(subject="Goodbye", to="ann@x.test", timeout=0.1)
    assert str(other.value) == (
        "expected at least 1 of the messages to answer the query within 0.1 s, found 0\n"
        f"  message {inbox.latest().id} to ann@x.test: 'Welcome'\n"
        "    subject: wanted 'Goodbye', found 'Welcome'"
    )


def test_numbers_are_expected(inbox: Inbox) -> None:
    inbox.expect(0)
    send(inbox)
    inbox.expect()
    inbox.expect(1, to="ann@x.test", timeout=1)
    inbox.expect(at_least=1, at_most=2)
    for wrong in ({"count": 0}, {"count": 2}, {"at_least": 2}, {"at_most": 0}):
        with pytest.raises(NoMessage):
            inbox.expect(**wrong)  # type: ignore[arg-type]
    with pytest.raises(NoMessage, match="must be exactly so many, or a range"):
        inbox.expect(1, at_least=1)


def test_what_is_sent_as_for_real_stays(server: Server) -> None:
    """The simulator would answer at once if anything was delivered."""
    body = b'{"from":{"email":"a@demo.mailferry.test"},"to":[{"email":"success@simulator.demo.mailferry.test"}],"subject":"a","text":"b"}'
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{server.http_url}/api/send", body, headers), timeout=30).close()
    logs = urllib.request.Request(f"{server.http_url}/api/email_logs", headers=headers)
    with urllib.request.urlopen(logs, timeout=30) as answer:
        assert b'"status":"enqueued"' in answer.read()


def test_a_message_that_was_deleted_says_so(inbox: Inbox) -> None:
    send(inbox)
    found: Message = inbox.latest()
    inbox.clear()
    with pytest.raises(RuntimeError, match="cannot be read any more: 404"):
        _ = found.text


def test_a_server_that_cannot_start_shows_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "ROLES", "cook")
    with pytest.raises(StartFailed, match="cook"):
        Server().start()


def test_no_server_outlives_its_tests(tmp_path: Path) -> None:
    """However they end: here by SIGKILL."""
    program = (
        "import time; from mailferry.testing import Server; s = Server(); s.start(); "
        "print(s._process.pid, flush=True); time.sleep(600)"
    )
    tests = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert tests.stdout is not None
    pid = int(tests.stdout.readline())
    tests.send_signal(signal.SIGKILL)
    tests.wait()
    tests.stdout.close()
    until = time.monotonic() + 30
    while _runs(pid):
        assert time.monotonic() < until, "it is left behind"
        time.sleep(0.02)


def test_other_projects_load_next_to_nothing() -> None:
    """pytest imports the plug-in wherever Mailferry is installed."""
    program = "import sys, pytest; before = set(sys.modules); import mailferry.testing.plugin; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name.partition(".")[0] not in ("email", "importlib")}
    assert loaded == {"mailferry", "mailferry.testing", "mailferry.testing.plugin"}


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
