"""An inbox over POP3: poplib reads it, and what clients do wrong or at the same time."""

import asyncio
import base64
import poplib
from collections.abc import Callable
from typing import TypeVar

import pytest

from mailferry.endpoints.pop3.limits import Limits
from mailferry.endpoints.pop3.maildrop import top
from mailferry.resources import inboxes
from mailferry.sandbox import inbox as sandbox
from mailferry.store.database import Database, open_database
from mailferry.store.migrations import migrate
from tests.conftest import Clock, eventually
from tests.endpoints_smtp_support import certificates
from tests.pop3_support import CLEAR, CLOSED, IMPLICIT, SEALER, STARTTLS, Mailbox, mailbox

T = TypeVar("T")
FIRST = b"Subject: first\r\n\r\nHello\r\n.\r\n..two\r\nlast"
SECOND = b"From: a@a.test\r\nSubject: second\r\n\r\n" + b"".join(b"line %d\r\n" % n for n in range(20))
THIRD = b"no header at all"


def client_of(box: Mailbox, which: int) -> poplib.POP3:
    if which == IMPLICIT:
        return poplib.POP3_SSL("localhost", box.port(which), context=certificates().client, timeout=20)
    client = poplib.POP3("localhost", box.port(which), timeout=20)
    if which == STARTTLS:
        client.stls(certificates().client)
    return client


async def with_poplib(box: Mailbox, which: int, deed: Callable[[poplib.POP3], T]) -> T:
    """``deed`` in a thread, logged in; how the session ends is its own affair."""

    def run() -> T:
        client = client_of(box, which)
        client.user(box.inbox.username)
        client.pass_(box.inbox.password)
        return deed(client)

    return await asyncio.to_thread(run)


async def left(box: Mailbox) -> list[int]:
    return sorted([each.id for each in await box.database.read(lambda c: sandbox.page(c, box.inbox.id))])


@pytest.mark.parametrize("which", [CLEAR, STARTTLS, IMPLICIT])
async def test_poplib_reads_an_inbox_and_deletes(database: Database, clock: Clock, which: int) -> None:
    async with mailbox(database, clock) as box:
        first, second, third = await box.catch(FIRST, SECOND, THIRD)

        def read(client: poplib.POP3) -> None:
            assert client.stat() == (3, len(FIRST) + len(SECOND) + len(THIRD))
            assert client.list()[1] == [f"{n} {len(m)}".encode() for n, m in enumerate((FIRST, SECOND, THIRD), 1)]
            assert client.uidl()[1] == [f"1 {first}".encode(), f"2 {second}".encode(), f"3 {third}".encode()]
            assert client.uidl(2) == f"+OK 2 {second}".encode()
            assert client.retr(1)[1] == FIRST.split(b"\r\n")
            assert client.top(2, 2)[1] == [b"From: a@a.test", b"Subject: second", b"", b"line 0", b"line 1"]
            assert client.top(3, 9)[1] == [THIRD]
            client.dele(1)
            client.dele(3)
            assert client.stat() == (1, len(SECOND))
            for refused in (lambda: client.retr(1), lambda: client.list(3), lambda: client.dele(4)):
                with pytest.raises(poplib.error_proto, match="No such message"):
                    refused()
            client.rset()
            assert client.stat() == (3, len(FIRST) + len(SECOND) + len(THIRD))
            client.dele(2)
            assert client.quit() == b"+OK Bye"

        await with_poplib(box, which, read)
        assert await left(box) == [first, third]
        row = await box.database.read(lambda c: inboxes.by_username(c, SEALER, box.inbox.username))
        assert row and (row.messages_count, row.unread_count) == (2, 2), "to be read here changes nothing else"


async def test_nothing_is_deleted_without_quit(database: Database, clock: Clock) -> None:
    async with mailbox(database, clock) as box:
        ids = await box.catch(FIRST, SECOND)
        await with_poplib(box, CLEAR, lambda client: (client.dele(1), client.close()))
        await box.until_empty()
        assert await left(box) == ids


