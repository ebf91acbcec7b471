"""Contacts, their lists and fields, what they did, imports and exports."""

from mailferry.endpoints.mailtrap import (
    contact_events,
    contact_exports,
    contact_fields,
    contact_imports,
    contact_lists,
    contacts,
)
from mailferry.endpoints.mailtrap.contact_forms import SUBSCRIBED, UNSUBSCRIBED
from mailferry.endpoints.mailtrap.contact_rules import LIST_ID, STATUS
from mailferry.endpoints.mailtrap.openapi.answers import ERRORS, FIELD_ERRORS
from mailferry.endpoints.mailtrap.openapi.declaration import (
    GONE,
    Answer,
    Asked,
    Declared,
    Families,
    Parameter,
    enveloped,
    json,
)
from mailferry.endpoints.mailtrap.openapi.schemas import (
    COUNT,
    EMAIL,
    ID,
    SCALAR,
    UUID,
    Component,
    answered,
    any_of,
    array,
    asked,
    choice,
    flag,
    free,
    integer,
    nullable,
    text,
    time,
)
from mailferry.endpoints.mailtrap.table import Function
from mailferry.resources.contacts import fields, imports
from mailferry.resources.contacts.jobs import Status
from mailferry.resources.contacts.values import DataType

# --- contacts
_MOMENT = integer("Unix milliseconds.", minimum=0)
CONTACT = Component(
    "Contact",
    answered(
        {
            "id": UUID,
            "email": text(),
            "fields": free(
                any_of(text(), {"type": "number"}, flag()), "Values by merge tag; those without are missing."
            ),
            "list_ids": array(ID),
            "status": choice((SUBSCRIBED, UNSUBSCRIBED)),
            "created_at": _MOMENT,
            "updated_at": _MOMENT,
        }
    ),
)
_VALUES = free(SCALAR, "Values by merge tag; null takes one away.")
_MOVES = {"list_ids_included": array(ID, "Lists to come into."), "list_ids_excluded": array(ID, "Lists to leave.")}
_CREATE = asked({"email": EMAIL, "fields": _VALUES, "list_ids": array(ID)}, "email")
_UPDATE = asked({"email": EMAIL, "fields": _VALUES, **_MOVES, "unsubscribed": flag()})
_ANN = {"email": "ann@example.com", "fields": {"first_name": "Ann"}, "list_ids": [1]}
_ANN_AND_LIST = {"email": "ann@example.com", "fields": {"first_name": "Ann"}, "list_ids_included": [1]}
_SAVED = Component("SavedContact", answered({"action": choice(("created", "updated")), "data": CONTACT}))
_CONFLICT: Families[Answer | None] = Families(json(ERRORS, "The address is another contact's."), None)
_NO_CONTACT = Families(
    json(
        {"type": "object", "properties": {"errors": text(), "error": text()}, "required": ["error"]},
        "There is no such contact.",
    ),
    json(
        {"type": "object", "properties": {"errors": text(), "error": text()}, "minProperties": 1},
        "There is no such contact.",
    ),
)

# --- what they are described by
_LIST = Component("ContactList", answered({"id": ID, "name": text()}))
_LIST_NAME = Asked(asked({"name": text(minLength=1, maxLength=255)}, "name"), example={"name": "Customers"})
_FIELD_LINE = text(minLength=1, maxLength=fields.LONGEST)
_TAG = text(minLength=1, maxLength=fields.LONGEST, pattern=r"^[\w-]+$")
_FIELD = Component(
    "ContactField", answered({"id": ID, "name": text(), "data_type": choice(DataType), "merge_tag": text()})
)
_NEW_FIELD = asked(
    {"name": _FIELD_LINE, "data_type": choice(DataType), "merge_tag": _TAG}, "name", "data_type", "merge_tag"
)
_EVENT = asked(
    {
        "name": text(minLength=1, maxLength=contact_events.LONGEST),
        "params": free(SCALAR, maxProperties=contact_events.MOST_PARAMS),
    },
    "name",
)
_EVENT_KEPT = answered({"contact_id": UUID, "contact_email": text(), "name": text(), "params": free(SCALAR)})

