"""Lists, fields and segments of contacts over Mailtrap's API, on both databases."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from mailferry.resources import audit, suppressions
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.contact_house import TAGS, ContactHouse

FAMILIES = pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "current"])
TAKEN = ["has already been taken"]
BLANK = ["can't be blank"]


@pytest.fixture
async def house(database: Database, clock: Clock) -> AsyncIterator[ContactHouse]:
    yield await ContactHouse(database, clock).furnish()


async def events(house: ContactHouse) -> list[tuple[str, str]]:
    found = await house.run(lambda c: audit.page(c, house.account))
    return [(row.event, row.resource_name) for row in reversed(found)]


# --- lists


@FAMILIES
async def test_lists_are_made_with_200_and_without_an_envelope(house: ContactHouse, legacy: bool) -> None:
    made = await house.ask("POST", "contacts/lists", {"name": "Customers"}, legacy=legacy)
    identity = made.json["id"]
    assert (made.status, made.json) == (200, {"id": identity, "name": "Customers"})
    shown = await house.ask("GET", f"contacts/lists/{identity}", legacy=legacy)
    assert (shown.status, shown.json) == (200, made.json)
    renamed = await house.ask("PATCH", f"contacts/lists/{identity}", {"name": "Former"}, legacy=legacy)
    assert (renamed.status, renamed.json) == (200, {"id": identity, "name": "Former"})
    same = await house.ask("PATCH", f"contacts/lists/{identity}", {"name": "Former"}, legacy=legacy)
    assert same.status == 200
    listed = await house.ask("GET", "contacts/lists", legacy=legacy)
    assert listed.status == 200 and listed.json[-1] == renamed.json
    assert [each["name"] for each in listed.json] == ["List A", "List B", "List C", "Former"]
    gone = await house.ask("DELETE", f"contacts/lists/{identity}", legacy=legacy)
    assert (gone.status, gone.body) == (204, b"")
    for method in ("GET", "DELETE", "PATCH"):
        answer = await house.ask(
            method, f"contacts/lists/{identity}", {"name": "x"} if method == "PATCH" else None, legacy=legacy
        )
        assert (answer.status, answer.json) == (404, {"error": "Not Found"})
    names = [("created", "Customers"), ("updated", "Former"), ("updated", "Former"), ("deleted", "Former")]
    assert await events(house) == [(f"contact_list.{event}", name) for event, name in names]


async def test_lists_are_searched_by_the_beginning_of_their_names(house: ContactHouse) -> None:
    for name in ("Éclair", "éclat", "10% off"):
        await house.ask("POST", "contacts/lists", {"name": name})
    for search, found in (("list", 3), ("LIST b", 1), ("ist", 0), ("%", 0), ("10%25", 1), ("%C3%89cl", 2), ("", 6)):
        answer = await house.ask("GET", f"contacts/lists?search={search}")
        assert len(answer.json) == found, search


WRONG_LISTS: list[Any] = [
    ({}, {"name": BLANK}),
    ({"name": "  "}, {"name": BLANK}),
    ({"name": 5}, {"name": ["must be a string"]}),
    ({"name": "x" * 256}, {"name": ["is too long (maximum is 255 characters)"]}),
    ({"name": "List A"}, {"name": TAKEN}),
]


async def test_what_is_wrong_with_a_list(house: ContactHouse) -> None:
    for body, errors in WRONG_LISTS:
        for method, path in (("POST", "contacts/lists"), ("PATCH", f"contacts/lists/{house.lists[1]}")):
            answer = await house.ask(method, path, body)
            assert (answer.status, answer.json) == (422, {"errors": errors})
        assert len((await house.ask("GET", "contacts/lists")).json) == 3


async def test_an_account_has_fifty_lists_and_forty_fields(house: ContactHouse) -> None:
    for kind, most in (("lists", 50), ("fields", 40)):
        there = len((await house.ask("GET", f"contacts/{kind}")).json)
        for number in range(there, most):
            body = {"name": f"n{number}"} | (
                {"data_type": "text", "merge_tag": f"t{number}"} if kind == "fields" else {}
            )
            assert (await house.ask("POST", f"contacts/{kind}", body)).status in (200, 201)
        body = {"name": "one more", "data_type": "text", "merge_tag": "one_more"}
        full = await house.ask("POST", f"contacts/{kind}", body)
        assert (full.status, full.json) == (
            422,
            {"errors": {"base": [f"You've reached the maximum number of contact {kind} ({most})"]}},
        )
        last = (await house.ask("GET", f"contacts/{kind}")).json[-1]
        assert (await house.ask("DELETE", f"contacts/{kind}/{last['id']}")).status == 204
        assert (await house.ask("POST", f"contacts/{kind}", body)).status in (200, 201)


# --- fields


@FAMILIES
async def test_fields_are_made_with_201_and_without_an_envelope(house: ContactHouse, legacy: bool) -> None:
    body = {"name": "Zip code", "data_type": "text", "merge_tag": "zip_code"}
    made = await house.ask("POST", "contacts/fields", body, legacy=legacy)
    identity = made.json["id"]
    assert (made.status, made.json) == (201, {"id": identity, **body})
    await house.contact("ann@one.test", zip_code="01001")
    changed = await house.ask("PATCH", f"contacts/fields/{identity}", {"merge_tag": "zip", "name": None}, legacy=legacy)
    assert (changed.status, changed.json) == (200, made.json | {"merge_tag": "zip"})
    assert (await house.shown("ann@one.test"))["fields"] == {"zip": "01001"}
    changed = await house.ask(
        "PATCH", f"contacts/fields/{identity}", {"name": "Zip", "data_type": "text"}, legacy=legacy
    )
    assert changed.json == {"id": identity, "name": "Zip", "data_type": "text", "merge_tag": "zip"}
    assert (await house.ask("GET", f"contacts/fields/{identity}", legacy=legacy)).json == changed.json
    listed = (await house.ask("GET", "contacts/fields", legacy=legacy)).json
    assert [each["data_type"] for each in listed] == [*TAGS.values(), "text"]
    assert (await house.ask("DELETE", f"contacts/fields/{identity}", legacy=legacy)).status == 204
    for method in ("GET", "DELETE", "PATCH"):
        answer = await house.ask(
            method, f"contacts/fields/{identity}", {} if method == "PATCH" else None, legacy=legacy
        )
        assert (answer.status, answer.json) == (404, {"error": "Not Found"})
    assert (await house.shown("ann@one.test"))["fields"] == {}
    told = [event for event, _ in await events(house) if event.startswith("contact_field")]
    assert told == [f"contact_field.{each}" for each in ("created", "updated", "updated", "deleted")]


WRONG_FIELDS: list[Any] = [
    ({}, {"name": BLANK, "merge_tag": BLANK, "data_type": BLANK}),
    ({"data_type": "list"}, {"data_type": ["is not included in the list: text, integer, float, boolean, date"]}),
    ({"data_type": ["text"]}, {"data_type": ["is not included in the list: text, integer, float, boolean, date"]}),
    ({"name": "x" * 81}, {"name": ["is too long (maximum is 80 characters)"]}),
    ({"merge_tag": "x" * 81}, {"merge_tag": ["is too long (maximum is 80 characters)"]}),
    ({"name": "Age", "merge_tag": "age"}, {"name": TAKEN, "merge_tag": TAKEN}),
    ({"merge_tag": "email"}, {"merge_tag": TAKEN}),
    *(
        (
            {"merge_tag": tag},
            {"merge_tag": ["is invalid", "must consist of letters, digits, underscores and hyphens"]},
        )
        for tag in ("a b", "a.b", "{{a}}", "a}", "'", "a,b", "🎉")
    ),
]


async def test_what_is_wrong_with_a_field(house: ContactHouse) -> None:
    for body, errors in WRONG_FIELDS:
        given = ({"name": "New", "merge_tag": "new", "data_type": "text"} | body) if body else {}
        answer = await house.ask("POST", "contacts/fields", given)
        assert (answer.status, answer.json) == (422, {"errors": errors})


async def test_what_is_wrong_with_a_change_of_a_field(house: ContactHouse) -> None:
    path = f"contacts/fields/{house.fields['age'].id}"
    for body, errors in (
        ({"data_type": "text"}, {"data_type": ["can't be changed"]}),
        ({"name": ""}, {"name": BLANK}),
        ({"merge_tag": "vip", "name": "Vip"}, {"name": TAKEN, "merge_tag": TAKEN}),
        (
            {"merge_tag": "a b"},
            {"merge_tag": ["is invalid", "must consist of letters, digits, underscores and hyphens"]},
        ),
    ):
        answer = await house.ask("PATCH", path, body)
        assert (answer.status, answer.json) == (422, {"errors": errors})
    assert (await house.ask("PATCH", path, {"name": "Age", "merge_tag": "age"})).status == 200
    for tag in ("merge-tag", "größe", "9lives"):
        assert (await house.ask("PATCH", path, {"merge_tag": tag})).json["merge_tag"] == tag


# --- segments


ADULTS = {
    "name": "Adults",
    "match": "all",
    "conditions": [
        {"field": "age", "operator": "greater_than", "value": "17"},
        {"name": "subscription_status", "operator": "equal", "value": "subscribed"},
    ],
}


@FAMILIES
async def test_a_segment_is_whoever_meets_its_conditions_now(house: ContactHouse, legacy: bool) -> None:
    made = await house.ask("POST", "contacts/segments", ADULTS, legacy=legacy)
    assert made.status == 201
    path = f"contacts/segments/{made.json['id']}"
    spelled = [ADULTS["conditions"][0] | {"value": 17}, ADULTS["conditions"][1]]
    assert made.json["conditions"] == spelled and made.json["match"] == "all"
    ann = await house.contact("ann@one.test", age=18)
    await house.contact("bob@one.test", age=17)
    await house.contact("eve@one.test", age=90)
    row = suppressions.entry(house.account, "eve@one.test", house.clock())
    await house.run(lambda c: suppressions.add(c, [row]))
    assert (await house.ask("GET", path, legacy=legacy)).json == made.json | {"contacts_count": 1}
    page = await house.ask("GET", f"{path}/contacts", legacy=legacy)
    assert (page.status, page.json) == (200, {"data": [ann]})
    assert (await house.ask("GET", f"{path}/contacts?last_id={ann['id']}", legacy=legacy)).json == {"data": []}
    assert (await house.ask("GET", f"{path}/contacts?last_id=x", legacy=legacy)).status == 400

    wider = {
        "match": "any",
        "conditions": [*ADULTS["conditions"], {"name": "list_id", "operator": "equal", "value": [house.lists[0]]}],
    }
    changed = await house.ask("PATCH", path, wider, legacy=legacy)
    assert (changed.status, changed.json["name"], changed.json["match"]) == (200, "Adults", "any")
    assert changed.json["conditions"] == [*spelled, {"name": "list_id", "operator": "equal", "value": [house.lists[0]]}]
    assert (await house.ask("GET", path, legacy=legacy)).json["contacts_count"] == 3
    assert [each["id"] for each in (await house.ask("GET", "contacts/segments", legacy=legacy)).json] == [
        made.json["id"]
    ]
    assert (await house.ask("DELETE", path, legacy=legacy)).status == 204
    assert (await house.ask("GET", path, legacy=legacy)).status == 404
    told = [event for event, _ in await events(house) if event.startswith("contact_segment")]
    assert told == [f"contact_segment.{each}" for each in ("created", "updated", "deleted")]


async def test_a_field_that_a_segment_asks_for_is_not_deleted(house: ContactHouse) -> None:
    for name in ("Adults", "Others"):
        await house.ask("POST", "contacts/segments", ADULTS | {"name": name})
    path = f"contacts/fields/{house.fields['age'].id}"
    used = await house.ask("DELETE", path)
    text = "This field is used in the conditions of segment(s): Adults, Others."
    assert (used.status, used.json) == (422, {"errors": {"usage": [text]}})
    for segment in (await house.ask("GET", "contacts/segments")).json:
        await house.ask("DELETE", f"contacts/segments/{segment['id']}")
    assert (await house.ask("DELETE", path)).status == 204
    gone = await house.ask("POST", "contacts/segments", ADULTS)
    assert gone.json == {"errors": {"conditions": ["0: field must be the merge tag of a field of this account"]}}


def age(**changes: Any) -> dict[str, Any]:
    return {"field": "age", "operator": "equal", "value": 5} | changes


WRONG_CONDITIONS: list[Any] = [
    (None, BLANK),
    ([], BLANK),
    ("x", ["must be an array of objects"]),
    ([age()] * 21, ["is too long (maximum is 20 items)"]),
    ([{}], [f"0: {name} can't be blank" for name in ("name", "operator", "value")]),
    ([age(), age(field="x")], ["1: field must be the merge tag of a field of this account"]),
    (
        [age(operator="contain")],
        ["0: operator is not included in the list: equal, not_equal, greater_than, less_than, empty, not_empty"],
    ),
    ([age(value="x")], ["0: value must be an integer"]),
    ([age(value=None)], ["0: value can't be blank"]),
    (
        [age(operator=["equal"])],
        ["0: operator is not included in the list: equal, not_equal, greater_than, less_than, empty, not_empty"],
    ),
    ([{"field": "name", "operator": "contain", "value": ""}], ["0: value can't be blank"]),
    ([{"name": "list_id", "operator": "equal", "value": [99]}], ["0: value contains invalid data"]),
    ([{"name": "list_id", "operator": "equal"}], ["0: value can't be blank"]),
    (
        [{"name": "subscription_status", "operator": "equal", "value": "x"}],
        ["0: value is not included in the list: subscribed, unsubscribed"],
    ),
]


async def test_what_is_wrong_with_a_segment(house: ContactHouse) -> None:
    for conditions, errors in WRONG_CONDITIONS:
        answer = await house.ask("POST", "contacts/segments", {"name": "S", "conditions": conditions})
        assert answer.status == 422 and answer.json["errors"]["conditions"] == errors
        assert (await house.ask("GET", "contacts/segments")).json == []


async def test_a_segment_s_name_is_its_own(house: ContactHouse) -> None:
    made = [await house.ask("POST", "contacts/segments", ADULTS | {"name": name}) for name in "AAB"]
    assert [each.status for each in made] == [201, 422, 201]
    assert made[1].json == {"errors": {"name": TAKEN}}
    path = f"contacts/segments/{made[2].json['id']}"
    assert (await house.ask("PATCH", path, {"name": "A"})).json == {"errors": {"name": TAKEN}}
    assert (await house.ask("PATCH", path, {"name": "B", "match": "none"})).status == 422
    assert (await house.ask("PATCH", path, {"name": "C"})).json["conditions"] == made[2].json["conditions"]
