"""The accept transaction: a whole group of messages in one statement a table.

Bytes are synced first, then one transaction writes messages, recipients, queue rows, ``accepted`` events and the
idempotency keys. What may leave at once is inserted already leased to this process and handed to delivery from memory;
the row is there for recovery, retries and reading.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from mailferry.delivery import queue as queues
from mailferry.delivery.gates import OVER_HOURLY, Gates
from mailferry.delivery.job import LEASE_MS, HandoffBudget, Job, terms
from mailferry.intake.submission import KeyReused, Once, Replayed
from mailferry.journal.events import Kind, State, check_way
from mailferry.resources import suppressions
from mailferry.resources.environments import Rule
from mailferry.resources.suppressions import Target
from mailferry.store.content import Content, Place
from mailferry.store.given import insert_if_new, insert_rows
from mailferry.store.schema import events, idempotency_keys, messages, queue, recipients

#: The number of the lease under which a recipient is handed over.
FIRST_FENCE = 1


@dataclass(frozen=True, slots=True)
class DraftRecipient:
    id: str
    address: str
    kind: str
    #: The address in the form that suppressions are kept in, and its domain.
    key: str
    destination: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that has passed every check and waits for its transaction. ``row`` lacks only where the bytes lie."""

    row: Mapping[str, Any]
    body: bytes
    recipients: tuple[DraftRecipient, ...]
    #: Types of suppressions that stop it; None: all do.
    suppressing: frozenset[str] | None = None
    #: Recipients (by their key) who do not want what is sent here.
    opted_out: frozenset[str] = frozenset()
    #: Why nothing of it leaves, though it is kept.
    failure: str = ""
    #: What its environment makes of it (environment.py); None: it goes on its way.
    environment: Rule | None = None
    #: How old it gets at most, in milliseconds, where that is less than for all mail; 0: as all mail.
    expire_ms: int = 0

    def target(self, recipient: DraftRecipient) -> Target:
        return Target(self.row["account_id"], recipient.key, self.row["domain_id"], self.row["stream"])


@dataclass(slots=True, eq=False)
class Unit:
    """What is accepted together: the messages of one request."""

    drafts: tuple[Draft, ...]
    once: Once | None = None
    answer: str = ""
    #: Octets taken from the hand-off's budget, one number a job, until the jobs are handed over.
    borrowed: list[int] = field(default_factory=list)
    #: A transaction has tried to keep it: it may stand although that seemed to fail.
    tried: bool = False


@dataclass(slots=True)
class Kept:
    """Durable. The jobs are leased to this process and must be handed over; what has none is claimed."""

    jobs: list[Job] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Fate:
    state: State
    reason: str = ""
    kind: Kind | None = None
    due: int | None = None
    leased: bool = False
    counted: bool = False


