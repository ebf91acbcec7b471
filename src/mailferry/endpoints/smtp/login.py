"""Who a client is: AUTH (RFC 4954) on one connection, from the first line to an identity, and how often it failed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from mailferry.endpoints.sasl import (
    CHALLENGE_MECHANISM,
    PASSWORD_MECHANISMS,
    Challenge,
    Credentials,
    Digest,
    Exchange,
    Failure,
)
from mailferry.endpoints.sasl import Outcome as Exchanged
from mailferry.endpoints.smtp import replies
from mailferry.endpoints.smtp.backend import Identity, Peer
from mailferry.endpoints.smtp.commands import Auth
from mailferry.endpoints.smtp.host import Host, Terms
from mailferry.endpoints.smtp.replies import Reply

Outcome = Challenge | Credentials | Digest | Reply

FAILURES = {
    Failure.CANCELLED: replies.AUTH_CANCELLED,
    Failure.NOT_BASE64: replies.AUTH_BASE64,
    Failure.MALFORMED: replies.AUTH_MALFORMED,
    Failure.PROXY: replies.AUTH_PROXY,
}


class Login:
    """`identity` is what the backend made of the credentials; it means nothing before `done`."""

    __slots__ = ("_account", "_exchange", "_failures", "_host", "_terms", "done", "identity", "mechanism", "words")

    def __init__(self, host: Host, terms: Terms) -> None:
        self.identity: Identity | None = None
        self.done = False
        self.mechanism = ""
        #: In which what the session says by itself is said to whoever it is.
        self.words: Mapping[Reply, Reply] = {}
        self._host = host
        self._terms = terms
        self._account: Hashable = None
        self._exchange: Exchange | None = None
        self._failures = 0

    @property
    def in_exchange(self) -> bool:
        """The next line answers a challenge, and is no command."""
        return self._exchange is not None

    def is_offered(self, peer: Peer) -> bool:
        """Whether whoever has a password may say it now."""
        return self._terms.require_auth and self._may(peer)

    def offered(self, peer: Peer) -> tuple[str, ...]:
        """Behind TLS a challenge is mostly in the way: programs that know it prefer it, also for users whose secret is not
        kept in a form that could answer it.
        """
        if not self._terms.require_auth:
            return ()
        found = PASSWORD_MECHANISMS if self._may(peer) else ()
        challenge = self._terms.cram_md5 == "always" or (self._terms.cram_md5 and not found)
        return (*found, CHALLENGE_MECHANISM) if challenge else found

    def refusal(self, auth: Auth, peer: Peer, *, extended: bool) -> Reply | None:
        """Why it may not begin now; `extended` says that EHLO was said."""
        if not self._terms.require_auth:
            return replies.NOT_OFFERED
        if not extended:
            return replies.HELLO_FIRST
        if self.done:
            return replies.AUTH_TWICE  # and so never within a transaction, which RFC 4954 section 4 forbids
        if auth.mechanism == CHALLENGE_MECHANISM and self._terms.cram_md5:
            return None
        if not self._may(peer):
            return replies.TLS_REQUIRED if self._terms.tls is not None else replies.ENCRYPTION_REQUIRED
        return None if auth.mechanism in PASSWORD_MECHANISMS else replies.AUTH_MECHANISM

    def begin(self, auth: Auth) -> Outcome:
        self.mechanism = auth.mechanism
        exchange = Exchange(auth.mechanism, self._host.backend.greeting_name)
        return self._after(exchange, exchange.begin(auth.initial))

    def answer(self, line: bytes) -> Outcome:
        """What follows from the line that answers a challenge."""
        assert self._exchange is not None
        return self._after(self._exchange, self._exchange.answer(line))

    def break_off(self) -> None:
        self._exchange = None

    def take(self, identity: Identity) -> Reply | None:
        """It is `identity`, if its account may have one more connection; else the reply that says no."""
        account, self.words = self._host.backend.account(identity), self._host.backend.words(identity)
        if not self._host.gate.enter(account):
            return replies.TOO_MANY_OF_ACCOUNT
        self.identity, self.done, self._account = identity, True, account
        return None

    def count(self, reply: Reply) -> int:
        """How often it has failed for good, `reply` among them."""
        self._failures += reply.code >= 500
        return self._failures

    def forget(self) -> None:
        if self.done:
            self._host.gate.leave(self._account)
        self.identity, self.done, self._account, self.words = None, False, None, {}

    def _may(self, peer: Peer) -> bool:
        return bool(peer.tls) or self._terms.plain_auth

    def _after(self, exchange: Exchange, outcome: Exchanged) -> Outcome:
        self._exchange = exchange if isinstance(outcome, Challenge) else None
        return FAILURES[outcome] if isinstance(outcome, Failure) else outcome
