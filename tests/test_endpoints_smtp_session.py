"""The SMTP conversation over real sockets, on asyncio's loop and on uvloop: strangers as clients, and octets as they should not be."""

import asyncio
import smtplib
import socket
import struct

import aiosmtplib
import pytest

from mailferry import metrics
from mailferry.endpoints.smtp.server import Listener, Server
from mailferry.endpoints.smtp.session import Limits, Reply
from tests.endpoints_smtp_support import (
    PASSWORD,
    USER,
    WRONG_LOGIN,
    MemoryBackend,
    base64_of,
    certificates,
    on_both_loops,
    plain,
    serving,
)

MESSAGE = b"From: a@example.com\r\nSubject: one\r\n\r\n.dot\r\n..dots\r\n.\r\n\xe4\r\n"
EXTENSIONS = {"PIPELINING", "8BITMIME", "SIZE 52428800", "SMTPUTF8", "ENHANCEDSTATUSCODES"}
STARTTLS_ONLY = Listener("127.0.0.1", 0)
IMPLICIT = Listener("127.0.0.1", 0, tls=True)


# Strangers.


@on_both_loops
async def test_smtplib_by_starttls():
    def send(port: int) -> None:
        with smtplib.SMTP("localhost", port, local_hostname="client.test") as client:
            client.starttls(context=certificates().client)
            client.login(USER, PASSWORD)
            client.sendmail("a@example.com", ["b@example.net", "c@example.net"], MESSAGE, ["BODY=8BITMIME"])

    async with serving(listener=STARTTLS_ONLY) as running:
        await asyncio.to_thread(send, running.port)
        ((envelope, message),) = running.backend.messages
        assert message == MESSAGE
        assert (envelope.sender, envelope.recipients) == ("a@example.com", ["b@example.net", "c@example.net"])
        assert (envelope.size, envelope.body8bit, envelope.smtputf8) == (len(MESSAGE), True, False)
        (peer,) = running.backend.peers
        assert (peer.ip, peer.helo, peer.local) == ("127.0.0.1", "client.test", f"127.0.0.1:{running.port}")
        assert peer.tls.startswith("TLSv1.3 TLS_")


@on_both_loops
async def test_smtplib_by_implicit_tls():
    def send(port: int) -> None:
        with smtplib.SMTP_SSL("localhost", port, context=certificates().client) as client:
            assert not client.has_extn("starttls")
            client.login(USER, PASSWORD)
            client.sendmail("a@example.com", ["b@example.net"], MESSAGE)

    async with serving(listener=IMPLICIT) as running:
        await asyncio.to_thread(send, running.port)
        assert running.backend.messages[0][1] == MESSAGE
        assert running.backend.peers[0].tls.startswith("TLSv1.3 ")


@on_both_loops
@pytest.mark.parametrize("implicit", [True, False], ids=["implicit", "starttls"])
async def test_aiosmtplib(implicit):
    async with serving(listener=Listener("127.0.0.1", 0, tls=implicit)) as running:
        client = aiosmtplib.SMTP(
            hostname="localhost",
            port=running.port,
            use_tls=implicit,
            start_tls=not implicit,
            tls_context=certificates().client,
            username=USER,
            password=PASSWORD,
        )
        async with client:
            for _ in range(3):
                await client.sendmail("a@example.com", ["b@example.net"], MESSAGE)
            await client.sendmail("möwe@example.com", ["b@bücher.example"], MESSAGE, mail_options=["SMTPUTF8"])
        assert [message for _, message in running.backend.messages] == [MESSAGE] * 4
        envelope = running.backend.messages[-1][0]
        assert (envelope.sender, envelope.smtputf8) == ("möwe@example.com", True)
        assert envelope.recipients == ["b@xn--bcher-kva.example"]


# EHLO and who may do what.


@on_both_loops
async def test_what_is_offered():
    async with serving(listener=STARTTLS_ONLY) as running:
        client = await running.connect()
        assert await client.reply() == "220 mx.mailferry.test ESMTP"
        name, *offers = [line[4:] for line in (await client.talk("EHLO c")).splitlines()]
        assert name == "mx.mailferry.test"
        assert set(offers) == EXTENSIONS | {"STARTTLS"}
        assert await client.talk("STARTTLS") == "220 2.0.0 Ready to start TLS"
        await client.start_tls()
        offers = [line[4:] for line in (await client.talk("EHLO c")).splitlines()][1:]
        assert set(offers) == EXTENSIONS | {"AUTH PLAIN LOGIN"}
        assert (await client.talk("STARTTLS")).startswith("503 5.5.1 ")
        assert await client.talk("HELO c") == "250 mx.mailferry.test"
        assert (await client.talk("QUIT")).startswith("221 2.0.0 ")
        assert await client.reply() == ""
        await client.close()


@on_both_loops
async def test_plain_auth_is_offered_in_clear_only_when_the_listener_says_so():
    async with serving(tls=False) as running:
        client = await running.connect()
        await client.reply()
        assert "250 AUTH PLAIN LOGIN" in await client.talk("EHLO c")
        assert (await client.talk("STARTTLS")).startswith("502 5.5.1 ")
        await client.close()
    with pytest.raises(ValueError, match="loopback"):
        Server(MemoryBackend(), [Listener("0.0.0.0", 0, plain_auth=True)])
    with pytest.raises(ValueError, match="certificate"):
        Server(MemoryBackend(), [IMPLICIT])


