"""The SMTP client against a mail host over real sockets."""

import asyncio
import socket
import ssl

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from mailferry.mail.reply import Answer
from mailferry.net.smtp import Approach, Client, Credentials, Habits, Timeouts, connect, opportunistic_context
from mailferry.net.smtp_session import read
from mailferry.net.smtp_wire import MOST_LINES, MOST_OCTETS, PIECE, Reply, pieces, stuff
from tests.conftest import eventually
from tests.fakes import certificates
from tests.fakes.mx import DROP, EXTENSIONS, FakeMX

SHORT = Timeouts(connect=5, greeting=5, hello=5, tls=5, auth=5, mail=5, rcpt=5, data=5, block=5, dot=5, quit=1)
MESSAGE = (b"Subject: hello\r\nFrom: a@x.test\r\n\r\n", b"hello\r\n")


@pytest.fixture(scope="module")
def certificate():
    return certificates.make("mx.test", "127.0.0.1")


@pytest.fixture
async def mx():
    async with FakeMX() as running:
        yield running


@pytest.fixture
async def dial():
    """Connects, and closes what it connected when the test is over. What hosts do is remembered throughout the test."""
    made, habits = [], Habits(lambda: 0)

    async def dial(mx, **approach):
        approach.setdefault("context", opportunistic_context())
        approach = Approach(**{"helo": "us.test", "timeouts": SHORT} | approach)
        found = await connect("mx.test", mx.ip, mx.port, approach, habits)
        if isinstance(found, Client):
            made.append(found)
        return found

    yield dial
    for client in made:
        await client.quit()


async def send(client, *, recipient="b@y.test", chunks=MESSAGE, eight_bit=False, utf8=False, may_commit=lambda: True):
    return await client.send("a@x.test", recipient, chunks, eight_bit=eight_bit, utf8=utf8, may_commit=may_commit)


# A transaction.


async def test_message_arrives_as_it_is(mx, dial):
    client = await dial(mx)
    answer = await send(client)
    assert (answer.code, answer.enhanced, answer.text, answer.stage) == (250, "2.0.0", "taken", "dot")
    assert (answer.transport, answer.host, answer.ip, answer.local_ip) == ("mx", "mx.test", "127.0.0.1", "127.0.0.1")
    taken = mx.transactions[0]
    assert (taken.sender, taken.recipients, taken.content) == ("a@x.test", ("b@y.test",), b"".join(MESSAGE))
    assert taken.sender_options == (f"SIZE={sum(map(len, MESSAGE))}",)
    assert taken.helo == "us.test"


async def test_connection_is_used_again(mx, dial):
    client = await dial(mx)
    answers = [await send(client, recipient=f"{number}@y.test") for number in range(5)]
    assert [answer.code for answer in answers] == [250] * 5
    assert client.usable
    assert client.transactions == 5
    assert mx.sessions == 1
    assert "RSET" not in mx.commands


async def test_null_sender(mx, dial):
    client = await dial(mx)
    await client.send("", "b@y.test", MESSAGE, eight_bit=False, utf8=False, may_commit=lambda: True)
    assert mx.transactions[0].sender == ""


async def test_envelope_is_one_write_with_pipelining(mx, dial):
    # Were the three commands not in one write, this reply to MAIL would come before the others were sent.
    client = await dial(mx)
    mx.answers["MAIL"] = "550 5.7.1 go away"
    await send(client)
    assert mx.commands[1:4] == ["MAIL FROM:<a@x.test> SIZE=41", "RCPT TO:<b@y.test>", "DATA"]
    assert mx.violations == []


async def test_commands_wait_for_each_other_without_pipelining(dial):
    async with FakeMX(extensions=()) as mx:
        client = await dial(mx)
        assert (await send(client)).code == 250
        mx.answers["MAIL"] = "550 5.7.1 go away"
        assert (await send(client)).code == 550
        assert mx.violations == []
        assert mx.commands == [
            "EHLO us.test",
            "MAIL FROM:<a@x.test>",
            "RCPT TO:<b@y.test>",
            "DATA",
            "MAIL FROM:<a@x.test>",
            "QUIT",
        ]


