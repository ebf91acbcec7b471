"""Sending domains over Mailtrap's API: added, shown, changed and deleted, in both families of paths."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection

from mailferry.resources import domains, tokens
from mailferry.resources.permissions import ADMIN, Grant, Resource
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.mailtrap_domains import FAMILIES, FORBIDDEN, NOT_FOUND, change, events, furnished, noun, wrapped
from tests.mailtrap_house import MailtrapHouse

ALL = {"can_read": True, "can_update": True, "can_destroy": True}


@pytest.fixture
async def house(database: Database, clock: Clock) -> MailtrapHouse:
    return await furnished(database, clock)


@FAMILIES
async def test_the_dns_is_looked_up_after_adding_and_while_somebody_waits(
    database: Database, clock: Clock, legacy: bool
) -> None:
    asked: list[int] = []
    house = await furnished(database, clock, look_up_domain=asked.append)
    number = (await house.ask("POST", noun(legacy), wrapped(legacy, domain_name="n.test"), legacy=legacy)).json["id"]
    assert asked == [number]
    for statuses, looked in (("{}", True), ('{"dkim1":"pass","dmarc":"missing"}', True), ('{"dkim1":"pass"}', False)):
        await change(house, house.domain, dns_statuses=statuses)
        asked.clear()
        await house.ask("GET", f"{noun(legacy)}/{house.domain}", legacy=legacy)
        await house.ask("GET", noun(legacy), legacy=legacy)
        await house.ask("GET", f"{noun(legacy)}/{house.foreign_domain}", legacy=legacy)
        assert asked == [house.domain] * looked


# --- add and show


@FAMILIES
async def test_a_new_domain_as_mailtrap_shows_it(house: MailtrapHouse, legacy: bool) -> None:
    made = await house.ask("POST", noun(legacy), wrapped(legacy, domain_name=" New.EXAMPLE. "), legacy=legacy)
    assert made.status == 200
    domain = made.json
    return_path = domain["dns_records"][0]["name"]
    number = domain["id"]

    def record(key: str, kind: str, name: str, value: str) -> dict[str, str]:
        return {
            "key": key,
            "domain": f"{name}.new.example",
            "type": kind,
            "value": value,
            "status": "unchecked",
            "name": name,
        }

    assert domain == {
        "id": number,
        "domain_name": "new.example",
        "demo": False,
        "compliance_status": "unverified_dns",
        "dns_verified": False,
        "dns_verified_at": "",
        "dns_records": [
            record("verification", "CNAME", return_path, "smtp.mail.example"),
            record("dkim1", "CNAME", "mf1._domainkey", f"mf1.{number}.dkim.smtp.mail.example"),
            record("dkim2", "CNAME", "mf2._domainkey", f"mf2.{number}.dkim.smtp.mail.example"),
            record("dmarc", "TXT", "_dmarc", "v=DMARC1; p=none"),
            record("link_verification", "CNAME", "mt-link", "t.mail.example"),
        ],
        "open_tracking_enabled": True,
        "click_tracking_enabled": False,
        "auto_unsubscribe_link_enabled": False,
        "custom_domain_tracking_enabled": False,
        "tracking_opt_out_enabled": False,
        "health_alerts_enabled": True,
        "critical_alerts_enabled": True,
        "alert_recipient_email": None,
        "inbound_enabled": False,
        "inbound_verified": False,
        "permissions": ALL,
    }
    shown = await house.ask("GET", f"{noun(legacy)}/{number}", legacy=legacy)
    assert (shown.status, shown.json) == (200, domain)
    listed = await house.ask("GET", noun(legacy), legacy=legacy)
    assert listed.status == 200 and list(listed.json) == ["data"]
    assert [each["domain_name"] for each in listed.json["data"]] == ["a.test", "b.test", "new.example"]
    assert listed.json["data"][2] == domain


async def test_without_a_zone_the_records_hold_the_things_themselves(database: Database, clock: Clock) -> None:
    house = await MailtrapHouse(database, clock).furnish()
    made = await house.ask("POST", "sending_domains", wrapped(True, domain_name="own.test"))
    keys = ["verification", "spf", "dkim1", "dkim2", "dmarc", "link_verification"]
    assert [record["key"] for record in made.json["dns_records"]] == keys
    assert all(all(record.values()) for record in made.json["dns_records"])
    assert made.json["dns_records"][0]["value"] == "10 mail.mailferry.test"


async def test_a_new_domain_has_a_token_of_its_own(house: MailtrapHouse) -> None:
    number = (await house.ask("POST", "domains", wrapped(False, domain_name="new.test"), legacy=False)).json["id"]
    rows = await house.database.read(lambda c: tokens.of_account(c, house.account, house.clock()))
    (own,) = [row for row in rows if row.name.startswith("new.test")]
    assert (own.name, own.created_by) == (f"new.test token {own.id}", "Admin")
    secret = (await house.ask("POST", f"api_tokens/{own.id}/reset")).json["token"]
    listed = await house.ask("GET", "domains", token=secret, legacy=False)
    assert [each["domain_name"] for each in listed.json["data"]] == ["new.test"]
    assert listed.json["data"][0]["permissions"] == ALL
    changed = await house.ask("PATCH", f"sending_domains/{number}", wrapped(True), token=secret)
    assert changed.status == 200
    assert [each[:3] for each in await events(house)][:2] == [
        ("Admin", "domain.created", "new.test"),
        ("Admin", "api_token.created", own.name),
    ]


BLANK = "Validation failed: Domain name can't be blank, Tracking domain name is not a valid domain name"
INVALID = "Validation failed: Domain name is not a valid domain name"
TAKEN = "Validation failed: Domain name has already been taken"
INVALID_NAMES = [
    "a@b.test",
    "-a.test",
    "a..test",
    "192.0.2.1",
    "[::1]",
    "*.test",
    "https://a.test",
    "a.test/x",
    "a.test:25",
    "a·.test",
]
INVALID_NAMES += [
    "localhost",
    "com",
    "Test.",
    "a b.test",
    "a\0.test",
    "x" * 64,
    f"{'a.' * 130}test",
    "x" * 100_000,
    "ü" * 1000,
]


@FAMILIES
async def test_a_name_that_is_none_or_is_taken(house: MailtrapHouse, legacy: bool) -> None:
    async def told(**members: Any) -> tuple[int, Any]:
        answer = await house.ask("POST", noun(legacy), wrapped(legacy, **members), legacy=legacy)
        return answer.status, answer.json

    assert await told() == (422, {"errors": {"base": [BLANK]}})
    for name in (None, "", " \t"):
        assert await told(domain_name=name) == (422, {"errors": {"base": [BLANK]}})
    for name in (5, True, [], {}, *INVALID_NAMES):
        assert await told(domain_name=name) == (422, {"errors": {"base": [INVALID]}}), name
    for name in ("a.test", "A.Test."):
        assert await told(domain_name=name) == (422, {"errors": {"base": [TAKEN]}})
    for body in (b"", b"{}"):
        answer = await house.ask("POST", noun(legacy), body, legacy=legacy)
        assert (answer.status, answer.json) == (422, {"errors": {"base": [BLANK]}})


@FAMILIES
@pytest.mark.parametrize("wrap", [lambda members: members, lambda members: {"other": members}])
async def test_members_outside_their_wrapper_are_refused(house: MailtrapHouse, legacy: bool, wrap: Any) -> None:
    told = {"errors": {noun(legacy)[:-1]: ["is missing: all members belong within it"]}}
    path = f"{noun(legacy)}/{house.domain}"
    before = (await house.ask("GET", path, legacy=legacy)).json
    answer = await house.ask("PATCH", path, wrap({"open_tracking_enabled": True}), legacy=legacy)
    assert (answer.status, answer.json) == (422, told)
    assert (await house.ask("GET", path, legacy=legacy)).json == before
    answer = await house.ask("POST", noun(legacy), wrap({"domain_name": "n.test"}), legacy=legacy)
    assert (answer.status, answer.json) == (422, told)


async def test_an_international_name_is_kept_as_the_dns_has_it(house: MailtrapHouse) -> None:
    made = await house.ask("POST", "sending_domains", wrapped(True, domain_name="bücher.test"))
    assert made.json["domain_name"] == "xn--bcher-kva.test"
    again = await house.ask("POST", "sending_domains", wrapped(True, domain_name="BÜCHER.test"))
    assert again.json == {"errors": {"base": [TAKEN]}}


async def test_of_several_who_add_the_same_name_at_once_one_succeeds(house: MailtrapHouse) -> None:
    answers = await asyncio.gather(
        *(house.ask("POST", "sending_domains", wrapped(True, domain_name="new.test")) for _ in range(4))
    )
    assert sorted(answer.status for answer in answers) == [200, 422, 422, 422]
    made = await house.database.read(lambda c: domains.by_name(c, house.account, "new.test"))
    assert made is not None and [key.selector for key in made.keys] == ["mf1", "mf2"]
    rows = await house.database.read(lambda c: tokens.of_account(c, house.account, house.clock()))
    assert len([row for row in rows if row.name.startswith("new.test")]) == 1


@FAMILIES
async def test_what_the_last_look_into_the_dns_found_is_shown(house: MailtrapHouse, clock: Clock, legacy: bool) -> None:
    found = {"verification": "pass", "dkim1": "fail", "dkim2": "missing", "dmarc": "network_error"}

    def look(connection: Connection, verified: bool) -> None:
        domain = domains.by_id(connection, house.domain)
        assert domain is not None
        domains.set_verified(connection, domain, verified, set(), clock(), found)

    await house.database.write(lambda connection: look(connection, False))
    shown = (await house.ask("GET", f"{noun(legacy)}/{house.domain}", legacy=legacy)).json
    assert {record["key"]: record["status"] for record in shown["dns_records"]} == {
        "verification": "pass",
        "dmarc": "network_error",
        "link_verification": "unchecked",
    }
    assert (shown["dns_verified"], shown["dns_verified_at"]) == (False, "")
    await house.database.write(lambda connection: look(connection, True))
    shown = (await house.ask("GET", f"{noun(legacy)}/{house.domain}", legacy=legacy)).json
    assert (shown["dns_verified"], shown["dns_verified_at"]) == (True, "2027-01-15T08:00:00.000Z")
    assert shown["compliance_status"] == "under_review"


STATES = ("demo", "unverified_dns", "missing_company_info", "under_review", "awaiting_questionnaire")
STATES += ("non_compliant", "compliant", "suspended")


async def test_every_state_is_a_compliance_status(house: MailtrapHouse) -> None:
    for state in STATES:
        await change(house, house.domain, state=state)
        shown = (await house.ask("GET", f"domains/{house.domain}", legacy=False)).json
        assert (shown["compliance_status"], shown["demo"]) == (state, state == "demo")
        assert bool(shown["dns_records"]) is (state != "demo")


# --- change and delete


@FAMILIES
async def test_flags_are_stored_and_read_back(house: MailtrapHouse, legacy: bool) -> None:
    path = f"{noun(legacy)}/{house.domain}"
    before = (await house.ask("GET", path, legacy=legacy)).json
    wanted = {
        "open_tracking_enabled": False,
        "click_tracking_enabled": True,
        "auto_unsubscribe_link_enabled": "true",
        "health_alerts_enabled": "false",
        "critical_alerts_enabled": False,
        "alert_recipient_email": "ops@SHOP.test",
        "tracking_opt_out_enabled": False,
        "inbound_enabled": None,
        "id": 99,
    }
    changed = await house.ask("PATCH", path, wrapped(legacy, **wanted), legacy=legacy)
    assert changed.status == 200
    assert changed.json == before | {
        "open_tracking_enabled": False,
        "click_tracking_enabled": True,
        "auto_unsubscribe_link_enabled": True,
        "health_alerts_enabled": False,
        "critical_alerts_enabled": False,
        "alert_recipient_email": "ops@shop.test",
    }
    only = wrapped(legacy, open_tracking_enabled=True, click_tracking_enabled=None, alert_recipient_email=None)
    again = await house.ask("PATCH", path, only, legacy=legacy)
    assert again.json == changed.json | {"open_tracking_enabled": True, "alert_recipient_email": None}
    assert (await house.ask("PATCH", path, wrapped(legacy), legacy=legacy)).json == again.json
    assert (await house.ask("GET", path, legacy=legacy)).json == again.json
    other = (await house.ask("GET", f"{noun(legacy)}/{house.other_domain}", legacy=legacy)).json
    assert other["click_tracking_enabled"] is False
    told = [each for each in await events(house) if each[1] == "domain.updated"]
    assert [each[3] for each in told][1] == {
        "open_tracking_enabled": {"from": False, "to": True},
        "alert_recipient_email": {"from": "ops@shop.test", "to": ""},
    }
    assert len(told) == 2


@FAMILIES
async def test_flags_that_are_none(house: MailtrapHouse, legacy: bool) -> None:
    path = f"{noun(legacy)}/{house.domain}"
    members = {
        "open_tracking_enabled": "yes",
        "click_tracking_enabled": 1,
        "health_alerts_enabled": [],
        "alert_recipient_email": "nobody",
        "tracking_opt_out_enabled": "perhaps",
        "inbound_enabled": "true",
    }
    answer = await house.ask("PATCH", path, wrapped(legacy, **members), legacy=legacy)
    errors = answer.json["errors"]
    assert answer.status == 422 and errors.pop("alert_recipient_email")[0].startswith("is invalid")
    assert errors == {
        "open_tracking_enabled": ["must be a boolean"],
        "click_tracking_enabled": ["must be a boolean"],
        "health_alerts_enabled": ["must be a boolean"],
        "tracking_opt_out_enabled": ["must be a boolean"],
        "inbound_enabled": ["is not available"],
    }
    answer = await house.ask("PATCH", path, {noun(legacy)[:-1]: 5}, legacy=legacy)
    assert (answer.status, answer.json) == (422, {"errors": {noun(legacy)[:-1]: ["must be an object"]}})


@FAMILIES
async def test_a_deleted_domain_is_gone_and_so_are_the_rights_on_it(house: MailtrapHouse, legacy: bool) -> None:
    path = f"{noun(legacy)}/{house.domain}"
    secret = await house.token(Grant(Resource.DOMAIN, house.domain, ADMIN))
    await house.ask("PATCH", path, wrapped(legacy, click_tracking_enabled=True), legacy=legacy)
    gone = await house.ask("DELETE", path, token=secret, legacy=legacy)
    assert (gone.status, gone.body) == (204, b"")
    for method in ("GET", "PATCH", "DELETE"):
        answer = await house.ask(method, path, wrapped(legacy), legacy=legacy)
        assert (answer.status, answer.json) == NOT_FOUND
    listed = await house.ask("GET", noun(legacy), legacy=legacy)
    assert [each["domain_name"] for each in listed.json["data"]] == ["b.test"]
    # Added again it is a new domain, and who had rights on the old one has none on it.
    again = await house.ask("POST", noun(legacy), wrapped(legacy, domain_name="a.test"), legacy=legacy)
    assert again.status == 200 and again.json["click_tracking_enabled"] is False
    answer = await house.ask("GET", f"{noun(legacy)}/{again.json['id']}", token=secret, legacy=legacy)
    assert (answer.status, answer.json) == FORBIDDEN
    assert [each[1:3] for each in await events(house)] == [
        ("domain.updated", "a.test"),
        ("domain.deleted", "a.test"),
        ("domain.created", "a.test"),
        ("api_token.created", (await events(house))[3][2]),
    ]
