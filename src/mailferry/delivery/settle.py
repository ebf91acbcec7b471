"""THE way out: after acceptance a recipient's state changes here and nowhere else, each change in one transaction.

A reply, a claim that finds the recipient suppressed, a release by an operator, an expiry: all become a
:class:`Change`, and :func:`apply` writes state, event, suppression and queue row together.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, case, func, select, update

from mailferry.delivery import queue as queues
from mailferry.delivery.job import Job
from mailferry.delivery.retry import retry_at
from mailferry.faults import reach
from mailferry.journal.events import WAITING, Kind, State, check_way
from mailferry.journal.ids import Ids
from mailferry.mail import address
from mailferry.mail.providers import provider
from mailferry.mail.reply import SUPPRESSED, Answer, Verdict, classify
from mailferry.resources import suppressions
from mailferry.store.database import Database
from mailferry.store.given import insert_if_new, insert_rows, pack, rows
from mailferry.store.schema import attempts, events, recipients

#: The word in `reason` of a bounce that came by age.
EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class PutBack:
    """The queue row is free again: due then (None = held)."""

    due: int | None
    tries: int
    counted: bool
    #: None = as it was.
    expires_at: int | None = None
    released: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """All that one happening writes about one recipient."""

    recipient_id: str
    message_id: str
    account_id: int
    at: int
    before: State
    after: State
    reason: str = ""
    kind: Kind | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    #: None = the queue row goes (or was gone).
    put_back: PutBack | None = None
    lane_id: int = 0
    #: The recipient's state is left alone: only what was heard is recorded.
    only_attempt: bool = False
    #: What was heard; None where it is known already.
    attempt: Mapping[str, Any] | None = None
    suppression: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """An attempt that ended."""

    job: Job
    answer: Answer
    verdict: Verdict
    at: int
    suppression_id: str


class Settler:
    """Judges answers and writes them in groups."""

    def __init__(
        self,
        database: Database,
        ids: Ids,
        clock: Callable[[], int],
        random: Random,
        *,
        first_retry_ms: int,
        grown: Callable[[], int] | None = None,
    ) -> None:
        """``grown``: the time by which mail grows old, where that is not the clock's."""
        self._database = database
        self._ids = ids
        self._clock = clock
        self._grown = grown or clock
        self._random = random
        self._first_retry_ms = first_retry_ms

    def settle(self, job: Job, answer: Answer) -> "asyncio.Future[Change | None]":
        """The future is done when the change is durable. None: the log has forgotten the recipient meanwhile."""
        settlement = Settlement(job, answer, classify(answer), self._clock(), self._ids.new())
        return self._database.submit(self._write, settlement)

    def _write(self, connection: Connection, settlements: Sequence[Settlement]) -> list[Change | None]:
        # The queue's rows first: while they are locked nobody claims them, so a lease that is still the newest stays it.
        recipient_ids = {s.job.recipient_id for s in settlements}
        leases = queues.lock(connection, recipient_ids)
        states = _lock_recipients(connection, recipient_ids)
        made = [_attempt(s) if s.job.recipient_id in states else None for s in settlements]
        fresh = _record(connection, [attempt for attempt in made if attempt])
        changes: list[Change | None] = []
        for settlement, attempt in zip(settlements, made, strict=True):
            if attempt is None:
                changes.append(None)
                continue
            recipient_id = settlement.job.recipient_id
            change = self._decide(settlement, attempt, states[recipient_id], leases.get(recipient_id))
            if _lease_of(attempt) not in fresh:
                change = _known_already(change)
            fresh.discard(_lease_of(attempt))
            # Two settlements of one recipient in one group: the second sees what the first did.
            states[recipient_id] = change.after
            changes.append(change)
        apply(connection, [change for change in changes if change])
        reach("in_settle")
        return changes

    def _decide(
        self, settlement: Settlement, attempt: Mapping[str, Any], state: State, lease: Row[Any] | None
    ) -> Change:
        job, answer, verdict, now = settlement.job, settlement.answer, settlement.verdict, settlement.at
        change = Change(
            job.recipient_id,
            job.message_id,
            job.account_id,
            now,
            before=state,
            after=state,
            facts=_facts(job, answer, verdict),
            lane_id=job.lane_id,
            attempt=attempt,
        )
        if state not in WAITING:
            return replace(change, only_attempt=True)
        if verdict.outcome == "delivered":
            # Whoever holds the lease now: the recipient has it.
            return replace(change, after=State.DELIVERED, kind=Kind.DELIVERY)
        if lease is None or lease.fence != attempt["fence"]:
            # Another worker took it over; what we heard is recorded, and changes nothing.
            return replace(change, only_attempt=True)
        if answer.stage == SUPPRESSED:
            return replace(change, after=State.REJECTED, kind=Kind.REJECT, reason=answer.text)
        if verdict.outcome == "failed":
            # A simulated bounce must be there to be tried again, as at Amazon's simulator: it never suppresses.
            stopping = job.terms.suppressing
            wanted = stopping is None or suppressions.HARD_BOUNCE in stopping
            lasting = verdict.suppress and wanted and answer.transport != "simulator"
            entry = _suppression(settlement) if lasting else None
            return replace(change, after=State.BOUNCED, kind=Kind.BOUNCE, suppression=entry)
        left = lease.expires_at - self._grown()
        if left <= 0:
            return replace(change, after=State.BOUNCED, kind=Kind.BOUNCE, reason=EXPIRED)
        tries = job.tries + 1
        due = retry_at(now, tries, now + left, self._first_retry_ms, self._random)
        return replace(change, kind=Kind.SOFT_BOUNCE, put_back=PutBack(due, tries, bool(lease.counted)))


