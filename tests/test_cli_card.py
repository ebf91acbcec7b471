"""The first-run card on a real terminal: its lines are in one piece at any width, and they work as they stand."""

import contextlib
import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mailferry import first_run
from mailferry.cli import card
from mailferry.config import load
from tests.peers.certificates import Authority
from tests.server import START_SECONDS, Mailferry

needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")


class Terminal:
    """A program on a pseudo terminal of some width, and what it wrote there."""

    def __init__(self, arguments: Sequence[str], environment: dict[str, str], columns: int) -> None:
        self._near, far = pty.openpty()
        fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        clean = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mailferry", *arguments],
            stdin=far,
            stdout=far,
            stderr=far,
            env=clean | {"TERM": "xterm-256color"},
            start_new_session=True,
        )
        os.close(far)
        self.text = ""

    def read_until(self, wanted: str) -> str:
        """Waits until the text holds it, or the program ends when it is empty."""
        until = time.monotonic() + START_SECONDS
        while not wanted or wanted not in self.text:
            assert time.monotonic() < until, self.text
            if select.select([self._near], [], [], 0.2)[0]:
                try:
                    more = os.read(self._near, 1 << 16)
                except OSError:  # Linux says EIO when the last writer is gone
                    more = b""
                if not more:
                    assert not wanted, self.text
                    break
                self.text += more.decode().replace("\r\n", "\n")
        return self.text

    def close(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(AssertionError):
                self.read_until("")  # a full terminal would hold it up
        os.close(self._near)
        return self.process.wait(30)


@contextlib.contextmanager
def terminal(server: Mailferry, *arguments: str, columns: int) -> Iterator[Terminal]:
    shown = Terminal([*arguments, "--data", str(server.data)], server.environment | {"NO_COLOR": "1"}, columns)
    try:
        yield shown
    finally:
        shown.close()


def line(text: str, beginning: str) -> str:
    (found,) = [each for each in text.splitlines() if each.startswith(f"  {beginning}")]
    return found


@needs_curl
def test_the_lines_of_the_card_work_as_printed_at_any_width(tmp_path: Path) -> None:
    server = Mailferry(tmp_path / "my data", {"log.level": "error"})
    with terminal(server, "serve", columns=80) as shown:
        printed = shown.read_until("with --forget\n")
        for beginning in ("curl ", "printf ", "AWS_"):
            with_aws = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
            done = subprocess.run(
                ["sh", "-c", line(printed, beginning)], capture_output=True, text=True, env=with_aws, timeout=60
            )
            assert (done.returncode, done.stderr) == (0, "") or beginning == "curl ", done.stderr
            assert done.returncode == 0 and done.stdout, "it says what became of it"
        until = time.monotonic() + 30
        while len(server.ask("messages.list", state="delivered")) < 3:
            assert time.monotonic() < until
            time.sleep(0.05)
        stories = server.ask("messages.list")
        assert [(each["to"], each["subject"]) for each in stories] == [(card.SUCCESS, "Hello")] * 3

        with terminal(server, "credentials", columns=120) as again:
            wide = again.read_until("with --forget\n")
        assert printed.strip() == wide.strip()
        # Every command on it can be typed as it stands, too.
        listed = wide.partition("and read its story: ")[2].partition("\n")[0]
        done = subprocess.run(["sh", "-c", listed], capture_output=True, text=True, env=server.environment, timeout=60)
        assert done.returncode == 0 and card.SUCCESS in done.stdout, done.stderr
    assert shown.process.returncode == 0


@needs_curl
def test_the_smtp_line_works_with_an_operator_s_certificate_and_implicit_tls(
    tmp_path: Path, authority: Authority
) -> None:
    issued = authority.issue("mail.card.test")
    server = Mailferry(tmp_path / "data", {})
    server.settings |= {
        "server.public_url": "https://mail.card.test",
        "tls.certificate": str(issued.certificate),
        "tls.key": str(issued.key),
        "http.listen": "",
        "smtp.listen": f"tls://127.0.0.1:{server.smtp}",
    }
    server.start()
    try:
        with terminal(server, "credentials", columns=80) as shown:
            printed = shown.read_until("with --forget\n")
        trust = os.environ | {"CURL_CA_BUNDLE": str(authority.ca_file)}
        for beginning in ("curl ", "printf "):
            done = subprocess.run(
                ["sh", "-c", line(printed, beginning)], capture_output=True, text=True, env=trust, timeout=60
            )
            assert done.returncode == 0, done.stderr
        assert len(server.ask("messages.list")) == 2
        assert "CA  " not in printed and f"SMTP    127.0.0.1:{server.smtp}, TLS;" in printed
    finally:
        server.stop()


def test_a_forgotten_first_run_leaves_a_card_without_secrets(tmp_path: Path) -> None:
    config = load(None, {}, {"server.data_dir": str(tmp_path)})
    text = card.text(config, runs=True)
    assert "http://127.0.0.1:8025" in text and "domains add example.com" in text
    assert "Token" not in text and "curl" not in text and "None" not in text
    first_run.remember(tmp_path, {"api_token": "t" * 32, "account_id": 1})
    nothing = load(
        None, {}, {"server.data_dir": str(tmp_path), "http.listen": "", "http.tls_listen": "", "smtp.listen": ""}
    )
    text = card.text(nothing, runs=False)
    assert "Mailferry runs" not in text and f"Start it: {card.command(nothing, 'serve')}\n" in text
    assert "curl" not in text and "None" not in text and "HTTP" not in text and "SMTP" not in text


@pytest.mark.parametrize(
    ("called", "words"),
    [
        ("/usr/lib/python3/mailferry/__main__.py", f"{sys.executable} -m mailferry"),
        ("/my venv/bin/mailferry", "'/my venv/bin/mailferry'"),
    ],
)
def test_commands_are_named_as_they_can_be_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: str, words: str
) -> None:
    monkeypatch.setattr(sys, "argv", [called, "serve"])
    monkeypatch.setenv("PATH", "/nowhere")
    file = tmp_path / "my settings.toml"
    file.write_text("")
    config = load(file, {}, {"server.data_dir": "/data"})
    assert card.command(config, "domains list") == f"{words} domains list --config '{file}' --data /data"


def test_a_command_on_the_path_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "mailferry"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(program), "serve"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert card.command(load(None, {}, {"server.data_dir": "/data"}), "queue") == "mailferry queue --data /data"
