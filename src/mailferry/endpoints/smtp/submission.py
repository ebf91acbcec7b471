"""Submission over SMTP (RFC 6409): who may, and how a message becomes a Submission.

User ``api`` (or ``smtp@mailtrap.io``, its older name) with a token sends on the transactional stream, user ``bulk`` on
the bulk stream. ``X-MT-Category`` and ``X-MT-Custom-Variables`` are read here and leave with `prepare`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
import structlog

from mailferry.endpoints.smtp.backend import Envelope, Peer
from mailferry.endpoints.smtp.replies import Reply
from mailferry.intake import texts
from mailferry.intake.refusal import Reason, Refusal
from mailferry.intake.submission import Accepted, KeyReused, Once, Rcpt, Refused, Replayed, Submission
from mailferry.mail import address, header
from mailferry.resources import tokens
from mailferry.resources.permissions import ADMIN, Resource
from mailferry.resources.tokens import Token

log = structlog.get_logger(__name__)

STREAMS = {"api": "transactional", "smtp@mailtrap.io": "transactional", "bulk": "bulk"}

#: Mailtrap ignores longer variables without a word (its docs, custom-variables); the message goes all the same.
VARIABLES_OCTETS = 1000
CATEGORY_CHARACTERS = 255

BAD_LOGIN = Reply(
    535, "5.7.8", "Authentication failed: unknown user or token; the user is api or bulk, the password a token"
)
#: The connection ends, and the message is not refused: with the new token it may go.
LOGIN_ENDED = Reply(421, "4.7.0", "The token was revoked or has expired: connect again and authenticate")
NEEDS_SENDER = Reply(553, "5.1.8", "An envelope sender is needed: bounces come to us, and <> would hide who writes")

#: Reason -> SMTP code, enhanced code, text. ``{detail}`` is the refusal's.
REPLIES: dict[Reason, tuple[int, str, str]] = {
    Reason.FROM_REQUIRED: (550, "5.6.0", "The message has no From field"),
    Reason.FROM_INVALID: (550, "5.6.0", "'From' address is invalid: {detail}"),
    Reason.FROM_FIELDS: (550, "5.6.0", "Exactly one From field with exactly one address is needed: {detail}"),
    # Mailtrap's text.
    Reason.FROM_MISMATCH: (550, "5.7.1", "'From' header does not match the sender's domain"),
    Reason.SENDER_NOT_ALLOWED: (550, "5.7.1", "Sending from domain {domain} is not allowed: {detail}"),
    Reason.DEMO_RECIPIENT: (550, "5.7.1", "Demo domains can only be used to send to the simulator's addresses"),
    Reason.RECIPIENT_REQUIRED: (554, "5.5.1", "No recipients"),
    Reason.RECIPIENTS_TOO_MANY: (452, "4.5.3", "Too many recipients: {detail}"),
    Reason.ADDRESS_INVALID: (553, "5.1.3", "Address is invalid: {detail}"),
    Reason.MESSAGE_MALFORMED: (550, "5.6.0", "The message is malformed: {detail}"),
    Reason.MESSAGE_TOO_LARGE: (552, "5.3.4", "Error: message too big"),
    # The operator's mistake, and the mail may go when it is mended.
    Reason.ENVIRONMENT_INBOX_GONE: (
        451,
        "4.3.5",
        "The environment rule's inbox {detail} is not there, nothing was sent",
    ),
    # Never 5xx: a relay would give its mail back.
    Reason.RATE_EXCEEDED: (451, "4.7.1", "Rate limit exceeded, try again later"),
    Reason.QUOTA_EXCEEDED: (451, "4.7.1", "Daily limit of the account exceeded, try again later"),
}


class Intake(Protocol):
    async def accept(
        self, submissions: Sequence[Submission], once: Once | None = None
    ) -> list[Accepted | Refused] | Replayed | KeyReused: ...


class Credentials(Protocol):
    async def by_digest(self, key: str) -> Token | None: ...


@dataclass(slots=True)
class Sender:
    """Who authenticated, and with what."""

    #: As it is since the last MAIL: it may be revoked, and its rights may change, while the connection lasts.
    token: Token
    stream: str
    ip: str
    #: The secret's.
    digest: str = field(repr=False)


class SubmissionBackend:
    """The product behind the session."""

    def __init__(self, intake: Intake, credentials: Credentials, hostname: str, clock: Callable[[], int]) -> None:
        self.greeting_name = hostname
        self._intake = intake
        self._credentials = credentials
        self._clock = clock

    async def authenticate(self, peer: Peer, username: str, password: str) -> Sender | Reply:
        stream = STREAMS.get(username.lower())
        digest = tokens.digest(password)
        token = await self._credentials.by_digest(digest)
        if stream is None or token is None:
            log.info("smtp_login_refused", client_ip=peer.ip)
            return BAD_LOGIN
        return Sender(token, stream, peer.ip, digest)

    def words(self, identity: Sender) -> Mapping[Reply, Reply]:
        return {}

    def account(self, identity: Sender) -> int:
        return identity.token.account_id

    async def mail(self, identity: Any, sender: str, size: int, peer: Peer) -> Reply | None:
        token = await self._credentials.by_digest(identity.digest)
        if token is None:
            log.info("smtp_login_ended", client_ip=peer.ip, token_id=identity.token.id)
            return LOGIN_ENDED
        identity.token = token
        return None if sender else NEEDS_SENDER

    async def rcpt(self, identity: Any, envelope: Envelope, recipient: str) -> Reply | None:
        return None

    async def data(self, identity: Any, envelope: Envelope, message: bytes) -> Reply:
        (result,) = await self._accept(identity, envelope, message)
        if isinstance(result, Refused):
            return reply_to(result.refusals[0], envelope)
        # What follows "queued as" is what a client's log keeps: `messages show` finds the story of all recipients by it.
        return Reply(250, "2.0.0", f"Ok: queued as {result.message_id}")

    async def _accept(self, sender: Sender, envelope: Envelope, message: bytes) -> list[Accepted | Refused]:
        if header.is_large(message):
            submission = await asyncio.to_thread(_submission, sender, envelope, message)
        else:
            submission = _submission(sender, envelope, message)
        outcome = await self._intake.accept([submission])
        assert isinstance(outcome, list), "without an idempotency key there is nothing to replay"
        return outcome


def reply_to(refusal: Refusal, envelope: Envelope) -> Reply:
    code, enhanced, text = REPLIES.get(refusal.reason, (550, "5.6.0", f"{refusal.reason}: {{detail}}"))
    domain = address.split(envelope.sender)[1]
    return Reply(code, enhanced, text.format(detail=refusal.detail, domain=domain).removesuffix(": "))


def _submission(sender: Sender, envelope: Envelope, message: bytes) -> Submission:
    try:
        head = header.read_head(message)
    except header.BadHeader:
        head = header.Head((), 0)  # the intake's checks say what is wrong with it
    seen = {kind: _addresses(head, kind) for kind in ("to", "cc")}
    return Submission(
        account_id=sender.token.account_id,
        token_id=sender.token.id,
        sender_domains=sender.token.rights.granted(Resource.DOMAIN, ADMIN),
        endpoint="smtp",
        stream=sender.stream,
        recipients=tuple(Rcpt(each, _kind(each, seen)) for each in dict.fromkeys(envelope.recipients)),
        raw=message,
        envelope_from=envelope.sender,
        category=_category(head),
        custom_variables=_variables(head),
        client_ip=sender.ip,
    )


def _addresses(head: header.Head, name: str) -> set[str]:
    found: set[str] = set()
    for value in header.values(head, name.encode()):
        try:
            found.update(address.key(mailbox.address) for mailbox in address.parse_mailboxes(value))
        except address.BadAddress:  # the envelope decides who gets it; this only sorts them for the log
            continue
    return found


def _kind(recipient: str, seen: dict[str, set[str]]) -> str:
    key = address.key(recipient)
    return next((kind for kind, addresses in seen.items() if key in addresses), "bcc")


def _category(head: header.Head) -> str:
    values = header.values(head, b"x-mt-category")
    return texts.kept_line(header.decode(values[0])).strip()[:CATEGORY_CHARACTERS] if values else ""


def _variables(head: header.Head) -> str:
    """A JSON object of at most 1000 octets, else nothing; of a list its first value counts (Mailtrap)."""
    values = header.values(head, b"x-mt-custom-variables")
    text = header.decode(values[0]) if values else ""
    if not text or len(text.encode("utf-8", "replace")) > VARIABLES_OCTETS:
        return "{}"
    try:
        found = msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return "{}"
    if not isinstance(found, dict):
        return "{}"
    shown = msgspec.json.encode({texts.kept(name): texts.kept(_variable(value)) for name, value in found.items()})
    # Numbers and what is nested grow when they become strings.
    return shown.decode() if len(shown) <= VARIABLES_OCTETS else "{}"


def _variable(value: Any) -> str:
    if isinstance(value, list):
        value = value[0] if value else ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
