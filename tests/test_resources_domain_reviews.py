"""The review of a sending domain: what is asked and answered moves its state on, and nothing of it is lost."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from mailferry.resources import audit, company_infos, domain_changes, domain_reviews, domains
from mailferry.resources.audit import Actor
from mailferry.resources.company_infos import CompanyInfo
from mailferry.resources.domains import Domain
from mailferry.store.database import Database
from mailferry.store.secrets import Sealer

SEALER = Sealer(bytes(32))
OPERATOR, ANN = Actor("operator", 0, "command line"), Actor("api_token", 5, "Ann")


def add(connection: Connection, state: str = "under_review", name: str = "a.test") -> Domain:
    made, _ = domains.add(connection, SEALER, 7, name, [("mf1", "ed25519-sha256", b"private", name)], 1)
    domains.set_state(connection, made.id, state)
    return again(connection, made)


def again(connection: Connection, domain: Domain) -> Domain:
    found = domains.by_id(connection, domain.id)
    assert found is not None
    return found


def state(connection: Connection, domain: Domain) -> str:
    return again(connection, domain).state


def events(connection: Connection) -> list[tuple[str, str, Any]]:
    rows = reversed(audit.page(connection, 7))
    return [(row.actor_name, row.event, msgspec.json.decode(row.changes)) for row in rows]


async def test_the_state_says_what_is_waited_for_and_goes_on_when_it_comes(database: Database) -> None:
    def story(connection: Connection) -> None:
        domain = add(connection)
        domain_reviews.ask(connection, domain, OPERATOR, 2, questions=["Who reads it?", "Since when?"])
        assert state(connection, domain) == "awaiting_questionnaire"
        domain_reviews.ask(connection, domain, OPERATOR, 3, company_info=True)
        first, second = domain_reviews.of_domain(connection, domain.id).questions
        assert domain_reviews.answer(connection, domain, {first.id: "Customers"}, ANN, 4) == set()
        assert state(connection, domain) == "missing_company_info"
        company_infos.put(connection, domain, CompanyInfo(name="Shop"), ANN, 5)
        assert state(connection, domain) == "awaiting_questionnaire"
        assert domain_reviews.answer(connection, domain, {second.id: "2019", first.id: "Buyers"}, ANN, 6) == set()
        assert state(connection, domain) == "under_review"
        company_infos.put(connection, domain, CompanyInfo(name="Shop Ltd"), ANN, 7)
        assert state(connection, domain) == "under_review"
        told = domain_reviews.of_domain(connection, domain.id).questions
        assert [(each.question, each.answer, each.asked_at, each.answered_at) for each in told] == [
            ("Who reads it?", "Buyers", 2, 6),
            ("Since when?", "2019", 2, 6),
        ]

        states = [changes["state"]["to"] for _, event, changes in events(connection) if event == "domain.updated"]
        assert states == ["awaiting_questionnaire", "missing_company_info", "awaiting_questionnaire", "under_review"]
        answers = [changes for who, event, changes in events(connection) if event == "domain_review.answer"]
        assert answers[2] == {"Who reads it?": {"from": "Customers", "to": "Buyers"}}

    await database.write(story)


@pytest.mark.parametrize("before", ["unverified_dns", "compliant", "suspended", "non_compliant"])
async def test_outside_a_review_asking_changes_no_state(database: Database, before: str) -> None:
    def story(connection: Connection) -> None:
        domain = add(connection, before)
        domain_reviews.ask(connection, domain, OPERATOR, 2, questions=["Why?"], company_info=True)
        (question,) = domain_reviews.of_domain(connection, domain.id).questions
        domain_reviews.answer(connection, domain, {question.id: "So"}, ANN, 3)
        company_infos.put(connection, domain, CompanyInfo(name="Shop"), ANN, 4)
        assert state(connection, domain) == before

    await database.write(story)


async def test_a_decision_and_its_reason(database: Database) -> None:
    def story(connection: Connection) -> None:
        domain = add(connection)
        domain_reviews.say(connection, domain, "Hello", ANN, 2)
        for number, (after, reason) in enumerate(
            [("non_compliant", "Bought list"), ("compliant", ""), ("suspended", "Spam")]
        ):
            domain_reviews.decide(connection, domain, after, OPERATOR, 3 + number, reason)
            assert state(connection, domain) == after
        said = domain_reviews.of_domain(connection, domain.id).messages
        assert [(each.at, each.author_type, each.author_name, each.text) for each in said] == [
            (2, "api_token", "Ann", "Hello"),
            (3, "operator", "command line", "Bought list"),
            (5, "operator", "command line", "Spam"),
        ]
        domain_reviews.decide(connection, domain, "suspended", OPERATOR, 9)
        told = [(who, event) for who, event, _ in events(connection)]
        assert told.count(("command line", "domain.updated")) == 3

    await database.write(story)


async def test_what_is_no_question_of_the_domain_changes_nothing(database: Database) -> None:
    def story(connection: Connection) -> None:
        domain, other = add(connection), add(connection, name="b.test")
        for each in (domain, other):
            domain_reviews.ask(connection, each, OPERATOR, 2, questions=["Why?"])
        (own,), (foreign,) = (domain_reviews.of_domain(connection, each.id).questions for each in (domain, other))
        unknown = {foreign.id, 10**9}
        assert (
            domain_reviews.answer(connection, domain, {own.id: "x", **dict.fromkeys(unknown, "x")}, ANN, 3) == unknown
        )
        assert domain_reviews.of_domain(connection, domain.id).questions == (own,)
        assert domain_reviews.of_domain(connection, other.id).questions == (foreign,)

    await database.write(story)


@pytest.mark.parametrize("before", ["awaiting_questionnaire", "missing_company_info", "non_compliant"])
async def test_deleting_wipes_no_review_away(database: Database, before: str) -> None:
    def story(connection: Connection) -> None:
        domain = add(connection)
        domain_reviews.ask(connection, domain, OPERATOR, 2, questions=["Why?"])
        domains.set_state(connection, domain.id, before)
        domain_changes.remove(connection, domain, ANN, 3)
        assert domain_reviews.answer(connection, domain, {1: "So"}, ANN, 3) == {1}
        domain_reviews.decide(connection, domain, "compliant", OPERATOR, 3)
        domain_reviews.ask(connection, domain, OPERATOR, 3, questions=["What?"])
        back, new = domain_changes.add(connection, SEALER, 7, "a.test", (), ANN, 4)
        assert new and (back.state, back.suspicious) == (before, True)
        assert [each.question for each in domain_reviews.of_domain(connection, back.id).questions] == ["Why?"]

    await database.write(story)


async def test_company_info_of_one_domain_counts_for_the_account(database: Database) -> None:
    def story(connection: Connection) -> None:
        a, b = add(connection), add(connection, name="b.test")
        foreign, _ = domains.add(connection, SEALER, 8, "c.test", (), 1)
        assert company_infos.of_domain(connection, b) is None
        assert company_infos.change(connection, b, {"city": "Lviv"}, ANN, 1) is None
        company_infos.put(connection, a, CompanyInfo(name="Shop", city="Kyiv"), ANN, 2)
        assert company_infos.of_domain(connection, b) == CompanyInfo(name="Shop", city="Kyiv")
        assert company_infos.of_domain(connection, foreign) is None
        company_infos.change(connection, b, {"city": "Lviv"}, ANN, 3)
        assert company_infos.of_domain(connection, b) == CompanyInfo(name="Shop", city="Lviv")
        assert company_infos.of_domain(connection, a) == CompanyInfo(name="Shop", city="Kyiv")
        third = add(connection, name="d.test")
        assert company_infos.of_domain(connection, third) == CompanyInfo(name="Shop", city="Lviv")
        for each in (a, b):
            domain_changes.remove(connection, each, ANN, 4)
        assert company_infos.of_domain(connection, third) is None

    await database.write(story)
