"""`python -m bench.templates [--rounds N]`: the same mail sent by template and as it would be rendered, in turns.

The mail is the order confirmation of bench.handlebars (4 KiB of HTML, forty tags). Printed are the accept rates of
`/api/send`, one message a request, and the ratio; deliveries are awaited between two runs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

from tests.peers.process import scratch

from mailferry.mail import handlebars

from . import load
from .handlebars import TEMPLATE, data, padded
from .mailferry import mailferry
from .sink import Sink
from .target import Target

MESSAGES = 2_000
SESSIONS = 64
ARRIVAL_LIMIT = 120.0  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.templates", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    rounds = parser.parse_args().rounds
    # A database that lies in memory would make every sync free; /var/tmp is on a disk by its definition (FHS 5.15).
    tempfile.tempdir = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
    with contextlib.ExitStack() as running:
        folder = running.enter_context(scratch("mf-bench"))
        sink = running.enter_context(Sink())
        target = running.enter_context(mailferry(sink.port, folder, tls=False))
        ways = _ways(_make(target))
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for name, members in ways.items():
            accept_rate(target, sink, f"warm-{name}", members)
        for number in range(rounds):
            for name, members in ways.items():
                rates[name].append(accept_rate(target, sink, f"{name}{number}", members))
        middle = {name: statistics.median(found) for name, found in rates.items()}
        for name, rate in middle.items():
            print(f"accepted {name}: {rate:,.0f} a second (median of {rounds}, {min(rates[name]):,.0f} at least)")
        print(f"by template / rendered by the client: x {middle['by template'] / middle['rendered']:.2f}")


def _make(target: Target) -> str:
    """Keeps the template; its UUID."""
    given = {
        "name": "Order",
        "category": "orders",
        "subject": "Order {{{order.number}}}",
        "body_html": padded(TEMPLATE),
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{target.http_port}/api/email_templates",
        json.dumps({"email_template": given}).encode(),
        {"Authorization": f"Bearer {target.token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return str(json.load(answer)["uuid"])


def _ways(uuid: str) -> Mapping[str, str]:
    """What is sent, as JSON members; the messages that come of it are equal."""
    values = data()
    rendered = {"subject": "Order 2026-1124", "category": "orders"}
    rendered |= {"html": handlebars.compile(padded(TEMPLATE)).render(values)}
    return {
        "by template": _members({"template_uuid": uuid, "template_variables": values}),
        "rendered": _members(rendered),
    }


def _members(given: Mapping[str, Any]) -> str:
    return json.dumps(given)[1:-1]


def accept_rate(target: Target, sink: Sink, run: str, members: str) -> float:
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
            members=members,
        )
    )
    assert result.accepted == MESSAGES, result.refusals
    deadline = time.monotonic() + ARRIVAL_LIMIT
    while sink.count()["count"] < MESSAGES:
        assert time.monotonic() < deadline, "not all that was accepted arrived"
        time.sleep(0.05)
    return result.rate


if __name__ == "__main__":
    main()
