"""`python -m bench.ses [--rounds N] [--messages N]`: SES v2's SendEmail beside `/api/send` of the same server, in turns.

Printed are, for each size, the medians over the rounds of both ways' accepted messages a second and of the processor time
that the server's processes spent on a message until it was delivered, and the medians of the rounds' own ratios. The mark
is that a message by SES costs at most 1.5 times as much.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.peers.process import scratch

from . import load
from .mailferry import mailferry
from .sink import Sink
from .target import Target

MARK = 1.5
SIZES = (4096, 51200)
SESSIONS = 64
ARRIVAL_LIMIT = 120.0  # seconds
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one load: accepted messages a second, and microseconds of the server's processors a message."""

    rate: float
    cpu_us: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.ses", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each way is measured (default 5)")
    parser.add_argument("--messages", type=int, default=2_000, help="messages of one load (default 2,000)")
    options = parser.parse_args()
    # A database that lies in memory would make every sync free; /var/tmp is on a disk by its definition (FHS 5.15).
    tempfile.tempdir = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
    with scratch("mf-bench-ses") as folder, Sink() as sink, mailferry(sink.port, folder, tls=False) as target:
        server = int((folder / "data" / "lock").read_text())
        for size in SIZES:
            measure(target, sink, server, size, 200, "warm")
            pairs = [measure(target, sink, server, size, options.messages, f"r{n}") for n in range(options.rounds)]
            report(size, pairs)


def report(size: int, pairs: list[tuple[Cost, Cost]]) -> None:
    for name, costs in zip(("/api/send", "SES v2"), zip(*pairs, strict=True), strict=True):
        rate, cpu = (statistics.median(each) for each in zip(*((c.rate, c.cpu_us) for c in costs), strict=True))
        print(f"{size:>6} octets, {name:<9}: {rate:7,.0f} accepted a second, {cpu:6,.0f} us of processor a message")
    slower = statistics.median(mailtrap.rate / ses.rate for mailtrap, ses in pairs)
    dearer = statistics.median(ses.cpu_us / mailtrap.cpu_us for mailtrap, ses in pairs)
    verdict = "within" if max(slower, dearer) <= MARK else "BEYOND"
    print(
        f"{size:>6} octets, SES costs x {slower:.2f} in time, x {dearer:.2f} in processor: {verdict} the mark of x {MARK}"
    )


def measure(target: Target, sink: Sink, server: int, size: int, count: int, run: str) -> tuple[Cost, Cost]:
    """One round: both ways one after the other, so that what else the machine does falls on both."""
    key_id, secret = target.access_key
    ways = ({"way": "http", "token": target.token}, {"way": "ses", "username": key_id, "password": secret})
    mailtrap, ses = (one(target, sink, server, size, count, f"{run}{way['way']}", way) for way in ways)
    return mailtrap, ses


def one(target: Target, sink: Sink, server: int, size: int, count: int, run: str, way: dict[str, str]) -> Cost:
    """Returns when all of its messages are delivered."""
    sink.reset()
    before = processor_seconds(server)
    order = {"sender": target.sender, "destination": target.destination, "size": size, "sessions": SESSIONS}
    result = load.start(load.Order(port=target.http_port, count=count, run=run, **order, **way))  # type: ignore[arg-type]
    assert result.accepted == count, result.refusals
    deadline = time.monotonic() + ARRIVAL_LIMIT
    while sink.count()["count"] < count:
        assert time.monotonic() < deadline, "not all that was accepted arrived"
        time.sleep(0.05)
    return Cost(result.rate, (processor_seconds(server) - before) * 1e6 / count)


def processor_seconds(pid: int) -> float:
    """Of a process and its children that run (proc(5): utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    children = [
        child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return (int(fields[11]) + int(fields[12])) / TICKS + sum(processor_seconds(int(child)) for child in children)


if __name__ == "__main__":
    main()
