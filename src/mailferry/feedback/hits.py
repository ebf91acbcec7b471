"""Opens, clicks, unsubscriptions and complaints become events, and the last two suppressions, in one transaction.

Links say whose they are (mail/links.py), so an unsubscription holds even when the log has forgotten its message. What
somebody opened and clicked is recorded only while the log knows the message, and not of those who opted out.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import structlog
from sqlalchemy import Connection, func, select

from mailferry.journal.events import WAITING, Kind
from mailferry.journal.ids import Ids
from mailferry.mail import address as addresses
from mailferry.mail import agents
from mailferry.mail.agents import Machine
from mailferry.resources import suppressions, tracking_opt_outs
from mailferry.store.database import Database
from mailferry.store.given import insert_if_new, pack, rows
from mailferry.store.schema import domains, events, messages, recipients

log = structlog.get_logger(__name__)

#: Opens, and clicks, that are kept of one recipient: whoever holds a link may follow it for ever.
MOST = 200
#: Hits that wait for the database. Beyond that readers are sent on their way and not counted.
WAITING_MOST = 10_000
#: The suppression history's actor.
RECIPIENT = "recipient"

_LIFTED_BY_SENDERS = (suppressions.HARD_BOUNCE, suppressions.MANUAL_IMPORT)
_SUPPRESSES = {Kind.UNSUBSCRIBE: suppressions.UNSUBSCRIPTION, Kind.SPAM: suppressions.SPAM_COMPLAINT}


@dataclass(frozen=True, slots=True)
class Hit:
    """``kind``: OPEN, CLICK, UNSUBSCRIBE or SPAM. Of the last two ``stream`` (or any) and ``address`` are needed."""

    kind: Kind
    domain_id: int
    recipient_id: str
    #: Unix milliseconds.
    at: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    machine: Machine | None = None
    #: True: a person, however soon after the delivery.
    person: bool = False
    stream: str = ""
    address: str = ""
    #: Of the event, which is written once, and of the suppression that comes with it.
    id: str = ""
    #: False: nobody is suppressed by it.
    lasting: bool = True

    @property
    def suppresses(self) -> bool:
        return self.lasting and self.kind in _SUPPRESSES


class Hits:
    """Belongs to one event loop."""

    def __init__(self, database: Database, ids: Ids, clock: Callable[[], int]) -> None:
        self._database = database
        self._ids = ids
        self._clock = clock
        self._waiting = 0

    def offer(self, hit: Hit) -> None:
        """Recorded soon. Nobody waits for it, and a database that is away holds up no reader."""
        if self._waiting >= WAITING_MOST:
            log.warning("hit_dropped", kind=hit.kind, recipient_id=hit.recipient_id)
            return
        self._waiting += 1
        self.record(hit).add_done_callback(self._done)

    def record(self, hit: Hit) -> "asyncio.Future[bool]":
        """Done when it is durable. False: it changed nothing (it stood already, or the message is forgotten)."""
        return self._database.submit(write, hit if hit.id else replace(hit, id=self._ids.new()))

    def _done(self, future: "asyncio.Future[bool]") -> None:
        self._waiting -= 1
        if not future.cancelled() and (error := future.exception()):
            log.error("hit_failed", error=repr(error))


def write(connection: Connection, hits: Sequence[Hit]) -> list[bool]:
    """A batch for the writer. What stands already is ours: the answer to our COMMIT was lost, and the group is run again."""
    known = _known(connection, {hit.recipient_id for hit in hits})
    made = _suppress(connection, hits, known)
    room = _room(connection, [hit.recipient_id for hit in hits if not hit.suppresses])
    unwilling = _unwilling(connection, hits, known)
    written, results = [], []
    for hit in hits:
        row = known.get(hit.recipient_id)
        if hit.suppresses:
            kept = hit.id in made
        elif hit.kind in _SUPPRESSES:
            kept = row is not None
        else:
            kept = row is not None and hit.recipient_id not in unwilling and room(hit)
        if kept and row is not None:
            written.append(_event(hit, row))
        results.append(kept)
    insert_if_new(connection, events, written)
    return results


def resubscribe(connection: Connection, domain_id: int, address: str, streams: Sequence[str], now: int) -> int:
    """Undo: unsubscriptions of these streams are taken back, and nothing else that stops mail; returns how many."""
    found = [each for each in standing(connection, domain_id, address) if each.stream in streams]
    return len(suppressions.remove(connection, found, RECIPIENT, now))


def standing(connection: Connection, domain_id: int, address: str) -> list[suppressions.Suppression]:
    """The recipient's own unsubscriptions from a domain."""
    account_id = _accounts(connection, {domain_id}).get(domain_id)
    if account_id is None:
        return []
    query = suppressions.Query(
        account_id, address=addresses.key(address), domain_id=domain_id, type=suppressions.UNSUBSCRIPTION
    )
    return suppressions.page(connection, query)


# --- the batch -----------------------------------------------------------------------------------------------------


