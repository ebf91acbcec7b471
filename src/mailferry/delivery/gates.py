"""What each sending domain may do in one transaction: go, wait for a decision, or go a limited number of times an hour.

The accept transaction and the claim ask the same gates, so mail handed over from memory meets the same limits.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, func, select

from mailferry.delivery import queue as queues
from mailferry.resources import domains
from mailferry.store.schema import RELEASED, lanes, queue
from mailferry.store.schema import domains as domains_table

#: The reason that the log shows for mail of a new domain over its hourly number.
OVER_HOURLY = "new_domain_hourly"


class Gate:
    """One domain as it stands in this transaction."""

    def __init__(self, connection: Connection, row: Row[Any], now: int, hourly: int, arriving: bool) -> None:
        #: Why nothing of it may leave; empty = it may.
        self.hold_reason = domains.hold_reason(row.state, row.dns_verified, row.deleted_at)
        #: It is under review: each recipient needs a grant, once.
        self.limited = row.state in domains.IN_REVIEW and not self.hold_reason
        self._left = queues.allowance(connection, row.id, now, hourly) if self.limited else 0
        #: Older mail is held: what arrives now waits behind it.
        self.behind = False
        if self.limited and arriving:
            self._left -= unclaimed(connection, row.id)
            self.behind = waits_held(connection, row.id)
        self.granted = 0

    def grant(self) -> bool:
        if self.granted >= self._left:
            return False
        self.granted += 1
        return True


class Gates:
    """Close them before the transaction ends: the grants are written then.

    ``arriving``: asked for mail that is just accepted, which must not overtake what was held before it.
    """

    def __init__(
        self, connection: Connection, domain_ids: Iterable[int], now: int, hourly: int, *, arriving: bool = False
    ) -> None:
        columns = [domains_table.c[n] for n in ("id", "state", "dns_verified", "deleted_at")]
        wanted = sorted(set(domain_ids))
        found = connection.execute(select(*columns).where(domains_table.c.id.in_(wanted)).order_by(domains_table.c.id))
        self._now = now
        self._gates = {row.id: Gate(connection, row, now, hourly, arriving) for row in found.all()}

    def of(self, domain_id: int) -> Gate:
        return self._gates[domain_id]

    def close(self, connection: Connection) -> None:
        for domain_id, gate in self._gates.items():
            queues.spend_allowance(connection, domain_id, self._now, gate.granted)


def unclaimed(connection: Connection, domain_id: int) -> int:
    """How many were let go by the hour and wait for the claim that counts them. Ask while the hour's row is locked.

    Without those whose destination is out: it may be for days, and others would wait for them.
    """
    number: int = connection.execute(
        select(func.count())
        .select_from(queue.join(lanes, lanes.c.id == queue.c.lane_id))
        .where(queue.c.domain_id == domain_id, RELEASED, lanes.c.hold_reason == "")
    ).scalar_one()
    return number


def waits_held(connection: Connection, domain_id: int) -> bool:
    """Whether any mail of this domain is held."""
    held = select(queue.c.recipient_id).where(queue.c.domain_id == domain_id, queue.c.due.is_(None))
    # Ordered as the index is, so that PostgreSQL looks nowhere else.
    first = held.order_by(queue.c.counted, queue.c.recipient_id).limit(1)
    return connection.execute(first).first() is not None
