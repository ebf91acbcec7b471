"""Starting and stopping the strangers: every program here dies with the test process, however that ends."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

START_LIMIT = 30.0  # seconds; generous, since two test processes share two cores
STOP_LIMIT = 20.0  # seconds between the polite signal and SIGKILL
LONGEST_SOCKET_FOLDER = 60  # of the 107 octets that a UNIX socket's path may have (unix(7)), the rest is the file's


class DidNotStart(Exception):
    """A program ended, or did not answer in time; the text holds the end of what it printed."""


@dataclass(frozen=True, slots=True)
class User:
    """An existing unprivileged account."""

    name: str
    uid: int
    gid: int


def unprivileged(*candidates: str) -> User | None:
    """The first of these accounts that exists, when root; None for an ordinary user, who stays who he is."""
    if os.geteuid() != 0:
        return None
    for name in candidates:
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return User(name, found.pw_uid, found.pw_gid)
    raise DidNotStart(f"none of the users {', '.join(candidates)} exists")


@contextlib.contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A temporary folder that other users may enter and whose path leaves room for UNIX sockets; removed at the end.

    pytest's own folders are closed to other users, and Postfix and PostgreSQL run as such.
    """
    base = tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=base if len(base) < LONGEST_SOCKET_FOLDER else "/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


#: Below those that the kernel gives to outgoing connections (ip_local_port_range), which anybody may take at any moment.
PORTS = range(20_000, 32_000)


def _own_ports() -> Iterator[int]:
    """In no order, and none that another test process of the same run is given."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    mine = list(PORTS[worker :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))])
    random.shuffle(mine)
    return itertools.cycle(mine)


_ports = _own_ports()


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listened on a moment ago, and that is not given again soon."""
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("there is always another port")


def is_free(port: int) -> bool:
    """Whether nobody listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


class Process:
    """A running program with its output in a file; `stop` is safe to call twice."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str],
        user: User | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ):
        # setpriv changes the user and has the kernel send the signal when the thread that started the program ends, so
        # that a killed test run leaves nothing behind. Start these from the main thread.
        wrapper = ["setpriv", "--pdeathsig", stop_signal.name.removeprefix("SIG")]
        if user:
            wrapper += [f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups"]
        self.log = log
        self._stop_signal = stop_signal
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                [*wrapper, "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment),
                cwd=log.parent,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    def wait_until(self, ready: Callable[[], bool], what: str, limit: float = START_LIMIT) -> None:
        """Waits until `ready` says so; raises DidNotStart when the program ends first or the limit (seconds) passes."""
        deadline = time.monotonic() + limit
        while not ready():
            if self._child.poll() is not None:
                raise DidNotStart(f"{what} ended with {self._child.returncode}: {self.tail()}")
            if time.monotonic() > deadline:
                raise DidNotStart(f"{what} did not answer within {limit:.0f} s: {self.tail()}")
            time.sleep(0.01)

    def stop(self) -> int:
        """Signals the program, waits for it, kills it when it will not go; returns its exit code."""
        if self._child.poll() is None:
            self._child.send_signal(self._stop_signal)
            try:
                self._child.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                self._child.kill()
        return self._child.wait()

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]


def greets(port: int) -> bool:
    """Whether an SMTP server on a port of 127.0.0.1 says its 220; takes its leave with QUIT."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        greeting = connection.recv(512)
        connection.sendall(b"QUIT\r\n")
        return greeting.startswith(b"220")
    return False