async def test_eight_bit_and_utf8_are_declared(mx, dial):
    client = await dial(mx)
    await send(client, eight_bit=True)
    await send(client, recipient="jürgen@y.test")
    await send(client, utf8=True, eight_bit=True)
    options = [set(taken.sender_options) - {"SIZE=41"} for taken in mx.transactions]
    assert options == [{"BODY=8BITMIME"}, {"SMTPUTF8"}, {"BODY=8BITMIME", "SMTPUTF8"}]
    assert mx.transactions[1].recipients == ("jürgen@y.test",)


async def test_what_the_host_cannot_take_is_not_offered(dial):
    async with FakeMX(extensions=("SIZE 30",)) as mx:
        client = await dial(mx)
        assert (client.eight_bit, client.utf8, client.size) == (False, False, 30)
        small = (b"a: b\r\n\r\n",)
        answers = [
            await send(client),
            await send(client, chunks=small, eight_bit=True),
            await send(client, chunks=small, utf8=True),
            await send(client, chunks=small, recipient="jürgen@y.test"),
        ]
        assert [(answer.code, answer.enhanced) for answer in answers] == [
            (0, "5.3.4"), (0, "5.6.3"), (0, "5.6.7"), (0, "5.6.7"),
        ]  # fmt: skip
        assert mx.commands == ["EHLO us.test"]
        assert (await send(client, chunks=small)).code == 250


async def test_a_size_of_more_digits_than_there_may_be_is_none(dial):
    async with FakeMX(extensions=("SIZE " + "9" * 1500,)) as mx:
        client = await dial(mx)
        assert client.size == 0


async def test_utf8_needs_eight_bit_too(dial):
    async with FakeMX(extensions=("SMTPUTF8",)) as mx:
        assert not (await dial(mx)).utf8


@pytest.mark.parametrize(
    "recipient", ["b@y.test>\r\nRCPT TO:<c@y.test", "b\n@y.test", "b\0@y.test", "b\x7f@y.test", "b\udcff@y.test"]
)
async def test_addresses_cannot_carry_commands(mx, dial, recipient):
    client = await dial(mx)
    answer = await send(client, recipient=recipient)
    assert (answer.code, answer.enhanced) == (0, "5.1.3")
    assert mx.commands == ["EHLO us.test"]


# Refusals.


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize("extensions", [EXTENSIONS, ()])
async def test_refusal_is_the_answer_and_the_connection_lives(dial, step, extensions):
    async with FakeMX(extensions=extensions) as mx:
        client = await dial(mx)
        mx.answers[step] = ["550 5.1.1 no such user"]
        answer = await send(client)
        assert (answer.code, answer.enhanced, answer.text) == (550, "5.1.1", "no such user")
        assert answer.stage == step.lower()
        assert client.usable
        assert (await send(client)).code == 250
        assert mx.sessions == 1
        assert len(mx.transactions) == 1


async def test_reset_goes_before_the_next_after_a_refusal(mx, dial):
    client = await dial(mx)
    mx.answers["RCPT"] = ["450 4.2.0 later"]
    await send(client)
    await send(client)
    await send(client)
    assert [command.split()[0] for command in mx.commands[4:]] == [
        "RSET",
        "MAIL",
        "RCPT",
        "DATA",
        "MAIL",
        "RCPT",
        "DATA",
    ]


async def test_data_taken_for_nobody_is_ended_by_a_dot_alone(mx, dial):
    client = await dial(mx)
    mx.answers["RCPT"] = ["550 5.1.1 no such user"]
    mx.answers["DATA"] = ["354 go on anyway"]
    answer = await send(client)
    assert (answer.code, answer.stage) == (550, "rcpt")
    assert mx.contents_for_nobody == [b""]
    assert (await send(client)).code == 250
    assert [taken.content for taken in mx.transactions] == [b"".join(MESSAGE)]


