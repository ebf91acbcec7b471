"""Bad input by SMTP: a reply that says what is wrong, the server goes on, and nothing is half kept."""

import asyncio
import base64
import contextlib
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.hostile import EVE, MEGABYTE, Target, besieged, connected, said_until_closed

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Small, so that a flood of the test reaches it.
FROM_ONE_ADDRESS = 50
LARGEST = 10 * MEGABYTE
HEAD = b"From: app@sender.test\r\nTo: a@dest.test\r\nSubject: Hello\r\n"
ENVELOPE = b"MAIL FROM:<app@sender.test>\r\nRCPT TO:<a@dest.test>\r\nDATA\r\n"
#: What a smuggler wants to be taken for commands.
SMUGGLED = (
    b"MAIL FROM:<app@sender.test>\r\nRCPT TO:<" + EVE.encode() + b">\r\nDATA\r\n" + HEAD + b"\r\nsmuggled\r\n.\r\n"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def target(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    """One server for all: what one test breaks, the next one sees."""
    limits = {"smtp__max_connections_per_ip": FROM_ONE_ADDRESS, "smtp__max_message_size": LARGEST}
    async with besieged(tmp_path_factory.mktemp("smtp"), **limits) as found:
        yield found


class Client:
    """Says exactly what it is told, and reads replies."""

    def __init__(self, wire: socket.socket) -> None:
        self.wire = wire
        self._got = b""

    def say(self, octets: bytes) -> None:
        with contextlib.suppress(ConnectionError):  # it may have heard enough, and says so below
            self.wire.sendall(octets)

    def reply(self) -> str:
        """The next reply; "" when the server has closed."""
        lines: list[str] = []
        while not lines or lines[-1][3:4] == "-":
            while b"\r\n" not in self._got:
                with contextlib.suppress(ConnectionError):
                    if more := self.wire.recv(1 << 16):
                        self._got += more
                        continue
                return ""
            line, _, self._got = self._got.partition(b"\r\n")
            lines.append(line.decode("ascii"))
        return "\n".join(lines)

    def ask(self, line: bytes) -> str:
        self.say(line + b"\r\n")
        return self.reply()

    def mail(self, message: bytes, envelope: bytes = ENVELOPE) -> str:
        """The reply to a whole message and its end."""
        self.say(envelope)
        for _ in range(envelope.count(b"\r\n") - 1):
            assert self.reply().startswith("250 ")
        assert self.reply().startswith("354 ")
        self.say(message + b".\r\n")
        return self.reply()

    def is_in_step(self) -> bool:
        """Every reply so far answered a command: nothing more was taken for one."""
        return self.ask(b"NOOP in step").startswith("250 ") and self._got == b""


@contextlib.contextmanager
def session(target: Target, *, tls: bool = True, login: bool = True) -> Iterator[Client]:
    """A client after EHLO and, unless told otherwise, STARTTLS and AUTH."""
    with connected(target.server.smtp) as plain:
        client = Client(plain)
        assert client.reply().startswith("220 ")
        assert client.ask(b"EHLO client.test").startswith("250-")
        if not tls:
            yield client
            return
        assert client.ask(b"STARTTLS").startswith("220 ")
        with target.context.wrap_socket(plain, server_hostname="localhost") as secure:
            client = Client(secure)
            assert client.ask(b"EHLO client.test").startswith("250-")
            if login:
                secret = base64.b64encode(f"\0api\0{target.token}".encode())
                assert client.ask(b"AUTH PLAIN " + secret).startswith("235 ")
            yield client


# --- what a message must not be ------------------------------------------------------------------------------------

TEXT = b"\r\nIt works.\r\n"
#: Messages -> the reply, as far as it matters.
NO_MESSAGE: dict[bytes, str] = {
    b"": "550 5.6.0 Exactly one From field",
    b"\r\n\r\n": "550 5.6.0 Exactly one From field",
    b"Subject: x\r\n" + TEXT: "550 5.6.0 Exactly one From field",
    b"From: app@sender.test\r\n" + HEAD + TEXT: "550 5.6.0 Exactly one From field",
    b"FROM: app@sender.test\r\nfrom: b@sender.test\r\n" + TEXT: "550 5.6.0 Exactly one From field",
    b"From: app@sender.test, b@sender.test\r\n" + TEXT: "550 5.6.0 Exactly one From field",
    b"From: both: app@sender.test, b@sender.test;\r\n" + TEXT: "550 5.6.0 'From' address is invalid: a group",
    b"From: one: app@sender.test;\r\n" + TEXT: "550 5.6.0 'From' address is invalid: a group",
    b"From: nobody:;\r\n" + TEXT: "550 5.6.0 'From' address is invalid: a group",
    b"From:\r\n" + TEXT: "550 5.6.0 ",
    b"From: nobody\r\n" + TEXT: "550 5.6.0 'From' address is invalid",
    b"From: app@[127.0.0.1]\r\n" + TEXT: "550 5.6.0 'From' address is invalid",
    b"From: <@evil.test:app@sender.test>\r\n" + TEXT: "550 5.6.0 'From' address is invalid",
    b"From: app@sender.test\r\nFrom : eve@evil.test\r\n" + TEXT: "550 5.6.0 The message is malformed",
    b"From: app@evil.test\r\n" + TEXT: "550 5.7.1 'From' header does not match the sender's domain",
    b"From: app@sub.sender.test\r\n" + TEXT: "550 5.7.1 'From' header does not match the sender's domain",
    b"From: app@sender.test.evil.test\r\n" + TEXT: "550 5.7.1 'From' header does not match the sender's domain",
    b"no head at all\r\n": "550 5.6.0 The message is malformed",
    b" folded\r\n" + HEAD + TEXT: "550 5.6.0 The message is malformed",
    HEAD + b"X-A: \0\r\n" + TEXT: "554 5.6.0 NUL octet in line 4",
    HEAD + b"\r\n\0\r\n": "554 5.6.0 NUL octet in line 5",
    HEAD + b"\r\n" + b"x" * 999 + b"\r\n": "554 5.6.0 Line 5 is longer than 998 octets",
    HEAD + b"X-A: " + b"x" * 999 + b"\r\n" + TEXT: "554 5.6.0 Line 4 is longer than 998 octets",
    HEAD + b"\r\n" + b"x" * MEGABYTE + b"\r\n": "554 5.6.0 Line 5 is longer than 998 octets",
    HEAD + (b"X-A: " + b"x" * 900 + b"\r\n") * 1300 + TEXT: "550 5.6.0 The message is malformed",
    HEAD + b"\r\nbare\nline feed\r\n": "550 5.6.11 Bare line feed in line 5",
    HEAD + b"\r\nbare\rcarriage return\r\n": "550 5.6.11 Bare carriage return in line 5",
    HEAD + b"X-A: 1\nBcc: " + EVE.encode() + b"\r\n" + TEXT: "550 5.6.11 Bare line feed in line 4",
    HEAD + b"\r\n" + (b"x" * 998 + b"\r\n") * 20_000: "552 5.3.4 Error: message too big",
}
#: Odd, and no reason to refuse: what arrives is as it came.
ODD_MESSAGES = [
    HEAD + b"Subject: \xff\xfe\r\n" + TEXT,
    b"From: \xff <app@sender.test>\r\n" + TEXT,
    b"From:\r\n app@sender.test\r\n" + TEXT,
    b'From: "eve@evil.test, b@evil.test" <app@sender.test>\r\n' + TEXT,
    b"From: =?utf-8?q?eve=40evil=2Etest=2C?= <app@sender.test>\r\n" + TEXT,
    HEAD + b"X-MT-Custom-Variables: {\r\nX-MT-Category: =?klingon?q?=FF?=\r\n" + TEXT,
    HEAD + b"Subject: =?utf-7?q?+2AA-?= =?utf-8?q?=00=1B?=\r\nMessage-ID: <=?utf-7?q?+2AA-?=@x>\r\n" + TEXT,
    HEAD + b'X-MT-Category: =?utf-8?q?=00?=\r\nX-MT-Custom-Variables: {"a\\u0000": "\\u0000"}\r\n' + TEXT,
    HEAD + b"X-A: 1\r\n" * 5000 + TEXT,
    HEAD + b"\r\n" + b"..\r\n" * 1000,
    HEAD,
]


def send_bad_messages(target: Target) -> None:
    with session(target) as client:
        for message, expected in NO_MESSAGE.items():
            reply = client.mail(message)
            assert reply.startswith(expected), (message[:200], reply)
            assert client.is_in_step(), message[:200]


def send_odd_messages(target: Target) -> None:
    with session(target) as client:
        for message in ODD_MESSAGES:
            reply = client.mail(message)
            assert reply.startswith("250 2.0.0 Ok: queued as "), (message[:200], reply)
            target.good += 1


async def test_what_is_no_message_is_refused_and_the_session_goes_on(target: Target) -> None:
    before = target.forget_peak()
    await asyncio.to_thread(send_bad_messages, target)
    assert target.peak() - before < 100 * MEGABYTE
    await asyncio.to_thread(send_odd_messages, target)
    await target.unharmed()


# --- smuggling (the papers of 2023: one side's end of data is the other side's text) ---------------------------------

FALSE_ENDS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\n.\r",
    b"\r.\n",
    b"\r\r\n.\r\r\n",
    b"\r\n.\r\r\n",
    b"\n\n.\n\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
]


def end_falsely(target: Target, end: bytes) -> None:
    with session(target) as client:
        reply = client.mail(HEAD + b"\r\nx" + end + SMUGGLED.removesuffix(b".\r\n"))
        assert reply[:4] in ("550 ", "554 "), (end, reply)
        # Either the session is over, or what came is one message: never is a command answered.
        client.say(b"QUIT\r\n")
        assert client.reply()[:4] in ("", "221 "), end


#: Lines that two readers count differently, or behind which no command may come.
FALSE_LINES = [
    b"NOOP\nRCPT TO:<x@y.test>",
    b"NOOP\rNOOP",
    b"\nNOOP",
    b"MAIL FROM:<app@sender.test>\n",
    b"POST / HTTP/1.1",
    b"BDAT 100 LAST",
]


def say_falsely(target: Target, line: bytes) -> None:
    with session(target) as client:
        client.say(line + b"\r\n" + SMUGGLED)
        assert client.reply().startswith("500 ") and client.reply() == "", line


def inject_before_tls(target: Target) -> None:
    """What is said in clear behind STARTTLS must be no command once TLS is there (RFC 3207 section 6)."""
    with connected(target.server.smtp) as plain:
        client = Client(plain)
        assert client.reply().startswith("220 ")
        assert client.ask(b"EHLO client.test").startswith("250-")
        client.say(b"STARTTLS\r\nEHLO eve.test\r\n" + SMUGGLED)
        assert client.reply().startswith("220 ")
        with contextlib.suppress(OSError), target.context.wrap_socket(plain, server_hostname="localhost") as secure:
            # Where the handshake survives, the session is new: nobody said EHLO, nobody is logged in.
            assert Client(secure).ask(b"MAIL FROM:<app@sender.test>").startswith("503 ")
    with session(target, tls=False) as client:
        secret = base64.b64encode(f"\0api\0{target.token}".encode())
        assert client.ask(b"AUTH PLAIN " + secret).startswith("530 5.7.0 Must issue a STARTTLS")
        assert client.ask(b"MAIL FROM:<app@sender.test>").startswith("530 5.7.0 Must issue a STARTTLS")
        assert client.ask(b"STARTTLS").startswith("220 ")
        client.say(b"EHLO in clear\r\n")
        assert said_until_closed(client.wire) == b""


async def test_nothing_is_smuggled(target: Target) -> None:
    # At once: a server that has refused reads on for a while before it closes.
    stories = [asyncio.to_thread(end_falsely, target, end) for end in FALSE_ENDS]
    stories += [asyncio.to_thread(say_falsely, target, line) for line in FALSE_LINES]
    await asyncio.gather(*stories, asyncio.to_thread(inject_before_tls, target))
    await target.unharmed()


# --- commands ------------------------------------------------------------------------------------------------------

#: Lines after AUTH, each in the state that those before it left -> the reply, as far as it matters.
COMMANDS: list[tuple[bytes, str]] = [
    (b"VRFY root", "252 "),
    (b"EXPN list", "500 "),
    (b"ETRN sender.test", "500 "),
    (b"XCLIENT ADDR=192.0.2.1", "500 "),
    (b"HELP", "214 "),
    (b"", "500 "),
    (b"\xff\xfe\xfd", "500 "),
    (b"NOOP \0", "500 5.5.2 Error: NUL octet"),
    (b"x" * 5000, "500 5.5.2 Error: command line too long"),
    (b"EHLO", "501 "),
    (b"EHLO two words", "501 "),
    (b"EHLO " + b"x" * 300, "501 "),
    (b"EHLO \xff", "501 "),
    (b'EHLO "><script>', "250-"),
    (b"DATA", "503 "),
    (b"RCPT TO:<a@dest.test>", "503 "),
    (b"MAIL FROM: app", "501 "),
    (b"MAIL FROM:<>", "553 5.1.8"),
    (b"MAIL FROM:<app@sender.test> SIZE=99999999999999999999", "552 5.3.4"),
    (b"MAIL FROM:<app@sender.test> SIZE=%d" % (LARGEST + 1), "552 5.3.4"),
]
MORE_COMMANDS: list[tuple[bytes, str]] = [
    (b"MAIL FROM:<app@sender.test> SIZE=-1", "501 "),
    (b"MAIL FROM:<app@sender.test> BODY=BINARYMIME", "501 "),
    (b"MAIL FROM:<app@sender.test> X=1", "555 "),
    (b"MAIL FROM:<app@sender.test>", "250 "),
    (b"MAIL FROM:<app@sender.test>", "503 "),
    (b"RCPT TO:<>", "501 "),
    (b"RCPT TO:<" + b"a" * 500 + b"@dest.test>", "501 "),
    (b"RCPT TO:<a@dest.test,b@dest.test>", "501 "),
    (b"RCPT TO:<@evil.test:a@dest.test>", "501 "),
    (b"RCPT TO:<a@dest.test> NOTIFY=NEVER", "555 "),
    ("RCPT TO:<ü@dest.test>".encode(), "553 5.6.7"),
    (b"DATA", "554 5.5.1 Error: no valid recipients"),
    (b"RSET", "250 "),
    (b"MAIL FROM:<app@evil.test>", "250 "),
    (b"RCPT TO:<a@dest.test>", "250 "),
    (b"EHLO again", "250-"),  # ends the transaction
    (b"RCPT TO:<a@dest.test>", "503 "),
    (b"QUIT", "221 "),
]
LOGINS: list[tuple[bytes, str]] = [
    (b"AUTH", "501 "),
    (b"AUTH GSSAPI", "504 "),
    (b"AUTH PLAIN ***", "501 "),
    (b"AUTH PLAIN =", "501 "),
    (b"AUTH LOGIN ====", "501 "),
    (b"AUTH PLAIN " + b"A" * 20_000, "500 5.5.6"),
    (b"AUTH PLAIN", "334"),
    (b"*", "501 5.7.0 Authentication cancelled"),
    (b"AUTH LOGIN", "334 "),
    (base64.b64encode(b"api"), "334 "),
    (base64.b64encode(b"wrong"), "535 5.7.8 "),
    (b"AUTH PLAIN " + base64.b64encode(b"\0nobody\0wrong"), "535 5.7.8 "),
    (b"AUTH PLAIN " + base64.b64encode(b"\0api\0\xff"), "501 "),
    (b"AUTH PLAIN " + base64.b64encode(b"root\0api\0wrong"), "535 5.7.8 "),
    (b"", "421 4.7.0 Too many failed authentications"),
]


def converse(target: Target) -> None:
    for table, login in ((COMMANDS, True), (MORE_COMMANDS, True), (LOGINS, False)):
        with session(target, login=login) as client:
            for line, expected in table:
                reply = client.reply() if not line and expected.startswith("421") else client.ask(line)
                assert reply.startswith(expected), (line[:100], reply)


def pipeline(target: Target) -> None:
    for garbage in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", bytes(range(256)) * 1000, b"\0" * 100_000):
        with connected(target.server.smtp) as wire:
            Client(wire).say(garbage + b"\r\n")
            wire.shutdown(socket.SHUT_WR)
            assert b"\r\n500 " in said_until_closed(wire), garbage[:20]
    with connected(target.server.smtp) as wire:
        Client(wire).say(b"garbage\r\n" * 20_000)
        said = said_until_closed(wire)
        assert said.count(b"500 5.5.1") == 20 and said.endswith(b"421 4.7.0 Too many errors, closing connection\r\n")
    with session(target) as client:
        many = b"".join(b"RCPT TO:<r%d@dest.test>\r\n" % number for number in range(10_000))
        client.say(b"MAIL FROM:<app@sender.test>\r\n" + many + b"RSET\r\n" * 10_000)
        codes = Counter(client.reply()[:9] for _ in range(20_001))
        assert codes == {"250 2.1.0": 1, "250 2.1.5": 1000, "452 4.5.3": 9000, "250 2.0.0": 10_000}
        for octet in ENVELOPE + HEAD + TEXT + b".\r\n":
            client.say(bytes([octet]))
        assert [client.reply()[:3] for _ in range(4)] == ["250", "250", "354", "250"]
        target.good += 1


async def test_commands_logins_and_pipelined_garbage(target: Target) -> None:
    before = target.forget_peak()
    await asyncio.to_thread(converse, target)
    await asyncio.to_thread(pipeline, target)
    assert target.peak() - before < 50 * MEGABYTE
    await target.unharmed()


# --- connections ---------------------------------------------------------------------------------------------------


def leave_in_the_middle(target: Target) -> None:
    for said in (
        b"MAIL FR",
        ENVELOPE,
        ENVELOPE + HEAD,
        ENVELOPE + HEAD + TEXT + b".",
        ENVELOPE + HEAD + b"x" * MEGABYTE,
    ):
        with session(target) as client:
            client.say(said)
    with session(target, login=False) as client:
        client.say(b"AUTH LOGIN\r\n")
    with connected(target.server.smtp):
        pass


def flood(target: Target) -> None:
    """More connections than one address may have: the rest hears why, and room is made when they go."""
    with contextlib.ExitStack() as held:
        wires = [held.enter_context(connected(target.server.smtp)) for _ in range(2 * FROM_ONE_ADDRESS)]
        greetings = Counter(Client(wire).reply()[:9] for wire in wires)
        assert greetings["220 mail."] <= FROM_ONE_ADDRESS and greetings["421 4.7.0"] >= FROM_ONE_ADDRESS
    wait_for_room(target)


def wait_for_room(target: Target) -> None:
    until = time.monotonic() + 30
    while True:
        with connected(target.server.smtp) as wire:
            if Client(wire).reply().startswith("220 "):
                return
        assert time.monotonic() < until
        time.sleep(0.05)


async def test_connections_that_end_or_stop_in_the_middle(target: Target) -> None:
    await asyncio.to_thread(leave_in_the_middle, target)
    with contextlib.ExitStack() as held:
        for said in (b"", b"MAIL", b"RCPT TO:<" + b"x" * 2000, ENVELOPE, ENVELOPE + HEAD):
            for _ in range(5):
                held.enter_context(session(target)).say(said)
        for _ in range(10):
            held.enter_context(connected(target.server.smtp))
        await target.send_good()
    await asyncio.to_thread(flood, target)
    await target.unharmed()


async def test_at_the_end_the_command_line_shows_the_good_ones_and_half_open_sessions_stop_nothing(
    target: Target,
) -> None:
    await target.unharmed()
    kept = await asyncio.to_thread(target.server.command, "messages", "list", "--limit", "10000")
    assert len(kept) == target.good
    assert (await asyncio.to_thread(target.server.command, "queue"))["waiting"] == []
    with session(target) as client, session(target) as other, connected(target.server.smtp):
        client.say(ENVELOPE + HEAD)
        other.say(b"MAIL FROM:<app@sender.test>\r\n")
        await asyncio.to_thread(target.server.stop)
    assert "Traceback" not in target.server.log.read_text()