# --- many at once
_IMPORTED = asked({"email": EMAIL, "fields": _VALUES, **_MOVES}, "email")
_IMPORT_BEGUN = answered({"id": ID, "status": choice(Status)})
_COUNTS = ("created_contacts_count", "updated_contacts_count", "contacts_over_limit_count")
_IMPORT = Component(
    "ContactImport",
    {
        "type": "object",
        "description": "Counts are there when it is finished.",
        "properties": {"id": ID, "status": choice(Status), **dict.fromkeys(_COUNTS, COUNT)},
        "required": ["id", "status"],
    },
)
_IMPORT_ERRORS = Component(
    "ImportErrors",
    answered({"errors": array(answered({"email": text(), "errors": free(array(text()))}), "By contact.")}),
)
_EXPORT = Component(
    "ContactExport",
    answered(
        {
            "id": ID,
            "created_at": time(),
            "updated_at": time(),
            "status": choice(Status),
            "url": nullable(text("A link for a day, when it is finished.", format="uri")),
        }
    ),
)
IN_LISTS = asked(
    {"name": text(const=LIST_ID), "operator": text(const="equal"), "value": array(ID, minItems=1)},
    "name",
    "operator",
    "value",
)
OF_STATUS = asked(
    {"name": text(const=STATUS), "operator": text(const="equal"), "value": choice((SUBSCRIBED, UNSUBSCRIBED))},
    "name",
    "operator",
    "value",
)
SUBSCRIBERS = {"name": STATUS, "operator": "equal", "value": SUBSCRIBED}
_FILTERS = asked({"filters": array(any_of(IN_LISTS, OF_STATUS), maxItems=contact_exports.MOST_FILTERS)})
_EXPORT_ERRORS = any_of(FIELD_ERRORS, answered({"errors": answered({"filters": text()})}))

DECLARED: dict[Function, Declared] = {
    contacts.create: Declared(
        "Make a contact", {201: enveloped(CONTACT), 409: _CONFLICT}, Asked(_CREATE, "contact", example=_ANN)
    ),
    contacts.get_one: Declared("Show a contact", {200: enveloped(CONTACT)}),
    contacts.update: Declared(
        "Change a contact, or make it",
        {200: json(_SAVED), 409: _CONFLICT},
        Asked(_UPDATE, "contact", example={"list_ids_included": [1], "unsubscribed": False}),
        about="Only what is given changes; PUT does the same as PATCH.",
    ),
    contacts.delete: Declared("Delete a contact", {204: GONE, 404: _NO_CONTACT}),
    contact_events.create: Declared(
        "Tell what a contact did",
        {201: json(_EVENT_KEPT)},
        Asked(_EVENT, example={"name": "order_placed", "params": {"total": 12.5}}),
    ),
    contact_lists.get_list: Declared(
        "List contact lists",
        {200: json(array(_LIST))},
        query=(Parameter("search", text(), "Those with this in their name alone."),),
    ),
    contact_lists.get_one: Declared("Show a contact list", {200: json(_LIST)}),
    contact_lists.create: Declared("Make a contact list", {200: json(_LIST)}, _LIST_NAME),
    contact_lists.update: Declared("Rename a contact list", {200: json(_LIST)}, _LIST_NAME),
    contact_lists.delete: Declared("Delete a contact list", {204: GONE}, about="Its contacts stay."),
    contact_fields.get_list: Declared("List contact fields", {200: json(array(_FIELD))}),
    contact_fields.get_one: Declared("Show a contact field", {200: json(_FIELD)}),
    contact_fields.create: Declared(
        "Make a contact field",
        {201: json(_FIELD)},
        Asked(_NEW_FIELD, example={"name": "Company", "data_type": "text", "merge_tag": "company"}),
    ),
    contact_fields.update: Declared(
        "Change a contact field",
        {200: json(_FIELD)},
        Asked(asked({"name": _FIELD_LINE, "merge_tag": _TAG}), example={"name": "Their company"}),
        about="Its type stays what it is.",
    ),
    contact_fields.delete: Declared(
        "Delete a contact field",
        {204: GONE, 422: json(FIELD_ERRORS, "A segment asks for it.")},
        about="Not while a segment asks for it.",
    ),
    contact_imports.create: Declared(
        "Import contacts",
        {201: json(_IMPORT_BEGUN), 422: json(_IMPORT_ERRORS, "What was sent is wrong, and nothing was taken.")},
        Asked(
            asked({"contacts": array(_IMPORTED, minItems=1, maxItems=imports.MOST)}, "contacts"),
            example={"contacts": [_ANN_AND_LIST]},
        ),
        about="All are checked before any is taken; then they are taken in the background.",
    ),
    contact_imports.get_one: Declared("Show an import", {200: json(_IMPORT)}),
    contact_exports.create: Declared(
        "Export contacts",
        {201: json(_EXPORT), 422: json(_EXPORT_ERRORS, "What was sent is wrong, or another export runs.")},
        Asked(_FILTERS, required=False, example={"filters": [SUBSCRIBERS]}),
        about="A gzipped CSV file, which is written in the background.",
    ),
    contact_exports.get_one: Declared("Show an export", {200: json(_EXPORT)}),
}
