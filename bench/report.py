"""Prints what was measured: medians, the spread, ratios to the yardstick, and what each figure includes."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence

from .runs import Case, Measured

LEGEND = (
    "accept: messages a second from the first MAIL (or POST) to the last 250 (or 200), greetings, TLS and AUTH done "
    "before; delivery goes on meanwhile.",
    "end to end: from the same start until the last message reached the sink, signed.",
    "p50, p99: milliseconds from MAIL (or POST) to the answer, at full load. [lowest-highest] over the rounds.",
    "load, sink: CPU microseconds a message of the load program and of the sink, which share the machine.",
)


def table(measured: Sequence[Measured], cases: Sequence[Case], sizes: Sequence[int]) -> str:
    """The medians, one line a case and size."""
    lines = [f"{'':34}{'accept/s':>20}{'end to end/s':>22}{'p50':>8}{'p99':>8}{'load':>7}{'sink':>7}"]
    for size in sizes:
        lines.append(f"{size / 1024:.0f} KiB")
        for case in cases:
            runs = [run for run in measured if run.case == case and run.size == size]
            if runs:
                lines.append(_line(case, runs))
    return "\n".join(lines)


def ratios(measured: Sequence[Measured], cases: Sequence[Case], sizes: Sequence[int], rsa: float) -> str:
    """Every other case against the first one with SMTP, the yardstick, and against the RSA bound."""
    lines = []
    yardstick = cases[0]
    for size in sizes:
        peer = [run for run in measured if run.case == yardstick and run.size == size]
        for case in cases:
            own = [run for run in measured if run.case == case and run.size == size]
            if not own:
                continue
            line = f"{size / 1024:3.0f} KiB  {case.name:32}"
            if peer and case != yardstick:
                accept = _median(own, lambda run: run.accept) / _median(peer, lambda run: run.accept)
                whole = _median(own, lambda run: run.end_to_end) / _median(peer, lambda run: run.end_to_end)
                line += f" accept {accept:5.2f} x, end to end {whole:5.2f} x {yardstick.name};"
            if rsa:
                line += f" end to end {_median(own, lambda run: run.end_to_end) / rsa:5.2f} of the RSA bound"
            lines.append(line)
    return "\n".join(lines)


def legend(notes: Iterable[str]) -> str:
    return "\n".join(f"- {note}" for note in (*LEGEND, *notes))


def _line(case: Case, runs: Sequence[Measured]) -> str:
    accept, whole = _spread(runs, lambda run: run.accept), _spread(runs, lambda run: run.end_to_end)
    figures = (
        _median(runs, lambda run: run.p50_ms),
        _median(runs, lambda run: run.p99_ms),
        _median(runs, lambda run: run.load_us),
        _median(runs, lambda run: run.sink_us),
    )
    return (
        f"  {case.name:32}{accept:>20}{whole:>22}{figures[0]:8.1f}{figures[1]:8.1f}{figures[2]:7.0f}{figures[3]:7.0f}"
    )


def _median(runs: Sequence[Measured], value: Callable[[Measured], float]) -> float:
    return statistics.median(map(value, runs))


def _spread(runs: Sequence[Measured], value: Callable[[Measured], float]) -> str:
    values = [*map(value, runs)]
    return f"{statistics.median(values):,.0f} [{min(values):,.0f}-{max(values):,.0f}]"
