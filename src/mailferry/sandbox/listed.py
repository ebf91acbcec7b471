"""Whether senders stand on blocklists: asked when somebody looks at a message, and remembered for an hour."""

from collections.abc import Callable, Sequence

from mailferry.mail import address
from mailferry.sandbox.checks import blocklists
from mailferry.sandbox.checks.blocklists import Report, Resolver, Zone

KEPT_MS = 3_600_000
#: Domains; then all is forgotten.
MOST = 10_000


class Listed:
    """``ticks``: milliseconds that only go forward."""

    def __init__(self, zones: Sequence[Zone], resolver: Resolver, ticks: Callable[[], int]) -> None:
        self._zones = zones
        self._resolver = resolver
        self._ticks = ticks
        self._known: dict[str, tuple[int, Report]] = {}

    def known(self, sender: str) -> Report | None:
        """What is known of an address's domain without asking; None: nothing yet."""
        if not self._zones:
            return Report("off", "")
        until, report = self._known.get(_domain(sender), (0, None))
        return report if until > self._ticks() else None

    async def ask(self, sender: str) -> Report:
        """Of an address's domain."""
        if known := self.known(sender):
            return known
        domain = _domain(sender)
        report = await blocklists.check(domain, self._zones, self._resolver)
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[domain] = (self._ticks() + KEPT_MS, report)
        return report


def _domain(sender: str) -> str:
    return address.split(sender)[1].lower() if "@" in sender else ""
