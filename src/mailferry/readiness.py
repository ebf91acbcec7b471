"""Tells systemd that the server listens, or ends (sd_notify(3), units of Type=notify). Without systemd nothing is told."""

import contextlib
import os
import socket
from collections.abc import Mapping

READY = "READY=1"
STOPPING = "STOPPING=1"


def tell(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """The datagram is lost where nobody takes it: whoever does not listen loses no server."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    # "@" stands for the NUL in front of an abstract name (unix(7)).
    name = address.replace("@", "\0", 1) if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
        notifier.setblocking(False)
        notifier.sendto(state.encode(), name)
