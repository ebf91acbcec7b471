"""A furnished house for the tests of delivery: an account, a sending domain, and mail accepted through the real intake.

Its fixtures are named by each test module (``office, engines = delivery_support.office, delivery_support.engines``).
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, Engine, Row, Table, func, select, text, update

from mailferry.delivery import queue as queues
from mailferry.delivery.claim import Claimer, Room
from mailferry.delivery.job import HandoffBudget, Job
from mailferry.delivery.settle import Change, Settler
from mailferry.intake.accept import Intake
from mailferry.intake.checks import Limits
from mailferry.intake.keep import Keeper
from mailferry.intake.quotas import Quotas
from mailferry.intake.submission import Accepted, Once, Publishing, Rcpt, Submission
from mailferry.journal.ids import Ids
from mailferry.journal.recent import Recent
from mailferry.mail.address import Mailbox
from mailferry.mail.compose import Content as Composed
from mailferry.mail.reply import Answer
from mailferry.resources import accounts, domains
from mailferry.resources.documents import DocumentBook
from mailferry.resources.domains import Domain, DomainBook, FreshKeys
from mailferry.sandbox.capture import Sandbox
from mailferry.store.captured import CapturedContent
from mailferry.store.content import Content, TableContent
from mailferry.store.database import Database
from mailferry.store.engines import postgres_engine, sqlite_engine
from mailferry.store.migrations import migrate
from mailferry.store.schema import attempts, events, lanes, metadata, queue, recipients, suppressions
from mailferry.store.schema import domains as domains_table
from mailferry.store.secrets import Sealer
from mailferry.store.segments import SegmentContent
from tests.conftest import Clock
from tests.fakes.captured import MemoryContent
from tests.peers.postgres import Cluster

DOMAIN = "sender.test"
EXPIRE_MS = 5 * 86_400_000
FIRST_RETRY_MS = 60_000
#: Connections of one database.
POOL = 4

TAKEN = Answer(250, "2.0.0", "taken", stage="dot", transport="mx", host="mx.dest.test", ip="127.0.0.1", ms=3)
GREYLISTED = Answer(451, "4.7.1", "greylisted, come again", stage="rcpt", transport="mx", host="mx.dest.test")
UNKNOWN = Answer(550, "5.1.1", "User unknown", stage="rcpt", transport="mx", host="mx.dest.test")
SPAM = Answer(550, "5.7.1", "this looks like spam", stage="dot", transport="mx", host="mx.dest.test")


class Office:
    """One node on a database. What it does to mail, it does through the rooms themselves."""

    def __init__(
        self,
        database: Database,
        clock: Any,
        content: Content,
        *,
        grown: Callable[[], int] | None = None,
        boot: int = 1,
        hourly: int = 1000,
        handed_over: int = 0,
        account: int = 0,
        domain: int = 0,
    ) -> None:
        self.database, self.clock, self.content = database, clock, content
        #: A test that looks at the sandbox puts a real one in its place.
        self.captured: CapturedContent = MemoryContent()
        self.boot, self.account, self.domain = boot, account, domain
        self.sealer = Sealer(bytes(32))
        self.book = DomainBook(database, clock)
        self.documents = DocumentBook(database, clock)
        #: Given to the intake only where handed_over > 0: so many messages are passed on from memory at once.
        self.budget = HandoffBudget(handed_over, 1 << 30)
        #: Jobs passed on from memory end here, unless a test puts a worker's method in its place.
        self.jobs: list[Job] = []
        self.hand_over: Callable[[Sequence[Job]], None] = self.jobs.extend
        budget = self.budget if handed_over else None
        keeper = Keeper(content, clock, boot=boot, budget=budget, hourly=hourly, expire_ms=EXPIRE_MS)
        self.intake = Intake(
            database,
            keeper,
            self.book,
            Ids(clock),
            clock,
            Limits(),
            Quotas(self.documents, Recent(database, clock), clock),
            self.documents,
            lambda captures: Sandbox(database, self.captured, Ids(clock), clock).capture(captures),
            simulated=lambda address: address.endswith("@simulator.demo.test"),
            hand_over=lambda jobs: self.hand_over(jobs),
        )
        self.claimer = Claimer(clock, boot=boot, hourly=hourly)
        self.settler = Settler(database, Ids(clock), clock, Random(7), first_retry_ms=FIRST_RETRY_MS, grown=grown)

    def node(self, *, boot: int = 1, hourly: int = 1000, handed_over: int = 0) -> "Office":
        """Another node on the same database, or this one with other settings."""
        return Office(
            self.database,
            self.clock,
            self.content,
            boot=boot,
            hourly=hourly,
            handed_over=handed_over,
            account=self.account,
            domain=self.domain,
        )

    async def furnish(self) -> "Office":
        self.account = await self.database.write(lambda c: accounts.create_account(c, "Shop", self.clock()))
        self.domain = (await self.add_domain(DOMAIN)).id
        return self

    async def add_domain(self, name: str, *, state: str = domains.COMPLIANT, keys: FreshKeys = ()) -> Domain:
        """A domain whose DNS was found right; its keys, if any, are signed with."""

        def add(connection: Connection) -> Domain:
            now = self.clock()
            domain, _ = domains.add(connection, self.sealer, self.account, name, keys, now)
            domains.set_verified(connection, domain, True, {selector for selector, *_ in keys}, now)
            domains.set_state(connection, domain.id, state)
            found = domains.by_id(connection, domain.id)
            assert found is not None
            return found

        made = await self.database.write(add)
        self.book.forget()
        return made

    async def change_domain(self, **values: Any) -> None:
        await self.database.write(
            lambda c: c.execute(update(domains_table).where(domains_table.c.id == self.domain).values(**values))
        )
        self.book.forget()

    # --- verbs -----------------------------------------------------------------------------------------------------

    async def accept(
        self,
        *addresses: str,
        sender: str = f"app@{DOMAIN}",
        stream: str = "transactional",
        raw: bytes | None = None,
        once: Once | None = None,
        publishing: Publishing | None = None,
    ) -> list[str]:
        """One message to all of them; the recipients' ids, in order."""
        composed = Composed(Mailbox(sender), (Mailbox(addresses[0]),), subject="Hello", text="It works.\n")
        submission = Submission(
            account_id=self.account,
            token_id=1,
            sender_domains=None,
            endpoint="smtp" if raw else "mailtrap",
            stream=stream,
            recipients=tuple(Rcpt(address) for address in addresses),
            content=None if raw else composed,
            raw=raw,
            publishing=publishing,
        )
        outcome = await self.intake.accept([submission], once)
        assert isinstance(outcome, list) and isinstance(outcome[0], Accepted), outcome
        return list(outcome[0].recipient_ids)

    async def claim(self, room: int = 1000) -> list[Job]:
        return list(await self.database.submit(self.claimer, Room(room)))

    async def take(self, room: int = 1000, *, owner: int = 0) -> list[Row[Any]]:
        """What the queue gives to an owner, without the claim's second look."""
        now = self.clock()
        return await self.database.write(lambda c: queues.take(c, owner or self.boot, now, room))

    async def settle(self, job: Job, answer: Answer) -> Change:
        change = await self.settler.settle(job, answer)
        assert change is not None, "the recipient is there"
        return change

    def places(self) -> int:
        """How many messages may still be handed over from memory."""
        free = 0
        while self.budget.take(0):
            free += 1
        self.budget.give_back(0, free)
        return free

    # --- what stands in the database -------------------------------------------------------------------------------

    async def recipient(self, recipient_id: str) -> Row[Any]:
        (row,) = await self.rows(recipients, id=recipient_id)
        return row

    async def state(self, recipient_id: str) -> str:
        return str((await self.recipient(recipient_id)).state)

    async def queued(self, recipient_id: str) -> Row[Any] | None:
        return next(iter(await self.rows(queue, recipient_id=recipient_id)), None)

    async def lane(self, destination: str) -> Row[Any]:
        (row,) = await self.rows(lanes, destination=destination)
        return row

    async def attempts(self, recipient_id: str) -> list[Row[Any]]:
        return await self.rows(attempts, recipient_id=recipient_id)

    async def story(self, recipient_id: str) -> list[str]:
        return [row.kind for row in await self.rows(events, recipient_id=recipient_id)]

    async def facts(self, recipient_id: str) -> dict[str, Any]:
        """Of the last event."""
        last = (await self.rows(events, recipient_id=recipient_id))[-1]
        return dict(msgspec.json.decode(last.facts))

    async def suppressions(self) -> list[tuple[str, str]]:
        return [(row.address, row.stream) for row in await self.rows(suppressions)]

    async def next_due(self) -> int | None:
        return await self.database.read(queues.next_due)

    async def count(self, table: Table, **where: Any) -> int:
        chosen = select(func.count()).select_from(table).where(*(table.c[n] == v for n, v in where.items()))
        return int(await self.database.read(lambda c: c.execute(chosen).scalar_one()))

    async def rows(self, table: Table, **where: Any) -> list[Row[Any]]:
        chosen = select(table).where(*(table.c[n] == v for n, v in where.items())).order_by(*table.primary_key)
        return await self.database.read(lambda c: list(c.execute(chosen).all()))

    # --- trouble ---------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def one_group(self) -> AsyncIterator[None]:
        """What is submitted meanwhile is written in one transaction afterwards: the writer is kept busy."""
        began, go = threading.Event(), threading.Event()

        def wait(_: Connection, items: Sequence[None]) -> Sequence[None]:
            began.set()
            go.wait(60)
            return items

        busy = self.database.submit(wait, None)
        await asyncio.to_thread(began.wait, 60)
        try:
            yield
        finally:
            go.set()
            await busy

    async def until_somebody_waits(self, done: "asyncio.Future[Any]") -> None:
        """On PostgreSQL: until a transaction waits for another one's lock, or this is done without waiting."""
        found = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        while not done.done() and not await self.database.read(lambda c: c.execute(found).scalar()):
            await asyncio.sleep(0.02)

    @contextlib.asynccontextmanager
    async def without(self, table: str) -> AsyncIterator[None]:
        """Statements on this table fail meanwhile."""
        await self.database.write(lambda c: c.execute(text(f"ALTER TABLE {table} RENAME TO {table}_away")))
        try:
            yield
        finally:
            await self.database.write(lambda c: c.execute(text(f"ALTER TABLE {table}_away RENAME TO {table}")))


