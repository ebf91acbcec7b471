"""What Mailferry adds to templates: versions that come back, test data, and a look at the message."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from mailferry.store.database import Database
from tests.conftest import Clock
from tests.mailtrap_domains import FAMILIES, NOT_FOUND
from tests.mailtrap_house import MailtrapHouse

NEW = {
    "name": "Welcome",
    "category": "c",
    "subject": "Hi {{name}}",
    "body_html": "<p>{{#each items}}{{price}} {{/each}}</p>",
}


@pytest.fixture
async def house(database: Database, clock: Clock) -> AsyncIterator[MailtrapHouse]:
    yield await MailtrapHouse(database, clock).furnish()


class Asked:
    """One template, asked about below its path."""

    def __init__(self, house: MailtrapHouse, legacy: bool = True) -> None:
        self.house, self.legacy = house, legacy
        self.path = ""

    async def make(self, **changes: Any) -> "Asked":
        made = await self.house.ask("POST", "email_templates", {"email_template": NEW | changes})
        self.path = f"email_templates/{made.json['id']}"
        return self

    async def __call__(self, method: str, path: str = "", body: Any = None, status: int = 200) -> Any:
        answer = await self.house.ask(method, self.path + path, body, legacy=self.legacy)
        assert answer.status == status, answer.body
        return answer.json

    async def change(self, **changes: Any) -> Any:
        return await self("PATCH", "", {"email_template": changes})

    async def look(self, body: Any = None, status: int = 200) -> Any:
        return await self("POST", "/preview", body or {}, status)


@FAMILIES
async def test_versions_are_listed_read_and_restored(house: MailtrapHouse, clock: Clock, legacy: bool) -> None:
    ask = await Asked(house, legacy).make()
    await ask.change(name="Renamed")
    clock.forward(seconds=1)
    await ask.change(body_html=None, body_text="Bye ü")
    listed = await ask("GET", "/versions")
    first = {
        "version": 1,
        "subject": "Hi {{name}}",
        "size": len(NEW["subject"] + NEW["body_html"]),
        "created_by": "Admin",
        "created_at": "2027-01-15T08:00:00.000Z",
        "current": False,
    }
    second = first | {"version": 2, "size": 17, "created_at": "2027-01-15T08:00:01.000Z", "current": True}
    assert listed == {"data": [second, first]}
    assert await ask("GET", "/versions/1") == {"data": first | {"body_html": NEW["body_html"], "body_text": None}}
    assert await ask("GET", "/versions/3", status=404) == NOT_FOUND[1]

    restored = await ask("POST", "/versions/1/restore")
    assert (restored["name"], restored["body_html"], restored["body_text"]) == ("Renamed", NEW["body_html"], None)
    assert restored == await ask("GET")
    assert [each["version"] for each in (await ask("GET", "/versions"))["data"]] == [3, 2, 1]
    assert await ask("POST", "/versions/9/restore", status=404) == NOT_FOUND[1]


@FAMILIES
async def test_test_data_is_kept_and_made_up(house: MailtrapHouse, legacy: bool) -> None:
    ask = await Asked(house, legacy).make()
    suggested = {"name": "Test_Name", "items": [{"price": "Test_Price"}]}
    assert await ask("GET", "/test_data") == {"template_variables": {}, "suggested": suggested}
    assert await ask.look() == {"subject": "Hi Test_Name", "html": "<p>Test_Price </p>", "text": None}

    data = {"name": "Ö", "items": [{"price": 1}, {"price": 2.5}]}
    assert (await ask("PUT", "/test_data", {"template_variables": data}))["template_variables"] == data
    assert (await ask("GET", "/test_data"))["template_variables"] == data
    assert await ask.look() == {"subject": "Hi Ö", "html": "<p>1 2.5 </p>", "text": None}
    assert [each["version"] for each in (await ask("GET", "/versions"))["data"]] == [1], "test data make no version"
    assert (await ask("PUT", "/test_data", {}))["template_variables"] == {}

    for wrong, text in (([], "must be an object"), ({"a": "x" * 65536}, "is too long (maximum is 65536 bytes)")):
        answer = await ask("PUT", "/test_data", {"template_variables": wrong}, 422)
        assert answer == {"errors": {"template_variables": [text]}}


async def test_a_preview_of_what_is_given_and_of_old_versions(house: MailtrapHouse) -> None:
    ask = await Asked(house).make()
    await ask.change(subject="Bye {{name}}")
    given = {"template_variables": {"name": "<Ann>"}}
    assert (await ask.look(given))["subject"] == "Bye &lt;Ann&gt;"
    assert (await ask.look(given | {"version": 1}))["subject"] == "Hi &lt;Ann&gt;"
    draft = {"subject": "{{{name}}}", "body_html": None, "body_text": "{{missing}}."}
    assert await ask.look(given | draft) == {"subject": "<Ann>", "html": None, "text": "."}
    assert (await ask("GET"))["subject"] == "Bye {{name}}", "a preview keeps nothing"
    assert await ask.look({"version": 9}, 404) == NOT_FOUND[1]
    assert await ask.look({"template_variables": {}}) == {"subject": "Bye ", "html": "<p></p>", "text": None}


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"template_variables": 5}, {"template_variables": ["must be an object"]}),
        ({"version": "x"}, {"version": ["is not a number"]}),
        ({"body_html": "x{{#if"}, {"body_html": ["cannot be rendered: line 1, column 2: this tag is never closed"]}),
        ({"body_text": "{{> x}}"}, {"body_text": ['cannot be rendered: line 1, column 1: there is no partial "x"']}),
        ({"subject": "", "body_text": 5}, {"subject": ["can't be blank"], "body_text": ["must be a string"]}),
    ],
    ids=str,
)
@pytest.mark.parametrize("database_url", [""])
async def test_what_cannot_be_looked_at(house: MailtrapHouse, body: Any, errors: Any) -> None:
    ask = await Asked(house).make()
    assert await ask.look(body, 422) == {"errors": errors}


@pytest.mark.parametrize("database_url", [""])
async def test_a_hostile_preview_ends(house: MailtrapHouse) -> None:
    ask = await Asked(house).make()
    loops = "{{#each a}}{{#each ../a}}{{#each ../../a}}{{#each ../../../a}}x{{/each}}{{/each}}{{/each}}{{/each}}"
    answer = await ask.look({"body_html": loops, "template_variables": {"a": list(range(100))}}, 422)
    (text,) = answer["errors"]["body_html"]
    assert "this takes more than 250,000 steps" in text
