"""Programs in a mount and a network namespace of their own: an /etc/hosts of theirs, and every port free (namespaces(7)).

An ordinary user gets them by way of a user namespace, where the system lets users make one.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1  # netdevice(7)
TRIAL_SECONDS = 60


class Own:
    """`under` is put before the command of the first program, `beside` before those of the others."""

    def __init__(self, hosts: Path) -> None:
        """`hosts` is the file that they see as /etc/hosts."""
        self.hosts = hosts
        hosts.write_text("127.0.0.1 localhost\n")

    @property
    def under(self) -> list[str]:
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        return ["unshare", *user, "--mount", "--net", sys.executable, __file__, str(self.hosts)]

    def beside(self, pid: int) -> list[str]:
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", f"--target={pid}", *user, "--mount", "--net"]

    def missing(self) -> str:
        """Why there are none here; empty when there are."""
        try:
            tried = subprocess.run([*self.under, "true"], capture_output=True, text=True, timeout=TRIAL_SECONDS)
        except OSError as error:
            return f"namespaces are not there: {error}"
        return f"namespaces are not there: {tried.stderr.strip()[-300:]}" if tried.returncode else ""


def enter(hosts: str, command: Sequence[str]) -> None:
    """In fresh namespaces: raises the loopback interface, shows the file as /etc/hosts, becomes the program."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        wanted = struct.pack("16sH14x", b"lo", 0)
        _, flags = struct.unpack("16sH14x", fcntl.ioctl(control, SIOCGIFFLAGS, wanted))
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    os.execvp(command[0], [*command])


if __name__ == "__main__":
    enter(sys.argv[1], sys.argv[2:])
