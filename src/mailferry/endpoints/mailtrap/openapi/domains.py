"""Sending domains, who stands behind them, and their review."""

from typing import Any

from mailferry.endpoints.mailtrap import company_info, domain_reviews, domains
from mailferry.endpoints.mailtrap.openapi.declaration import GONE, Answer, Asked, Declared, Families, enveloped, json
from mailferry.endpoints.mailtrap.openapi.schemas import (
    EMAIL,
    ID,
    Component,
    answered,
    array,
    asked,
    choice,
    flag,
    nullable,
    text,
    time,
)
from mailferry.endpoints.mailtrap.table import Function
from mailferry.resources import company_infos
from mailferry.resources import domains as stored

_FLAGS = [name for name, default in stored.SETTINGS.items() if isinstance(default, bool)]
_STATUS = text("Where the review stands: `unverified_dns`, `under_review`, `compliant` and others.")
_RECORD = Component(
    "DnsRecord",
    answered({name: text() for name in ("key", "domain", "type", "value", "status", "name")}),
)
_DOMAIN = Component(
    "SendingDomain",
    answered(
        {
            "id": ID,
            "domain_name": text(),
            "demo": flag(),
            "compliance_status": _STATUS,
            "dns_verified": flag(),
            "dns_verified_at": text("Empty: never."),
            "dns_records": array(_RECORD, "What is to be published, and what was found of it."),
            **{name: flag() for name in _FLAGS},
            "alert_recipient_email": nullable(text()),
            "custom_domain_tracking_enabled": flag(),
            "inbound_enabled": flag(),
            "inbound_verified": flag(),
            "permissions": answered({name: flag() for name in ("can_read", "can_update", "can_destroy")}),
        }
    ),
)
_WRAPPER = Families("sending_domain", "domain")

_URL = text(format="uri", maxLength=company_info.MAX_URL)
_LINE = text(minLength=1, maxLength=255)
_COMPANY: dict[str, Any] = {
    **dict.fromkeys(("name", "address", "city", "country", "zip_code"), _LINE),
    "website_url": _URL,
    "phone": nullable(text(maxLength=255)),
    "privacy_policy_url": nullable(_URL),
    "terms_of_service_url": nullable(_URL),
    "info_level": choice((company_infos.BUSINESS, company_infos.INDIVIDUAL), default=company_infos.BUSINESS),
}
_NEEDED = ("name", "address", "city", "country", "zip_code", "website_url")
_SHOP = {
    "name": "Example Ltd",
    "address": "1 High Street",
    "city": "London",
    "country": "United Kingdom",
    "zip_code": "W1A 1AA",
    "website_url": "https://example.com",
}
_INFO = Component("CompanyInfo", answered({name: nullable(text()) for name in _COMPANY}))

_LONG = text(maxLength=domain_reviews.LONGEST)
_QUESTION = answered(
    {
        "id": ID,
        "question": text(),
        "answer": nullable(text()),
        "asked_at": time(),
        "answered_at": nullable(time()),
    }
)
_MESSAGE = answered({"author": text(), "author_name": text(), "text": text(), "at": time()})
_REVIEW = Component(
    "DomainReview",
    answered({"compliance_status": _STATUS, "questions": array(_QUESTION), "messages": array(_MESSAGE)}),
)

DECLARED: dict[Function, Declared] = {
    domains.get_list: Declared("List sending domains", {200: enveloped(array(_DOMAIN))}),
    domains.get_one: Declared("Show a sending domain", {200: json(_DOMAIN)}),
    domains.create: Declared(
        "Add a sending domain",
        {200: json(_DOMAIN)},
        Asked(asked({"domain_name": text()}, "domain_name"), _WRAPPER, example={"domain_name": "example.com"}),
        about="The answer has the records to be published.",
    ),
    domains.update: Declared(
        "Change a sending domain's settings",
        {200: json(_DOMAIN)},
        Asked(
            asked({name: flag() for name in _FLAGS} | {"alert_recipient_email": nullable(EMAIL)}),
            _WRAPPER,
            example={"open_tracking_enabled": True},
        ),
    ),
    domains.delete: Declared("Delete a sending domain", {204: GONE}),
    domains.send_setup_instructions: Declared(
        "Mail the DNS records to somebody",
        {204: Answer("The mail was accepted.")},
        Asked(asked({"email": EMAIL}, "email"), example={"email": "admin@example.com"}),
        about="The mail leaves from a domain of the account, so one must be verified and approved.",
    ),
    company_info.get_one: Declared("Show who stands behind a domain", {200: enveloped(_INFO)}),
    company_info.create: Declared(
        "Say who stands behind a domain",
        {200: enveloped(_INFO)},
        Asked(asked(_COMPANY, *_NEEDED), "company_info", example=_SHOP),
    ),
    company_info.update: Declared(
        "Change who stands behind a domain",
        {200: enveloped(_INFO)},
        Asked(asked(_COMPANY), "company_info", example={"phone": "+44 20 7946 0000"}),
    ),
    domain_reviews.get_one: Declared("Show a domain's review", {200: enveloped(_REVIEW)}, ours=True),
    domain_reviews.reply: Declared(
        "Answer a domain's review",
        {200: enveloped(_REVIEW)},
        Asked(
            asked(
                {
                    "answers": array(asked({"id": ID, "answer": _LONG}, "id", "answer"), maxItems=1000),
                    "message": _LONG,
                }
            ),
            example={"message": "We tell customers about their orders."},
        ),
        about="Answers to questions, a message, or both.",
        ours=True,
    ),
}
