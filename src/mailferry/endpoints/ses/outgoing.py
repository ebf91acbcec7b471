"""Every way of sending ends here: checks of the dialect's own, the intake, and its answer in the dialect's words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mailferry.endpoints.ses import addresses, identity, ids
from mailferry.endpoints.ses.conditions import Conditions, check_account, conditions
from mailferry.endpoints.ses.deps import Call
from mailferry.endpoints.ses.errors import SesError, invalid, rejected
from mailferry.endpoints.ses.list_management import NOBODY, Managed, Options, managed
from mailferry.intake.refusal import Reason, Refusal
from mailferry.intake.submission import Accepted, Publishing, Rcpt, Refused, Submission
from mailferry.mail.compose import Content
from mailferry.resources.domains import NON_COMPLIANT
from mailferry.resources.permissions import ADMIN, Resource

#: Of one message, To, Cc and Bcc together (quotas).
MAX_RECIPIENTS = 50
MAX_TAGS = 50
_TAG_NAME = re.compile(r"[A-Za-z0-9_-]+")
_TAG_VALUE = re.compile(r"[A-Za-z0-9_.@-]+")
#: Names with a colon that senders may use.
_FEEDBACK_TAGS = frozenset({"ses:feedback-id-a", "ses:feedback-id-b"})
#: Octets that the log keeps as custom variables.
_VARIABLES = 1000


@dataclass(frozen=True, slots=True)
class Tag:
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to be sent. ``source`` is the sender as the call gave it, ``author`` what its own From says."""

    source: str
    recipients: tuple[Rcpt, ...]
    content: Content | None = None
    raw: bytes | None = None
    author: str = ""
    set_name: str = ""
    envelope_from: str = ""
    #: Why it cannot be rendered although it is accepted.
    failure: str = ""
    #: The template's name, and what the log keeps of it (intake/submission.py).
    template: str = ""
    template_id: int = 0
    template_variables: str = ""
    #: Where no tag says one.
    category: str = ""
    #: The contact list that it is sent to.
    options: Options | None = None
    #: What is wrong with the recipients that its own header names: told to those alone who may send.
    flaw: SesError | None = None


async def send_one(call: Call, outgoing: Outgoing, tags: Sequence[Tag]) -> str:
    """The message's id. Raises `SesError`."""
    check_tags(tags)
    await check_account(call)
    asked = await conditions(call, outgoing.source, outgoing.set_name)
    if outgoing.flaw:
        await _check_sender(call, outgoing)
        raise outgoing.flaw
    listed = await managed(call, outgoing.options, outgoing.recipients)
    submission = make(call, outgoing, tags, asked, listed)
    results = await call.deps.intake.accept([submission])
    assert isinstance(results, list), "without an idempotency key there is nothing to replay"
    return answer(call, outgoing, results[0])


async def _check_sender(call: Call, outgoing: Outgoing) -> None:
    """As the intake does it, which is not asked about a message without recipients. Raises `SesError`."""
    granted = call.rights.granted(Resource.DOMAIN, ADMIN)
    for sender in {outgoing.source, outgoing.author}:
        domain = addresses.mailbox(sender).address.rpartition("@")[2]
        proof = await call.read(lambda c, domain=domain: identity.proof_of(c, call.account_id, domain))  # type: ignore[misc]  # a default binds the loop variable
        if proof is None or proof.state == NON_COMPLIANT or (granted is not None and proof.id not in granted):
            raise rejected(_not_verified(call, sender))


def answer(call: Call, outgoing: Outgoing, result: Accepted | Refused) -> str:
    if isinstance(result, Refused):
        raise refused(call, outgoing, result.refusals[0])
    return ids.public(result.message_id, call.region)


def check_tags(tags: Sequence[Tag]) -> None:
    """Before anything else is asked, as Amazon does it."""
    if len(tags) > MAX_TAGS:
        raise invalid(f"A message has at most {MAX_TAGS} tags, this one has {len(tags)}.")
    for tag in tags:
        for word, text in (("name", tag.name), ("value", tag.value)):
            if not text:
                raise invalid(f"The tag {word} must be specified.")
            if len(text) > 255:
                raise invalid(f"Tag {word} cannot exceed 255 characters.")
        if not _TAG_NAME.fullmatch(tag.name) and tag.name not in _FEEDBACK_TAGS:
            text = "only alphanumeric ASCII characters, '_',  '-' are allowed."
            raise invalid(f"Invalid tag name <{tag.name}>: {text}")
        if not _TAG_VALUE.fullmatch(tag.value):
            text = "only alphanumeric ASCII characters, '_',  '-', '.', '@' are allowed."
            raise invalid(f"Invalid tag value <{tag.value}>: {text}")


