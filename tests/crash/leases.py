"""Most of the time for which the leases of the dead last goes by at once; the rest is waited for."""

from sqlalchemy import Connection, literal, update

from mailferry.delivery.job import LEASE_MS
from mailferry.store.engines import postgres_engine
from mailferry.store.schema import contact_jobs, lanes, queue

REST_MS = 4_000


def grow_old(url: str) -> None:
    """In PostgreSQL, while nobody lives who holds one."""
    engine = postgres_engine(url, 1)
    with engine.begin() as connection:
        _bring_forward(connection)
    engine.dispose()


def _bring_forward(connection: Connection) -> None:
    gone = literal(LEASE_MS - REST_MS)
    connection.execute(update(queue).where(queue.c.owner != 0).values(due=queue.c.due - gone))
    # A lane's time is never later than its earliest row's.
    connection.execute(update(lanes).where(lanes.c.next_due.is_not(None)).values(next_due=lanes.c.next_due - gone))
    held = contact_jobs.c.lease != ""
    connection.execute(update(contact_jobs).where(held).values(lease_until=contact_jobs.c.lease_until - gone))
