"""Templates over Mailtrap's API: both families of paths, the newer paths beside them, rights, errors, pages."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mailferry.endpoints.mailtrap import templates as endpoint
from mailferry.endpoints.mailtrap.rates import Rates
from mailferry.resources.permissions import ADMIN, VIEWER, Grant, Resource
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.mailtrap_domains import FAMILIES, FORBIDDEN, NOT_FOUND, events
from tests.mailtrap_house import MailtrapHouse

NEW = {"name": "Welcome", "category": "onboarding", "subject": "Hi {{name}}", "body_html": "<p>{{name}}</p>"}
FULL = "You've reached the maximum number of templates allowed. Please upgrade your plan to add more."


@pytest.fixture
async def house(database: Database, clock: Clock) -> AsyncIterator[MailtrapHouse]:
    yield await MailtrapHouse(database, clock).furnish()


class OnSqlite:
    """What says nothing about the database runs on one of them."""

    @pytest.fixture
    def database_url(self) -> str:
        return ""


async def make(house: MailtrapHouse, **changes: Any) -> dict[str, Any]:
    answer = await house.ask("POST", "email_templates", {"email_template": NEW | changes})
    assert answer.status == 201, answer.body
    return dict(answer.json)


# --- email_templates -----------------------------------------------------------------------------------------------


@FAMILIES
async def test_a_template_lives(house: MailtrapHouse, clock: Clock, legacy: bool) -> None:
    answer = await house.ask("POST", "email_templates", {"email_template": NEW}, legacy=legacy)
    made = answer.json
    assert answer.status == 201
    assert list(made) == [
        *("id", "uuid", "name", "category", "subject", "body_html", "body_text", "created_at", "updated_at")
    ]
    assert {name: made[name] for name in NEW} == NEW and made["body_text"] is None
    assert made["created_at"] == made["updated_at"] == "2027-01-15T08:00:00.000Z"
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", made["uuid"])

    path = f"email_templates/{made['id']}"
    assert (await house.ask("GET", path, legacy=legacy)).json == made
    other = await make(house, name="Newer")
    assert (await house.ask("GET", "email_templates", legacy=legacy)).json == [other, made], "newest first"

    clock.forward(seconds=1.5)
    changes = {"email_template": {"subject": "Bye", "body_text": "Bye {{name}}\n", "body_html": None}}
    changed = await house.ask("PATCH", path, changes, legacy=legacy)
    assert (changed.status, changed.json) == (
        200,
        made
        | {"subject": "Bye", "body_text": "Bye {{name}}\n", "body_html": None}
        | {"updated_at": "2027-01-15T08:00:01.500Z"},
    )
    assert (await house.ask("GET", path, legacy=legacy)).json == changed.json

    gone = await house.ask("DELETE", path, legacy=legacy)
    assert (gone.status, gone.body) == (204, b"")
    for method, body in (("GET", None), ("PATCH", changes), ("DELETE", None)):
        answer = await house.ask(method, path, body, legacy=legacy)
        assert (answer.status, answer.json) == NOT_FOUND


async def test_changes_are_audited(house: MailtrapHouse) -> None:
    made = await make(house)
    path = f"email_templates/{made['id']}"
    await house.ask("PATCH", path, {"email_template": {"name": "Hello", "body_html": "<b>"}})
    await house.ask("DELETE", path)
    assert await events(house) == [
        ("Admin", "email_template.created", "Welcome", {}),
        (
            "Admin",
            "email_template.updated",
            "Hello",
            {"name": {"from": "Welcome", "to": "Hello"}, "version": {"from": 1, "to": 2}},
        ),
        ("Admin", "email_template.deleted", "Hello", {}),
    ]


# --- templates -----------------------------------------------------------------------------------------------------


@FAMILIES
async def test_the_newer_paths_are_flat_and_enveloped(house: MailtrapHouse, legacy: bool) -> None:
    answer = await house.ask("POST", "templates", NEW, legacy=legacy)
    assert answer.status == 201 and list(answer.json) == ["data"]
    made = answer.json["data"]
    path = f"templates/{made['id']}"
    assert (await house.ask("GET", f"email_templates/{made['id']}")).json == made
    assert (await house.ask("GET", path, legacy=legacy)).json == {"data": made}
    for method, body in (
        ("PATCH", {"name": "A"}),
        ("PUT", {"name": "B"}),
        ("PATCH", {"email_template": {"name": "C"}}),
    ):
        changed = await house.ask(method, path, body, legacy=legacy)
        name = body.get("name", "C")
        assert (changed.status, changed.json["data"]["name"], changed.json["data"]["subject"]) == (
            200,
            name,
            "Hi {{name}}",
        )
    assert (await house.ask("PATCH", path, {}, legacy=legacy)).json == changed.json
    wrapped = await house.ask("POST", "templates", {"email_template": NEW}, legacy=legacy)
    assert wrapped.status == 201
    assert (await house.ask("DELETE", path, legacy=legacy)).status == 204
    assert (await house.ask("GET", path, legacy=legacy)).status == 404


@FAMILIES
async def test_pages(house: MailtrapHouse, legacy: bool) -> None:
    ids = [(await make(house, name=f"T{number}"))["id"] for number in range(5)][::-1]
    start = f"/api/accounts/{house.account}/templates" if legacy else "/api/templates"

    async def page(query: str) -> tuple[list[int], list[Any], list[Any]]:
        answer = await house.ask("GET", f"templates{query}", legacy=legacy)
        assert answer.status == 200, answer.body
        told = answer.json["pagination"]
        urls = [told[f"{which}_url"] for which in ("first", "prev", "current", "next")]
        assert all(url is None or url.startswith("http://") for url in urls)
        short = [url and url.partition("//")[2].partition("/")[2] for url in urls]
        tokens = [told[name] for name in ("token", "prev_token", "next_token")]
        assert list(told)[:3] == ["token", "prev_token", "next_token"]
        return (
            [each["id"] for each in answer.json["data"]],
            tokens,
            [url and f"/{url}".removeprefix(start) for url in short],
        )

    assert await page("") == (ids, [1, None, None], ["?token=1", None, "?token=1", None])
    two = "?per_page=2&token="
    assert await page("?per_page=2") == (ids[:2], [1, None, 2], [f"{two}1", None, f"{two}1", f"{two}2"])
    assert await page("?token=2&per_page=2") == (ids[2:4], [2, 1, 3], [f"{two}1", f"{two}1", f"{two}2", f"{two}3"])
    assert await page("?token=3&per_page=2") == (ids[4:], [3, 2, None], [f"{two}1", f"{two}2", f"{two}3", None])
    # Behind the last page there is nothing, and back goes to the last one that has something.
    assert await page("?token=9&per_page=2") == ([], [9, 3, None], [f"{two}1", f"{two}3", f"{two}9", None])
    assert (await page("?per_page=1000"))[0] == ids


class TestPages(OnSqlite):
    @pytest.mark.parametrize(
        ("query", "status", "body"),
        [
            ("token=0", 400, {"error": "'token' must be a positive integer"}),
            ("token=x", 400, {"error": "'token' must be a positive integer"}),
            ("per_page=-1", 400, {"error": "'per_page' must be a positive integer"}),
            ("token=92233720368547760&per_page=100", 422, {"errors": "token is out of range"}),
            ("token=" + "9" * 25, 422, {"errors": "token is out of range"}),
        ],
    )
    async def test_pages_that_are_none(self, house: MailtrapHouse, query: str, status: int, body: Any) -> None:
        answer = await house.ask("GET", f"templates?{query}", legacy=False)
        assert (answer.status, answer.json) == (status, body)

    async def test_the_last_page_that_can_be_asked_for(self, house: MailtrapHouse) -> None:
        answer = await house.ask("GET", "templates?token=92233720368547759&per_page=100", legacy=False)
        assert (answer.status, answer.json["data"]) == (200, [])

    async def test_no_templates_are_a_page_too(self, house: MailtrapHouse) -> None:
        answer = (await house.ask("GET", "templates", legacy=False)).json
        assert (answer["data"], answer["pagination"]["next_token"]) == ([], None)
        assert (await house.ask("GET", "email_templates")).json == []

    async def test_large_lists_come_in_pieces(self, house: MailtrapHouse, monkeypatch: pytest.MonkeyPatch) -> None:
        made = [await make(house, body_text="x" * 300) for _ in range(5)]
        whole = await house.ask("GET", "email_templates")
        page = await house.ask("GET", "templates?per_page=4")
        monkeypatch.setattr(endpoint, "SLICE_OCTETS", 700)
        assert [len(each) for each in endpoint._slices([template_head(size) for size in (300, 300, 900, 10)])] == [
            2,
            1,
            1,
        ]
        pieces = await house.ask("GET", "email_templates")
        assert (pieces.status, pieces.body) == (200, whole.body) and pieces.json == made[::-1]
        assert pieces.headers["content-type"] == whole.headers["content-type"]
        assert "content-length" not in pieces.headers
        assert (await house.ask("GET", "templates?per_page=4")).body == page.body

    async def test_lists_and_creations_have_rates_of_their_own(self, database: Database, clock: Clock) -> None:
        house = await MailtrapHouse(database, clock, rates=Rates(clock, 1)).furnish()
        for method, body in (("GET", None), ("POST", {})):
            for _ in range(2):
                for _ in range(75):
                    assert (await house.ask(method, "templates", body, legacy=False)).status in (200, 422)
                clock.forward(seconds=10)  # what counts everything must not be the one that ends
            refused = await house.ask(method, "templates", body, legacy=False)
            assert (refused.status, refused.json) == (429, {"errors": "Rate limit exceeded"})
            clock.forward(seconds=1)
        assert (await house.ask("GET", "email_templates")).status == 200


def template_head(size: int) -> Any:
    from mailferry.resources.templates import Facts, Head

    return Head(1, 1, "", Facts(""), 1, size, 0, 0)


# --- what is wrong -------------------------------------------------------------------------------------------------

BLANK = ["can't be blank"]
LONG = ["is too long (maximum is 255 characters)"]


class TestErrors(OnSqlite):
    @pytest.mark.parametrize(
        ("given", "errors"),
        [
            ({}, {"name": BLANK, "category": BLANK, "subject": BLANK}),
            (NEW | {"name": ""}, {"name": BLANK}),
            (NEW | {"name": " ", "category": None}, {"name": BLANK, "category": BLANK}),
            (
                NEW | dict.fromkeys(("name", "category", "subject"), "x" * 256),
                dict.fromkeys(("name", "category", "subject"), LONG),
            ),
            (NEW | {"name": 5, "body_html": []}, {"name": ["must be a string"], "body_html": ["must be a string"]}),
            (NEW | {"subject": "a\nb"}, {"subject": ["must not contain control characters"]}),
            (NEW | {"body_text": "a\0b"}, {"body_text": ["must not contain a NUL character"]}),
            (NEW | {"body_text": "x" * 10_000_001}, {"body_text": ["is too long (maximum is 10000000 characters)"]}),
            (
                NEW | {"subject": "Hi {{name", "body_html": "\n<p>{{#if a}}{{/each}}", "body_text": "{{}}"},
                {
                    "subject": ["is not a valid Handlebars template: line 1, column 4: this tag is never closed"],
                    "body_html": [
                        "is not a valid Handlebars template: "
                        "line 2, column 13: {{/each}} closes {{#if}} of line 2, column 4"
                    ],
                    "body_text": [
                        "is not a valid Handlebars template: line 1, column 3: expected a name instead of '}}'"
                    ],
                },
            ),
        ],
        ids=str,
    )
    async def test_what_cannot_be_saved(self, house: MailtrapHouse, given: Any, errors: Any) -> None:
        for path, body in (("email_templates", {"email_template": given}), ("templates", given)):
            answer = await house.ask("POST", path, body)
            assert (answer.status, answer.json) == (422, {"errors": errors})
        assert (await house.ask("GET", "email_templates")).json == []

    async def test_a_wrapper_that_is_no_object(self, house: MailtrapHouse) -> None:
        answer = await house.ask("POST", "email_templates", {"email_template": "x"})
        assert (answer.status, answer.json) == (422, {"errors": {"email_template": ["must be an object"]}})
        assert (await house.ask("POST", "templates", {"email_template": "x"})).status == 422

    async def test_a_change_that_is_wrong_changes_nothing(self, house: MailtrapHouse) -> None:
        made = await make(house)
        for given, field in (
            ({"name": None}, "name"),
            ({"name": "", "subject": "x"}, "name"),
            ({"name": "y", "body_html": "{{#if"}, "body_html"),
        ):
            answer = await house.ask("PATCH", f"email_templates/{made['id']}", {"email_template": given})
            assert answer.status == 422 and list(answer.json["errors"]) == [field]
        assert (await house.ask("GET", "email_templates")).json == [made]

    async def test_an_account_has_so_many(self, database: Database, clock: Clock) -> None:
        house = await MailtrapHouse(database, clock, max_templates=2).furnish()
        for _ in range(2):
            await make(house)
        for path, body in (("email_templates", {"email_template": NEW}), ("templates", NEW)):
            answer = await house.ask("POST", path, body)
            assert (answer.status, answer.json) == (422, {"errors": {"base": [FULL]}})

    @pytest.mark.parametrize("wanted", ["0", "x", "9" * 19, "-1", "1.0"])
    async def test_ids_that_are_none(self, house: MailtrapHouse, wanted: str) -> None:
        for path in (f"email_templates/{wanted}", f"templates/{wanted}", f"email_templates/{wanted}/versions"):
            answer = await house.ask("GET", path)
            assert (answer.status, answer.json) == NOT_FOUND


# --- rights --------------------------------------------------------------------------------------------------------

READS = [("GET", ""), ("GET", "/{}"), ("GET", "/{}/versions"), ("GET", "/{}/versions/1"), ("GET", "/{}/test_data")]
READS += [("POST", "/{}/preview")]
WRITES = [
    ("POST", ""),
    ("PATCH", "/{}"),
    ("POST", "/{}/versions/1/restore"),
    ("PUT", "/{}/test_data"),
    ("DELETE", "/{}"),
]


class TestRights(OnSqlite):
    @pytest.mark.parametrize(
        ("kind", "level", "reads", "writes"),
        [
            (Resource.ACCOUNT, ADMIN, True, True),
            (Resource.ACCOUNT, VIEWER, True, False),
            (Resource.TEMPLATES, ADMIN, True, True),
            (Resource.TEMPLATES, VIEWER, True, False),
            (Resource.CAMPAIGNS, ADMIN, False, False),
            (Resource.DOMAIN, ADMIN, False, False),
        ],
        ids=str,
    )
    async def test_who_may_what(
        self, house: MailtrapHouse, kind: Resource, level: int, reads: bool, writes: bool
    ) -> None:
        made = await make(house)
        granted = Grant(kind, house.domain if kind is Resource.DOMAIN else house.account, level)
        token = await house.token(granted)
        for allowed, asked in ((reads, READS), (writes, WRITES)):
            for method, path in asked:
                target = f"email_templates{path.format(made['id'])}"
                body = {} if method == "PUT" else {"email_template": NEW}
                answer = await house.ask(method, target, body if method != "GET" else None, token=token)
                if allowed:
                    assert answer.status in (200, 201, 204), (method, target, answer.body)
                else:
                    assert (answer.status, answer.json) == FORBIDDEN, (method, target)
        flat = await house.ask("GET", "templates", token=token, legacy=False)
        assert flat.status == (200 if reads else 403)

    async def test_a_foreign_template_is_not_there(self, house: MailtrapHouse) -> None:
        made = await make(house)
        foreign = await house.token(Grant(Resource.ACCOUNT, house.foreign, ADMIN), account=house.foreign)
        for method, path in (*READS[1:], *WRITES[1:]):
            body = None if method == "GET" else {"email_template": NEW}
            target = f"email_templates{path.format(made['id'])}"
            answer = await house.ask(method, target, body, token=foreign, account=house.foreign)
            assert (answer.status, answer.json) == NOT_FOUND, (method, path)
        assert (await house.ask("GET", "email_templates", token=foreign, account=house.foreign)).json == []

    async def test_an_own_right_on_templates_is_none_on_those_of_a_sister_account(self, house: MailtrapHouse) -> None:
        organization = await house.organize()
        grants = [
            Grant(Resource.ORGANIZATION, organization, VIEWER),
            Grant(Resource.TEMPLATES, house.account, ADMIN),
        ]
        token = await house.token(*grants)
        owner = await house.token(Grant(Resource.ORGANIZATION, organization, ADMIN))
        sister = (
            await house.ask(
                "POST",
                f"organizations/{organization}/sub_accounts",
                {"account": {"name": "Sister"}},
                token=owner,
                legacy=False,
            )
        ).json["id"]
        body = {"email_template": NEW}
        assert (await house.ask("POST", "email_templates", body, token=token)).status == 201
        assert (await house.ask("GET", "email_templates", token=token, account=sister)).status == 200
        refused = await house.ask("POST", "email_templates", body, token=token, account=sister)
        assert (refused.status, refused.json) == FORBIDDEN
