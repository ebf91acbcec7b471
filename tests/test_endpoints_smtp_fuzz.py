"""Whatever octets a client sends, the session answers in whole replies, raises nothing and keeps nothing."""

import asyncio
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.endpoints.smtp.session import Limits
from tests.endpoints_smtp_support import PASSWORD, USER, MemoryBackend, Running, base64_of, plain, serving

LINE = re.compile(rb"[2-5][0-9][0-9][ -][ -~]*\r\n")
# Small enough that random input meets every one of them.
LIMITS = Limits(message=400, text_line=60, command_line=200, auth_line=300, recipients=3, messages=4, budget=1000)

COMMANDS = [
    b"EHLO client.test",
    b"HELO client.test",
    b"EHLO",
    plain(USER, PASSWORD).encode(),
    plain(USER, "wrong").encode(),
    b"AUTH LOGIN",
    b"AUTH PLAIN",
    base64_of(USER).encode(),
    base64_of(PASSWORD).encode(),
    b"*",
    b"MAIL FROM:<a@example.com>",
    b"MAIL FROM:<> SIZE=100 BODY=8BITMIME",
    b"MAIL FROM:<a@example.com> SIZE=401",
    "MAIL FROM:<möwe@example.com> SMTPUTF8".encode(),
    b"RCPT TO:<b@example.net>",
    b"RCPT TO:<nobody@example.net>",
    b"RCPT TO:<@a,@b:c@d>",
    "RCPT TO:<b@bücher.example>".encode(),
    b"DATA",
    b"DATA",
    b".",
    b".",
    b"..",
    b"Subject: x",
    b"x" * 61,
    b"x" * 201,
    b"x" * 301,
    b"RSET",
    b"NOOP",
    b"VRFY x",
    b"HELP",
    b"XYZZY",
    b"QUIT",
    b"GET / HTTP/1.1",
    b"STARTTLS",
]
ENDS = st.sampled_from([b"\r\n"] * 20 + [b"\n", b"\r", b"\r\r\n", b"\n\r", b"", b"\0\r\n"])
WHOLE = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nSubject: x\r\n\r\nhello\r\n.\r\n"
PIECES = st.one_of(
    st.builds(bytes.__add__, st.sampled_from(COMMANDS), ENDS),
    st.builds(bytes.__add__, st.sampled_from(COMMANDS), ENDS),
    st.binary(max_size=40),
    st.just(WHOLE),
)
LOGIN = b"EHLO client.test\r\n" + plain(USER, PASSWORD).encode() + b"\r\n"
OPENINGS = st.sampled_from([LOGIN, LOGIN, LOGIN + WHOLE[:50], b"EHLO client.test\r\n", b""])


@pytest.fixture(scope="module")
def house() -> Iterator[tuple[asyncio.Runner, Running]]:
    """One server for all examples."""
    with asyncio.Runner() as runner:
        entered = serving(limits=LIMITS, backend=MemoryBackend(), tls=False)
        yield runner, runner.run(entered.__aenter__())
        runner.run(entered.__aexit__(None, None, None))


async def drive(running: Running, octets: bytes, cuts: list[int]) -> bytes:
    """Send all in the pieces that `cuts` gives, say no more, and hear everything out."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    async with asyncio.timeout(20):
        try:
            start = 0
            for cut in [*sorted(cuts), len(octets)]:
                writer.write(octets[start:cut])
                start = max(start, cut)
                await asyncio.sleep(0)
            writer.write_eof()
            heard = await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()
    await running.until_empty()
    return heard


def replies(heard: bytes) -> list[tuple[bytes, bytes]]:
    """Code and last line of every reply; fails when they are not well formed (RFC 5321 4.2)."""
    whole = []
    lines = heard.splitlines(keepends=True)
    codes: set[bytes] = set()
    for line in lines:
        assert LINE.fullmatch(line), line
        assert len(line) <= 512
        codes.add(line[:3])
        assert len(codes) == 1, "one reply has one code"
        if line[3:4] == b" ":
            whole.append((line[:3], line))
            codes = set()
    assert not codes, "the last reply is whole"
    return whole


@given(OPENINGS, st.lists(PIECES, max_size=25), st.lists(st.integers(0, 1500), max_size=6))
def test_any_octets(house, opening, pieces, cuts):
    runner, running = house
    backend = running.backend
    backend.messages.clear()
    backend.calls.clear()
    running.events.clear()
    octets = opening + b"".join(pieces)
    said = replies(runner.run(drive(running, octets, cuts)))

    assert said[0][0] == b"220"
    assert len(said) <= 3 + octets.count(b"\n") + octets.count(b"\r"), "no line has two replies"
    assert [event for event in running.events if event["event"] == "smtp_error"] == []
    assert running.server.budget.left == LIMITS.budget
    assert backend.calls.count("data") == len(backend.messages)
    assert len(backend.messages) == sum(b"Ok: queued" in line for _, line in said)
    assert len(backend.messages) <= LIMITS.messages
    for envelope, message in backend.messages:
        assert 1 <= len(envelope.recipients) <= LIMITS.recipients
        assert len(message) <= LIMITS.message
        assert not set(message.replace(b"\r\n", b"")) & set(b"\r\n\0")
        assert message == b"" or message.endswith(b"\r\n")
        assert max(map(len, message.split(b"\r\n"))) <= LIMITS.text_line
    if backend.messages:
        assert b"235" in [code for code, _ in said]
    for code, _ in said[:-2]:
        assert code not in (b"421", b"221"), "nothing follows an end"


BODIES = st.lists(st.sampled_from([b"", b".", b"..", b".x", b"hello", b"\xe4\xff", b"QUIT", b"RSET"]), max_size=20)


@given(st.lists(BODIES, min_size=1, max_size=4), st.lists(st.integers(0, 1500), max_size=8))
def test_messages_arrive_equal_whatever_the_pieces(house, bodies, cuts):
    runner, running = house
    running.backend.messages.clear()
    messages = [b"".join(line + b"\r\n" for line in body) for body in bodies]
    octets = LOGIN
    for body in bodies:
        octets += b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"
        octets += b"".join(b"." * line.startswith(b".") + line + b"\r\n" for line in body) + b".\r\n"
    said = replies(runner.run(drive(running, octets + b"QUIT\r\n", cuts)))
    assert [message for _, message in running.backend.messages] == messages
    assert [code for code, _ in said] == [
        b"220",
        b"250",
        b"235",
        *[b"250", b"250", b"354", b"250"] * len(bodies),
        b"221",
    ]
