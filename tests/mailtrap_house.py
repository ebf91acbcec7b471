"""Mailtrap's API in process on a real database: an account with people, projects and domains, and tokens of all kinds."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from mailferry.journal.ids import Ids
from mailferry.resources import accounts, domains, inboxes, organizations, projects, tokens, users
from mailferry.resources.permissions import ADMIN, OWNER, VIEWER, Grant, Resource
from mailferry.resources.tokens import Credentials
from mailferry.sandbox.arrivals import Arrivals
from mailferry.sandbox.capture import Sandbox
from mailferry.store.database import Database
from mailferry.store.secrets import Sealer
from tests.asgi import Answer
from tests.conftest import Clock
from tests.fakes.captured import MemoryContent
from tests.fakes.mailtrap_api import Api

SEALER = Sealer(bytes(32))


class MailtrapHouse(Api):
    """``await house.ask("GET", "api_tokens")`` asks with the account admin's token over the legacy paths."""

    owner = "owner@shop.test"

    def __init__(self, database: Database, clock: Clock, **changes: Any) -> None:
        self.credentials = Credentials(database, clock, clock)
        captured = changes.setdefault("captured", MemoryContent())
        self.arrivals = changes.setdefault("arrivals", Arrivals())
        sandbox = Sandbox(database, captured, Ids(clock), clock, self.arrivals.note)
        super().__init__(db=database, credentials=self.credentials, clock=clock, sandbox=sandbox, **changes)
        self.database, self.clock = database, clock
        self.account = self.foreign = self.domain = self.other_domain = self.project = self.inbox = 0
        self.admin = ""

    async def furnish(self) -> "MailtrapHouse":
        await self.database.write(self._furnish)
        return self

    def _furnish(self, connection: Connection) -> None:
        now = self.clock()
        self.account = accounts.create_account(connection, "Shop", now)
        self.foreign = accounts.create_account(connection, "Foreign", now)
        users.create(connection, self.account, self.owner, "", OWNER, now, name="Olga")
        self.project = projects.create(connection, self.account, "Project", now).id
        self.inbox = inboxes.create(connection, SEALER, self.account, self.project, "Inbox", now).id
        self.domain, self.other_domain = (
            domains.add(connection, SEALER, self.account, name, (), now)[0].id for name in ("a.test", "b.test")
        )
        self.foreign_domain = domains.add(connection, SEALER, self.foreign, "c.test", (), now)[0].id
        _, self.admin = tokens.create(
            connection, self.account, "Admin", [Grant(Resource.ACCOUNT, self.account, ADMIN)], now, created_by="Olga"
        )

    async def token(self, *granted: Grant, account: int = 0, name: str = "Token") -> str:
        """The secret of a new token."""
        owner = account or self.account
        _, secret = await self.database.write(lambda c: tokens.create(c, owner, name, granted, self.clock()))
        return secret

    async def viewer(self) -> str:
        return await self.token(Grant(Resource.ACCOUNT, self.account, VIEWER))

    async def organize(self) -> int:
        """Puts the account into an organization."""
        return await self.database.write(
            lambda connection: organizations.create(connection, "Group", self.account, self.clock())
        )

    async def ask(
        self, method: str, path: str, body: Any = None, *, token: str = "", legacy: bool = True, account: int = 0
    ) -> Answer:
        target = f"/api/accounts/{account or self.account}/{path}" if legacy else f"/api/{path}"
        headers = {"Authorization": f"Bearer {token or self.admin}"}
        if body is None:
            return await self.call(method, target, headers=headers)
        return await self.post_json(method, target, body, headers)

    async def post_json(self, method: str, target: str, body: Any, headers: dict[str, str]) -> Answer:
        import msgspec

        sent = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self.call(method, target, headers=headers, body=sent)


def levels(resources: Sequence[dict[str, Any]]) -> dict[tuple[str, int], int]:
    return {(each["resource_type"], each["resource_id"]): each["access_level"] for each in resources}
