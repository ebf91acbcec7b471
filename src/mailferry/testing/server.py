"""A Mailferry beside the tests: a process of its own, so that nothing that tests do to theirs (clocks, loops, logs) reaches it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from mailferry.testing.http import Http
from mailferry.testing.inbox import Inbox

HOST = "127.0.0.1"
#: Seconds.
START, STOP = 60.0, 15.0
#: Another program may take a port between our looking for it and the server's listening there.
TRIES = 3
#: Octets of the address of a UNIX socket, which lies in the data folder (unix(7)), less its name.
_LONGEST_FOLDER = 80
#: It delivers nothing and tells nobody: of what is sent to it as for real, nothing leaves.
ROLES = "api,smtp,housekeeping"
#: Longest name of an inbox.
_LONGEST_NAME = 255


class StartFailed(RuntimeError):
    """The server did not start; the text has the end of its log."""


class Server:
    """``with Server() as server: ...``; the pytest fixture ``mailferry_server`` is one for the session."""

    host = smtp_host = HOST
    http_port = https_port = smtp_port = 0
    #: Of the API, as an admin of the account.
    token = ""
    account_id = project_id = 0

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = Path()

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def http_url(self) -> str:
        return f"http://{HOST}:{self.http_port}"

    @property
    def https_url(self) -> str:
        """Its certificate is of an authority of its own: trust ``ca_file``."""
        return f"https://localhost:{self.https_port}"

    @property
    def ca_file(self) -> Path:
        return self._data / "ca" / "ca.pem"

    def start(self) -> None:
        """Raises :class:`StartFailed`."""
        # Where temporary files lie deep, the address of the control socket would not fit.
        deep = len(tempfile.gettempdir()) > _LONGEST_FOLDER
        self._folder = Path(tempfile.mkdtemp(prefix="mailferry-", dir="/tmp" if deep else None))  # noqa: S108
        try:
            for last in (False,) * (TRIES - 1) + (True,):
                self._launch()
                if self._listens(last):
                    break
            self._know(json.loads((self._data / "first-run.json").read_bytes()))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """A second call does nothing."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(STOP)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def new_inbox(self, name: str = "Test") -> Inbox:
        """An empty one, with a user and a password of its own."""
        http = Http(HOST, self.http_port, self.token, f"/api/accounts/{self.account_id}/")
        given = {"inbox": {"name": _name(name)}}
        return Inbox(self, http, http.json("POST", f"projects/{self.project_id}/inboxes", given))

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _launch(self) -> None:
        self.http_port, self.https_port, self.smtp_port = _free_ports(3)
        # -P: the tests' folder may hold modules that are called like ours or Python's.
        command = [sys.executable, "-P", "-m", "mailferry.testing.serving", str(self._data)]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=self._environment()
            )

    def _environment(self) -> dict[str, str]:
        """Settings of whoever runs the tests are not for this server."""
        settings: dict[str, Any] = {
            "SERVER_HOSTNAME": "mail.mailferry.test",
            "SERVER_ROLES": ROLES,
            "HTTP_LISTEN": f"{HOST}:{self.http_port}",
            "HTTP_TLS_LISTEN": f"{HOST}:{self.https_port}",
            "SMTP_LISTEN": f"{HOST}:{self.smtp_port}",
            "SMTP_PLAIN_AUTH": "true",
            "METRICS_LISTEN": "",
            "LIMITS_API_RATE": "0",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILFERRY_")}
        kept.pop("PYTHONWARNINGS", None)
        return kept | {f"MAILFERRY_{name}": value for name, value in settings.items()}

    def _listens(self, last: bool) -> bool:
        """False: try again."""
        assert self._process is not None
        until = time.monotonic() + START
        while time.monotonic() < until:
            # SMTP is the last to be opened of what is used here.
            if _answers(self.smtp_port):
                return True
            if self._process.poll() is not None:
                break
            time.sleep(0.01)
        log = (self._folder / "log").read_text(errors="replace")
        if "cannot be listened on" in log and not last:
            assert self._process.stdin is not None
            self._process.stdin.close()
            return False
        raise StartFailed(f"Mailferry did not start:\n{log[-3000:]}")

    def _know(self, made: dict[str, Any]) -> None:
        self.token, self.account_id = made["api_token"], made["account_id"]
        self.project_id = made["sandbox"]["project_id"]


def _name(text: str) -> str:
    """Ids of parametrized tests may hold anything."""
    shown = "".join(each if each.isprintable() else "?" for each in text)
    return shown.strip()[:_LONGEST_NAME] or "Test"


def _free_ports(count: int) -> list[int]:
    """Held together, so that they differ."""
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


def _answers(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), 1).close()
    except OSError:
        return False
    return True
