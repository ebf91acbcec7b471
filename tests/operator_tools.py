"""An operator's verbs called in process: what they are handed, with nothing behind it but a database of two accounts."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mailferry.config import load
from mailferry.consumers.stats.counter import Counter
from mailferry.endpoints.operations.tools import Mistake, Tools
from mailferry.endpoints.operations.verbs import VERBS
from mailferry.net.dns import Resolver
from mailferry.resources import accounts
from mailferry.resources.domains import DomainBook
from mailferry.store.content import TableContent
from mailferry.store.database import Database
from mailferry.store.secrets import Sealer
from tests.conftest import Clock
from tests.fakes.mailtrap_api import FakePoster

FIRST, SECOND = 1, 2
SEALER = Sealer(bytes(32))


class Operator:
    def __init__(self, tools: Tools) -> None:
        self.tools = tools

    async def ask(self, verb: str, **arguments: Any) -> Any:
        return await VERBS[verb](self.tools, **arguments)

    async def mistake(self, verb: str, **arguments: Any) -> str:
        """What the operator is told."""
        with pytest.raises(Mistake) as told:
            await self.ask(verb, **arguments)
        return str(told.value)


@asynccontextmanager
async def two_accounts(
    database: Database, clock: Clock, nameservers: Sequence[str] = (), **changes: Any
) -> AsyncIterator[Tools]:
    """``changes``: as of `make_tools`."""
    for name in ("First", "Second"):
        await database.write(lambda connection, name=name: accounts.create_account(connection, name, clock()))  # type: ignore[misc]  # a default binds the loop variable
    resolver = Resolver(nameservers, clock=clock)
    yield make_tools(database, clock, resolver, **changes)
    await resolver.close()


def make_tools(database: Database, clock: Clock, resolver: Resolver, **changes: Any) -> Tools:
    """``settings``, as in ``{"dns.zone": "dns.mailferry.test"}``, or any of the tools themselves."""
    given = {
        "database": database,
        "content": TableContent(),
        "sealer": SEALER,
        "book": DomainBook(database, clock),
        "resolver": resolver,
        "config": load(None, {}, changes.pop("settings", {})),
        "hostname": "mail.mailferry.test",
        "clock": clock,
        "wake": lambda: None,
        "reload_hosts": lambda: None,
        "poster": FakePoster(),
        "counter": Counter(database, clock),
    }
    return Tools(**(given | changes))
