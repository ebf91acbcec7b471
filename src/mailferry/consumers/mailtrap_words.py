"""Mailtrap's words for what the journal holds: statuses, events and their details, as its email log spells them."""

from collections.abc import Mapping
from typing import Any

from mailferry.journal.conditions import Standing
from mailferry.journal.events import Kind

STATUS: dict[Standing, str] = {
    Standing.WAITING: "enqueued",
    Standing.DELIVERED: "delivered",
    Standing.FAILED: "not_delivered",
    Standing.OPTED_OUT: "opted_out",
}
STANDING = {word: standing for standing, word in STATUS.items()}

#: Kinds that are not here (accepted, throttled, cancelled) have no word, and the log does not show them.
EVENT_TYPE: dict[Kind, str] = {
    Kind.DELIVERY: "delivery",
    Kind.SOFT_BOUNCE: "soft_bounce",
    Kind.BOUNCE: "bounce",
    Kind.SUSPENSION: "suspension",
    Kind.REJECT: "reject",
    Kind.OPEN: "open",
    Kind.CLICK: "click",
    Kind.UNSUBSCRIBE: "unsubscribe",
    Kind.SPAM: "spam",
}
KIND = {word: kind for kind, word in EVENT_TYPE.items()}

_ROUTE = {"sending_ip": "local_ip", "recipient_mx": "host", "email_service_provider": "provider"}
_REPLY = {
    **_ROUTE,
    "email_service_provider_status": "enhanced",
    "email_service_provider_response": "response",
    "bounce_category": "category",
}
_REASON = {"reject_reason": "reason"}
_VISITOR = {"web_ip_address": "ip"}

#: Mailtrap's name of a detail, and the journal's name of the fact behind it.
DETAILS: dict[Kind, Mapping[str, str]] = {
    Kind.DELIVERY: _ROUTE,
    Kind.SOFT_BOUNCE: _REPLY,
    Kind.BOUNCE: _REPLY,
    Kind.SUSPENSION: _REASON,
    Kind.REJECT: _REASON,
    Kind.OPEN: _VISITOR,
    Kind.CLICK: {"click_url": "url", **_VISITOR},
    Kind.UNSUBSCRIBE: _VISITOR,
    Kind.SPAM: {"spam_feedback_type": "feedback_type"},
}


def details(kind: Kind, facts: Mapping[str, Any]) -> dict[str, str | None]:
    """The details of one event: every name that Mailtrap knows for it, null where the journal has no such fact."""
    found = {name: _word(facts.get(fact)) for name, fact in DETAILS[kind].items()}
    if found.get("email_service_provider_status", "") is None:
        # A host that speaks no enhanced codes (RFC 2034) still gave its reply code.
        found["email_service_provider_status"] = _word(facts.get("code"))
    return found


def _word(fact: Any) -> str | None:
    return str(fact) if fact else None
