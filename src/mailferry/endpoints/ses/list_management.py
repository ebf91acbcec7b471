"""Mail sent to a contact list (ListManagementOptions, X-SES-LIST-MANAGEMENT-OPTIONS): who said no does not get it.

A recipient who is no contact yet becomes one. With one recipient alone the mail gets a link by which that one can say no
(delivery/tracking.py): it would be anybody's otherwise.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from mailferry.endpoints.ses.contact_lists import missing, no_topic
from mailferry.endpoints.ses.deps import Call
from mailferry.endpoints.ses.errors import invalid
from mailferry.endpoints.ses.suppressions import actor
from mailferry.intake.submission import Rcpt
from mailferry.mail import address as addresses
from mailferry.mail.address import BadAddress
from mailferry.resources.contacts import preferences, topics
from mailferry.resources.contacts.preferences import Wish
from mailferry.resources.contacts.topics import Board
from mailferry.resources.documents import Kind


@dataclass(frozen=True, slots=True)
class Options:
    """What a call or a message asks for; without a topic all of the list is meant."""

    list_name: str
    topic: str = ""


@dataclass(frozen=True, slots=True)
class Managed:
    """What was found. ``facts`` go with the message, but for the link, which only a lonely recipient gets."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    #: Of those who were asked about (mail/address.key).
    opted_out: frozenset[str] = frozenset()
    topic_id: int = 0

    def of(self, recipients: tuple[Rcpt, ...]) -> Mapping[str, Any]:
        """The facts of a message to these."""
        alone = bool(self.facts) and len(recipients) == 1
        return {**self.facts, "topic_id": self.topic_id} if alone else self.facts


NOBODY = Managed()


def given(options: Mapping[str, str] | None) -> Options | None:
    """As a call has them."""
    return Options(options["ContactListName"], options.get("TopicName", "")) if options else None


def of_field(text: str) -> Options | None:
    """``list; topic=name``, as the header has them."""
    if not text:
        return None
    name, *rest = (part.strip() for part in text.split(";"))
    pairs = dict(part.partition("=")[::2] for part in rest if part)
    topic = next((value.strip() for key, value in pairs.items() if key.strip().lower() in ("topic", "topicname")), "")
    if not name:
        raise invalid("X-SES-LIST-MANAGEMENT-OPTIONS must begin with the name of a contact list")
    return Options(name.removeprefix("contactListName=").strip(), topic)


async def managed(call: Call, options: Options | None, recipients: Iterable[Rcpt]) -> Managed:
    """Raises `SesError`."""
    if options is None:
        return NOBODY
    document = await call.deps.documents.get(call.account_id, Kind.CONTACT_LIST, options.list_name)
    if document is None:
        raise missing(options.list_name)
    board = topics.read(document)
    topic = board.topic(options.topic) if options.topic else None
    if options.topic and topic is None:
        raise no_topic(board.name, options.topic)
    wanted = _parsed(recipients)
    found = await call.read(lambda c: preferences.of_addresses(c, call.account_id, board, wanted.values()))
    if new := wanted.keys() - {addresses.key(each.email) for each in found}:
        some = [wanted[key] for key in sorted(new)]
        found += await call.write(lambda connection: _added(connection, call, board.name, some))
    facts = {"contact_list": board.name, **({"contact_topic": topic.name} if topic else {})}
    opted_out = frozenset(addresses.key(each.email) for each in found if not each.wants(topic))
    return Managed(facts, opted_out, topic.list_id if topic else 0)


def _added(connection: Connection, call: Call, name: str, emails: list[str]) -> list[preferences.Preferences]:
    board: Board | None = topics.lock(connection, call.account_id, name)
    if board is None:
        raise missing(name)
    wishes = [Wish(each) for each in emails]
    preferences.save(connection, call.account_id, board, wishes, actor(call), call.now())
    return preferences.of_addresses(connection, call.account_id, board, emails)


def _parsed(recipients: Iterable[Rcpt]) -> dict[str, str]:
    """By their key. What is no address, the intake refuses."""
    found = {}
    for each in recipients:
        try:
            parsed = addresses.parse(each.address)
        except BadAddress:
            continue
        found[addresses.key(parsed)] = parsed
    return found
