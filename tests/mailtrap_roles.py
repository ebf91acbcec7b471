"""Two accounts side by side on one database, tokens of all kinds in the first, and what is known of the second.

The second account's ids are like no other number, and its names carry a mark: what leaks is seen.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, LargeBinary, Table, Text, insert, select, update

from mailferry.resources import organizations
from mailferry.resources.permissions import ADMIN, OWNER, VIEWER, VIEWER_PLUS, Grant, Resource
from mailferry.store.schema import metadata, tokens
from tests.asgi import Answer
from tests.contracts.cases import CASES, Case, Request
from tests.contracts.cases.ours import OURS
from tests.contracts.operations import blank, shared_name
from tests.delivery_support import Office
from tests.working_house import WorkingHouse

#: In each name of the second account.
MARK = "xenon"
#: Ids of the n-th table start at n times this.
BAND = 1_000_000

#: What each role is granted: kind of resource, where its id stands, level. The domain is the one that a request is about.
ROLES: dict[str, tuple[tuple[Resource, str, int], ...]] = {
    "owner": ((Resource.ACCOUNT, "account", OWNER),),
    "account admin": ((Resource.ACCOUNT, "account", ADMIN),),
    "account viewer+": ((Resource.ACCOUNT, "account", VIEWER_PLUS),),
    "account viewer": ((Resource.ACCOUNT, "account", VIEWER),),
    "domain admin": ((Resource.DOMAIN, "asked", ADMIN),),
    "domain viewer": ((Resource.DOMAIN, "asked", VIEWER),),
    "admin of another domain": ((Resource.DOMAIN, "other_domain", ADMIN),),
    "project admin": ((Resource.PROJECT, "project", ADMIN),),
    "sandbox admin": ((Resource.INBOX, "inbox", ADMIN),),
    "templates admin": ((Resource.TEMPLATES, "account", ADMIN),),
    "templates viewer": ((Resource.TEMPLATES, "account", VIEWER),),
    "campaigns admin": ((Resource.CAMPAIGNS, "account", ADMIN),),
    "billing admin": ((Resource.BILLING, "account", ADMIN),),
    "billing viewer": ((Resource.BILLING, "account", VIEWER),),
    "nothing": (),
    "organization admin": ((Resource.ORGANIZATION, "organization", ADMIN),),
    "organization viewer": ((Resource.ORGANIZATION, "organization", VIEWER),),
}

CASE_OF = {f"{name.partition(' ')[0]} {blank(name.partition(' ')[2])}": case for name, case in (CASES | OURS).items()}


class Stage:
    """``await stage.open(...)``, then any number of first accounts, one after the other."""

    def __init__(self, office: Office, method: str, path: str) -> None:
        self.office, self.method, self.path = office, method, path
        self.legacy = "{account_id}" in path
        self.name = f"{method} {blank(shared_name(path))}"
        self.prepare = CASE_OF[self.name]
        self.foreign_house = WorkingHouse(office, office.clock)
        self.foreign = Request()
        #: All ids of the second account, as an answer would show them.
        self.foreign_ids: frozenset[Any] = frozenset()
        self._opened = 0

    async def open(self) -> "Stage":
        await self.office.database.write(_part_the_ids)
        house = self.foreign_house
        house.owner = f"owner@{MARK}.test"
        await house.furnish()
        house.organization = await house.organize()
        self.foreign = (await self.prepare(house, self.legacy)).right[0]
        ids = tuple(f"{MARK}-{each}" if "@" in str(each) else each for each in self.foreign.ids)
        self.foreign = Request(ids, self.foreign.body, self.foreign.query)
        await house.run(lambda connection: _mark(connection, house.account))
        rows = await self.foreign_rows()
        self.foreign_ids = frozenset(row["id"] for each in rows.values() for row in each if "id" in row)
        return self

    async def house(self) -> tuple[WorkingHouse, Case]:
        """A first account with what the operation is about."""
        self._opened += 1
        house = WorkingHouse(self.office, self.office.clock)
        house.owner = f"owner-{self._opened}@shop.test"
        await house.furnish()
        house.organization = await house.organize()
        return house, await self.prepare(house, self.legacy)

    async def token(self, house: WorkingHouse, case: Case, role: str) -> str:
        asked = case.right[0].ids[0] if re.match(r"\w+ domains/", self.name) else house.domain
        ids = {"asked": asked} | {name: getattr(house, name) for _, name, _ in ROLES[role] if name != "asked"}
        # Whoever has rights by the organization comes from another account of it, where the path can say which is meant.
        home = await self._sister(house) if self.legacy and role.startswith("organization") else 0
        grants = (Grant(kind, ids[name], level) for kind, name, level in ROLES[role])
        return await house.token(*grants, account=home, name=role)

    async def _sister(self, house: WorkingHouse) -> int:
        make = organizations.create_sub_account
        return int(await house.run(lambda c: make(c, house.organization, "Sister", house.clock())))

    async def ask(self, house: WorkingHouse, request: Request, token: str, account: int = 0) -> Answer:
        ids = iter([account or house.account, *request.ids] if self.legacy else request.ids)
        target = re.sub(r"\{[^}]*\}", lambda _: str(next(ids)), self.path)
        target += f"?{request.query}" if request.query else ""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if request.body is None:
            return await house.call(self.method, target, headers=headers)
        return await house.call_json(self.method, target, request.body, headers)

    async def foreign_rows(self) -> dict[str, list[dict[str, Any]]]:
        """Of every table, those of the second account, and those that name one of its things."""
        return await self.office.database.read(lambda c: _rows_of(c, self.foreign_house.account))


async def expired(house: WorkingHouse) -> str:
    """An admin's token that has ended."""
    secret = await house.token(Grant(Resource.ACCOUNT, house.account, ADMIN), name="Ended")
    await house.run(lambda c: c.execute(update(tokens).where(tokens.c.name == "Ended").values(expires_at=1)))
    return secret


