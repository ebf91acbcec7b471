"""Mailtrap's words for what the journal holds: statuses, events and their details, as its email log and its webhooks spell
them: three spellings of the same kinds."""

from collections.abc import Mapping
from dataclasses import dataclass
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

#: Kinds that are not here (accepted, throttled, cancelled, alerts, audit) have no word, and the log does not show them.
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
#: The journal's words for what stops a domain's mail, as Mailtrap's readers are used to: in a sentence. Other reasons are one.
REASONS: Mapping[str, str] = {
    "dns_not_verified": "Sending domain is not verified: its DNS records are missing or wrong.",
    "domain_suspended": "Sending domain is suspended.",
    "domain_rejected": "Sending domain was rejected in its review.",
    "domain_deleted": "Sending domain was removed.",
}
#: The last three are ours: Mailtrap's log keeps the agent to itself, and takes machines for readers.
_VISITOR = {"web_ip_address": "ip", "user_agent": "user_agent", "machine": "machine", "machine_reason": "why"}

#: Mailtrap's name of a detail, and the journal's name of the fact behind it.
DETAILS: dict[Kind, Mapping[str, str]] = {
    Kind.DELIVERY: _ROUTE,
    Kind.SOFT_BOUNCE: _REPLY,
    Kind.BOUNCE: _REPLY,
    Kind.SUSPENSION: _REASON,
    Kind.REJECT: _REASON,
    Kind.OPEN: _VISITOR,
    Kind.CLICK: {"click_url": "url", **_VISITOR},
    Kind.UNSUBSCRIBE: {"web_ip_address": "ip", "user_agent": "user_agent"},
    Kind.SPAM: {"spam_feedback_type": "feedback_type"},
}


def details(kind: Kind, facts: Mapping[str, Any]) -> dict[str, str | None]:
    """The details of one event: every name that Mailtrap knows for it, null where the journal has no such fact."""
    found = {name: _word(_said(facts, fact)) for name, fact in DETAILS[kind].items()}
    if found.get("email_service_provider_status", "") is None:
        # A host that speaks no enhanced codes (RFC 2034) still gave its reply code.
        found["email_service_provider_status"] = _word(facts.get("code"))
    return found


_ASKED: dict[Kind, str] = {**EVENT_TYPE, Kind.SPAM: "spam_complaint", Kind.ALERT: "deliverability_alert"}
#: As a webhook asks for them. The last one is ours.
WEBHOOK_KIND = {word: kind for kind, word in _ASKED.items()}
#: And as its log names them, that of a webhook of the audit log too.
WEBHOOK_TYPE: dict[Kind, str] = {**_ASKED, Kind.AUDIT: "audit_log"}

#: As they are called in what a webhook is sent.
PAYLOAD_EVENT: dict[Kind, str] = {**EVENT_TYPE, Kind.SOFT_BOUNCE: "soft bounce"}

_FAILURE = {"response": "response", "response_code": "code", "bounce_category": "category"}
_CLIENT = {"ip": "ip", "user_agent": "user_agent"}

#: What a webhook is told beside the common members: Mailtrap's name, and the journal's of the fact behind it.
PAYLOAD: dict[Kind, Mapping[str, str]] = {
    Kind.DELIVERY: {},
    Kind.SOFT_BOUNCE: _FAILURE,
    Kind.BOUNCE: _FAILURE,
    Kind.SUSPENSION: {"reason": "reason"},
    Kind.REJECT: {"reason": "reason"},
    Kind.OPEN: _CLIENT,
    Kind.CLICK: {**_CLIENT, "url": "url"},
    Kind.UNSUBSCRIBE: _CLIENT,
    Kind.SPAM: {},
}


@dataclass(frozen=True, slots=True)
class Told:
    """One event, with what a webhook is told of the message it happened to."""

    kind: Kind
    #: Unix milliseconds.
    at: int
    facts: Mapping[str, Any]
    event_id: str
    message_id: str
    email: str
    stream: str
    domain_name: str
    category: str
    custom_variables: Mapping[str, Any]


def payload(told: Told) -> dict[str, Any]:
    """One event as a webhook gets it. Members without a value are left out, times are whole seconds."""
    common = {
        "event": PAYLOAD_EVENT[told.kind],
        "timestamp": told.at // 1000,
        "sending_stream": told.stream,
        "category": told.category,
        "custom_variables": told.custom_variables,
        "message_id": told.message_id,
        "email": told.email,
        "event_id": told.event_id,
        "sending_domain_name": told.domain_name,
    }
    optional = ("category", "custom_variables")
    found = {name: value for name, value in common.items() if value or name not in optional}
    return found | {name: _said(told.facts, fact) for name, fact in PAYLOAD[told.kind].items() if told.facts.get(fact)}


@dataclass(frozen=True, slots=True)
class ToldAlert:
    """One of a domain's rates has come to another level, in the words of statistics."""

    #: Unix milliseconds.
    at: int
    event_id: str
    domain_id: int
    domain_name: str
    #: bounce_rate or spam_rate.
    measure: str
    #: From 0 to 1.
    rate: float
    #: green, yellow or red; the one before is empty where it was never judged.
    level: str
    before: str
    #: sent_count, bounce_count, delivery_count and spam_count of the 24 hours that it was judged by.
    counts: Mapping[str, int]


def alert_payload(told: ToldAlert) -> dict[str, Any]:
    """Ours: Mailtrap tells of alerts by mail alone."""
    return {
        "event": WEBHOOK_TYPE[Kind.ALERT],
        "timestamp": told.at // 1000,
        "event_id": told.event_id,
        "sending_domain_id": told.domain_id,
        "sending_domain_name": told.domain_name,
        "measure": told.measure,
        "rate": told.rate,
        "level": told.level,
        "previous_level": told.before or None,
        **told.counts,
    }


def _said(facts: Mapping[str, Any], fact: str) -> Any:
    said = facts.get(fact)
    return REASONS.get(said, said) if fact == "reason" and said else said


def _word(fact: Any) -> str | None:
    return str(fact) if fact else None


@dataclass(frozen=True, slots=True)
class ToldAudit:
    """One entry of the audit log."""

    #: Unix milliseconds.
    at: int
    event_id: str
    #: Such as `webhook.created`.
    event: str
    actor: tuple[str, int, str]
    resource: tuple[str, str, str]
    changes: Mapping[str, Any]


#: Where Mailtrap has another word for a resource than the audit log.
_RESOURCE = {"domain": "sending_domain"}


def audit_payload(told: ToldAudit) -> dict[str, Any]:
    """Mailtrap's members, and ``event_id``, which is ours and tells what came twice. An operator is an actor of ours, too."""
    noun, _, deed = told.event.partition(".")
    noun, (kind, identity, name) = _RESOURCE.get(noun, noun), told.resource
    return {
        "event": f"activity_log.{noun}.{deed}",
        "event_id": told.event_id,
        "timestamp": told.at // 1000,
        "description": f"{deed} the {noun}".replace("_", " "),
        "actor": dict(zip(("type", "id", "name"), told.actor, strict=True)),
        "resource": {"id": identity, "type": _RESOURCE.get(kind, kind), "name": name},
        "changes": told.changes,
    }