async def test_refused_reset_says_nothing_about_the_recipient(mx, dial):
    client = await dial(mx)
    mx.answers["RCPT"] = ["550 5.1.1 no such user"]
    await send(client)
    mx.answers["RSET"] = "502 5.5.1 not here"
    answer = await send(client)
    assert (answer.code, answer.enhanced, answer.stage) == (0, "4.5.0", "mail")
    assert not client.usable


async def test_multi_line_refusal_is_one_line(mx, dial):
    client = await dial(mx)
    mx.answers["RCPT"] = (
        "550-5.7.1 Our system has detected\r\n550-5.7.1 that this is unwanted.\r\n550 5.7.1 \x1b[31mbye"
    )
    answer = await send(client)
    assert (answer.code, answer.enhanced) == (550, "5.7.1")
    assert answer.text == "Our system has detected that this is unwanted. [31mbye"


async def test_closing_host_is_heard_and_left(mx, dial):
    client = await dial(mx)
    mx.answers["RCPT"] = "421 4.3.2 shutting down"
    answer = await send(client)
    assert (answer.code, answer.enhanced, answer.stage) == (421, "4.3.2", "rcpt")
    assert not client.usable


# What gets lost on the way.


@pytest.mark.parametrize(("step", "stage"), [("MAIL", "mail"), ("RCPT", "rcpt"), ("DATA", "data"), ("DOT", "dot")])
@pytest.mark.parametrize("extensions", [EXTENSIONS, ()])
async def test_lost_connection_names_the_stage(dial, step, stage, extensions):
    async with FakeMX(extensions=extensions) as mx:
        client = await dial(mx)
        mx.answers[step] = DROP
        answer = await send(client)
        assert (answer.code, answer.enhanced, answer.stage) == (0, "4.4.2", stage)
        assert not client.usable


async def test_lost_after_the_final_dot_is_told_from_lost_before(mx, dial):
    large = (b"x" * 78 + b"\r\n") * 200_000
    mx.answers["BODY"] = DROP
    assert (await send(await dial(mx), chunks=(large,))).stage == "data"
    mx.answers = {"DOT": DROP}
    assert (await send(await dial(mx), chunks=(large,))).stage == "dot"


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_silence_ends_in_an_answer(mx, dial, step):
    client = await dial(mx, timeouts=Timeouts(mail=0.02, rcpt=0.02, data=0.02, dot=0.02, quit=0.02))
    mx.delays[step] = 60
    answer = await send(client)
    assert (answer.code, answer.enhanced, answer.stage) == (0, "4.4.2", step.lower())
    assert "no reply within" in answer.text
    assert not client.usable


async def test_host_that_stops_reading_ends_in_an_answer(mx, dial):
    client = await dial(mx, timeouts=Timeouts(block=0.05, quit=0.02))
    mx.delays["DATA"] = 0.0

    def stop_reading(_):
        for writer in mx._writers:
            writer.transport.pause_reading()

    mx.answers["BODY"] = stop_reading
    answer = await send(client, chunks=(b"x" * 78 + b"\r\n",) * 400_000)
    assert (answer.code, answer.enhanced, answer.stage) == (0, "4.4.2", "data")


async def test_refusal_in_the_middle_of_a_large_message_is_heard(mx, dial):
    client = await dial(mx)
    mx.answers["BODY"] = ["552 5.3.4 too much"]
    answer = await send(client, chunks=((b"x" * 78 + b"\r\n") * 400_000,))
    assert (answer.code, answer.enhanced, answer.stage) == (552, "5.3.4", "data")
    assert not client.usable
    assert mx.transactions == []


async def test_yes_in_the_middle_of_a_message_is_no_yes(mx, dial):
    client = await dial(mx)
    mx.answers["BODY"] = ["250 2.0.0 already taken"]
    answer = await send(client, chunks=((b"x" * 78 + b"\r\n") * 400_000,))
    assert (answer.code, answer.enhanced) == (0, "4.5.0")
    assert mx.transactions == []


