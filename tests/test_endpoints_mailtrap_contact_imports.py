"""Imports and exports of contacts over Mailtrap's API, and what a hostile client makes of them. On both databases."""

import asyncio
import base64
import csv
import gzip
import io
import string
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from mailferry.endpoints.bodies import BodyBudget
from mailferry.endpoints.hosts import Hosts
from mailferry.endpoints.mailtrap import contact_exports
from mailferry.net.hosts import HostRules, trusted_networks
from mailferry.resources import audit
from mailferry.resources.contacts import exports, imports
from mailferry.store.database import Database
from mailferry.store.schema import contact_job_pieces, contact_jobs
from mailferry.store.schema import contacts as table
from mailferry.store.secrets import Sealer
from tests.asgi import Answer, call
from tests.conftest import Clock
from tests.contact_house import ContactHouse

FAMILIES = pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "current"])


@pytest.fixture
async def house(database: Database, clock: Clock) -> AsyncIterator[ContactHouse]:
    yield await ContactHouse(database, clock).furnish()


async def take_in(house: ContactHouse, contacts: Any, legacy: bool = True) -> Answer:
    return await house.ask("POST", "contacts/imports", {"contacts": contacts}, legacy=legacy)


# --- imports


@FAMILIES
async def test_contacts_are_imported_in_the_background(house: ContactHouse, legacy: bool) -> None:
    first, second, _ = house.lists
    await house.contact("ann@one.test", name="Ann", age=1, list_ids=[first])
    given = [
        {"email": "ANN@one.test", "fields": {"age": 2}, "list_ids_included": [second], "list_ids_excluded": [first]},
        {"email": "bob@one.test", "fields": {"name": 11111, "birthday": "1990-01-02"}, "list_ids_included": [first]},
        {"email": "eve@one.test"},
    ]
    made = await take_in(house, given, legacy)
    assert made.status == 201 and made.json == {"id": made.json["id"], "status": "created"}
    path = f"contacts/imports/{made.json['id']}"
    assert (await house.ask("GET", path, legacy=legacy)).json == made.json
    await house.workshop.run_due()
    done = await house.ask("GET", path, legacy=legacy)
    assert (done.status, done.json) == (
        200,
        {
            "id": made.json["id"],
            "status": "finished",
            "created_contacts_count": 2,
            "updated_contacts_count": 1,
            "contacts_over_limit_count": 0,
        },
    )
    ann, bob = await house.shown("ann@one.test"), await house.shown("bob@one.test")
    assert (ann["fields"], ann["list_ids"]) == ({"name": "Ann", "age": 2}, [second])
    assert (bob["fields"], bob["list_ids"]) == ({"name": "11111", "birthday": "1990-01-02"}, [first])
    told = await house.run(lambda c: audit.page(c, house.account))
    assert (told[0].event, told[0].resource_name) == ("contact_import.created", "3 contacts")
    assert (await house.ask("GET", "contacts/imports/999", legacy=legacy)).json == {"error": "Not Found"}
    assert (await house.ask("GET", f"contacts/exports/{made.json['id']}", legacy=legacy)).status == 404