def apply(connection: Connection, changes: Sequence[Change]) -> None:
    """Write them; one statement a table. Raises ForbiddenWay before anything is written."""
    written = [change for change in changes if not change.only_attempt]
    for change in written:
        if change.after != change.before:
            # Held mail that turns out to be delivered (a late 250) passes through the queue.
            if change.before is State.HELD and change.after in (State.DELIVERED, State.BOUNCED):
                check_way(State.HELD, State.QUEUED)
                check_way(State.QUEUED, change.after)
            else:
                check_way(change.before, change.after)
    insert_rows(connection, events, [_event(change) for change in written if change.kind])
    _update_recipients(connection, changes)
    queues.drop(connection, [c.recipient_id for c in written if c.put_back is None])
    put_back = [c for c in written if c.put_back]
    queues.put_back(
        connection,
        [
            {
                "recipient_id": c.recipient_id,
                "due": c.put_back.due,
                "tries": c.put_back.tries,
                "counted": c.put_back.counted,
                "expires_at": c.put_back.expires_at,
                "released": c.put_back.released,
            }
            for c in put_back
            if c.put_back
        ],
    )
    wake: dict[int, int] = {}
    for change in put_back:
        if change.put_back and change.put_back.due is not None:
            wake[change.lane_id] = min(wake.get(change.lane_id, change.put_back.due), change.put_back.due)
    queues.wake_lanes(connection, wake)
    suppressions.add(connection, [dict(change.suppression) for change in written if change.suppression])


def _record(connection: Connection, made: Sequence[Mapping[str, Any]]) -> set[tuple[str, int]]:
    """Write down these attempts; returns the leases (recipient, fence) of which nothing was written before.

    What was written before is ours: the answer to our COMMIT was lost, and the group is run again.
    """
    new = insert_if_new(connection, attempts, made, returning=(attempts.c.recipient_id, attempts.c.fence))
    return {(row.recipient_id, row.fence) for row in new}


def _lease_of(attempt: Mapping[str, Any]) -> tuple[str, int]:
    return attempt["recipient_id"], attempt["fence"]


def _known_already(change: Change) -> Change:
    """It changed what it had to when it was written; only a 250 always means delivered."""
    if change.after is State.DELIVERED and not change.only_attempt:
        return change
    return replace(change, after=change.before, only_attempt=True, attempt=None)