async def test_nobody_listens(mx, dial):
    await mx.stop()
    answer = await dial(mx)
    assert (answer.code, answer.enhanced, answer.text, answer.stage) == (0, "4.4.1", "connection refused", "connect")
    assert answer.ip == "127.0.0.1"


async def test_nobody_answers(dial):
    # A listener whose queue is full: the kernel drops further SYNs.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)

        class Full:
            ip, port = full.getsockname()

        with socket.socket() as first, socket.socket() as second:
            for waiting in (first, second):
                waiting.setblocking(False)
                waiting.connect_ex(full.getsockname())
            answer = await dial(Full, timeouts=Timeouts(connect=0.05))
    assert (answer.code, answer.enhanced, answer.stage) == (0, "4.4.1", "connect")
    assert "no answer within" in answer.text


async def test_local_address_is_bound(mx, dial):
    client = await dial(mx, local_ip="127.0.0.77")
    assert (await send(client)).local_ip == "127.0.0.77"
    answer = await dial(mx, local_ip="192.0.2.1")
    assert (answer.code, answer.enhanced, answer.stage) == (0, "4.4.1", "connect")


# The lease.


@pytest.mark.parametrize("octets", [10, PIECE * 3])
async def test_without_the_lease_the_final_dot_is_not_sent(mx, dial, octets):
    client = await dial(mx)
    answer = await send(client, chunks=(b"x" * octets + b"\r\n",), may_commit=lambda: False)
    assert (answer.code, answer.enhanced, answer.stage) == (0, "4.4.2", "dot")
    assert "lease lost" in answer.text
    assert not client.usable
    await eventually(lambda: not mx.open)
    assert mx.transactions == []


async def test_lease_is_asked_for_after_the_host_was_ready(mx, dial):
    asked = []

    def may_commit():
        asked.append(list(mx.commands))
        return True

    await send(await dial(mx), may_commit=may_commit)
    assert [commands[-1] for commands in asked] == ["DATA"]


# Greeting and EHLO.


async def test_refused_greeting(mx, dial):
    mx.answers["CONNECT"] = ["554 5.7.1 not you", "421 4.3.2 busy", "354 what?", DROP]
    answers = [await dial(mx) for _ in range(4)]
    assert [(answer.code, answer.enhanced) for answer in answers] == [
        (554, "5.7.1"), (421, "4.3.2"), (0, "4.5.0"), (0, "4.4.2"),
    ]  # fmt: skip
    assert {answer.stage for answer in answers} == {"connect"}


async def test_multi_line_greeting(mx, dial):
    mx.answers["CONNECT"] = "220-fake.test\r\n220-No spam\r\n220 please"
    assert (await send(await dial(mx))).code == 250


async def test_host_without_ehlo_is_greeted_by_helo(mx, dial):
    mx.answers["EHLO"] = "502 5.5.1 what?"
    client = await dial(mx)
    assert (client.eight_bit, client.utf8, client.size) == (False, False, 0)
    assert (await send(client)).code == 250
    assert mx.commands[:3] == ["EHLO us.test", "HELO us.test", "MAIL FROM:<a@x.test>"]


async def test_ehlo_refused_for_now(mx, dial):
    mx.answers["EHLO"] = "450 4.3.2 later"
    answer = await dial(mx)
    assert (answer.code, answer.stage) == (450, "ehlo")
    mx.answers = {"EHLO": "550 5.7.1 no", "HELO": "550 5.7.1 no"}
    answer = await dial(mx)
    assert (answer.code, answer.stage) == (550, "ehlo")


async def test_failed_opening_says_goodbye(mx, dial):
    mx.answers["EHLO"] = "450 4.3.2 later"
    await dial(mx)
    await eventually(lambda: not mx.open)
    assert mx.commands[-1] == "QUIT"


async def test_extensions_are_read_whatever_their_case(dial):
    async with FakeMX(extensions=("pipelining", "Size", "8bitMIME ", "", "X-OTHER a b")) as mx:
        client = await dial(mx)
        assert (client.eight_bit, client.utf8, client.size) == (True, False, 0)