async def test_fifty_thousand_are_taken_while_others_are_answered(
    house: ContactHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop is never held up for long by a large body."""
    held = {"name": "John Smith", "age": 30, "birthday": "1990-01-02"}
    given = [{"email": f"p{n}@one.test", "fields": held, "list_ids_included": house.lists} for n in range(imports.MOST)]
    body = msgspec.json.encode({"contacts": given})
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.005)
            turns += 1

    counting = asyncio.create_task(count_turns())
    made = await house.ask("POST", "contacts/imports", body)
    counting.cancel()
    assert made.status == 201, made.json
    assert turns > 20  # it is checked in a hundred pieces
    pieces = await house.count(contact_job_pieces)
    assert pieces >= imports.MOST * 7 // imports.PIECE_ROWS
    more = await take_in(house, [*given, {"email": "one@more.test"}])
    text = "cannot import more than 50000 contacts at once"
    assert (more.status, more.json) == (422, {"errors": [{"email": "", "errors": {"base": [text]}}]})
    assert await house.count(contact_job_pieces) == pieces and await house.count(contact_jobs) == 1


async def test_what_is_kept_in_several_transactions_is_one_import(
    house: ContactHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailferry.resources.contacts.imports.TOGETHER", 50)
    monkeypatch.setattr("mailferry.resources.contacts.imports.PIECE_CONTACTS", 2)
    monkeypatch.setattr("mailferry.endpoints.mailtrap.contact_imports.STEP", 5)
    made = await take_in(house, [{"email": f"p{n}@one.test"} for n in range(23)])
    assert made.status == 201
    await house.workshop.run_due()
    done = (await house.ask("GET", f"contacts/imports/{made.json['id']}")).json
    assert (done["created_contacts_count"], await house.count(table)) == (23, 23)


async def test_one_wrong_contact_refuses_all_of_them_and_says_which(house: ContactHouse) -> None:
    first, second, _ = house.lists
    given = [
        {"email": "ann@one.test"},
        {"email": "ann@"},
        {"fields": {"age": 1}},
        {"email": 5},
        "eve@one.test",
        {"email": "bob@one.test", "fields": {"age": "x", "none": 1}, "list_ids_included": [first, second, 99]},
        {"email": "c@one.test", "list_ids_included": [first, second], "list_ids_excluded": [second, first]},
        {"email": "x" * 5000},
    ]
    refused = await take_in(house, given)
    assert refused.status == 422
    assert refused.json["errors"] == [
        {"email": "ann@", "errors": {"email": ["is invalid: the domain of an address is not a valid host name"]}},
        {"email": "", "errors": {"email": ["can't be blank"]}},
        {"email": "", "errors": {"email": ["must be a string"]}},
        {"email": "", "errors": {"base": ["must be an object"]}},
        {
            "email": "bob@one.test",
            "errors": {
                "age": ["is invalid", "must be an integer"],
                "fields": ["contains invalid values: none"],
                "list_ids_included": ["contains invalid data"],
            },
        },
        {
            "email": "c@one.test",
            "errors": {"base": [f"same list_ids {first} and {second} are specified both as included and excluded"]},
        },
        {"email": "x" * 320, "errors": {"email": ["is too long (maximum is 1000 characters)"]}},
    ]
    assert await house.count(contact_jobs) == await house.count(table) == 0


async def test_not_more_errors_are_told_than_anybody_reads(house: ContactHouse) -> None:
    refused = await take_in(house, [{"email": f"{n}"} for n in range(1700)])
    assert refused.status == 422 and len(refused.json["errors"]) == 1001
    assert refused.json["errors"][-1] == {"email": "", "errors": {"base": ["700 contacts more are invalid"]}}


NO_IMPORTS: list[Any] = [
    (b"", 422, "contacts can't be blank"),
    (b"{}", 422, "contacts can't be blank"),
    (b'{"contacts": null}', 422, "contacts can't be blank"),
    (b'{"contacts": []}', 422, "contacts can't be blank"),
    (b'{"contacts": {}}', 422, "contacts must be an array of objects"),
    (b'{"contacts": "a@b.test"}', 422, "contacts must be an array of objects"),
    (b'{"contacts": [null, [], 1]}', 422, "must be an object"),
    (b"[]", 400, "an object is expected"),
    (b'{"contacts": [{"email": "a@b.test"}', 400, "at line 1 column"),
    (b'{"contacts": [{"email": "a@b.test"},]}', 400, "at line 1 column"),
    (b'{"contacts":\n [{"email": "\xff@b.test"}]}', 400, "no UTF-8 at byte"),
    (b'{"contacts": [{"email": "\\ud800@b.test"}]}', 400, "half a surrogate pair"),
    (b'{"contacts": [{"email": "a@b.test", "email": "c@d.test"}]}', 400, "more than once"),
    (b'{"contacts": [{"email": "a@b.test", "fields": {"age": 1, "age": 2}}]}', 400, "more than once"),
    (b'{"contacts": [{"email": "a@b.test", "fields": {"age": NaN}}]}', 400, "JSON"),
    (b'{"contacts": [' + b"[" * 5000 + b"]" * 5000 + b"]}", 400, "nested too deeply"),
    (b'{"contacts": ' + b"[" * 200_000, 400, ""),
]


async def test_a_body_that_is_no_import(house: ContactHouse) -> None:
    for body, status, told in NO_IMPORTS:
        answer = await house.ask("POST", "contacts/imports", body)
        assert answer.status == status and told in answer.body.decode(), answer.body
        assert await house.count(contact_jobs) == 0


async def test_a_body_that_would_take_too_much_memory_is_refused_before(database: Database, clock: Clock) -> None:
    budget = BodyBudget(4 * 1024 * 1024)
    house = await ContactHouse(database, clock, budget=budget).furnish()
    many = b'{"contacts": [' + b"1," * 500_000 + b"1]}"
    deep = b'{"contacts": [{"email": "a@b.test", "fields": [' + b"[]," * 400_000 + b"1]}]}"
    wide = b'{"contacts": [{"email": "a@b.test", "fields": [' + b'{"a":{}},' * 40_000 + b"1]}]}"
    for body in (many, deep, wide):
        answer = await house.ask("POST", "contacts/imports", body)
        assert (answer.status, answer.json) == (413, {"error": "request body holds too many values"})
    assert budget.used == 0
    assert (await take_in(house, [{"email": "ann@one.test"}])).status == 201
    assert budget.used == 0


# --- exports


async def made_file(house: ContactHouse, filters: Any = None, legacy: bool = True) -> dict[str, Any]:
    made = await house.ask(
        "POST", "contacts/exports", {"filters": filters} if filters is not None else {}, legacy=legacy
    )
    assert made.status == 201, made.json
    await house.workshop.run_due()
    done = await house.ask("GET", f"contacts/exports/{made.json['id']}", legacy=legacy)
    assert (done.status, done.json["status"]) == (200, "finished")
    found: dict[str, Any] = done.json
    return found


async def fetch(house: ContactHouse, url: str, method: str = "GET") -> Answer:
    scheme, _, rest = url.partition("://")
    assert scheme == "http"
    return await house.call(method, "/" + rest.partition("/")[2], headers={})


def emails(file: Answer) -> list[str]:
    rows = csv.DictReader(io.StringIO(gzip.decompress(file.body).decode(), newline=""))
    return sorted(row["email"] for row in rows)


@FAMILIES
async def test_an_export_is_a_file_behind_a_link(house: ContactHouse, clock: Clock, legacy: bool) -> None:
    await house.contact("ann@one.test", name="Ann", list_ids=house.lists[:1])
    made = await house.ask("POST", "contacts/exports", {"filters": []}, legacy=legacy)
    at = "2027-01-15T08:00:00.000Z"
    assert (made.status, made.json) == (
        201,
        {"id": made.json["id"], "status": "created", "created_at": at, "updated_at": at, "url": None},
    )
    again = await house.ask("POST", "contacts/exports", {"filters": []}, legacy=legacy)
    assert (again.status, again.json) == (422, {"errors": {"base": ["There is a previous export initiated."]}})
    clock.forward(seconds=1)
    await house.workshop.run_due()
    done = (await house.ask("GET", f"contacts/exports/{made.json['id']}", legacy=legacy)).json
    assert done == made.json | {"status": "finished", "updated_at": "2027-01-15T08:00:01.000Z", "url": done["url"]}
    assert done["url"].endswith("/contacts.csv.gz")
    file = await fetch(house, done["url"])
    assert file.status == 200 and emails(file) == ["ann@one.test"]
    assert file.headers["content-type"] == "application/gzip" and int(file.headers["content-length"]) == len(file.body)
    assert file.headers["content-disposition"] == f'attachment; filename="contacts-{made.json["id"]}.csv.gz"'
    assert (file.headers["cache-control"], file.headers["x-content-type-options"]) == ("private, no-store", "nosniff")
    head = await fetch(house, done["url"], "HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", file.headers["content-length"])
    told = await house.run(lambda c: audit.page(c, house.account))
    assert told[0].event == "contact_export.created"


async def test_an_export_is_confined_by_its_filters(house: ContactHouse) -> None:
    first, second, third = house.lists
    await house.contact("a@one.test", list_ids=[first])
    await house.contact("b@one.test", list_ids=[first, second])
    await house.contact("c@one.test", list_ids=[third])
    await house.ask("PATCH", "contacts/b@one.test", {"contact": {"unsubscribed": True}})
    lists = {"name": "list_id", "operator": "equal"}
    status = {"name": "subscription_status", "operator": "equal"}
    for filters, found in (
        (None, "abc"),
        ([], "abc"),
        ([lists | {"value": [first]}], "ab"),
        ([lists | {"value": [second, third]}], "bc"),
        ([status | {"value": "subscribed"}], "ac"),
        ([lists | {"value": [first, third]}, status | {"value": "unsubscribed"}], "b"),
        ([lists | {"value": [first]}, lists | {"value": [second]}], "b"),
    ):
        file = await fetch(house, (await made_file(house, filters))["url"])
        assert emails(file) == [f"{name}@one.test" for name in found], filters


NO_FILTERS: list[Any] = [
    "invalid",
    {},
    7,
    ["x"],
    [{}],
    [{"name": "list_id", "operator": "equal", "value": 1}],
    [{"name": "list_id", "operator": "equal", "value": []}],
    [{"name": "list_id", "operator": "equal", "value": [999]}],
    [{"name": "list_id", "operator": "not_equal", "value": [1]}],
    [{"name": "list_id", "operator": ["equal"], "value": [1]}],
    [{"name": "email", "operator": "equal", "value": "x"}],
    [{"name": "subscription_status", "operator": "equal", "value": ["subscribed"]}],
    [{"name": "subscription_status", "operator": "equal", "value": "subscribed"}] * 11,
]


async def test_filters_that_are_none(house: ContactHouse) -> None:
    for filters in NO_FILTERS:
        answer = await house.ask("POST", "contacts/exports", {"filters": filters})
        assert (answer.status, answer.json) == (422, {"errors": {"filters": "invalid"}})
        assert await house.count(contact_jobs) == 0


async def test_a_link_ends_and_cannot_be_made_up(house: ContactHouse, clock: Clock) -> None:
    await house.contact("ann@one.test")
    made = await made_file(house)
    url = made["url"]
    sealed = url.split("/")[-2]
    for wrong in (
        "x",
        sealed[:-2],
        *(sealed[:-1] + last for last in string.ascii_letters if last != sealed[-1]),
        sealed[::-1],
        "ü",
        "%00",
        "A" * 100_000,
    ):
        answer = await fetch(house, url.replace(sealed, wrong))
        assert answer.status == 404 and answer.json == {"error": "Not Found"}, wrong
    # Nothing else that is sealed with the key opens it, and no other key.
    link = contact_exports._Link(house.account, made["id"], clock() + 1000)
    other = Sealer(bytes(32)).seal(msgspec.json.encode(link), "inboxes.password")
    strange = Sealer(bytes([1]) * 32).seal(msgspec.json.encode(link), "contact export link")
    for octets in (other, strange):
        assert (
            await fetch(house, url.replace(sealed, base64.urlsafe_b64encode(octets).decode().rstrip("=")))
        ).status == 404
    assert (await fetch(house, url, "POST")).status == 401

    clock.now += contact_exports.LINK_MS - 1
    assert (await fetch(house, url)).status == 200
    clock.now += 1
    ended = await fetch(house, url)
    assert (ended.status, ended.json) == (403, {"error": "This link has expired, ask for a new one"})
    fresh = (await house.ask("GET", f"contacts/exports/{made['id']}")).json["url"]
    assert fresh != url and (await fetch(house, fresh)).status == 200

    clock.now += exports.KEPT_MS
    forgotten = (await house.ask("GET", f"contacts/exports/{made['id']}")).json
    assert (forgotten["status"], forgotten["url"]) == ("finished", None)


async def test_a_file_of_many_pieces_is_one(house: ContactHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailferry.resources.contacts.exports.PIECE", 7)
    made = await take_in(house, [{"email": f"p{n:03}@one.test"} for n in range(100)])
    assert made.status == 201
    await house.workshop.run_due()
    file = await fetch(house, (await made_file(house))["url"])
    assert emails(file) == [f"p{n:03}@one.test" for n in range(100)]


async def test_the_link_names_the_host_that_the_client_asked(house: ContactHouse) -> None:
    made = await made_file(house)
    headers = {"Authorization": f"Bearer {house.admin}", "Host": "mailtrap.io"}
    answer = await house.call("GET", f"/api/contacts/exports/{made['id']}", headers=headers)
    assert answer.json["url"].startswith("http://mailtrap.io/api/contact_exports/")


async def test_behind_a_proxy_the_link_names_the_proxy(house: ContactHouse) -> None:
    made = await made_file(house)
    app = Hosts(house.app, HostRules(["mail.example.com"], ""), trusted_networks(["192.0.2.0/24"]))
    headers = {
        "Authorization": f"Bearer {house.admin}",
        "Host": "10.0.0.5:8025",
        "X-Forwarded-For": "198.51.100.1",
        "X-Forwarded-Host": "mail.example.com",
        "X-Forwarded-Proto": "https",
    }
    answer = await call(app, "GET", f"/api/contacts/exports/{made['id']}", headers=headers)
    assert answer.json["url"].startswith("https://mail.example.com/api/contact_exports/")
