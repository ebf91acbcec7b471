"""Sending domains as this node last saw them, for what is asked with every message."""

from collections.abc import Callable

from sqlalchemy import Connection

from mailferry.resources.domains.domain import Domain
from mailferry.resources.domains.reading import by_id, by_name
from mailferry.store.database import Database

#: What another node did to a domain is seen this much later.
CACHE_MS = 1_000


class DomainBook:
    """Domains as this node last saw them. Decisions that must be exact read the row again in their transaction.

    ``ticks``: milliseconds that only go forward.
    """

    def __init__(self, database: Database, ticks: Callable[[], int]) -> None:
        self._database = database
        self._ticks = ticks
        self._known: dict[tuple[int, str | int], tuple[int, Domain | None]] = {}

    async def by_name(self, account_id: int, name: str) -> Domain | None:
        return await self._look_up((account_id, name), lambda c: by_name(c, account_id, name))

    async def by_id(self, domain_id: int) -> Domain | None:
        return await self._look_up((0, domain_id), lambda c: by_id(c, domain_id))

    def forget(self) -> None:
        """After any change of domains on this node."""
        self._known.clear()

    async def _look_up(self, key: tuple[int, str | int], query: Callable[[Connection], Domain | None]) -> Domain | None:
        now = self._ticks()
        until, domain = self._known.get(key, (0, None))
        if until <= now:
            domain = await self._database.read(query)
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[key] = (now + CACHE_MS, domain)
        return domain
