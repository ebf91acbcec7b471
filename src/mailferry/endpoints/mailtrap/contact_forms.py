"""What contacts are given in requests, one by one and in imports alike, and how they are shown."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from mailferry.endpoints.mailtrap.forms import MAX_ID, Form
from mailferry.resources.contacts import fields, lists, values
from mailferry.resources.contacts.contacts import Contact
from mailferry.resources.contacts.fields import Field
from mailferry.resources.contacts.values import BadValue, Value

INVALID = "is invalid"
INVALID_DATA = "contains invalid data"
TAKEN = "has already been taken"

SUBSCRIBED, UNSUBSCRIBED = "subscribed", "unsubscribed"

#: Unknown names that an answer repeats.
_NAMES = 20


@dataclass(frozen=True, slots=True)
class Known:
    """What an account's contacts may have."""

    fields: Mapping[str, Field]
    list_ids: frozenset[int]

    @classmethod
    def of(cls, connection: Connection, account_id: int) -> "Known":
        found = {field.merge_tag: field for field in fields.of_account(connection, account_id)}
        return cls(found, lists.known(connection, account_id))


def is_nothing(given: Any) -> bool:
    """For an object. PHP writes an empty one as an empty array, and Mailtrap's SDK for it does so whenever it is empty."""
    return given is None or given == []


def field_values(form: Form, known: Known) -> dict[int, Value | None]:
    """By the field's id; None where the value is to be taken away."""
    given = form.given.get("fields")
    if is_nothing(given):
        return {}
    if not isinstance(given, dict):
        form.wrong("fields", "must be an object")
        return {}
    found: dict[int, Value | None] = {}
    for tag, value in given.items():
        if field := known.fields.get(tag):
            try:
                found[field.id] = values.understand(field.data_type, value)
            except BadValue as error:
                form.wrong(tag, INVALID)
                form.wrong(tag, str(error))
    if unknown := [tag for tag in given if tag not in known.fields]:
        more = ["..."] if len(unknown) > _NAMES else []
        named = ", ".join([*(tag[: fields.LONGEST] for tag in unknown[:_NAMES]), *more])
        form.wrong("fields", f"contains invalid values: {named}")
    return found


def list_ids(form: Form, name: str, known: Known) -> frozenset[int]:
    given = form.given.get(name)
    if given is None:
        return frozenset()
    found = [_list_id(each) for each in given] if isinstance(given, list) else [0]
    if not known.list_ids.issuperset(found):
        form.wrong(name, INVALID_DATA)
        return frozenset()
    return frozenset(found)


def moves(form: Form, known: Known) -> tuple[frozenset[int], frozenset[int]]:
    """The lists that a contact comes into, and those that it leaves."""
    included = list_ids(form, "list_ids_included", known)
    excluded = list_ids(form, "list_ids_excluded", known)
    if both := sorted(included & excluded):
        named = " and ".join(filter(None, [", ".join(map(str, both[:-1])), str(both[-1])]))
        form.wrong("base", f"same list_ids {named} are specified both as included and excluded")
    return included, excluded


def shown(contact: Contact) -> dict[str, Any]:
    """A field without a value is missing: null would be none of the types that SDKs know."""
    return {
        "id": contact.id,
        "email": contact.email,
        "fields": contact.fields,
        "list_ids": contact.list_ids,
        "status": SUBSCRIBED if contact.subscribed else UNSUBSCRIBED,
        "created_at": contact.created_at,
        "updated_at": contact.updated_at,
    }


def time(ms: int) -> str:
    """Jobs have other times than contacts."""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _list_id(given: Any) -> int:
    """0 is no list."""
    digits = str(given) if isinstance(given, (int, str)) and not isinstance(given, bool) else ""
    return min(int(digits), MAX_ID) if re.fullmatch(r"[0-9]{1,19}", digits) else 0
