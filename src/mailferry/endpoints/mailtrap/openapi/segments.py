"""Segments of contacts: Mailferry's own."""

from typing import Any

from mailferry.endpoints.mailtrap import contact_segments
from mailferry.endpoints.mailtrap.openapi.contacts import CONTACT, IN_LISTS, OF_STATUS, SUBSCRIBERS
from mailferry.endpoints.mailtrap.openapi.declaration import GONE, Asked, Declared, Parameter, enveloped, json
from mailferry.endpoints.mailtrap.openapi.schemas import (
    COUNT,
    ID,
    UUID,
    Component,
    answered,
    any_of,
    array,
    asked,
    choice,
    nullable,
    text,
    time,
)
from mailferry.endpoints.mailtrap.table import Function
from mailferry.resources.contacts.rules import Operator

_VALUE = {"type": ["string", "number", "boolean"]}
_OF_FIELD = asked({"field": text("A merge tag."), "operator": choice(Operator), "value": _VALUE}, "field", "operator")
#: The field of a shown condition may be gone.
_SHOWN_OF_FIELD = asked(
    {"field": nullable(text("A merge tag.")), "operator": choice(Operator), "value": _VALUE}, "field", "operator"
)
_FACTS: dict[str, Any] = {
    "id": ID,
    "name": text(),
    "match": choice(("all", "any"), "Whether all conditions must hold, or any of them."),
    "conditions": array(any_of(_SHOWN_OF_FIELD, IN_LISTS, OF_STATUS)),
    "created_at": time(),
    "updated_at": time(),
}
_SEGMENT = Component("ContactSegment", answered(_FACTS))
_COUNTED = Component("CountedContactSegment", answered(_FACTS | {"contacts_count": COUNT}))
_GIVEN = {
    "name": text(minLength=1, maxLength=255),
    "match": choice(("all", "any"), default="all"),
    "conditions": array(any_of(_OF_FIELD, IN_LISTS, OF_STATUS), minItems=1, maxItems=contact_segments.MOST),
}

DECLARED: dict[Function, Declared] = {
    contact_segments.get_list: Declared("List segments", {200: json(array(_SEGMENT))}, ours=True),
    contact_segments.get_one: Declared("Show a segment", {200: json(_COUNTED)}, ours=True),
    contact_segments.get_contacts: Declared(
        "List the contacts of a segment",
        {200: enveloped(array(CONTACT, maxItems=contact_segments.PAGE))},
        query=(Parameter("last_id", UUID, "The id of the last one of the page before."),),
        ours=True,
    ),
    contact_segments.create: Declared(
        "Make a segment",
        {201: json(_SEGMENT)},
        Asked(asked(_GIVEN, "name", "conditions"), example={"name": "Readers", "conditions": [SUBSCRIBERS]}),
        ours=True,
    ),
    contact_segments.update: Declared(
        "Change a segment", {200: json(_SEGMENT)}, Asked(asked(_GIVEN), example={"name": "All readers"}), ours=True
    ),
    contact_segments.delete: Declared("Delete a segment", {204: GONE}, ours=True),
}
