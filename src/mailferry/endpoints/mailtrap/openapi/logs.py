"""The email log."""

from typing import Any

from mailferry.consumers.mailtrap_words import DETAILS, EVENT_TYPE, STATUS
from mailferry.endpoints.mailtrap import log_export, logs
from mailferry.endpoints.mailtrap.openapi.declaration import Answer, Declared, Families, Parameter, json
from mailferry.endpoints.mailtrap.openapi.schemas import (
    ANYTHING,
    COUNT,
    ID,
    STREAM,
    UUID,
    Component,
    answered,
    any_of,
    array,
    choice,
    free,
    integer,
    nullable,
    text,
    time,
)
from mailferry.endpoints.mailtrap.table import Function
from mailferry.journal.files import Form


def _summary(domain: str) -> dict[str, Any]:
    return {
        "message_id": UUID,
        "status": choice(STATUS.values()),
        "rfc_message_id": nullable(text("The Message-ID of the header.")),
        "in_reply_to": nullable(text("Always null.")),
        "references": array(text(), "Always empty."),
        "thread_id": nullable(text("Always null.")),
        "subject": nullable(text()),
        "from": text(),
        "to": text(),
        "sent_at": time("When it was accepted."),
        "client_ip": nullable(text("Who handed it over.")),
        "category": nullable(text()),
        "custom_variables": nullable(free(text())),
        "sending_stream": STREAM,
        domain: integer("The sending domain."),
        "template_id": nullable(ID),
        "template_variables": nullable(free(ANYTHING)),
        "opens_count": COUNT,
        "clicks_count": COUNT,
        "machine_opens_count": integer("How many of the opens were machines. Mailferry's own.", minimum=0),
        "machine_clicks_count": integer("How many of the clicks were machines. Mailferry's own.", minimum=0),
    }


_EVENTS = [
    answered(
        {
            "event_type": text(const=word),
            "created_at": time(),
            "details": answered({name: nullable(text()) for name in DETAILS[kind]}),
        }
    )
    for kind, word in EVENT_TYPE.items()
]
_EVENT = Component("LoggedEvent", any_of(*_EVENTS))


def _one(domain: str, prefix: str) -> Component:
    url = nullable(text("A link for an hour to the message; null when its bytes are gone.", format="uri"))
    return Component(
        f"{prefix}LoggedMessage",
        answered(_summary(domain) | {"raw_message_url": url, "events": array(_EVENT, "In their order.")}),
    )


def _page(domain: str, prefix: str) -> Component:
    return Component(
        f"{prefix}LogPage",
        answered(
            {
                "messages": array(Component(f"{prefix}LogEntry", answered(_summary(domain))), "Newest first."),
                "total_count": COUNT,
                "next_page_cursor": nullable(text("For `search_after`; null on the last page.")),
            }
        ),
    )


#: Of filters that do not take any text.
_VALUES: dict[str, Any] = {
    "status": choice(STATUS.values()),
    "events": choice(EVENT_TYPE.values()),
    "sending_stream": STREAM,
    **dict.fromkeys(("clicks_count", "opens_count"), COUNT),
    **dict.fromkeys(("domain_id", "sending_domain_id"), ID),
}
_CHOSEN = (
    Parameter("filters[sent_after]", time(), "Accepted then or later."),
    Parameter("filters[sent_before]", time(), "Accepted then or earlier."),
    *(
        parameter
        for name, operators in logs.OPERATORS.items()
        for parameter in (
            Parameter(f"filters[{name}][operator]", choice(operators)),
            Parameter(f"filters[{name}][value][]", array(_VALUES.get(name, text())), "Any of them."),
        )
    ),
)
_CURSOR = Parameter("search_after", UUID, "The `next_page_cursor` of the page before.")
_FORM = Parameter("format", choice(Form, default=Form.CSV), "Of the file.")
_OLDER, _NEWER = "sending_domain_id", "domain_id"

DECLARED: dict[Function, Declared] = {
    logs.get_list: Declared(
        "Search the log",
        {200: Families(json(_page(_OLDER, "Account")), json(_page(_NEWER, "")))},
        query=(_CURSOR, *_CHOSEN),
        about="A filter of another name or operator is ignored, and so is one without a value.",
    ),
    logs.get_one: Declared(
        "Show a message and what became of it",
        {200: Families(json(_one(_OLDER, "Account")), json(_one(_NEWER, "")))},
    ),
    log_export.export: Declared(
        "Fetch the log as a file",
        {200: Answer("All that the filters find.", {"text/csv": text(), "application/x-ndjson": text()})},
        query=(_FORM, *_CHOSEN),
        ours=True,
    ),
}
