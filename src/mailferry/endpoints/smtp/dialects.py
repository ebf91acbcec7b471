"""Which product stands behind a session is settled by who logs in: an access key speaks Amazon's dialect, all others Mailtrap's."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from mailferry.endpoints.smtp.amazon import KEY_ID
from mailferry.endpoints.smtp.backend import Backend, Envelope, Identity, Peer
from mailferry.endpoints.smtp.replies import Reply


@dataclass(frozen=True, slots=True)
class Known:
    """Who logged in, and to whom."""

    backend: Backend
    identity: Identity


class Dialects:
    """All that comes after the login goes to the backend that took it."""

    def __init__(self, mailtrap: Backend, amazon: Backend) -> None:
        self.greeting_name = mailtrap.greeting_name
        self._mailtrap = mailtrap
        self._amazon = amazon

    async def authenticate(self, peer: Peer, username: str, password: str) -> Known | Reply:
        backend = self._amazon if KEY_ID.fullmatch(username) else self._mailtrap
        identity: Any = await backend.authenticate(peer, username, password)
        return identity if isinstance(identity, Reply) else Known(backend, identity)

    def account(self, identity: Known) -> Hashable:
        return identity.backend.account(identity.identity)

    async def mail(self, identity: Any, sender: str, size: int, peer: Peer) -> Reply | None:
        known: Known = identity
        return await known.backend.mail(known.identity, sender, size, peer)

    async def rcpt(self, identity: Any, envelope: Envelope, address: str) -> Reply | None:
        known: Known = identity
        return await known.backend.rcpt(known.identity, envelope, address)

    async def data(self, identity: Any, envelope: Envelope, message: bytes) -> Reply:
        known: Known = identity
        return await known.backend.data(known.identity, envelope, message)