def _lock_recipients(connection: Connection, recipient_ids: Iterable[str]) -> dict[str, State]:
    """The state of each, which nobody else changes until we commit."""
    given = rows(connection.dialect.name, [recipients.c.id])
    statement = (
        select(recipients.c.id, recipients.c.state)
        .join(given, recipients.c.id == given.c.id)
        .order_by(recipients.c.id)
        .with_for_update(of=recipients)
    )
    packed = pack([{"id": recipient_id} for recipient_id in recipient_ids])
    return {row.id: State(row.state) for row in connection.execute(statement, {"rows": packed})}


def _update_recipients(connection: Connection, changes: Sequence[Change]) -> None:
    # One row a recipient and statement: of several changes the last one counts, attempts add up.
    last: dict[str, dict[str, Any]] = {}
    for change in changes:
        earlier = last.get(change.recipient_id, {})
        # What an attempt heard that came too late stands in its own row; the recipient's shows what decided.
        heard = (not change.only_attempt and change.attempt) or earlier
        is_held = change.before is change.after is State.HELD
        last[change.recipient_id] = {
            "id": change.recipient_id,
            "state": change.after,
            "reason": change.reason if change.after != change.before else earlier.get("reason"),
            "attempts": earlier.get("attempts", 0) + (change.attempt is not None),
            "code": heard.get("code", -1),
            "response": heard.get("response", ""),
            # An answer that changes nothing must not shorten the time that mail was held, nor that since its delivery.
            "updated_at": earlier.get("updated_at") if change.only_attempt or is_held else change.at,
        }
    if not last:
        return
    names = ("id", "state", "reason", "attempts", "code", "response", "updated_at")
    given = rows(connection.dialect.name, [recipients.c[n] for n in names])
    spoken = given.c.code >= 0
    connection.execute(
        update(recipients)
        .where(recipients.c.id == given.c.id)
        .values(
            state=given.c.state,
            reason=func.coalesce(given.c.reason, recipients.c.reason),
            attempts=recipients.c.attempts + given.c.attempts,
            code=case((spoken, given.c.code), else_=recipients.c.code),
            response=case((spoken, given.c.response), else_=recipients.c.response),
            updated_at=func.coalesce(given.c.updated_at, recipients.c.updated_at),
        ),
        {"rows": pack(list(last.values()))},
    )


def _event(change: Change) -> dict[str, Any]:
    facts = {**change.facts, "reason": change.reason} if change.reason else change.facts
    return {
        "at": change.at,
        "kind": change.kind,
        "account_id": change.account_id,
        "message_id": change.message_id,
        "recipient_id": change.recipient_id,
        "facts": msgspec.json.encode(facts).decode(),
    }


def _facts(job: Job, answer: Answer, verdict: Verdict) -> dict[str, Any]:
    facts = {
        "transport": answer.transport,
        "host": answer.host,
        "provider": provider(job.destination, answer.host),
        "ip": answer.ip,
        "local_ip": answer.local_ip,
        "tls": answer.tls,
        "code": answer.code,
        "enhanced": answer.enhanced,
        "response": answer.text,
        "category": verdict.category,
    }
    return {name: value for name, value in facts.items() if value}


def _attempt(settlement: Settlement) -> dict[str, Any]:
    answer, job = settlement.answer, settlement.job
    return {
        "recipient_id": job.recipient_id,
        "number": job.tries + 1,
        "at": settlement.at,
        "transport": answer.transport,
        "stage": answer.stage,
        "host": answer.host,
        "ip": answer.ip,
        "local_ip": answer.local_ip,
        "tls": answer.tls,
        "code": answer.code,
        "enhanced": answer.enhanced,
        "response": answer.text,
        "ms": answer.ms,
        "fence": job.fence,
    }


def _suppression(settlement: Settlement) -> dict[str, Any]:
    job = settlement.job
    return {
        "id": settlement.suppression_id,
        "account_id": job.account_id,
        "address": address.key(job.address),
        "domain_id": job.domain_id,
        "stream": job.stream,
        "type": suppressions.HARD_BOUNCE,
        "recipient_id": job.recipient_id,
        "category": settlement.verdict.category,
        "response": settlement.answer.text,
        "created_at": settlement.at,
    }