@on_both_loops
async def test_simple_commands_and_order():
    async with serving() as running:
        client = await running.connect()
        await client.reply()
        for line, start in [
            ("MAIL FROM:<a@example.com>", "503 5.5.1 Error: send EHLO first"),
            (plain(USER, PASSWORD), "503 5.5.1 Error: send EHLO first"),
            ("NOOP", "250 2.0.0 "),
            ("HELO c", "250 mx.mailferry.test"),
            (plain(USER, PASSWORD), "503 5.5.1 Error: send EHLO first"),
            ("EHLO c", "250-"),
            ("MAIL FROM:<a@example.com>", "530 5.7.1 Authentication required"),
            ("RCPT TO:<b@example.net>", "503 5.5.1 Error: need MAIL command"),
            ("DATA", "503 5.5.1 Error: need MAIL command"),
            (plain(USER, PASSWORD), "235 2.7.0 "),
            ("RCPT TO:<b@example.net>", "503 5.5.1 Error: need MAIL command"),
            ("MAIL FROM:<>", "250 2.1.0 "),
            ("MAIL FROM:<>", "503 5.5.1 Error: nested MAIL command"),
            ("DATA", "554 5.5.1 Error: no valid recipients"),
            ("RCPT TO:<nobody@example.net>", "550 5.1.1 No such user"),
            ("DATA", "554 5.5.1 Error: no valid recipients"),
            ("RCPT TO:<möwe@example.net>", "553 5.6.7 "),
            ("RCPT TO:<b@example.net>", "250 2.1.5 "),
            ("RSET", "250 2.0.0 "),
            ("DATA", "503 5.5.1 Error: need MAIL command"),
            ("MAIL FROM:<a@example.com>", "250 2.1.0 "),
            ("EHLO again", "250-"),
            ("RCPT TO:<b@example.net>", "503 5.5.1 Error: need MAIL command"),
            ("VRFY b", "252 2.0.0 "),
            ("HELP", "214 2.0.0 "),
            ("EXPN list", "500 5.5.1 "),
            ("MAIL FROM:a", "501 5.5.4 "),
            ("QUIT", "221 2.0.0 "),
        ]:
            assert (await client.talk(line)).startswith(start), line
        assert await client.reply() == ""
        await client.close()


@on_both_loops
async def test_a_listener_for_other_servers_needs_no_auth():
    async with serving(listener=Listener("127.0.0.1", 0, require_auth=False)) as running:
        client = await running.greeted(login=False)
        assert "AUTH" not in await client.talk("EHLO mx.example.org")
        assert (await client.talk(plain(USER, PASSWORD))).startswith("502 5.5.1 ")
        await client.begin(sender="")
        assert (await client.talk(b"hello\r\n.")).startswith("250 ")
        assert running.backend.messages[0][1] == b"hello\r\n"
        await client.close()


# AUTH.


@on_both_loops
@pytest.mark.parametrize(
    "lines",
    [
        [plain(USER, PASSWORD)],
        [plain(USER, PASSWORD, authorize=USER)],
        ["AUTH PLAIN", base64_of(f"\0{USER}\0{PASSWORD}")],
        ["AUTH LOGIN", base64_of(USER), base64_of(PASSWORD)],
        ["auth login " + base64_of(USER), base64_of(PASSWORD)],
    ],
    ids=["plain", "plain-authzid", "plain-challenge", "login", "login-initial"],
)
async def test_the_ways_to_authenticate(lines):
    async with serving() as running:
        client = await running.greeted(login=False)
        for line in lines[:-1]:
            assert (await client.talk(line)).startswith("334 ")
        assert (await client.talk(lines[-1])).startswith("235 2.7.0 ")
        assert (await client.talk(plain(USER, PASSWORD))).startswith("503 5.5.1 ")
        await client.close()


