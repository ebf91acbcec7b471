"""``suppressions`` over Mailtrap's API: the list and its filters, one more, one less, who may see what; both databases."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from mailtrap.models.suppressions import Suppression as SdkSuppression
from sqlalchemy import select

from mailferry.endpoints.mailtrap.rates import Rates
from mailferry.journal.events import State
from mailferry.journal.ids import Ids
from mailferry.resources import suppressions
from mailferry.resources.permissions import ADMIN, VIEWER, Grant, Resource
from mailferry.resources.suppressions import entry
from mailferry.store.database import Database
from mailferry.store.schema import audit_log, suppression_history
from tests.asgi import Answer
from tests.conftest import Clock
from tests.fakes.journal import write_message, write_story
from tests.mailtrap_house import MailtrapHouse

FAMILIES = pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "current"])
EMPTY = (
    *("domain_name", "message_bounce_category", "message_category", "message_client_ip", "message_created_at"),
    *("message_esp_response", "message_esp_server_type", "message_outgoing_ip", "message_recipient_mx_name"),
    *("message_sender_email", "message_subject"),
)


@pytest.fixture
async def house(database: Database, clock: Clock) -> AsyncIterator[MailtrapHouse]:
    yield await MailtrapHouse(database, clock).furnish()


async def put(house: MailtrapHouse, *entries: dict[str, Any]) -> None:
    await house.database.write(lambda connection: suppressions.add(connection, entries))


async def listed(house: MailtrapHouse, query: str = "", **how: Any) -> list[str]:
    found = await house.ask("GET", f"suppressions?{query}", **how)
    assert found.status == 200, found.body
    return [each["email"].partition("@")[0] for each in found.json]


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat().replace("+00:00", "Z")


# --- the list ------------------------------------------------------------------------------------------------------


@FAMILIES
async def test_one_without_a_story_has_empty_strings(house: MailtrapHouse, clock: Clock, legacy: bool) -> None:
    clock.now += 250
    row = entry(house.account, "Ann@x.test", clock.now)
    await put(house, row)
    (shown,) = (await house.ask("GET", "suppressions", legacy=legacy)).json
    expected = {"id": row["id"], "type": "manual import", "created_at": "2027-01-15T08:00:00Z", "email": "ann@x.test"}
    assert shown == expected | {"sending_stream": "any"} | dict.fromkeys(EMPTY, "")
    SdkSuppression(**shown)


async def test_a_hard_bounce_tells_its_story(house: MailtrapHouse, clock: Clock) -> None:
    ids = Ids(clock)

    def write(connection: Any) -> str:
        columns = {"category": "orders", "client_ip": "192.0.2.1", "sender": "app@a.test", "subject": "Grüße"}
        (recipient,) = write_message(connection, ids, clock(), ["ann@x.test"], account_id=house.account, **columns)
        write_story(connection, recipient, State.BOUNCED, at=clock() + 2500, host="mx.x.test", local_ip="198.51.100.4")
        return str(recipient)

    recipient = await house.database.write(write)
    row = entry(
        house.account,
        "ann@x.test",
        clock() + 2500,
        domain_id=house.domain,
        stream="bulk",
        type="hard bounce",
        category="badrecipient",
        response="550 5.1.1 no",
    )
    await put(house, row | {"recipient_id": recipient})
    answer = await house.ask("GET", "suppressions")
    assert answer.json == [
        {
            "id": row["id"],
            "type": "hard bounce",
            "created_at": "2027-01-15T08:00:02Z",
            "email": "ann@x.test",
            "sending_stream": "bulk",
            "domain_name": "a.test",
            "message_bounce_category": "badrecipient",
            "message_category": "orders",
            "message_client_ip": "192.0.2.1",
            "message_created_at": "2027-01-15T08:00:00Z",
            "message_esp_response": "550 5.1.1 no",
            "message_esp_server_type": "",
            "message_outgoing_ip": "198.51.100.4",
            "message_recipient_mx_name": "mx.x.test",
            "message_sender_email": "app@a.test",
            "message_subject": "Grüße",
        }
    ]
    SdkSuppression(**answer.json[0])
    gone = await house.ask("DELETE", f"suppressions/{row['id']}")
    assert (gone.status, gone.json) == (200, answer.json[0])


async def test_a_thousand_newest_first_and_the_rest_behind_the_cursor(house: MailtrapHouse, clock: Clock) -> None:
    await put(house, *(entry(house.account, f"r{n}@x.test", clock() - n * 1000) for n in range(1205)))
    first = (await house.ask("GET", "suppressions")).json
    rest = (await house.ask("GET", f"suppressions?last_id={first[-1]['id'].upper()}", legacy=False)).json
    assert [each["email"] for each in first + rest] == [f"r{n}@x.test" for n in range(1205)]
    assert (len(first), len(rest)) == (1000, 205)
    assert (await house.ask("GET", f"suppressions?last_id={rest[-1]['id']}")).json == []


async def test_filters(house: MailtrapHouse, clock: Clock) -> None:
    await put(
        house,
        entry(house.account, "new+er@x.test", clock() + 500),
        entry(house.account, "old@x.test", clock() - 3_600_000),
        entry(house.foreign, "foreign@x.test", clock()),
    )
    shown = iso(clock())
    for query, expected in (
        ("", ["new+er", "old"]),
        ("email=OLD@X.test", ["old"]),
        ("email=new%2Ber@x.test", ["new+er"]),
        ("email=new+er@x.test", ["new+er"]),
        ("email=nobody@x.test", []),
        ("email=no address", []),
        ("email=&start_time=&end_time=&last_id=", ["new+er", "old"]),
        ("unknown=1&limit=x&email[]=old@x.test", ["old"]),
        # The second that an answer shows finds the suppression again.
        (f"start_time={shown}&end_time={shown}", ["new+er"]),
        (f"start_time={shown.replace('Z', '+00:00')}", ["new+er"]),
        ("end_time=2027-01-15T07:59:59", ["old"]),
        ("start_time=2027-01-15T09:30:00%2B01:00&end_time=2027-01-15T09:00", []),
        ("start_time=2027-01-15T08:00:00.501Z", []),
        ("start_time=0001-01-01&end_time=9999-12-31T23:59:59Z", ["new+er", "old"]),
    ):
        assert await listed(house, query.replace(" ", "%20")) == expected, query


async def test_values_that_make_no_sense(house: MailtrapHouse) -> None:
    for query, text in (
        ("start_time=yesterday", "'start_time' must be an ISO 8601 time"),
        ("end_time=2027-13-01", "'end_time' must be an ISO 8601 time"),
        ("end_time=1576591113", "'end_time' must be an ISO 8601 time"),
        ("start_time=2027-01-02&end_time=2027-01-01", "'start_time' must not be later than 'end_time'"),
        ("last_id=7", "'last_id' must be the id of a suppression"),
        ("email=%00", "'email' must not contain a NUL character"),
    ):
        for legacy in (True, False):
            answer = await house.ask("GET", f"suppressions?{query}", legacy=legacy)
            assert (answer.status, answer.json) == (400, {"error": text}), query


# --- one more, one less --------------------------------------------------------------------------------------------


def body(house: MailtrapHouse, **changes: Any) -> dict[str, Any]:
    return {"email": "Ann@X.test", "domain_id": house.domain, "sending_stream": "bulk"} | changes


@FAMILIES
async def test_one_is_added_and_reactivated(house: MailtrapHouse, clock: Clock, legacy: bool) -> None:
    made = await house.ask("POST", "suppressions", body(house), legacy=legacy)
    assert made.status == 201 and list(made.json) == ["data"]
    shown = made.json["data"]
    assert (shown["email"], shown["type"]) == ("ann@x.test", "manual import")
    assert (shown["domain_name"], shown["sending_stream"]) == ("a.test", "bulk")
    assert (await house.ask("GET", "suppressions", legacy=not legacy)).json == [shown]

    again = await house.ask("POST", "suppressions", body(house, type="spam complaint"), legacy=legacy)
    assert (again.status, again.json) == (422, {"errors": {"email": ["has already been taken"]}})
    other = await house.ask("POST", "suppressions", body(house, sending_stream="transactional", type="unsubscription"))
    assert other.status == 201 and other.json["data"]["type"] == "unsubscription"

    gone = await house.ask("DELETE", f"suppressions/{shown['id'].upper()}", legacy=legacy)
    assert (gone.status, gone.json) == (200, shown)
    twice = await house.ask("DELETE", f"suppressions/{shown['id']}", legacy=legacy)
    assert (twice.status, twice.json) == (404, {"error": "Not Found"})

    told = await house.database.read(lambda c: c.execute(select(suppression_history)).all())
    assert [(row.action, row.actor, row.at) for row in told] == [
        (action, "api_token 1 Admin", clock()) for action in ("created", "created", "deleted")
    ]
    noted = await house.database.read(lambda c: c.execute(select(audit_log).order_by(audit_log.c.id)).all())
    events = [(row.event, row.resource_name) for row in noted if row.resource_type == "suppression"]
    assert events == [(f"suppression.{event}", "ann@x.test") for event in ("created", "created", "deleted")]


STREAM_WRONG = "is invalid. Allowed values: transactional, bulk."


async def test_what_is_not_valid(house: MailtrapHouse) -> None:
    for changes, errors in (
        ({"email": None}, {"email": ["can't be blank"]}),
        ({"email": "ann"}, {"email": ["is invalid: an address must have an @"]}),
        ({"email": 7}, {"email": ["must be a string"]}),
        ({"domain_id": None}, {"domain": ["can't be blank"]}),
        ({"domain_id": "x"}, {"domain_id": ["is not a number"]}),
        ({"domain_id": 10**18}, {"domain": ["must be a domain of this account"]}),
        ({"sending_stream": None}, {"sending_stream": [STREAM_WRONG]}),
        ({"sending_stream": "any"}, {"sending_stream": [STREAM_WRONG]}),
        ({"sending_stream": ["bulk"]}, {"sending_stream": [STREAM_WRONG]}),
        ({"type": "bounce"}, {"type": [f"is invalid. Allowed values: {', '.join(suppressions.TYPES)}."]}),
    ):
        answer = await house.ask("POST", "suppressions", body(house, **changes), legacy=False)  # type: ignore[arg-type]  # by name
        assert (answer.status, answer.json) == (422, {"errors": errors}), changes
    assert await listed(house) == []


async def test_all_that_is_wrong_is_told_at_once_in_the_contracts_words(house: MailtrapHouse) -> None:
    answer = await house.ask("POST", "suppressions", {})
    blank = ["can't be blank"]
    assert answer.status == 422
    assert answer.json == {"errors": {"email": blank, "domain": blank, "sending_stream": [STREAM_WRONG]}}


async def test_what_is_not_there(house: MailtrapHouse) -> None:
    for identity in ("7", "nonsense", "00000000-0000-7000-8000-000000000000", "%00"):
        answer = await house.ask("DELETE", f"suppressions/{identity}")
        assert (answer.status, answer.json) == (404, {"error": "Not Found"}), identity


# --- rights --------------------------------------------------------------------------------------------------------


async def test_a_token_of_one_domain_sees_and_changes_its_own(house: MailtrapHouse, clock: Clock) -> None:
    rows = {
        "own": entry(house.account, "own@x.test", clock(), domain_id=house.domain),
        "other": entry(house.account, "other@x.test", clock(), domain_id=house.other_domain),
        "all": entry(house.account, "all@x.test", clock()),
        "foreign": entry(house.foreign, "foreign@x.test", clock(), domain_id=house.foreign_domain),
    }
    await put(house, *rows.values())
    token = await house.token(
        Grant(Resource.DOMAIN, house.domain, ADMIN), Grant(Resource.DOMAIN, house.other_domain, VIEWER)
    )
    assert sorted(await listed(house, token=token)) == ["other", "own"]
    assert await listed(house, "email=all@x.test", token=token) == []

    async def lift(name: str) -> Answer:
        return await house.ask("DELETE", f"suppressions/{rows[name]['id']}", token=token)

    assert [(await lift(name)).status for name in ("all", "foreign", "other", "own")] == [404, 404, 403, 200]
    statuses = [
        (await house.ask("POST", "suppressions", body(house, domain_id=domain), token=token)).status
        for domain in (house.domain, house.other_domain, house.foreign_domain)
    ]
    assert statuses == [201, 403, 422]
    assert sorted(await listed(house)) == ["all", "ann", "other"]


async def test_a_viewer_looks_and_a_stranger_does_not(house: MailtrapHouse, clock: Clock) -> None:
    row = entry(house.account, "a@x.test", clock())
    await put(house, row)
    viewer = await house.viewer()
    assert await listed(house, token=viewer) == ["a"]
    for method, path, sent in (("POST", "suppressions", body(house)), ("DELETE", f"suppressions/{row['id']}", None)):
        answer = await house.ask(method, path, sent, token=viewer)
        assert (answer.status, answer.json) == (403, {"errors": "Access forbidden"})
    stranger = await house.token(Grant(Resource.PROJECT, house.project, ADMIN))
    foreigner = await house.token(Grant(Resource.ACCOUNT, house.foreign, ADMIN), account=house.foreign)
    assert (await house.ask("GET", "suppressions", token=stranger)).status == 403
    assert (await house.ask("GET", "suppressions", token=foreigner)).json == {"errors": "Account access forbidden"}
    assert (await house.ask("GET", "suppressions", token=foreigner, legacy=False)).json == []
    assert (await house.ask("DELETE", f"suppressions/{row['id']}", token=foreigner, legacy=False)).status == 404
    wrong = await house.ask("GET", "suppressions", token="0" * 32)
    assert (wrong.status, wrong.json) == (401, {"error": "Incorrect API token"})


async def test_ten_requests_a_minute_of_whatever_kind_and_family(database: Database, clock: Clock) -> None:
    house = await MailtrapHouse(database, clock, rates=Rates(clock, 1)).furnish()
    for number in range(5):
        assert (await house.ask("GET", "suppressions", legacy=bool(number % 2))).headers["x-ratelimit-limit"] == "10"
        assert (await house.ask("DELETE", "suppressions/7")).status == 404
    refused = await house.ask("POST", "suppressions", body(house))
    assert (refused.status, refused.json) == (429, {"errors": "Rate limit exceeded"})
    assert (refused.headers["x-ratelimit-remaining"], refused.headers["retry-after"]) == ("0", "60")
    clock.forward(seconds=60)
    assert (await house.ask("POST", "suppressions", body(house))).status == 201