class Keeper:
    """The batch that the writer calls. It runs in the writer's thread and touches nothing but what it was given."""

    def __init__(
        self,
        content: Content,
        clock: Callable[[], int],
        *,
        boot: int,
        budget: HandoffBudget | None,
        hourly: int,
        expire_ms: int,
    ) -> None:
        self._content = content
        self._clock = clock
        self._boot = boot
        self._budget = budget
        self._hourly = hourly
        self._expire_ms = expire_ms

    def __call__(self, connection: Connection, units: Sequence[Unit]) -> list[Kept | Replayed | KeyReused]:
        now = self._clock()
        for unit in units:
            self.give_back(unit)  # a group whose transaction failed is run again
        standing = self._standing(connection, [unit for unit in units if unit.tried], now)
        rest = [unit for unit in units if unit not in standing]
        outcomes = dict(zip(rest, self._keep(connection, rest, now), strict=True))
        for unit in rest:
            unit.tried = True
        return [outcomes.get(unit, Kept()) for unit in units]

    def _standing(self, connection: Connection, units: Sequence[Unit], now: int) -> set[Unit]:
        """Those that are kept: the answer to our COMMIT was lost. Nobody was handed what they lease: it is claimed."""
        # One without messages (all were caught) stands by its key alone.
        by_id = {unit.drafts[0].row["id"]: unit for unit in units if unit.drafts}
        if not by_id:
            return set()
        found = connection.execute(select(messages.c.id).where(messages.c.id.in_(by_id))).scalars()
        standing = {by_id[message_id] for message_id in found}
        leases = [(r.id, FIRST_FENCE) for unit in standing for draft in unit.drafts for r in draft.recipients]
        queues.release(connection, leases, self._boot, now)
        return standing

    def _keep(self, connection: Connection, units: Sequence[Unit], now: int) -> list[Kept | Replayed | KeyReused]:
        outcomes = _claim_keys(connection, units, now)
        fresh = [(unit, outcome) for unit, outcome in zip(units, outcomes, strict=True) if isinstance(outcome, Kept)]
        drafts = [draft for unit, _ in fresh for draft in unit.drafts]
        if not drafts:
            return outcomes
        suppressed = suppressions.matching(connection, [d.target(r) for d in drafts for r in d.recipients])
        # Lanes before the domains' hours, as a claim locks them: the other way round the two could wait for each other.
        lanes = _lanes(connection, drafts, now)
        gates = Gates(connection, [d.row["domain_id"] for d in drafts], now, self._hourly, arriving=True)
        places = self._content.keep(connection, [(d.row["id"], d.body) for d in drafts], now)
        group = _Group()
        for (unit, kept), draft, place in _with_places(fresh, places):
            group.add_message(draft, place)
            for recipient in draft.recipients:
                lane_id, lane_hold = lanes[_lane_key(draft, recipient)]
                fate = self._fate(draft, recipient, suppressed, gates, lane_hold, now, unit.borrowed)
                group.add_recipient(draft, recipient, fate, lane_id, now, self._boot, self._expires_at(draft))
                if fate.leased:
                    kept.jobs.append(self._job(draft, recipient, lane_id, place, now))
        gates.close(connection)
        group.insert(connection)
        return outcomes

    def give_back(self, unit: Unit) -> None:
        """What was borrowed for a unit that was not kept after all."""
        if self._budget and unit.borrowed:
            self._budget.give_back(sum(unit.borrowed), len(unit.borrowed))
            unit.borrowed.clear()

    def _fate(
        self,
        draft: Draft,
        recipient: DraftRecipient,
        suppressed: Mapping[Target, Collection[str]],
        gates: Gates,
        lane_hold: str,
        now: int,
        borrowed: list[int],
    ) -> _Fate:
        """The same decisions as a claim makes, for those who might leave at once."""
        if draft.failure:
            return _Fate(State.REJECTED, draft.failure, Kind.REJECT)
        if recipient.key in draft.opted_out:
            return _Fate(State.REJECTED, suppressions.why_rejected(suppressions.UNSUBSCRIPTION), Kind.REJECT)
        if kind := suppressions.stopping(suppressed.get(draft.target(recipient), ()), draft.suppressing):
            return _Fate(State.REJECTED, suppressions.why_rejected(kind), Kind.REJECT)
        gate = gates.of(draft.row["domain_id"])
        if gate.hold_reason:
            return _Fate(State.HELD, gate.hold_reason, Kind.SUSPENSION)
        if gate.behind:
            return _Fate(State.HELD, OVER_HOURLY, Kind.THROTTLED)
        if lane_hold or not self._borrow(draft, borrowed):
            return _Fate(State.QUEUED, due=now)
        if gate.limited and not gate.grant():
            borrowed.pop()
            assert self._budget is not None
            self._budget.give_back(len(draft.body))
            return _Fate(State.HELD, OVER_HOURLY, Kind.THROTTLED)
        return _Fate(State.QUEUED, due=now + LEASE_MS, leased=True, counted=gate.limited)

    def _expires_at(self, draft: Draft) -> int:
        created_at: int = draft.row["created_at"]
        return created_at + min(self._expire_ms, draft.expire_ms or self._expire_ms)

    def _borrow(self, draft: Draft, borrowed: list[int]) -> bool:
        if self._budget is None or not self._budget.take(len(draft.body)):
            return False
        borrowed.append(len(draft.body))
        return True

    def _job(self, draft: Draft, recipient: DraftRecipient, lane_id: int, place: Place, now: int) -> Job:
        row = draft.row
        return Job(
            recipient_id=recipient.id,
            message_id=row["id"],
            account_id=row["account_id"],
            domain_id=row["domain_id"],
            lane_id=lane_id,
            stream=row["stream"],
            address=recipient.address,
            destination=recipient.destination,
            fence=FIRST_FENCE,
            tries=0,
            created_at=row["created_at"],
            expires_at=self._expires_at(draft),
            endpoint=row["endpoint"],
            rfc_message_id=row["rfc_message_id"],
            place=place,
            lease_until=now + LEASE_MS,
            category=row["category"],
            terms=terms(row["publishing"]),
            body=draft.body,
            borrowed=len(draft.body),
        )


