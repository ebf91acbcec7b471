"""`python -m bench.testing [--cycles N] [--held N] [--postgres]`: what a test-suite waits for.

Printed are the start of the plug-in's server, a further inbox, the way from sending a message to asserting it, what a hundred
waiting requests cost the server while nothing comes, and queries of an inbox that holds 100,000 messages; the mark of those
that are decided by the list is 50 ms.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable

from tests.peers.postgres import Cluster
from tests.peers.process import free_port, scratch

from mailferry.testing import Inbox, NoMessage, Server
from mailferry.testing.http import Http

from . import load
from .mailferry import mailferry
from .ses import processor_seconds

STARTS, INBOXES, LOOKS, WAITING = 5, 50, 10, 100
MILLISECONDS = 50
IDLE_SECONDS = 5.0
FILL = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.testing", description=__doc__)
    parser.add_argument("--cycles", type=int, default=200, help="messages sent and asserted (default 200)")
    parser.add_argument("--held", type=int, default=100_000, help="messages of the large inbox (default 100,000)")
    parser.add_argument("--postgres", action="store_true", help="the large inbox on PostgreSQL instead of SQLite")
    options = parser.parse_args()
    # A database that lies in memory would make every sync free; /var/tmp is on a disk by its definition (FHS 5.15).
    tempfile.tempdir = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
    plug_in(options.cycles)
    with contextlib.ExitStack() as running:
        folder = running.enter_context(scratch("mf-bench-testing"))
        cluster = running.enter_context(Cluster()) if options.postgres else None
        url = cluster.create_database() if cluster else ""
        target = running.enter_context(mailferry(free_port(), folder, tls=False, database=url))
        server = Server()
        server.http_port, server.smtp_port, server.token = target.http_port, target.smtp_port, target.token
        server.account_id = server.project_id = 1
        inbox = server.new_inbox("Large")
        idle(server, inbox, int((folder / "data" / "lock").read_text()))
        fill(server, inbox, options.held)
        queries(inbox, options.held)


def plug_in(cycles: int) -> None:
    servers = [Server() for _ in range(STARTS)]
    said("start of a server", [took(each.start) for each in servers])
    said("its end", [took(each.stop) for each in servers])
    with Server() as server:
        said("a further inbox", [took(server.new_inbox) for _ in range(INBOXES)])
        inbox = server.new_inbox()
        said("connect, log in, send and assert", [took(lambda n=n: by_smtp(inbox, n)) for n in range(cycles)])
        with inbox.smtp() as client:
            kept = [took(lambda n=n: cycle(inbox, client.sendmail, f"k{n}")) for n in range(cycles)]
        said("send over a kept connection and assert", kept)
        said("read its text", [took(lambda: inbox.latest().text) for _ in range(LOOKS)])


def by_smtp(inbox: Inbox, number: int) -> None:
    with inbox.smtp() as client:
        cycle(inbox, client.sendmail, f"c{number}")


def cycle(inbox: Inbox, send: Callable[[str, list[str], bytes], object], name: str) -> None:
    to = f"{name}@dest.test"
    send(
        "app@a.test",
        [to],
        b"From: app@a.test\r\nTo: %b\r\nSubject: Hi\r\n\r\n%b\r\n" % (to.encode(), (b"x" * 70 + b"\r\n") * 56),
    )
    inbox.wait_for(to=to)


def idle(server: Server, inbox: Inbox, process: int) -> None:
    """What those who wait cost while nothing comes, beside what the server costs without them."""
    alone = _cost(process)

    def wait() -> None:
        with contextlib.suppress(NoMessage):
            inbox.wait_for(timeout=IDLE_SECONDS + 2)

    threads = [threading.Thread(target=wait) for _ in range(WAITING)]
    for each in threads:
        each.start()
    time.sleep(1.5)
    waited_for = _cost(process)
    for each in threads:
        each.join()
    print(
        f"processor while nothing comes: {alone:.2f} % with nobody, {waited_for:.2f} % with {WAITING} who wait",
        flush=True,
    )


def _cost(process: int) -> float:
    before = processor_seconds(process)
    time.sleep(IDLE_SECONDS - 1)
    return (processor_seconds(process) - before) / (IDLE_SECONDS - 1) * 100


def fill(server: Server, inbox: Inbox, held: int) -> None:
    http = Http(server.host, server.http_port, server.token, "/api/accounts/1/")
    http.json("PATCH", f"inboxes/{inbox.id}", {"inbox": {"max_size": max(held, 1)}})
    for begin in range(0, held, FILL):
        count = min(held - begin, FILL)
        login = inbox.username, inbox.password
        order = load.Order("smtp", inbox.port, "app@bench.test", "dest.test", count, 1024, 32, f"f{begin}", *login)
        result = load.start(order)
        assert result.accepted == count, result.refusals


def queries(inbox: Inbox, held: int) -> None:
    newest = inbox.latest()
    print(f"an inbox of {held:,} messages:")
    last = newest.id - 50
    for name, look in {
        "latest": lambda: inbox.latest(),
        "latest to nobody": lambda: absent(lambda: inbox.latest(to="nobody@dest.test")),
        "latest with no such subject": lambda: absent(lambda: inbox.latest(subject="no such subject")),
        "expect one with this subject": lambda: inbox.expect(at_least=1, subject=newest.subject),
        "expect a text among the last 50": lambda: inbox.expect(at_least=1, text="a", after=last),
        "expect none from nobody": lambda: inbox.expect(0, sender="nobody@bench.test"),
        "expect one to an address": lambda: inbox.expect(at_least=1, to=newest.to_email),
        "delete one by query": lambda: inbox.delete(after=inbox.latest().id - 1),
    }.items():
        said(f"  {name}", [took(look) for _ in range(LOOKS)], MILLISECONDS)


def absent(look: Callable[[], object]) -> None:
    with contextlib.suppress(NoMessage):
        look()


def took(work: Callable[[], object]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def said(name: str, times: list[float], mark: float = 0.0) -> None:
    middle = statistics.median(times)
    verdict = f": {'within' if middle <= mark else 'BEYOND'} {mark:.0f} ms" if mark else ""
    print(f"{name:40} median {middle:8.1f} ms, worst {max(times):8.1f} ms{verdict}", flush=True)


if __name__ == "__main__":
    main()
