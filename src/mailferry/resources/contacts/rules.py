"""Which contacts are meant: conditions on fields, lists and subscription, as values and as SQL.

Exports are confined by them, and a segment is a set of them with a name. They are kept as JSON.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, and_, or_, select

from mailferry.resources.contacts import contacts, values
from mailferry.resources.contacts.values import DataType, Value
from mailferry.store.schema import contact_list_members, contact_lists, contact_values
from mailferry.store.schema import contacts as table


class Operator(StrEnum):
    EQUAL = "equal"
    NOT_EQUAL = "not_equal"
    CONTAIN = "contain"
    NOT_CONTAIN = "not_contain"
    STARTS_WITH = "starts_with"
    GREATER_THAN = "greater_than"
    LESS_THAN = "less_than"
    EMPTY = "empty"
    NOT_EMPTY = "not_empty"


#: These have no value.
PRESENCE = (Operator.EMPTY, Operator.NOT_EMPTY)
_EQUALITY = (Operator.EQUAL, Operator.NOT_EQUAL)
_ORDER = (Operator.GREATER_THAN, Operator.LESS_THAN)
_SUBSTANCE = (Operator.CONTAIN, Operator.NOT_CONTAIN, Operator.STARTS_WITH)

#: What may be asked of a field, by its type.
OPERATORS: Mapping[DataType, tuple[Operator, ...]] = {
    DataType.TEXT: (*_EQUALITY, *_SUBSTANCE, *PRESENCE),
    DataType.INTEGER: (*_EQUALITY, *_ORDER, *PRESENCE),
    DataType.FLOAT: (*_EQUALITY, *_ORDER, *PRESENCE),
    DataType.BOOLEAN: (*_EQUALITY, *PRESENCE),
    DataType.DATE: (*_EQUALITY, *_ORDER, *PRESENCE),
}


class OfField(msgspec.Struct, frozen=True, tag="field"):
    """``value`` as fields keep it; None where the operator has none. Text is compared in any case.

    A contact without a value is equal to none, and contains nothing.
    """

    field_id: int
    data_type: DataType
    operator: Operator
    value: Value | None = None


class InLists(msgspec.Struct, frozen=True, tag="lists"):
    """In any of them."""

    list_ids: tuple[int, ...]


class Subscribed(msgspec.Struct, frozen=True, tag="subscribed"):
    value: bool


Condition = OfField | InLists | Subscribed


class Rule(msgspec.Struct, frozen=True):
    """Without a condition everybody is meant."""

    conditions: tuple[Condition, ...] = ()
    #: True: all of them, False: any of them.
    all_of: bool = True

    @property
    def field_ids(self) -> frozenset[int]:
        return frozenset(each.field_id for each in self.conditions if isinstance(each, OfField))


def written(rule: Rule) -> str:
    return msgspec.json.encode(rule).decode()


def read(text: str) -> Rule:
    return msgspec.json.decode(text, type=Rule)


def matching(account_id: int, rule: Rule) -> Select[Any]:
    """The ids of the account's contacts that a rule means."""
    asked = select(table.c.id).where(table.c.account_id == account_id)
    found = [_condition(each) for each in rule.conditions]
    if not found:
        return asked
    return asked.where(and_(*found) if rule.all_of else or_(*found))


def _condition(condition: Condition) -> ColumnElement[bool]:
    match condition:
        case OfField():
            return _of_field(condition)
        case InLists(list_ids):
            members = select(contact_list_members.c.contact_id).join(
                contact_lists, contact_lists.c.id == contact_list_members.c.list_id
            )
            return table.c.id.in_(members.where(contact_lists.c.id.in_(list_ids), contact_lists.c.deleted_at == 0))
        case Subscribed(value):
            unsubscribed: ColumnElement[bool] = contacts.unsubscribed()
            return ~unsubscribed if value else unsubscribed


def _of_field(asked: OfField) -> ColumnElement[bool]:
    """What is denied is looked for, and left out: a contact without a value has no row."""
    operator = _DENIED.get(asked.operator, asked.operator)
    key = contact_values.c[values.KEYS[asked.data_type]]
    # That it is there, the index must be told: it holds no others.
    held = select(contact_values.c.contact_id).where(contact_values.c.field_id == asked.field_id, key.is_not(None))
    if operator is Operator.NOT_EMPTY:
        held = held.where(key != "") if asked.data_type is DataType.TEXT else held
    else:
        assert asked.value is not None
        held = held.where(_COMPARED[operator](key, values.key(asked.data_type, asked.value)))
    found = table.c.id.in_(held)
    return ~found if asked.operator in _DENIED else found


_DENIED: Mapping[Operator, Operator] = {
    Operator.NOT_EQUAL: Operator.EQUAL,
    Operator.NOT_CONTAIN: Operator.CONTAIN,
    Operator.EMPTY: Operator.NOT_EMPTY,
}
_COMPARED: Mapping[Operator, Callable[[ColumnElement[Any], Any], ColumnElement[bool]]] = {
    Operator.EQUAL: lambda key, value: key == value,
    Operator.GREATER_THAN: lambda key, value: key > value,
    Operator.LESS_THAN: lambda key, value: key < value,
    Operator.CONTAIN: lambda key, value: key.contains(value, autoescape=True),
    Operator.STARTS_WITH: lambda key, value: key.startswith(value, autoescape=True),
}
