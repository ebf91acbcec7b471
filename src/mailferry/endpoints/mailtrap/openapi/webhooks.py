"""Webhooks; their tests, logs and replays are Mailferry's own."""

from typing import Any

from mailferry.consumers.mailtrap_words import WEBHOOK_KIND, WEBHOOK_TYPE
from mailferry.consumers.webhooks.pending import State
from mailferry.endpoints.mailtrap import webhooks
from mailferry.endpoints.mailtrap.openapi.declaration import Asked, Declared, Parameter, enveloped
from mailferry.endpoints.mailtrap.openapi.schemas import (
    COUNT,
    ID,
    STREAM,
    UUID,
    Component,
    answered,
    any_of,
    array,
    asked,
    choice,
    flag,
    integer,
    nullable,
    text,
    time,
)
from mailferry.endpoints.mailtrap.table import Function
from mailferry.resources.webhooks import AUDIT_LOG, EMAIL_SENDING, JSON, JSON_LINES

_TYPES = array(choice(WEBHOOK_KIND), minItems=1)
_FORMAT = choice((JSON, JSON_LINES))
_SHOWN: dict[str, Any] = {
    "id": ID,
    "url": text("Its password is shown to admins of the account alone."),
    "active": flag(),
    "webhook_type": choice((EMAIL_SENDING, AUDIT_LOG)),
    "payload_format": _FORMAT,
    "sending_stream": nullable(STREAM),
    "domain_id": nullable(integer("Null: all domains.")),
    "inbound_inbox_id": nullable(integer("Always null.")),
    "event_types": array(choice(WEBHOOK_KIND)),
}
_WEBHOOK = Component("Webhook", answered(_SHOWN))
_SECRETS = {
    "signing_secret": text("What requests are signed with; told here alone."),
    "standard_webhooks_secret": text("The same, as libraries of Standard Webhooks take it. Mailferry's own."),
}
_WITH_SECRET = Component("WebhookWithSecret", answered(_SHOWN | _SECRETS))
_CHANGED: dict[str, Any] = {
    "url": text(format="uri"),
    "active": flag(default=True),
    "payload_format": choice((JSON, JSON_LINES), default=JSON),
    "event_types": _TYPES,
    "inbound_inbox_id": {"type": "null", "description": "Inbound mail is not served."},
}
_FOR_MAIL = "Of `email_sending`, which must have it; `audit_log` has none."
_GIVEN = _CHANGED | {
    "webhook_type": choice((EMAIL_SENDING, AUDIT_LOG)),
    "event_types": array(choice(WEBHOOK_KIND)) | {"description": _FOR_MAIL},
    "sending_stream": nullable(STREAM) | {"description": _FOR_MAIL},
    "domain_id": nullable(ID),
}

_OUTCOME = {
    "status": nullable(integer("Of the receiver's answer.")),
    "error": nullable(text("Why there was no answer.")),
    "response": nullable(text("The beginning of the answer.")),
    "duration_ms": COUNT,
}
_TEST = Component("WebhookTest", answered({"success": flag(), **_OUTCOME}))
_ATTEMPT = Component(
    "WebhookAttempt", answered({"id": ID, "created_at": time(), "kind": text(), "events_count": COUNT, **_OUTCOME})
)
_EVENT = Component(
    "WebhookEvent",
    answered(
        {
            "id": ID,
            "state": choice(State),
            "event": choice(WEBHOOK_TYPE.values()),
            "message_id": text(),
            "happened_at": time(),
            "queued_at": time(),
            "replayed": flag(),
            "next_attempt_at": nullable(time()),
            "delivered_at": nullable(time()),
            "failed_alone": COUNT,
            "last_attempt": nullable(answered({"id": ID, "created_at": time(), **_OUTCOME})),
        }
    ),
)
_REPLAY = Component(
    "WebhookReplay",
    answered(
        {
            "id": ID,
            "from": time(),
            "to": time(),
            "queued_events": COUNT,
            "created_at": time(),
            "done_at": nullable(time()),
        }
    ),
)
_ASKED_REPLAY = any_of(
    asked({"parked": {"type": "boolean", "const": True}}, "parked"),
    asked({"from": time(), "to": time("Now, where it is missing.")}, "from"),
)
_LAST_ID = Parameter("last_id", ID, "The id of the last one of the page before.")

DECLARED: dict[Function, Declared] = {
    webhooks.get_list: Declared("List webhooks", {200: enveloped(array(_WEBHOOK))}),
    webhooks.get_one: Declared("Show a webhook", {200: enveloped(_WEBHOOK)}),
    webhooks.create: Declared(
        "Make a webhook",
        {200: enveloped(_WITH_SECRET)},
        Asked(
            asked(_GIVEN, "url", "webhook_type"),
            wrapper="webhook",
            example={
                "url": "https://example.com/mailtrap",
                "webhook_type": EMAIL_SENDING,
                "sending_stream": "transactional",
                "event_types": ["delivery", "bounce"],
            },
        ),
    ),
    webhooks.update: Declared(
        "Change a webhook",
        {200: enveloped(_WEBHOOK)},
        Asked(asked(_CHANGED), "webhook", example={"active": False}),
        about="Only what is given changes; type, stream and domain stay what they are.",
    ),
    webhooks.delete: Declared("Delete a webhook", {200: enveloped(_WEBHOOK, "What stood.")}),
    webhooks.test: Declared(
        "Try a webhook",
        {200: enveloped(_TEST, "What came of it.")},
        about="Sends one invented event of each type that the webhook asks for.",
        ours=True,
    ),
    webhooks.reset_secret: Declared("Make a new secret", {200: enveloped(_WITH_SECRET)}, ours=True),
    webhooks.replay: Declared(
        "Send events again",
        {200: enveloped(any_of(_REPLAY, answered({"parked_events": COUNT})))},
        Asked(_ASKED_REPLAY, example={"from": "2026-01-31T00:00:00Z"}),
        about="What is parked; or what happened between two times.",
        ours=True,
    ),
    webhooks.get_replays: Declared("List replays", {200: enveloped(array(_REPLAY))}, ours=True),
    webhooks.get_log: Declared(
        "List a webhook's events",
        {200: enveloped(array(_EVENT, maxItems=webhooks.PAGE), "Newest first.")},
        query=(
            Parameter("state", choice(State)),
            Parameter("message_id", UUID, "Of this recipient alone."),
            _LAST_ID,
        ),
        ours=True,
    ),
    webhooks.get_attempts: Declared(
        "List a webhook's requests",
        {200: enveloped(array(_ATTEMPT, maxItems=webhooks.PAGE), "Newest first.")},
        query=(_LAST_ID,),
        ours=True,
    ),
}