class _Group:
    """The rows of one transaction, collected and then written in one statement a table."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.recipients: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.queue: list[dict[str, Any]] = []

    def add_message(self, draft: Draft, place: Place) -> None:
        self.messages.append({**draft.row, "size": place.size, "segment": place.segment, "place": place.offset})

    def add_recipient(
        self, draft: Draft, recipient: DraftRecipient, fate: _Fate, lane_id: int, now: int, boot: int, expires_at: int
    ) -> None:
        check_way(None, fate.state)
        self.recipients.append(
            {
                "id": recipient.id,
                "message_id": draft.row["id"],
                "account_id": draft.row["account_id"],
                "address": recipient.address,
                "kind": recipient.kind,
                "state": fate.state,
                "reason": fate.reason,
                "updated_at": now,
            }
        )
        self._event(draft, recipient, Kind.ACCEPTED, now, "{}")
        if fate.kind:
            self._event(draft, recipient, fate.kind, now, msgspec.json.encode({"reason": fate.reason}).decode())
        if fate.state is not State.REJECTED:
            self.queue.append(
                {
                    "recipient_id": recipient.id,
                    "lane_id": lane_id,
                    "domain_id": draft.row["domain_id"],
                    "due": fate.due,
                    "owner": boot if fate.leased else 0,
                    "fence": FIRST_FENCE if fate.leased else 0,
                    "counted": fate.counted,
                    "expires_at": expires_at,
                }
            )

    def insert(self, connection: Connection) -> None:
        insert_rows(connection, messages, self.messages)
        insert_rows(connection, recipients, self.recipients)
        insert_rows(connection, events, self.events)
        insert_rows(connection, queue, self.queue)

    def _event(self, draft: Draft, recipient: DraftRecipient, kind: Kind, now: int, facts: str) -> None:
        self.events.append(
            {
                "at": now,
                "kind": kind,
                "account_id": draft.row["account_id"],
                "message_id": draft.row["id"],
                "recipient_id": recipient.id,
                "facts": facts,
            }
        )


def _lane_key(draft: Draft, recipient: DraftRecipient) -> queues.LaneKey:
    return draft.row["domain_id"], draft.row["stream"], recipient.destination


def _lanes(connection: Connection, drafts: Sequence[Draft], now: int) -> dict[queues.LaneKey, tuple[int, str]]:
    # `now` is right for rows that are not handed over, and costs one empty look for a lane whose rows all are.
    return queues.lanes_for(connection, {_lane_key(d, r): now for d in drafts for r in d.recipients})


def _with_places(
    fresh: Sequence[tuple[Unit, Any]], places: Sequence[Place]
) -> Iterator[tuple[tuple[Unit, Any], Draft, Place]]:
    place = iter(places)
    for unit, kept in fresh:
        for draft in unit.drafts:
            yield (unit, kept), draft, next(place)


def _claim_keys(connection: Connection, units: Sequence[Unit], now: int) -> list[Kept | Replayed | KeyReused]:
    """The first of a key writes it; every other gets what the first one answered, or is told that the key is taken.

    A key that stands never fails the statement, so a conflict cannot fail the group. On PostgreSQL a twin in another
    process waits here until the first one's transaction ends.
    """
    keyed = [unit for unit in units if unit.once is not None]
    outcomes: list[Kept | Replayed | KeyReused] = [Kept() for _ in units]
    if not keyed:
        return outcomes
    first = {_key_of(unit): unit for unit in reversed(keyed)}
    values = [
        {
            "account_id": account,
            "endpoint": endpoint,
            "key": key,
            "body_hash": unit.once.body_hash,
            "answer": unit.answer,
        }
        for (account, endpoint, key), unit in sorted(first.items())
        if unit.once
    ]
    written = set(insert_keys(connection, [{**value, "created_at": now} for value in values]))
    for number, unit in enumerate(units):
        if unit.once is None or (first[_key_of(unit)] is unit and _key_of(unit) in written):
            continue
        stored = stored_answer(connection, unit.once)
        assert stored is not None, "a key that could not be written stands"
        outcomes[number] = stored
    return outcomes


def _key_of(unit: Unit) -> tuple[int, str, str]:
    assert unit.once is not None
    return unit.once.account_id, unit.once.endpoint, unit.once.key


def insert_keys(connection: Connection, values: Sequence[Mapping[str, Any]]) -> list[tuple[int, str, str]]:
    """Those that were not there before."""
    table = idempotency_keys
    found = insert_if_new(connection, table, values, returning=(table.c.account_id, table.c.endpoint, table.c.key))
    return [tuple(row) for row in found]


def stored_answer(connection: Connection, once: Once) -> Replayed | KeyReused | None:
    table = idempotency_keys
    row = connection.execute(
        select(table.c.body_hash, table.c.answer).where(
            table.c.account_id == once.account_id, table.c.endpoint == once.endpoint, table.c.key == once.key
        )
    ).one_or_none()
    if row is None:
        return None
    return Replayed(row.answer) if row.body_hash == once.body_hash else KeyReused()
