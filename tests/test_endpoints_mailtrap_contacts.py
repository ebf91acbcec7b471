"""Contacts and their events over Mailtrap's API: by uuid and address, in both families of paths, on both databases."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from mailferry.endpoints.mailtrap.rates import Rates
from mailferry.resources import audit, suppressions
from mailferry.resources.contacts import contacts as resource
from mailferry.resources.permissions import ADMIN, VIEWER, Grant, Resource
from mailferry.resources.suppressions import Query
from mailferry.store.database import Database
from mailferry.store.schema import contact_events
from mailferry.store.schema import contacts as table
from tests.conftest import Clock
from tests.contact_house import ContactHouse

FAMILIES = pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "current"])
UNKNOWN_ID = "018dd5e3-f6d2-7c00-8f9b-e5c3f2d8a132"


@pytest.fixture
async def house(database: Database, clock: Clock) -> AsyncIterator[ContactHouse]:
    yield await ContactHouse(database, clock).furnish()


# --- made, shown, deleted


@FAMILIES
async def test_a_contact_is_made_shown_and_deleted(house: ContactHouse, clock: Clock, legacy: bool) -> None:
    held = {"name": "Ann", "age": 30, "score": 2, "vip": True, "birthday": "1990-01-02"}
    body = {"contact": {"email": "Ann.Lee+x@Example.COM", "fields": held, "list_ids": house.lists[:2]}}
    made = await house.ask("POST", "contacts", body, legacy=legacy)
    assert made.status == 201
    data = made.json["data"]
    assert data == {
        "id": data["id"],
        "email": "Ann.Lee+x@example.com",
        "fields": held | {"score": 2.0},
        "list_ids": house.lists[:2],
        "status": "subscribed",
        "created_at": clock(),
        "updated_at": clock(),
    }
    assert resource.identify(data["id"]) == resource.Identifier(id=data["id"])
    for who in (
        data["id"],
        data["id"].upper(),
        "ann.lee+x@example.com",
        quote("ANN.lee+x@example.com", safe=""),
        data["id"] + "/",
    ):
        shown = await house.ask("GET", f"contacts/{who}", legacy=legacy)
        assert (shown.status, shown.json) == (200, made.json), who
    gone = await house.ask("DELETE", f"contacts/{quote('Ann.Lee+x@Example.COM', safe='')}", legacy=legacy)
    assert (gone.status, gone.body) == (204, b"")
    assert (await house.ask("GET", f"contacts/{data['id']}", legacy=legacy)).json == {"error": "Not Found"}


@FAMILIES
@pytest.mark.parametrize(
    "who", [UNKNOWN_ID, "nobody@one.test", "nothing", "a/b", "%00", "%F0%9F%8E%89", "a%0Ab@one.test"]
)
async def test_who_is_not_there(house: ContactHouse, who: str, legacy: bool) -> None:
    for method, path in (("GET", f"contacts/{who}"), ("POST", f"contacts/{who}/events")):
        answer = await house.ask(method, path, None if method == "GET" else {"name": "E"}, legacy=legacy)
        assert (answer.status, answer.json) == (404, {"error": "Not Found"})
    answer = await house.ask("DELETE", f"contacts/{who}", legacy=legacy)
    # What the newer contract says, and for clients of the older one both keys.
    told = {"errors": "Contact(s) not found"} | ({"error": "Not Found"} if legacy else {})
    assert (answer.status, answer.json) == (404, told)


ODD_ADDRESSES: list[Any] = [
    "o'hara@one.test",
    "a/b/c@one.test",
    "50%off@one.test",
    "a%2Bb@one.test",
    "müller@one.test",
    '"a b"@one.test',
    "a?b#c@one.test",
]


async def test_a_path_is_decoded_once(house: ContactHouse) -> None:
    for email in ODD_ADDRESSES:
        made = await house.contact(email)
        path = f"contacts/{quote(email, safe='')}"
        assert (await house.ask("GET", path)).json["data"] == made
        assert (await house.ask("POST", path + "/events", {"name": "E"})).json["contact_id"] == made["id"]
        assert (await house.ask("PATCH", path, {"contact": {"fields": {"age": 1}}})).json["action"] == "updated"
        assert (await house.ask("DELETE", path)).status == 204


async def test_one_that_is_there_is_not_made_again(house: ContactHouse) -> None:
    made = await house.contact("ann@one.test", name="Ann")
    body = {"contact": {"email": "ANN@one.test", "fields": {"name": "Eve"}, "list_ids": house.lists}}
    again = await house.ask("POST", "contacts", body)
    assert (again.status, again.json) == (409, {"errors": "Contact exists"})
    again = await house.ask("POST", "contacts", body, legacy=False)
    assert (again.status, again.json) == (422, {"errors": {"email": ["has already been taken"]}})
    assert await house.shown("ann@one.test") == made
    both = await asyncio.gather(
        *(house.ask("POST", "contacts", {"contact": {"email": "bob@one.test"}}) for _ in range(5))
    )
    assert sorted(each.status for each in both) == [201, 409, 409, 409, 409]


BLANK, NO_DATA = ["can't be blank"], ["contains invalid data"]


WRONG_CONTACTS: list[Any] = [
    ({}, {"email": BLANK}),
    ({"email": None}, {"email": BLANK}),
    ({"email": 5}, {"email": ["must be a string"]}),
    ({"email": "ann"}, {"email": ["is invalid: an address must have an @"]}),
    (
        {"email": "a@b.test", "fields": {"birthday": "x"}},
        {"birthday": ["is invalid", "must be a date (yyyy-mm-dd)"]},
    ),
    ({"email": "a@b.test", "fields": {"age": [1]}}, {"age": ["is invalid", "must be an integer"]}),
    (
        {"email": "a@b.test", "fields": {"name": "a\0b"}},
        {"name": ["is invalid", "must not contain control characters"]},
    ),
    ({"email": "a@b.test", "fields": {"x": 1, "y": 2}}, {"fields": ["contains invalid values: x, y"]}),
    ({"email": "a@b.test", "fields": ["x"]}, {"fields": ["must be an object"]}),
    ({"email": "a@b.test", "list_ids": [999]}, {"list_ids": NO_DATA}),
    ({"email": "a@b.test", "list_ids": 1}, {"list_ids": NO_DATA}),
    ({"email": "a@b.test", "list_ids": [None, True, {}, 1.5, "x", -1, "9" * 19, 2**64]}, {"list_ids": NO_DATA}),
    ({"email": "x", "list_ids": "1", "fields": {"vip": 7}}, {"email": None, "list_ids": NO_DATA, "vip": None}),
]


async def test_all_that_is_wrong_is_told_at_once(house: ContactHouse) -> None:
    for given, errors in WRONG_CONTACTS:
        for method, path in (("POST", "contacts"), ("PATCH", "contacts/a@b.test")):
            wanted = dict(errors)
            if method == "PATCH":
                given = {("list_ids_included" if name == "list_ids" else name): value for name, value in given.items()}
                wanted = {
                    ("list_ids_included" if name == "list_ids" else name): value for name, value in errors.items()
                }
                if given.get("email") is None:
                    continue
            answer = await house.ask(method, path, {"contact": given})
            assert answer.status == 422 and set(answer.json["errors"]) == set(wanted)
            assert all(text is None or answer.json["errors"][name] == text for name, text in wanted.items())
        assert await house.count(table) == 0


NO_BODIES: list[Any] = [b"", b"[]", b"{", b'{"contact": 5}', b'{"contact": {"email": "a@b.test", "email": "c@b.test"}}']


async def test_a_body_that_is_none(house: ContactHouse) -> None:
    for body in NO_BODIES:
        for method, path in (("POST", "contacts"), ("PATCH", f"contacts/{UNKNOWN_ID}")):
            answer = await house.ask(method, path, body)
            assert answer.status in (400, 422) and ("error" in answer.json or "errors" in answer.json)
        assert await house.count(table) == 0


# --- changed or made


@FAMILIES
async def test_a_contact_is_changed_or_made(house: ContactHouse, clock: Clock, legacy: bool) -> None:
    first, second, third = house.lists
    body = {"contact": {"email": "ann@one.test", "fields": {"name": "Ann"}, "list_ids_included": [first, second]}}
    made = await house.ask("PATCH", "contacts/ann@one.test", body, legacy=legacy)
    assert (made.status, made.json["action"]) == (200, "created")
    data, made_at = made.json["data"], clock()
    clock.forward(seconds=9)
    body = {
        "contact": {
            "email": "ANN@one.test",
            "fields": {"name": None, "age": "31"},
            "list_ids_included": [third, third],
            "list_ids_excluded": [first],
        }
    }
    changed = await house.ask("PATCH", f"contacts/{data['id']}", body, legacy=legacy)
    assert changed.status == 200
    assert changed.json == {
        "action": "updated",
        "data": data
        | {
            "email": "ANN@one.test",
            "fields": {"age": 31},
            "list_ids": [second, third],
            "created_at": made_at,
            "updated_at": clock(),
        },
    }
    assert await house.shown("ann@one.test") == changed.json["data"]
    both = {
        "contact": {
            "email": "ann@one.test",
            "list_ids_included": [1, first, second],
            "list_ids_excluded": [second, first],
        }
    }
    refused = await house.ask("PATCH", "contacts/ann@one.test", both, legacy=legacy)
    text = f"same list_ids {first} and {second} are specified both as included and excluded"
    assert refused.status == 422 and refused.json["errors"]["base"] == [text]


async def test_an_address_is_changed_and_a_change_that_is_asked_for_twice_is_done_once(house: ContactHouse) -> None:
    ann, bob = await house.contact("ann@one.test"), await house.contact("bob@one.test")
    for _ in range(2):
        moved = await house.ask("PATCH", "contacts/ann@one.test", {"contact": {"email": "anna@two.test"}})
        assert (moved.json["action"], moved.json["data"]["id"]) == ("updated", ann["id"])
    assert (await house.ask("GET", "contacts/ann@one.test")).status == 404
    taken = await house.ask(
        "PATCH", f"contacts/{ann['id']}", {"contact": {"email": "BOB@one.test", "fields": {"age": 5}}}
    )
    assert (taken.status, taken.json) == (409, {"errors": "Contact exists"})
    taken = await house.ask("PATCH", f"contacts/{ann['id']}", {"contact": {"email": "bob@one.test"}}, legacy=False)
    assert (taken.status, taken.json) == (422, {"errors": {"email": ["has already been taken"]}})
    assert (await house.shown(ann["id"]))["fields"] == {} and await house.shown(bob["id"]) == bob


async def test_two_who_want_one_address_at_once(house: ContactHouse) -> None:
    made = [await house.contact(f"p{number}@one.test") for number in range(6)]
    answers = await asyncio.gather(
        *(house.ask("PATCH", f"contacts/{each['id']}", {"contact": {"email": "one@two.test"}}) for each in made)
    )
    assert sorted(each.status for each in answers) == [200, 409, 409, 409, 409, 409]


async def test_without_an_address_nobody_is_made(house: ContactHouse) -> None:
    for who in (UNKNOWN_ID, "nothing"):
        refused = await house.ask("PATCH", f"contacts/{who}", {"contact": {"fields": {"age": 1}}})
        assert (refused.status, refused.json) == (422, {"errors": {"email": ["can't be blank"]}})
        made = await house.ask("PATCH", f"contacts/{who}", {"contact": {"email": f"{len(who)}@one.test"}})
        assert (made.status, made.json["action"]) == (200, "created") and made.json["data"]["id"] != who


# --- subscription


async def test_unsubscribed_is_who_is_on_the_suppression_list(house: ContactHouse) -> None:
    await house.contact("Ann@one.test")
    ended = await house.ask("PATCH", "contacts/ann@one.test", {"contact": {"unsubscribed": True}})
    assert ended.json["data"]["status"] == "unsubscribed"
    (standing,) = await house.run(lambda c: suppressions.page(c, Query(house.account)))
    assert (standing.address, standing.stream, standing.domain_id, standing.type) == (
        "ann@one.test",
        "bulk",
        0,
        "unsubscription",
    )
    await house.ask("PATCH", "contacts/ann@one.test", {"contact": {"unsubscribed": "true", "fields": {"age": 3}}})
    assert (await house.ask("GET", "suppressions")).json == [(await house.ask("GET", "suppressions")).json[0]]
    resumed = await house.ask("PATCH", "contacts/ann@one.test", {"contact": {"unsubscribed": False}})
    assert resumed.json["data"]["status"] == "subscribed" and (await house.ask("GET", "suppressions")).json == []

    # Reactivating it there is the same.
    await house.ask("PATCH", "contacts/ann@one.test", {"contact": {"unsubscribed": True}})
    ((told,)) = (await house.ask("GET", "suppressions")).json
    assert (await house.ask("DELETE", f"suppressions/{told['id']}")).status == 200
    assert (await house.shown("ann@one.test"))["status"] == "subscribed"


async def test_a_bounce_is_not_lifted_by_subscribing_and_the_other_stream_is_no_matter(house: ContactHouse) -> None:
    await house.contact("ann@one.test")
    now = house.clock()

    async def suppress(**scope: Any) -> None:
        row = suppressions.entry(house.account, "ann@one.test", now, **scope)
        await house.run(lambda c: suppressions.add(c, [row]))

    await suppress(stream="transactional", type=suppressions.UNSUBSCRIPTION)
    foreign = suppressions.entry(house.foreign, "ann@one.test", now)
    await house.run(lambda c: suppressions.add(c, [foreign]))
    assert (await house.shown("ann@one.test"))["status"] == "subscribed"
    await suppress(stream="bulk", domain_id=house.domain, type=suppressions.HARD_BOUNCE)
    await suppress(stream="any", type=suppressions.UNSUBSCRIPTION)
    answer = await house.ask("PATCH", "contacts/ann@one.test", {"contact": {"unsubscribed": False}})
    assert answer.json["data"]["status"] == "unsubscribed"
    left = await house.run(lambda c: suppressions.page(c, Query(house.account)))
    assert {(each.stream, each.type) for each in left} == {("transactional", "unsubscription"), ("bulk", "hard bounce")}


async def test_a_new_contact_whose_address_is_suppressed_is_unsubscribed(house: ContactHouse) -> None:
    row = suppressions.entry(house.account, "Ann@one.test", house.clock())
    await house.run(lambda c: suppressions.add(c, [row]))
    assert (await house.contact("ann@ONE.test"))["status"] == "unsubscribed"


# --- events


@FAMILIES
async def test_an_event_is_kept(house: ContactHouse, clock: Clock, legacy: bool) -> None:
    made = await house.contact("ann@one.test")
    params = {"user_id": 101, "user_name": "John Smith", "is_active": True, "last_seen": None, "rate": 0.5}
    for who in ("Ann@one.test", made["id"]):
        told = await house.ask("POST", f"contacts/{who}/events", {"name": "UserLogin", "params": params}, legacy=legacy)
        assert told.status == 201
        assert told.json == {
            "contact_id": made["id"],
            "contact_email": "ann@one.test",
            "name": "UserLogin",
            "params": params,
        }
    bare = await house.ask("POST", "contacts/ann@one.test/events", {"name": "E"}, legacy=legacy)
    assert (bare.status, bare.json["params"]) == (201, {})
    kept = await house.run(lambda c: c.execute(contact_events.select().order_by(contact_events.c.id)).all())
    assert [(row.name, row.contact_id, row.created_at) for row in kept] == [
        ("UserLogin", made["id"], clock()),
        ("UserLogin", made["id"], clock()),
        ("E", made["id"], clock()),
    ]


WRONG_EVENTS: list[Any] = [
    ({}, {"name": ["can't be blank", "must be a string"]}),
    ({"name": ""}, {"name": ["can't be blank"]}),
    ({"name": 5}, {"name": ["must be a string"]}),
    ({"name": "x" * 256}, {"name": ["is too long"]}),
    ({"name": "a\0"}, {"name": ["must not contain a NUL character"]}),
    ({"name": "E", "params": ["a"]}, {"params": ["must be a hash"]}),
    ({"name": "E", "params": {"x" * 256: 1}}, {"params": [f"key '{'x' * 255}' is too long"]}),
    ({"name": "E", "params": {"bar": "x" * 256}}, {"params": ["value for 'bar' is too long"]}),
    (
        {"name": "E", "params": {"bar": []}},
        {"params": ["value for 'bar' must be a string, a number, a boolean or null"]},
    ),
    ({"name": "E", "params": {str(n): n for n in range(101)}}, {"params": ["is too long (maximum is 100 keys)"]}),
]


async def test_what_is_wrong_with_an_event(house: ContactHouse) -> None:
    await house.contact("ann@one.test")
    for body, errors in WRONG_EVENTS:
        answer = await house.ask("POST", "contacts/ann@one.test/events", body)
        assert (answer.status, answer.json) == (422, {"errors": errors})
        assert await house.count(contact_events) == 0


async def test_whatever_numbers_and_texts_an_event_has(house: ContactHouse) -> None:
    await house.contact("ann@one.test")
    for value in (10**18, -(2**63), 2**64 - 1, 10**30, 1e308, "\0", "\u2028", "🎉" * 255, ""):
        answer = await house.ask("POST", "contacts/ann@one.test/events", {"name": "E", "params": {"v": value}})
        assert answer.status == 201 and answer.json["params"]["v"] == value, value


# --- rights, rates, history


async def test_who_may_do_what(house: ContactHouse) -> None:
    await house.contact("ann@one.test")
    viewer = await house.viewer()
    of_domain = await house.token(Grant(Resource.DOMAIN, house.domain, ADMIN))
    foreign = await house.token(Grant(Resource.ACCOUNT, house.foreign, ADMIN), account=house.foreign)
    asked = [
        ("GET", "contacts/ann@one.test", None),
        ("GET", "contacts/lists", None),
        ("GET", "contacts/fields", None),
        ("GET", "contacts/segments", None),
        ("POST", "contacts", {"contact": {"email": "x@one.test"}}),
        ("PATCH", "contacts/ann@one.test", {"contact": {"fields": {"age": 1}}}),
        ("POST", "contacts/ann@one.test/events", {"name": "E"}),
        ("POST", "contacts/lists", {"name": "x"}),
        ("POST", "contacts/fields", {"name": "x", "data_type": "text", "merge_tag": "x"}),
        ("POST", "contacts/imports", {"contacts": [{"email": "y@one.test"}]}),
        ("POST", "contacts/exports", {"filters": []}),
        ("DELETE", f"contacts/lists/{house.lists[0]}", None),
        ("DELETE", "contacts/ann@one.test", None),
    ]
    for method, path, body in asked:
        assert (await house.ask(method, path, body, token=of_domain)).json == {"errors": "Access forbidden"}, path
        other = await house.ask(method, path, body, token=foreign)
        assert (other.status, other.json) == (403, {"errors": "Account access forbidden"}), path
        seen = await house.ask(method, path, body, token=viewer)
        assert seen.status == (200 if method == "GET" else 403), path
    # Beside one another's accounts, the same names are others.
    assert (await house.ask("GET", "contacts/ann@one.test", token=foreign, legacy=False)).status == 404
    assert (await house.ask("GET", "contacts/lists", token=foreign, legacy=False)).json == []
    assert (await house.ask("GET", f"contacts/lists/{house.lists[0]}", token=foreign, legacy=False)).status == 404
    field = house.fields["age"].id
    assert (await house.ask("DELETE", f"contacts/fields/{field}", token=foreign, legacy=False)).status == 404
    body = {"contact": {"email": "z@one.test", "list_ids": house.lists, "fields": {"age": 1}}}
    assert (await house.ask("POST", "contacts", body, token=foreign, legacy=False)).status == 422
    assert (await house.shown("ann@one.test"))["fields"] == {}


async def test_two_hundred_requests_a_minute_are_shared_by_all_of_it(database: Database, clock: Clock) -> None:
    house = await ContactHouse(database, clock, rates=Rates(clock, 1)).furnish()
    paths = ("contacts/lists", "contacts/fields", f"contacts/{UNKNOWN_ID}", "contacts/imports/1", "contacts/exports/1")
    for number in range(200):
        clock.now += 100  # more than ten seconds' general requests
        answer = await house.ask("GET", paths[number % 5])
        assert answer.status in (200, 404)
    assert (answer.headers["x-ratelimit-limit"], answer.headers["x-ratelimit-remaining"]) == ("200", "0")
    busy = await house.ask("GET", "contacts/lists")
    assert (busy.status, busy.json) == (429, {"errors": "Rate limit exceeded"})
    foreign = await house.token(Grant(Resource.ACCOUNT, house.foreign, VIEWER), account=house.foreign)
    assert (await house.ask("GET", "contacts/lists", token=foreign, legacy=False)).status == 200


async def test_who_changed_what_is_written_down(house: ContactHouse) -> None:
    made = await house.contact("ann@one.test", name="Ann")
    patch = {"email": "anna@one.test", "fields": {"name": "Anna", "age": 5}, "unsubscribed": True}
    await house.ask("PATCH", "contacts/ann@one.test", {"contact": patch})
    await house.ask("DELETE", "contacts/anna@one.test")
    found = await house.run(lambda c: audit.page(c, house.account))
    told = [(row.event, row.resource_id, row.resource_name) for row in reversed(found)]
    assert told == [
        ("contact.created", made["id"], "ann@one.test"),
        ("contact.updated", made["id"], "anna@one.test"),
        ("contact.deleted", made["id"], "anna@one.test"),
    ]
    assert json.loads(found[1].changes) == {
        "email": {"from": "ann@one.test", "to": "anna@one.test"},
        "status": {"from": "subscribed", "to": "unsubscribed"},
        "name": {"from": "Ann", "to": "Anna"},
        "age": {"from": None, "to": 5},
    }
