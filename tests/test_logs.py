"""Logging harms nobody."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import structlog
from mailferry import logs
logs.configure("json", "info")
for number in range(3):
    structlog.get_logger("test").info("accepted", number=number)
print("it went on")
"""


def test_a_full_disk_below_standard_error_stops_nobody_who_logs() -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=full, text=True)
    assert ended.stdout == "it went on\n"


def test_a_line_reaches_standard_error() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert [line.count('"event": "accepted"') for line in ended.stderr.splitlines()] == [1, 1, 1]
