"""Keys that every node needs alike (return paths, links), sealed in the database. The first node makes them."""

import os
from collections.abc import Callable

from sqlalchemy import Connection, insert, select, text

from mailferry.store.schema import shared_keys
from mailferry.store.secrets import Sealer

_PURPOSE = "shared_keys.key"


def newest(connection: Connection, sealer: Sealer, purpose: str) -> tuple[int, bytes] | None:
    """Of a purpose, with its id; None: there is none yet. Raises WrongKey when the key file is another node's."""
    found = _newest(connection, purpose)
    return (found[0], sealer.open(found[1], _PURPOSE)) if found else None


def get_or_create(
    connection: Connection, sealer: Sealer, purpose: str, now: int, make: Callable[[], bytes] = lambda: os.urandom(32)
) -> tuple[int, bytes]:
    """The newest key of a purpose and its id. Raises WrongKey when the key file is another node's."""
    found = _newest(connection, purpose)
    if found is None and connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('mailferry shared keys'))"))
        found = _newest(connection, purpose)
    if found is not None:
        key_id, sealed = found
        return key_id, sealer.open(sealed, _PURPOSE)
    key = make()
    values = {"purpose": purpose, "key_sealed": sealer.seal(key, _PURPOSE), "created_at": now}
    return connection.execute(insert(shared_keys).values(values).returning(shared_keys.c.id)).scalar_one(), key


def one(connection: Connection, sealer: Sealer, purpose: str, key_id: int) -> bytes | None:
    """None: there is no such key of that purpose."""
    wanted = select(shared_keys.c.key_sealed).where(shared_keys.c.id == key_id, shared_keys.c.purpose == purpose)
    sealed = connection.execute(wanted).scalar()
    return None if sealed is None else sealer.open(sealed, _PURPOSE)


def all_of(connection: Connection, sealer: Sealer, purpose: str) -> dict[int, bytes]:
    """Every key of a purpose by its id: what an old one signed is still out there."""
    found = connection.execute(
        select(shared_keys.c.id, shared_keys.c.key_sealed).where(shared_keys.c.purpose == purpose)
    )
    return {row.id: sealer.open(row.key_sealed, _PURPOSE) for row in found}


def _newest(connection: Connection, purpose: str) -> tuple[int, bytes] | None:
    row = connection.execute(
        select(shared_keys.c.id, shared_keys.c.key_sealed)
        .where(shared_keys.c.purpose == purpose)
        .order_by(shared_keys.c.id.desc())
        .limit(1)
    ).one_or_none()
    return (row.id, row.key_sealed) if row else None