async def test_a_session_outlives_what_goes_and_sees_nothing_new(database: Database, clock: Clock) -> None:
    async with mailbox(database, clock, max_size=2) as box:
        _, second = await box.catch(FIRST, SECOND)
        client = await box.logged_in()
        (third,) = await box.catch(THIRD)  # the first makes room for it
        assert await client.say("STAT") == f"+OK 2 {len(FIRST) + len(SECOND)}"
        assert (await client.say("RETR 1")).startswith("-ERR That message is no longer")
        assert (await client.say("RETR 3")).startswith("-ERR No such message")
        assert await client.say("TOP 2 0") == f"+OK {SECOND.find(b'line 0')} octets"
        assert await client.lines() == ["From: a@a.test", "Subject: second", ""]
        assert await client.say("DELE 1") == "+OK"
        assert await client.say("QUIT") == "+OK Bye"
        assert await left(box) == [second, third]


# --- on one database, where it is not looked at -----------------------------------------------------------------------


@pytest.fixture
async def memory(tmp_path):
    opened = open_database("", tmp_path, 2)
    await opened.write(migrate)
    yield opened
    await opened.close()


async def test_one_session_has_an_inbox(memory: Database, clock: Clock) -> None:
    async with mailbox(memory, clock) as box:
        await box.catch(FIRST)
        first = await box.logged_in()
        second = await box.connect()
        await second.say(f"USER {box.inbox.username}")
        assert (await second.say(f"PASS {box.inbox.password}")).startswith("-ERR [IN-USE] ")
        await first.say("DELE 1")
        await first.say("QUIT")
        await eventually(lambda: box.server.connections == 1)
        await second.say(f"USER {box.inbox.username}")
        assert await second.say(f"PASS {box.inbox.password}") == "+OK 0 messages (0 octets)"


async def test_auth_by_both_mechanisms(memory: Database, clock: Clock) -> None:
    async with mailbox(memory, clock) as box:

        def coded(text: str) -> str:
            return base64.b64encode(text.encode()).decode()

        name, password = box.inbox.username, box.inbox.password
        for lines in (
            [f"AUTH PLAIN {coded(f'{chr(0)}{name}{chr(0)}{password}')}"],
            ["AUTH plain", coded(f"\0{name}\0{password}")],
            ["AUTH LOGIN", coded(name), coded(password)],
        ):
            client = await box.connect()
            for line in lines[:-1]:
                assert (await client.say(line)).startswith("+ ")
            assert (await client.say(lines[-1])).startswith("+OK 0 messages")
            assert (await client.say("AUTH PLAIN")).startswith("-ERR Already")
            await client.say("QUIT")
            await client.close()
            await box.until_empty()
        client = await box.connect()
        assert await client.say("AUTH") == "+OK"
        assert await client.lines() == ["PLAIN", "LOGIN"]
        assert (await client.say("AUTH CRAM-MD5")).startswith("-ERR Unrecognized")
        assert (await client.say("AUTH PLAIN ***")).startswith("-ERR Cannot decode")
        assert (await client.say(f"AUTH PLAIN {coded(f'root{chr(0)}{name}{chr(0)}{password}')}")).startswith(
            "-ERR [AUTH]"
        )
        await client.say("AUTH LOGIN")
        assert (await client.say("*")).startswith("-ERR Authentication cancelled")


async def test_passwords_and_capabilities_wait_for_tls(memory: Database, clock: Clock) -> None:
    async with mailbox(memory, clock) as box:
        client = await box.connect(STARTTLS)
        assert await client.say("CAPA") == "+OK"
        before = await client.lines()
        assert "STLS" in before and not [line for line in before if line.startswith(("USER", "SASL"))]
        for line in (f"USER {box.inbox.username}", "AUTH PLAIN"):
            assert (await client.say(line)).startswith("-ERR A password is taken under TLS alone")
        # What is said in clear behind STLS must not be obeyed under TLS (CVE-2011-0411's kind).
        client.writer.write(b"STLS\r\nCAPA\r\n")
        assert await client.line() == "+OK Begin TLS"
        await client.writer.start_tls(certificates().client, server_hostname="localhost")
        assert await client.say("NOOP") == "-ERR Log in first"
        assert await client.say("STLS") == "-ERR TLS is already active"
        await client.say("CAPA")
        after = await client.lines()
        assert {"USER", "SASL PLAIN LOGIN", "UIDL", "TOP"} <= set(after) and "STLS" not in after