# Hosts that have lost the thread.


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("MAIL", "250 ok\r\n250 ok"),
        ("RCPT", "250 ok\r\n250 ok"),
        ("DATA", "354 go\r\n354 go"),
        ("MAIL", "hello"),
        ("MAIL", "25 ok"),
        ("MAIL", "150 ok"),
        ("MAIL", "650 ok"),
        ("MAIL", "250_ok"),
        ("MAIL", "250-a\r\n550 b"),
        ("MAIL", ""),
        ("MAIL", "\udcff\udcfe"),
        ("MAIL", "354 ok"),
        ("RCPT", "354 ok"),
        ("DATA", "250 ok"),
        ("DOT", "354 ok"),
        ("DOT", "hello"),
        ("MAIL", "250 " + "x" * MOST_OCTETS),
        ("MAIL", "250-" + "x" * MOST_OCTETS),
        ("MAIL", "250-x\r\n" * ((1 << 20) // 5) + "250 x"),
    ],
)
async def test_desynchronised_host_is_left(mx, dial, step, said):
    client = await dial(mx)
    mx.answers[step] = said
    answer = await send(client)
    assert (answer.code, answer.enhanced) == (0, "4.5.0")
    assert answer.text.startswith("protocol error")
    assert not client.usable
    assert mx.transactions == [] or step == "DOT"


async def test_a_yes_of_many_lines_is_a_yes(mx, dial):
    client = await dial(mx)
    mx.answers["DOT"] = "250-and another thing\r\n" * (2 * MOST_LINES) + "250 taken"
    assert (await send(client)).code == 250
    del mx.answers["DOT"]
    assert (await send(client)).code == 250, "the next reply is read from its beginning"


async def test_surplus_after_the_last_reply_does_not_undo_it(mx, dial):
    client = await dial(mx)
    mx.answers["DOT"] = "250 2.0.0 taken\r\n250 2.0.0 taken"
    assert (await send(client)).code == 250
    assert not client.usable


async def test_words_between_transactions_end_the_connection(mx, dial):
    client = await dial(mx)
    await send(client)
    mx.say("250 2.0.0 by the way")
    await eventually(lambda: not client.usable)
    other = await dial(mx)
    mx.say("421 4.4.2 idle for too long")
    await eventually(lambda: not other.usable)
    answer = await send(other)
    assert (answer.code, answer.enhanced, answer.stage) == (0, "4.4.2", "mail")


@pytest.mark.parametrize("late", ["550 5.7.1 that was spam", "250 2.0.0 taken indeed"])
@pytest.mark.parametrize("extensions", [EXTENSIONS, ()])
async def test_late_word_about_one_message_is_not_taken_for_the_next_one_s(dial, extensions, late):
    async with FakeMX(extensions=extensions) as mx:
        client = await dial(mx)
        assert (await send(client)).code == 250
        mx.answers["MAIL"] = lambda _: mx.say(late)  # and then the usual answer
        answer = await send(client, recipient="c@y.test")
        assert (answer.code, answer.enhanced) == (0, "4.5.0")
        assert "protocol error" in answer.text
        assert not client.usable
        assert [taken.recipients for taken in mx.transactions] == [("b@y.test",)]


async def test_late_word_about_the_opening_is_not_taken_for_a_refusal(mx, dial):
    client = await dial(mx)
    mx.answers["MAIL"] = lambda _: mx.say("550 5.5.1 and what I wanted to say to your EHLO")
    answer = await send(client)
    assert (answer.code, answer.enhanced, answer.stage) == (0, "4.5.0", "mail")


@pytest.mark.parametrize("extensions", [EXTENSIONS, ()])
async def test_refusal_of_a_later_message_s_sender_is_heard(dial, extensions):
    async with FakeMX(extensions=extensions) as mx:
        client = await dial(mx)
        await send(client)
        mx.answers["MAIL"] = "550 5.7.1 no more"
        answer = await send(client)
        assert (answer.code, answer.enhanced, answer.stage) == (550, "5.7.1", "mail")


