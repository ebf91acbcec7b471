"""Submission over SMTP as the product has it: what a message's own fields become in the log, on both databases."""

import base64
import json
import threading
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from mailferry.endpoints.smtp.backend import Envelope, Peer
from mailferry.endpoints.smtp.replies import Reply
from mailferry.endpoints.smtp.submission import Sender, SubmissionBackend
from mailferry.intake import checks
from mailferry.mail import header
from mailferry.resources import accesses, tokens
from mailferry.resources.accesses import Specifier
from mailferry.resources.permissions import ADMIN, Grant, Resource, Rights
from mailferry.resources.tokens import Token
from mailferry.store.schema import messages
from tests import delivery_support
from tests.delivery_support import DOMAIN, SQLITE, Office

office, engines = delivery_support.office, delivery_support.engines

FROM = f"From: App <app@{DOMAIN}>\r\n".encode()


class Nobody:
    async def by_digest(self, key: str) -> Token | None:
        return None


def backend(office: Office) -> SubmissionBackend:
    return SubmissionBackend(office.intake, Nobody(), "mail.test", office.clock)


def sender(office: Office) -> Sender:
    rights = Rights(office.account, 0, {(Resource.ACCOUNT, office.account): ADMIN})
    return Sender(Token(1, office.account, "test", 0, 0, rights), "transactional", "192.0.2.1", "")


async def submit(office: Office, message: bytes) -> Reply:
    envelope = Envelope(f"app@{DOMAIN}", recipients=["a@dest.test"])
    return await backend(office).data(sender(office), envelope, message)


async def kept(office: Office, message: bytes) -> Any:
    """The row of a message that is accepted."""
    reply = await submit(office, message)
    assert reply.code == 250, reply
    (row,) = await office.rows(messages, id=reply.text.removeprefix("Ok: queued as "))
    return row


def word(charset: str, octets: bytes) -> bytes:
    return f"=?{charset}?b?{base64.b64encode(octets).decode()}?=".encode()


#: Encoded words that spell what no database keeps, or what nobody wants on a terminal -> what the log shows.
ODD_WORDS = {
    b"=?utf-8?q?a=00b?=": "a\ufffdb",
    b"=?us-ascii?q?a=1B=5B2Jb=7F?=": "a\ufffd[2Jb\ufffd",
    b"=?utf-8?q?a=0D=0ABcc=3A_eve=40dest=2Etest?=": "a Bcc: eve@dest.test",
    b"=?utf-7?q?a+2AA-b?=": "a+2AA-b",
    word("utf-16-be", "a\0b".encode("utf-16-be")): "\ufffda\ufffd\ufffd\ufffdb",
    word("unicode_escape", rb"a\ud800"): r"a\ud800",
    word("utf-8", b"\xed\xa0\x80"): "í\xa0\x80",
}


@pytest.mark.parametrize("odd", ODD_WORDS)
async def test_what_encoded_words_spell_is_accepted_and_shown_with_a_mark(office: Office, odd: bytes) -> None:
    shown = ODD_WORDS[odd]
    row = await kept(office, FROM + b"Subject: x %b y\r\nMessage-ID: <%b@x>\r\n\r\n" % (odd, odd))
    assert (row.subject, row.rfc_message_id) == (f"x {shown} y", f"<{shown}@x>")
    row = await kept(office, b"From: %b <app@sender.test>\r\nX-MT-Category: %b\r\nMessage-ID: \r\n\r\n" % (odd, odd))
    assert (row.sender, row.category) == (f"app@{DOMAIN}", shown)
    assert row.rfc_message_id == f"<{row.id}@{DOMAIN}>"


async def variables(office: Office, *value: bytes) -> Any:
    """What the log shows of a field X-MT-Custom-Variables."""
    field = b"X-MT-Custom-Variables: " + b"\r\n ".join(value) + b"\r\n"
    return msgspec.json.decode((await kept(office, FROM + field + b"\r\n")).custom_variables)


VARIABLES: dict[str, dict[str, str]] = {
    r'{"a\u0000b": "c\u0000d"}': {"a\ufffdb": "c\ufffdd"},
    r'{"a": ["x\u0000", "y"], "b": [], "n": 1.5, "t": true, "o": {"in": "\u0000"}}': {
        "a": "x\ufffd",
        "b": "",
        "n": "1.5",
        "t": "true",
        "o": r'{"in":"\u0000"}',
    },
    r'{"a": "one\ntwo"}': {"a": "one\ntwo"},
    r'{"a": "\ud800"}': {},
    '{"a": "\0"}': {},
    r'["a"]': {},
    "{": {},
    "": {},
}


