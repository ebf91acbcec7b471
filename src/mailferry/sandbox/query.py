"""Which of an inbox's messages answer a query: what test-suites wait for, count, and delete by.

The database is asked for those whose rows may answer it. Text, HTML, header and attachments are in the bytes alone, which
are read of no message whose row does not answer. How a message differs from a query is told condition by condition; one
that does not differ answers it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, or_, select

from mailferry.mail.reading import Reading
from mailferry.sandbox.inbox import Caught, caught_of
from mailferry.sandbox.summary import SEARCHED, wanted
from mailferry.store.schema import inbox_messages

#: Characters of what was found that are told of a difference.
SHOWN = 200


@dataclass(frozen=True, slots=True)
class Query:
    """Empty conditions ask for nothing. Texts are looked for without regard to case, bodies without regard to line ends.

    ``to`` and ``sender``: an address; ``@example.com`` for any there; else a part of an address or name. ``to`` is of To
    and the envelope, so Bcc is among them.
    """

    to: str = ""
    sender: str = ""
    subject: str = ""
    text: str = ""
    html: str = ""
    #: Name -> a part of its value; an empty part: it is there.
    headers: Mapping[str, str] = field(default_factory=dict)
    has_attachment: bool | None = None
    #: An id, all are newer than it.
    after: int = 0
    #: Unix milliseconds.
    since: int = 0

    @property
    def reads(self) -> bool:
        """Whether it asks for what is in the bytes alone."""
        return bool(self.text or self.html or self.headers) or self.has_attachment is not None

    @property
    def empty(self) -> bool:
        return self == Query()


@dataclass(frozen=True, slots=True)
class Candidate:
    caught: Caught
    #: Subject and To, as the row has them to be searched.
    searched: str

    @property
    def recipients(self) -> Sequence[str]:
        listed = self.searched.partition("\n")[2].split()
        return [
            *dict.fromkeys((self.caught.to_email, *self.caught.envelope_to, *(each for each in listed if "@" in each)))
        ]


@dataclass(frozen=True, slots=True)
class Difference:
    condition: str
    wanted: Any
    found: Any


def candidates(
    connection: Connection, inbox_id: int, query: Query, *, most: int, beyond: int = 0, oldest: bool = False
) -> list[Candidate]:
    """The newest first, or the oldest; ``beyond``: an id, those that come behind it in this order.

    All that answer the query are among them, and few that do not.
    """
    column = inbox_messages.c
    chosen = select(column.id).where(column.inbox_id == inbox_id, *_asked(connection, query)).limit(most)
    if beyond:
        chosen = chosen.where(column.id > beyond if oldest else column.id < beyond)
    order = column.id.asc() if oldest else column.id.desc()
    ids = connection.execute(chosen.order_by(order)).scalars().all()
    if not ids:
        return []
    rows = connection.execute(select(inbox_messages).where(column.id.in_(ids)).order_by(order)).all()
    return [Candidate(caught_of(row), row.searched) for row in rows]


def differences(query: Query, candidate: Candidate, reading: Reading | None = None) -> list[Difference]:
    """None: the message answers it. Without a reading only the row is looked at."""
    found = list(_in_row(query, candidate))
    if reading is not None:
        found += _in_bytes(query, reading)
    return found


def _in_row(query: Query, candidate: Candidate) -> Iterator[Difference]:
    caught = candidate.caught
    if query.after and caught.id <= query.after:
        yield Difference("after", query.after, caught.id)
    if query.since and caught.created_at < query.since:
        yield Difference("since", query.since, caught.created_at)
    if query.to and not _names(query.to, candidate.recipients, candidate.searched.partition("\n")[2]):
        yield Difference("to", query.to, list(candidate.recipients))
    sender = (caught.from_email, caught.envelope_from)
    if query.sender and not _names(query.sender, sender, f"{caught.from_email} {caught.from_name}"):
        yield Difference("from", query.sender, caught.from_email)
    if query.subject and wanted(query.subject) not in caught.subject.lower():
        yield Difference("subject", query.subject, caught.subject[:SHOWN])


def _in_bytes(query: Query, reading: Reading) -> Iterator[Difference]:
    for condition, part, body in (("text", query.text, reading.text), ("html", query.html, reading.html)):
        if part and _plain(part) not in _plain(body or ""):
            yield Difference(condition, part, None if body is None else body[:SHOWN])
    for name, part in query.headers.items():
        values = [each.text for each in reading.all(name)]
        if not any(_plain(part) in _plain(value) for value in values):
            yield Difference(f"header {name}", part, [value[:SHOWN] for value in values])
    if query.has_attachment is not None and query.has_attachment is not bool(reading.attachments):
        yield Difference("has_attachment", query.has_attachment, bool(reading.attachments))


def _names(part: str, addresses: Sequence[str], names: str) -> bool:
    part = part.lower()
    if part.startswith("@"):
        return any(each.lower().endswith(part) for each in addresses)
    if "@" in part:
        return any(each.lower() == part for each in addresses)
    return part in names.lower() or any(part in each.lower() for each in addresses)


def _plain(text: str) -> str:
    """Where lines end is the transport's affair."""
    return " ".join(text.lower().split())


def _asked(connection: Connection, query: Query) -> Iterator[ColumnElement[bool]]:
    column = inbox_messages.c
    place = func.instr if connection.dialect.name == "sqlite" else func.strpos
    # What is cut may go on with what is looked for.
    cut = func.length(column.searched) >= SEARCHED
    if query.after:
        yield column.id > query.after
    if query.since:
        yield column.created_at >= query.since
    if query.subject:
        yield or_(place(column.searched, wanted(query.subject)) > 0, cut)
    # SQLite has small letters of ASCII alone, and JSON spells some characters in its own way.
    if query.to and query.to.isascii() and not {'"', "\\"} & set(query.to):
        part = query.to.lower()
        yield or_(place(column.searched, part) > 0, place(func.lower(column.envelope_to), part) > 0, cut)
    if query.sender and query.sender.isascii():
        yield _sent_by(connection, query.sender.lower())


def _sent_by(connection: Connection, part: str) -> ColumnElement[bool]:
    column = inbox_messages.c
    if "@" in part and not part.startswith("@"):  # a whole address is found in half of the time
        senders = (column.from_email, column.envelope_from)
        if connection.dialect.name == "sqlite":
            return or_(*(each.collate("NOCASE") == part for each in senders))
        return or_(*(func.lower(each) == part for each in senders))
    place = func.instr if connection.dialect.name == "sqlite" else func.strpos
    said = column.from_email + " " + column.from_name + " " + column.envelope_from
    return place(func.lower(said), part) > 0
