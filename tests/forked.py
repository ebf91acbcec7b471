"""Servers that are forked from a process which has imported Mailferry already: most of a start is imports.

The process is as real as any: killed, stopped and asked alike. A start with an environment of its own, or under another
program, is one by exec (tests/server.py), as the crash stories have it.
"""

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM
from subprocess import TimeoutExpired

import mailferry.roles  # noqa: F401 # what `serve` imports, so that a fork has it
from mailferry.cli.app import run

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


class Forked:
    """``mailferry ARGUMENTS`` with output to ``log``; asked and ended like a :class:`subprocess.Popen`."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        given = (list(arguments), dict(environment), log)
        # A daemon: it ends with the tests, whatever they forgot.
        self._process = _context.Process(target=_run, args=given, daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, negative for a signal. Raises :class:`TimeoutExpired` after so many seconds."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutExpired("mailferry", timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(SIGTERM)

    def kill(self) -> None:
        self.send_signal(SIGKILL)


def _run(arguments: list[str], environment: dict[str, str], log: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with log.open("ab") as output:
        for standard in (1, 2):
            os.dup2(output.fileno(), standard)
    sys.exit(run(arguments))
