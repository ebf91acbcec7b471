"""Company info and setup instructions of sending domains over Mailtrap's API, in both families of paths."""

import asyncio

import pytest
from sqlalchemy import Connection

from mailferry.endpoints.mailtrap.domains import NO_RECORDS, NO_SENDER
from mailferry.resources import domains
from mailferry.resources.permissions import ADMIN, Grant, Resource
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.fakes.mailtrap_api import DOMAIN
from tests.mailtrap_domains import COMPANY, FAMILIES, NOT_FOUND, change, events, furnished, noun
from tests.mailtrap_house import SEALER, MailtrapHouse


@pytest.fixture
async def house(database: Database, clock: Clock) -> MailtrapHouse:
    return await furnished(database, clock)


# --- company info


@FAMILIES
async def test_company_info_is_given_read_and_changed(house: MailtrapHouse, legacy: bool) -> None:
    path = f"{noun(legacy)}/{house.domain}/company_info"
    for method in ("GET", "PATCH"):
        answer = await house.ask(method, path, {"company_info": {"city": "Lviv"}}, legacy=legacy)
        assert (answer.status, answer.json) == NOT_FOUND
    made = await house.ask("POST", path, {"company_info": COMPANY}, legacy=legacy)
    empty = {"phone": None, "privacy_policy_url": None, "terms_of_service_url": None}
    assert (made.status, made.json) == (200, {"data": COMPANY | empty | {"info_level": "business"}})

    members = {"city": "Lviv", "info_level": "individual", "phone": "+380", "privacy_policy_url": "http://shop.test/p"}
    changed = await house.ask("PATCH", path, {"company_info": members}, legacy=legacy)
    assert (changed.status, changed.json) == (200, {"data": made.json["data"] | members})
    cleared = await house.ask("PATCH", path, {"company_info": {"phone": None, "info_level": None}}, legacy=legacy)
    assert cleared.json == {"data": changed.json["data"] | {"phone": None}}
    assert (await house.ask("PATCH", path, {"company_info": {}}, legacy=legacy)).json == cleared.json
    assert (await house.ask("GET", path, legacy=legacy)).json == cleared.json
    other = await house.ask("GET", f"{noun(legacy)}/{house.other_domain}/company_info", legacy=legacy)
    assert (other.status, other.json) == (200, cleared.json)  # the account's

    again = await house.ask("POST", path, {"company_info": COMPANY}, legacy=legacy)
    assert again.json == made.json
    assert [each[1] for each in await events(house)] == ["company_info.created"] + ["company_info.updated"] * 3


@FAMILIES
async def test_company_info_that_is_none(house: MailtrapHouse, legacy: bool) -> None:
    path = f"{noun(legacy)}/{house.domain}/company_info"
    blank = {name: ["can't be blank"] for name in COMPANY}
    for body in ({}, {"company_info": {}}, {"company_info": None}, {"company_info": dict.fromkeys(COMPANY, "")}):
        answer = await house.ask("POST", path, body, legacy=legacy)
        assert (answer.status, answer.json) == (422, {"errors": blank})
    wrong = {
        "city": 5,
        "country": "x" * 256,
        "website_url": "javascript:alert(1)",
        "privacy_policy_url": "http://[",
        "terms_of_service_url": "https://",
        "info_level": "other",
    }
    for method in ("POST", "PATCH"):
        answer = await house.ask(method, path, {"company_info": COMPANY | wrong}, legacy=legacy)
        assert answer.status == 422 and answer.json["errors"] == {
            "city": ["must be a string"],
            "country": ["is too long (maximum is 255 characters)"],
            "website_url": ["is invalid"],
            "privacy_policy_url": ["is invalid"],
            "terms_of_service_url": ["is invalid"],
            "info_level": ["is not included in the list: business, individual"],
        }
    answer = await house.ask("PATCH", path, {"company_info": {"name": None}}, legacy=legacy)
    assert (answer.status, answer.json) == (422, {"errors": {"name": ["can't be blank"]}})


