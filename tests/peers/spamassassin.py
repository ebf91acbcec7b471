"""SpamAssassin's spamd with the rules of Debian's package, on a port of its own: local rules alone, and no network."""

from __future__ import annotations

import contextlib
import socket
from types import TracebackType
from typing import Self

from .parts import SPAMASSASSIN, home
from .process import DidNotStart, Process, free_port, scratch


class Spamd:
    """One that runs; `port` is on 127.0.0.1. Raises DidNotStart."""

    def __init__(self) -> None:
        self.port = 0
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        found = home(SPAMASSASSIN)
        if not found:
            raise DidNotStart("SpamAssassin is not there")
        perl, spamd = found.program("perl"), found.program("spamd")
        self.port = free_port()
        with self._stack:
            folder = self._stack.enter_context(scratch("mf-sa"))
            environment = found.environment()
            # Its first line asks for -T, which makes Perl ignore PERL5LIB.
            folders = [f"-I{each}" for each in environment.get("PERL5LIB", "").split(":") if each]
            command = [
                str(perl),
                "-T",
                *folders,
                str(spamd),
                "--local",
                "--nouser-config",
                "--syslog=stderr",
                f"--listen=127.0.0.1:{self.port}",
            ]
            # One child answers one request after the other; the parent forks it after the rules were read.
            command += ["--max-children=1", "--round-robin", f"--helper-home-dir={folder}"]
            command += [f"--configpath={found.root / 'usr/share/spamassassin'}"]
            command += [
                f"--siteconfigpath={found.root / 'etc/spamassassin'}",
                "--cf=use_bayes 0",
                "--cf=use_auto_welcomelist 0",
            ]
            process = Process(command, folder / "output", environment=environment)
            self._stack.callback(process.stop)
            process.wait_until(self._answers, "spamd")
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"PING SPAMC/1.5\r\n\r\n")
            return b"PONG" in connection.recv(100)
        return False
