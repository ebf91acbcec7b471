"""What an inbox has caught: read, searched, marked and deleted. Counts are kept in the transaction that changes them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, delete, false, func, select, update

from mailferry.sandbox.summary import wanted
from mailferry.store.captured import CapturedContent
from mailferry.store.content import Place
from mailferry.store.schema import inbox_messages, inboxes

#: Messages of one page (Mailtrap's number).
PAGE = 30
#: Messages that one transaction marks or deletes: writing ones end within seconds.
SOME = 2_000


@dataclass(frozen=True, slots=True)
class Caught:
    """A message's row. Times in Unix milliseconds; ``envelope_to`` is empty for what came by an API."""

    id: int
    account_id: int
    inbox_id: int
    key: str
    from_email: str
    from_name: str
    to_email: str
    to_name: str
    subject: str
    is_read: bool
    size: int
    html_size: int
    text_size: int
    endpoint: str
    envelope_from: str
    envelope_to: tuple[str, ...]
    client_ip: str
    category: str
    custom_variables: dict[str, Any]
    template_id: int
    template_variables: dict[str, Any] | None
    segment: str
    place: int
    created_at: int
    updated_at: int

    @property
    def where(self) -> Place:
        return place_of(self)


def place_of(row: Any) -> Place:
    """Where the bytes of a row of the table lie."""
    return Place(row.segment, row.place, row.size, row.key)


def page(connection: Connection, inbox_id: int, *, search: str = "", before: int = 0, skip: int = 0) -> list[Caught]:
    """The newest first; ``before``: an id, all are older than it; ``skip``: so many of the newest are left out."""
    chosen = (
        select(inbox_messages.c.id)
        .where(inbox_messages.c.inbox_id == inbox_id)
        .order_by(inbox_messages.c.id.desc())
        .limit(PAGE)
        .offset(skip)
    )
    if before:
        chosen = chosen.where(inbox_messages.c.id < before)
    if text := wanted(search):
        chosen = chosen.where(_holds(connection, inbox_messages.c.searched, text))
    # Chosen in the index alone, which is a tenth of the rows.
    return _of_ids(connection, connection.execute(chosen).scalars().all())


def by_id(connection: Connection, inbox_id: int, message_id: int) -> Caught | None:
    found = _of_ids(connection, [message_id])
    return found[0] if found and found[0].inbox_id == inbox_id else None


def sizes(connection: Connection, inbox_id: int, after: int) -> list[tuple[int, int]]:
    """Ids and octets of the next SOME behind this id, the oldest first."""
    asked = (
        select(inbox_messages.c.id, inbox_messages.c.size)
        .where(inbox_messages.c.inbox_id == inbox_id, inbox_messages.c.id > after)
        .order_by(inbox_messages.c.id)
        .limit(SOME)
    )
    return [(row.id, row.size) for row in connection.execute(asked)]


def mark(connection: Connection, inbox_id: int, message_id: int, is_read: bool, now: int) -> bool:
    """False: there is no such message."""
    here = (inbox_messages.c.inbox_id == inbox_id, inbox_messages.c.id == message_id)
    changed = connection.execute(
        update(inbox_messages).where(*here, inbox_messages.c.is_read != is_read).values(is_read=is_read, updated_at=now)
    ).rowcount
    if changed:
        _recount(connection, inbox_id, unread=-1 if is_read else 1)
        return True
    return connection.execute(select(inbox_messages.c.id).where(*here)).first() is not None


def mark_all(connection: Connection, inbox_id: int, now: int, after: int, up_to: int) -> int:
    """The next SOME as read, from behind the id ``after``; returns the last id that was looked at, 0 at the end."""
    looked = _some(connection, inbox_id, after, up_to)
    if looked:
        changed = connection.execute(
            update(inbox_messages)
            .where(inbox_messages.c.id.in_(looked), inbox_messages.c.is_read == false())
            .values(is_read=True, updated_at=now)
        ).rowcount
        _recount(connection, inbox_id, unread=-changed)
    return looked[-1] if len(looked) == SOME else 0


