"""`python -m bench.sandbox [--rounds N] [--messages N] [--held N] [--database URL]`: the sandbox beside maildev, in turns.

Printed are, for each size, how many messages a second each takes by SMTP (the medians over the rounds), and their ratio;
the mark is five times as many. Mailferry syncs before it says yes; maildev writes files and syncs nothing. Then an inbox
is filled, and a list, searches and an open message are timed; the mark is 50 ms each.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.peers.npm import MAILDEV, CannotInstall
from tests.peers.process import Process, free_port, greets, scratch

from . import load
from .mailferry import mailferry
from .ses import processor_seconds
from .target import Target

TIMES, MILLISECONDS = 5, 50
SIZES = (4096, 51200)
SESSIONS = 64
LOOKS = 20
#: Seconds between two requests: 150 in ten seconds is what a token may ask ([limits] api_rate).
PAUSE = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sandbox", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default 3)")
    parser.add_argument("--messages", type=int, default=4_000, help="messages of one load (default 4,000)")
    parser.add_argument(
        "--held", type=int, default=100_000, help="messages that the inbox is filled with (default 100,000)"
    )
    parser.add_argument("--database", default="", help="a PostgreSQL URL (default: the embedded SQLite)")
    options = parser.parse_args()
    # A database that lies in memory would make every sync free; /var/tmp is on a disk by its definition (FHS 5.15).
    tempfile.tempdir = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
    with scratch("mf-bench-sandbox") as folder, contextlib.ExitStack() as running:
        target = running.enter_context(mailferry(free_port(), folder, tls=False, database=options.database))
        box = Box(target, folder / "data")
        box.hold(options.held)
        peer = running.enter_context(maildev(folder)) if _installed() else None
        for size in SIZES:
            compare(box, peer, size, options)
        if options.held:
            box.fill(options.held)
            look(box, options.held)


def _installed() -> bool:
    try:
        if MAILDEV.missing():
            MAILDEV.install()
    except CannotInstall as error:
        print(f"Without maildev: {error}", file=sys.stderr)
    return not MAILDEV.missing()


class Box:
    """Mailferry's inbox."""

    def __init__(self, target: Target, folder: Path) -> None:
        self._target = target
        self._made = made = json.loads((folder / "first-run.json").read_text())["sandbox"]
        self._server = int((folder / "lock").read_text())
        self.path = f"/api/accounts/1/inboxes/{made['inbox_id']}"

    def ask(self, path: str = "", method: str = "GET", body: Any = None) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self._target.http_port}{self.path}{path}", method=method)
        request.add_header("Api-Token", self._target.token)
        with urllib.request.urlopen(request, json.dumps(body).encode() if body else None) as answer:
            found = answer.read()
        return json.loads(found) if answer.headers["content-type"].startswith("application/json") else found

    def hold(self, most: int) -> None:
        self.ask(method="PATCH", body={"inbox": {"max_size": max(most, 1)}})

    def take(self, size: int, count: int, run: str) -> Cost:
        login = self._made["username"], self._made["password"]
        return take(self._server, self._target.smtp_port, size, count, run, *login)

    def fill(self, most: int) -> None:
        while (held := self.ask()["emails_count"]) < most:
            self.take(1024, min(most - held, 20_000), f"fill{held}")


@dataclass(frozen=True, slots=True)
class Cost:
    """Messages a second, and microseconds of the server's processors a message."""

    rate: float
    cpu_us: float


def compare(box: Box, peer: Peer | None, size: int, options: argparse.Namespace) -> None:
    """In pairs, so that what else the machine does falls on both."""
    box.take(size, 200, f"warm{size}")
    ours, theirs = [], []
    for number in range(options.rounds):
        ours.append(box.take(size, options.messages, f"r{number}-{size}"))
        if peer:
            theirs.append(peer.take(size, options.messages // 4, f"r{number}-{size}"))
    print(f"{size / 1024:3.0f} KiB: Mailferry {_said(ours)}", flush=True)
    if theirs:
        faster = statistics.median(own.rate / other.rate for own, other in zip(ours, theirs, strict=True))
        cheaper = statistics.median(other.cpu_us / own.cpu_us for own, other in zip(ours, theirs, strict=True))
        verdict = "within" if faster >= TIMES else "BELOW"
        print(f"         maildev   {_said(theirs)}")
        print(f"         x {faster:.1f} as fast, {verdict} the mark of x {TIMES}; x {cheaper:.1f} as cheap", flush=True)


def _said(costs: Sequence[Cost]) -> str:
    rate, cpu = statistics.median(each.rate for each in costs), statistics.median(each.cpu_us for each in costs)
    return f"{rate:7,.0f} messages a second, {cpu:6,.0f} us of processor a message"


def look(box: Box, held: int) -> None:
    """The oldest message is what a search for it finds last."""
    oldest = box.ask(f"/messages?page={-(-held // 30)}")[-1]
    found = urllib.parse.quote(oldest["subject"])
    looks = {
        "list": "/messages",
        "list, last page": f"/messages?page={-(-held // 30)}",
        "list behind the middle": f"/messages?last_id={oldest['id'] + held // 2}",
        "search, found at the end": f"/messages?search={found}",
        "search, found nowhere": "/messages?search=nobody%20wrote%20this",
        "open": f"/messages/{oldest['id']}",
        "open, its text": f"/messages/{oldest['id']}/body.txt",
        "open, as it came": f"/messages/{oldest['id']}/body.raw",
    }
    print(f"{box.ask()['emails_count']:,} messages in the inbox; median and worst of {LOOKS} requests:")
    for name, path in looks.items():
        times = sorted(took(box, path) for _ in range(LOOKS))
        middle = statistics.median(times)
        verdict = "within" if middle <= MILLISECONDS else "BEYOND"
        print(f"  {name:26} {middle:6.1f} ms, {times[-1]:6.1f} ms: {verdict} {MILLISECONDS} ms", flush=True)


def took(box: Box, path: str) -> float:
    """Milliseconds, the connection among them."""
    time.sleep(PAUSE)
    started = time.perf_counter()
    box.ask(path)
    return (time.perf_counter() - started) * 1000


def take(server: int, port: int, size: int, count: int, run: str, username: str = "", password: str = "") -> Cost:
    """``server``: the process, whose children count as well."""
    before = processor_seconds(server)
    order = load.Order("smtp", port, "sender@bench.test", "dest.test", count, size, SESSIONS, run, username, password)
    result = load.start(order)
    assert result.accepted == count, result.refusals
    return Cost(result.rate, (processor_seconds(server) - before) * 1e6 / count)


@dataclass(frozen=True, slots=True)
class Peer:
    server: int
    port: int

    def take(self, size: int, count: int, run: str) -> Cost:
        return take(self.server, self.port, size, count, run)


@contextlib.contextmanager
def maildev(folder: Path) -> Iterator[Peer]:
    smtp, web = free_port(), free_port()
    program = MAILDEV.folder / "node_modules" / "maildev" / "dist" / "bin" / "maildev.js"
    listen = ["--smtp", str(smtp), "--ip", "127.0.0.1", "--web", str(web), "--web-ip", "127.0.0.1"]
    command = ["node", str(program), *listen, "--mail-directory", str(folder / "maildev"), "--silent"]
    (folder / "maildev").mkdir()
    server = Process(command, folder / "maildev.log", environment=os.environ)
    try:
        server.wait_until(lambda: greets(smtp), "maildev")
        yield Peer(server.pid, smtp)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
