"""The list itself: whom it stops, how it grows and shrinks, and the history that it leaves."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, or_, select

from mailferry.journal.ids import drawn_at
from mailferry.mail import address as addresses
from mailferry.store.given import insert_if_new, insert_rows, pack, rows
from mailferry.store.schema import suppression_history, suppressions

#: Mailtrap's words for the type.
HARD_BOUNCE = "hard bounce"
UNSUBSCRIPTION = "unsubscription"
SPAM_COMPLAINT = "spam complaint"
MANUAL_IMPORT = "manual import"
TYPES = (HARD_BOUNCE, UNSUBSCRIPTION, SPAM_COMPLAINT, MANUAL_IMPORT)

ALL_DOMAINS = 0
ANY = "any"
STREAMS = ("transactional", "bulk", ANY)

CREATED, DELETED = "created", "deleted"
#: The history's actor where no person and no token acted: what was heard of a message suppressed its recipient.
DELIVERY = "delivery"


@dataclass(frozen=True, slots=True)
class Target:
    """Whom somebody wants to write to. ``address`` is the key form (mail/address.key)."""

    account_id: int
    address: str
    domain_id: int
    stream: str


@dataclass(frozen=True, slots=True)
class Suppression:
    """One that stands."""

    id: str
    account_id: int
    address: str
    #: 0 = all domains, and then it has no name.
    domain_id: int
    stream: str
    type: str
    #: Empty where no message of ours caused it.
    recipient_id: str
    category: str
    response: str
    #: Unix milliseconds.
    created_at: int
    domain_name: str


def why_rejected(kind: str) -> str:
    """What the story of a message says of a recipient that is suppressed for this type."""
    return f"Recipient in suppression list. Reason: {kind}"


def stopping(types: Collection[str], counting: Collection[str] | None = None) -> str:
    """Of the types of what stands for a target the one that stops it; empty: none. ``counting``: None = all of them do."""
    return next((each for each in TYPES if each in types and (counting is None or each in counting)), "")


def matching(connection: Connection, targets: Sequence[Target]) -> dict[Target, frozenset[str]]:
    """Those that are suppressed, with the types of all that stands for them: one statement for all targets."""
    wanted = {t for t in targets if t.address}
    if not wanted:
        return {}
    given = rows(connection.dialect.name, [suppressions.c[n] for n in ("account_id", "address", "domain_id", "stream")])
    statement = select(
        given.c.account_id, given.c.address, given.c.domain_id, given.c.stream, suppressions.c.type
    ).join(
        suppressions,
        (suppressions.c.account_id == given.c.account_id)
        & (suppressions.c.address == given.c.address)
        & or_(suppressions.c.domain_id == ALL_DOMAINS, suppressions.c.domain_id == given.c.domain_id)
        & or_(suppressions.c.stream == ANY, suppressions.c.stream == given.c.stream),
    )
    packed = pack(
        [
            {"account_id": t.account_id, "address": t.address, "domain_id": t.domain_id, "stream": t.stream}
            for t in wanted
        ]
    )
    found: dict[Target, frozenset[str]] = {}
    for *target, type_ in connection.execute(statement, {"rows": packed}):
        found[Target(*target)] = found.get(Target(*target), frozenset()) | {type_}
    return found


def entry(
    account_id: int,
    address: str,
    created_at: int,
    *,
    domain_id: int = ALL_DOMAINS,
    stream: str = ANY,
    type: str = MANUAL_IMPORT,
    category: str = "",
    response: str = "",
) -> dict[str, Any]:
    """A row for :func:`add` of what no message of ours caused. ``address`` is in its stored form (mail/address.parse)."""
    return {
        "id": drawn_at(created_at),
        "account_id": account_id,
        "address": addresses.key(address),
        "domain_id": domain_id,
        "stream": stream,
        "type": type,
        "recipient_id": "",
        "category": category,
        "response": response,
        "created_at": created_at,
    }


def add(
    connection: Connection, entries: Sequence[Mapping[str, Any]], actor: str = DELIVERY, at: int | None = None
) -> frozenset[str]:
    """Rows of the table; returns the ids of the new ones. One that stands already stays as it was, with its first reason.

    ``at``: when that is done, where ``created_at`` is older (an import).
    """
    # In one order, or two nodes that suppress the same addresses could wait for each other.
    ordered = sorted(entries, key=lambda each: (each["account_id"], each["address"], each["domain_id"], each["stream"]))
    new = insert_if_new(connection, suppressions, ordered, returning=(suppressions.c.id,))
    made = frozenset(row.id for row in new)
    if made:
        _note(connection, [each for each in entries if each["id"] in made], CREATED, actor, at)
    return made


def remove(connection: Connection, found: Sequence[Suppression], actor: str, now: int) -> list[Suppression]:
    """Those that stood until now: what somebody else removed meanwhile is not told twice."""
    if not found:
        return []
    given = rows(connection.dialect.name, [suppressions.c.id])
    statement = delete(suppressions).where(suppressions.c.id.in_(select(given.c.id))).returning(suppressions.c.id)
    gone = set(connection.execute(statement, {"rows": pack([{"id": each.id} for each in found])}).scalars())
    removed = [each for each in found if each.id in gone]
    _note(connection, [{name: getattr(each, name) for name in _NOTED} for each in removed], DELETED, actor, now)
    return removed


_NOTED = ("account_id", "address", "domain_id", "stream", "type")


def _note(
    connection: Connection, entries: Iterable[Mapping[str, Any]], action: str, actor: str, at: int | None = None
) -> None:
    noted = [
        {name: each[name] for name in _NOTED}
        | {"action": action, "actor": actor, "at": each["created_at"] if at is None else at}
        for each in entries
    ]
    insert_rows(connection, suppression_history, noted)