@pytest.mark.parametrize("data", ["503 5.5.1 no sender", "354 go"])
async def test_refusal_of_the_sender_is_heard_though_the_recipient_is_taken(mx, dial, data):
    client = await dial(mx)
    mx.answers = {"MAIL": "550 5.7.1 not from you", "RCPT": "250 2.1.5 ok", "DATA": data}
    answer = await send(client)
    assert (answer.code, answer.enhanced, answer.stage) == (550, "5.7.1", "mail")
    assert b"".join(taken.content for taken in mx.transactions) == b""
    assert not client.usable


async def test_refusal_is_not_believed_of_a_host_that_does_not_know_what_it_answers(mx, dial):
    client = await dial(mx)
    await send(client)
    mx.answers = {"MAIL": "550 5.7.1 no more", "QUIT": "250 2.1.0 ok"}
    answer = await send(client)
    assert (answer.code, answer.enhanced, answer.stage) == (0, "4.5.0", "mail")


async def test_host_that_loses_pipelined_commands_is_asked_one_by_one_the_next_time(mx, dial):
    mx.loses_pipelined = True
    answer = await send(await dial(mx, timeouts=Timeouts(mail=0.02, rcpt=0.02, data=0.02)))
    assert (answer.code, answer.enhanced, answer.stage) == (0, "4.4.2", "rcpt")
    client = await dial(mx)
    assert [(await send(client)).code for _ in range(2)] == [250, 250]


async def test_silent_host_is_not_taken_for_one_that_loses_commands(mx, dial):
    mx.delays["MAIL"] = 60
    await send(await dial(mx, timeouts=Timeouts(mail=0.02, rcpt=0.02, data=0.02)))
    mx.delays = {}
    mx.answers["MAIL"] = ["550 5.7.1 go away"]
    mx.commands.clear()
    await send(await dial(mx))
    assert [command.split()[0] for command in mx.commands] == ["EHLO", "MAIL", "RCPT", "DATA"], "in one write"


async def test_reply_may_come_octet_by_octet(dial):
    async def trickle(reader, writer):
        for line in (
            b"220-a\r\n220 b\r\n",
            b"250-a\r\n250 SIZE 100\r\n",
            b"250 ok\r\n",
            b"250 ok\r\n",
            b"354 go\r\n",
            b"250 ok\r\n",
        ):
            for octet in line:
                writer.write(bytes([octet]))
                await asyncio.sleep(0)
            await reader.read(1000)
        writer.close()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)

    class Trickle:
        ip, port = server.sockets[0].getsockname()

    client = await dial(Trickle)
    assert client.size == 100
    assert (await send(client)).code == 250
    await client.quit()
    server.close()
    await server.wait_closed()


# TLS.


async def test_starttls_is_used_where_offered(certificate, dial):
    async with FakeMX(tls=certificate.server) as mx:
        client = await dial(mx)
        answer = await send(client)
        assert answer.code == 250
        assert answer.tls == mx.transactions[0].tls == "TLSv1.3"
        assert mx.commands[:3] == ["EHLO us.test", "STARTTLS", "EHLO us.test"]


async def test_starttls_in_which_a_large_message_travels(certificate, dial):
    async with FakeMX(tls=certificate.server) as mx:
        message = (b"x" * 78 + b"\r\n") * 40_000
        assert (await send(await dial(mx), chunks=(message,))).code == 250
        assert mx.transactions[0].content == message


async def test_refused_starttls_goes_on_in_plain_text(certificate, dial):
    async with FakeMX(tls=certificate.server) as mx:
        mx.answers["STARTTLS"] = "454 4.7.0 not now"
        client = await dial(mx)
        assert ((await send(client)).code, client.tls) == (250, "")
        answer = await dial(mx, tls="required")
        assert (answer.code, answer.enhanced, answer.stage) == (0, "4.7.5", "tls")
        assert answer.text == "454 not now"


