"""An inbox over SMTP: who may log in and how, what is caught, and what is refused (Mailtrap's words)."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from mailferry.endpoints.smtp.amazon import AmazonBackend
from mailferry.endpoints.smtp.dialects import Dialects
from mailferry.endpoints.smtp.faults import SmtpFaults
from mailferry.endpoints.smtp.host import CramMd5
from mailferry.endpoints.smtp.sandbox import SandboxBackend
from mailferry.endpoints.smtp.server import Listener, Server
from mailferry.resources.inboxes import Inbox
from mailferry.sandbox.capture import Capture
from mailferry.sandbox.faults import FaultPlayer
from tests.endpoints_smtp_support import PASSWORD, USER, Client, MemoryBackend, Running, base64_of, certificates, plain

INBOX = Inbox(
    id=7,
    account_id=1,
    project_id=1,
    name="Staging",
    username="0123456789abcd",
    password="fedcba98765432",
    email_username="",
    email_username_enabled=False,
    status="active",
    max_size=10,
    max_message_size=1000,
    messages_count=0,
    unread_count=0,
    caught_count=0,
    forwarded_count=0,
    last_message_at=0,
    faults="",
)
MAIL = "Subject: Hi\r\n\r\nIt works.\r\n"


class House:
    """A sandbox and its inboxes in memory."""

    def __init__(self) -> None:
        self.inbox: Inbox | None = INBOX
        self.caught: list[Capture] = []

    async def capture(self, captures: Sequence[Capture]) -> list[int]:
        self.caught += captures
        return [len(self.caught)] if self.inbox else [0]

    async def by_username(self, username: str) -> Inbox | None:
        return self.inbox if self.inbox and username == self.inbox.username else None


@asynccontextmanager
async def connected(house: House, *, cram_md5: CramMd5 = "clear", plain_auth: bool = True) -> AsyncIterator[Client]:
    """All three products behind one listener, as the server has them. EHLO is said."""
    backend = Dialects(
        MemoryBackend(), _no_amazon(), SandboxBackend(house, house, "mail.test", SmtpFaults(FaultPlayer()))
    )
    listener = Listener("127.0.0.1", 0, plain_auth=plain_auth, cram_md5=cram_md5)
    server = Server(backend, [listener], tls=certificates().server, limits=None, log=lambda facts: None)
    await server.start()
    client = await Running(server, MemoryBackend(), []).connect()
    try:
        await client.reply()
        client.offers = (await client.talk("EHLO c")).splitlines()  # type: ignore[attr-defined]
        yield client
    finally:
        await client.close()
        await server.close(0)


def _no_amazon() -> AmazonBackend:
    class Keys:
        async def key(self, key_id: str) -> None:
            return None

        def used(self, key: object) -> None: ...

    return AmazonBackend(Keys(), None, "mail.test")  # type: ignore[arg-type]


async def answered(client: Client, password: str, username: str = INBOX.username) -> str:
    """The reply to a whole CRAM-MD5 exchange."""
    code, _, challenge = (await client.talk("AUTH CRAM-MD5")).partition(" ")
    assert code == "334"
    asked = b64decode(challenge)
    assert asked.startswith(b"<") and asked.endswith(b"@mx.mailferry.test>")
    digest = hmac.new(password.encode(), asked, "md5").hexdigest()
    return await client.talk(b64encode(f"{username} {digest}".encode()).decode())


async def test_a_message_is_caught_once_whatever_the_number_of_its_recipients() -> None:
    house = House()
    async with connected(house) as client:
        assert (await client.talk(plain(INBOX.username, INBOX.password))).startswith("235 ")
        assert (await client.talk("MAIL FROM:<>")).startswith("250 ")  # any sender, and none
        for recipient in ("a@dest.test", "b@dest.test", "a@dest.test"):
            assert (await client.talk(f"RCPT TO:<{recipient}>")).startswith("250 ")
        assert (await client.talk("DATA")).startswith("354 ")
        assert await client.talk(f"{MAIL}.") == "250 2.0.0 Ok: queued as 1"
    (caught,) = house.caught
    assert (caught.inbox_id, caught.envelope_from, caught.envelope_to) == (7, "", ("a@dest.test", "b@dest.test"))
    assert caught.message == MAIL.encode() and caught.client_ip == "127.0.0.1"


async def test_a_challenge_is_answered_without_telling_the_password() -> None:
    async with connected(House(), plain_auth=False) as client:
        assert "250 AUTH CRAM-MD5" in client.offers  # type: ignore[attr-defined]
        assert (await client.talk(plain(INBOX.username, INBOX.password))).startswith("530 ")
        assert await answered(client, INBOX.password) == "235 2.7.0 Authentication successful"
        assert (await client.talk("MAIL FROM:<a@b.test>")).startswith("250 ")


@pytest.mark.parametrize(
    ("cram_md5", "offered"),
    [("", "AUTH PLAIN LOGIN"), ("clear", "AUTH PLAIN LOGIN"), ("always", "AUTH PLAIN LOGIN CRAM-MD5")],
)
async def test_where_passwords_may_be_said_a_challenge_is_offered_on_demand(cram_md5: CramMd5, offered: str) -> None:
    async with connected(House(), cram_md5=cram_md5) as client:
        assert f"250 {offered}" in client.offers  # type: ignore[attr-defined]
        expected = "334 " if cram_md5 else "504 5.5.4 "  # who knows that it is there may use it
        assert (await client.talk("AUTH CRAM-MD5")).startswith(expected)


async def test_wrong_credentials_are_refused_in_mailtrap_s_words() -> None:
    refused = "535 5.7.0 Invalid login or password"
    async with connected(House()) as client:
        assert await client.talk(plain(INBOX.username, "wrong")) == refused
        assert await answered(client, "wrong") == refused
    async with connected(House()) as client:
        assert await answered(client, INBOX.password, "0" * 14) == refused
        assert (await answered(client, PASSWORD, USER)).startswith("535 5.7.8 CRAM-MD5 is for users of sandbox inboxes")


@pytest.mark.parametrize("response", ["", "no digest", "0123456789abcd " + "x" * 32, "0123456789abcd\0 " + "0" * 32])
async def test_an_answer_that_is_none_is_malformed(response: str) -> None:
    async with connected(House()) as client:
        await client.talk("AUTH CRAM-MD5")
        assert (await client.talk(base64_of(response))).startswith("501 5.5.2 ")
        assert (await client.talk("NOOP")).startswith("250 ")


async def test_a_challenge_has_no_initial_response_and_may_be_cancelled() -> None:
    async with connected(House()) as client:
        assert (await client.talk("AUTH CRAM-MD5 Zm9v")).startswith("501 5.5.2 ")
        await client.talk("AUTH CRAM-MD5")
        assert (await client.talk("*")).startswith("501 5.7.0 ")


async def test_a_message_beyond_the_inbox_s_size_is_refused_before_and_after_it_came() -> None:
    house = House()
    async with connected(house) as client:
        await client.talk(plain(INBOX.username, INBOX.password))
        assert await client.talk("MAIL FROM:<a@b.test> SIZE=1001") == "552 5.3.4 Error: message too big"
        assert (await client.talk("MAIL FROM:<a@b.test>")).startswith("250 ")
        await client.talk("RCPT TO:<a@dest.test>")
        await client.talk("DATA")
        assert await client.talk("Subject: Hi\r\n\r\n" + "x\r\n" * 500 + ".") == "552 5.3.4 Error: message too big"
    assert house.caught == []


async def test_a_connection_does_not_outlive_its_credentials() -> None:
    house = House()
    async with connected(house) as client:
        await client.talk(plain(INBOX.username, INBOX.password))
        await client.talk("MAIL FROM:<a@b.test>")
        await client.talk("RCPT TO:<a@dest.test>")
        await client.talk("DATA")
        house.inbox = None  # deleted in this moment
        assert await client.talk(f"{MAIL}.") == "554 5.5.1 Error: no sandbox for this email."
        house.inbox = replace(INBOX, password="another")
        assert (await client.talk("MAIL FROM:<a@b.test>")).startswith("421 4.7.0 ")