def remove(connection: Connection, content: CapturedContent, inbox_id: int, message_ids: Collection[int]) -> int:
    """Returns how many of them there were."""
    gone = connection.execute(
        delete(inbox_messages)
        .where(inbox_messages.c.inbox_id == inbox_id, inbox_messages.c.id.in_(message_ids))
        .returning(inbox_messages.c.key, inbox_messages.c.is_read)
    ).all()
    if gone:
        content.remove(connection, [row.key for row in gone])
        _recount(connection, inbox_id, messages=-len(gone), unread=-sum(not row.is_read for row in gone))
    return len(gone)


def clean(connection: Connection, content: CapturedContent, inbox_id: int, up_to: int) -> int:
    """Deletes the next SOME with ids up to this one; returns how many. Call again while it is SOME."""
    return remove(connection, content, inbox_id, _some(connection, inbox_id, 0, up_to))


def shrink(connection: Connection, content: CapturedContent, inbox_id: int, most: int) -> int:
    """Deletes the oldest, SOME at once, where it holds more than ``most``; returns how many. Call again while it is SOME."""
    if not lock(connection, inbox_id):
        return 0
    held = connection.execute(select(inboxes.c.messages_count).where(inboxes.c.id == inbox_id)).scalar_one()
    oldest = _some(connection, inbox_id, 0, newest(connection, inbox_id))
    return remove(connection, content, inbox_id, oldest[: max(held - most, 0)])


def note_forwarded(connection: Connection, inbox_id: int) -> None:
    """A message of it was sent on."""
    counted = update(inboxes).where(inboxes.c.id == inbox_id)
    connection.execute(counted.values(forwarded_count=inboxes.c.forwarded_count + 1))


def newest(connection: Connection, inbox_id: int) -> int:
    """Its id; 0 where there is none."""
    found = connection.execute(
        select(func.coalesce(func.max(inbox_messages.c.id), 0)).where(inbox_messages.c.inbox_id == inbox_id)
    ).scalar_one()
    return int(found)


def lock(connection: Connection, inbox_id: int) -> bool:
    """Nothing is caught before the transaction ends. False: there is no such inbox."""
    return (
        connection.execute(select(inboxes.c.id).where(inboxes.c.id == inbox_id).with_for_update()).first() is not None
    )


def _some(connection: Connection, inbox_id: int, after: int, up_to: int) -> Sequence[int]:
    asked = (
        select(inbox_messages.c.id)
        .where(inbox_messages.c.inbox_id == inbox_id, inbox_messages.c.id > after, inbox_messages.c.id <= up_to)
        .order_by(inbox_messages.c.id)
        .limit(SOME)
    )
    return connection.execute(asked).scalars().all()


def _recount(connection: Connection, inbox_id: int, *, messages: int = 0, unread: int = 0) -> None:
    connection.execute(
        update(inboxes)
        .where(inboxes.c.id == inbox_id)
        .values(messages_count=inboxes.c.messages_count + messages, unread_count=inboxes.c.unread_count + unread)
    )


def _of_ids(connection: Connection, ids: Collection[int]) -> list[Caught]:
    """The newest first."""
    asked = select(inbox_messages).where(inbox_messages.c.id.in_(ids)).order_by(inbox_messages.c.id.desc())
    return [caught_of(row) for row in connection.execute(asked)] if ids else []


def caught_of(row: Row[Any]) -> Caught:
    found = dict(row._mapping)
    del found["searched"]
    found["envelope_to"] = tuple(msgspec.json.decode(found["envelope_to"]))
    found["custom_variables"] = msgspec.json.decode(found["custom_variables"])
    variables = found["template_variables"]
    found["template_variables"] = msgspec.json.decode(variables) if variables else None
    return Caught(**found)


def _holds(connection: Connection, column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    # A tenth faster than LIKE, and there is nothing to escape.
    place = func.instr(column, text) if connection.dialect.name == "sqlite" else func.strpos(column, text)
    return place > 0
