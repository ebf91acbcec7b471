"""Takes due work out of the queue, and looks again at everything that may have changed since it was accepted."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, select

from mailferry.delivery import queue as queues
from mailferry.delivery.gates import OVER_HOURLY, Gates
from mailferry.delivery.job import LEASE_MS, Job, terms
from mailferry.delivery.settle import Change, PutBack, apply
from mailferry.journal.events import Kind, State
from mailferry.mail import address
from mailferry.resources import suppressions
from mailferry.resources.suppressions import Target
from mailferry.store.content import Place
from mailferry.store.given import pack, rows
from mailferry.store.schema import messages, queue, recipients

_MESSAGE = (
    *("account_id", "domain_id", "stream", "endpoint", "rfc_message_id", "category", "publishing"),
    *("segment", "place", "size", "created_at"),
)


@dataclass(frozen=True, slots=True)
class Room:
    """How much a worker can take, of ``each`` lane at most, and the destinations of which it has enough."""

    rows: int
    busy: frozenset[str] = frozenset()
    each: int = queues.CLAIM_ROWS


class Claimer:
    """A batch for the writer: each item is the room that a worker has, each result the jobs it now holds."""

    def __init__(self, clock: Callable[[], int], *, boot: int, hourly: int) -> None:
        self._clock = clock
        self._boot = boot
        self._hourly = hourly

    def __call__(self, connection: Connection, rooms: Sequence[Room]) -> list[list[Job]]:
        return [self._claim(connection, room) for room in rooms]

    def _claim(self, connection: Connection, room: Room) -> list[Job]:
        now = self._clock()
        leased = queues.take(connection, self._boot, now, room.rows, room.busy, each=room.each)
        taken = {row.recipient_id: row for row in leased}
        if not taken:
            return []
        details = _details(connection, list(taken))
        suppressed = suppressions.matching(connection, [_target(row) for row in details])
        gates = Gates(connection, [row.domain_id for row in details], now, self._hourly)
        jobs, changes, newly_counted = [], [], []
        for row in details:
            lease = taken[row.id]
            change = _objection(row, lease, suppressed, gates, now)
            if change:
                changes.append(change)
                continue
            if gates.of(row.domain_id).limited and not lease.counted:
                newly_counted.append(row.id)
            jobs.append(_job(row, lease, now))
        gates.close(connection)
        if newly_counted:
            connection.execute(queue.update().where(queue.c.recipient_id.in_(newly_counted)).values(counted=True))
        apply(connection, changes)
        # Rows whose recipient is gone (retention, a bug): nothing is left to send.
        queues.drop(connection, sorted(set(taken) - {row.id for row in details}))
        return jobs


def _objection(
    row: Row[Any], lease: Row[Any], suppressed: Mapping[Target, Collection[str]], gates: Gates, now: int
) -> Change | None:
    """Why it does not leave now after all; None = it may be tried."""
    change = Change(
        row.id, row.message_id, row.account_id, now, State(row.state), State(row.state), lane_id=lease.lane_id
    )
    held = PutBack(None, lease.tries, bool(lease.counted))
    if row.state == State.HELD:
        # It waits for a decision: without its row in the queue it would be held for ever.
        return replace(change, put_back=held)
    if row.state != State.QUEUED:
        # Settled or cancelled since: the queue row is all that is left.
        return change
    standing = suppressed.get(_target(row))
    if standing and (kind := suppressions.stopping(standing, terms(row.publishing).suppressing)):
        return replace(change, after=State.REJECTED, reason=suppressions.why_rejected(kind), kind=Kind.REJECT)
    gate = gates.of(row.domain_id)
    if gate.hold_reason:
        return replace(change, after=State.HELD, reason=gate.hold_reason, kind=Kind.SUSPENSION, put_back=held)
    if gate.limited and not lease.counted and not gate.grant():
        return replace(change, after=State.HELD, reason=OVER_HOURLY, kind=Kind.THROTTLED, put_back=held)
    return None


def _details(connection: Connection, recipient_ids: Sequence[str]) -> list[Row[Any]]:
    given = rows(connection.dialect.name, [recipients.c.id])
    statement = (
        select(
            recipients.c.id,
            recipients.c.message_id,
            recipients.c.address,
            recipients.c.state,
            *(messages.c[name] for name in _MESSAGE),
        )
        .join(given, recipients.c.id == given.c.id)
        .join(messages, messages.c.id == recipients.c.message_id)
        .order_by(recipients.c.id)
    )
    return list(connection.execute(statement, {"rows": pack([{"id": r} for r in recipient_ids])}).all())


def _target(row: Row[Any]) -> Target:
    return Target(row.account_id, address.key(row.address), row.domain_id, row.stream)


def _job(row: Row[Any], lease: Row[Any], now: int) -> Job:
    return Job(
        recipient_id=row.id,
        message_id=row.message_id,
        account_id=row.account_id,
        domain_id=row.domain_id,
        lane_id=lease.lane_id,
        stream=row.stream,
        address=row.address,
        destination=address.split(row.address)[1],
        fence=lease.fence,
        tries=lease.tries,
        created_at=row.created_at,
        expires_at=lease.expires_at,
        endpoint=row.endpoint,
        rfc_message_id=row.rfc_message_id,
        place=Place(row.segment, row.place, row.size, row.message_id),
        lease_until=now + LEASE_MS,
        category=row.category,
        terms=terms(row.publishing),
        probe=lease.probe,
    )
