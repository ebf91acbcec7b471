"""What recipients of mail to a contact list say of its topics, by the links in that mail (mail/links.Kind.TOPIC).

Their contacts' preferences change, and the message's story gains an event, in one transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from mailferry.feedback.hits import RECIPIENT
from mailferry.journal.events import Kind
from mailferry.mail.links import Link
from mailferry.resources.contacts import preferences, subscription, topics
from mailferry.resources.contacts.preferences import Preferences, Wish
from mailferry.resources.contacts.topics import Board, Topic
from mailferry.store.given import insert_rows
from mailferry.store.schema import domains, events, recipients


@dataclass(frozen=True, slots=True)
class Answer:
    """``topics``: ids of lists."""

    topics: frozenset[int]
    #: These and no others are wanted; otherwise these are not wanted any more.
    wanted: bool
    #: Nothing at all is wanted any more.
    nothing: bool


def no_to(topic_id: int) -> Answer:
    """0: to the whole contact list."""
    return Answer(frozenset({topic_id}), False, topic_id == 0)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a recipient wants now, of which sending domain."""

    domain: str
    topics: tuple[Topic, ...] = ()
    unsubscribed: bool = False
    said: Mapping[str, bool] = field(default_factory=dict)

    def wants(self, topic: Topic) -> bool:
        return not self.unsubscribed and self.said.get(topic.name, topic.default)


def standing(connection: Connection, link: Link) -> Standing:
    domain = _domain(connection, link.domain_id)
    if domain is None:
        return Standing("")
    board = _board(connection, domain.account_id)
    contact = _contact(connection, domain.account_id, board, link.address)
    if board is None or contact is None:
        return Standing(domain.name, board.topics if board else ())
    return Standing(domain.name, board.topics, contact.unsubscribed, contact.said)


def say(connection: Connection, link: Link, answer: Answer, facts: Mapping[str, str], now: int) -> None:
    """It stands when this returns. A contact that somebody deleted is there again: its no must not be forgotten."""
    domain = _domain(connection, link.domain_id)
    if domain is None:
        return
    found = _board(connection, domain.account_id)
    board = topics.lock(connection, domain.account_id, found.name) if found else None
    if board is None:
        # The list is gone, and may come again.
        subscription.end(connection, domain.account_id, link.address, RECIPIENT, now)
        return
    before = _contact(connection, domain.account_id, board, link.address)
    wish = _wish(board, link.address, answer)
    preferences.save(connection, domain.account_id, board, [wish], RECIPIENT, now)
    after = _contact(connection, domain.account_id, board, link.address)
    assert after is not None
    lost = [each for each in (None, *board.topics) if (before is None or before.wants(each)) and not after.wants(each)]
    if lost:
        _tell(connection, link, board, facts, before, after, now)


def _wish(board: Board, email: str, answer: Answer) -> Wish:
    known = {each.list_id: each.name for each in board.topics}
    if answer.wanted:
        said = {name: list_id in answer.topics for list_id, name in known.items()}
        return Wish(email, said, unsubscribed=False if any(said.values()) else None)
    no = {known[each]: False for each in answer.topics if each in known}
    # A topic that is gone cannot be said no to, and somebody did say no.
    return Wish(email, no, unsubscribed=True if answer.nothing or not no else None)


def _tell(
    connection: Connection,
    link: Link,
    board: Board,
    facts: Mapping[str, str],
    before: Preferences | None,
    after: Preferences,
    now: int,
) -> None:
    asked = select(recipients.c.message_id, recipients.c.account_id).where(recipients.c.id == link.recipient_id)
    row = connection.execute(asked).one_or_none()
    if row is None:
        return
    told: dict[str, Any] = {name: value for name, value in facts.items() if value}
    told |= {"contact_list": board.name, "before": _kept(before), "after": _kept(after)}
    event = {
        "at": now,
        "kind": Kind.UNSUBSCRIBE,
        "account_id": row.account_id,
        "message_id": row.message_id,
        "recipient_id": link.recipient_id,
        "facts": msgspec.json.encode(told).decode(),
    }
    insert_rows(connection, events, [event])


def _kept(found: Preferences | None) -> dict[str, Any]:
    return {
        "unsubscribed": found.unsubscribed if found else False,
        "topics": dict(found.said) if found else {},
    }


def _domain(connection: Connection, domain_id: int) -> Any:
    """A deleted domain's row stays, and so does what its readers want."""
    asked = select(domains.c.account_id, domains.c.name).where(domains.c.id == domain_id)
    return connection.execute(asked).one_or_none()


def _board(connection: Connection, account_id: int) -> Board | None:
    """There is one an account."""
    return next(iter(topics.of_account(connection, account_id)), None)


def _contact(connection: Connection, account_id: int, board: Board | None, address: str) -> Preferences | None:
    found = preferences.of_addresses(connection, account_id, board, [address]) if board else []
    return found[0] if found else None
