"""Builds what checks the messages of the sandbox, out of the settings."""

from collections.abc import Callable, Iterable

from mailferry.config import Config, parse_host_port
from mailferry.ending import Ending
from mailferry.net.dns import Resolver
from mailferry.net.guard import Guard
from mailferry.net.http import HttpClient
from mailferry.sandbox.checks.blocklists import parse_zone
from mailferry.sandbox.checks.links import Links
from mailferry.sandbox.checks.spam.rspamd import Rspamd
from mailferry.sandbox.checks.spam.spamd import Spamd
from mailferry.sandbox.listed import Listed
from mailferry.sandbox.report import Checker, Filter, clock_time
from mailferry.store.threads import Threads

#: Checks that take the processor at once: as many as leave some of it to the mail.
THREADS = 2


def checker(
    config: Config, ending: Ending, *, resolver: Resolver, own: Iterable[tuple[str, int]], clock: Callable[[], int]
) -> Checker:
    """`own` are the addresses of our own listeners, which nothing connects to."""
    own = list(own)
    allow_private = config["net.allow_private"]
    threads = Threads(THREADS, "check")
    http = HttpClient(resolver, Guard(allow_private, own))
    ending.part("link check", http.close)

    async def close() -> None:
        threads.close()

    ending.part("check threads", close)
    return Checker(
        # The operator names the filter, who may have it on this machine; who writes a mail names its links.
        filter=_filter(config, ending, resolver, Guard(True, own)),
        links=Links(http, any_port=allow_private),
        resolver=resolver,
        zones=[parse_zone(text) for text in config["sandbox.blocklists"]],
        now=lambda: clock_time(clock()),
        threads=threads,
    )


def _filter(config: Config, ending: Ending, resolver: Resolver, guard: Guard) -> Filter | None:
    if text := config["sandbox.spamd"]:
        host, port = parse_host_port(text)
        return Spamd(host, port, resolver=resolver, guard=guard)
    if url := config["sandbox.rspamd"]:
        http = HttpClient(resolver, guard)
        ending.part("rspamd client", http.close)
        return Rspamd(url, http)
    return None


def listed(config: Config, resolver: Resolver, ticks: Callable[[], int]) -> Listed:
    """What blocklists say of senders."""
    return Listed([parse_zone(text) for text in config["sandbox.blocklists"]], resolver, ticks)
