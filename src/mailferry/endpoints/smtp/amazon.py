"""Submission in Amazon's dialect: the user is an access key's id, the password derived from its secret for a region.

Replies are those of SES, which has no enhanced codes (SES developer guide, "smtp-response-codes"). What becomes of a
message is said by endpoints/ses, which roles/ hands in: the same as of one that came by its API.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from mailferry.endpoints.smtp import replies
from mailferry.endpoints.smtp.backend import Envelope, Peer
from mailferry.endpoints.smtp.replies import Reply
from mailferry.mail import address
from mailferry.resources.access_keys import AccessKey, region_of

log = structlog.get_logger(__name__)

#: As IAM makes them. A token that is given as the user's name is none: it gets an answer that says what the user is.
KEY_ID = re.compile(r"[A-Z0-9]{16,128}")
#: Of one message (quotas).
MAX_RECIPIENTS = 50

BAD_LOGIN = Reply(535, "", "Authentication Credentials Invalid")
#: The connection ends, and the message is not refused: with a new key it may go.
LOGIN_ENDED = Reply(421, "", "The access key was disabled or revoked: connect again and authenticate")
NEEDS_SENDER = Reply(501, "", "Invalid MAIL FROM address provided")
TOO_MANY_RECIPIENTS = Reply(452, "", "Too many recipients")

#: What the session says in general -> what SES says.
WORDS: dict[Reply, Reply] = {
    replies.TOO_MANY_OF_ACCOUNT: Reply(421, "", "Too many concurrent SMTP connections"),
    replies.TOO_BIG: Reply(552, "", "Message is too long."),
    replies.NO_MEMORY: Reply(451, "", "Temporary service failure"),
    replies.LOCAL_ERROR: Reply(451, "", "Temporary service failure"),
}
#: Code of SES v1 -> SMTP code and what is said before the text.
REPLIES: dict[str, tuple[int, str]] = {
    "AccessDenied": (554, "Access denied: "),
    "AccountSendingPausedException": (554, "Message rejected: "),
    "ConfigurationSetSendingPausedException": (554, "Message rejected: "),
    "MailFromDomainNotVerifiedException": (554, "Message rejected: "),
    "MessageRejected": (554, "Message rejected: "),
    # Never 5xx: a relay would give its mail back.
    "Throttling": (454, "Throttling failure: "),
}
FAILED = (554, "Transaction failed: ")
NO_SET = Reply(554, "", "Configuration Set does not exist")


class Outcome(Protocol):
    @property
    def message_id(self) -> str:
        """Empty where nothing was accepted."""

    @property
    def code(self) -> str:
        """Of SES v1."""

    @property
    def text(self) -> str: ...


class Interface(Protocol):
    """See endpoints/ses/smtp.py."""

    async def send(
        self, key: AccessKey, region: str, client_ip: str, sender: str, recipients: Sequence[str], message: bytes
    ) -> Outcome: ...


class Keys(Protocol):
    """See resources/access_keys.py."""

    async def key(self, key_id: str) -> AccessKey | None: ...
    def used(self, key: AccessKey) -> None: ...


@dataclass(slots=True)
class Sender:
    """Who authenticated."""

    #: As it is since the last MAIL: it may be disabled, and its rights may change, while the connection lasts.
    key: AccessKey
    region: str
    ip: str


class AmazonBackend:
    """The product behind the session, for users that are access keys."""

    def __init__(self, keys: Keys, interface: Interface, hostname: str) -> None:
        self.greeting_name = hostname
        self._keys = keys
        self._interface = interface

    async def authenticate(self, peer: Peer, username: str, password: str) -> Sender | Reply:
        key = await self._keys.key(username)
        region = region_of(key.secret, password) if key and not key.disabled else ""
        if key is None or not region:
            log.info("smtp_login_refused", client_ip=peer.ip)
            return BAD_LOGIN
        self._keys.used(key)
        return Sender(key, region, peer.ip)

    def account(self, identity: Sender) -> int:
        return identity.key.account_id

    def words(self, identity: Sender) -> Mapping[Reply, Reply]:
        return WORDS

    async def mail(self, identity: Any, sender: str, size: int, peer: Peer) -> Reply | None:
        key = await self._keys.key(identity.key.key_id)
        if key is None or key.disabled or key.secret != identity.key.secret:
            log.info("smtp_login_ended", client_ip=peer.ip, access_key=identity.key.key_id)
            return LOGIN_ENDED
        identity.key = key
        return None if sender and address.is_ascii(sender) else NEEDS_SENDER

    async def rcpt(self, identity: Any, envelope: Envelope, recipient: str) -> Reply | None:
        if not address.is_ascii(recipient):
            return Reply(553, "", f"<{recipient}> Invalid email address")
        return TOO_MANY_RECIPIENTS if len(envelope.recipients) >= MAX_RECIPIENTS else None

    async def data(self, identity: Any, envelope: Envelope, message: bytes) -> Reply:
        recipients = tuple(dict.fromkeys(envelope.recipients))
        outcome = await self._interface.send(
            identity.key, identity.region, identity.ip, envelope.sender, recipients, message
        )
        # Clients cut the id out of this line: it is the one of events and of Message-ID.
        return Reply(250, "", f"Ok {outcome.message_id}") if outcome.message_id else reply_to(outcome)


def reply_to(outcome: Outcome) -> Reply:
    if outcome.code == "ConfigurationSetDoesNotExist":
        return NO_SET
    code, before = REPLIES.get(outcome.code, FAILED)
    return Reply(code, "", before + outcome.text)
