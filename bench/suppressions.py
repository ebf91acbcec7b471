"""`python -m bench.suppressions [--rows N] [--postgres]`: a long list is imported while a server runs, and sending stays as fast.

Printed are lines a second and the peak memory of the command and of the server, then, over a server with a short list and
one with the long list in turns, the accept rate of `/api/send` and the look-up that every message costs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from tests.peers.parts import CHECKOUT
from tests.peers.postgres import Cluster
from tests.peers.process import scratch

from mailferry.resources import suppressions
from mailferry.resources.suppressions import Target as Recipient
from mailferry.store.database import Database, open_database

from . import load
from .mailferry import mailferry
from .sink import Sink
from .target import Target

FEW = 1_000
RUNS = 5
MESSAGES = 2_000
SESSIONS = 64
ROUNDS = 300
LOOKED_UP = 50  # recipients of one group
ARRIVAL_LIMIT = 120.0  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.suppressions", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="lines of the long list (default 1,000,000)")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL instead of the embedded SQLite")
    options = parser.parse_args()
    # A database that lies in memory would make every sync free; /var/tmp is on a disk by its definition (FHS 5.15).
    tempfile.tempdir = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
    with contextlib.ExitStack() as running:
        short, long = (running.enter_context(scratch(f"mf-bench-{name}")) for name in ("short", "long"))
        cluster = running.enter_context(Cluster()) if options.postgres else None
        urls = [cluster.create_database() if cluster else "" for _ in (short, long)]
        with Sink() as sink, contextlib.ExitStack() as servers:
            # Side by side and measured in turns: what else the machine does then falls on both.
            targets = [
                servers.enter_context(mailferry(sink.port, folder, tls=False, database=url))
                for folder, url in zip((short, long), urls, strict=True)
            ]
            take_over(short, FEW)
            take_over_long(long, options.rows)
            few, many = accept_rates(targets, sink)
        print(
            f"accepted by /api/send (median of {RUNS}): {few:,.0f} a second with {FEW:,} suppressions, {many:,.0f} with "
            f"{options.rows:,}: x {many / few:.2f}"
        )
        few, many = asyncio.run(look_up([short, long], urls))
        print(
            f"look-up of {LOOKED_UP} recipients (median of {ROUNDS}): {few:.2f} ms with {FEW:,}, {many:.2f} ms with "
            f"{options.rows:,}: x {many / few:.2f}"
        )


def take_over_long(folder: Path, rows: int) -> None:
    server = int((folder / "data" / "lock").read_text())
    memory = resident(server)
    seconds, command_peak = take_over(folder, rows)
    print(f"import of {rows:,} lines in no order: {rows / seconds:,.0f} a second, {seconds:.0f} s")
    print(f"peak memory: command {command_peak:.0f} MB; server {resident(server):.0f} MB, {memory:.0f} MB before")


def take_over(folder: Path, rows: int) -> tuple[float, float]:
    """Imports so many new addresses by the command line; seconds, and its peak memory in MB."""
    file = folder / "list.csv"
    with file.open("w") as list_:
        list_.write("status,reason,email,created\n")
        list_.writelines(lines(rows))
    where = ["--data", str(folder / "data"), "--config", str(folder / "mailferry.toml")]
    command = [sys.executable, "-m", "mailferry", "suppressions", "import", str(file), *where]
    started = time.monotonic()
    child = subprocess.Popen(command, cwd=CHECKOUT)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, "the import failed"
    file.unlink()
    return time.monotonic() - started, usage.ru_maxrss / 1024


def lines(rows: int) -> Iterator[str]:
    random = Random(rows)
    for number in range(rows):
        created = 1_700_000_000 + random.randrange(50_000_000)
        domain = random.randrange(5000)
        yield f'5.1.1,"550 5.1.1 No such user, sorry",{random.getrandbits(40):x}.{number}@host{domain}.test,{created}\n'


def resident(pid: int) -> float:
    """Peak, in MB (proc(5): VmHWM)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def accept_rates(targets: Sequence[Target], sink: Sink) -> list[float]:
    for target in targets:
        accept(target, sink, "warm")
    rates = [[accept(target, sink, f"run{number}") for target in targets] for number in range(RUNS)]
    return [statistics.median(of_one) for of_one in zip(*rates, strict=True)]


def accept(target: Target, sink: Sink, run: str) -> float:
    """Messages a second of one load; returns when all of them are delivered."""
    sink.reset()
    result = load.start(
        load.Order(
            way="http",
            port=target.http_port,
            sender=target.sender,
            destination=target.destination,
            count=MESSAGES,
            size=4096,
            sessions=SESSIONS,
            run=run,
            token=target.token,
        )
    )
    assert result.accepted == MESSAGES, result.refusals
    deadline = time.monotonic() + ARRIVAL_LIMIT
    while sink.count()["count"] < MESSAGES:
        assert time.monotonic() < deadline, "not all that was accepted arrived"
        time.sleep(0.05)
    return result.rate


async def look_up(folders: Sequence[Path], urls: Sequence[str]) -> list[float]:
    """Milliseconds with each list; no server runs any more."""
    databases = [open_database(url, folder / "data", 1) for folder, url in zip(folders, urls, strict=True)]
    times = [[await looked_up(database, number) for database in databases] for number in range(ROUNDS)]
    for database in databases:
        await database.close()
    return [statistics.median(of_one) for of_one in zip(*times, strict=True)]


async def looked_up(database: Database, number: int) -> float:
    recipients = [Recipient(1, f"{number}.{n}@host{n}.test", 1, "transactional") for n in range(LOOKED_UP)]
    started = time.perf_counter()
    found = await database.read(lambda connection: suppressions.matching(connection, recipients))
    assert not found
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main()
