"""Recipients who do not want to be followed: what they open and click in the mail of a domain is not recorded."""

from collections.abc import Callable, Collection, Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, delete, exists, select

from mailferry.journal.ids import drawn_at
from mailferry.mail import address as addresses
from mailferry.store.database import Database
from mailferry.store.given import insert_if_new, pack, rows
from mailferry.store.schema import domains, tracking_opt_outs

#: A domain that had no opt-outs is asked for them again after this time; a link to a pixel more does no harm, since hits
#: of those who opted out are not recorded either.
CACHE_MS = 1_000


@dataclass(frozen=True, slots=True)
class OptOut:
    """``created_at`` in Unix milliseconds."""

    id: str
    domain_id: int
    domain_name: str
    address: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Query:
    """Of one account; None: no condition. Times in Unix milliseconds, both included."""

    account_id: int
    #: Those that may be seen; None: all of the account's.
    domain_ids: Set[int] | None
    address: str | None
    since: int | None
    until: int | None
    #: An id; empty: from the newest on.
    older_than: str
    limit: int


def add(connection: Connection, domain_id: int, address: str, now: int) -> str:
    """Its id; empty where it stands already."""
    values = {"id": drawn_at(now), "domain_id": domain_id, "address": addresses.key(address), "created_at": now}
    made = insert_if_new(connection, tracking_opt_outs, [values], returning=(tracking_opt_outs.c.id,))
    return made[0].id if made else ""


def page(connection: Connection, query: Query) -> list[OptOut]:
    """The newest first, of domains that stand."""
    table, asked = tracking_opt_outs, _of_account(query.account_id)
    if query.domain_ids is not None:
        asked = asked.where(table.c.domain_id.in_(query.domain_ids))
    if query.address is not None:
        asked = asked.where(table.c.address == query.address)
    if query.since is not None:
        asked = asked.where(table.c.created_at >= query.since)
    if query.until is not None:
        asked = asked.where(table.c.created_at <= query.until)
    if query.older_than:
        asked = asked.where(table.c.id < query.older_than)
    return [OptOut(*row) for row in connection.execute(asked.order_by(table.c.id.desc()).limit(query.limit))]


def find(connection: Connection, account_id: int, id_: str) -> OptOut | None:
    row = connection.execute(_of_account(account_id).where(tracking_opt_outs.c.id == id_)).one_or_none()
    return OptOut(*row) if row else None


def remove(connection: Connection, domain_id: int, address: str) -> bool:
    """False: it was gone already."""
    table = tracking_opt_outs
    mine = (table.c.domain_id == domain_id, table.c.address == addresses.key(address))
    return connection.execute(delete(table).where(*mine)).rowcount == 1


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


def _of_account(account_id: int) -> Select[Any]:
    table = tracking_opt_outs
    return (
        select(table.c.id, table.c.domain_id, domains.c.name, table.c.address, table.c.created_at)
        .join(domains, domains.c.id == table.c.domain_id)
        .where(domains.c.account_id == account_id, domains.c.deleted_at == 0)
    )


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