def _known(connection: Connection, recipient_ids: set[str]) -> Mapping[str, Any]:
    given = rows(connection.dialect.name, [recipients.c.id])
    columns = [recipients.c[name] for name in ("id", "message_id", "account_id", "address", "state", "updated_at")]
    statement = (
        select(*columns, messages.c.domain_id)
        .join(given, recipients.c.id == given.c.id)
        .join(messages, messages.c.id == recipients.c.message_id)
    )
    packed = pack([{"id": recipient_id} for recipient_id in sorted(recipient_ids)])
    return {row.id: row for row in connection.execute(statement, {"rows": packed}).all()}


def _suppress(connection: Connection, hits: Sequence[Hit], known: Mapping[str, Any]) -> frozenset[str]:
    """The ids of those that were made: who unsubscribes twice is one event."""
    wanted = [hit for hit in hits if hit.suppresses]
    if not wanted:
        return frozenset()
    # A deleted domain's row stays, and so does what its readers want.
    owners = _accounts(connection, {hit.domain_id for hit in wanted})
    entries = [
        {
            "id": hit.id,
            "account_id": owners[hit.domain_id],
            "address": addresses.key(hit.address),
            "domain_id": hit.domain_id,
            "stream": hit.stream,
            "type": _SUPPRESSES[hit.kind],
            "recipient_id": hit.recipient_id if hit.recipient_id in known else "",
            "category": "",
            "response": "",
            "created_at": hit.at,
        }
        for hit in wanted
        if hit.domain_id in owners
    ]
    made = suppressions.add(connection, entries, RECIPIENT)
    taken = [each for each in entries if each["id"] not in made and each["type"] == suppressions.UNSUBSCRIPTION]
    return made | suppressions.add(connection, _outranked(connection, taken), RECIPIENT)


def _outranked(connection: Connection, entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those in whose place stood what the sender may lift: a bounce, an entry of its own. It goes, and the recipient's
    own wish takes the place; otherwise it would be forgotten when the other is lifted."""
    free: dict[tuple[int, str, int, str], Mapping[str, Any]] = {}
    for entry in entries:
        query = suppressions.Query(
            entry["account_id"], address=entry["address"], domain_id=entry["domain_id"], stream=entry["stream"]
        )
        weaker = [each for each in suppressions.page(connection, query) if each.type in _LIFTED_BY_SENDERS]
        if suppressions.remove(connection, weaker, RECIPIENT, entry["created_at"]):
            free[entry["account_id"], entry["address"], entry["domain_id"], entry["stream"]] = entry
    return list(free.values())


def _accounts(connection: Connection, domain_ids: set[int]) -> dict[int, int]:
    found = connection.execute(select(domains.c.id, domains.c.account_id).where(domains.c.id.in_(sorted(domain_ids))))
    return {row.id: row.account_id for row in found}


def _room(connection: Connection, recipient_ids: Sequence[str]) -> Callable[[Hit], bool]:
    """Whether one more of its kind is kept; counts those that it lets pass."""
    counted: Counter[tuple[str, str]] = Counter()
    if recipient_ids:
        statement = select(events.c.recipient_id, events.c.kind, func.count()).where(
            events.c.recipient_id.in_(sorted(set(recipient_ids))),
            events.c.kind.in_((Kind.OPEN.value, Kind.CLICK.value)),
        )
        for recipient_id, kind, count in connection.execute(statement.group_by(events.c.recipient_id, events.c.kind)):
            counted[recipient_id, kind] = count

    def room(hit: Hit) -> bool:
        counted[hit.recipient_id, hit.kind.value] += 1
        return counted[hit.recipient_id, hit.kind.value] <= MOST

    return room


def _unwilling(connection: Connection, hits: Sequence[Hit], known: Mapping[str, Any]) -> set[str]:
    """Those whose mail is not followed, though it was sent with links: they opted out since."""
    asked = {hit.recipient_id: known[hit.recipient_id] for hit in hits if hit.recipient_id in known}
    found = tracking_opt_outs.among(connection, {(row.domain_id, addresses.key(row.address)) for row in asked.values()})
    return {name for name, row in asked.items() if (row.domain_id, addresses.key(row.address)) in found}


def _event(hit: Hit, row: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {name: value for name, value in hit.facts.items() if value}
    machine = hit.machine
    if machine is None and not hit.person and hit.kind in (Kind.OPEN, Kind.CLICK):
        waits = row.state in WAITING
        machine = agents.TOO_SOON if waits or 0 <= hit.at - row.updated_at < agents.TOO_SOON_MS else None
    if machine is not None:
        facts |= {"machine": machine.name, "why": machine.why}
    return {
        "at": hit.at,
        "kind": hit.kind,
        "account_id": row.account_id,
        "message_id": row.message_id,
        "recipient_id": row.id,
        "facts": msgspec.json.encode(facts).decode(),
        "hit": hit.id or None,
    }
