"""Whatever octets a client sends, POP3 answers in whole lines, raises nothing, keeps nothing and deletes what was said alone."""

import asyncio
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.endpoints.pop3.limits import Limits
from mailferry.store.database import Database, open_database
from mailferry.store.migrations import migrate
from tests.conftest import Clock
from tests.endpoints_smtp_support import base64_of
from tests.pop3_support import Mailbox, mailbox

LINE = re.compile(rb"(\+OK|-ERR)( [ -~]+)?\r\n")
LIMITS = Limits(command_line=120, auth_line=200, bad_commands=6)
COMMANDS = [
    *(b"CAPA", b"NOOP", b"noop", b"STAT", b"LIST", b"UIDL", b"RSET", b"QUIT", b"STLS", b"AUTH", b"*", b""),
    *(
        b"LIST 1",
        b"UIDL 2",
        b"RETR 1",
        b"RETR 2",
        b"TOP 1 1",
        b"TOP 2 999999999",
        b"DELE 1",
        b"DELE 3",
        b"USER x",
        b"PASS y",
    ),
    *(b"RETR -1", b"RETR 99999999999999999999", b"TOP 1 -1", b"TOP 1", "RETR ²".encode(), b"RETR 1 1", b"LIST \xff"),
    *(
        b"AUTH PLAIN",
        b"AUTH LOGIN",
        b"AUTH PLAIN =",
        b"AUTH X",
        base64_of("\0a\0b").encode(),
        b"x" * 121,
        b"x" * 201,
        b"A" * 5000,
    ),
]
ENDS = st.sampled_from([b"\r\n"] * 20 + [b"\n", b"\r", b"\r\r\n", b"", b"\0\r\n"])
PIECES = st.one_of(st.builds(bytes.__add__, st.sampled_from(COMMANDS), ENDS), st.binary(max_size=40))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, Mailbox]]:
    with asyncio.Runner() as runner:

        async def opened() -> Database:
            database = open_database("", tmp_path_factory.mktemp("pop3"), 2)
            await database.write(migrate)
            return database

        database = runner.run(opened())
        entered = mailbox(database, Clock(), limits=LIMITS)
        yield runner, runner.run(entered.__aenter__())
        runner.run(entered.__aexit__(None, None, None))
        runner.run(database.close())


async def drive(box: Mailbox, octets: bytes, cuts: list[int]) -> bytes:
    """Say all in the pieces that `cuts` gives, say no more, and hear everything out."""
    reader, writer = await asyncio.open_connection("127.0.0.1", box.port())
    async with asyncio.timeout(20):
        start = 0
        for cut in [*sorted(cuts), len(octets)]:
            writer.write(octets[start:cut])
            start = max(start, cut)
            await asyncio.sleep(0)
        try:
            writer.write_eof()
            heard = await reader.read()
        except OSError:  # it was told to go and did not
            heard = b""
        finally:
            writer.close()
    await box.until_empty()
    return heard


@given(st.booleans(), st.lists(PIECES, max_size=20), st.lists(st.integers(0, 800), max_size=5))
def test_any_octets(
    house: tuple[asyncio.Runner, Mailbox], logged_in: bool, pieces: list[bytes], cuts: list[int]
) -> None:
    runner, box = house
    box.events.clear()
    login = f"USER {box.inbox.username}\r\nPASS {box.inbox.password}\r\n".encode()
    heard = runner.run(drive(box, (login if logged_in else b"") + b"".join(pieces), cuts))

    for line in heard.splitlines(keepends=True):
        # Listings and messages are between; the inbox is empty, so these are of capabilities and mechanisms alone.
        assert LINE.fullmatch(line) or re.fullmatch(rb"\+ [A-Za-z0-9+/=]*\r\n|[A-Z0-9 -]+\r\n|\.\r\n", line), line
    assert heard.startswith(b"+OK Mailferry") or not heard
    assert [event for event in box.events if event["event"] == "pop3_error"] == []
    assert box.server.reading.used == 0
    assert not box.server.maildrops._locked
