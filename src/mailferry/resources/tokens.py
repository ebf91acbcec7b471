"""API tokens: 128 random bits as 32 hexadecimal digits, kept as SHA-256. They open the API and SMTP alike."""

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from mailferry.resources import accesses
from mailferry.resources.accesses import Specifier
from mailferry.resources.permissions import Grant, Rights
from mailferry.store.database import Database
from mailferry.store.schema import tokens

log = structlog.get_logger(__name__)

#: A revoked token may still open other nodes for this long (ours forgets it at once).
CACHE_MS = 2_000
#: Wrong secrets are remembered too, but never more than this many entries in all.
CACHE_ENTRIES = 10_000
#: A token that was reset goes on for so long, so that its users can be changed one by one.
OVERLAP_MS = 12 * 3_600_000
#: The last use is written down this often.
USED_MS = 60_000


@dataclass(frozen=True, slots=True)
class Token:
    """One that was presented."""

    id: int
    account_id: int
    name: str
    #: Unix milliseconds, 0 = never.
    expires_at: int
    last_used_at: int
    rights: Rights


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def create(
    connection: Connection,
    account_id: int,
    name: str,
    granted: Sequence[Grant],
    now: int,
    *,
    created_by: str = "",
    expires_at: int = 0,
) -> tuple[int, str]:
    """Returns the id and the secret, which is not kept and cannot be shown again. It ends never, or at that time."""
    secret = secrets.token_hex(16)
    values = {
        "account_id": account_id,
        "name": name,
        "token_hash": digest(secret),
        "last_4_digits": secret[-4:],
        "created_by": created_by,
        "created_at": now,
        "expires_at": expires_at,
    }
    token_id = int(connection.execute(insert(tokens).values(values).returning(tokens.c.id)).scalar_one())
    accesses.give(connection, account_id, Specifier.API_TOKEN, token_id, granted, now)
    return token_id, secret


def reset(
    connection: Connection, account_id: int, token_id: int, now: int, expires_at: int | None = None
) -> tuple[int, str] | None:
    """A new token with the same rights and the old one's name; the old one ends in 12 hours.

    The new one ends when the old one would have, or at another time, 0 for never. None when there is no such token, or
    when it ends within 12 hours anyway: mostly because it was reset before.
    """
    # One after the other: of two resets the second finds it reset, and none makes another of what is being removed.
    connection.execute(select(tokens.c.id).where(tokens.c.id == token_id).with_for_update())
    row = by_id(connection, account_id, token_id, now)
    if row is None or 0 < row.expires_at <= now + OVERLAP_MS:
        return None
    (access,) = accesses.of_specifier(connection, Specifier.API_TOKEN, token_id)
    end = row.expires_at if expires_at is None else expires_at
    made = create(connection, account_id, row.name, access.grants, now, created_by=row.created_by, expires_at=end)
    connection.execute(update(tokens).where(tokens.c.id == made[0]).values(name=f"{row.name} {made[0]}"))
    connection.execute(update(tokens).where(tokens.c.id == token_id).values(expires_at=now + OVERLAP_MS))
    return made


def remove(connection: Connection, token_id: int) -> None:
    connection.execute(delete(tokens).where(tokens.c.id == token_id))
    taken = accesses.of_specifier(connection, Specifier.API_TOKEN, token_id)
    accesses.take_away(connection, [access.id for access in taken])


def rename(connection: Connection, token_id: int, name: str) -> None:
    connection.execute(update(tokens).where(tokens.c.id == token_id).values(name=name))


def of_account(connection: Connection, account_id: int, now: int) -> list[Row[Any]]:
    """Rows of the table, those that have not ended, in the order of their ids; account 0: of all accounts."""
    alive = or_(tokens.c.expires_at == 0, tokens.c.expires_at > now)
    found = select(tokens).where(alive).order_by(tokens.c.id)
    return list(connection.execute(found.where(tokens.c.account_id == account_id) if account_id else found).all())


def by_id(connection: Connection, account_id: int, token_id: int, now: int) -> Row[Any] | None:
    alive = or_(tokens.c.expires_at == 0, tokens.c.expires_at > now)
    found = select(tokens).where(tokens.c.account_id == account_id, tokens.c.id == token_id, alive)
    return connection.execute(found).one_or_none()


def find(connection: Connection, secret_digest: str) -> Token | None:
    columns = [tokens.c[name] for name in ("id", "account_id", "name", "expires_at", "last_used_at")]
    row = connection.execute(select(*columns).where(tokens.c.token_hash == secret_digest)).one_or_none()
    if row is None:
        return None
    rights = accesses.rights(connection, row.account_id, Specifier.API_TOKEN, row.id)
    return Token(row.id, row.account_id, row.name, row.expires_at, row.last_used_at, rights)


class Credentials:
    """Tokens by their secret, from memory for a moment: a look-up costs a hash instead of a query.

    ``clock``: Unix milliseconds, by which tokens end; ``ticks``: milliseconds that only go forward.
    """

    def __init__(self, database: Database, clock: Callable[[], int], ticks: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self._ticks = ticks
        self._known: dict[str, tuple[int, Token | None]] = {}
        self._used: dict[int, int] = {}
        self._noting: set[asyncio.Task[None]] = set()

    async def token(self, secret: str) -> Token | None:
        """None: unknown or expired. The look-up is by digest, so its time says nothing about the secret."""
        return await self.by_digest(digest(secret))

    async def by_digest(self, key: str) -> Token | None:
        """The same for those who ask again and keep no secrets."""
        now, tick = self._clock(), self._ticks()
        until, token = self._known.get(key, (0, None))
        if until <= tick:
            token = await self._database.read(lambda connection: find(connection, key))
            if len(self._known) >= CACHE_ENTRIES:
                self._known.clear()
            self._known[key] = (tick + CACHE_MS, token)
        if token is None or (token.expires_at and token.expires_at <= now):
            return None
        if now - max(token.last_used_at, self._used.get(token.id, 0)) >= USED_MS:
            self._note_use(token.id, now)
        return token

    def forget(self) -> None:
        """After any change of tokens on this node."""
        self._known.clear()

    def _note_use(self, token_id: int, now: int) -> None:
        # The request does not wait for it, nor does it fail with it.
        self._used[token_id] = now
        task = asyncio.create_task(self._write_use(token_id, now))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _write_use(self, token_id: int, now: int) -> None:
        try:
            await self._database.write(
                lambda connection: connection.execute(
                    update(tokens).where(tokens.c.id == token_id).values(last_used_at=now)
                )
            )
        except Exception as error:
            log.warning("token_use_not_noted", token_id=token_id, error=repr(error))
