"""The review of a sending domain: what the operator asks and decides, what is answered, and the thread between the two.

Asking changes nothing for mail. While a domain is under review its state tells what is waited for, and goes on by itself
once that is given; in any other state questions are kept and answered, and the state stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from mailferry.resources import audit, domains, notices
from mailferry.resources.audit import Actor
from mailferry.resources.domains import (
    AWAITING_QUESTIONNAIRE,
    IN_REVIEW,
    MISSING_COMPANY_INFO,
    UNDER_REVIEW,
    Domain,
)
from mailferry.resources.notices import Kind
from mailferry.resources.permissions import Resource
from mailferry.store.schema import review_messages, review_questions

#: The kind of actor (resources/audit.py) whose words are mailed to those who keep the domain.
OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Question:
    id: int
    question: str
    answer: str
    #: Unix milliseconds; 0 = not yet.
    asked_at: int
    answered_at: int


@dataclass(frozen=True, slots=True)
class Message:
    #: Unix milliseconds.
    at: int
    #: As in the audit log.
    author_type: str
    author_name: str
    text: str


@dataclass(frozen=True, slots=True)
class Review:
    """Both in the order in which they came."""

    questions: tuple[Question, ...]
    messages: tuple[Message, ...]


def of_domain(connection: Connection, domain_id: int) -> Review:
    names = ("at", "author_type", "author_name", "text")
    said = (
        select(*(review_messages.c[name] for name in names))
        .where(review_messages.c.domain_id == domain_id)
        .order_by(review_messages.c.id)
    )
    return Review(_questions(connection, domain_id), tuple(Message(*row) for row in connection.execute(said)))


def decide(connection: Connection, domain: Domain, state: str, actor: Actor, now: int, reason: str = "") -> None:
    """Approved, rejected or suspended, which those who keep the domain are told; the reason stands in the thread."""
    found = domains.lock(connection, domain.id)
    if found is None:
        return
    _set_state(connection, found, state, actor, now)
    if reason:
        _write(connection, found, reason, actor, now)
    if state != found.state:
        _tell(connection, found, Kind.REVIEW_DECIDED, {"state": state, "reason": reason}, now)
    elif reason:
        _tell(connection, found, Kind.REVIEW_MESSAGE, {"text": reason}, now)


def say(connection: Connection, domain: Domain, text: str, actor: Actor, now: int) -> None:
    """What the operator says, those who keep the domain are told by mail."""
    _write(connection, domain, text, actor, now)
    if actor.kind == OPERATOR:
        _tell(connection, domain, Kind.REVIEW_MESSAGE, {"text": text}, now)


def _write(connection: Connection, domain: Domain, text: str, actor: Actor, now: int) -> None:
    values = {"author_type": actor.kind, "author_name": actor.name, "text": text}
    connection.execute(insert(review_messages).values(domain_id=domain.id, at=now, **values))
    _note(connection, domain, "domain_review.message", actor, now, {"text": ("", text)})


def ask(
    connection: Connection,
    domain: Domain,
    actor: Actor,
    now: int,
    *,
    questions: Sequence[str] = (),
    company_info: bool = False,
) -> None:
    """``company_info``: it is wanted, or wanted anew."""
    found = domains.lock(connection, domain.id)
    if found is None:
        return
    for question in questions:
        connection.execute(
            insert(review_questions).values(domain_id=found.id, question=question, asked_at=now, answered_at=0)
        )
        _note(connection, found, "domain_review.question", actor, now, {"question": ("", question)})
    if questions or company_info:
        _tell(connection, found, Kind.REVIEW_ASKED, {"questions": questions, "company_info": company_info}, now)
    if found.state not in IN_REVIEW:
        return
    # Company info comes first, and the questions wait behind it.
    if company_info or found.state == MISSING_COMPANY_INFO:
        _set_state(connection, found, MISSING_COMPANY_INFO, actor, now)
    elif questions:
        _set_state(connection, found, AWAITING_QUESTIONNAIRE, actor, now)


def answer(connection: Connection, domain: Domain, answers: Mapping[int, str], actor: Actor, now: int) -> set[int]:
    """By the id of the question, as often as somebody likes; returns the ids that are none of this domain's."""
    found = domains.lock(connection, domain.id)
    asked = {question.id: question for question in _questions(connection, domain.id)}
    if found is None or (unknown := answers.keys() - asked):
        return set(answers) if found is None else unknown
    for identity, text in answers.items():
        values = {"answer": text, "answered_at": now}
        connection.execute(update(review_questions).where(review_questions.c.id == identity).values(values))
        told = {asked[identity].question: (asked[identity].answer, text)}
        _note(connection, found, "domain_review.answer", actor, now, told)
    if found.state == AWAITING_QUESTIONNAIRE:
        _go_on(connection, found, actor, now)
    return set()


def company_info_given(connection: Connection, domain: Domain, actor: Actor, now: int) -> None:
    found = domains.by_id(connection, domain.id)
    if found is not None and found.state == MISSING_COMPANY_INFO:
        _go_on(connection, found, actor, now)


def _go_on(connection: Connection, domain: Domain, actor: Actor, now: int) -> None:
    waiting = any(not question.answered_at for question in _questions(connection, domain.id))
    _set_state(connection, domain, AWAITING_QUESTIONNAIRE if waiting else UNDER_REVIEW, actor, now)


def _set_state(connection: Connection, domain: Domain, state: str, actor: Actor, now: int) -> None:
    domains.set_state(connection, domain.id, state)
    if state != domain.state:
        _note(connection, domain, "domain.updated", actor, now, {"state": (domain.state, state)})


def _questions(connection: Connection, domain_id: int) -> tuple[Question, ...]:
    columns = [review_questions.c[name] for name in Question.__dataclass_fields__]
    asked = select(*columns).where(review_questions.c.domain_id == domain_id).order_by(review_questions.c.id)
    return tuple(Question(*row) for row in connection.execute(asked))


def _tell(connection: Connection, domain: Domain, kind: Kind, facts: Mapping[str, Any], now: int) -> None:
    notices.put(connection, domain.account_id, kind, facts, now, domain_id=domain.id)


def _note(
    connection: Connection, domain: Domain, event: str, actor: Actor, now: int, changes: Mapping[str, tuple[Any, Any]]
) -> None:
    audit.note(connection, domain.account_id, actor, event, (Resource.DOMAIN, domain.id, domain.name), now, changes)
