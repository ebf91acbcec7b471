"""The SMTP server (RFC 5321): its listeners, and what all sessions share."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mailferry import metrics
from mailferry.endpoints import line_server
from mailferry.endpoints.line_server import LineServer
from mailferry.endpoints.smtp.backend import Backend, Log
from mailferry.endpoints.smtp.host import CramMd5
from mailferry.endpoints.smtp.limits import Budget, Limits
from mailferry.endpoints.smtp.session import Session, Terms


@dataclass(frozen=True, slots=True)
class Listener(line_server.Listener):
    """`require_auth` off is for mail from other servers."""

    cram_md5: CramMd5 = ""
    require_auth: bool = True


class Server(LineServer):
    """All SMTP sessions of a process.

    `limits.budget` bounds the message octets of all sessions together (see `Budget`): beyond it MAIL and DATA answer
    451 4.3.1, and so does the end of a message that no longer fitted.
    """

    def __init__(
        self,
        backend: Backend,
        listeners: Sequence[Listener],
        *,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        log: Log | None = None,
    ) -> None:
        self.backend = backend
        self.limits = limits or Limits()
        self.budget = Budget(self.limits.budget)
        self._numbers = itertools.count(1)
        sessions = [(listener, self._session_of(listener, tls)) for listener in listeners]
        super().__init__(sessions, self.limits, metrics.SMTP_SESSIONS, tls=tls, log=log)

    def _session_of(self, listener: Listener, tls: ssl.SSLContext | None) -> Callable[[], Session]:
        terms = Terms(tls, listener.plain_auth, listener.require_auth, listener.cram_md5)
        return lambda: Session(self, terms, next(self._numbers))
