"""Amazon's words for what happened: types of event, and the block that each has beside the message's.

Sources: the SES developer guide ("Contents of event data"), and what handlers of it read. A bounce that says nothing bad of
the address is Transient, since handlers take addresses of permanent ones off their lists.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from mailferry.journal.events import Kind
from mailferry.resources import suppressions

#: By the name that a destination asks for it: as it stands in an event, and the key of its block.
SPELLED: Mapping[str, tuple[str, str]] = {
    "SEND": ("Send", "send"),
    "REJECT": ("Reject", "reject"),
    "BOUNCE": ("Bounce", "bounce"),
    "COMPLAINT": ("Complaint", "complaint"),
    "DELIVERY": ("Delivery", "delivery"),
    "OPEN": ("Open", "open"),
    "CLICK": ("Click", "click"),
    "RENDERING_FAILURE": ("Rendering Failure", "failure"),
    "DELIVERY_DELAY": ("DeliveryDelay", "deliveryDelay"),
    "SUBSCRIPTION": ("Subscription", "subscription"),
}
#: Before the reason of a message that is rejected because its template could not be rendered.
RENDERING_FAILURE = "rendering_failure: "
#: The reason of a bounce that came by age (delivery/settle.py).
EXPIRED = "expired"

#: What our categories of refusals are called, where the address may be good.
_TRANSIENT = {"overquota": "MailboxFull", "content": "ContentRejected", "spam": "ContentRejected"}
_DELAYS = {
    "overquota": "MailboxFull",
    "spam": "SpamDetected",
    "block": "IPFailure",
    "dnsFail": "TransientCommunicationFailure",
    "timeout": "TransientCommunicationFailure",
    "serverfail": "RecipientServerError",
    "transientfail": "RecipientServerError",
}
#: Categories that say something of the address, and those that nobody could read.
_PERMANENT = frozenset({"badrecipient", "dnsFail", "generalfail"})
_SUPPRESSED = {
    suppressions.HARD_BOUNCE: "OnAccountSuppressionList",
    suppressions.MANUAL_IMPORT: "OnAccountSuppressionList",
    suppressions.UNSUBSCRIPTION: "UnsubscribedRecipient",
}
_REASONS = {suppressions.why_rejected(kind): kind for kind in suppressions.TYPES}
_WHY_SUPPRESSED = (
    "Mailferry has suppressed sending to this address because it is on the suppression list for your account ({0})."
)


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of the journal, with what its words need of the recipient and the message."""

    kind: Kind
    #: Unix milliseconds.
    at: int
    facts: Mapping[str, Any]
    recipient_id: str
    address: str
    #: Of the message's recipients it is the first: what happens to all of them is told by its events.
    first: bool
    #: The template could not be rendered: nothing was sent.
    failed: bool
    #: As the client knows the message.
    public_id: str
    created_at: int
    #: 0: not known.
    expires_at: int
    #: What the message was sent with (intake/submission.Publishing).
    publishing: Mapping[str, Any]
    #: Our own name.
    hostname: str


@dataclass(frozen=True, slots=True)
class Told:
    """What it is in Amazon's words: a key of SPELLED, and the block."""

    type: str
    block: Mapping[str, Any]


def told(event: Happened) -> Told | None:
    """None: Amazon has no word for it, or another recipient's event tells it."""
    match event.kind:
        case Kind.ACCEPTED:
            return Told("SEND", {}) if event.first and not event.failed else None
        case Kind.DELIVERY:
            return Told("DELIVERY", _delivery(event))
        case Kind.SOFT_BOUNCE:
            return Told("DELIVERY_DELAY", _delay(event))
        case Kind.BOUNCE:
            return Told("BOUNCE", _bounce(event))
        case Kind.REJECT:
            return _rejected(event)
        case Kind.SPAM:
            return Told("COMPLAINT", _complaint(event))
        case Kind.OPEN:
            return Told("OPEN", _visit(event))
        case Kind.CLICK:
            tags = event.facts.get("tags")
            return Told("CLICK", {**_visit(event), "link": event.facts.get("url", ""), "linkTags": tags})
        case Kind.UNSUBSCRIBE:
            return Told("SUBSCRIPTION", _subscription(event))
    return None


def iso(ms: int) -> str:
    """Such as ``2026-01-02T03:04:05.678Z``."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def _delivery(event: Happened) -> dict[str, Any]:
    return {
        "timestamp": iso(event.at),
        "processingTimeMillis": max(0, event.at - event.created_at),
        "recipients": [event.address],
        "smtpResponse": _reply(event.facts),
        "reportingMTA": event.hostname,
        **_remote(event),
    }


def _bounce(event: Happened) -> dict[str, Any]:
    facts = event.facts
    category = facts.get("category", "")
    expired = facts.get("reason") == EXPIRED
    lasting = not expired and category in _PERMANENT
    kind, sub = ("Permanent", "General") if lasting else ("Transient", _TRANSIENT.get(category, "General"))
    if expired and _had_its_time(event):
        sub = "CustomTimeoutExceeded"
    status = facts.get("enhanced") or ("5.0.0" if facts.get("code", 0) >= 500 else "4.4.7")
    return _bounced(event, kind, sub, status, f"smtp; {_reply(facts)}", **_remote(event))


def _had_its_time(event: Happened) -> bool:
    """The time that its configuration set gives it; all mail's may have been shorter."""
    seconds: int = event.publishing.get("max_delivery_seconds", 0)
    return seconds > 0 and event.at - event.created_at >= seconds * 1000


