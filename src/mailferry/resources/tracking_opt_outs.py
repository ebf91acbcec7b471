"""Recipients who do not want to be followed: what they open and click in the mail of a domain is not recorded."""

from collections.abc import Callable, Collection

from sqlalchemy import Connection, delete, exists, select

from mailferry.mail import address as addresses
from mailferry.store.database import Database
from mailferry.store.given import insert_if_new, pack, rows
from mailferry.store.schema import tracking_opt_outs

#: A domain that had no opt-outs is asked for them again after this time; a link to a pixel more does no harm, since hits
#: of those who opted out are not recorded either.
CACHE_MS = 1_000


def add(connection: Connection, domain_id: int, address: str, now: int) -> None:
    values = {"domain_id": domain_id, "address": addresses.key(address), "created_at": now}
    insert_if_new(connection, tracking_opt_outs, [values])


def remove(connection: Connection, domain_id: int, address: str) -> None:
    table = tracking_opt_outs
    connection.execute(delete(table).where(table.c.domain_id == domain_id, table.c.address == addresses.key(address)))


def stands(connection: Connection, domain_id: int, address: str) -> bool:
    table = tracking_opt_outs
    wanted = exists().where(table.c.domain_id == domain_id, table.c.address == addresses.key(address))
    return bool(connection.execute(select(wanted)).scalar())


def among(connection: Connection, wanted: Collection[tuple[int, str]]) -> set[tuple[int, str]]:
    """Of (domain id, address as by mail/address.key) those that opted out: one statement for all."""
    if not wanted:
        return set()
    table = tracking_opt_outs
    given = rows(connection.dialect.name, [table.c.domain_id, table.c.address])
    statement = select(table.c.domain_id, table.c.address).join(
        given, (table.c.domain_id == given.c.domain_id) & (table.c.address == given.c.address)
    )
    packed = pack([{"domain_id": domain_id, "address": address} for domain_id, address in sorted(wanted)])
    return {(row.domain_id, row.address) for row in connection.execute(statement, {"rows": packed})}


class OptOutBook:
    """Asked for every recipient whose mail would be tracked: most domains have no opt-outs, and these cost nothing."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self._none: dict[int, int] = {}

    async def stands(self, domain_id: int, address: str) -> bool:
        now = self._clock()
        if self._none.get(domain_id, 0) > now:
            return False
        wanted = exists().where(tracking_opt_outs.c.domain_id == domain_id)
        if not await self._database.read(lambda c: bool(c.execute(select(wanted)).scalar())):
            if len(self._none) > 10_000:
                self._none.clear()
            self._none[domain_id] = now + CACHE_MS
            return False
        return await self._database.read(lambda c: stands(c, domain_id, address))
