"""A trace of writes and syncs shows that every yes followed both syncs; replayed without what was not synced, it holds all."""

import asyncio
import os
import random
import re
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import or_, select
from sqlalchemy.exc import DBAPIError

from mailferry.store.content import Place
from mailferry.store.engines import sqlite_engine
from mailferry.store.schema import messages, recipients
from mailferry.store.segments import SegmentContent
from tests.conftest import eventually
from tests.crash import trace
from tests.crash.replay import Disk
from tests.crash.sender import Sender
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.peers.fixtures import require
from tests.peers.parts import STRACE, home
from tests.server import Mailferry, add_domain

ENOUGH = 40
ZONE = {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}
#: The ids in an answer to /api/send (one a recipient), and in the reply to DATA (the message's).
YES = re.compile(rb'"message_ids": ?\[([^\]]+)\]|250 2\.0\.0 Ok: queued as (\S+)')
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


async def test_a_yes_outlives_the_power(tmp_path: Path) -> None:
    require(STRACE)
    async with FakeDNS(ZONE) as dns, FakeMX() as mx:
        data, steps = await record(tmp_path, dns, mx)
        answered = [identity for step in steps if isinstance(step, trace.Sent) for identity in ids(step.data)]
        assert len(answered) >= ENOUGH

        assert lost(steps, data, tmp_path) == []
        assert lost(steps, data, tmp_path, chance=random.Random(1)) == []
        # The same check finds what a missing sync would lose, of the bytes and of the rows.
        assert lost(steps, data, tmp_path, ignore=".seg") != []
        assert lost(steps, data, tmp_path, ignore="-wal") != []

        await everything_is_delivered_from(last_image(steps, data, tmp_path), dns, mx)


async def record(tmp_path: Path, dns: FakeDNS, mx: FakeMX) -> tuple[Path, list[trace.Step]]:
    """The whole life of a server, from its first start to its end, with an application that sends."""
    output = tmp_path / "trace"
    strace = home(STRACE)
    program = strace.program("strace") if strace else None
    assert program is not None
    server = served(tmp_path / "data", dns, mx)
    try:
        server.launch(trace.command(program, output))
        await asyncio.to_thread(server.wait_until_healthy)
        await add_domain(server, dns)
        with Sender(server, connections=2) as sender:
            await eventually(lambda: len(sender.answered) >= ENOUGH, 60)
        assert server.process is not None
        os.kill(int((server.data / "lock").read_text()), signal.SIGTERM)
        assert await asyncio.to_thread(server.process.wait, 60) == 0
    finally:
        server.end()
    assert {yes.way for yes in sender.answered} == {"http", "smtp"} and not sender.refused
    return server.data, list(trace.read(output))


def served(data: Path, dns: FakeDNS, mx: FakeMX) -> Mailferry:
    settings = {"dns.nameservers": dns.address, "delivery.smtp_port": mx.port, "smtp.plain_auth": "true"}
    return Mailferry(data, settings)


def ids(data: bytes) -> Iterator[str]:
    for found in YES.finditer(data):
        yield from UUID.findall((found[1] or found[2]).decode())


def lost(
    steps: Sequence[trace.Step],
    data: Path,
    tmp_path: Path,
    *,
    ignore: str = "nothing",
    chance: random.Random | None = None,
) -> list[str]:
    """The power fails at each yes, as it is sent: what had been answered by then and is not there."""
    disk = Disk(data, lambda path: path.endswith(ignore))
    answered: list[str] = []
    gone: list[str] = []
    for number, step in enumerate(steps):
        if isinstance(step, trace.Sent) and (now := list(ids(step.data))):
            answered += now
            image = tmp_path / f"{ignore}-{chance is None}-{number}"
            disk.write_to(image, chance)
            gone += missing(image, answered)
            if gone:
                break
        disk.take(step)
    return gone


def missing(image: Path, answered: Sequence[str]) -> list[str]:
    """The ids of which a row or the bytes are not in a data folder."""
    if not (image / "mailferry.db").exists():
        return list(answered)
    engine = sqlite_engine(image / "mailferry.db", writer=False)
    content = SegmentContent(image / "segments")
    try:
        with engine.connect() as connection:
            wanted = (
                select(recipients.c.id, messages)
                .join(messages, messages.c.id == recipients.c.message_id)
                .where(or_(recipients.c.id.in_(answered), messages.c.id.in_(answered)))
            )
            there: set[str] = set()
            for row in connection.execute(wanted):
                recipient, message = row[0], row._mapping[messages.c.id]
                body = content.read(connection, Place(row.segment, row.place, row.size, message))
                assert f"Subject: {row.subject}".encode() in body
                there |= {recipient, message}
    except (LookupError, AssertionError, DBAPIError):  # no bytes, other bytes, no table
        return list(answered)
    finally:
        engine.dispose()
    return [identity for identity in answered if identity not in there]


def last_image(steps: Sequence[trace.Step], data: Path, tmp_path: Path) -> Path:
    disk = Disk(data)
    last = max(number for number, step in enumerate(steps) if isinstance(step, trace.Sent) and list(ids(step.data)))
    for step in steps[: last + 1]:
        disk.take(step)
    disk.write_to(tmp_path / "last")
    return tmp_path / "last"


async def everything_is_delivered_from(image: Path, dns: FakeDNS, mx: FakeMX) -> None:
    """A server starts on what the power failure left, and ends what it finds."""
    server = served(image, dns, mx)
    try:
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(60):
            while (await asyncio.to_thread(server.command, "queue"))["waiting"]:
                await asyncio.sleep(0.1)
        ended = await asyncio.to_thread(server.command, "messages", "list", "--limit", "1000")
        assert len(ended) >= ENOUGH and {row["state"] for row in ended} == {"delivered"}
    finally:
        server.end()