def _bounced(event: Happened, kind: str, sub: str, status: str, diagnostic: str, **more: str) -> dict[str, Any]:
    recipient = {
        "emailAddress": event.address,
        "action": "failed",
        "status": status,
        "diagnosticCode": diagnostic,
    }
    return {
        "feedbackId": _feedback_id(event),
        "bounceType": kind,
        "bounceSubType": sub,
        "bouncedRecipients": [recipient],
        "timestamp": iso(event.at),
        "reportingMTA": f"dns; {event.hostname}",
        **more,
    }


def _rejected(event: Happened) -> Told | None:
    """Nothing was tried: its template, a suppression, or whatever else stood against it."""
    reason = str(event.facts.get("reason", ""))
    if reason.startswith(RENDERING_FAILURE):
        template = event.publishing.get("template", "")
        block = {"errorMessage": reason.removeprefix(RENDERING_FAILURE), "templateName": template}
        return Told("RENDERING_FAILURE", block) if event.first else None
    kind = _REASONS.get(reason)
    if kind is None:
        return Told("REJECT", {"reason": reason})
    if kind == suppressions.SPAM_COMPLAINT:
        return Told("COMPLAINT", {**_complaint(event), "complaintSubType": "OnAccountSuppressionList"})
    # Amazon's simulator plays its own list, which is nobody's account's.
    sub = "Suppressed" if event.facts.get("transport") == "simulator" else _SUPPRESSED[kind]
    return Told("BOUNCE", _bounced(event, "Permanent", sub, "5.1.1", _WHY_SUPPRESSED.format(kind)))


def _complaint(event: Happened) -> dict[str, Any]:
    block = {
        "feedbackId": _feedback_id(event),
        "complaintSubType": None,
        "complainedRecipients": [{"emailAddress": event.address}],
        "timestamp": iso(event.at),
    }
    if agent := event.facts.get("user_agent"):
        block["userAgent"] = agent
    if kind := event.facts.get("feedback_type"):
        block |= {"complaintFeedbackType": kind, "arrivalDate": iso(event.at)}
    return block


def _delay(event: Happened) -> dict[str, Any]:
    facts = event.facts
    recipient = {
        "emailAddress": event.address,
        "status": facts.get("enhanced") or "4.0.0",
        "diagnosticCode": f"smtp; {_reply(facts)}",
    }
    block = {
        "timestamp": iso(event.at),
        "delayType": _DELAYS.get(facts.get("category", ""), "General"),
        "delayedRecipients": [recipient],
        "reportingMTA": event.hostname,
    }
    return block | ({"expirationTime": iso(event.expires_at)} if event.expires_at else {})


def _visit(event: Happened) -> dict[str, Any]:
    facts = event.facts
    block = {
        "ipAddress": facts.get("ip", ""),
        "timestamp": iso(event.at),
        "userAgent": facts.get("user_agent", ""),
    }
    return block | ({"isBotEvent": "Likely"} if facts.get("machine") else {})


def _subscription(event: Happened) -> dict[str, Any]:
    """By a contact list's link (feedback/subscriptions.py), or by that of a domain's own, which knows no topics."""
    facts = event.facts
    return {
        "contactList": facts.get("contact_list") or event.publishing.get("contact_list", ""),
        "timestamp": iso(event.at),
        "source": "UnsubscribeHeader",
        "newTopicPreferences": _preferences(facts.get("after") or {"unsubscribed": True}),
        "oldTopicPreferences": _preferences(facts.get("before") or {"unsubscribed": False}),
    }


def _preferences(found: Mapping[str, Any]) -> dict[str, Any]:
    said = found.get("topics", {})
    status = [{"topicName": name, "subscriptionStatus": "OptIn" if yes else "OptOut"} for name, yes in said.items()]
    return {"unsubscribeAll": found["unsubscribed"], "topicSubscriptionStatus": status}


def _reply(facts: Mapping[str, Any]) -> str:
    """As a host says it."""
    said = (str(facts[name]) for name in ("code", "enhanced", "response") if facts.get(name))
    return " ".join(said)


def _remote(event: Happened) -> dict[str, str]:
    ip = event.facts.get("ip")
    return {"remoteMtaIp": ip} if ip else {}


def _feedback_id(event: Happened) -> str:
    """Of the message ids' form, and the same whenever the event is told."""
    own = uuid5(NAMESPACE_URL, f"{event.recipient_id}/{event.kind}/{event.at}")
    return f"{event.public_id[:16]}-{own}-000000"
