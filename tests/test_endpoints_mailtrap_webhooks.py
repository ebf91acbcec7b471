"""`.../webhooks` as its contract has it, in both path families, and the parts of it that are Mailferry's own."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update

from mailferry.net.http_call import Reply
from mailferry.resources.permissions import VIEWER, Grant, Resource
from mailferry.store.database import Database
from mailferry.store.schema import audit_log, webhook_deliveries, webhooks
from tests.asgi import Answer
from tests.conftest import Clock
from tests.mailtrap_house import MailtrapHouse

URL = "https://hooks.example.com/mailtrap"
NAMES = [
    "active",
    "domain_id",
    "event_types",
    "id",
    "inbound_inbox_id",
    "payload_format",
    "sending_stream",
    "url",
    "webhook_type",
]


@pytest.fixture
async def house(database: Database, clock: Clock) -> AsyncIterator[MailtrapHouse]:
    yield await MailtrapHouse(database, clock).furnish()


def body(**changes: Any) -> dict[str, Any]:
    given = {"url": URL, "webhook_type": "email_sending", "sending_stream": "transactional"}
    return {"webhook": given | {"event_types": ["delivery", "bounce"]} | changes}


async def made(house: MailtrapHouse, **changes: Any) -> dict[str, Any]:
    answer = await house.ask("POST", "webhooks", body(**changes))
    assert answer.status == 200, answer.body
    return dict(answer.json["data"])


async def errors(house: MailtrapHouse, **changes: Any) -> dict[str, list[str]]:
    answer = await house.ask("POST", "webhooks", body(**changes))
    assert answer.status == 422, answer.body
    return dict(answer.json["errors"])


async def audited(house: MailtrapHouse) -> list[tuple[str, Any]]:
    rows = await house.database.read(lambda c: c.execute(select(audit_log).order_by(audit_log.c.id)).all())
    return [(row.event, msgspec.json.decode(row.changes)) for row in rows if row.resource_type == "webhook"]


@pytest.mark.parametrize("legacy", [True, False])
async def test_the_life_of_a_webhook(house: MailtrapHouse, legacy: bool) -> None:
    answer = await house.ask("POST", "webhooks", body(domain_id=house.domain), legacy=legacy)
    assert answer.status == 200
    webhook = answer.json["data"]
    assert sorted(webhook) == sorted([*NAMES, "signing_secret", "standard_webhooks_secret"])
    shown = {name: webhook[name] for name in NAMES}
    assert shown == {
        "id": webhook["id"],
        "url": URL,
        "active": True,
        "webhook_type": "email_sending",
        "inbound_inbox_id": None,
        "payload_format": "json",
        "sending_stream": "transactional",
        "domain_id": house.domain,
        "event_types": ["delivery", "bounce"],
    }
    assert (await house.ask("GET", "webhooks", legacy=legacy)).json == {"data": [shown]}
    path = f"webhooks/{webhook['id']}"
    assert (await house.ask("GET", path, legacy=legacy)).json == {"data": shown}
    change = {"webhook": {"active": False, "payload_format": "jsonlines", "event_types": ["spam_complaint"]}}
    shown |= change["webhook"]
    assert (await house.ask("PATCH", path, change, legacy=legacy)).json == {"data": shown}
    gone = await house.ask("DELETE", path, legacy=legacy)
    assert (gone.status, gone.json) == (200, {"data": shown})
    for method in ("GET", "PATCH", "DELETE"):
        again = await house.ask(method, path, change if method == "PATCH" else None, legacy=legacy)
        assert (again.status, again.json) == (404, {"error": "Not Found"})
    events = [event for event, _ in await audited(house)]
    assert events == ["webhook.created", "webhook.updated", "webhook.deleted"]


async def test_what_is_missing_is_told_as_at_mailtrap(house: MailtrapHouse) -> None:
    answer = await house.ask("POST", "webhooks", {"webhook": {"webhook_type": "email_sending"}})
    assert answer.status == 422
    assert answer.json["errors"] == {
        "url": ["can't be blank", "is invalid"],
        "event_types": ["can't be blank"],
        "sending_stream": ["can't be blank"],
    }


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "https://example.com:8080/"}, "url"),
        ({"url": "http://2130706433/"}, "url"),
        ({"url": 7}, "url"),
        ({"url": "https://example.com/\r\nX: y"}, "url"),
        ({"webhook_type": "campaigns"}, "webhook_type"),
        ({"webhook_type": "inbound_receiving"}, "webhook_type"),
        ({"webhook_type": "audit_log", "sending_stream": None}, "event_types"),
        ({"webhook_type": "audit_log", "event_types": []}, "sending_stream"),
        ({"webhook_type": "else"}, "webhook_type"),
        ({"payload_format": "xml"}, "payload_format"),
        ({"sending_stream": "any"}, "sending_stream"),
        ({"event_types": ["spam"]}, "event_types"),
        ({"event_types": "delivery"}, "event_types"),
        ({"event_types": [["delivery"]]}, "event_types"),
        ({"event_types": []}, "event_types"),
        ({"domain_id": 987654}, "domain_id"),
        ({"domain_id": "x"}, "domain_id"),
        ({"active": "maybe"}, "active"),
        ({"inbound_inbox_id": 4}, "inbound_inbox_id"),
    ],
)
async def test_what_is_wrong_is_told_by_its_field(house: MailtrapHouse, changes: dict[str, Any], field: str) -> None:
    assert list(await errors(house, **changes)) == [field]


async def test_a_password_is_sealed_and_shown_to_admins_alone(house: MailtrapHouse) -> None:
    url = "https://user:pa%3Ass@hooks.example.com/x"
    webhook = await made(house, url=url)
    assert webhook["url"] == url
    row = await house.database.read(lambda c: c.execute(select(webhooks)).one())
    assert row.url == "https://hooks.example.com/x" and b"user" not in row.userinfo_sealed
    assert webhook["signing_secret"].encode() not in row.secret_sealed
    viewer = await house.viewer()
    seen = await house.ask("GET", f"webhooks/{webhook['id']}", token=viewer)
    assert seen.json["data"]["url"] == "https://***@hooks.example.com/x"
    await house.ask("PATCH", f"webhooks/{webhook['id']}", {"webhook": {"url": "https://u:s3same@hooks.example.com/x"}})
    assert "s3same" not in str(await audited(house)) and "password" in (await audited(house))[-1][1]


async def test_viewers_look_and_admins_change(house: MailtrapHouse) -> None:
    webhook = await made(house)
    viewer = await house.viewer()
    of_domain = await house.token(Grant(Resource.DOMAIN, house.domain, VIEWER))
    path = f"webhooks/{webhook['id']}"
    for method, where, allowed in (
        ("GET", "webhooks", True),
        ("GET", path, True),
        ("GET", f"{path}/events", True),
        ("GET", f"{path}/attempts", True),
        ("GET", f"{path}/replays", True),
        ("POST", "webhooks", False),
        ("PATCH", path, False),
        ("DELETE", path, False),
        ("POST", f"{path}/test", False),
        ("POST", f"{path}/reset_secret", False),
        ("POST", f"{path}/replays", False),
    ):
        answer = await house.ask(method, where, None if method in ("GET", "DELETE") else {}, token=viewer)
        assert (answer.status == 200) is allowed, (method, where, answer.body)
        answer = await house.ask(method, where, None if method in ("GET", "DELETE") else {}, token=of_domain)
        assert answer.status == 403


async def test_another_accounts_webhook_is_not_found(house: MailtrapHouse) -> None:
    webhook = await made(house)
    await house.database.write(lambda c: c.execute(update(webhooks).values(account_id=house.foreign)) and None)
    for method, rest in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test"), ("GET", "/events")):
        given = {"webhook": {}} if method in ("PATCH", "POST") else None
        answer = await house.ask(method, f"webhooks/{webhook['id']}{rest}", given)
        assert answer.status == 404
    assert (await house.ask("GET", "webhooks")).json == {"data": []}
    assert (await house.ask("GET", "webhooks/99999999999999999999")).status == 404


async def test_a_test_tells_what_came_of_it(house: MailtrapHouse) -> None:
    webhook = await made(house, active=False)
    poster: Any = house.deps.poster
    poster.reply = Reply(500, body=b"broken\0", ms=3)
    answer = await house.ask("POST", f"webhooks/{webhook['id']}/test")
    assert answer.status == 200 and answer.json["data"] == {
        "success": False,
        "status": 500,
        "error": "answered 500; only 200 says that the events were taken",
        "response": "broken\ufffd",
        "duration_ms": 3,
    }
    poster.reply = Reply(200)
    assert (await house.ask("POST", f"webhooks/{webhook['id']}/test")).json["data"]["success"] is True
    (_, payloads), _ = poster.sent
    assert [msgspec.json.decode(each)["event"] for each in payloads] == ["delivery", "bounce"]
    listed = (await house.ask("GET", f"webhooks/{webhook['id']}/attempts")).json["data"]
    assert [(each["kind"], each["status"], each["events_count"]) for each in listed] == [
        ("test", 200, 2),
        ("test", 500, 2),
    ]


async def test_a_reset_makes_another_secret(house: MailtrapHouse) -> None:
    webhook = await made(house)
    answer = await house.ask("POST", f"webhooks/{webhook['id']}/reset_secret")
    assert answer.status == 200 and answer.json["data"]["signing_secret"] != webhook["signing_secret"]
    assert (await audited(house))[-1] == ("webhook.secret_reset", {})


async def test_replays_and_the_log(house: MailtrapHouse) -> None:
    webhook = await made(house)
    path = f"webhooks/{webhook['id']}"

    async def replay(**given: Any) -> Answer:
        return await house.ask("POST", f"{path}/replays", given)

    answer = await replay(**{"from": "2027-01-01T00:00:00Z", "to": "2027-01-02T00:00:00+00:00"})
    assert answer.status == 200 and answer.json["data"]["from"] == "2027-01-01T00:00:00.000Z"
    assert (await house.ask("GET", f"{path}/replays")).json["data"] == [answer.json["data"]]
    for given in ({}, {"from": "yesterday"}, {"from": 7}, {"from": "2027-01-03", "to": "2027-01-02"}, {"parked": 3}):
        assert (await replay(**given)).status == 422, given

    def park(connection: Any) -> None:
        row = {"webhook_id": webhook["id"], "state": "parked", "message_id": "m", "payload": "{}", "kind": "spam"}
        connection.execute(webhook_deliveries.insert().values(row))

    await house.database.write(park)
    (event,) = (await house.ask("GET", f"{path}/events?state=parked")).json["data"]
    assert (event["event"], event["state"], event["last_attempt"]) == ("spam_complaint", "parked", None)
    assert (await house.ask("GET", f"{path}/events?state=delivered")).json["data"] == []
    assert (await house.ask("GET", f"{path}/events?message_id=M&last_id={event['id'] + 1}")).json["data"] == [event]
    assert (await house.ask("GET", f"{path}/events?state=lost")).status == 400
    assert (await house.ask("GET", f"{path}/events?last_id=x")).status == 400
    assert (await house.ask("GET", f"{path}/events?last_id={(1 << 63) - 1}")).json["data"] == [event]  # any id may be
    assert (await house.ask("GET", f"{path}/events?last_id={1 << 63}")).status == 400
    assert (await replay(parked=True)).json["data"] == {"parked_events": 1}
    (event,) = (await house.ask("GET", f"{path}/events")).json["data"]
    assert event["state"] == "waiting"


async def test_an_account_has_a_number_of_webhooks_at_most(house: MailtrapHouse) -> None:
    for _ in range(50):
        await made(house)
    assert await errors(house) == {"base": ["You've reached the maximum number of webhooks (50)"]}


@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "current"])
async def test_a_webhook_of_the_audit_log(house: MailtrapHouse, legacy: bool) -> None:
    wanted = {"url": "https://hooks.example/a", "webhook_type": "audit_log", "event_types": [], "sending_stream": None}
    made = await house.ask("POST", "webhooks", {"webhook": wanted}, legacy=legacy)
    assert made.status == 200, made.body
    shown = (await house.ask("GET", f"webhooks/{made.json['data']['id']}", legacy=legacy)).json["data"]
    assert (shown["webhook_type"], shown["sending_stream"], shown["domain_id"]) == ("audit_log", None, None)
    assert shown["event_types"] == []
    path = f"webhooks/{shown['id']}"
    paused = await house.ask("PATCH", path, {"webhook": {"active": False}}, legacy=legacy)
    assert paused.json["data"] == shown | {"active": False}
    changed = await house.ask("PATCH", path, {"webhook": {"event_types": ["delivery"]}}, legacy=legacy)
    assert (changed.status, set(changed.json["errors"])) == (422, {"event_types"})
    replay = await house.ask("POST", f"{path}/replays", {"from": "2027-01-01T00:00:00Z"}, legacy=legacy)
    assert (replay.status, set(replay.json["errors"])) == (422, {"base"})
