"""What a session is given: the server around it, and what its listener grants."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Literal, Protocol

from mailferry.endpoints.connection import Connection
from mailferry.endpoints.connection_limits import Gate
from mailferry.endpoints.line_server import Crowd
from mailferry.endpoints.smtp.backend import Backend, Log
from mailferry.endpoints.smtp.limits import Budget, Limits

CramMd5 = Literal["", "clear", "always"]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a listener grants: the context for STARTTLS (None: not offered), AUTH in clear, and mail without AUTH.

    `cram_md5`: where it is offered: nowhere, in "clear", where no password may be said, or "always".
    """

    tls: ssl.SSLContext | None = None
    plain_auth: bool = False
    require_auth: bool = True
    cram_md5: CramMd5 = ""


class Host(Protocol):
    """The server, as a session needs it."""

    loop: asyncio.AbstractEventLoop
    backend: Backend
    limits: Limits
    budget: Budget
    gate: Gate
    log: Log

    def arrived(self, session: Connection, ip: str) -> Crowd | None:
        """A session has begun: None, or why it says 421 instead of a greeting."""

    def left(self, session: Connection) -> None:
        """The session is over and nothing of it runs."""
