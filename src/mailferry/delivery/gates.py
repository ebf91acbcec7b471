"""What each sending domain may do in one transaction: go, wait for a decision, or go a limited number of times an hour.

The accept transaction and the claim ask the same gates, so mail handed over from memory meets the same limits.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, select

from mailferry.delivery import queue as queues
from mailferry.resources import domains
from mailferry.store.schema import domains as domains_table

#: The reason that the log shows for mail of a new domain over its hourly number.
OVER_HOURLY = "new_domain_hourly"


class Gate:
    """One domain as it stands in this transaction."""

    def __init__(self, connection: Connection, row: Row[Any], now: int, hourly: int) -> None:
        #: Why nothing of it may leave; empty = it may.
        self.hold_reason = domains.hold_reason(row.state, row.dns_verified, row.deleted_at)
        #: It is under review: each recipient needs a grant, once.
        self.limited = row.state == domains.UNDER_REVIEW and not self.hold_reason
        self._left = queues.allowance(connection, row.id, now, hourly) if self.limited else 0
        self.granted = 0

    def grant(self) -> bool:
        if self.granted >= self._left:
            return False
        self.granted += 1
        return True


class Gates:
    """Close them before the transaction ends: the grants are written then."""

    def __init__(self, connection: Connection, domain_ids: Iterable[int], now: int, hourly: int) -> None:
        columns = [domains_table.c[n] for n in ("id", "state", "dns_verified", "deleted_at")]
        wanted = sorted(set(domain_ids))
        found = connection.execute(select(*columns).where(domains_table.c.id.in_(wanted)).order_by(domains_table.c.id))
        self._now = now
        self._gates = {row.id: Gate(connection, row, now, hourly) for row in found.all()}

    def of(self, domain_id: int) -> Gate:
        return self._gates[domain_id]

    def close(self, connection: Connection) -> None:
        for domain_id, gate in self._gates.items():
            queues.spend_allowance(connection, domain_id, self._now, gate.granted)