async def test_wrong_passwords_end_the_connection(memory: Database, clock: Clock) -> None:
    async with mailbox(memory, clock) as box:
        client = await box.connect()
        for name in (box.inbox.username, "nobody", box.inbox.username):
            assert await client.say(f"USER {name}") == "+OK Password?"
            assert await client.say("PASS wrong word") == "-ERR [AUTH] Invalid login or password"
        assert await client.line() == CLOSED
        assert (await box.database.read(lambda c: sandbox.newest(c, box.inbox.id))) == 0
        assert not [event for event in box.events if "wrong word" in str(event)]


async def test_credentials_that_were_reset_read_and_delete_nothing(memory: Database, clock: Clock) -> None:
    async with mailbox(memory, clock) as box:
        ids = await box.catch(FIRST)
        reading = await box.logged_in()
        await box.database.write(lambda c: inboxes.reset_credentials(c, SEALER, box.inbox.id))
        box.book.forget()
        await reading.say("DELE 1")
        assert (await reading.say("QUIT")).startswith("-ERR [AUTH] The credentials were reset")
        assert await left(box) == ids


async def test_a_large_message_goes_piece_by_piece(memory: Database, clock: Clock) -> None:
    large = b"Subject: large\r\n\r\n" + b".dot\r\n" * (25 * 1024 * 1024 // 6)
    async with mailbox(memory, clock) as box:
        (caught,) = await box.catch(large)
        assert caught
        slow, other = await box.logged_in(), await box.connect()
        slow.writer.write(b"RETR 1\r\nNOOP\r\n")
        assert await slow.line() == f"+OK {len(large)} octets"
        # It reads no further for now: what it was sent meanwhile is bounded, and others are answered.
        assert (await other.say("NOOP")).startswith("-ERR Log in")
        (session,) = [each for each in box.server._sessions if each._maildrop is not None]
        await eventually(lambda: session._drained is not None)
        assert session._transport.get_write_buffer_size() < 1024 * 1024
        sent = large.replace(b"\r\n.", b"\r\n..") + b".\r\n"
        assert await slow.reader.readexactly(len(sent)) == sent
        assert await slow.line() == "+OK"


async def test_who_reads_nothing_is_cut_off(memory: Database, clock: Clock) -> None:
    async with mailbox(memory, clock, limits=Limits(idle=0.2)) as box:
        await box.catch(b"Subject: large\r\n\r\n" + b"x" * 20_000_000)
        client = await box.logged_in()
        client.writer.write(b"RETR 1\r\n")
        await box.until_empty()
        assert box.server.reading.used == 0
        assert (await box.database.read(lambda c: sandbox.newest(c, box.inbox.id))) > 0


async def test_a_client_that_is_idle_is_left_without_a_word(memory: Database, clock: Clock) -> None:
    async with mailbox(memory, clock, limits=Limits(idle=0.1)) as box:
        ids = await box.catch(FIRST)
        client = await box.logged_in()
        await client.say("DELE 1")
        assert await client.line() == CLOSED
        assert await left(box) == ids


async def test_bounds(memory: Database, clock: Clock) -> None:
    limits = Limits(connections=3, connections_per_address=2, bad_commands=4, connections_per_account=1)
    async with mailbox(memory, clock, limits=limits) as box:
        client, other = await box.connect(), await box.connect()
        reader, writer = await asyncio.open_connection("127.0.0.1", box.port())
        assert (await reader.read()).startswith(b"-ERR [SYS/TEMP] Too many connections")
        writer.close()
        for line in ("LIST", "XYZZY", "USER", "PASS x"):
            last = await client.say(line)
            assert last.startswith("-ERR ")
        assert last == "-ERR Too many errors" and await client.line() == CLOSED
        assert await other.say("USER " + "x" * 300) == "-ERR Line too long"
        assert await other.line() == CLOSED


async def test_a_server_that_stops_says_so_and_deletes_nothing(memory: Database, clock: Clock) -> None:
    async with mailbox(memory, clock) as box:
        ids = await box.catch(FIRST)
        client = await box.logged_in()
        await client.say("DELE 1")
        await box.server.close(5)
        assert await client.line() == "-ERR [SYS/TEMP] Service is shutting down"
        assert await left(box) == ids


def test_top_is_header_and_lines() -> None:
    message = b"a: b\r\nc: d\r\n\r\n1\r\n2\r\n3"
    assert top(message, 0) == b"a: b\r\nc: d\r\n\r\n"
    assert top(message, 2) == b"a: b\r\nc: d\r\n\r\n1\r\n2\r\n"
    assert top(message, 3) is None, "all of it"
    assert top(b"a: b\r\n", 1) is None