@pytest.mark.parametrize("how", ["garbage", "close", "after"])
async def test_broken_tls_is_told_from_other_failures(certificate, dial, how):
    async with FakeMX(tls=certificate.server, broken_tls=how) as mx:
        answer = await dial(mx)
        assert (answer.code, answer.enhanced, answer.stage) == (0, "4.7.5", "tls")
        assert (await send(await dial(mx, tls="none"))).code == 250


async def test_words_slipped_in_before_the_handshake_are_not_taken_for_the_host_s(certificate, dial):
    async with FakeMX(tls=certificate.server) as mx:
        mx.answers["STARTTLS"] = "220 go on\r\n250 SIZE 1"
        answer = await dial(mx)
        assert (answer.code, answer.enhanced, answer.stage) == (0, "4.7.5", "tls")
        assert "reply to no command" in answer.text


async def test_required_tls_verifies_the_host(certificate, dial):
    async with FakeMX(tls=certificate.server) as mx:
        client = await dial(mx, tls="required", context=certificate.client)
        assert (await send(client)).tls == "TLSv1.3"
        answer = await dial(mx, tls="required", context=ssl.create_default_context())
        assert (answer.code, answer.enhanced, answer.stage) == (0, "4.7.5", "tls")
        assert "unable to get local issuer certificate" in answer.text or "self-signed" in answer.text
    async with FakeMX() as mx:
        answer = await dial(mx, tls="required", context=certificate.client)
        assert (answer.code, answer.enhanced, answer.stage) == (0, "4.7.5", "tls")
        assert "offers no STARTTLS" in answer.text


async def test_certificate_for_another_name_is_refused_when_verified(dial):
    other = certificates.make("other.test")
    async with FakeMX(tls=other.server) as mx:
        answer = await dial(mx, tls="required", context=other.client)
        assert (answer.enhanced, answer.stage) == ("4.7.5", "tls")
        assert "mx.test" in answer.text
        assert (await send(await dial(mx))).tls == "TLSv1.3"


async def test_implicit_tls(certificate, dial):
    async with FakeMX(tls=certificate.server, implicit_tls=True) as mx:
        client = await dial(mx, tls="implicit", context=certificate.client)
        assert ((await send(client)).code, client.tls) == (250, "TLSv1.3")
        assert mx.commands[0] == "EHLO us.test"
    async with FakeMX() as mx:
        answer = await dial(mx, tls="implicit", context=certificate.client)
        assert (answer.code, answer.stage) == (0, "tls")


# AUTH.


@pytest.mark.parametrize("mechanisms", ["AUTH PLAIN LOGIN", "AUTH LOGIN", "auth=login"])
async def test_auth(certificate, dial, mechanisms):
    async with FakeMX(tls=certificate.server, extensions=(mechanisms,), users={"us": "sécret"}) as mx:
        mx.answers["EHLO"] = lambda _: f"250-hi\r\n250-STARTTLS\r\n250 {mechanisms}"
        client = await dial(mx, credentials=Credentials("us", "sécret"))
        assert (await send(client)).code == 250
        answer = await dial(mx, credentials=Credentials("us", "wrong"))
        assert (answer.code, answer.enhanced, answer.stage) == (535, "5.7.8", "auth")


async def test_password_is_not_sent_in_plain_text_unasked(dial):
    async with FakeMX(users={"us": "secret"}) as mx:
        answer = await dial(mx, credentials=Credentials("us", "secret"))
        assert (answer.code, answer.enhanced, answer.stage) == (0, "4.7.5", "auth")
        assert not any(command.startswith("AUTH") for command in mx.commands)
        assert isinstance(await dial(mx, tls="none", credentials=Credentials("us", "secret")), Client)


async def test_auth_not_offered(mx, dial):
    answer = await dial(mx, tls="none", credentials=Credentials("us", "secret"))
    assert (answer.code, answer.enhanced, answer.stage) == (0, "4.7.0", "auth")


def test_password_is_not_shown():
    assert "secret" not in repr(Approach(helo="us.test", credentials=Credentials("us", "secret")))


# Another event loop.