async def test_company_info_from_several_at_once(house: MailtrapHouse) -> None:
    path = f"sending_domains/{house.domain}/company_info"
    answers = await asyncio.gather(
        *(house.ask("POST", path, {"company_info": COMPANY | {"name": f"Shop {n}"}}) for n in range(6))
    )
    assert [answer.status for answer in answers] == [200] * 6
    assert (await house.ask("GET", path)).json in [answer.json for answer in answers]


# --- setup instructions


@FAMILIES
async def test_setup_instructions_are_a_mail_from_a_domain_that_may_send(house: MailtrapHouse, legacy: bool) -> None:
    path = f"{noun(legacy)}/{house.domain}/send_setup_instructions"

    def add(connection: Connection) -> int:
        made, _ = domains.add(connection, SEALER, house.account, DOMAIN, (), house.clock())
        return made.id

    sender = await house.database.write(add)
    await change(house, sender, state="compliant", dns_verified=True, verified_at=1)
    secret = await house.token(Grant(Resource.DOMAIN, house.domain, ADMIN))
    sent = await house.ask("POST", path, {"email": "dns@Host.test"}, token=secret, legacy=legacy)
    assert (sent.status, sent.body) == (204, b"")
    submission = house.only()
    assert [rcpt.address for rcpt in submission.recipients] == ["dns@host.test"]
    assert (submission.endpoint, submission.account_id) == ("system", house.account)
    content = submission.content
    assert content is not None and content.text and content.html
    assert (content.sender.address, content.subject) == (f"mailer@{DOMAIN}", "DNS records for a.test")
    records = (await house.ask("GET", f"{noun(legacy)}/{house.domain}", legacy=legacy)).json["dns_records"]
    for record in records:
        for member in ("type", "domain", "value"):
            assert record[member] in content.text and record[member] in content.html


async def test_without_such_a_domain_nothing_is_sent_and_that_is_said(house: MailtrapHouse) -> None:
    # What another account has is none of ours.
    await change(house, house.foreign_domain, state="compliant", dns_verified=True)
    path = f"sending_domains/{house.domain}/send_setup_instructions"
    for state, verified in (("unverified_dns", False), ("under_review", True), ("compliant", False), ("demo", False)):
        await change(house, house.other_domain, state=state, dns_verified=verified)
        answer = await house.ask("POST", path, {"email": "dns@host.test"})
        assert (answer.status, answer.json) == (422, {"errors": {"base": [NO_SENDER]}})
    assert house.intake.accepted == []


async def test_the_demo_domain_has_nothing_to_set_up(house: MailtrapHouse) -> None:
    await change(house, house.domain, state="demo")
    answer = await house.ask(
        "POST", f"domains/{house.domain}/send_setup_instructions", {"email": "a@b.test"}, legacy=False
    )
    assert (answer.status, answer.json) == (422, {"errors": {"base": [NO_RECORDS]}})


async def test_what_the_intake_refuses_is_told(house: MailtrapHouse) -> None:
    await change(house, house.other_domain, state="compliant", dns_verified=True)  # and the intake knows another
    answer = await house.ask("POST", f"sending_domains/{house.domain}/send_setup_instructions", {"email": "a@b.test"})
    assert answer.status == 422 and answer.json["errors"]["base"][0] == "Unauthorized"


@FAMILIES
async def test_instructions_to_no_address(house: MailtrapHouse, legacy: bool) -> None:
    path = f"{noun(legacy)}/{house.domain}/send_setup_instructions"
    for email in [None, "", "nobody", "a@b@c", 5, [], "a@x.test\r\nBcc: b@x.test", "x" * 5000]:
        answer = await house.ask("POST", path, {"email": email}, legacy=legacy)
        assert answer.status == 422 and list(answer.json["errors"]) == ["email"], email