@pytest.mark.parametrize("text", VARIABLES)
async def test_custom_variables_that_nobody_could_show_are_marked_or_left_out(office: Office, text: str) -> None:
    assert await variables(office, word("utf-8", text.encode())) == VARIABLES[text]


async def test_custom_variables_that_grow_beyond_the_limit_are_left_out_like_those_that_came_so(office: Office) -> None:
    numbers = json.dumps({str(n): n for n in range(120)}, separators=(",", ":")).encode()
    assert len(numbers) <= 1000 < len(json.dumps({str(n): str(n) for n in range(120)}, separators=(",", ":")))
    pieces = [numbers[at : at + 900] for at in range(0, len(numbers), 900)]
    for text in ([b'{"a":"' + b"x" * 995, b'"}'], pieces):
        assert await variables(office, *text) == {}


@SQLITE
async def test_a_login_lasts_as_long_as_its_token_and_has_its_rights_of_the_day(office: Office) -> None:
    everything = [Grant(Resource.ACCOUNT, office.account, ADMIN)]
    token_id, secret = await office.database.write(
        lambda connection: tokens.create(connection, office.account, "test", everything, office.clock())
    )
    credentials = tokens.Credentials(office.database, office.clock, office.clock)
    backend = SubmissionBackend(office.intake, credentials, "mail.test", office.clock)
    peer = Peer("192.0.2.1", 25)
    identity = await backend.authenticate(peer, "api", secret)
    assert isinstance(identity, Sender) and secret not in repr(identity)
    assert identity.token.rights.granted(Resource.DOMAIN, ADMIN) is None
    assert await backend.mail(identity, f"app@{DOMAIN}", 0, peer) is None

    domain_only = [Grant(Resource.DOMAIN, office.domain, ADMIN)]

    def narrow(connection: Connection) -> None:
        (access,) = accesses.of_specifier(connection, Specifier.API_TOKEN, token_id)
        accesses.take_away(connection, [access.id])
        accesses.give(connection, office.account, Specifier.API_TOKEN, token_id, domain_only, office.clock())

    await office.database.write(narrow)
    credentials.forget()
    assert await backend.mail(identity, f"app@{DOMAIN}", 0, peer) is None
    assert identity.token.rights.granted(Resource.DOMAIN, ADMIN) == frozenset({office.domain})

    await office.database.write(lambda connection: tokens.remove(connection, token_id))
    assert await backend.mail(identity, f"app@{DOMAIN}", 0, peer) is None, "from memory, for a moment"
    office.clock.forward(seconds=3)
    reply = await backend.mail(identity, f"app@{DOMAIN}", 0, peer)
    assert reply is not None and (reply.code, reply.enhanced) == (421, "4.7.0")


@SQLITE
async def test_a_connection_counts_for_the_account(office: Office) -> None:
    assert backend(office).account(sender(office)) == office.account


@SQLITE
@pytest.mark.parametrize(
    "large",
    [
        b"Subject: x\r\n\r\n" + b"line\r\n" * (header.LARGE // 6),
        b"To: a@dest.test\r\n" * (header.LARGE_HEAD // 17) + b"\r\n",
    ],
    ids=["message", "head"],
)
async def test_what_is_large_is_read_beside_the_event_loop(
    office: Office, monkeypatch: pytest.MonkeyPatch, large: bytes
) -> None:
    read_in: list[bool] = []
    read_head = header.read_head

    def spy(message: bytes) -> header.Head:
        read_in.append(threading.current_thread() is threading.main_thread())
        return read_head(message)

    for module in (header, checks):  # the endpoint's reading and the draft's, and that of the checks
        monkeypatch.setattr(module, "read_head", spy)
    await kept(office, FROM + b"\r\nsmall\r\n")
    assert set(read_in) == {True}
    read_in.clear()
    await kept(office, FROM + large)
    assert len(read_in) > 2 and set(read_in) == {False}


@delivery_support.SQLITE
async def test_custom_variables_that_are_nested_too_deeply_are_left_out(office: Office) -> None:
    assert await variables(office, b'{"a":' + b"\r\n ".join([b"[" * 60] * 16)) == {}
