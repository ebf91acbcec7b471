"""Segments: contacts that meet conditions, whoever they are at the moment. Kept is the rule, never the contacts."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, select, update

from mailferry.resources.contacts import contacts, fields, locks, rules
from mailferry.resources.contacts.contacts import Contact
from mailferry.resources.contacts.rules import Rule
from mailferry.store.schema import contact_segments
from mailferry.store.schema import contacts as table

#: Of an account. Mailtrap has no limit; each one is read to see whether a field may be deleted.
MOST = 500


@dataclass(frozen=True, slots=True)
class Segment:
    id: int
    name: str
    rule: Rule
    #: Unix milliseconds.
    created_at: int
    updated_at: int


class TooMany(ValueError):
    """The account has :data:`MOST` already."""


class Taken(ValueError):
    """Another segment of the account has that name."""


class FieldGone(ValueError):
    """A field of the rule was deleted a moment ago."""


def of_account(connection: Connection, account_id: int) -> list[Segment]:
    found = connection.execute(_all(account_id).order_by(contact_segments.c.id))
    return [_segment(*row) for row in found]


def by_id(connection: Connection, account_id: int, segment_id: int) -> Segment | None:
    row = connection.execute(_all(account_id).where(contact_segments.c.id == segment_id)).one_or_none()
    return _segment(*row) if row else None


def using(connection: Connection, account_id: int, field_id: int) -> list[str]:
    """Names of the segments that ask for a field."""
    return [each.name for each in of_account(connection, account_id) if field_id in each.rule.field_ids]


def create(connection: Connection, account_id: int, name: str, rule: Rule, now: int) -> Segment:
    """Raises :class:`TooMany`, :class:`Taken` or :class:`FieldGone`."""
    locks.take(connection, account_id)
    standing = of_account(connection, account_id)
    if len(standing) >= MOST:
        raise TooMany
    _refuse(connection, account_id, name, rule, standing)
    values = {"account_id": account_id, "name": name, "rule": rules.written(rule), "created_at": now, "updated_at": now}
    made = connection.execute(insert(contact_segments).values(values).returning(contact_segments.c.id)).scalar_one()
    return Segment(made, name, rule, now, now)


def change(connection: Connection, account_id: int, before: Segment, name: str, rule: Rule, now: int) -> Segment:
    """Raises :class:`Taken` or :class:`FieldGone`."""
    locks.take(connection, account_id)
    others = [each for each in of_account(connection, account_id) if each.id != before.id]
    _refuse(connection, account_id, name, rule, others)
    values = {"name": name, "rule": rules.written(rule), "updated_at": now}
    connection.execute(update(contact_segments).where(contact_segments.c.id == before.id).values(values))
    return Segment(before.id, name, rule, before.created_at, now)


def remove(connection: Connection, account_id: int, segment_id: int) -> Segment | None:
    before = by_id(connection, account_id, segment_id)
    gone = delete(contact_segments).where(contact_segments.c.id == segment_id)
    return before if before is not None and connection.execute(gone).rowcount else None


def count(connection: Connection, account_id: int, rule: Rule) -> int:
    found = rules.matching(account_id, rule).subquery()
    return connection.execute(select(func.count()).select_from(found)).scalar_one()


def page(connection: Connection, account_id: int, rule: Rule, after: str = "", limit: int = 100) -> list[Contact]:
    """In the order of their ids; ``after``: the id that the page before ended with."""
    found = rules.matching(account_id, rule).where(table.c.id > after).order_by(table.c.id).limit(limit)
    return contacts.read(connection, account_id, connection.execute(found).scalars().all())


def newest(connection: Connection, account_id: int, rule: Rule, limit: int) -> list[Contact]:
    """The newest first."""
    found = rules.matching(account_id, rule).order_by(table.c.id.desc()).limit(limit)
    return contacts.read(connection, account_id, connection.execute(found).scalars().all())[::-1]


def _all(account_id: int) -> Select[Any]:
    columns = [contact_segments.c[name] for name in ("id", "name", "rule", "created_at", "updated_at")]
    return select(*columns).where(contact_segments.c.account_id == account_id)


def _segment(identity: int, name: str, rule: str, created_at: int, updated_at: int) -> Segment:
    return Segment(identity, name, rules.read(rule), created_at, updated_at)


def _refuse(connection: Connection, account_id: int, name: str, rule: Rule, others: Iterable[Segment]) -> None:
    if any(each.name == name for each in others):
        raise Taken
    if rule.field_ids - {field.id for field in fields.of_account(connection, account_id)}:
        raise FieldGone
