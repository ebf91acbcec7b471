"""Webhooks in process on a real database, with real requests and a clock that the test moves."""

from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Table, insert, select

from mailferry.consumers.ses.publishing import Publisher
from mailferry.consumers.webhooks import deeds
from mailferry.consumers.webhooks.post import Poster
from mailferry.consumers.webhooks.service import Webhooks
from mailferry.journal import follow
from mailferry.journal.events import Kind
from mailferry.journal.ids import Ids
from mailferry.net.dns import Resolver
from mailferry.net.guard import Guard
from mailferry.net.http import HttpClient
from mailferry.net.http_call import parse_url
from mailferry.resources import webhooks
from mailferry.resources.audit import Actor
from mailferry.resources.notification_keys import NotificationKeys
from mailferry.resources.webhooks import KINDS, Webhook, Wish
from mailferry.store.content import ContentGone, Place
from mailferry.store.database import Database
from mailferry.store.schema import domains, events, webhook_attempts, webhook_deliveries
from mailferry.store.secrets import Sealer
from tests.conftest import Clock
from tests.fakes.journal import write_message

ACTOR = Actor("operator", 0, "test")
SEALER = Sealer(bytes(32))
ACCOUNT, DOMAIN = 7, 5


class Stored:
    """What is kept of messages, by their ids."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}

    def head(self, connection: Connection, place: Place, octets: int) -> bytes:
        if place.message_id not in self.bodies:
            raise ContentGone(place.message_id)
        return self.bodies[place.message_id][:octets]


class Node:
    """One process with the role."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        allow_private: bool = True,
        nameserver: str = "127.0.0.1:9",
        seconds: float = 5.0,
        content: Any = None,
    ) -> None:
        self._database = database
        self._resolver = Resolver([nameserver], clock=clock, timeout=1.0)
        self.client = HttpClient(self._resolver, Guard(allow_private, ()))
        keys = NotificationKeys(database, SEALER, clock)
        self.poster = Poster(self.client, SEALER, clock, keys.signing, any_port=True, seconds=seconds)
        publisher = Publisher(content or Stored(), "mail.test")
        self.service = Webhooks(database, self.poster, publisher, clock, Random(7), logs_days=30)

    async def work(self) -> None:
        """Until nothing more can be done at this moment of the clock."""
        while True:
            self.service._woken.clear()
            more = await self.service.step()
            await self.service.sender.idle()
            if not more and not self.service._woken.is_set() and not await self._behind():
                return

    async def _behind(self) -> bool:
        """On PostgreSQL a transaction of whomever else, such as of a test beside this one, keeps us from reading on."""
        held = self.service._held
        return held is not None and await self._database.read(lambda c: follow.lag(c, held)) is not None

    async def close(self) -> None:
        await self.service.close()
        await self.die()

    async def die(self) -> None:
        """As by SIGKILL: nothing is written down any more."""
        for task in list(self.service.sender._tasks):
            task.cancel()
        await self.client.close()
        await self._resolver.close()


class WebhookHouse:
    def __init__(self, database: Database, clock: Clock) -> None:
        self.database, self.clock = database, clock
        self.ids = Ids(clock)
        self.secret = ""
        self.nodes: list[Node] = []

    async def furnish(self) -> "WebhookHouse":
        values = {"id": DOMAIN, "account_id": ACCOUNT, "name": "shop.example"}
        await self.database.write(lambda c: c.execute(insert(domains).values(values)))
        return self

    def node(self, **options: Any) -> Node:
        self.nodes.append(Node(self.database, self.clock, **options))
        return self.nodes[-1]

    async def close(self) -> None:
        for node in self.nodes:
            await node.die()

    async def add(self, url: str, account_id: int = ACCOUNT, **changes: Any) -> Webhook:
        given: dict[str, Any] = {"active": True, "payload_format": "json", "stream": "transactional", "domain_id": 0}
        wish = Wish(parse_url(url), **(given | {"kinds": KINDS} | changes))
        made, self.secret = await self.database.write(
            lambda c: webhooks.create(c, SEALER, account_id, wish, ACTOR, self.clock())
        )
        return made

    async def change(self, webhook: Webhook, **changes: Any) -> Webhook:
        url = webhook.target(SEALER)
        wish = Wish(url, webhook.active, webhook.payload_format, webhook.stream, webhook.domain_id, webhook.kinds)
        import dataclasses

        wanted = dataclasses.replace(wish, **changes)
        changed = await self.database.write(lambda c: webhooks.change(c, SEALER, webhook, wanted, ACTOR, self.clock()))
        assert changed is not None
        return changed

    async def message(self, **columns: Any) -> str:
        """Its one recipient's id, which is what a receiver is told."""
        found = await self.database.write(lambda c: write_message(c, self.ids, self.clock(), **columns))
        return found[0]

    async def happen(self, recipient_id: str, *kinds: Kind, **facts: Any) -> None:
        def write(connection: Connection) -> None:
            for kind in kinds:
                told = {"kind": kind.value, "at": self.clock(), "account_id": ACCOUNT, "message_id": ""}
                row = told | {"recipient_id": recipient_id, "facts": msgspec.json.encode(facts).decode()}
                connection.execute(insert(events).values(row))

        await self.database.write(write)

    async def messages(self, number: int, *kinds: Kind, account_id: int = ACCOUNT) -> list[str]:
        """So many messages to which all of this happened, in one transaction."""

        def write(connection: Connection) -> list[str]:
            made = [write_message(connection, self.ids, self.clock())[0] for _ in range(number)]
            told = {"at": self.clock(), "account_id": account_id, "message_id": ""}
            rows = [told | {"kind": kind.value, "recipient_id": each} for each in made for kind in kinds]
            connection.execute(insert(events), rows)
            return made

        return await self.database.write(write)

    async def states(self, webhook: Webhook) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in await self.rows(webhook_deliveries, webhook_id=webhook.id):
            found[row.state] = found.get(row.state, 0) + 1
        return found

    async def attempts(self, webhook: Webhook) -> Sequence[Row[Any]]:
        return await self.rows(webhook_attempts, webhook_id=webhook.id)

    async def unpark(self, webhook: Webhook) -> int:
        return await self.database.write(lambda c: deeds.unpark(c, webhook, ACTOR, self.clock()))

    async def replay(self, webhook: Webhook, from_at: int, until_at: int) -> None:
        await self.database.write(lambda c: deeds.replay(c, webhook, from_at, until_at, ACTOR, self.clock()))

    async def rows(self, table: Table, **where: Any) -> Sequence[Row[Any]]:
        chosen = select(table).where(*(table.c[name] == value for name, value in where.items())).order_by(table.c.id)
        return await self.database.read(lambda c: c.execute(chosen).all())


async def house_of(database: Database, clock: Clock) -> AsyncIterator[WebhookHouse]:
    house = await WebhookHouse(database, clock).furnish()
    yield house
    await house.close()
