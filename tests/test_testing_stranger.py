"""The plug-in in a stranger's project: the wheel is built and installed into a fresh environment, and a small suite runs there.

`make soak` has pip resolve and install all that it needs as well; here that is lent by the environment of these tests.
"""

import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SUITE = """
import smtplib
from email.message import EmailMessage

import mailtrap as mt


def test_smtp(mailferry_inbox):
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "shop@example.com", "ann@example.com", "Welcome"
    letter.set_content("Hello Ann")
    with smtplib.SMTP(mailferry_inbox.host, mailferry_inbox.port) as client:
        client.login(mailferry_inbox.username, mailferry_inbox.password)
        client.send_message(letter)
    assert mailferry_inbox.wait_for(to="ann@example.com").text == "Hello Ann\\r\\n"


def test_mailtraps_sdk(mailferry_server, mailferry_inbox, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(mailferry_server.ca_file))
    host = mailferry_server.https_url.removeprefix("https://")
    client = mt.MailtrapClient(
        mailferry_server.token, sandbox=True, inbox_id=str(mailferry_inbox.id), api_host=host
    )
    client.send(
        mt.Mail(
            sender=mt.Address("shop@example.com"), to=[mt.Address("bob@example.com")], subject="Hi", text="Hello Bob",
            category="greeting",
        )
    )
    mailferry_inbox.expect(1)
    assert mailferry_inbox.latest().category == "greeting"


def test_nothing_came(mailferry_inbox):
    mailferry_inbox.wait_for(subject="Goodbye", timeout=0)
"""


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_stranger_installs_the_wheel_and_tests(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    home = tmp_path / "home"
    venv.EnvBuilder(with_pip=False, symlinks=True).create(home)
    python = home / "bin" / "python"
    if pytestconfig.getoption("--examples"):
        pip("--python", python, "install", "--quiet", wheel, "pytest", "mailtrap")
    else:
        pip("--python", python, "install", "--quiet", "--no-deps", wheel)
        (lent,) = home.glob("lib/python*/site-packages")
        # Behind its own packages, so that Mailferry is the wheel's.
        (lent / "lent.pth").write_text(sysconfig.get_path("purelib"))
    project = tmp_path / "project"
    project.mkdir()
    (project / "test_shop.py").write_text(SUITE)
    # Plug-ins that are lent as well are none of this project's.
    (project / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\naddopts = -p no:asyncio -p no:xdist -p no:hypothesispytest -p no:schemathesis\n"
    )
    # A module of the project's own that is called like one that the server imports.
    (project / "alembic.py").write_text("raise ImportError('this is the shop')")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    environment["MAILFERRY_SERVER_ROLES"] = "a setting of somebody else's"
    done = subprocess.run(
        [python, "-m", "pytest", "-p", "no:cacheprovider", "--durations=0", "-q", "."],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert re.search(r"1 failed, 2 passed in", done.stdout), done.stdout[-3000:] + done.stderr[-3000:]
    assert re.search(r"found 0\nE +the inbox is empty", done.stdout)
    files = subprocess.run(
        [python, "-P", "-c", "import mailferry; print(mailferry.__file__)"],
        cwd=home,
        env=environment,
        capture_output=True,
    )
    assert str(home) in files.stdout.decode()
