"""Contacts on a real database: an account with a field of each type and three lists, and a workshop for its jobs."""

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Connection, Table, func, select

from mailferry.resources.contacts import fields, lists
from mailferry.resources.contacts.fields import Field
from mailferry.resources.contacts.values import DataType
from mailferry.resources.contacts.work import Workshop
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.mailtrap_house import MailtrapHouse

TAGS = {
    "name": DataType.TEXT,
    "age": DataType.INTEGER,
    "score": DataType.FLOAT,
    "vip": DataType.BOOLEAN,
    "birthday": DataType.DATE,
}


class ContactHouse(MailtrapHouse):
    """``house.fields["age"]``, ``house.lists[0]``; over the API or beside it."""

    def __init__(self, database: Database, clock: Clock, **changes: Any) -> None:
        super().__init__(database, clock, **changes)
        self.fields: dict[str, Field] = {}
        self.lists: list[int] = []
        self.workshop = Workshop(database, clock)

    async def furnish(self) -> "ContactHouse":
        await super().furnish()
        await self.database.write(self._describe)
        return self

    def _describe(self, connection: Connection) -> None:
        now = self.clock()
        for tag, kind in TAGS.items():
            self.fields[tag] = fields.create(connection, self.account, tag.title(), kind, tag, now)
        self.lists = [lists.create(connection, self.account, f"List {name}", now).id for name in "ABC"]

    async def contact(self, email: str, *, list_ids: Iterable[int] = (), **values: Any) -> dict[str, Any]:
        """Made over the API, as it was answered."""
        body = {"contact": {"email": email, "fields": values, "list_ids": list(list_ids)}}
        made = await self.ask("POST", "contacts", body)
        assert made.status == 201, made.json
        found: dict[str, Any] = made.json["data"]
        return found

    async def shown(self, who: str) -> dict[str, Any]:
        answer = await self.ask("GET", f"contacts/{who}")
        assert answer.status == 200, answer.json
        found: dict[str, Any] = answer.json["data"]
        return found

    async def count(self, table: Table) -> int:
        return int(
            await self.run(lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one())
        )

    async def run(self, query: Callable[[Connection], Any]) -> Any:
        return await self.database.write(query)