@on_both_loops
@pytest.mark.parametrize(
    ("lines", "start"),
    [
        (["AUTH LOGIN", "*"], "501 5.7.0 "),
        (["AUTH PLAIN", "*"], "501 5.7.0 "),
        (["AUTH PLAIN", "!!!"], "501 5.5.2 "),
        (["AUTH LOGIN", "=bad"], "501 5.5.2 "),
        (["AUTH PLAIN !!!"], "501 5.5.2 "),
        (["AUTH PLAIN " + base64_of("x")], "501 5.5.2 "),
        (["AUTH CRAM-MD5"], "504 5.5.4 "),
        (["AUTH"], "501 5.5.4 "),
        (["AUTH PLAIN", "x" * 13000], "500 5.5.6 "),
        (["AUTH PLAIN " + "x" * 13000], "500 5.5.6 "),
        (["AUTH PLAIN", base64_of("a\0b\0c")], "535 5.7.8 "),
        ([plain(USER, "wrong")], "535 5.7.0 Invalid login or password"),
        (["AUTH LOGIN", "", ""], "535 5.7.0 "),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_auth_that_fails_leaves_the_session_usable(lines, start):
    async with serving() as running:
        client = await running.greeted(login=False)
        for line in lines[:-1]:
            assert (await client.talk(line)).startswith("334 ")
        assert (await client.talk(lines[-1])).startswith(start)
        assert (await client.talk("MAIL FROM:<a@example.com>")).startswith("530 5.7.1 ")
        assert (await client.talk(plain(USER, PASSWORD))).startswith("235 ")
        await client.close()


@on_both_loops
async def test_responses_may_be_as_long_as_rfc_4954_says():
    async with serving() as running:
        client = await running.greeted(login=False)
        assert (await client.talk(plain(USER, "x" * 9000))).startswith("535 ")
        await client.close()


@on_both_loops
async def test_three_failed_auths_end_the_connection():
    async with serving() as running:
        client = await running.greeted(login=False)
        await client.talk(plain(USER, "wrong"))
        await client.talk(plain(USER, "wrong"))
        assert (await client.talk(plain(USER, "wrong"))).startswith("535 5.7.0 ")
        assert (await client.reply()).startswith("421 4.7.0 Too many failed")
        assert await client.reply() == ""
        await client.close()


@on_both_loops
async def test_no_password_is_taken_in_clear():
    async with serving(listener=STARTTLS_ONLY) as running:
        client = await running.greeted(login=False)
        assert await client.talk(plain(USER, PASSWORD)) == "530 5.7.0 Must issue a STARTTLS command first"
        await client.close()
    async with serving(listener=STARTTLS_ONLY, tls=False) as running:
        client = await running.greeted(login=False)
        assert (await client.talk(plain(USER, PASSWORD))).startswith("538 5.7.11 ")
        assert running.backend.calls == []
        await client.close()


# STARTTLS.


@on_both_loops
async def test_starttls_forgets_what_was_said_in_clear():
    async with serving() as running:
        client = await running.greeted()
        await client.talk("MAIL FROM:<a@example.com>")
        # All of it in one segment: what stands behind STARTTLS was never protected, whoever wrote it.
        await client.send(b"NOOP\r\nSTARTTLS\r\nEHLO evil\r\nRCPT TO:<evil@example.net>\r\n")
        assert (await client.reply()).startswith("250 2.0.0 ")
        assert (await client.reply()).startswith("220 ")
        await client.start_tls()
        # The first reply inside is the one to the first command inside.
        assert (await client.talk("MAIL FROM:<a@example.com>")).startswith("503 5.5.1 Error: send EHLO first")
        assert "STARTTLS" not in await client.talk("EHLO c")
        assert (await client.talk("MAIL FROM:<a@example.com>")).startswith("530 5.7.1 ")
        assert (await client.talk(plain(USER, PASSWORD))).startswith("235 ")
        await client.begin()
        assert (await client.talk(b"inside\r\n.")).startswith("250 ")
        assert "rcpt" in running.backend.calls
        assert running.backend.messages[0][0].recipients == ["b@example.net"]
        await client.close()


@on_both_loops
async def test_clear_text_instead_of_a_handshake_ends_the_connection():
    async with serving() as running:
        client = await running.greeted()
        assert (await client.talk("STARTTLS")).startswith("220 ")
        await client.send(b"MAIL FROM:<a@example.com>\r\n")
        assert "250" not in await client.rest()
        await running.until_empty()
        assert "smtp_tls_failed" in [event["event"] for event in running.events]
        await client.close()


@on_both_loops
@pytest.mark.parametrize("reset", [False, True], ids=["close", "reset"])
async def test_a_client_that_goes_away_in_the_handshake(reset):
    async with serving() as running:
        client = await running.greeted()
        assert (await client.talk("STARTTLS")).startswith("220 ")
        if reset:
            no_linger(client.writer)
        await client.close()
        await running.until_empty()


@on_both_loops
async def test_a_handshake_that_never_comes_times_out():
    async with serving(limits=Limits(handshake=0.1)) as running:
        client = await running.greeted()
        assert (await client.talk("STARTTLS")).startswith("220 ")
        assert not (await client.rest())  # closed without a word: whoever is there speaks no TLS, and may not hear SMTP
        await running.until_empty()
        await client.close()


# Line ends and lines.


@on_both_loops
@pytest.mark.parametrize(
    "sequence",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r.\r",
        b"\r.\r\n",
        b"\r\n.\n",
        b"\r\n.\r",
        b"\n.\r",
        b"\r.\n",
        b"\r\n.\r\r\n",
        b"\n\n.\r\n",
    ],
    ids=repr,
)
async def test_smuggling(sequence):
    async with serving() as running:
        client = await running.greeted()
        await client.begin()
        smuggled = b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nSubject: evil\r\n"
        await client.send(b"Subject: x\r\n\r\nbody" + sequence + smuggled + b"\r\n.\r\n")
        reply = await client.reply()
        assert reply.startswith("550 5.6.11 Bare ")
        assert "in line 3" in reply or "in line 4" in reply
        # One message, one reply, and no going on with somebody who may see two messages.
        assert await client.rest() == ""
        assert running.backend.calls.count("mail") == 1
        assert running.backend.messages == []
        await client.close()


@on_both_loops
async def test_a_bare_line_feed_that_hides_nothing_costs_only_the_message():
    async with serving() as running:
        client = await running.greeted()
        await client.begin()
        reply = await client.talk(b"Subject: x\r\n\r\none\ntwo\r\n.")
        assert reply.startswith("550 5.6.11 Bare line feed in line 3: ")
        await client.begin()
        assert (await client.talk(b"good\r\n.")).startswith("250 ")
        assert [message for _, message in running.backend.messages] == [b"good\r\n"]
        await client.close()


@on_both_loops
@pytest.mark.parametrize(
    ("octets", "what"),
    [
        (b"NOOP\n", "line feed"),
        (b"NOOP\nMAIL FROM:<a@example.com>\r\n", "line feed"),
        (b"NOOP\rMAIL FROM:<a@example.com>\r\n", "carriage return"),
        (b"NOOP\r\r\n", "carriage return"),
        (b"\n", "line feed"),
        (b"x" * 5000 + b"\nNOOP\r\n", "line feed"),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else None,
)
async def test_a_bare_line_end_in_a_command_ends_the_session(octets, what):
    # However long we would read on: the client hears the end at once.
    async with serving(limits=Limits(linger=1000)) as running:
        client = await running.greeted()
        await client.send(b"NOOP\r\n" + octets)
        assert (await client.reply()).startswith("250 ")
        assert (await client.reply()).startswith(f"500 5.5.2 Error: bare {what}")
        assert await client.rest() == ""
        assert running.backend.calls == ["authenticate"]
        await client.close()


@on_both_loops
async def test_lines_that_are_too_long_or_hold_nul_are_refused_whole():
    async with serving() as running:
        client = await running.greeted()
        assert (await client.talk(b"NOOP " + b"x" * 1058)).startswith("250 "), "1065 octets with CRLF"
        assert (await client.talk(b"NOOP " + b"x" * 1059)).startswith("500 5.5.2 Error: command line too long")
        (session,) = running.server._sessions
        await client.send(b"NOOP " + b"x" * 400_000)
        await until(lambda: session.buffer == b"x")
        await client.send(b"xx\r")
        await until(lambda: session.buffer == b"\r")
        await client.send(b"\nNOOP\r\n")
        assert (await client.reply()).startswith("500 5.5.2 Error: command line too long")
        assert (await client.reply()).startswith("250 ")
        assert (await client.talk(b"NO\0OP")).startswith("500 5.5.2 Error: NUL")
        assert (await client.talk("NOOP")).startswith("250 ")
        await client.close()


@on_both_loops
async def test_text_lines_of_998_octets_pass_and_longer_ones_are_named():
    async with serving() as running:
        client = await running.greeted()
        await client.begin()
        body = b"\xc3" * 998 + b"\r\nend\r\n"
        assert (await client.talk(body + b".")).startswith("250 ")
        assert running.backend.messages[0][1] == body
        await client.begin()
        reply = await client.talk(b"a\r\n" + b"y" * 999 + b"\r\n.")
        assert reply.startswith("554 5.6.0 Line 2 is longer than 998 octets")
        await client.begin()
        assert (await client.talk(b"a\0b\r\n.")).startswith("554 5.6.0 NUL octet in line 1")
        await client.close()
    async with serving(limits=Limits(text_line=2000)) as running:
        client = await running.greeted()
        await client.begin()
        assert (await client.talk(b"y" * 2000 + b"\r\n.")).startswith("250 ")
        await client.close()


@on_both_loops
async def test_http_is_not_answered_twice():
    async with serving() as running:
        client = await running.connect()
        await client.reply()
        await client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nEHLO evil\r\n")
        assert (await client.reply()).startswith("500 5.5.1 ")
        assert await client.rest() == ""
        await client.close()


# Amounts.


@on_both_loops
async def test_messages_that_are_too_big():
    async with serving(limits=Limits(message=10_000)) as running:
        client = await running.greeted()
        assert await client.talk("MAIL FROM:<a@example.com> SIZE=10001") == "552 5.3.4 Error: message too big"
        await client.begin()
        await client.send(b"x" * 70 + b"\r\n")
        for _ in range(200):
            await client.send((b"y" * 98 + b"\r\n") * 100)
        assert running.server.limits.budget - running.server.budget.left <= 10_000
        assert await client.talk(b".") == "552 5.3.4 Error: message too big"
        await client.begin()
        exact = b"z" * 498 + b"\r\n"
        assert (await client.talk(exact * 20 + b".")).startswith("250 ")
        assert running.backend.messages[0][1] == exact * 20
        await client.close()


@on_both_loops
async def test_memory_is_shared_and_bounded():
    line = b"x" * 98 + b"\r\n"
    async with serving(limits=Limits(budget=100_000)) as running:
        first, second = await running.greeted(), await running.greeted()
        await first.begin()
        await second.begin()
        await first.send(line * 700)
        await until(lambda: running.server.budget.left == 100_000 - 70_002)
        # The second message finds no room: it is read to its end, and may come again.
        await second.send(line * 400)
        await until(lambda: any(session._incoming.fault for session in running.server._sessions))
        assert min(len(session.buffer) for session in running.server._sessions) < 5
        assert running.server.budget.left == 100_000 - 70_002
        assert (await second.talk(b".")).startswith("451 4.3.1 ")
        assert (await second.talk("MAIL FROM:<a@example.com> SIZE=50000")).startswith("451 4.3.1 ")
        assert (await second.talk("MAIL FROM:<a@example.com> SIZE=20000")).startswith("250 ")
        assert (await second.talk("RCPT TO:<b@example.net>")).startswith("250 ")
        await first.send(line * 200)
        await until(lambda: running.server.budget.left < 20_000)
        assert (await second.talk("DATA")).startswith("451 4.3.1 ")
        running.backend.hold.add("data")
        await first.send(b".\r\n")
        await running.backend.entered.wait()
        assert running.server.budget.left == 10_000, "what the backend works on is still in memory"
        running.backend.release.set()
        assert (await first.reply()).startswith("250 ")
        assert running.server.budget.left == 100_000
        await first.close()
        await second.close()


@on_both_loops
async def test_recipients_messages_and_mistakes_are_counted():
    async with serving(limits=Limits(recipients=2, messages=2, bad_commands=3)) as running:
        client = await running.greeted()
        for _ in range(2):
            await client.talk("MAIL FROM:<a@example.com>")
            for _ in range(2):
                assert (await client.talk("RCPT TO:<b@example.net>")).startswith("250 ")
            assert (await client.talk("RCPT TO:<b@example.net>")).startswith("452 4.5.3 ")
            await client.talk("DATA")
            assert (await client.talk(".")).startswith("250 ")
        assert (await client.talk("MAIL FROM:<a@example.com>")).startswith("421 4.7.0 Too many messages")
        assert await client.reply() == ""
        await client.close()
        client = await running.greeted()
        assert (await client.talk("XYZZY")).startswith("500 ")
        assert (await client.talk("RCPT TO:<not an address>")).startswith("501 5.1.3 "), "a user's mistake: not counted"
        assert (await client.talk("DATA")).startswith("503 ")
        assert (await client.talk("DATA now")).startswith("501 ")
        assert (await client.reply()).startswith("421 4.7.0 Too many errors")
        assert await client.reply() == ""
        await client.close()


@on_both_loops
async def test_a_message_that_is_accepted_pays_for_mistakes():
    async with serving(limits=Limits(bad_commands=2)) as running:
        client = await running.greeted()
        for _ in range(3):
            assert (await client.talk("XYZZY")).startswith("500 ")
            await client.begin()
            assert (await client.talk(".")).startswith("250 ")
        await client.close()


@on_both_loops
async def test_what_was_pipelined_behind_a_refused_mail_is_no_mistake():
    backend = MemoryBackend()
    backend.answers["mail"] = Reply(550, "5.7.1", "Not from there")
    async with serving(backend=backend, limits=Limits(bad_commands=3)) as running:
        client = await running.greeted()
        await client.send(b"MAIL FROM:<a@example.com>\r\n" + b"RCPT TO:<b@example.net>\r\n" * 50 + b"DATA\r\n")
        replies = [await client.reply() for _ in range(52)]
        assert replies[0] == "550 5.7.1 Not from there"
        assert {reply[:9] for reply in replies[1:]} == {"503 5.5.1"}
        assert (await client.talk("RSET")).startswith("250 ")
        await client.close()


@on_both_loops
async def test_connections_are_counted():
    async with serving(limits=Limits(connections=3, connections_per_address=2)) as running:
        first, second = await running.greeted(), await running.greeted()
        third = await running.connect()
        assert (await third.reply()).startswith("421 4.7.0 Too many connections from your address")
        assert await third.reply() == ""
        await third.close()
        await first.close()
        await until(lambda: running.server.connections == 1)
        fourth = await running.greeted()
        for client in (second, fourth):
            await client.close()
    async with serving(limits=Limits(connections=1)) as running:
        first, second = await running.greeted(), await running.connect()
        assert (await second.reply()).startswith("421 4.7.0 Too many connections, ")
        await first.close()
        await second.close()


@on_both_loops
async def test_connections_of_one_account_are_counted():
    async with serving(limits=Limits(connections_per_account=1)) as running:
        first, second = await running.greeted(), await running.greeted(login=False)
        assert await second.talk(plain(USER, PASSWORD)) == "535 5.7.8 Too many connections per account"
        # STARTTLS begins anew, and so gives the place back.
        await first.talk("STARTTLS")
        await first.start_tls()
        await first.talk("EHLO c")
        assert (await second.talk(plain(USER, PASSWORD))).startswith("235 ")
        assert (await first.talk(plain(USER, PASSWORD))).startswith("535 5.7.8 ")
        await second.close()
        await until(lambda: running.server.connections == 1)
        assert (await first.talk(plain(USER, PASSWORD))).startswith("235 ")
        await first.close()


@on_both_loops
@pytest.mark.parametrize("end", ["quit", "close", "reset", "timeout", "in the middle of AUTH", "in the middle of DATA"])
async def test_a_place_is_given_back_however_a_session_ends(end):
    backend = MemoryBackend()
    limits = Limits(connections_per_account=1, idle=0.3 if end == "timeout" else 60)
    async with serving(backend=backend, limits=limits) as running:
        client = await running.greeted(login=end != "in the middle of AUTH")
        if end == "in the middle of AUTH":
            backend.hold.add("authenticate")
            await client.send(plain(USER, PASSWORD).encode() + b"\r\n")
            await backend.entered.wait()
            client.writer.transport.abort()
            # As late as can be: who it is becomes known while the connection is being taken down.
            backend.release.set()
        elif end == "in the middle of DATA":
            await client.begin()
            await client.send(b"Subject: half a mess")
            client.writer.transport.abort()
        elif end == "reset":
            raw = client.writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.writer.transport.abort()
        elif end == "quit":
            assert (await client.talk("QUIT")).startswith("221 ")
        elif end == "timeout":
            assert (await client.reply()).startswith("421 4.4.2 ")
        await client.close()
        await running.until_empty()
        backend.hold.clear()
        second = await running.greeted()  # logs in
        await second.close()


@on_both_loops
async def test_a_failed_login_takes_no_place():
    async with serving(limits=Limits(connections_per_account=1)) as running:
        first, second = await running.greeted(login=False), await running.greeted(login=False)
        assert (await first.talk(plain(USER, "wrong"))).startswith("535 5.7.0 ")
        assert (await second.talk(plain(USER, PASSWORD))).startswith("235 ")
        await first.close()
        await second.close()


@on_both_loops
async def test_open_sessions_are_a_metric():
    def shown() -> float:
        (metric,) = metrics.SMTP_SESSIONS.collect()
        return metric.samples[0].value

    before = shown()
    async with serving(limits=Limits(connections=1)) as running:
        client, refused = await running.greeted(), await running.connect()
        assert (await refused.reply()).startswith("421 ")
        assert shown() >= before + 1
        await refused.close()
        await client.close()
        await running.until_empty()
        assert shown() == before


# Time.


@on_both_loops
async def test_an_idle_client_is_told_so():
    async with serving(limits=Limits(idle=0.1)) as running:
        client = await running.greeted()
        assert (await client.reply()).startswith("421 4.4.2 ")
        assert await client.reply() == ""
        await client.close()


@on_both_loops
async def test_octets_of_an_unfinished_line_do_not_buy_time():
    async with serving(limits=Limits(idle=0.15, linger=0.1)) as running:
        client = await running.greeted()
        drip = asyncio.create_task(drop_by_drop(client, b"x" * 1000))
        assert (await client.reply()).startswith("421 4.4.2 ")
        assert not drip.done()
        assert await client.rest() == ""
        await running.until_empty()
        drip.cancel()
        await asyncio.wait([drip])
        await client.close()


@on_both_loops
async def test_a_message_has_its_time_and_no_more():
    async with serving(limits=Limits(idle=60, data=0.2, linger=0.1)) as running:
        client = await running.greeted()
        await client.begin()
        drip = asyncio.create_task(drop_by_drop(client, b"x" * 900))
        assert (await client.reply()).startswith("421 4.4.2 ")
        assert not drip.done()
        await client.rest()
        await running.until_empty()
        drip.cancel()
        await asyncio.wait([drip])
        await client.close()


@on_both_loops
async def test_a_connection_has_its_time_and_no_more():
    async with serving(limits=Limits(connection=0.3)) as running:
        client = await running.greeted()
        replies = []
        while not replies or replies[-1].startswith("250 "):
            await client.send(b"NOOP\r\n")
            replies.append(await client.reply())
        assert replies[-1].startswith("421 4.4.2 ")
        await client.close()


@on_both_loops
async def test_a_message_that_is_arriving_when_the_time_is_over_may_end():
    async with serving(limits=Limits(connection=0.2)) as running:
        client = await running.greeted()
        await client.begin()
        await asyncio.sleep(0.4)
        assert (await client.talk(b"late\r\n.")).startswith("250 ")
        assert (await client.reply()).startswith("421 4.4.2 ")
        await client.close()


@on_both_loops
async def test_the_backend_may_take_longer_than_a_client_may():
    async with serving(limits=Limits(idle=0.05)) as running:
        running.backend.hold.add("data")
        client = await running.greeted()
        await client.begin()
        await client.send(b"slow\r\n.\r\n")
        await running.backend.entered.wait()
        await asyncio.sleep(0.2)
        running.backend.release.set()
        assert (await client.reply()).startswith("250 ")
        await client.close()


# Pipelining and back pressure.


@on_both_loops
async def test_a_group_is_executed_in_order_and_answered_in_one_write():
    async with serving() as running:
        client = await running.greeted()
        group = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<nobody@example.net>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"
        await client.send(group)
        answers = (await client.reader.read(65536)).decode().splitlines()
        assert [answer[:3] for answer in answers] == ["250", "550", "250", "354"]
        await client.send(b"one\r\n.\r\n" + group)
        answers = [await client.reply() for _ in range(5)]
        assert [answer[:3] for answer in answers] == ["250", "250", "550", "250", "354"]
        await client.send(b"two\r\n.\r\nQUIT\r\n")
        assert [line[:3] for line in (await client.rest()).splitlines()] == ["250", "221"]
        assert [message for _, message in running.backend.messages] == [b"one\r\n", b"two\r\n"]
        assert [envelope.recipients for envelope, _ in running.backend.messages] == [["b@example.net"]] * 2
        await client.close()


@on_both_loops
async def test_a_message_sent_blindly_behind_a_refused_data_is_not_executed():
    async with serving() as running:
        client = await running.greeted()
        await client.talk("MAIL FROM:<a@example.com>")
        await client.send(b"RCPT TO:<nobody@example.net>\r\nDATA\r\nRSET\r\nMAIL FROM:<evil@example.com>\r\n.\r\n")
        assert [line[:3] for line in (await client.rest()).splitlines()] == ["550", "554"]
        assert running.backend.calls.count("mail") == 1
        await client.close()


@on_both_loops
async def test_reading_pauses_while_the_backend_works():
    async with serving() as running:
        running.backend.hold.add("mail")
        client = await running.greeted()
        await client.send(b"MAIL FROM:<a@example.com>\r\n")
        await running.backend.entered.wait()
        flood = asyncio.create_task(client.send(b"NOOP\r\n" * 300_000))
        (session,) = running.server._sessions
        await until(lambda: session._paused)
        await asyncio.sleep(0.05)
        assert len(session.buffer) < 1_000_000
        running.backend.release.set()
        assert (await client.reply()).startswith("250 2.1.0 ")
        for _ in range(3000):
            assert (await client.reader.readexactly(100 * 14)) == b"250 2.0.0 Ok\r\n" * 100
        await flood
        await client.close()


@on_both_loops
@pytest.mark.parametrize("line", [b"NOOP\r\n", b"RCPT TO:<nobody@example.net>\r\n"], ids=["session", "backend"])
async def test_a_client_that_floods_does_not_stop_the_others(line):
    async with serving() as running:
        client = await running.greeted()
        assert (await client.talk("MAIL FROM:<a@example.com>")).startswith("250 ")
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count_turns())
        await client.send(line * 8000)
        for _ in range(8000):
            await client.reader.readline()
        # After every hundred commands everybody else has a turn.
        assert turns >= 75
        counting.cancel()
        await client.close()


@on_both_loops
async def test_a_client_that_reads_no_replies_is_not_read():
    async with serving(limits=Limits(idle=0.5, linger=0.1)) as running:
        client = await running.greeted()
        client.writer.transport.pause_reading()
        flood = asyncio.create_task(client.send(b"HELP\r\n" * 2_000_000))
        (session,) = running.server._sessions
        await until(lambda: session._choked)
        await asyncio.sleep(0.05)
        assert len(session.buffer) < 1_000_000
        assert session._transport.get_write_buffer_size() < 1_000_000
        # Its idle time passes, and there is nothing it could be told.
        await running.until_empty()
        client.writer.transport.abort()
        await asyncio.wait([flood])
        flood.exception()


# Ends.


@on_both_loops
@pytest.mark.parametrize("call", ["authenticate", "mail", "rcpt", "data"])
@pytest.mark.parametrize("reset", [False, True], ids=["close", "reset"])
async def test_a_client_that_goes_away_leaves_nothing_running(call, reset):
    async with serving(limits=Limits(eof_grace=0.05)) as running:
        running.backend.hold.add(call)
        client = await running.greeted(login=False)
        await client.send(f"{plain(USER, PASSWORD)}\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n".encode())
        await client.send(b"x\r\n.\r\n")
        await running.backend.entered.wait()
        if reset:
            no_linger(client.writer)
        client.writer.close()
        await running.until_empty()
        assert running.backend.cancelled == [call]
        assert running.server.budget.left == running.server.limits.budget
        await client.close()


@on_both_loops
async def test_a_client_under_tls_that_goes_away_leaves_nothing_running():
    async with serving(listener=IMPLICIT) as running:
        running.backend.hold.add("authenticate")
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", running.port, ssl=certificates().client, server_hostname="localhost"
        )
        writer.write(f"EHLO c\r\n{plain(USER, PASSWORD)}\r\n".encode())
        await running.backend.entered.wait()
        writer.close()
        await running.until_empty()
        assert running.backend.cancelled == ["authenticate"]
        assert reader is not None