def test_all_of_it_on_uvloop(certificate):
    async def scenario():
        async with FakeMX(tls=certificate.server) as mx:
            approach = Approach(helo="us.test", context=opportunistic_context(), timeouts=SHORT)
            habits = Habits(lambda: 0)
            client = await connect("mx.test", mx.ip, mx.port, approach, habits)
            assert isinstance(client, Client)
            mx.answers["RCPT"] = ["550 5.1.1 no"]
            large = (b"." * 78 + b"\r\n") * 40_000
            answers = [await send(client), await send(client), await send(client, chunks=(large,))]
            assert [answer.code for answer in answers] == [550, 250, 250]
            assert mx.transactions[1].content == large
            mx.answers["DOT"] = DROP
            assert (await send(client)).stage == "dot"
            in_clear = Approach(helo="us.test", tls="none", timeouts=SHORT)
            plain = await connect("mx.test", mx.ip, mx.port, in_clear, habits)
            mx.answers = {"MAIL": "250 a\r\n250 b"}
            assert (await send(plain)).enhanced == "4.5.0"
            mx.answers = {}
            mx.broken_tls = "garbage"
            broken = await connect("mx.test", mx.ip, mx.port, approach, habits)
            assert isinstance(broken, Answer)
            assert broken.stage == "tls"

    uvloop.run(scenario())


# Pure parts.


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((b"5.1.1 no such user",), ("5.1.1", "no such user")),
        ((b"5.1.1",), ("5.1.1", "")),
        ((b"4.1.1 not our class",), ("", "4.1.1 not our class")),
        ((b"5.1.1.1 no code",), ("", "5.1.1.1 no code")),
        ((b"5.1111.1 no code",), ("", "5.1111.1 no code")),
        ((b"no 5.1.1 code",), ("", "no 5.1.1 code")),
        ((b"5.7.1 one", b"5.7.1  two", b"three", b""), ("5.7.1", "one two three")),
        ((b"",), ("", "")),
        ((b"5.1.1\x00\x1b[0m\xff",), ("", "5.1.1 [0m\xff")),
    ],
)
def test_enhanced_codes_are_read_by_their_class(lines, expected):
    assert read(Reply(550, lines)) == expected


PARTS = st.lists(
    st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"\r\n.\r\n", b"a", b"..", b"", b"text"]), max_size=12
)


@given(st.lists(PARTS.map(b"".join), max_size=6))
def test_stuffing_is_undone_by_the_receiver_s_rule_wherever_chunks_are_cut(chunks):
    message = b"".join(chunks)
    wire = b"".join(stuff(chunks)) + b".\r\n"
    # The message ends at the first line that is a dot alone, and this is the last line (RFC 5321 4.1.1.4).
    assert (b"\r\n" + wire).index(b"\r\n.\r\n") == len(wire) - 3
    lines = wire[:-3].split(b"\r\n")
    received = b"\r\n".join(line.removeprefix(b".") for line in lines)
    assert received == (message if message.endswith(b"\r\n") or not message else message + b"\r\n")


def test_stuffing_copies_nothing_that_stays_the_same():
    chunks = (b"a: b\r\n\r\n", b"body.\r\n.. no\r\n"[:7])
    assert all(after is before for after, before in zip(stuff(chunks), chunks, strict=True))


def test_large_content_is_stuffed_piece_by_piece():
    read = []

    def chunks():
        for number in range(4):
            read.append(number)
            yield b".\r\n" * PIECE

    wire = stuff(pieces(chunks()))
    assert next(wire) == b"."
    assert len(next(wire)) <= PIECE * 4 / 3
    assert read == [0], "the others wait until they are wanted"


async def test_large_message_that_the_host_takes_at_once_leaves_others_their_turn(mx, dial):
    client = await dial(mx)
    turns = 0

    async def drained(_):
        return True  # as if the kernel took it all

    client._wire.drained = drained

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await asyncio.sleep(0)
    before = turns
    await client._stream([b"x" * PIECE * 20])
    assert turns - before >= 20
    task.cancel()
    client.abort()
