"""The review of a sending domain over the API (ours, beside Mailtrap's): read, answered, discussed, in both families."""

import pytest
from sqlalchemy import Connection

from mailferry.resources import domain_reviews, domains
from mailferry.resources.audit import Actor
from mailferry.resources.permissions import ADMIN, VIEWER, Grant, Resource
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.mailtrap_domains import COMPANY, FAMILIES, FORBIDDEN, NOT_FOUND, change, events, furnished, noun
from tests.mailtrap_house import MailtrapHouse

OPERATOR = Actor("operator", 0, "command line")
ASKED_AT = "2027-01-15T08:00:00.000Z"


@pytest.fixture
async def house(database: Database, clock: Clock) -> MailtrapHouse:
    return await furnished(database, clock)


async def ask(house: MailtrapHouse, *questions: str, company_info: bool = False) -> list[int]:
    """Ids of all questions of the domain."""

    def write(connection: Connection) -> list[int]:
        domain = domains.by_id(connection, house.domain)
        assert domain is not None
        domain_reviews.ask(connection, domain, OPERATOR, house.clock(), questions=questions, company_info=company_info)
        return [each.id for each in domain_reviews.of_domain(connection, house.domain).questions]

    await change(house, house.domain, state="under_review")
    return await house.database.write(write)


@FAMILIES
async def test_questions_are_read_and_answered(house: MailtrapHouse, clock: Clock, legacy: bool) -> None:
    path = f"{noun(legacy)}/{house.domain}/review"
    empty = await house.ask("GET", path, legacy=legacy)
    assert (empty.status, empty.json) == (
        200,
        {"data": {"compliance_status": "unverified_dns", "questions": [], "messages": []}},
    )
    first, second = await ask(house, "Who reads it?", "Since when?")
    shown = (await house.ask("GET", path, legacy=legacy)).json["data"]
    unanswered = {"answer": None, "asked_at": ASKED_AT, "answered_at": None}
    assert shown["compliance_status"] == "awaiting_questionnaire"
    assert shown["questions"] == [
        {"id": first, "question": "Who reads it?"} | unanswered,
        {"id": second, "question": "Since when?"} | unanswered,
    ]
    clock.forward(seconds=1)
    body = {"answers": [{"id": first, "answer": "Customers"}], "message": "More\nsoon"}
    half = (await house.ask("POST", path, body, legacy=legacy)).json["data"]
    assert half["compliance_status"] == "awaiting_questionnaire"
    assert half["messages"] == [
        {"author": "api_token", "author_name": "Admin", "text": "More\nsoon", "at": "2027-01-15T08:00:01.000Z"}
    ]
    done = await house.ask("POST", path, {"answers": [{"id": str(second), "answer": " 2019 "}]}, legacy=legacy)
    assert done.status == 200 and done.json["data"]["compliance_status"] == "under_review"
    assert [each["answer"] for each in done.json["data"]["questions"]] == ["Customers", "2019"]
    assert (await house.ask("GET", path, legacy=legacy)).json == done.json
    told = [each[:2] for each in await events(house) if each[0] == "Admin"]
    assert [event for _, event in told] == [
        "domain_review.answer",
        "domain_review.message",
        "domain_review.answer",
        "domain.updated",
    ]


@FAMILIES
async def test_company_info_that_was_asked_for_ends_the_waiting(house: MailtrapHouse, legacy: bool) -> None:
    await ask(house, company_info=True)
    path = f"{noun(legacy)}/{house.domain}"
    assert (await house.ask("GET", path, legacy=legacy)).json["compliance_status"] == "missing_company_info"
    await house.ask("POST", f"{path}/company_info", {"company_info": COMPANY}, legacy=legacy)
    assert (await house.ask("GET", path, legacy=legacy)).json["compliance_status"] == "under_review"


@FAMILIES
async def test_what_is_no_answer(house: MailtrapHouse, legacy: bool) -> None:
    (number,) = await ask(house, "Why?")
    path = f"{noun(legacy)}/{house.domain}/review"
    for body, errors in (
        ({}, {"base": ["Answers or a message must be given"]}),
        ({"answers": [], "message": " "}, {"base": ["Answers or a message must be given"]}),
        ({"answers": {}}, {"answers": ["must be an array of objects"]}),
        ({"answers": [{"answer": "So"}]}, {"answers": ["0: id can't be blank"]}),
        ({"answers": [{"id": "x", "answer": "So"}]}, {"answers": ["0: id is not a number"]}),
        ({"answers": [{"id": number, "answer": " "}]}, {"answers": ["0: answer can't be blank"]}),
        ({"answers": [{"id": 10**9, "answer": "So"}]}, {"answers": ["1000000000 is no question of this domain"]}),
        ({"message": "x" * 5001}, {"message": ["is too long (maximum is 5000 characters)"]}),
        ({"message": "\x1b[2J"}, {"message": ["must not contain control characters"]}),
        ({"message": 5}, {"message": ["must be a string"]}),
    ):
        answer = await house.ask("POST", path, body, legacy=legacy)
        assert (answer.status, answer.json) == (422, {"errors": errors}), body
    shown = (await house.ask("GET", path, legacy=legacy)).json["data"]
    assert shown["messages"] == [] and shown["questions"][0]["answer"] is None


@FAMILIES
async def test_who_sees_and_answers(house: MailtrapHouse, legacy: bool) -> None:
    own, other = (f"{noun(legacy)}/{number}/review" for number in (house.domain, house.other_domain))
    body = {"message": "Hello"}
    admin = await house.token(Grant(Resource.DOMAIN, house.domain, ADMIN))
    viewer = await house.token(Grant(Resource.DOMAIN, house.domain, VIEWER))
    stranger = await house.token(Grant(Resource.PROJECT, house.project, ADMIN))
    foreigner = await house.token(Grant(Resource.ACCOUNT, house.foreign, ADMIN), account=house.foreign)
    for secret, get, post in ((admin, 200, 200), (viewer, 200, 403), (stranger, 403, 403)):
        assert (await house.ask("GET", own, token=secret, legacy=legacy)).status == get
        assert (await house.ask("POST", own, body, token=secret, legacy=legacy)).status == post
    for method in ("GET", "POST"):
        seen = await house.ask(method, other, body, token=admin, legacy=legacy)
        assert (seen.status, seen.json) == NOT_FOUND
        hidden = await house.ask(method, own, body, token=foreigner, legacy=False)
        assert hidden.status == 404
    refused = await house.ask("POST", other, body, token=viewer, legacy=legacy)
    assert (refused.status, refused.json) == FORBIDDEN
