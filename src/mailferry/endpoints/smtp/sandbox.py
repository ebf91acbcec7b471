"""An inbox of the sandbox over SMTP: its user may send anything to anybody, and all of it is caught.

One message a DATA, whatever the number of recipients; who is in the envelope alone was a Bcc. Replies are Mailtrap's.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5
from typing import Any, Protocol

import structlog

from mailferry.endpoints.smtp.backend import Envelope, Peer
from mailferry.endpoints.smtp.faults import SmtpFaults
from mailferry.endpoints.smtp.replies import TOO_BIG, Reply
from mailferry.resources.inboxes import USERNAME, Inbox
from mailferry.sandbox.capture import Capture
from mailferry.sandbox.faults import Stage

log = structlog.get_logger(__name__)

BAD_LOGIN = Reply(535, "5.7.0", "Invalid login or password")
#: The connection ends, and the message is not refused: with the new credentials it may go.
LOGIN_ENDED = Reply(421, "4.7.0", "The credentials were reset or the inbox deleted: connect again and authenticate")
NO_INBOX = Reply(554, "5.5.1", "Error: no sandbox for this email.")


class Sandbox(Protocol):
    """See sandbox/capture.py."""

    async def capture(self, captures: Sequence[Capture]) -> list[int]: ...


class Inboxes(Protocol):
    """See resources/inboxes.py."""

    async def by_username(self, username: str) -> Inbox | None: ...


@dataclass(slots=True)
class Sender:
    """Who authenticated."""

    #: As it is since the last MAIL: it may be changed or deleted while the connection lasts.
    inbox: Inbox
    ip: str


class SandboxBackend:
    """The product behind the session, for users of inboxes."""

    def __init__(self, sandbox: Sandbox, inboxes: Inboxes, hostname: str, faults: SmtpFaults) -> None:
        self.greeting_name = hostname
        self._sandbox = sandbox
        self._inboxes = inboxes
        self._faults = faults

    @staticmethod
    def knows(username: str) -> bool:
        """Whether it is spelled as users of inboxes are."""
        return USERNAME.fullmatch(username) is not None

    async def authenticate(self, peer: Peer, username: str, password: str) -> Sender | Reply:
        inbox = await self._inboxes.by_username(username)
        if inbox and hmac.compare_digest(inbox.password.encode(), password.encode()):
            return Sender(inbox, peer.ip)
        return _refused(peer)

    async def challenged(self, peer: Peer, username: str, challenge: bytes, digest: str) -> Sender | Reply:
        """CRAM-MD5 (RFC 2195): the password itself is the key, which is why it can be read here."""
        inbox = await self._inboxes.by_username(username)
        if inbox:
            right = hmac.new(inbox.password.encode(), challenge, md5).hexdigest()
            if hmac.compare_digest(right.encode(), digest.lower().encode()):
                return Sender(inbox, peer.ip)
        return _refused(peer)

    def words(self, identity: Sender) -> Mapping[Reply, Reply]:
        return {}

    def account(self, identity: Sender) -> int:
        return identity.inbox.account_id

    async def mail(self, identity: Any, sender: str, size: int, peer: Peer) -> Reply | None:
        inbox = await self._inboxes.by_username(identity.inbox.username)
        if inbox is None or inbox.password != identity.inbox.password:
            log.info("smtp_login_ended", client_ip=peer.ip, inbox_id=identity.inbox.id)
            return LOGIN_ENDED
        identity.inbox = inbox
        if size > inbox.max_message_size:
            return TOO_BIG
        return await self._faults.at(inbox, Stage.MAIL, sender)

    async def rcpt(self, identity: Any, envelope: Envelope, recipient: str) -> Reply | None:
        return await self._faults.at(identity.inbox, Stage.RCPT, envelope.sender, [recipient])

    async def data(self, identity: Any, envelope: Envelope, message: bytes) -> Reply:
        if len(message) > identity.inbox.max_message_size:
            return TOO_BIG
        if refusal := await self._faults.at(identity.inbox, Stage.DATA, envelope.sender, envelope.recipients, message):
            return refusal
        recipients = tuple(dict.fromkeys(envelope.recipients))
        (caught,) = await self._sandbox.capture(
            [Capture(identity.inbox.id, message, "smtp", envelope.sender, recipients, identity.ip)]
        )
        return Reply(250, "2.0.0", f"Ok: queued as {caught}") if caught else NO_INBOX


def _refused(peer: Peer) -> Reply:
    log.info("smtp_login_refused", client_ip=peer.ip)
    return BAD_LOGIN
