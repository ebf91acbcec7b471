"""What test-suites ask of an inbox's messages. All of it is Mailferry's own."""

from typing import Any

from mailferry.endpoints.mailtrap import inbox_events, inbox_queries
from mailferry.endpoints.mailtrap.inbox_conditions import LONGEST_WAIT
from mailferry.endpoints.mailtrap.openapi.answers import FIELD_ERRORS
from mailferry.endpoints.mailtrap.openapi.declaration import Answer, Asked, Declared, Families, Parameter, json
from mailferry.endpoints.mailtrap.openapi.sandbox import MESSAGE
from mailferry.endpoints.mailtrap.openapi.schemas import (
    ANYTHING,
    COUNT,
    Component,
    answered,
    any_of,
    array,
    asked,
    flag,
    free,
    integer,
    text,
    time,
)
from mailferry.endpoints.mailtrap.query import MAX_VALUE
from mailferry.endpoints.mailtrap.table import Function

_ADDRESS = "an address, `@example.com` for any there, or a part of an address or name"
_PART = text(minLength=1, maxLength=MAX_VALUE, pattern=r"\S")
_CONDITIONS: dict[str, tuple[dict[str, Any], str]] = {
    "to": (_PART, f"Of To or the envelope: {_ADDRESS}."),
    "from": (_PART, f"Of From or the envelope: {_ADDRESS}."),
    "subject": (_PART, "A part of the subject."),
    "text": (_PART, "A part of the text; where lines end does not matter."),
    "html": (_PART, "A part of the HTML's source; where lines end does not matter."),
    "has_attachment": (flag(), "Whether anything is attached."),
    "after": (integer(minimum=0), "The id of a message: those that were caught after it."),
    "since": (time(), "Those that were caught then or later."),
}
_HEADER = Parameter(
    "header[X-Name]", text(maxLength=MAX_VALUE), "A part of the value of this field; empty: the field is there."
)
_QUERY = (*(Parameter(name, schema, about) for name, (schema, about) in _CONDITIONS.items()), _HEADER)
QUERY = Component(
    "InboxQuery",
    {
        **asked(
            {
                **{name: schema | {"description": about} for name, (schema, about) in _CONDITIONS.items()},
                "header": free(text(maxLength=MAX_VALUE), "By names, a part of each field's value."),
            }
        ),
        "additionalProperties": False,
    },
)
_NUMBER = integer(minimum=0, maximum=inbox_queries.MOST_COUNTED)
_SECONDS = {"type": "number", "minimum": 0, "maximum": LONGEST_WAIT}


def _each(schema: Families[Component]) -> Families[Answer | None]:
    return Families(json(schema.older), json(schema.newer))


def _missed(name: str, message: Component) -> Answer:
    difference = answered(
        {
            "condition": text("A condition of the query; of a header with its name."),
            "wanted": ANYTHING,
            "found": ANYTHING,
        }
    )
    nearest = answered({"message": message, "differences": array(difference)})
    failed = answered(
        {
            "errors": answered({"base": array(text())}),
            "matched": COUNT,
            "nearest": array(nearest, "The messages that differ least, and how.", maxItems=inbox_queries.NEAREST),
        }
    )
    return json(any_of(FIELD_ERRORS, Component(name, failed)), "What is asked for is wrong, or is not there.")


_MISSED: Families[Answer | None] = Families(
    _missed("InboxExpectationFailed", MESSAGE.older), _missed("SandboxExpectationFailed", MESSAGE.newer)
)
#: More messages than one request may read.
_NARROWER = json(FIELD_ERRORS, "Too many messages would have to be read to answer this.")


def _asserted(message: Component) -> Answer:
    return json(answered({"matched": COUNT, "messages": array(message, maxItems=inbox_queries.USUAL_SEARCH)}))


DECLARED: dict[Function, Declared] = {
    inbox_queries.wait: Declared(
        "Wait for a message",
        {200: Families(json(MESSAGE.older), json(MESSAGE.newer)), 422: _MISSED},
        query=(*_QUERY, Parameter("timeout", _SECONDS | {"default": inbox_queries.USUAL_WAIT}, "Seconds.")),
        about="The newest message that answers the query, at once or as soon as it is caught; with `after`, the first behind it.",
        ours=True,
    ),
    inbox_events.events: Declared(
        "Follow what an inbox catches",
        {
            200: Answer(
                "Server-sent events: the id is the message's, the data the message.", {"text/event-stream": text()}
            )
        },
        query=(
            *_QUERY,
            Parameter("timeout", {"type": "number", "minimum": 0, "maximum": inbox_events.LONGEST}, "Seconds."),
        ),
        about="From now on, or behind `Last-Event-ID` or `after`. The stream ends after its time: connect again.",
        ours=True,
    ),
    inbox_queries.latest: Declared(
        "Show the newest message",
        {200: _each(MESSAGE), 422: _NARROWER},
        query=_QUERY,
        about="Of those that answer the query.",
        ours=True,
    ),
    inbox_queries.search: Declared(
        "Find messages",
        {200: Families(json(array(MESSAGE.older)), json(array(MESSAGE.newer))), 422: _NARROWER},
        query=(
            *_QUERY,
            Parameter(
                "limit", integer(minimum=1, maximum=inbox_queries.MOST_SEARCH, default=inbox_queries.USUAL_SEARCH)
            ),
        ),
        about="The newest first.",
        ours=True,
    ),
    inbox_queries.delete: Declared(
        "Delete messages by query",
        {200: json(answered({"deleted": COUNT})), 422: _NARROWER},
        query=_QUERY,
        about="At least one condition is needed: to delete all messages there is `clean`.",
        ours=True,
    ),
    inbox_queries.check: Declared(
        "Assert what an inbox holds",
        {200: Families(_asserted(MESSAGE.older), _asserted(MESSAGE.newer)), 422: _MISSED},
        Asked(
            asked(
                {
                    "query": QUERY,
                    "count": any_of(_NUMBER, asked({"at_least": _NUMBER, "at_most": _NUMBER, "exactly": _NUMBER})),
                    "timeout": _SECONDS | {"default": 0, "description": "Seconds that it may take to come true."},
                }
            ),
            example={"query": {"to": "ann@example.com", "subject": "Welcome"}, "count": {"at_least": 1}, "timeout": 0},
            required=False,
        ),
        about="At least one message where no count is given; a number is exactly so many.",
        ours=True,
    ),
}
