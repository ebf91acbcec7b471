"""A file that is handed in before anybody says what it is: kept in pieces of whole lines, then worked on line by line.

What a line means is said by whoever works on it; refused ones are kept behind the pieces that are still to come.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, delete, select, update

from mailferry.resources.contacts import jobs
from mailferry.resources.contacts.jobs import Job, Kind, Status
from mailferry.store.schema import contact_job_pieces, contact_jobs

#: Octets of one file.
MOST = 256 * 1024 * 1024
#: Of one piece, which is worked on in one transaction.
PIECE_OCTETS = 64 * 1024
PIECE_LINES = 1_000
#: Octets of one line.
LONGEST = 256 * 1024
#: Numbers of pieces from here on hold refused records.
_REFUSED = 1 << 40


class LineTooLong(ValueError):
    """A line of more than :data:`LONGEST` octets is no record."""


class Cutter:
    """Cuts what comes in any pieces into pieces of whole lines."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []
        self._octets = 0

    def feed(self, octets: bytes) -> Iterator[bytes]:
        """Raises :class:`LineTooLong`."""
        *lines, self._rest = (self._rest + octets).split(b"\n")
        if len(self._rest) > LONGEST or any(len(line) > LONGEST for line in lines):
            raise LineTooLong
        for line in lines:
            yield from self._take(line)

    def end(self) -> Iterator[bytes]:
        if self._rest:
            yield from self._take(self._rest)
        if self._lines:
            yield self._piece()

    def _take(self, line: bytes) -> Iterator[bytes]:
        self._lines.append(line)
        self._octets += len(line) + 1
        if self._octets >= PIECE_OCTETS or len(self._lines) >= PIECE_LINES:
            yield self._piece()

    def _piece(self) -> bytes:
        piece = b"\n".join(self._lines)
        self._lines, self._octets = [], 0
        return piece


def begin(connection: Connection, account_id: int, now: int) -> int:
    return jobs.create(connection, account_id, Kind.FILE_IMPORT, now, Status.RECEIVING)


def whole(connection: Connection, job_id: int, now: int) -> None:
    values = {"status": Status.UPLOADED.value, "updated_at": now}
    connection.execute(update(contact_jobs).where(contact_jobs.c.id == job_id).values(values))


def drop(connection: Connection, job_id: int) -> None:
    """Nobody was told of it."""
    connection.execute(delete(contact_job_pieces).where(contact_job_pieces.c.job_id == job_id))
    connection.execute(delete(contact_jobs).where(contact_jobs.c.id == job_id))


def start(connection: Connection, account_id: int, upload_id: int, request: str, now: int) -> bool:
    """What is to be done with a file. False: there is none, or it was said before."""
    values = {"status": Status.CREATED.value, "request": request, "created_at": now, "updated_at": now}
    mine = update(contact_jobs).where(
        contact_jobs.c.id == upload_id,
        contact_jobs.c.account_id == account_id,
        contact_jobs.c.kind == Kind.FILE_IMPORT,
        contact_jobs.c.status == Status.UPLOADED,
    )
    return connection.execute(mine.values(values)).rowcount > 0


@dataclass(frozen=True, slots=True)
class Piece:
    number: int
    lines: Sequence[str]


def take(connection: Connection, job: Job) -> Piece | None:
    """The next one, which is gone when the transaction ends. None: that was all. The job must be held."""
    pieces = contact_job_pieces
    mine = select(pieces.c.piece, pieces.c.content).where(pieces.c.job_id == job.id, pieces.c.piece < _REFUSED)
    row = connection.execute(mine.order_by(pieces.c.piece).limit(1)).one_or_none()
    if row is None:
        return None
    connection.execute(delete(pieces).where(pieces.c.job_id == job.id, pieces.c.piece == row.piece))
    text = bytes(row.content).decode("utf-8-sig" if row.piece == 0 else "utf-8", errors="replace")
    return Piece(row.piece, [line.removesuffix("\r") for line in text.split("\n")])


@dataclass(frozen=True, slots=True)
class Refusal:
    record: str
    why: str


def done(connection: Connection, job: Job, piece: Piece, count: int, refusals: Sequence[Refusal], cursor: str) -> None:
    """``count``: records of the piece, those included that are refused. The job is as it was held."""
    counts = {"created_count": job.created_count + count, "failed_count": job.failed_count + len(refusals)}
    changed = update(contact_jobs).where(contact_jobs.c.id == job.id)
    connection.execute(changed.values({**counts, "cursor": cursor}))
    if refusals:
        lines = b"".join(msgspec.json.encode({"record": each.record, "error": each.why}) + b"\n" for each in refusals)
        row = {"job_id": job.id, "piece": _REFUSED + piece.number, "content": lines, "size": len(lines)}
        connection.execute(contact_job_pieces.insert().values(row))


def refused(connection: Connection, job_id: int) -> list[int]:
    """Numbers of the pieces with refused records, JSON lines."""
    pieces = contact_job_pieces
    found = select(pieces.c.piece).where(pieces.c.job_id == job_id, pieces.c.piece >= _REFUSED)
    return list(connection.execute(found.order_by(pieces.c.piece)).scalars())
