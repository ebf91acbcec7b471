"""Exports: a CSV file (RFC 4180), written piece by piece and kept gzipped (RFC 1952), the pieces being members of one file."""

import csv
import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from mailferry.mail.cells import harmless
from mailferry.resources.contacts import contacts, fields, jobs, locks, rules
from mailferry.resources.contacts.contacts import Contact
from mailferry.resources.contacts.jobs import Job, Kind, Status
from mailferry.resources.contacts.rules import Rule
from mailferry.resources.contacts.values import Value
from mailferry.store.schema import contact_job_pieces, contact_jobs
from mailferry.store.schema import contacts as table

#: Contacts of one piece. They have at most forty values and fifty lists each, which is what is in memory.
PIECE = 1_000
#: A file is kept for so long.
KEPT_MS = 7 * 86_400_000

COLUMNS = ("id", "email", "status", "list_ids", "created_at", "updated_at")
SUBSCRIBED, UNSUBSCRIBED = "subscribed", "unsubscribed"


class Request(msgspec.Struct, frozen=True):
    """Fixed when the export is asked for, so that all pieces have the same columns."""

    rule: Rule
    #: Merge tags of the fields, in their order.
    tags: tuple[str, ...]


class Running(ValueError):
    """The account has an export that is not finished yet."""


def create(connection: Connection, account_id: int, rule: Rule, now: int) -> int:
    """Raises :class:`Running`."""
    locks.take(connection, account_id)
    if jobs.any_open(connection, account_id, Kind.EXPORT):
        raise Running
    tags = tuple(field.merge_tag for field in fields.of_account(connection, account_id))
    request = msgspec.json.encode(Request(rule, tags)).decode()
    return jobs.create(connection, account_id, Kind.EXPORT, now, request=request)


@dataclass(frozen=True, slots=True)
class Piece:
    content: bytes
    contacts: int
    #: The last contact of it, after which the next piece begins.
    cursor: str
    last: bool


def read(connection: Connection, job: Job) -> Piece:
    """The next one of the file."""
    request = msgspec.json.decode(job.request, type=Request)
    wanted = rules.matching(job.account_id, request.rule).where(table.c.id > job.cursor)
    found = connection.execute(wanted.order_by(table.c.id).limit(PIECE)).scalars().all()
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\r\n")
    if not job.cursor:
        writer.writerow(header(request.tags))
    shown = contacts.read(connection, job.account_id, found)
    writer.writerows(row(contact, request.tags) for contact in shown)
    packed = gzip.compress(content.getvalue().encode(), 6, mtime=0)
    return Piece(packed, len(shown), found[-1] if found else job.cursor, len(found) < PIECE)


def keep(connection: Connection, job: Job, piece: Piece, now: int) -> Job | None:
    """The job as it goes on. None: it is finished, or somebody else's now."""
    held = jobs.hold(connection, job, now)
    if held is None:
        return None
    number = func.coalesce(func.max(contact_job_pieces.c.piece) + 1, 0)
    number = connection.execute(select(number).where(contact_job_pieces.c.job_id == job.id)).scalar_one()
    file = {"job_id": job.id, "piece": number, "content": piece.content, "size": len(piece.content)}
    connection.execute(insert(contact_job_pieces).values(file))
    after = replace(held, cursor=piece.cursor, created_count=held.created_count + piece.contacts)
    values = {"cursor": after.cursor, "created_count": after.created_count}
    connection.execute(update(contact_jobs).where(contact_jobs.c.id == job.id).values(values))
    if piece.last:
        jobs.finish(connection, job, now)
        return None
    return after


def finished(
    connection: Connection, account_id: int, kind: Kind, request: str, content: bytes, count: int, now: int
) -> int:
    """A job whose file is written already."""
    job_id = jobs.create(connection, account_id, kind, now, Status.FINISHED, request)
    file = {"job_id": job_id, "piece": 0, "content": content, "size": len(content)}
    connection.execute(insert(contact_job_pieces).values(file))
    connection.execute(update(contact_jobs).where(contact_jobs.c.id == job_id).values(created_count=count))
    return job_id


def available(job: Job, now: int) -> bool:
    """The file is whole, and not forgotten yet."""
    return job.status is Status.FINISHED and now < job.updated_at + KEPT_MS


def sizes(connection: Connection, job_id: int) -> list[int]:
    """Octets of the file's pieces, in their order."""
    found = select(contact_job_pieces.c.size).where(contact_job_pieces.c.job_id == job_id)
    return list(connection.execute(found.order_by(contact_job_pieces.c.piece)).scalars())


def content(job_id: int, piece: int, connection: Connection) -> bytes:
    """Empty when the file was forgotten meanwhile."""
    found = select(contact_job_pieces.c.content)
    mine = (contact_job_pieces.c.job_id == job_id, contact_job_pieces.c.piece == piece)
    return bytes(connection.execute(found.where(*mine)).scalar() or b"")


def header(tags: Sequence[str]) -> list[str]:
    return [*COLUMNS, *map(column, tags)]


def column(tag: str) -> str:
    """A field may be called like one of our columns. Merge tags have no other characters than letters, digits, - and _."""
    return harmless(f"{tag} (field)" if tag in COLUMNS else tag)


def row(contact: Contact, tags: Sequence[str]) -> list[str]:
    status = SUBSCRIBED if contact.subscribed else UNSUBSCRIBED
    times = [_time(contact.created_at), _time(contact.updated_at)]
    lists = ";".join(map(str, contact.list_ids))
    return [
        contact.id,
        harmless(contact.email),
        status,
        lists,
        *times,
        *(_cell(contact.fields.get(tag)) for tag in tags),
    ]


def _cell(value: Value | None) -> str:
    if value is None or isinstance(value, str):
        return harmless(value or "")
    return msgspec.json.encode(value).decode()


def _time(ms: int) -> str:
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
