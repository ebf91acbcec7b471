"""A client of SpamAssassin's spamd (its protocol: spamd/PROTOCOL in SpamAssassin's sources, version 1.5)."""

import asyncio
import contextlib
import re

from mailferry.net.dns import Resolver
from mailferry.net.guard import Guard
from mailferry.net.reach import reachable
from mailferry.sandbox.checks.spam.verdict import (
    DATA_ERROR,
    PROTOCOL,
    TEMPORARY,
    UNAVAILABLE,
    Symbol,
    Verdict,
    failed,
)

ENGINE = "SpamAssassin"
SECONDS = 20.0
"""For one message, with its network tests; spamc waits ten minutes, for which nobody sits in front of a page."""
LARGEST = 500 * 1024
"""Octets of a message, as spamc has it: spam is small, and the rules take seconds for more."""
_LONGEST_ANSWER = 256 * 1024

_FIRST_LINE = re.compile(rb"SPAMD/(\d{1,2}\.\d{1,2}) (\d{1,3}) ([A-Z_]{1,40})[^\r\n]*\r\n")
_NUMBER = rb"(-?\d{1,9}(?:\.\d{1,9})?)"
_SPAM = re.compile(rb"\r\nSpam: *(True|False|Yes|No) *; *" + _NUMBER + rb" */ *" + _NUMBER, re.IGNORECASE)
# The table of the report: three columns, of which the last may go on in lines that are indented as far.
_TABLE = re.compile(r"^ *-{3,} -{5,} -{5,}[ \r]*$", re.MULTILINE)
_ROW = re.compile(r" {0,4}(-?\d{1,9}(?:\.\d{1,9})?) +([A-Z][A-Z0-9_]*) +(.*)")
_MORE = re.compile(r" {20,}(\S.*)")


class Spamd:
    """`host` is a name or an address. What goes wrong is a verdict that says so."""

    def __init__(self, host: str, port: int, *, resolver: Resolver, guard: Guard, seconds: float = SECONDS) -> None:
        self._host, self._port = host, port
        self._resolver = resolver
        self._guard = guard
        self._seconds = seconds

    async def judge(self, raw: bytes) -> Verdict:
        if len(raw) > LARGEST:
            return failed(ENGINE, DATA_ERROR, f"the message is larger than {LARGEST} octets, and is not looked at")
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._ask(raw)
        except _NotConnected as error:
            return failed(ENGINE, UNAVAILABLE, str(error))
        except TimeoutError:
            return failed(ENGINE, TEMPORARY, f"{self._name} did not answer within {self._seconds:g} s")
        except OSError as error:
            return failed(ENGINE, UNAVAILABLE, f"the connection to {self._name} broke: {error.strerror or error}")
        return read(answer, self._name)

    @property
    def _name(self) -> str:
        return f"spamd at {self._host}:{self._port}"

    async def _ask(self, raw: bytes) -> bytes:
        reader, writer = await self._connect()
        try:
            writer.write(b"REPORT SPAMC/1.5\r\nContent-length: %d\r\n\r\n" % len(raw))
            writer.write(raw)
            with contextlib.suppress(ConnectionError):  # it may have answered already, and hung up
                await writer.drain()
                writer.write_eof()  # spamd waits for it where a message is empty
            answer = bytearray()
            while len(answer) < _LONGEST_ANSWER and (piece := await reader.read(64 * 1024)):
                answer += piece
            return bytes(answer)
        finally:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        addresses, problem = await reachable(self._resolver, self._guard, self._host, self._port)
        for ip in addresses:
            try:
                return await asyncio.open_connection(ip, self._port)
            except OSError as error:
                problem = f"{self._name} takes no connection: {error.strerror or error}"
        raise _NotConnected(problem)


class _NotConnected(Exception):
    pass


def read(answer: bytes, name: str) -> Verdict:
    """The verdict of an answer to REPORT. `name` is said where it is none."""
    first = _FIRST_LINE.match(answer)
    head, blank, text = answer.partition(b"\r\n\r\n")
    if first is None or (first[2] == b"0" and not blank):
        return failed(ENGINE, PROTOCOL, f"{name} does not answer as spamd does")
    if first[2] != b"0":
        return failed(ENGINE, PROTOCOL, f"{name} says {int(first[2])} {first[3].decode()}")
    spam = _SPAM.search(head)
    if spam is None:
        return failed(ENGINE, PROTOCOL, f"{name} gives no score")
    return Verdict(
        engine=ENGINE,
        version=first[1].decode(),
        score=float(spam[2]),
        threshold=float(spam[3]),
        is_spam=spam[1].lower() in (b"true", b"yes"),
        symbols=_symbols(text.decode("utf-8", "replace")),
    )


def _symbols(report: str) -> tuple[Symbol, ...]:
    # What stands before the table is a preview of the message, which its sender writes; there lines are indented.
    tables = list(_TABLE.finditer(report))
    found: list[Symbol] = []
    for line in report[tables[-1].end() :].splitlines() if tables else ():
        if row := _ROW.match(line):
            found.append(Symbol(float(row[1]), row[2], row[3].strip()))
        elif found and (more := _MORE.match(line)):
            last = found.pop()
            found.append(Symbol(last.points, last.name, f"{last.description} {more[1].strip()}"))
        elif found and not line.strip():
            break
    return tuple(found)
