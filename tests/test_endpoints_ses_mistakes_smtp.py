"""Of the mistakes that emulators of SES usually make, those about SMTP: a test each."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from mailferry.config import parse_listen
from mailferry.endpoints.ses.smtp import Outcome
from mailferry.endpoints.smtp.amazon import AmazonBackend
from mailferry.endpoints.smtp.dialects import Dialects
from mailferry.endpoints.smtp.faults import SmtpFaults
from mailferry.endpoints.smtp.limits import Limits
from mailferry.endpoints.smtp.sandbox import SandboxBackend
from mailferry.endpoints.smtp.server import Listener, Server
from mailferry.resources.access_keys import AccessKey
from mailferry.resources.aws_regions import smtp_password
from mailferry.resources.permissions import Rights
from mailferry.sandbox.capture import Capture
from mailferry.sandbox.faults import FaultPlayer
from tests.endpoints_smtp_support import (
    PASSWORD,
    USER,
    WRONG_LOGIN,
    Client,
    MemoryBackend,
    Running,
    base64_of,
    certificates,
    plain,
)

KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
MESSAGE_ID = "0107017033dbb64d-be13a01e-dbf1-44b7-b876-3622165dacc1-000000"


class Keys:
    def __init__(self, **changes: object) -> None:
        self.known = AccessKey(1, 1, KEY_ID, "shop", SECRET, bool(changes.get("disabled")), 0, Rights(1, 0, {}))

    async def key(self, key_id: str) -> AccessKey | None:
        return self.known if key_id == KEY_ID else None

    def used(self, key: AccessKey) -> None:
        pass


class Interface:
    """Answers as told, and remembers what it was asked."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.sent: list[tuple[str, str, tuple[str, ...]]] = []

    async def send(
        self, key: AccessKey, region: str, client_ip: str, sender: str, recipients: Sequence[str], message: bytes
    ) -> Outcome:
        self.sent.append((region, sender, tuple(recipients)))
        return self.outcome


class NoSandbox:
    async def capture(self, captures: Sequence[Capture]) -> list[int]:
        raise AssertionError("nobody sends to it here")


class NoInboxes:
    async def by_username(self, username: str) -> None:
        return None


class House:
    """A server with users of both dialects."""

    def __init__(
        self,
        outcome: Outcome | None = None,
        *,
        keys: Keys | None = None,
        plain: bool = True,
        limits: Limits | None = None,
    ) -> None:
        self.interface = Interface(outcome or Outcome(MESSAGE_ID))
        self.mailtrap = MemoryBackend()
        backend = Dialects(
            self.mailtrap,
            AmazonBackend(keys or Keys(), self.interface, "mail.test"),
            SandboxBackend(NoSandbox(), NoInboxes(), "mail.test", SmtpFaults(FaultPlayer())),
        )
        listener = Listener("127.0.0.1", 0, plain_auth=plain)
        self.server = Server(backend, [listener], tls=certificates().server, limits=limits, log=lambda facts: None)

    async def __aenter__(self) -> Client:
        await self.server.start()
        self.client = await Running(self.server, self.mailtrap, []).connect()
        await self.client.reply()
        await self.client.talk("EHLO client.test")
        return self.client

    async def __aexit__(self, *raised: object) -> None:
        await self.client.close()
        await self.server.close(0)


async def submit(client: Client) -> str:
    """The last reply."""
    await client.begin()
    return await client.talk("Subject: S\r\n\r\nHi\r\n.")


async def test_18_the_password_is_derived_and_never_the_secret_itself() -> None:
    async with House() as client:
        assert await client.talk(plain(KEY_ID, SECRET)) == "535 Authentication Credentials Invalid"
        assert (await client.talk(plain(KEY_ID, smtp_password(SECRET, "us-east-1")))).startswith("235 ")


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "me-south-1", "cn-north-1", "us-gov-west-1"])
async def test_18_passwords_of_all_regions_are_taken_and_the_region_is_the_message_s(region: str) -> None:
    house = House()
    async with house as client:
        assert (await client.talk(plain(KEY_ID, smtp_password(SECRET, region)))).startswith("235 ")
        assert await submit(client) == f"250 Ok {MESSAGE_ID}"
    assert house.interface.sent == [(region, "a@example.com", ("b@example.net",))]


async def test_18_auth_comes_after_starttls_and_login_is_one_of_its_ways() -> None:
    async with House(plain=False) as client:
        assert "AUTH" not in await client.talk("EHLO client.test")
        assert await client.talk(plain(KEY_ID, "x")) == "530 5.7.0 Must issue a STARTTLS command first"
        await client.talk("STARTTLS")
        await client.start_tls()
        assert "AUTH PLAIN LOGIN" in await client.talk("EHLO client.test")
        assert await client.talk("AUTH LOGIN") == f"334 {base64_of('Username:')}"
        assert await client.talk(base64_of(KEY_ID)) == f"334 {base64_of('Password:')}"
        assert (await client.talk(base64_of(smtp_password(SECRET, "eu-west-1")))).startswith("235 ")


