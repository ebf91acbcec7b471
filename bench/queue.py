"""`python -m bench.queue [--rows N]`: what a claim costs while a great many recipients wait behind one blocked lane.

Measured is the whole claim as a worker makes it (look, lease, suppressions and gates checked again, commit with its
sync) of one lane's rows, beside the same claim over an almost empty queue, in one run and in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from sqlalchemy import Connection, text

from mailferry.delivery.claim import Claimer, Room
from mailferry.resources import accounts, domains
from mailferry.store.database import Database, open_database
from mailferry.store.migrations import migrate
from mailferry.store.secrets import Sealer

ROUNDS = 40
FEW = 1_000
LIVE = 50
NOW = 1_800_000_000_000
#: How the many are blocked: a lane held by an outage; rows held by a decision; rows whose next try is hours away.
BLOCKS = {
    "destination out": ("'timeout'", NOW + 600_000, NOW - 1),
    "sender held": ("''", None, None),
    "retry later": ("''", NOW + 3_600_000, NOW + 3_600_000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="recipients behind the blocked lane")
    options = parser.parse_args()
    print(f"median of {ROUNDS} claims of {LIVE} recipients, SQLite, ms; {options.rows:,} rows wait beside {FEW:,}")
    for name in BLOCKS:
        few, many = asyncio.run(compare(name, options.rows))
        print(f"  {name:16} {few:7.2f} {many:7.2f}   x {many / few:.2f}")


async def compare(block: str, rows: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="mf-bench-", dir="/var/tmp") as folder:
        nodes = [await furnished(Path(folder) / str(number), block, number) for number in (FEW, rows)]
        times: list[list[float]] = [[], []]
        for number in range(ROUNDS):
            for database, found in zip(nodes, times, strict=True):
                found.append(await claim(database, number))
        for database in nodes:
            await database.close()
    return statistics.median(times[0]), statistics.median(times[1])


async def claim(database: Database, number: int) -> float:
    await database.write(lambda connection: add(connection, 2, f"live{number}", LIVE, "''", NOW, NOW))
    claimer = Claimer(lambda: NOW, boot=1, hourly=10**9)
    started = time.perf_counter()
    jobs = await database.submit(claimer, Room(1000))
    taken = (time.perf_counter() - started) * 1000
    assert len(jobs) == LIVE, len(jobs)
    return taken


async def furnished(folder: Path, block: str, rows: int) -> Database:
    await asyncio.to_thread(folder.mkdir)
    database = open_database("", folder, 2)
    await database.write(migrate)
    await database.write(furnish)
    await database.write(lambda connection: add(connection, 1, "blocked", rows, *BLOCKS[block]))
    return database


def furnish(connection: Connection) -> None:
    account = accounts.create_account(connection, "bench", NOW)
    domain, _ = domains.add(connection, Sealer(bytes(32)), account, "sender.test", (), NOW)
    domains.set_verified(connection, domain, True, set(), NOW)
    domains.set_state(connection, domain.id, domains.COMPLIANT)


def add(connection: Connection, lane: int, name: str, rows: int, hold: str, wake: int | None, due: int | None) -> None:
    """So many recipients of one message each, in one lane."""
    values = {"lane": lane, "name": name, "rows": rows, "wake": wake, "due": due, "now": NOW}
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)"
    identity = "'00000000-' || :name || '-' || printf('%08d', i)"
    for statement in (
        "INSERT INTO lanes (id, domain_id, stream, destination, next_due, hold_reason)"
        f" VALUES (:lane, 1, 'bulk', :name || '.test', :wake, {hold})"
        " ON CONFLICT (id) DO UPDATE SET next_due = excluded.next_due",
        f"{numbers} INSERT INTO messages (id, account_id, domain_id, stream, created_at)"
        f" SELECT {identity}, 1, 1, 'bulk', :now FROM n",
        f"{numbers} INSERT INTO recipients (id, message_id, account_id, address, state)"
        f" SELECT {identity}, {identity}, 1, 'a' || i || '@' || :name || '.test', 'queued' FROM n",
        f"{numbers} INSERT INTO queue (recipient_id, lane_id, due, expires_at)"
        f" SELECT {identity}, :lane, :due, :now + 100000000 FROM n",
    ):
        connection.execute(text(statement), {key: values[key] for key in values if f":{key}" in statement})


if __name__ == "__main__":
    main()