# --- fixtures --------------------------------------------------------------------------------------------------------

SQLITE = pytest.mark.parametrize("engines", ["sqlite"], indirect=True)
POSTGRES = pytest.mark.parametrize("engines", ["postgresql"], indirect=True)

Engines = tuple[str, Engine, Engine]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """One database a module, on SQLite and on PostgreSQL. Each test empties it: many times as fast as a new one."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("database") / "mailferry.db"
        yield "sqlite", sqlite_engine(path, writer=True), sqlite_engine(path, writer=False, pool=POOL)
        return
    cluster: Cluster = request.getfixturevalue("postgres_cluster")
    url = cluster.create_database()
    yield "postgresql", postgres_engine(url, 1), postgres_engine(url, POOL)
    cluster.drop_database(url)


@pytest.fixture
async def office(engines: Engines, clock: Clock, tmp_path: Path) -> AsyncIterator[Office]:
    database = Database(*engines, POOL)
    content = SegmentContent(tmp_path / "segments") if database.dialect == "sqlite" else TableContent()
    try:
        await database.write(migrate)
        await database.write(empty)
        yield await Office(database, clock, content).furnish()
    finally:
        await database.close()
        if isinstance(content, SegmentContent):
            content.close()


def empty(connection: Connection) -> None:
    for table in metadata.sorted_tables:
        connection.execute(table.delete())
    if connection.dialect.name == "postgresql":
        TableContent().forget(connection, date.max, frozenset())
    connection.execute(text("DELETE FROM inbox_contents"))
