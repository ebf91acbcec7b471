"""Every way of sending ends here: checks of the dialect's own, the intake, and its answer in the dialect's words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from mailferry.endpoints.ses import addresses, ids
from mailferry.endpoints.ses.account import DOCUMENT as ACCOUNT
from mailferry.endpoints.ses.deps import Call
from mailferry.endpoints.ses.errors import SesError, invalid, rejected
from mailferry.endpoints.ses.list_management import NOBODY, Managed, Options, managed
from mailferry.intake.refusal import Reason, Refusal
from mailferry.intake.submission import Accepted, Publishing, Rcpt, Refused, Submission
from mailferry.mail.compose import Content
from mailferry.resources.documents import Document, Kind
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
#: A configuration set whose mail goes by this pool is of the bulk stream.
BULK_POOL = "bulk"
#: Reasons of the account's suppression list, and the types of suppressions that they are.
SUPPRESSING = {"BOUNCE": frozenset({"hard bounce", "manual import"}), "COMPLAINT": frozenset({"spam complaint"})}
#: Stops mail whatever a configuration set says: the recipient asked for it.
_ALWAYS = frozenset({"unsubscription"})


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


async def send_one(call: Call, outgoing: Outgoing, tags: Sequence[Tag]) -> str:
    """The message's id. Raises `SesError`."""
    check_tags(tags)
    await check_account(call)
    outgoing = replace(outgoing, set_name=await set_name_of(call, outgoing.source, outgoing.set_name))
    chosen, account = await configuration_set(call, outgoing.set_name), await settings(call)
    listed = await managed(call, outgoing.options, outgoing.recipients)
    submission = make(call, outgoing, tags, chosen, account, listed)
    results = await call.deps.intake.accept([submission])
    assert isinstance(results, list), "without an idempotency key there is nothing to replay"
    return answer(call, outgoing, results[0])


def answer(call: Call, outgoing: Outgoing, result: Accepted | Refused) -> str:
    if isinstance(result, Refused):
        raise refused(call, outgoing, result.refusals[0])
    return ids.public(result.message_id, call.region)


async def settings(call: Call) -> Mapping[str, Any]:
    found = await call.deps.documents.get(call.account_id, Kind.ACCOUNT, ACCOUNT)
    return found.body if found else {}


async def check_account(call: Call) -> None:
    if call.rights.granted(Resource.DOMAIN, ADMIN) == frozenset():
        raise call.denied(call.arn("ses", "identity/*"))
    if not (await settings(call)).get("sending", True):
        raise SesError(
            "AccountSendingPausedException",
            "Sending paused for this account. For more information, please check the inbox of the email address "
            "associated with your AWS account.",
        )


async def set_name_of(call: Call, source: str, given: str) -> str:
    """The configuration set that is named, or else the sender's: of the address, then of the nearest domain."""
    if given:
        return given
    for name in _identities(source):
        found = await call.deps.documents.get(call.account_id, Kind.IDENTITY, name)
        if found and (set_name := found.body.get("configuration_set")):
            return str(set_name)
    return ""


def _identities(source: str) -> list[str]:
    """The names that settings for it may stand under, the most specific first."""
    try:
        address = addresses.mailbox(source).address
    except SesError:  # the intake will say what is wrong
        return []
    labels = address.rpartition("@")[2].split(".")
    return [address, *(".".join(labels[number:]) for number in range(len(labels) - 1))]


async def configuration_set(call: Call, name: str) -> Document | None:
    """The one that a message names. Raises `SesError`: there is none, or it is paused."""
    if not name:
        return None
    found = await call.deps.documents.get(call.account_id, Kind.CONFIGURATION_SET, name)
    if found is None:
        text = f"Configuration set <{name}> does not exist."
        raise SesError("ConfigurationSetDoesNotExist", text, members={"ConfigurationSetName": name})
    if not found.body.get("SendingOptions", {}).get("SendingEnabled", True):
        text = f"Sending is paused for configuration set <{name}>"
        raise SesError("ConfigurationSetSendingPausedException", text, members={"ConfigurationSetName": name})
    return found


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
    call: Call,
    outgoing: Outgoing,
    tags: Sequence[Tag],
    chosen: Document | None,
    account: Mapping[str, Any],
    listed: Managed = NOBODY,
) -> Submission:
    if len(outgoing.recipients) > MAX_RECIPIENTS:
        raise invalid(f"Recipient count exceeds {MAX_RECIPIENTS}.")
    region = call.region
    delivery = chosen.body.get("DeliveryOptions", {}) if chosen else {}
    return Submission(
        account_id=call.account_id,
        token_id=0,
        sender_domains=call.rights.granted(Resource.DOMAIN, ADMIN),
        endpoint=call.endpoint,
        stream="bulk" if delivery.get("SendingPoolName") == BULK_POOL else "transactional",
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
            facts={**_facts(call, outgoing, tags), **_terms(chosen), **listed.of(outgoing.recipients)},
            suppressing=_suppressing(chosen, account),
            opted_out=listed.opted_out,
            failure=f"rendering_failure: {outgoing.failure}" if outgoing.failure else "",
            expire_ms=delivery.get("MaxDeliverySeconds", 0) * 1000,
        ),
    )


def refused(call: Call, outgoing: Outgoing, refusal: Refusal) -> SesError:
    """The intake's first reason, in Amazon's words where they are known."""
    match refusal.reason:
        case Reason.SENDER_NOT_ALLOWED | Reason.DEMO_RECIPIENT:
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


def _facts(call: Call, outgoing: Outgoing, tags: Sequence[Tag]) -> dict[str, Any]:
    named: dict[str, list[str]] = {}
    for tag in tags:
        named.setdefault(tag.name, []).append(tag.value)
    return {
        "region": call.region,
        "operation": call.operation,
        "source": outgoing.source,
        "caller": call.key.name,
        "set": outgoing.set_name,
        "tags": named,
        **({"template": outgoing.template} if outgoing.template else {}),
        **({"rendering_failure": outgoing.failure} if outgoing.failure else {}),
    }


def _terms(chosen: Document | None) -> dict[str, Any]:
    """What the configuration set asks of delivery. Whoever wants to be told of opens and clicks has mail followed."""
    if chosen is None:
        return {}
    destinations = [each for each in chosen.body.get("EventDestinations", []) if each.get("Enabled")]
    wanted = {type_ for each in destinations for type_ in each.get("MatchingEventTypes", [])}
    delivery = chosen.body.get("DeliveryOptions", {})
    asked = {
        "needs_tls": delivery.get("TlsPolicy") == "REQUIRE",
        "opens": "OPEN" in wanted,
        "clicks": "CLICK" in wanted,
        "max_delivery_seconds": delivery.get("MaxDeliverySeconds"),
    }
    return {name: value for name, value in asked.items() if value}


def _suppressing(chosen: Document | None, account: Mapping[str, Any]) -> frozenset[str] | None:
    """A configuration set without an opinion has the account's; an empty list means none."""
    options = chosen.body.get("SuppressionOptions") if chosen else None
    reasons = account.get("suppressed") if options is None else options.get("SuppressedReasons", [])
    if reasons is None:
        return None
    return _ALWAYS.union(*(SUPPRESSING.get(reason, frozenset()) for reason in reasons))


def _variables(tags: Sequence[Tag]) -> str:
    shown = msgspec.json.encode({tag.name: tag.value for tag in tags}).decode()
    return shown if len(shown) <= _VARIABLES else "{}"
