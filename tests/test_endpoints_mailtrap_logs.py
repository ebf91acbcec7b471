"""``email_logs`` as its clients see it: both path families, filters in every form, words of events, the SDK's models."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mailtrap.models.email_logs import (
    EmailLogMessage,
    EmailLogsListFilters,
    filter_ci_contain,
    filter_events_include,
    filter_sending_domain_id_equal,
    filter_status_equal,
    filter_string_not_empty,
)
from requests import Request

from mailferry.consumers.mailtrap_words import (
    DETAILS,
    EVENT_TYPE,
    KIND,
    REASONS,
    STANDING,
    STATUS,
    Told,
    details,
    payload,
)
from mailferry.endpoints.mailtrap.logs import _RULES
from mailferry.endpoints.mailtrap.query import parse
from mailferry.journal.conditions import FIELDS, Standing
from mailferry.journal.events import Kind, State
from mailferry.journal.ids import Ids
from mailferry.resources import domains
from mailferry.resources.domains.domain import JUDGED
from mailferry.resources.permissions import ADMIN, Resource, Rights
from mailferry.store.database import Database, open_database
from mailferry.store.migrations import migrate
from tests.conftest import Clock
from tests.fakes.journal import write_message, write_story
from tests.fakes.mailtrap_api import Api, with_token

LEGACY, NEW = "/api/accounts/7/email_logs", "/api/email_logs"


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    opened = open_database("", tmp_path, 1)
    await opened.write(migrate)
    yield opened
    await opened.close()


@pytest.fixture
def api(sqlite: Database) -> Api:
    return Api(db=sqlite)


@pytest.fixture
async def written(sqlite: Database, clock: Clock) -> list[str]:
    """Three messages, oldest first: delivered and opened, bounced, waiting."""
    ids = Ids(clock)
    found: list[str] = []

    async def write(address: str, **columns: Any) -> None:
        clock.forward(seconds=60)
        found.extend(await sqlite.write(lambda c: write_message(c, ids, clock(), [address], **columns)))

    await write(
        "Bob@example.net",
        category="orders",
        custom_variables='{"k":"v"}',
        client_ip="192.0.2.1",
        rfc_message_id="<1@x>",
    )
    await write("eve@example.net", stream="bulk", domain_id=6, subject="100% off")
    await write("zoe@example.net", subject="")
    way = {"local_ip": "198.51.100.4", "host": "mx.example.net"}
    provider = {"provider": "Google"}
    reply = way | {"code": 550, "enhanced": "5.1.1", "response": "no such user", "category": "badrecipient"}
    bob = [
        (Kind.ACCEPTED, 1000, {}),
        (Kind.DELIVERY, 2000, way | provider),
        (Kind.OPEN, 3005, {"ip": "203.0.113.9", "user_agent": "x"}),
    ]
    await sqlite.write(lambda c: write_story(c, found[0], State.DELIVERED, bob, **way))
    await sqlite.write(
        lambda c: write_story(c, found[1], State.BOUNCED, [(Kind.BOUNCE, 4000, reply)], response="no such user")
    )
    return found


async def names(api: Api, query: str, path: str = LEGACY) -> list[str]:
    answer = await api.call("GET", f"{path}?{query}")
    assert answer.status == 200, answer.body
    return [message["to"].partition("@")[0] for message in answer.json["messages"]]


# --- answers -------------------------------------------------------------------------------------------------------


async def test_the_list_in_both_families(api: Api, written: list[str]) -> None:
    legacy, new = (await api.call("GET", LEGACY)).json, (await api.call("GET", NEW + "/")).json
    assert (legacy["total_count"], legacy["next_page_cursor"]) == (3, None)
    assert legacy["messages"][2] == {
        "message_id": written[0],
        "status": "delivered",
        "rfc_message_id": "<1@x>",
        "in_reply_to": None,
        "references": [],
        "thread_id": None,
        "subject": "Hi",
        "from": "ann@shop.example",
        "to": "Bob@example.net",
        "sent_at": "2027-01-15T08:01:00.000Z",
        "client_ip": "192.0.2.1",
        "category": "orders",
        "custom_variables": {"k": "v"},
        "sending_stream": "transactional",
        "sending_domain_id": 5,
        "template_id": None,
        "template_variables": None,
        "opens_count": 1,
        "clicks_count": 0,
        "machine_opens_count": 0,
        "machine_clicks_count": 0,
    }
    for old, young in zip(legacy["messages"], new["messages"], strict=True):
        assert young == {name: value for name, value in old.items() if name != "sending_domain_id"} | {
            "domain_id": old["sending_domain_id"]
        }
    assert [message["status"] for message in legacy["messages"]] == ["enqueued", "not_delivered", "delivered"]
    empty = legacy["messages"][0]
    assert [empty[name] for name in ("subject", "client_ip", "category", "custom_variables", "rfc_message_id")] == [
        None
    ] * 5


async def test_the_template_of_a_message_and_its_variables(api: Api, sqlite: Database, clock: Clock) -> None:
    ids = Ids(clock)
    for columns in (
        {"template_id": 40423, "template_variables": '{"name":"Ann","items":[1,null]}'},
        {"template_id": 40423, "template_variables": "{}"},
        {"template_id": 40423},  # more variables than the log keeps
    ):
        await sqlite.write(lambda c, columns=columns: write_message(c, ids, clock(), **columns))
    listed = (await api.call("GET", LEGACY)).json["messages"]
    assert [(each["template_id"], each["template_variables"]) for each in reversed(listed)] == [
        (40423, {"name": "Ann", "items": [1, None]}),
        (40423, {}),
        (40423, None),
    ]


async def test_one_message_with_the_words_of_its_events(api: Api, written: list[str]) -> None:
    bob = (await api.call("GET", f"{LEGACY}/{written[0].upper()}")).json
    assert bob["events"] == [
        {
            "event_type": "delivery",
            "created_at": "1970-01-01T00:00:02.000Z",
            "details": {
                "sending_ip": "198.51.100.4",
                "recipient_mx": "mx.example.net",
                "email_service_provider": "Google",
            },
        },
        {
            "event_type": "open",
            "created_at": "1970-01-01T00:00:03.005Z",
            "details": {"web_ip_address": "203.0.113.9", "user_agent": "x", "machine": None, "machine_reason": None},
        },
    ]
    eve = (await api.call("GET", f"{NEW}/{written[1]}")).json
    assert eve["events"][0]["details"] == {
        "sending_ip": "198.51.100.4",
        "recipient_mx": "mx.example.net",
        "email_service_provider": None,
        "email_service_provider_status": "5.1.1",
        "email_service_provider_response": "no such user",
        "bounce_category": "badrecipient",
    }
    assert (eve["domain_id"], eve["raw_message_url"]) == (6, None)


@pytest.mark.parametrize("wanted", ["00000000-0000-7000-8000-000000000000", "x", "1", "%00", "' OR 1=1", "a" * 5000])
async def test_what_is_not_there(api: Api, written: list[str], wanted: str) -> None:
    for path in (LEGACY, NEW):
        answer = await api.call("GET", f"{path}/{wanted}")
        assert (answer.status, answer.json) == (404, {"error": "Not Found"})


async def test_a_token_of_a_domain_sees_that_domain(sqlite: Database, written: list[str]) -> None:
    api = Api(db=sqlite, credentials=with_token(rights=Rights(7, 0, {(Resource.DOMAIN, 6): ADMIN})))
    assert await names(api, "") == ["eve"]
    assert (await api.call("GET", f"{LEGACY}/{written[0]}")).status == 404
    assert await names(api, "filters[domain_id][operator]=equal&filters[domain_id][value]=5") == []


async def test_pages(api: Api, sqlite: Database, clock: Clock) -> None:
    people = [f"p{number}@example.net" for number in range(101)]
    await sqlite.write(lambda c: write_message(c, Ids(clock), clock(), people))
    first = (await api.call("GET", LEGACY)).json
    assert (len(first["messages"]), first["total_count"]) == (100, 101)
    assert first["next_page_cursor"] == first["messages"][-1]["message_id"]
    second = (await api.call("GET", f"{LEGACY}?search_after={first['next_page_cursor']}")).json
    assert ([message["to"] for message in second["messages"]], second["next_page_cursor"]) == ([people[0]], None)


async def test_head_is_as_good_as_get(api: Api) -> None:
    assert (await api.call("HEAD", LEGACY)).status == 200


# --- filters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("filters[to][operator]=ci_equal&filters[to][value]=bob@EXAMPLE.net", ["Bob"]),
        ("filters%5Bto%5D%5Boperator%5D=ci_not_equal&filters%5Bto%5D%5Bvalue%5D=bob@example.net", ["zoe", "eve"]),
        ("filters[to][operator]=ci_equal&filters[to][value][]=bob@example.net&filters[to][value][]=zoe@example.net", ["zoe", "Bob"]),
        ("filters[to][operator]=ci_equal&filters[to][value][1]=bob@example.net&filters[to][value][0]=zoe@example.net", ["zoe", "Bob"]),
        ("filters[to][operator]=ci_equal&filters[to][value]=bob@example.net&filters[to][value]=zoe@example.net", ["zoe", "Bob"]),
        ("filters[from][operator]=ci_contain&filters[from][value]=SHOP", ["zoe", "eve", "Bob"]),
        ("filters[from][operator]=ci_not_contain&filters[from][value]=SHOP", []),
        ("filters[subject][operator]=ci_contain&filters[subject][value]=0%25+o", ["eve"]),
        ("filters[subject][operator]=empty", ["zoe"]),
        ("filters[subject][operator]=not_empty&filters[subject][value]=", ["eve", "Bob"]),
        ("filters[status][operator]=equal&filters[status][value][]=enqueued&filters[status][value][]=delivered", ["zoe", "Bob"]),
        ("filters[status][operator]=not_equal&filters[status][value]=enqueued", ["eve", "Bob"]),
        ("filters[events][operator]=include_event&filters[events][value]=open", ["Bob"]),
        ("filters[events][operator]=not_include_event&filters[events][value][]=open&filters[events][value][]=bounce", ["zoe"]),
        ("filters[opens_count][operator]=greater_than&filters[opens_count][value]=0", ["Bob"]),
        ("filters[clicks_count][operator]=less_than&filters[clicks_count][value]=1", ["zoe", "eve", "Bob"]),
        ("filters[client_ip][operator]=contain&filters[client_ip][value]=192.0", ["Bob"]),
        ("filters[sending_ip][operator]=equal&filters[sending_ip][value]=198.51.100.4", ["Bob"]),
        ("filters[recipient_mx][operator]=ci_equal&filters[recipient_mx][value]=MX.example.net", ["Bob"]),
        ("filters[email_service_provider_response][operator]=ci_contain&filters[email_service_provider_response][value]=USER", ["eve"]),
        ("filters[email_service_provider][operator]=equal&filters[email_service_provider][value]=Google", ["Bob"]),
        ("filters[email_service_provider][operator]=not_equal&filters[email_service_provider][value]=Google", ["zoe", "eve"]),
        ("filters[category][operator]=equal&filters[category][value]=orders", ["Bob"]),
        ("filters[domain_id][operator]=equal&filters[domain_id][value][]=6", ["eve"]),
        ("filters[sending_domain_id][operator]=not_equal&filters[sending_domain_id][value]=6", ["zoe", "Bob"]),
        ("filters[sending_stream][operator]=equal&filters[sending_stream][value]=bulk", ["eve"]),
        ("filters[sent_after]=2027-01-15T08:02:00Z", ["zoe", "eve"]),
        ("filters[sent_before]=2027-01-15T08:02:00.000Z&filters[sent_after]=2027-01-15", ["eve", "Bob"]),
        ("filters[sent_after]=2027-01-15T10:02:00+02:00", ["zoe", "eve"]),
        ("filters[sent_after]=2027-01-15T10:02:00%2B02:00", ["zoe", "eve"]),
        ("filters[sent_after]=&filters[sent_before]=", ["zoe", "eve", "Bob"]),
        ("filters[subject][operator]=empty&filters[category][operator]=equal&filters[category][value]=x", []),
    ],
)  # fmt: skip
async def test_filters(api: Api, written: list[str], query: str, expected: list[str]) -> None:
    for path in (LEGACY, NEW):
        assert await names(api, query, path) == expected


@pytest.mark.parametrize(
    "query",
    [
        "filters[phase_of_moon][operator]=equal&filters[phase_of_moon][value]=full",
        "filters[to][operator]=sounds_like&filters[to][value]=bob",
        "filters[to][value]=bob@example.net",
        "filters[to][operator]=ci_equal",
        "filters=1&filters[]=2&[x]=3&filters[to=4&x]y=5&page=7",
        "&&=&;",
    ],
)
async def test_unknown_filters_are_ignored(api: Api, written: list[str], query: str) -> None:
    assert await names(api, query) == ["zoe", "eve", "Bob"]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("filters[sent_after]=yesterday", "'sent_after' must be an ISO 8601 time"),
        ("filters[sent_before]=2027-13-01", "'sent_before' must be an ISO 8601 time"),
        ("filters[sent_after]=2027-01-02&filters[sent_before]=2027-01-01", "'sent_after' must not be later than 'sent_before'"),
        (
            "filters[status][operator]=equal&filters[status][value]=lost",
            "'status' must be one of enqueued, delivered, not_delivered, opted_out",
        ),
        ("filters[domain_id][operator]=equal&filters[domain_id][value]=x", "'domain_id' must be an integer"),
        ("filters[opens_count][operator]=equal&filters[opens_count][value]=" + "9" * 900, "'opens_count' must be an integer"),
        (
            "filters[sending_stream][operator]=equal&filters[sending_stream][value]=both",
            "'sending_stream' must be one of transactional, bulk",
        ),
        ("search_after=1", "'search_after' must be the next_page_cursor of a page"),
        ("filters[to][operator]=ci_contain&filters[to][value]=" + "x" * 1001, "'filters' is too long (maximum is 1000 characters)"),
        ("filters[to][operator]=ci_contain&filters[to][value]=%00", "'filters' must not contain a NUL character"),
        ("a=1&" * 1001, "too many query parameters (maximum is 1000)"),
    ],
)  # fmt: skip
async def test_values_that_make_no_sense_are_400(api: Api, query: str, text: str) -> None:
    answer = await api.call("GET", f"{NEW}?{query}")
    assert (answer.status, answer.json) == (400, {"error": text})


async def test_what_is_no_utf8_in_a_query_is_not_our_end(api: Api) -> None:
    assert (await api.call("GET", f"{NEW}?filters[to][operator]=ci_equal&filters[to][value]=%ff%fe")).status == 200


def test_arrays_in_all_their_forms_are_one() -> None:
    for query in (b"ids[]=1&ids[]=2", b"ids=1&ids=2", b"ids[0]=1&ids[1]=2", b"ids%5B%5D=1&ids%5B%5D=2"):
        assert parse(query) == [(("ids",), "1"), (("ids",), "2")]


# --- words and models ----------------------------------------------------------------------------------------------


def test_every_standing_and_kind_has_its_word() -> None:
    assert set(STATUS) == set(Standing) and len(STANDING) == len(Standing)
    assert set(Kind) - set(EVENT_TYPE) == {Kind.ACCEPTED, Kind.THROTTLED, Kind.CANCELLED, Kind.ALERT, Kind.AUDIT}
    assert set(DETAILS) == set(EVENT_TYPE) and len(KIND) == len(EVENT_TYPE)


def test_why_a_domains_mail_waits_is_told_in_sentences() -> None:
    """In the log and to webhooks alike; what is a sentence already, stays as it is."""
    words = {domains.hold_reason(state, False, gone) for state in JUDGED for gone in (0, 1)}
    assert words == set(REASONS)
    told = Told(Kind.SUSPENSION, 0, {}, "", "", "", "bulk", "", "", {})
    for word in (*words, "Recipient in suppression list. Reason: unsubscription"):
        for kind in (Kind.SUSPENSION, Kind.REJECT):
            said = details(kind, {"reason": word})["reject_reason"]
            assert said == payload(replace(told, kind=kind, facts={"reason": word}))["reason"]
            assert said and " " in said and "_" not in said
            assert word in REASONS or said == word


def test_every_rule_asks_for_a_field_that_the_journal_has() -> None:
    assert {rule.field for rule in _RULES.values()} == set(FIELDS) - {"state"}  # which operators ask for


async def test_the_official_sdk_s_filters_and_models(api: Api, written: list[str]) -> None:
    filters = EmailLogsListFilters(
        sent_after="2027-01-01T00:00:00Z",
        to=filter_ci_contain("example"),
        subject=filter_string_not_empty(),
        status=filter_status_equal(["delivered", "not_delivered"]),
        events=filter_events_include(["open", "click"]),
        sending_domain_id=filter_sending_domain_id_equal([5, 6]),
    )
    target = Request("GET", "https://mailtrap.io" + LEGACY, params=filters.to_params()).prepare().path_url
    (message,) = (await api.call("GET", target)).json["messages"]
    assert EmailLogMessage.from_api(message).custom_variables == {"k": "v"}
    for recipient_id in written:
        story = EmailLogMessage.from_api((await api.call("GET", f"{LEGACY}/{recipient_id}")).json)
        assert story.message_id == recipient_id
