"""`python -m bench [--rounds N] [--quick] [--tls] [--only NAME]`, from the root of the checkout."""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path

from tests.peers.process import scratch

from . import bound, report, runs
from .mailferry import NotYet, mailferry
from .sink import Sink
from .yardstick import missing, yardstick

SIZES = (4096, 51200)
# So many messages that a run takes some seconds at the rate of each; half of them at 50 KiB.
SCALE = {"postfix": 2000, "mailferry smtp": 6000, "mailferry http": 10000}
QUICK = 0.15


def main() -> int:
    options = _options()
    # A queue that lies in memory would make every sync free; /var/tmp is on a disk by its definition (FHS 5.15).
    tempfile.tempdir = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
    with contextlib.ExitStack() as running:
        folder = running.enter_context(scratch("mf-bench"))
        sink = running.enter_context(Sink())
        cases = _start(options, sink, folder, running)
        if not cases:
            print("nothing could be started, so nothing was measured", file=sys.stderr)
            return 1
        print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}; queues in {folder}")
        return _measure(options, cases, sink)


def _start(options: argparse.Namespace, sink: Sink, folder: Path, running: contextlib.ExitStack) -> list[runs.Case]:
    cases: list[runs.Case] = []
    if options.only != "mailferry":
        if reason := missing():
            print(f"Without the yardstick: {reason}", file=sys.stderr)
        else:
            target = running.enter_context(yardstick(sink.port, folder, tls=options.tls))
            cases.append(runs.Case(target, "smtp", SCALE["postfix"]))
    if options.only != "postfix":
        try:
            target = running.enter_context(mailferry(sink.port, folder, tls=options.tls))
        except NotYet as error:
            print(f"Without Mailferry: {error}", file=sys.stderr)
        else:
            cases += [runs.Case(target, way, SCALE[f"mailferry {way}"]) for way in ("smtp", "http")]
    return cases


def _measure(options: argparse.Namespace, cases: list[runs.Case], sink: Sink) -> int:
    bounds = [bound.rsa_signatures()]
    book = runs.Book()
    messages = options.messages * (QUICK if options.quick else 1.0)
    for number, book in enumerate(runs.rounds(cases, SIZES, options.rounds, sink, messages=messages), 1):  # noqa: B007  # the last one is used below
        print(f"round {number} of {options.rounds} done", flush=True)
    bounds.append(bound.rsa_signatures())
    rsa = statistics.mean(bounds)
    print(f"\n{report.table(book.measured, cases, SIZES)}\n")
    print(f"RSA bound (openssl speed -multi {bound.PROCESSES} rsa2048, before and after): {rsa:,.0f} signatures/s")
    print(report.ratios(book.measured, cases, SIZES, rsa))
    print(f"\n{report.legend(dict.fromkeys(note for case in cases for note in case.target.notes))}")
    for complaint in book.complaints:
        print(f"WRONG: {complaint}", file=sys.stderr)
    return 1 if book.complaints else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that all of it works")
    parser.add_argument("--messages", type=float, default=1.0, help="factor on the number of messages of a run")
    parser.add_argument("--tls", action="store_true", help="STARTTLS and HTTPS on the way in")
    parser.add_argument("--only", choices=("postfix", "mailferry"), help="measure one side alone")
    options = parser.parse_args()
    if options.quick:
        options.rounds = 1
    return options


if __name__ == "__main__":
    sys.exit(main())
