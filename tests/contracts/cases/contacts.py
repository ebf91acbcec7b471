"""Contacts, their lists and fields, imports and exports."""

from typing import Any

from tests.contracts.cases.case import Case, Request, case
from tests.working_house import WorkingHouse


def _contact(house: WorkingHouse, email: str = "ann@dest.test") -> dict[str, Any]:
    fields = {"name": "Ann", "age": 7, "score": 1.5, "vip": True, "birthday": "2000-01-02"}
    return {"contact": {"email": email, "fields": fields, "list_ids": house.lists[:2]}}


async def _ann(house: WorkingHouse) -> tuple[str, ...]:
    await house.made("POST", "contacts", _contact(house))
    return ("ann@dest.test",)


@case("POST contacts")
async def contact_made(house: WorkingHouse, legacy: bool) -> Case:
    await house.made("POST", "contacts", _contact(house, "bob@dest.test"))
    wrong = {422: Request(body={"contact": {"email": "ann"}}), 409: Request(body=_contact(house, "bob@dest.test"))}
    return Case([Request(body=_contact(house))], wrong)


@case("GET contacts/{contact_identifier}")
async def contact(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(await _ann(house))], unknown="nobody@dest.test")


@case("PATCH contacts/{contact_identifier}")
async def contact_changed(house: WorkingHouse, legacy: bool) -> Case:
    at = await _ann(house)
    await house.made("POST", "contacts", _contact(house, "bob@dest.test"))
    members = {"email": "ann@dest.test", "fields": {"name": "Anna"}, "unsubscribed": True}
    members |= {"list_ids_included": house.lists[2:], "list_ids_excluded": house.lists[:1]}
    wrong = {
        422: Request(at, {"contact": {"fields": {"age": "old"}}}),
        409: Request(at, {"contact": {"email": "bob@dest.test"}}),
    }
    return Case([Request(at, {"contact": members})], wrong, unknown=None)


@case("DELETE contacts/{contact_identifier}")
async def contact_deleted(house: WorkingHouse, legacy: bool) -> Case:
    return await contact(house, legacy)


@case("POST contacts/{contact_identifier}/events")
async def contact_event(house: WorkingHouse, legacy: bool) -> Case:
    at = await _ann(house)
    body = {"name": "bought", "params": {"a": "b", "c": 1, "d": 1.5, "e": True, "f": None}}
    return Case([Request(at, body)], {422: Request(at, {"name": ""})}, unknown="nobody@dest.test")


_FILTERS = {"name": "list_id", "operator": "equal"}, {"name": "subscription_status", "operator": "equal"}


def _filters(house: WorkingHouse) -> dict[str, Any]:
    return {"filters": [_FILTERS[0] | {"value": house.lists}, _FILTERS[1] | {"value": "subscribed"}]}


@case("POST contacts/exports")
async def export_made(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(body=_filters(house))], {422: Request(body={"filters": [{}]})})


@case("GET contacts/exports/{export_id}")
async def export(house: WorkingHouse, legacy: bool) -> Case:
    await _ann(house)
    made = await house.made("POST", "contacts/exports", _filters(house))
    await house.workshop.run_due()
    return Case([Request((made["id"],))])


def _imported(house: WorkingHouse) -> dict[str, Any]:
    moves = {"list_ids_included": house.lists[:1], "list_ids_excluded": house.lists[1:]}
    return {"contacts": [{"email": "ann@dest.test", "fields": {"name": "Ann"}} | moves]}


@case("POST contacts/imports")
async def import_made(house: WorkingHouse, legacy: bool) -> Case:
    field = {"name": "Named as in the contract", "data_type": "integer", "merge_tag": "field_merge_tag"}
    await house.made("POST", "contacts/fields", field)
    wrong = {"email": "ann", "fields": {"nothing": 1, "field_merge_tag": "old"}, "list_ids_included": house.lists}
    wrong |= {"list_ids_excluded": house.lists}
    return Case([Request(body=_imported(house))], {422: Request(body={"contacts": [wrong]})})


@case("GET contacts/imports/{import_id}")
async def import_shown(house: WorkingHouse, legacy: bool) -> Case:
    made = await house.made("POST", "contacts/imports", _imported(house))
    await house.workshop.run_due()
    return Case([Request((made["id"],))])


@case("GET contacts/lists")
async def lists(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(), Request(query="search=list")])


@case("POST contacts/lists")
async def list_made(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(body={"name": "New"})])


async def _list(house: WorkingHouse) -> tuple[int, ...]:
    return ((await house.made("POST", "contacts/lists", {"name": "More"}))["id"],)


@case("GET contacts/lists/{list_id}")
async def list_shown(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(await _list(house))])


@case("PATCH contacts/lists/{list_id}")
async def list_changed(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(await _list(house), {"name": "Other"})])


@case("DELETE contacts/lists/{list_id}")
async def list_deleted(house: WorkingHouse, legacy: bool) -> Case:
    return await list_shown(house, legacy)


_FIELD = {"name": "Colour", "data_type": "text", "merge_tag": "colour"}


async def _field(house: WorkingHouse) -> tuple[int, ...]:
    return ((await house.made("POST", "contacts/fields", _FIELD))["id"],)


@case("GET contacts/fields")
async def fields(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request()])


@case("POST contacts/fields")
async def field_made(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(body=_FIELD)], {422: Request(body=_FIELD | {"data_type": "planet"})})


@case("GET contacts/fields/{field_id}")
async def field_shown(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(await _field(house))])


@case("PATCH contacts/fields/{field_id}")
async def field_changed(house: WorkingHouse, legacy: bool) -> Case:
    at = await _field(house)
    return Case([Request(at, {"name": "Color", "merge_tag": "color"})], {422: Request(at, {"merge_tag": "a b"})})


@case("DELETE contacts/fields/{field_id}")
async def field_deleted(house: WorkingHouse, legacy: bool) -> Case:
    used = house.fields["age"].id
    asks = [{"field": "age", "operator": "greater_than", "value": 7}]
    await house.made("POST", "contacts/segments", {"name": "Old", "conditions": asks})
    return Case([Request(await _field(house))], {422: Request((used,))})
