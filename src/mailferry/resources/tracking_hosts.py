"""Tracking hosts, which links of mail stand under: of a sending domain (Mailtrap's `mt-link`), or of somebody's choice."""

from collections.abc import Callable

from sqlalchemy import Connection

from mailferry.net.hosts import TRACKING_LABEL
from mailferry.resources import custom_hosts
from mailferry.resources.domains import Domain, named
from mailferry.store.database import Database

LABEL = TRACKING_LABEL
CACHE_MS = 60_000
#: The record that publishes it (resources/dns_records).
RECORD = "link_verification"


def custom_host(domain: Domain) -> str:
    """Empty until the DNS was seen to bring it to us."""
    return f"{LABEL}.{domain.name}" if domain.statuses.get(RECORD) == "pass" else ""


def is_custom(connection: Connection, host: str) -> bool:
    """Whether a request for that host may be one for us. ``host`` is in lower case.

    Not only while the DNS says so: mail that was sent under it is read for months.
    """
    label, _, name = host.partition(".")
    return (label == LABEL and bool(named(connection, name))) or custom_hosts.serves_links(connection, host)


class TrackingHosts:
    """Asked for every request under a name that no setting knows: the answer is remembered for a minute."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[str, tuple[int, bool]] = {}

    async def serves(self, host: str) -> bool:
        now = self._clock()
        until, found = self._known.get(host, (0, False))
        if until <= now:
            found = await self._database.read(lambda connection: is_custom(connection, host))
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[host] = (now + CACHE_MS, found)
        return found
