"""What nobody can see any more is cleared away in pieces: values of deleted fields, members of deleted lists, old files.

What was deleted a moment ago is left for later: an import that still saw it may be writing.
"""

from typing import Any

from sqlalchemy import Column, Connection, Table, and_, delete, or_, select

from mailferry.resources.contacts import exports, values
from mailferry.resources.contacts.jobs import Kind, Status
from mailferry.resources.contacts.values import DataType
from mailferry.store.given import delete_rows
from mailferry.store.schema import (
    contact_fields,
    contact_job_pieces,
    contact_jobs,
    contact_list_members,
    contact_lists,
    contact_opt_outs,
    contact_values,
)

#: Rows of one transaction.
SOME = 2_000
#: Pieces of files, which are larger.
FILES = 100
#: Transactions end long before.
GRACE_MS = 60_000
#: An import whose sender was gone before it was whole. Nobody was told of it.
BROKEN_MS = 3_600_000
#: A file that nobody said what to do with, and the records of one that were refused.
UPLOADED_MS = 7 * 86_400_000
#: A failed import's contacts are kept for so long, so that somebody can look at them.
FAILED_MS = 30 * 86_400_000

_OVER = (Status.FINISHED, Status.FAILED, Status.CANCELLED)


def piece(connection: Connection, now: int) -> int:
    """Clears away up to :data:`SOME` rows, and returns how many; fewer: there is no more for now."""
    done = 0
    for clear in (_fields, _lists, _files):
        if done < SOME:
            done += clear(connection, now, SOME - done)
    return done


def _fields(connection: Connection, now: int, most: int) -> int:
    done = 0
    for field_id, data_type in _deleted(connection, contact_fields, now, contact_fields.c.data_type):
        # Only over its key can a field's values be found.
        key = contact_values.c[values.KEYS[DataType(data_type)]]
        mine = (contact_values.c.field_id == field_id, key.is_not(None))
        done += _clear(connection, contact_values, mine, most - done)
        if done >= most:
            return done
        connection.execute(delete(contact_fields).where(contact_fields.c.id == field_id))
    return done


def _lists(connection: Connection, now: int, most: int) -> int:
    done = 0
    for (list_id,) in _deleted(connection, contact_lists, now):
        for table in (contact_list_members, contact_opt_outs):
            done += _clear(connection, table, (table.c.list_id == list_id,), most - done)
            if done >= most:
                return done
        connection.execute(delete(contact_lists).where(contact_lists.c.id == list_id))
    return done


def _files(connection: Connection, now: int, most: int) -> int:
    """Pieces of jobs that are over. The jobs themselves stay, but for those that nobody was told of."""
    kind, status, changed = contact_jobs.c.kind, contact_jobs.c.status, contact_jobs.c.updated_at
    broken = and_(status == Status.RECEIVING, changed < now - BROKEN_MS)
    forgotten = and_(status == Status.UPLOADED, changed < now - UPLOADED_MS)
    over = or_(
        broken,
        forgotten,
        and_(kind.in_((Kind.IMPORT, Kind.FILE_IMPORT)), status == Status.FAILED, changed < now - FAILED_MS),
        and_(kind == Kind.FILE_IMPORT, status == Status.FINISHED, changed < now - UPLOADED_MS),
        and_(kind.in_((Kind.EXPORT, Kind.REPORT)), status.in_(_OVER), changed <= now - exports.KEPT_MS),
    )
    pieces = contact_job_pieces
    found = select(pieces.c.job_id, pieces.c.piece).join(contact_jobs, contact_jobs.c.id == pieces.c.job_id).where(over)
    some = [row._asdict() for row in connection.execute(found.limit(FILES))]
    delete_rows(connection, pieces, some)
    if len(some) == FILES:
        return most  # there are more
    connection.execute(delete(contact_jobs).where(or_(broken, forgotten)))
    return len(some)


def _deleted(connection: Connection, table: Table, now: int, *columns: Column[Any]) -> list[Any]:
    found = select(table.c.id, *columns).where(table.c.deleted_at > 0, table.c.deleted_at < now - GRACE_MS)
    return list(connection.execute(found.order_by(table.c.id)))


def _clear(connection: Connection, table: Table, mine: tuple[Any, ...], most: int) -> int:
    some = select(table.c.contact_id).where(*mine).limit(most)
    return connection.execute(delete(table).where(*mine, table.c.contact_id.in_(some))).rowcount