def make(
    call: Call, outgoing: Outgoing, tags: Sequence[Tag], asked: Conditions, listed: Managed = NOBODY
) -> Submission:
    if len(outgoing.recipients) > MAX_RECIPIENTS:
        raise invalid(f"Recipient count exceeds {MAX_RECIPIENTS}.")
    region = call.region
    return Submission(
        account_id=call.account_id,
        token_id=0,
        sender_domains=call.rights.granted(Resource.DOMAIN, ADMIN),
        endpoint=call.endpoint,
        stream=asked.stream,
        recipients=outgoing.recipients,
        content=outgoing.content,
        raw=outgoing.raw,
        envelope_from=outgoing.envelope_from,
        category=next(
            (tag.value for tag in tags if tag.name == "category"), tags[0].value if tags else outgoing.category
        ),
        custom_variables=_variables(tags),
        client_ip=call.client_ip,
        template_id=outgoing.template_id,
        template_variables=outgoing.template_variables,
        publishing=Publishing(
            id_form=lambda message_id: ids.public(message_id, region),
            facts={**_facts(call, outgoing, asked, tags), **asked.facts, **listed.of(outgoing.recipients)},
            suppressing=asked.suppressing,
            opted_out=listed.opted_out,
            failure=f"rendering_failure: {outgoing.failure}" if outgoing.failure else "",
            expire_ms=asked.expire_ms,
        ),
    )


def refused(call: Call, outgoing: Outgoing, refusal: Refusal) -> SesError:
    """The intake's first reason, in Amazon's words where they are known."""
    match refusal.reason:
        case Reason.DEMO_RECIPIENT:
            # As in Amazon's sandbox it is the recipient who fails the check.
            return rejected(f"{_not_verified(call, refusal.detail)} (the demo domain writes to the simulator only)")
        case Reason.SENDER_NOT_ALLOWED:
            at_fault = outgoing.source if refusal.field == "envelope_from" else outgoing.author or outgoing.source
            return rejected(_not_verified(call, at_fault))
        case Reason.ENVIRONMENT_INBOX_GONE:
            return rejected(f"The environment rule's inbox {refusal.detail} is not there.")
        case Reason.ADDRESS_INVALID:
            return invalid("Illegal address")
        case Reason.RECIPIENT_REQUIRED:
            return invalid("Recipient addresses are required.")
        case Reason.FROM_REQUIRED:
            return invalid("Missing required header 'From'.")
        case Reason.MESSAGE_TOO_LARGE:
            return invalid(f"Message length is more than {refusal.detail} bytes long.")
        case Reason.RATE_EXCEEDED:
            return SesError("Throttling", "Maximum sending rate exceeded.")
        case Reason.QUOTA_EXCEEDED:
            return SesError("Throttling", "Daily message quota exceeded.")
    where = f"{refusal.field}: " if refusal.field else ""
    return invalid(f"{where}{refusal.reason.replace('_', ' ')}{f' ({refusal.detail})' if refusal.detail else ''}")


def _not_verified(call: Call, sender: str) -> str:
    bare = addresses.mailbox(sender).address
    shown = sender if sender == bare else f"{sender}, {bare}"
    return (
        "Email address is not verified. The following identities failed the check in region "
        f"{call.region.upper()}: {shown[:300]}"
    )


def _facts(call: Call, outgoing: Outgoing, asked: Conditions, tags: Sequence[Tag]) -> dict[str, Any]:
    named: dict[str, list[str]] = {}
    for tag in tags:
        named.setdefault(tag.name, []).append(tag.value)
    return {
        "region": call.region,
        "operation": call.operation,
        "source": outgoing.source,
        "caller": call.key.name,
        "set": asked.set_name,
        "tags": named,
        **({"template": outgoing.template} if outgoing.template else {}),
        **({"rendering_failure": outgoing.failure} if outgoing.failure else {}),
    }


def _variables(tags: Sequence[Tag]) -> str:
    shown = msgspec.json.encode({tag.name: tag.value for tag in tags}).decode()
    return shown if len(shown) <= _VARIABLES else "{}"
