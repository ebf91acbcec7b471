"""``email_logs/export``: the whole log in both forms, read in short steps, and never a formula in a cell."""

import csv
import io
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from mailferry.endpoints.mailtrap import logs
from mailferry.journal import search
from mailferry.journal.events import State
from mailferry.journal.ids import Ids
from mailferry.resources.permissions import VIEWER, Grant, Resource
from mailferry.store.database import Database
from tests.asgi import Answer
from tests.conftest import Clock
from tests.fakes.journal import write_message, write_story
from tests.mailtrap_house import MailtrapHouse


@pytest.fixture
async def house(database: Database, clock: Clock) -> MailtrapHouse:
    return await MailtrapHouse(database, clock).furnish()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "STRETCH", 2)


async def write(house: MailtrapHouse, *addresses: str, **columns: Any) -> list[str]:
    house.clock.forward(seconds=1)
    given = {"account_id": house.account, "domain_id": house.domain} | columns
    return await house.database.write(lambda c: write_message(c, Ids(house.clock), house.clock(), addresses, **given))


async def export(house: MailtrapHouse, query: str = "", **how: Any) -> Answer:
    answer = await house.ask("GET", f"email_logs/export?{query}", **how)
    assert answer.status == 200, answer.body
    return answer


def cells(answer: Answer) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.body.decode())))


def lines(answer: Answer) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in answer.body.splitlines()]


@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "current"])
async def test_both_forms_have_what_the_list_has(house: MailtrapHouse, short: None, legacy: bool) -> None:
    for number in range(5):
        await write(
            house, f"p{number}@x.test", f"q{number}@x.test", category="orders", custom_variables='{"a":"é,\\""}'
        )
    listed = (await house.ask("GET", "email_logs", legacy=legacy)).json["messages"]
    assert len(listed) == 10
    jsonl = await export(house, "format=jsonl", legacy=legacy)
    assert jsonl.headers["content-type"] == "application/x-ndjson"
    assert lines(jsonl) == listed
    found = await export(house, legacy=legacy)
    assert found.headers["content-type"] == "text/csv; charset=utf-8"
    assert found.headers["content-disposition"] == 'attachment; filename="email-logs.csv"'
    rows = cells(found)
    assert [row["message_id"] for row in rows] == [each["message_id"] for each in listed]
    first = listed[0]
    assert msgspec.json.decode(rows[0]["custom_variables"]) == first["custom_variables"] == {"a": 'é,"'}
    assert (rows[0]["opens_count"], rows[0]["client_ip"]) == ("0", "")
    domain = "sending_domain_id" if legacy else "domain_id"
    assert list(first) == list(logs.members(domain))
    assert list(rows[0]) == [name for name in first if name not in ("in_reply_to", "references", "thread_id")]


async def test_an_empty_log(house: MailtrapHouse) -> None:
    assert cells(await export(house)) == []
    assert (await export(house)).body.startswith(b"message_id,status,")
    assert (await export(house, "format=jsonl")).body == b""


async def test_filters_are_those_of_the_list(house: MailtrapHouse, short: None) -> None:
    """What is wanted lies behind stretches that hold nothing of it."""
    (wanted,) = await write(house, "bob@x.test")
    await house.database.write(lambda c: write_story(c, wanted, State.BOUNCED, response="no such user"))
    for number in range(7):
        await write(house, f"p{number}@x.test")
    bounced = "filters[status][operator]=equal&filters[status][value]=not_delivered"
    assert [row["to"] for row in cells(await export(house, bounced))] == ["bob@x.test"]
    people = "filters[to][operator]=ci_contain&filters[to][value]=P"
    assert [row["to"] for row in cells(await export(house, people))] == [f"p{n}@x.test" for n in reversed(range(7))]
    begun = (await house.ask("GET", "email_logs")).json["messages"][1]["message_id"]
    assert [row["to"] for row in cells(await export(house, f"search_after={begun}"))][:1] == ["p4@x.test"]


async def test_no_read_is_longer_than_a_stretch(
    house: MailtrapHouse, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        await write(house, f"p{number}@x.test")
    found: list[int] = []
    walk = search.walk

    def counted(connection: Connection, query: search.Query) -> search.Stretch:
        stretch = walk(connection, query)
        found.append(len(stretch.entries))
        return stretch

    monkeypatch.setattr(search, "walk", counted)
    assert len(cells(await export(house))) == 5
    assert found == [2, 2, 1]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
async def test_no_cell_is_a_formula(house: MailtrapHouse, start: str) -> None:
    subject = f'{start}HYPERLINK("http://x.test","Click")'
    await write(house, "bob@x.test", subject=subject)
    assert cells(await export(house))[0]["subject"] == f"'{subject}"
    assert lines(await export(house, "format=jsonl"))[0]["subject"] == subject


async def test_a_token_of_a_domain_exports_that_domain(house: MailtrapHouse, short: None) -> None:
    for number in range(4):
        await write(house, f"p{number}@x.test", domain_id=house.other_domain if number % 2 else house.domain)
    token = await house.token(Grant(Resource.DOMAIN, house.other_domain, VIEWER))
    assert [row["to"] for row in cells(await export(house, token=token))] == ["p3@x.test", "p1@x.test"]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("format=xml", "'format' must be one of csv, jsonl"),
        ("filters[sent_after]=yesterday", "'sent_after' must be an ISO 8601 time"),
    ],
)
async def test_what_is_wrong_is_said_before_anything_is_sent(house: MailtrapHouse, query: str, text: str) -> None:
    answer = await house.ask("GET", f"email_logs/export?{query}")
    assert (answer.status, answer.json) == (400, {"error": text})


async def test_head_reads_nothing_more(house: MailtrapHouse) -> None:
    await write(house, "bob@x.test")
    answer = await house.ask("HEAD", "email_logs/export")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"


async def test_a_reader_that_fails_in_the_middle_ends_without_an_end(
    house: MailtrapHouse, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a log must not look like a whole one."""
    for number in range(5):
        await write(house, f"p{number}@x.test")
    walk: Callable[..., search.Stretch] = search.walk

    def stumbling(connection: Connection, query: search.Query) -> search.Stretch:
        if query.older_than:
            raise RuntimeError("the database is away")
        return walk(connection, query)

    monkeypatch.setattr(search, "walk", stumbling)
    with pytest.raises(RuntimeError, match="away"):
        await house.ask("GET", "email_logs/export")
