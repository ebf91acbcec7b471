"""Which product stands behind a session is settled by who logs in: the user of an inbox sends into the sandbox, an access
key speaks Amazon's dialect, all others Mailtrap's.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from mailferry.endpoints.smtp.amazon import KEY_ID
from mailferry.endpoints.smtp.backend import Envelope, Identity, PasswordBackend, Peer
from mailferry.endpoints.smtp.replies import Reply
from mailferry.endpoints.smtp.sandbox import SandboxBackend

#: Of tokens and access keys a hash is kept, or another dialect's password: neither can answer a challenge.
NO_CHALLENGE = Reply(535, "5.7.8", "CRAM-MD5 is for users of sandbox inboxes: use STARTTLS, and then PLAIN or LOGIN")


@dataclass(frozen=True, slots=True)
class Known:
    """Who logged in, and to whom."""

    backend: PasswordBackend
    identity: Identity


class Dialects:
    """All that comes after the login goes to the backend that took it."""

    def __init__(self, mailtrap: PasswordBackend, amazon: PasswordBackend, sandbox: SandboxBackend) -> None:
        self.greeting_name = mailtrap.greeting_name
        self._sandbox = sandbox
        self._mailtrap = mailtrap
        self._amazon = amazon

    async def authenticate(self, peer: Peer, username: str, password: str) -> Known | Reply:
        backend = self._backend_of(username)
        identity: Any = await backend.authenticate(peer, username, password)
        return identity if isinstance(identity, Reply) else Known(backend, identity)

    async def challenged(self, peer: Peer, username: str, challenge: bytes, digest: str) -> Known | Reply:
        if not self._sandbox.knows(username):
            return NO_CHALLENGE
        identity = await self._sandbox.challenged(peer, username, challenge, digest)
        return identity if isinstance(identity, Reply) else Known(self._sandbox, identity)

    def account(self, identity: Known) -> Hashable:
        return identity.backend.account(identity.identity)

    def words(self, identity: Known) -> Mapping[Reply, Reply]:
        return identity.backend.words(identity.identity)

    async def mail(self, identity: Any, sender: str, size: int, peer: Peer) -> Reply | None:
        known: Known = identity
        return await known.backend.mail(known.identity, sender, size, peer)

    async def rcpt(self, identity: Any, envelope: Envelope, address: str) -> Reply | None:
        known: Known = identity
        return await known.backend.rcpt(known.identity, envelope, address)

    async def data(self, identity: Any, envelope: Envelope, message: bytes) -> Reply:
        known: Known = identity
        return await known.backend.data(known.identity, envelope, message)

    def _backend_of(self, username: str) -> PasswordBackend:
        if self._sandbox.knows(username):
            return self._sandbox
        return self._amazon if KEY_ID.fullmatch(username) else self._mailtrap
