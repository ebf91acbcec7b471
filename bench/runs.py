"""Carries out the rounds: the same load against each target in turn, the order turned by one each round."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.peers import parts
from tests.peers.opendkim import verify_with_opendkim

from . import load
from .sink import Sink
from .target import Target

ARRIVAL_LIMIT = 300.0  # seconds for the last message to reach the sink
LOOK_STEP = 0.02  # seconds between looks at the sink; when a message came is noted by the sink itself
IDLE_SHARE = 0.9
IDLE_PATIENCE = 10.0  # seconds to wait for an idle machine, after which the run starts anyhow
SESSIONS = {"smtp": 20, "http": 64}


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table: a target, a way in, and how many messages make a run long enough."""

    target: Target
    way: str
    scale: int

    @property
    def name(self) -> str:
        return f"{self.target.name}, {'SMTP' if self.way == 'smtp' else 'HTTP API'}"


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: rates in messages a second, latencies in milliseconds, CPU in microseconds a message."""

    case: Case
    size: int
    accept: float
    end_to_end: float
    p50_ms: float
    p99_ms: float
    load_us: float
    sink_us: float


@dataclass(slots=True)
class Book:
    """All runs, and every sentence about something that went wrong in one."""

    measured: list[Measured] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def rounds(cases: Sequence[Case], sizes: Sequence[int], count: int, sink: Sink, *, messages: float) -> Iterator[Book]:
    """Yields the book after each round. `messages` scales the number of messages a run."""
    book = Book()
    for case in cases:
        # Processes are forked and connections opened before the first run that counts.
        _run(case, sizes[0], 200, sink, Book(), "warm")
    for number in range(count):
        turned = [*cases[number % len(cases) :], *cases[: number % len(cases)]]
        for size in sizes:
            for case in turned:
                amount = max(int(case.scale * messages / (1 if size < 20_000 else 2)), 50)
                _run(case, size, amount, sink, book, f"r{number}s{size}")
        yield book


def _run(case: Case, size: int, amount: int, sink: Sink, book: Book, run: str) -> None:
    _wait_for_idle()
    before = sink.reset()
    result = load.start(_order(case, size, amount, run))
    arrived = _wait_for_arrival(sink, result.accepted)
    complaints = [f"{refusal}" for refusal in result.refusals]
    if result.accepted < amount:
        complaints.append(f"{amount - result.accepted} of {amount} messages were not accepted")
    if arrived["count"] != result.accepted:
        complaints.append(f"{result.accepted} messages were accepted, {arrived['count']} reached the sink")
    if arrived["signed"] != arrived["count"]:
        complaints.append(f"only {arrived['signed']} of {arrived['count']} messages were signed")
    elif not _is_well_signed(case.target, sink):
        complaints.append("the signature of the first message does not verify")
    book.complaints += [f"{case.name}, {size} octets, {run}: {complaint}" for complaint in complaints]
    if not result.accepted or not arrived["count"]:
        return
    seconds = (arrived["last_ns"] - result.started_ns) / 1e9
    book.measured.append(
        Measured(
            case=case,
            size=size,
            accept=result.rate,
            end_to_end=arrived["count"] / seconds,
            p50_ms=result.p50_ms,
            p99_ms=result.p99_ms,
            load_us=result.cpu * 1e6 / result.accepted,
            sink_us=(arrived["cpu"] - before["cpu"]) * 1e6 / arrived["count"],
        )
    )


def _order(case: Case, size: int, amount: int, run: str) -> load.Order:
    target = case.target
    return load.Order(
        way=case.way,
        port=target.http_port if case.way == "http" else target.smtp_port,
        sender=target.sender,
        destination=target.destination,
        count=amount,
        size=size,
        sessions=SESSIONS[case.way],
        run=run,
        username=target.username,
        password=target.password,
        token=target.token,
        ca_file=target.ca_file,
    )


def _wait_for_arrival(sink: Sink, wanted: int) -> dict[str, float]:
    deadline = time.monotonic() + ARRIVAL_LIMIT
    while (counted := sink.count())["count"] < wanted and time.monotonic() < deadline:
        time.sleep(LOOK_STEP)
    return counted


def _is_well_signed(target: Target, sink: Sink) -> bool:
    """One message a run is judged by a third party, so that no figure rests on signatures that are worth nothing."""
    if not target.keys or parts.missing(parts.OPENDKIM):
        return True
    return verify_with_opendkim(sink.sample(), target.keys)


def _wait_for_idle() -> None:
    deadline = time.monotonic() + IDLE_PATIENCE
    while time.monotonic() < deadline:
        idle, total = _ticks()
        time.sleep(0.3)
        idle_now, total_now = _ticks()
        if idle_now - idle >= IDLE_SHARE * (total_now - total):
            return


def _ticks() -> tuple[int, int]:
    """Idle and all clock ticks of this machine so far (proc(5))."""
    fields = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)
