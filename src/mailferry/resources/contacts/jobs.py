"""Imports and exports as jobs: a job is worked on piece by piece, by one node at a time, and by another if that one dies.

Whoever works on a job holds a lease with a name of its own. Each piece is a transaction that first renews the lease: a
node whose lease was given to another one writes nothing. Of an account one import is worked on after the other, in
the order in which they came, since the later one must win.
"""

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    Update,
    exists,
    insert,
    literal_column,
    select,
    update,
)

from mailferry.store.schema import contact_jobs

LEASE_MS = 30_000
#: Pieces in a row that may fail before the job does.
TRIES = 5
#: A job of which a piece failed waits for so long, times the number of failures.
PAUSE_MS = 10_000


class Kind(StrEnum):
    IMPORT = "import"
    EXPORT = "export"
    #: A file that was handed in as it is, of contacts or of suppressions.
    FILE_IMPORT = "file_import"
    #: Anything but contacts, as a file.
    REPORT = "report"


class Status(StrEnum):
    #: Its pieces are still being written, and nobody was told of it.
    RECEIVING = "receiving"
    #: A file that is whole, and that nobody said yet what to do with.
    UPLOADED = "uploaded"
    CREATED = "created"
    STARTED = "started"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: Nobody was told of a job yet.
UNTOLD = (Status.RECEIVING, Status.UPLOADED)
OPEN = (Status.CREATED, Status.STARTED)


@dataclass(frozen=True, slots=True)
class Job:
    id: int
    account_id: int
    kind: Kind
    status: Status
    #: JSON: what an export is of.
    request: str
    #: Unix milliseconds.
    created_at: int
    updated_at: int
    lease: str
    tries: int
    cursor: str
    created_count: int
    updated_count: int
    failed_count: int
    #: Why it failed, or a piece of it.
    error: str


def create(
    connection: Connection, account_id: int, kind: Kind, now: int, status: Status = Status.CREATED, request: str = "{}"
) -> int:
    values = {
        "account_id": account_id,
        "kind": kind.value,
        "status": status.value,
        "request": request,
        "created_at": now,
        "updated_at": now,
    }
    return int(connection.execute(insert(contact_jobs).values(values).returning(contact_jobs.c.id)).scalar_one())


def by_id(connection: Connection, account_id: int, kind: Kind, job_id: int) -> Job | None:
    """Of those that somebody was told of."""
    row = connection.execute(
        select(*_COLUMNS).where(
            contact_jobs.c.id == job_id,
            contact_jobs.c.account_id == account_id,
            contact_jobs.c.kind == kind,
            contact_jobs.c.status.not_in(UNTOLD),
        )
    ).one_or_none()
    return _job(row) if row else None


def page(connection: Connection, account_id: int, kind: Kind, *, before: int = 0, limit: int) -> list[Job]:
    """Newest first, those that somebody was told of. ``before``: the last id of the page before."""
    found = select(*_COLUMNS).where(
        contact_jobs.c.account_id == account_id, contact_jobs.c.kind == kind, contact_jobs.c.status.not_in(UNTOLD)
    )
    found = found.where(contact_jobs.c.id < before) if before else found
    return [_job(row) for row in connection.execute(found.order_by(contact_jobs.c.id.desc()).limit(limit))]


def cancel(connection: Connection, job: Job, now: int) -> bool:
    """Whoever works on it writes nothing more. False: it is over already."""
    values = {"status": Status.CANCELLED.value, "updated_at": now}
    mine = update(contact_jobs).where(contact_jobs.c.id == job.id, _open(contact_jobs))
    return connection.execute(mine.values(values)).rowcount > 0


def end(connection: Connection, job: Job, error: str, now: int) -> None:
    """It has failed, and would again."""
    values = {"status": Status.FAILED.value, "updated_at": now, "error": error[:1000]}
    connection.execute(_held(job).values(values))


def any_open(connection: Connection, account_id: int, kind: Kind) -> bool:
    found = select(contact_jobs.c.id).where(
        contact_jobs.c.account_id == account_id, contact_jobs.c.kind == kind, _open(contact_jobs)
    )
    return connection.execute(found.limit(1)).first() is not None


def due(connection: Connection, now: int) -> bool:
    return connection.execute(_due(now).limit(1)).first() is not None


def claim(connection: Connection, now: int) -> Job | None:
    """The job that was left alone for longest, leased; None: there is nothing to do."""
    row = connection.execute(_due(now).limit(1).with_for_update(skip_locked=True)).one_or_none()
    if row is None:
        return None
    lease = secrets.token_hex(8)
    values = {"lease": lease, "lease_until": now + LEASE_MS, "status": Status.STARTED.value}
    changed = update(contact_jobs).where(contact_jobs.c.id == row.id).values(values)
    return _job(connection.execute(changed.returning(*_COLUMNS)).one())


def hold(connection: Connection, job: Job, now: int) -> Job | None:
    """Renews the lease for one more piece, and reads the job. None: it is somebody else's now."""
    row = connection.execute(
        _held(job).values(lease_until=now + LEASE_MS, updated_at=now, tries=0).returning(*_COLUMNS)
    ).one_or_none()
    return _job(row) if row else None


def finish(connection: Connection, job: Job, now: int) -> None:
    connection.execute(_held(job).values(status=Status.FINISHED.value, updated_at=now))


def release(connection: Connection, job: Job, now: int) -> None:
    """Lets others have their turn first."""
    connection.execute(_held(job).values(lease_until=now))


def fail(connection: Connection, job: Job, error: str, now: int) -> bool:
    """A piece failed: it is tried again later. True: it was tried often enough, and the job has failed."""
    tries = connection.execute(
        _held(job).values(tries=contact_jobs.c.tries + 1, error=error[:1000]).returning(contact_jobs.c.tries)
    ).scalar_one_or_none()
    if tries is None:
        return False
    ended: bool = tries >= TRIES
    again = {"status": Status.FAILED.value, "updated_at": now} if ended else {"lease_until": now + tries * PAUSE_MS}
    connection.execute(_held(job).values(again))
    return ended


def free_leases(connection: Connection) -> None:
    """Only where nobody else can be at work: what an earlier process was at, needs no waiting."""
    connection.execute(update(contact_jobs).where(_open(contact_jobs)).values(lease_until=0))


_COLUMNS = [contact_jobs.c[name] for name in Job.__dataclass_fields__]


def _due(now: int) -> Select[Any]:
    before = contact_jobs.alias("before")
    follows = exists().where(
        before.c.account_id == contact_jobs.c.account_id,
        before.c.kind == contact_jobs.c.kind,
        _open(before),
        before.c.id < contact_jobs.c.id,
    )
    return (
        select(contact_jobs.c.id)
        .where(_open(contact_jobs), contact_jobs.c.lease_until <= now, ~follows)
        .order_by(contact_jobs.c.lease_until, contact_jobs.c.id)
    )


def _held(job: Job) -> Update:
    """The job, while the lease that it was claimed with is its own."""
    mine = (contact_jobs.c.lease == job.lease, contact_jobs.c.status == Status.STARTED.value)
    return update(contact_jobs).where(contact_jobs.c.id == job.id, *mine)


def _open(table: FromClause) -> ColumnElement[bool]:
    # Written out and not handed in, or the databases would not see that the partial index is meant.
    return table.c.status.in_([literal_column(f"'{status}'") for status in OPEN])


def _job(row: Row[Any]) -> Job:
    told = row._asdict()
    return Job(**told | {"kind": Kind(told["kind"]), "status": Status(told["status"])})
