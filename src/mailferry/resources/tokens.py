"""API tokens: 128 random bits as 32 hexadecimal digits, kept as SHA-256. They open the API and SMTP alike."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from mailferry.store.database import Database
from mailferry.store.schema import tokens

#: A revoked token may still open other nodes for this long (ours forgets it at once).
CACHE_MS = 2_000
#: Wrong secrets are remembered too, but never more than this many entries in all.
CACHE_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class Token:
    id: int
    account_id: int
    name: str
    #: Confined to this domain; 0 = all of the account.
    domain_id: int
    access_level: int
    expires_at: int


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def create(
    connection: Connection,
    account_id: int,
    name: str,
    access_level: int,
    now: int,
    *,
    domain_id: int = 0,
    created_by: str = "",
) -> tuple[int, str]:
    """Returns the id and the secret, which is not kept and cannot be shown again."""
    secret = secrets.token_hex(16)
    values = {
        "account_id": account_id,
        "name": name,
        "token_hash": digest(secret),
        "last_4_digits": secret[-4:],
        "domain_id": domain_id,
        "access_level": access_level,
        "created_by": created_by,
        "created_at": now,
    }
    return connection.execute(insert(tokens).values(values).returning(tokens.c.id)).scalar_one(), secret


def find(connection: Connection, secret_digest: str) -> Token | None:
    columns = [tokens.c[name] for name in ("id", "account_id", "name", "domain_id", "access_level", "expires_at")]
    row = connection.execute(select(*columns).where(tokens.c.token_hash == secret_digest)).one_or_none()
    return Token(*row) if row else None


class Credentials:
    """Tokens by their secret, from memory for a moment: a look-up costs a hash instead of a query."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[str, tuple[int, Token | None]] = {}

    async def token(self, secret: str) -> Token | None:
        """None: unknown or expired. The look-up is by digest, so its time says nothing about the secret."""
        key, now = digest(secret), self._clock()
        until, token = self._known.get(key, (0, None))
        if until <= now:
            token = await self._database.read(lambda connection: find(connection, key))
            if len(self._known) >= CACHE_ENTRIES:
                self._known.clear()
            self._known[key] = (now + CACHE_MS, token)
        if token is None or (token.expires_at and token.expires_at <= now):
            return None
        return token

    def forget(self) -> None:
        """After any change of tokens on this node."""
        self._known.clear()
