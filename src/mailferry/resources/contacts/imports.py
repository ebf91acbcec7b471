"""Imports: what was handed in is kept in pieces, which turn into contacts one transaction after the other."""

import zlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from sqlalchemy import Connection, delete, select, update

from mailferry.resources.contacts import contacts, jobs
from mailferry.resources.contacts.contacts import Change
from mailferry.resources.contacts.jobs import Job, Kind, Status
from mailferry.store.schema import contact_job_pieces, contact_jobs

#: Mailtrap's, of one import.
MOST = 50_000
#: Rows of one transaction: on SQLite everybody else who writes waits so long.
PIECE_ROWS = 2_000
PIECE_CONTACTS = 1_000
#: A transaction that keeps pieces takes a little more than so many octets.
TOGETHER = 1024 * 1024


def pieces(changes: Iterable[Change]) -> Iterator[bytes]:
    """As they are kept."""
    piece: list[Change] = []
    rows = 0
    for change in changes:
        if piece and (rows + change.rows > PIECE_ROWS or len(piece) == PIECE_CONTACTS):
            yield _packed(piece)
            piece, rows = [], 0
        piece.append(change)
        rows += change.rows
    if piece:
        yield _packed(piece)


def groups(found: Sequence[bytes]) -> Iterator[tuple[int, Sequence[bytes]]]:
    """Pieces that are kept in one transaction, with the number of the first."""
    first, octets = 0, 0
    for place, piece in enumerate(found):
        if octets > TOGETHER:
            yield first, found[first:place]
            first, octets = place, 0
        octets += len(piece)
    yield first, found[first:]


def begin(connection: Connection, account_id: int, now: int) -> int:
    """Nobody works on it before it is :func:`ready`."""
    return jobs.create(connection, account_id, Kind.IMPORT, now, Status.RECEIVING)


def keep(job_id: int, first: int, found: Sequence[bytes], connection: Connection) -> None:
    """``first``: the number of the first piece."""
    values = [
        {"job_id": job_id, "piece": first + place, "content": piece, "size": len(piece)}
        for place, piece in enumerate(found)
    ]
    if values:
        connection.execute(contact_job_pieces.insert(), values)


def ready(connection: Connection, job_id: int, now: int) -> None:
    """All of it is kept: whoever finds it may work on it."""
    values = {"status": Status.CREATED.value, "updated_at": now}
    connection.execute(update(contact_jobs).where(contact_jobs.c.id == job_id).values(values))


def work(connection: Connection, job: Job, now: int) -> bool:
    """One piece, in this transaction. False: there is none left, or the job is somebody else's now."""
    held = jobs.hold(connection, job, now)
    if held is None:
        return False
    mine = select(contact_job_pieces).where(contact_job_pieces.c.job_id == job.id)
    row = connection.execute(mine.order_by(contact_job_pieces.c.piece).limit(1)).one_or_none()
    if row is None:
        jobs.finish(connection, job, now)
        return False
    saved = contacts.save(connection, job.account_id, _unpacked(row.content), now)
    done = contact_job_pieces.c.job_id == job.id, contact_job_pieces.c.piece == row.piece
    connection.execute(delete(contact_job_pieces).where(*done))
    counts = {
        "created_count": held.created_count + len(saved.created),
        "updated_count": held.updated_count + len(saved.updated),
    }
    connection.execute(update(contact_jobs).where(contact_jobs.c.id == job.id).values(counts))
    return True


def _packed(piece: Sequence[Change]) -> bytes:
    return zlib.compress(msgspec.json.encode(piece), 1)


def _unpacked(content: bytes) -> list[Change]:
    return msgspec.json.decode(zlib.decompress(content), type=list[Change])