def numbers_and_texts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from numbers_and_texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from numbers_and_texts(each)
    else:
        yield value
        if isinstance(value, str) and value.isascii() and value.isdigit():
            yield int(value)


def leaks(answer: Answer, foreign_ids: frozenset[Any]) -> list[Any]:
    """What an answer says of the second account."""
    text = f"{dict(answer.headers)} {answer.body.decode('utf-8', 'replace')}"
    found: list[Any] = [MARK] if MARK in text else []
    try:
        told = set(numbers_and_texts(msgspec.json.decode(answer.body)))
    except msgspec.MsgspecError:
        return found
    return found + sorted(told & foreign_ids, key=str)


# --- the second account --------------------------------------------------------------------------------------------


def _part_the_ids(connection: Connection) -> None:
    """A row of nobody in each table, behind which the others are numbered."""
    for place, table in enumerate(metadata.sorted_tables):
        if _counts(table):
            values = {column.name: _nothing(table, column) for column in table.c if _needed(column)}
            connection.execute(insert(table).values(id=(place + 1) * BAND, **values))


def _counts(table: Table) -> bool:
    return "id" in table.c and table.c["id"].autoincrement is True


def _needed(column: Any) -> bool:
    return column.name != "id" and not column.nullable and column.server_default is None


def _nothing(table: Table, column: Any) -> Any:
    if isinstance(column.type, LargeBinary):
        return b""
    return f"nobody-{table.name}" if isinstance(column.type, Text) else 0


#: Texts that people give.
_GIVEN = (
    "name",
    "email",
    "address",
    "subject",
    "sender",
    "category",
    "created_by",
    "actor_name",
    "resource_name",
    "text",
)


def _mark(connection: Connection, account_id: int) -> None:
    for table in metadata.sorted_tables:
        theirs = _theirs(table, account_id)
        texts = [name for name in _GIVEN if name in table.c and table.name != "organizations"]
        if theirs is not None and texts:
            marked = {name: f"{MARK}-" + table.c[name] for name in texts}
            connection.execute(update(table).where(theirs).values(marked))


def _theirs(table: Table, account_id: int) -> Any:
    if table.name == "accounts":
        return table.c.id == account_id
    return table.c.account_id == account_id if "account_id" in table.c else None


def _rows_of(connection: Connection, account_id: int) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for table in metadata.sorted_tables:
        if (theirs := _theirs(table, account_id)) is not None:
            found[table.name] = _all(connection, table, theirs)
    ids = {row["id"] for rows in found.values() for row in rows if "id" in row}
    for table in metadata.sorted_tables:
        if table.name not in found:
            keys = [column for column in table.c if column.name.endswith("_id")]
            wanted: Callable[[dict[str, Any]], bool] = lambda row, keys=keys: any(row[key.name] in ids for key in keys)  # noqa: E731
            found[table.name] = [row for row in _all(connection, table) if wanted(row)]
    return found


def _all(connection: Connection, table: Table, *where: Any) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in connection.execute(select(table).where(*where).order_by(*table.primary_key))]