#: Code of SES v1, and its text -> the reply.
REPLIES = {
    "Throttling": ("Maximum sending rate exceeded.", "454 Throttling failure: Maximum sending rate exceeded."),
    "MessageRejected": ("Email address is not verified.", "554 Message rejected: Email address is not verified."),
    "AccountSendingPausedException": ("Sending paused.", "554 Message rejected: Sending paused."),
    "ConfigurationSetDoesNotExist": ("Configuration set <x> ...", "554 Configuration Set does not exist"),
    "AccessDenied": ("User `a' is not", "554 Access denied: User `a' is not"),
    "InvalidParameterValue": ("Illegal address", "554 Transaction failed: Illegal address"),
}


@pytest.mark.parametrize("code", REPLIES)
async def test_18_a_rate_limit_is_454_so_that_relays_keep_their_mail_and_refusals_are_amazons(code: str) -> None:
    text, reply = REPLIES[code]
    async with House(Outcome(code=code, text=text)) as client:
        await client.talk(plain(KEY_ID, smtp_password(SECRET, "us-east-1")))
        assert await submit(client) == reply


async def test_what_the_session_itself_refuses_is_in_amazons_words_for_its_users_alone() -> None:
    small = Limits(message=1000, connections_per_account=1, auth_failures=2)
    login = plain(KEY_ID, smtp_password(SECRET, "us-east-1"))
    too_much = "Subject: S\r\n\r\n" + "x" * 990 + "\r\n" + "x" * 990 + "\r\n."
    house = House(limits=small)
    async with house as client:
        assert (await client.talk(login)).startswith("235 ")
        assert await client.talk("MAIL FROM:<a@example.com> SIZE=1001") == "552 Message is too long."
        await client.begin()
        assert await client.talk(too_much) == "552 Message is too long."
        second = await Running(house.server, house.mailtrap, []).connect()
        await second.reply()
        await second.talk("EHLO client.test")
        assert await second.talk(login) == "421 Too many concurrent SMTP connections"
        await second.close()

        third = await Running(house.server, house.mailtrap, []).connect()
        await third.reply()
        await third.talk("EHLO client.test")
        wrong = plain(KEY_ID, "x")
        assert await third.talk(wrong) == await third.talk(wrong) == "535 Authentication Credentials Invalid"
        assert await third.reply() == "421 Too many failed authentications, closing connection"
        await third.close()
    async with House(limits=small) as client:
        await client.talk(plain(USER, PASSWORD))
        await client.begin()
        assert await client.talk(too_much) == "552 5.3.4 Error: message too big"


async def test_18_mail_from_without_brackets_is_taken() -> None:
    house = House()
    async with house as client:
        await client.talk(plain(KEY_ID, smtp_password(SECRET, "us-east-1")))
        assert (await client.talk("MAIL FROM: sender@example.com")).startswith("250 ")
        assert (await client.talk("RCPT TO: b@example.net")).startswith("250 ")
        assert (await client.talk("DATA")).startswith("354 ")
        assert (await client.talk("Subject: S\r\n\r\nHi\r\n.")).startswith("250 Ok ")
    assert house.interface.sent == [("us-east-1", "sender@example.com", ("b@example.net",))]


async def test_a_disabled_key_is_refused_at_login_and_at_the_next_message() -> None:
    async with House(keys=Keys(disabled=True)) as client:
        assert (await client.talk(plain(KEY_ID, smtp_password(SECRET, "us-east-1")))).startswith("535 ")
    keys = Keys()
    async with House(keys=keys) as client:
        await client.talk(plain(KEY_ID, smtp_password(SECRET, "us-east-1")))
        assert (await submit(client)).startswith("250 ")
        keys.known = Keys(disabled=True).known
        assert (await client.talk("MAIL FROM:<a@example.com>")).startswith("421 ")


async def test_users_of_mailtrap_have_mailtrap_s_dialect_on_the_same_listener() -> None:
    house = House()
    async with house as client:
        assert (await client.talk(plain(USER, PASSWORD))).startswith("235 ")
        assert await submit(client) == "250 2.0.0 Ok: queued"
    async with House() as client:  # a token as the user's name is a mistake of Mailtrap's users
        assert await client.talk(plain("0123456789abcdef" * 2, PASSWORD)) == WRONG_LOGIN.wire().decode().strip()
    assert len(house.mailtrap.messages) == 1 and house.interface.sent == []


def test_18_the_page_names_all_of_amazon_s_ports() -> None:
    page = (Path(__file__).parent.parent / "docs" / "ses.md").read_text()
    listed = page.partition("[smtp] listen =")[2].partition("]")[0].strip(" \n[").replace('"', "").split(",")
    ports = {parse_listen(each.strip())[1:] for each in listed}
    assert ports == {(25, False), (587, False), (2587, False), (465, True), (2465, True)}
