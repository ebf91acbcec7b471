"""Key pairs for requests that are signed (Amazon's dialect): an id that all may see, and a secret that verifies.

They are scoped like API tokens, by what is granted to them. The secret also makes the password of SMTP.
"""

import asyncio
import base64
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import structlog
from sqlalchemy import Connection, Row, delete, insert, select, update

from mailferry.resources import accesses, aws_regions
from mailferry.resources.accesses import Specifier
from mailferry.resources.permissions import Grant, Rights
from mailferry.store.database import Database
from mailferry.store.schema import access_keys
from mailferry.store.secrets import Sealer

log = structlog.get_logger(__name__)

_PURPOSE = "access_keys.secret"
#: A key that was revoked or changed on another node opens this one for so long.
CACHE_MS = 2_000
CACHE_ENTRIES = 10_000
#: Key pairs whose passwords of SMTP are kept in memory, for every region: some four kilobytes each.
DERIVED = 1_000
#: The last use is written down this often.
USED_MS = 60_000


@dataclass(frozen=True, slots=True)
class AccessKey:
    id: int
    account_id: int
    key_id: str
    name: str
    secret: str
    disabled: bool
    last_used_at: int
    rights: Rights


class Taken(ValueError):
    """There is a key pair with this id already."""


def fresh() -> tuple[str, str]:
    """(id, secret): 20 characters as Amazon's have, and 40 with 240 random bits."""
    return "MFAK" + base64.b32encode(secrets.token_bytes(10)).decode(), base64.b64encode(
        secrets.token_bytes(30)
    ).decode()


def create(
    connection: Connection,
    sealer: Sealer,
    account_id: int,
    name: str,
    granted: Sequence[Grant],
    now: int,
    *,
    created_by: str = "",
    pair: tuple[str, str] | None = None,
) -> tuple[int, str, str]:
    """Returns id, key id and secret. ``pair``: one that the customer has already, at Amazon. Raises :class:`Taken`."""
    key_id, secret = pair or fresh()
    if connection.execute(select(access_keys.c.id).where(access_keys.c.key_id == key_id)).first():
        raise Taken(f"there is a key pair {key_id} already")
    values = {
        "account_id": account_id,
        "key_id": key_id,
        "name": name,
        "secret_sealed": sealer.seal(secret.encode(), _PURPOSE),
        "created_by": created_by,
        "created_at": now,
    }
    made = int(connection.execute(insert(access_keys).values(values).returning(access_keys.c.id)).scalar_one())
    accesses.give(connection, account_id, Specifier.ACCESS_KEY, made, granted, now)
    return made, key_id, secret


def region_of(secret: str, password: str) -> str:
    """The region that ``password`` of SMTP was derived for; empty: it is wrong.

    It costs the same for every password, and next to nothing after a key's first.
    """
    given, found = password.encode("utf-8", "replace"), ""
    for region, derived in _smtp_passwords(secret):
        if hmac.compare_digest(derived, given):
            found = region
    return found


@lru_cache(maxsize=DERIVED)
def _smtp_passwords(secret: str) -> tuple[tuple[str, bytes], ...]:
    return tuple((region, aws_regions.smtp_password(secret, region).encode()) for region in aws_regions.names())


def of_account(connection: Connection, account_id: int) -> list[Row[Any]]:
    """Rows of the table in the order of their ids; account 0: of all accounts."""
    found = select(access_keys).order_by(access_keys.c.id)
    return list(connection.execute(found.where(access_keys.c.account_id == account_id) if account_id else found).all())


def set_disabled(connection: Connection, key_id: str, disabled: bool) -> None:
    connection.execute(update(access_keys).where(access_keys.c.key_id == key_id).values(disabled=disabled))


def remove(connection: Connection, identity: int) -> None:
    taken = accesses.of_specifier(connection, Specifier.ACCESS_KEY, identity)
    accesses.take_away(connection, [access.id for access in taken])
    connection.execute(delete(access_keys).where(access_keys.c.id == identity))


def find(connection: Connection, sealer: Sealer, key_id: str) -> AccessKey | None:
    row = connection.execute(select(access_keys).where(access_keys.c.key_id == key_id)).one_or_none()
    if row is None:
        return None
    rights = accesses.rights(connection, row.account_id, Specifier.ACCESS_KEY, row.id)
    secret = sealer.open(row.secret_sealed, _PURPOSE).decode()
    return AccessKey(row.id, row.account_id, row.key_id, row.name, secret, row.disabled, row.last_used_at, rights)


class AccessKeys:
    """Key pairs by their id, from memory for a moment.

    ``clock``: Unix milliseconds; ``ticks``: milliseconds that only go forward.
    """

    def __init__(self, database: Database, sealer: Sealer, clock: Callable[[], int], ticks: Callable[[], int]) -> None:
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._ticks = ticks
        self._known: dict[str, tuple[int, AccessKey | None]] = {}
        self._used: dict[int, int] = {}
        self._noting: set[asyncio.Task[None]] = set()

    async def key(self, key_id: str) -> AccessKey | None:
        """None: unknown. Whether it is disabled is for the caller to say: the answer is another one."""
        tick = self._ticks()
        until, key = self._known.get(key_id, (0, None))
        if until <= tick:
            key = await self._database.read(lambda connection: find(connection, self._sealer, key_id))
            if len(self._known) >= CACHE_ENTRIES:
                self._known.clear()
            self._known[key_id] = (tick + CACHE_MS, key)
        return key

    def used(self, key: AccessKey) -> None:
        """After a signature was found right."""
        now = self._clock()
        if now - max(key.last_used_at, self._used.get(key.id, 0)) >= USED_MS:
            self._used[key.id] = now
            task = asyncio.create_task(self._write_use(key.id, now))
            self._noting.add(task)
            task.add_done_callback(self._noting.discard)

    def forget(self) -> None:
        """After any change of key pairs on this node."""
        self._known.clear()

    async def _write_use(self, identity: int, now: int) -> None:
        noted = update(access_keys).where(access_keys.c.id == identity).values(last_used_at=now)
        try:
            await self._database.write(lambda connection: connection.execute(noted))
        except Exception as error:
            log.warning("access_key_use_not_noted", key=identity, error=repr(error))
