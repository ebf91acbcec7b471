"""Operations of Amazon's dialect called in process on a real database, without their wires."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
import structlog
from sqlalchemy import Connection

from mailferry.endpoints.bodies import BodyBudget
from mailferry.endpoints.ses import constraints
from mailferry.endpoints.ses.deps import Call, Deps
from mailferry.endpoints.ses.errors import validation
from mailferry.endpoints.ses.model import service
from mailferry.endpoints.ses.table import TABLE
from mailferry.intake.render import Renderer
from mailferry.intake.submission import Accepted, Once, Submission
from mailferry.journal.recent import Recent
from mailferry.resources import accounts, audit, custom_hosts, documents, domains
from mailferry.resources.access_keys import AccessKey
from mailferry.resources.dns_records import Operator
from mailferry.resources.documents import DocumentBook, Kind
from mailferry.resources.permissions import ADMIN, Grant, Resource, Rights
from mailferry.store.database import Database
from mailferry.store.secrets import Sealer
from tests.conftest import Clock

SEALER = Sealer(bytes(32))


def deps(database: Database, clock: Clock, **members: Any) -> Deps:
    """What operations are handed; of what a test does not give, they must not ask."""
    unused = cast(Any, None)
    given = {
        "intake": unused,
        "keys": unused,
        "content": unused,
        "log": structlog.get_logger(__name__),
        "budget": BodyBudget(1 << 20),
        "sealer": SEALER,
        "operator": Operator("mail.mailferry.test", ""),
        "forget_domains": lambda: None,
        "documents": DocumentBook(database, clock),
        "recent": Recent(database, clock),
        "renderer": Renderer(database, clock),
        "notification_certificate": unused,
        "may_have_port": lambda port: True,
        "public_url": "",
    }
    return Deps(db=database, clock=clock, **(given | members))


class Calls:
    """``await calls("sesv2", "GetEmailIdentity", EmailIdentity="a.test")``; the caller may do everything in its account."""

    def __init__(self, database: Database, clock: Clock, account: int, *, zone: str = "") -> None:
        self.database, self.clock, self.account = database, clock, account
        self.looked: list[int] = []
        self.looked_anew: list[int] = []
        self.looked_hosts: list[str] = []
        self.accepted: list[Submission] = []
        self.rights = Rights.of(account, 0, [Grant(Resource.ACCOUNT, account, ADMIN)])
        self.deps = deps(
            database,
            clock,
            intake=self,
            sealer=SEALER,
            operator=Operator("mail.mailferry.test", zone),
            look_up_domain=self.looked.append,
            look_up_anew=self.looked_anew.append,
            look_up_host=lambda account_id, name: self.looked_hosts.append(name),
        )

    @classmethod
    async def furnished(cls, database: Database, clock: Clock, **settings: Any) -> "Calls":
        account = await database.write(lambda c: accounts.create_account(c, "Shop", clock()))
        return cls(database, clock, account, **settings)

    def call(self, dialect: str, operation: str, *, region: str = "us-east-1") -> Call:
        key = AccessKey(1, self.account, "MFAKTEST", "deploy", "", False, 0, self.rights)
        return Call(self.deps, key, region, dialect, operation, "request", "127.0.0.1")

    async def __call__(self, dialect: str, operation: str, *, region: str = "us-east-1", **params: Any) -> Any:
        op = TABLE[dialect][operation]
        assert op.function, f"{operation} is not supported"
        if problems := constraints.problems(service(dialect).operations[operation].input, params):
            raise validation(problems)
        result = await op.function(self.call(dialect, operation, region=region), params)
        return _without_none(result) if result is not None else None

    async def accept(self, submissions: Sequence[Submission], once: Once | None = None) -> Any:
        """In place of the intake: whatever it is, it is accepted."""
        self.accepted += submissions
        return [Accepted("0198c0de-0000-7000-8000-000000000000", ("r",)) for _ in submissions]

    async def domain(self, name: str) -> domains.Domain:
        found = await self.database.read(lambda c: domains.by_name(c, self.account, name))
        assert found
        return found

    async def verified(self, name: str) -> domains.Domain:
        """As after a look into the DNS that found all records of a domain that is there."""
        domain = await self.domain(name)

        def write(connection: Connection) -> None:
            selectors = {key.selector for key in domain.keys}
            domains.set_verified(connection, domain, True, selectors, self.clock(), {"dkim1": "pass"})

        await self.database.write(write)
        return await self.domain(name)

    async def document(self, kind: Kind, name: str, **body: Any) -> None:
        await self.database.write(lambda c: documents.put(c, self.account, kind, name, body, self.clock()))

    async def document_seen(self, name: str, status: str) -> None:
        """As after a look into the DNS for a name that mail is to use."""
        await self.database.write(lambda c: custom_hosts.put_status(c, self.account, name, status, self.clock()))

    async def events(self) -> list[tuple[str, str, Any]]:
        """The audit log: event, resource, changes."""
        rows = await self.database.read(lambda c: audit.page(c, self.account))
        return [(row.event, row.resource_name, msgspec.json.decode(row.changes)) for row in reversed(rows)]


def _without_none(value: Any) -> Any:
    """As the wires leave it."""
    if isinstance(value, Mapping):
        return {key: _without_none(each) for key, each in value.items() if each is not None}
    return [_without_none(each) for each in value] if isinstance(value, list | tuple) else value