@on_both_loops
async def test_a_half_closed_client_gets_its_answers():
    async with serving() as running:
        running.backend.hold.add("data")
        client = await running.greeted()
        await client.send(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nx\r\n.\r\nNOOP\r\n")
        client.writer.write_eof()
        await running.backend.entered.wait()
        running.backend.release.set()
        codes = [line[:3] for line in (await client.rest()).splitlines()]
        assert codes == ["250", "250", "354", "250", "250"]
        await client.close()


@on_both_loops
async def test_a_stopping_server_lets_work_end():
    async with serving() as running:
        idle, busy, sending = [await running.greeted() for _ in range(3)]
        await sending.begin()
        await sending.send(b"half of ")
        running.backend.hold.add("data")
        await busy.begin()
        await busy.send(b"x\r\n.\r\nMAIL FROM:<never@example.com>\r\n")
        await running.backend.entered.wait()
        closing = asyncio.create_task(running.server.close(10))
        assert (await idle.reply()).startswith("421 4.3.2 ")
        assert await idle.reply() == ""
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await running.connect()
        running.backend.release.set()
        assert (await busy.reply()).startswith("250 ")
        assert (await busy.reply()).startswith("421 4.3.2 ")
        await sending.send(b"a message\r\n.\r\n")
        assert (await sending.reply()).startswith("250 ")
        assert (await sending.reply()).startswith("421 4.3.2 ")
        for client in (idle, busy, sending):
            await client.close()
        await closing
        assert running.backend.calls.count("mail") == 2
        assert [message for _, message in running.backend.messages] == [b"x\r\n", b"half of a message\r\n"]


@on_both_loops
async def test_a_stopping_server_does_not_wait_longer_than_its_deadline():
    async with serving() as running:
        running.backend.hold.add("mail")
        client, other = await running.greeted(), await running.greeted()
        await client.send(b"MAIL FROM:<a@example.com>\r\n")
        await other.send(b"STARTTLS\r\n")
        await running.backend.entered.wait()
        await running.server.close(0.1)
        assert running.backend.cancelled == ["mail"]
        assert running.server.connections == 0
        await client.close()
        await other.close()


@on_both_loops
async def test_a_server_listens_everywhere_or_nowhere():
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as free:
        ports = [each.getsockname()[1] for each in (free, taken)]
        free.close()
        server = Server(MemoryBackend(), [Listener("127.0.0.1", port) for port in ports])
        with pytest.raises(OSError, match="in use"):
            await server.start()
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection("127.0.0.1", ports[0])
        await server.close(1)


# The backend's faults, and secrets.


@on_both_loops
@pytest.mark.parametrize("call", ["mail", "rcpt", "data"])
async def test_a_backend_that_raises_is_a_local_error(call):
    backend = MemoryBackend()
    async with serving(backend=backend) as running:
        client = await running.greeted()
        backend.errors[call] = RuntimeError("boom")
        await client.send(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\n")
        replies = [await client.reply(), await client.reply()]
        if call == "data":
            await client.talk("DATA")
            replies.append(await client.talk("."))
        assert [reply for reply in replies if reply.startswith("451 4.3.0 ")] != []
        assert (await client.talk("RSET")).startswith("250 ")
        backend.errors.clear()
        await client.begin()
        assert (await client.talk(b"x\r\n.")).startswith("250 ")
        (event,) = [event for event in running.events if event["event"] == "smtp_error"]
        assert event["error"] == "RuntimeError"
        assert str(event["where"]).startswith("endpoints_smtp_support.py:")
        await client.close()


@on_both_loops
async def test_replies_of_the_backend_stay_one_reply():
    backend = MemoryBackend()
    backend.answers["mail"] = Reply(550, "5.7.1", "no\r\n250 2.1.0 yes\r\n")
    backend.answers["data"] = Reply(421, "4.3.0", "enough")
    async with serving(backend=backend) as running:
        client = await running.greeted()
        assert await client.talk("MAIL FROM:<a@example.com>") == "550 5.7.1 no  250 2.1.0 yes  "
        backend.answers["mail"] = Reply(250, "2.1.0", "with pleasure")
        assert await client.talk("MAIL FROM:<a@example.com>") == "250 2.1.0 with pleasure"
        await client.talk("RCPT TO:<b@example.net>")
        await client.talk("DATA")
        assert await client.talk(".") == "421 4.3.0 enough"
        assert await client.reply() == "", "421 ends the connection, whoever says it"
        await client.close()


@on_both_loops
async def test_no_secret_is_logged():
    backend = MemoryBackend()
    words = [USER, PASSWORD, "wr0ng-secret"]
    words += [base64_of(word) for word in words]
    words += [base64_of(f"\0{USER}\0{password}") for password in (PASSWORD, "wr0ng-secret")]
    async with serving(backend=backend, limits=Limits(auth_failures=100, bad_commands=100)) as running:
        client = await running.greeted(login=False)
        # An exception that quotes its parameters, as those of databases do.
        backend.errors["authenticate"] = RuntimeError(f"bad statement [parameters: {USER} {PASSWORD}]")
        assert (await client.talk(plain(USER, PASSWORD))).startswith("454 4.7.0 ")
        backend.errors.clear()
        for lines in [
            [plain(USER, "wr0ng-secret")],
            ["AUTH PLAIN", base64_of(f"\0{USER}\0wr0ng-secret")],
            ["AUTH LOGIN", base64_of(USER), base64_of("wr0ng-secret")],
            ["AUTH LOGIN " + base64_of(USER), base64_of("wr0ng-secret")],
            # Clients that are out of step: responses where commands are due, mechanism forgotten, LOGIN without base64.
            [base64_of(f"\0{USER}\0{PASSWORD}")],
            [base64_of(PASSWORD)],
            [f"AUTH {base64_of(PASSWORD)}"],
            [f"AUTH PLAIN {USER} {PASSWORD}"],
            ["AUTH LOGIN", USER],
            ["AUTH PLAIN", base64_of(USER) + "=x"],
            [f"DATA {PASSWORD}"],
            [f"MAIL FROM:<{PASSWORD}>"],
            [plain(USER, PASSWORD)],
        ]:
            for line in lines:
                reply = await client.talk(line)
                assert not any(word in reply for word in words), line
        assert reply.startswith("235 ")
        await client.close()
        await running.until_empty()
        log = repr(running.events)
        assert [event["event"] for event in running.events if event["event"] == "smtp_auth"] != []
        assert not any(word in log for word in words)
        assert WRONG_LOGIN.text not in log


# Helpers.


async def until(check) -> None:
    async with asyncio.timeout(20):
        while not check():
            await asyncio.sleep(0.005)


async def drop_by_drop(client, octets: bytes) -> None:
    for octet in octets:
        await client.send(bytes([octet]))
        await asyncio.sleep(0.01)


def no_linger(writer: asyncio.StreamWriter) -> None:
    """Make closing a reset instead of an orderly end."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
