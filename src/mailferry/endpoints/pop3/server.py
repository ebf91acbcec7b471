"""The POP3 server: its listeners, and what all sessions share."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Callable, Sequence

from mailferry import metrics
from mailferry.endpoints.bodies import BodyBudget
from mailferry.endpoints.line_server import LineServer, Listener, Log
from mailferry.endpoints.pop3.limits import Limits
from mailferry.endpoints.pop3.maildrop import Maildrops
from mailferry.endpoints.pop3.session import Session, Terms


class Server(LineServer):
    """All POP3 sessions of a process."""

    def __init__(
        self,
        maildrops: Maildrops,
        listeners: Sequence[Listener],
        *,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        log: Log | None = None,
    ) -> None:
        self.maildrops = maildrops
        self.limits = limits or Limits()
        self.reading = BodyBudget(self.limits.reading)
        self._numbers = itertools.count(1)
        sessions = [(listener, self._session_of(listener, tls)) for listener in listeners]
        super().__init__(sessions, self.limits, metrics.POP3_SESSIONS, tls=tls, log=log)

    def _session_of(self, listener: Listener, tls: ssl.SSLContext | None) -> Callable[[], Session]:
        terms = Terms(tls, listener.plain_auth)
        return lambda: Session(self, terms, next(self._numbers))
