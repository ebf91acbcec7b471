"""The list read back: one, a page of the newest, all of them piece by piece, and the message that caused each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, exists, func, or_, select, tuple_

from mailferry.journal.ids import first_at
from mailferry.resources.suppressions.standing import HARD_BOUNCE, MANUAL_IMPORT, SPAM_COMPLAINT, Suppression
from mailferry.store.given import among, pack, rows
from mailferry.store.schema import attempts, domains, messages, recipients, suppressions

#: An id is drawn within the millisecond of its row, and a page that looks for times trusts the ids that far: a clock
#: that is set back lets them drift apart.
DRIFT_MS = 86_400_000

#: What a list without unsubscriptions holds.
LISTED = frozenset({HARD_BOUNCE, SPAM_COMPLAINT, MANUAL_IMPORT})


@dataclass(frozen=True, slots=True)
class Query:
    """Newest first; what is empty or None is not asked for. ``domain_ids`` confines to suppressions of these domains."""

    account_id: int
    domain_ids: frozenset[int] | None = None
    address: str = ""
    domain_id: int | None = None
    stream: str = ""
    type: str = ""
    #: Unix milliseconds, both included.
    since: int | None = None
    until: int | None = None
    #: The id that the page before ended with.
    older_than: str = ""
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class Story:
    """The message that caused a suppression, and the attempt that was the last one then."""

    sender: str
    subject: str
    category: str
    client_ip: str
    #: Unix milliseconds.
    sent_at: int
    #: Empty where nothing was attempted.
    host: str
    local_ip: str


def find(connection: Connection, account_id: int, identity: str) -> Suppression | None:
    row = connection.execute(
        _all().where(suppressions.c.account_id == account_id, suppressions.c.id == identity)
    ).one_or_none()
    return Suppression(*row) if row else None


def page(connection: Connection, query: Query) -> list[Suppression]:
    # Of one address there are few: the longer order keeps a database from walking through all ids to find them.
    newest = [suppressions.c.created_at.desc()] if query.address else []
    found = connection.execute(_asked(query).order_by(*newest, suppressions.c.id.desc()).limit(query.limit))
    return [Suppression(*row) for row in found]


def walk(connection: Connection, query: Query, after: Sequence[Any] = ()) -> list[Suppression]:
    """All of them piece by piece, in the order of their scopes, which costs the same for each piece.

    ``after``: the :func:`scope` that the piece before ended with.
    """
    columns = [suppressions.c[name] for name in ("address", "domain_id", "stream")]
    asked = _asked(query).order_by(*columns).limit(query.limit)
    if after:
        asked = asked.where(tuple_(*columns) > tuple_(*after))
    return [Suppression(*row) for row in connection.execute(asked)]


def of_addresses(connection: Connection, account_id: int, wanted: Iterable[str]) -> list[Suppression]:
    """All that stands for these (in key form): a thousand are one statement."""
    given = select(rows(connection.dialect.name, [suppressions.c.address]).c.address)
    asked = _all().where(
        suppressions.c.account_id == account_id, among(connection.dialect.name, suppressions.c.address, given)
    )
    packed = pack([{"address": each} for each in wanted])
    return [Suppression(*row) for row in connection.execute(asked, {"rows": packed})]


def newest(connection: Connection, query: Query, types: Iterable[str], after: str = "") -> list[Suppression]:
    """Each address once, by the newest that stands for it and is :data:`LISTED`; ``types``: those of which it is one.

    In the order of the addresses, those behind ``after``. The query's ids and limits of time are as in :func:`page`.
    """
    newer = suppressions.alias("newer")
    mine = [newer.c.account_id == suppressions.c.account_id, newer.c.address == suppressions.c.address]
    if query.domain_ids is not None:
        mine.append(newer.c.domain_id.in_(query.domain_ids))
    later = or_(
        newer.c.created_at > suppressions.c.created_at,
        and_(newer.c.created_at == suppressions.c.created_at, newer.c.id > suppressions.c.id),
    )
    asked = _asked(query).where(
        suppressions.c.address > after,
        suppressions.c.type.in_(sorted(types)),
        ~exists().where(*mine, newer.c.type.in_(sorted(LISTED)), later),
    )
    return [Suppression(*row) for row in connection.execute(asked.order_by(suppressions.c.address).limit(query.limit))]


def scope(found: Suppression) -> tuple[str, int, str]:
    return found.address, found.domain_id, found.stream


def stories(connection: Connection, found: Iterable[Suppression]) -> dict[str, Story]:
    """By the suppression's id; those without a message of ours, or whose message is forgotten, are missing."""
    caused = [{name: getattr(each, name) for name in _CAUSED} for each in found if each.recipient_id]
    if not caused:
        return {}
    given = rows(connection.dialect.name, [suppressions.c[name] for name in _CAUSED])
    # Not simply the last one: an attempt that was cut off may have been heard of later, and decided nothing.
    last = (
        select(given.c.id, func.max(attempts.c.id).label("attempt"))
        .outerjoin(attempts, (attempts.c.recipient_id == given.c.recipient_id) & (attempts.c.at <= given.c.created_at))
        .group_by(given.c.id)
        .subquery("last")
    )
    statement = (
        select(
            given.c.id,
            *(messages.c[name] for name in ("sender", "subject", "category", "client_ip", "created_at")),
            func.coalesce(attempts.c.host, ""),
            func.coalesce(attempts.c.local_ip, ""),
        )
        .join(last, last.c.id == given.c.id)
        .join(recipients, recipients.c.id == given.c.recipient_id)
        .join(messages, messages.c.id == recipients.c.message_id)
        .outerjoin(attempts, attempts.c.id == last.c.attempt)
    )
    return {identity: Story(*told) for identity, *told in connection.execute(statement, {"rows": pack(caused)})}


_CAUSED = ("id", "recipient_id", "created_at")
_STORED = [column for column in suppressions.c if column.name in Suppression.__dataclass_fields__]


def _all() -> Select[Any]:
    named = func.coalesce(domains.c.name, "").label("domain_name")
    return select(*_STORED, named).outerjoin(domains, domains.c.id == suppressions.c.domain_id)


def _asked(query: Query) -> Select[Any]:
    asked = _all().where(suppressions.c.account_id == query.account_id)
    if query.domain_ids is not None:
        asked = asked.where(suppressions.c.domain_id.in_(query.domain_ids))
    for name in ("address", "stream", "type"):
        if value := getattr(query, name):
            asked = asked.where(suppressions.c[name] == value)
    if query.domain_id is not None:
        asked = asked.where(suppressions.c.domain_id == query.domain_id)
    if query.older_than:
        asked = asked.where(suppressions.c.id < query.older_than)
    # Time stands in the ids as well, and there is no other index on it.
    if query.since is not None:
        asked = asked.where(
            suppressions.c.created_at >= query.since, suppressions.c.id >= first_at(query.since - DRIFT_MS)
        )
    if query.until is not None:
        asked = asked.where(
            suppressions.c.created_at <= query.until, suppressions.c.id < first_at(query.until + DRIFT_MS + 1)
        )
    return asked
