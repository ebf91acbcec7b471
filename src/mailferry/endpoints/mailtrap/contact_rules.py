"""Conditions on contacts as clients spell them, read and shown: filters of exports, and conditions of segments."""

from typing import Any

from mailferry.endpoints.mailtrap.contact_forms import SUBSCRIBED, UNSUBSCRIBED, Known, list_ids
from mailferry.endpoints.mailtrap.forms import BLANK, Form
from mailferry.resources.contacts import values
from mailferry.resources.contacts.rules import (
    OPERATORS,
    PRESENCE,
    Condition,
    InLists,
    OfField,
    Operator,
    Rule,
    Subscribed,
)
from mailferry.resources.contacts.values import BadValue

LIST_ID, STATUS = "list_id", "subscription_status"


def condition(form: Form, known: Known) -> Condition | None:
    """``{"field": "age", "operator": "greater_than", "value": 30}``, or one by ``name`` as exports have them.

    None: something is wrong with it, and the form says what.
    """
    return _of_field(form, known) if form.has("field") else named(form, known)


def named(form: Form, known: Known) -> Condition | None:
    name = form.choice("name", (LIST_ID, STATUS), required=True)
    form.choice("operator", (Operator.EQUAL,), required=True)
    if name == LIST_ID:
        asked = list_ids(form, "value", known)
        if not asked and "value" not in form.errors:
            form.wrong("value", BLANK)
        return None if form.errors else InLists(tuple(sorted(asked)))
    status = form.choice("value", (SUBSCRIBED, UNSUBSCRIBED), required=True)
    return None if form.errors else Subscribed(status == SUBSCRIBED)


def spelled(rule: Rule, known: Known) -> list[dict[str, Any]]:
    tags = {field.id: tag for tag, field in known.fields.items()}
    return [_spelled(each, tags) for each in rule.conditions]


def _spelled(condition: Condition, tags: dict[int, str]) -> dict[str, Any]:
    match condition:
        case OfField():
            shown = {"field": tags.get(condition.field_id), "operator": condition.operator}
            return shown if condition.operator in PRESENCE else shown | {"value": condition.value}
        case InLists(asked):
            return {"name": LIST_ID, "operator": Operator.EQUAL, "value": asked}
        case Subscribed(value):
            return {"name": STATUS, "operator": Operator.EQUAL, "value": SUBSCRIBED if value else UNSUBSCRIBED}


def _of_field(form: Form, known: Known) -> OfField | None:
    field = known.fields.get(form.text("field", least=1))
    if field is None:
        form.wrong("field", "must be the merge tag of a field of this account")
        return None
    word = form.choice("operator", OPERATORS[field.data_type], required=True)
    if not word:
        return None
    operator = Operator(word)
    if operator in PRESENCE:
        return OfField(field.id, field.data_type, operator)
    try:
        value = values.understand(field.data_type, form.given.get("value"))
    except BadValue as error:
        form.wrong("value", str(error))
        return None
    if value is None or value == "":
        form.wrong("value", BLANK)
        return None
    return OfField(field.id, field.data_type, operator, value)
