"""`python -m bench.suppressions [--rows N] [--postgres]`: a long list is imported while a server runs, and sending stays as fast.

Printed are rows a second and the peak memory of the command and of the server, then the accept rate of `/api/send` with
the short and with the long list, and the look-up that every message costs, over both lists in turns.
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
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tests.peers.parts import CHECKOUT
from tests.peers.postgres import Cluster
from tests.peers.process import scratch

from mailferry.resources import suppressions
from mailferry.resources.suppressions import Target as Recipient
from mailferry.store.database import Database, open_database
from mailferry.store.migrations import migrate

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
NOW = 1_800_000_000_000
ARRIVAL_LIMIT = 120.0  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.suppressions", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="lines of the long list (default 1,000,000)")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL instead of the embedded SQLite")
    options = parser.parse_args()
    # A database that lies in memory would make every sync free; /var/tmp is on a disk by its definition (FHS 5.15).
    tempfile.tempdir = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
    with contextlib.ExitStack() as running:
        folder = running.enter_context(scratch("mf-bench"))
        sink = running.enter_context(Sink())
        urls = ("", "")
        if options.postgres:
            cluster = running.enter_context(Cluster())
            urls = (cluster.create_database(), cluster.create_database())
        with mailferry(sink.port, folder, tls=False, database=urls[1]) as target:
            measure(target, sink, folder, options.rows)
        few, many = asyncio.run(look_up(folder, urls))
        print(
            f"look-up of {LOOKED_UP} recipients (median of {ROUNDS}): {few:.2f} ms with {FEW:,}, {many:.2f} ms with "
            f"{options.rows:,}: x {many / few:.2f}"
        )


def measure(target: Target, sink: Sink, folder: Path, rows: int) -> None:
    server = int((folder / "data" / "lock").read_text())
    take_over(folder, FEW, 0)
    accept(target, sink, "warm")
    before = accept_rate(target, sink, "few")
    memory = resident(server)
    seconds, command_peak = take_over(folder, rows - FEW, FEW)
    print(f"import of {rows - FEW:,} lines: {(rows - FEW) / seconds:,.0f} a second, {seconds:.0f} s")
    print(f"peak memory: command {command_peak:.0f} MB; server {resident(server):.0f} MB, {memory:.0f} MB before")
    after = accept_rate(target, sink, "many")
    print(
        f"accepted by /api/send (median of {RUNS}): {before:,.0f} a second with {FEW:,} suppressions, {after:,.0f} with "
        f"{rows:,}: x {after / before:.2f}"
    )


def take_over(folder: Path, rows: int, first: int) -> tuple[float, float]:
    """Imports so many new addresses by the command line; seconds, and its peak memory in MB."""
    file = folder / f"list-{first}.csv"
    with file.open("w") as list_:
        list_.write("status,reason,email,created\n")
        list_.writelines(lines(rows, first))
    where = ["--data", str(folder / "data"), "--config", str(folder / "mailferry.toml")]
    command = [sys.executable, "-m", "mailferry", "suppressions", "import", str(file), *where]
    started = time.monotonic()
    child = subprocess.Popen(command, cwd=CHECKOUT)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, "the import failed"
    file.unlink()
    return time.monotonic() - started, usage.ru_maxrss / 1024


def lines(rows: int, first: int) -> Iterator[str]:
    random = Random(first)
    for number in range(first, first + rows):
        created = 1_700_000_000 + random.randrange(50_000_000)
        domain = random.randrange(5000)
        yield f'5.1.1,"550 5.1.1 No such user, sorry",{random.getrandbits(40):x}.{number}@host{domain}.test,{created}\n'


def resident(pid: int) -> float:
    """Peak, in MB (proc(5): VmHWM)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def accept_rate(target: Target, sink: Sink, run: str) -> float:
    return statistics.median(accept(target, sink, f"{run}{number}") for number in range(RUNS))


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


async def look_up(folder: Path, urls: tuple[str, str] = ("", "")) -> tuple[float, float]:
    """Milliseconds with the short and with the long list."""
    short = folder / "short"
    short.mkdir()
    databases = [open_database(urls[0], short, 1), open_database(urls[1], folder / "data", 1)]
    await databases[0].write(migrate)
    entries = [suppressions.entry(1, f"r{number}@host.test", NOW) for number in range(FEW)]
    await databases[0].write(lambda connection: suppressions.add(connection, entries))
    times: list[list[float]] = [[], []]
    for number in range(ROUNDS):
        for database, found in zip(databases, times, strict=True):
            found.append(await looked_up(database, number))
    for database in databases:
        await database.close()
    return statistics.median(times[0]), statistics.median(times[1])


async def looked_up(database: Database, number: int) -> float:
    recipients = [Recipient(1, f"{number}.{n}@host{n}.test", 1, "transactional") for n in range(LOOKED_UP)]
    started = time.perf_counter()
    found = await database.read(lambda connection: suppressions.matching(connection, recipients))
    assert not found
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main()
