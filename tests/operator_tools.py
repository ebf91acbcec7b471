"""What the verbs of the control socket are handed, with nothing behind it but a database."""

from typing import Any

from mailferry.config import load
from mailferry.consumers.stats.counter import Counter
from mailferry.endpoints.operations.tools import Tools
from mailferry.net.dns import Resolver
from mailferry.resources.domains import DomainBook
from mailferry.store.content import TableContent
from mailferry.store.database import Database
from mailferry.store.secrets import Sealer
from tests.conftest import Clock
from tests.fakes.mailtrap_api import FakePoster


def make_tools(database: Database, clock: Clock, resolver: Resolver, **changes: Any) -> Tools:
    """``settings``, as in ``{"dns.zone": "dns.mailferry.test"}``, or any of the tools themselves."""
    given = {
        "database": database,
        "content": TableContent(),
        "sealer": Sealer(bytes(32)),
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
