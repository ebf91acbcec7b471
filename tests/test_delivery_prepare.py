"""The bytes of one recipient: what came, with the listed edits, signed last. dkimpy and the `email` package judge them."""

import asyncio
import base64
import email
import email.policy
import re
import threading
import types
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import dkim as dkimpy
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from mailferry.delivery.job import Job
from mailferry.delivery.prepare import Preparer, Read
from mailferry.delivery.signing import Signers
from mailferry.delivery.transports.transport import Peer, Prepared
from mailferry.mail import dkim
from mailferry.mail.reply import Answer
from mailferry.resources import domains
from mailferry.resources.domains import FreshKeys
from tests import delivery_support
from tests.conftest import Clock, eventually
from tests.delivery_support import DOMAIN, SQLITE, Office

office, engines = delivery_support.office, delivery_support.engines
# What is prepared depends on no database: one is enough.
pytestmark = SQLITE

MODERN = Peer(eight_bit=True, utf8=True, size=0)
SEVEN_BIT = Peer(eight_bit=False, utf8=False, size=0)
NO_UTF8 = Peer(eight_bit=True, utf8=False, size=0)

HEAD = f"From: App <app@{DOMAIN}>\r\nTo: a@dest.test\r\nSubject: Hello\r\n".encode()
DATED = b"Date: Fri, 11 Jul 2003 21:00:37 -0700\r\nMessage-ID: <own@sender.test>\r\n"
PLAIN = HEAD + DATED + b"\r\nIt works.\r\n"
EIGHT_BIT = (
    HEAD + DATED + b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\n" + "Größe \t mit  Lücken \r\n\r\n".encode()
)
SIGNED = (
    HEAD + DATED + b"MIME-Version: 1.0\r\n"
    b'Content-Type: multipart/signed; boundary="b"; protocol="application/pgp-signature"; micalg=pgp-sha256\r\n\r\n'
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    + "Grüße\r\n".encode()
    + b"--b\r\nContent-Type: application/pgp-signature\r\n\r\nnot a real one\r\n--b--\r\n"
)
UTF8_HEAD = HEAD.replace(b"Hello", "Grüße".encode()) + DATED + b"\r\nIt works.\r\n"
UTF8_PART_HEAD = (
    HEAD + DATED + b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename="
    + "Größe.txt\r\n\r\nx\r\n--b--\r\n".encode()
)
LONG_LINE = (
    HEAD + DATED + b"MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\n" + "Größe ".encode() * 200 + b"\r\n"
)
LONG_LINE_SEALED = (
    HEAD + DATED + b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n"
    b"-----BEGIN PGP SIGNED MESSAGE-----\r\n" + b"x" * 999 + b"\r\n"
)
#: Beyond what is prepared in the event loop.
LARGE_TEXT = ("Größe \t mit  Lücken \r\n" * 12_000 + "\r\n\r\n").encode()


class CountingSigners(Signers):
    """Signs in a thread, and may be told to wait or to fail."""

    def __init__(self) -> None:
        super().__init__(0)
        self.signings = 0
        self.go = asyncio.Event()
        self.go.set()
        self.broken = False

    async def sign(self, work: Sequence[tuple[int, bytes, bytes]]) -> list[bytes]:
        self.signings += 1
        await self.go.wait()
        if self.broken:
            raise RuntimeError("on purpose")
        return await super().sign(work)


@pytest.fixture
def clock() -> Clock:
    """In the past: dkimpy takes no signature of the future."""
    made = Clock()
    made.now = 1_700_000_000_000
    return made


@pytest.fixture
async def signers() -> AsyncIterator[CountingSigners]:
    made = CountingSigners()
    yield made
    await made.close()


@pytest.fixture
def preparer(office: Office, signers: CountingSigners) -> Preparer:
    return Preparer(office.book, office.sealer, signers, office.clock, hostname="mail.test")


async def jobs_of(
    office: Office, raw: bytes | None, *addresses: str, sender: str = f"app@{DOMAIN}"
) -> list[tuple[Job, bytes]]:
    """Accepted, claimed, and read back from where the bytes lie."""
    await office.accept(*(addresses or ("a@dest.test",)), raw=raw, sender=sender)

    async def stored(job: Job) -> bytes:
        return await office.database.read(lambda c: office.content.read(c, job.place))

    return [(job, await stored(job)) for job in await office.claim()]


def given(body: bytes) -> Read:
    async def read() -> bytes:
        return body

    return read


async def prepared(office: Office, preparer: Preparer, raw: bytes | None, peer: Peer = MODERN) -> Prepared:
    ((job, body),) = await jobs_of(office, raw)
    made = await preparer.prepare(job, given(body), peer)
    assert isinstance(made, Prepared), made
    return made


async def refused(office: Office, preparer: Preparer, raw: bytes, peer: Peer) -> str:
    ((job, body),) = await jobs_of(office, raw)
    answer = await preparer.prepare(job, given(body), peer)
    assert isinstance(answer, Answer) and (answer.code, answer.stage) == (0, "prepare")
    return answer.enhanced


def whole(made: Prepared | Answer) -> bytes:
    assert isinstance(made, Prepared), made
    return b"".join(made.chunks)


def names(message: bytes) -> list[str]:
    return [name for name, _ in email.message_from_bytes(message, policy=email.policy.compat32).items()]


# --- the listed edits ----------------------------------------------------------------------------------------------


async def test_an_api_message_leaves_as_it_is_stored(office: Office, preparer: Preparer) -> None:
    ((job, body),) = await jobs_of(office, None)
    assert whole(await preparer.prepare(job, given(body), MODERN)) == body


async def test_mail_by_smtp_gets_a_trace_in_front_and_nothing_else(office: Office, preparer: Preparer) -> None:
    ((job, body),) = await jobs_of(office, PLAIN)
    made = whole(await preparer.prepare(job, given(body), MODERN))
    trace = made.removesuffix(PLAIN)
    assert made.endswith(PLAIN)
    assert re.fullmatch(
        rb"Received: by mail\.test with ESMTP id %b;\r\n\t\w{3}, \d\d \w{3} \d{4} [\d:]{8} -0000\r\n"
        % job.message_id.encode(),
        trace,
    )


@pytest.mark.parametrize(
    "fields",
    [
        b"Bcc: secret@dest.test\r\n",
        b"BCC: secret@dest.test,\r\n\tother@dest.test\r\n",
        b"bcc:\r\n",
        b"X-MT-Category: welcome\r\n",
        b'x-mt-custom-variables: {"a":\r\n "b"}\r\n',
        b"Resent-Bcc: secret@dest.test\r\nReturn-Path: <old@sender.test>\r\nX-MT-Anything: 1\r\n",
        b"Bcc: a@b.test\r\nX-MT-Category: x\r\nBcc: c@d.test\r\n",
    ],
)
async def test_fields_that_must_not_be_seen_are_taken_out(office: Office, preparer: Preparer, fields: bytes) -> None:
    raw = HEAD + fields + DATED + b"\r\nBcc: this is text\r\n"
    made = await prepared(office, preparer, raw)
    assert whole(made).endswith(HEAD + DATED + b"\r\nBcc: this is text\r\n")
    assert names(whole(made)) == ["Received", "From", "To", "Subject", "Date", "Message-ID"]


async def test_fields_that_look_alike_stay(office: Office, preparer: Preparer) -> None:
    raw = HEAD + b"X-Bcc: a\r\nBcc-Note: b\r\nX-MTA: c\r\nX-MT: d\r\n" + DATED + b"\r\n\r\n\r\nx  \r\n"
    assert whole(await prepared(office, preparer, raw)).endswith(raw)


@pytest.mark.parametrize("date", [True, False], ids=["date", "no date"])
@pytest.mark.parametrize("message_id", [True, False], ids=["id", "no id"])
async def test_date_and_message_id_are_added_where_they_are_missing(
    office: Office, preparer: Preparer, date: bool, message_id: bool
) -> None:
    own = (b"dAtE: Fri, 11 Jul 2003 21:00:37 -0700\r\n" if date else b"") + (
        b"message-id:<x@y>\r\n" if message_id else b""
    )
    ((job, body),) = await jobs_of(office, HEAD + own + b"\r\n")
    made = whole(await preparer.prepare(job, given(body), MODERN))
    assert made.endswith(HEAD + own + b"\r\n")
    found = email.message_from_bytes(made)
    assert len(found.get_all("Date", [])) == len(found.get_all("Message-ID", [])) == 1
    if not date:
        assert email.utils.parsedate_to_datetime(str(found["Date"])).timestamp() * 1000 == job.created_at
    assert found["Message-ID"] == ("<x@y>" if message_id else job.rfc_message_id)


@pytest.mark.parametrize("body", [b"", b"\r\n", b"no last line end", b" \t\r\n.\r\n..\r\n\r\n", bytes(range(1, 256))])
async def test_a_body_is_left_alone(office: Office, preparer: Preparer, body: bytes) -> None:
    raw = HEAD + DATED + b"X-Folded:   a\r\n \t b  \r\n\r\n" + body
    assert whole(await prepared(office, preparer, raw)).endswith(raw)


# --- what the host can take ----------------------------------------------------------------------------------------


async def test_eight_bits_stay_for_a_host_that_takes_them(office: Office, preparer: Preparer) -> None:
    made = await prepared(office, preparer, EIGHT_BIT)
    assert whole(made).endswith(EIGHT_BIT)
    assert (made.eight_bit, made.utf8) == (True, False)


async def test_text_is_made_seven_bit_for_a_host_without_8bitmime(office: Office, preparer: Preparer) -> None:
    made = await prepared(office, preparer, EIGHT_BIT, SEVEN_BIT)
    assert whole(made).isascii() and (made.eight_bit, made.utf8) == (False, False)
    read = email.message_from_bytes(whole(made), policy=email.policy.default)
    assert read["Content-Transfer-Encoding"] == "quoted-printable"
    assert read.get_payload(decode=True) == EIGHT_BIT.partition(b"\r\n\r\n")[2]


async def test_seven_bit_mail_is_the_same_for_both(office: Office, preparer: Preparer) -> None:
    assert whole(await prepared(office, preparer, PLAIN, SEVEN_BIT)).endswith(PLAIN)


async def test_what_is_signed_is_never_edited(office: Office, preparer: Preparer) -> None:
    assert await refused(office, preparer, SIGNED, SEVEN_BIT) == "5.6.3"
    assert whole(await prepared(office, preparer, SIGNED)).endswith(SIGNED)


async def test_utf8_headers_need_a_host_with_smtputf8(office: Office, preparer: Preparer) -> None:
    assert await refused(office, preparer, UTF8_HEAD, NO_UTF8) == "5.6.7"
    made = await prepared(office, preparer, UTF8_HEAD)
    assert whole(made).endswith(UTF8_HEAD) and made.utf8


@pytest.mark.parametrize(
    "raw",
    [
        UTF8_HEAD,
        UTF8_HEAD + "Größe\r\n".encode(),
        SIGNED.replace(b"Hello", "Grüße".encode()),
        UTF8_PART_HEAD,
    ],
    ids=["head", "head and body", "head and a body that must not be edited", "head of a part"],
)
async def test_utf8_headers_are_the_reason_whatever_else_a_host_lacks(
    office: Office, preparer: Preparer, raw: bytes
) -> None:
    assert await refused(office, preparer, raw, SEVEN_BIT) == "5.6.7"


async def test_a_utf8_address_is_the_reason_whatever_else_a_host_lacks(office: Office, preparer: Preparer) -> None:
    ((job, body),) = await jobs_of(office, SIGNED, "größe@dest.test")
    answer = await preparer.prepare(job, given(body), SEVEN_BIT)
    assert isinstance(answer, Answer) and answer.enhanced == "5.6.7"


@pytest.mark.parametrize("field", ["X-MT-Category: Grüße", "Bcc: Jörg <secret@dest.test>"])
@pytest.mark.parametrize("peer", [NO_UTF8, SEVEN_BIT], ids=["no SMTPUTF8", "seven bits"])
async def test_a_field_that_does_not_leave_needs_nothing(
    office: Office, preparer: Preparer, field: str, peer: Peer
) -> None:
    for raw in (PLAIN, EIGHT_BIT):
        made = await prepared(office, preparer, f"{field}\r\n".encode() + raw, peer)
        assert not made.utf8 and made.eight_bit == (raw is EIGHT_BIT and peer is NO_UTF8)
        assert whole(made).isascii() or made.eight_bit


async def test_lines_that_are_too_long_are_encoded_whatever_the_host_takes(office: Office, preparer: Preparer) -> None:
    for peer in (MODERN, SEVEN_BIT):
        made = await prepared(office, preparer, LONG_LINE, peer)
        assert max(map(len, whole(made).split(b"\r\n"))) <= 998 and not made.eight_bit
        read = email.message_from_bytes(whole(made), policy=email.policy.default)
        assert read.get_payload(decode=True) == LONG_LINE.partition(b"\r\n\r\n")[2]


async def test_what_must_not_be_edited_leaves_with_its_long_lines(office: Office, preparer: Preparer) -> None:
    for peer in (MODERN, SEVEN_BIT):
        assert whole(await prepared(office, preparer, LONG_LINE_SEALED, peer)).endswith(LONG_LINE_SEALED)


async def test_a_utf8_address_needs_a_host_with_smtputf8_and_its_neighbour_does_not(
    office: Office, preparer: Preparer
) -> None:
    jobs = await jobs_of(office, PLAIN, "größe@dest.test", "a@dest.test")
    by_address = {job.address: await preparer.prepare(job, given(body), NO_UTF8) for job, body in jobs}
    refusal, fine = by_address["größe@dest.test"], by_address["a@dest.test"]
    assert isinstance(refusal, Answer) and refusal.enhanced == "5.6.7"
    assert isinstance(fine, Prepared) and not fine.utf8
    made = await preparer.prepare(jobs[0][0], given(jobs[0][1]), MODERN)
    assert isinstance(made, Prepared) and made.utf8 == (jobs[0][0].address == "größe@dest.test")


async def test_a_large_message_is_made_beside_the_event_loop(
    office: Office, preparer: Preparer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_in: list[bool] = []
    digest = dkim.digest

    def spy(*arguments: Any, **named: Any) -> list[dkim.Unsigned]:
        made_in.append(threading.current_thread() is threading.main_thread())
        return digest(*arguments, **named)

    monkeypatch.setattr(dkim, "digest", spy)
    await office.add_domain("signed.test", keys=quick_key())
    for raw in (EIGHT_BIT, EIGHT_BIT + LARGE_TEXT):
        ((job, body),) = await jobs_of(office, from_signed(raw), sender="app@signed.test")
        assert whole(await preparer.prepare(job, given(body), MODERN)).endswith(from_signed(raw))
    assert made_in == [True, False], "the small one at once, for the way there and back costs more than the work"


# --- signatures ----------------------------------------------------------------------------------------------------


class VerifyKey:
    """dkimpy asks PyNaCl to check Ed25519; here `cryptography` answers."""

    def __init__(self, public: bytes, encoder: object) -> None:
        self.key = ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(public))

    def verify(self, message: bytes, signature: bytes) -> None:
        self.key.verify(signature, message)


@pytest.fixture
def ed25519_for_dkimpy() -> Iterator[None]:
    nacl = types.SimpleNamespace(
        signing=types.SimpleNamespace(VerifyKey=VerifyKey),
        encoding=types.SimpleNamespace(Base64Encoder=None),
        exceptions=types.SimpleNamespace(BadSignatureError=InvalidSignature, ValueError=ValueError),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dkimpy, "nacl", nacl, raising=False)
        yield


@pytest.fixture(scope="module")
def both_keys() -> FreshKeys:
    return domains.fresh_keys()


def quick_key() -> FreshKeys:
    private, public = dkim.generate("ed25519-sha256")
    return [("mf2", "ed25519-sha256", private, public.decode())]


def verdicts(message: bytes, keys: FreshKeys, domain: str = "signed.test") -> list[bool]:
    """Of each signature, by what is published for these keys."""
    records = {
        f"{selector}._domainkey.{domain}.": dkim.record(algorithm, public.encode())  # type: ignore[arg-type]  # FreshKeys says str
        for selector, algorithm, _, public in keys
    }
    found = []
    for index in range(message.count(b"DKIM-Signature:")):
        try:
            judge = dkimpy.DKIM(message)
            found.append(judge.verify(idx=index, dnsfunc=lambda name, timeout=5: records[name.decode()].encode()))
        except (dkimpy.ValidationError, KeyError):
            found.append(False)
    return found


def from_signed(raw: bytes) -> bytes:
    return raw.replace(DOMAIN.encode(), b"signed.test")


@pytest.mark.usefixtures("ed25519_for_dkimpy")
async def test_both_signatures_are_good_whatever_was_edited(
    office: Office, preparer: Preparer, both_keys: FreshKeys
) -> None:
    await office.add_domain("signed.test", keys=both_keys)
    edited = HEAD + b"Bcc: x@y.test\r\n\r\nIt works.\r\n"
    large = EIGHT_BIT + LARGE_TEXT
    odd = HEAD + b"List-Id: \v<a.signed.test>\f\r\n \v\r\n\r\nIt\v works.\f\r\n"
    cases = [
        (odd, MODERN),
        (PLAIN, MODERN),
        (edited, MODERN),
        (EIGHT_BIT, MODERN),
        (EIGHT_BIT, SEVEN_BIT),
        (UTF8_HEAD, MODERN),
    ]
    cases += [(large, MODERN), (large, SEVEN_BIT), (LONG_LINE, MODERN)]
    for raw, peer in cases:
        ((job, body),) = await jobs_of(office, from_signed(raw), sender="app@signed.test")
        made = whole(await preparer.prepare(job, given(body), peer))
        assert verdicts(made, both_keys) == [True, True]
        assert made.startswith(b"DKIM-Signature:") and b"Bcc" not in made
        assert verdicts(made.replace(b"Subject: ", b"Subject: x"), both_keys) == [False, False]


async def test_a_key_that_was_not_seen_in_dns_does_not_sign(office: Office, preparer: Preparer) -> None:
    domain = await office.add_domain("signed.test", keys=quick_key())
    await office.database.write(lambda c: domains.set_verified(c, domain, True, set(), office.clock()))
    office.book.forget()
    ((job, body),) = await jobs_of(office, from_signed(PLAIN), sender="app@signed.test")
    assert b"DKIM-Signature" not in whole(await preparer.prepare(job, given(body), MODERN))


async def test_recipients_of_a_message_share_one_preparation(
    office: Office, preparer: Preparer, signers: CountingSigners
) -> None:
    await office.add_domain("signed.test", keys=quick_key())
    raw = from_signed(EIGHT_BIT)
    jobs = await jobs_of(office, raw, "a@one.test", "b@two.test", "c@three.test", sender="app@signed.test")
    made = await asyncio.gather(*(preparer.prepare(job, given(body), MODERN) for job, body in jobs))
    assert signers.signings == 1 and len({id(each) for each in made}) == 1
    # A host with other abilities gets other bytes, another message its own signature.
    assert whole(await preparer.prepare(jobs[0][0], given(jobs[0][1]), SEVEN_BIT)) != whole(made[0])
    assert signers.signings == 2
    (other,) = await jobs_of(office, raw, "a@one.test", sender="app@signed.test")
    await preparer.prepare(other[0], given(other[1]), MODERN)
    assert signers.signings == 3


async def test_a_recipient_that_goes_away_does_not_take_the_others_with_it(
    office: Office, preparer: Preparer, signers: CountingSigners
) -> None:
    await office.add_domain("signed.test", keys=quick_key())
    jobs = await jobs_of(office, from_signed(PLAIN), "a@one.test", "b@two.test", sender="app@signed.test")
    signers.go.clear()
    first, second = (asyncio.ensure_future(preparer.prepare(job, given(body), MODERN)) for job, body in jobs)
    await eventually(lambda: signers.signings, 30)
    first.cancel()
    signers.go.set()
    assert isinstance(await second, Prepared)
    await asyncio.wait([first])
    assert first.cancelled()


async def test_a_preparation_that_failed_is_made_again(
    office: Office, preparer: Preparer, signers: CountingSigners
) -> None:
    await office.add_domain("signed.test", keys=quick_key())
    (mine,) = await jobs_of(office, from_signed(PLAIN), sender="app@signed.test")
    signers.broken = True
    with pytest.raises(RuntimeError, match="on purpose"):
        await preparer.prepare(mine[0], given(mine[1]), MODERN)
    signers.broken = False
    assert isinstance(await preparer.prepare(mine[0], given(mine[1]), MODERN), Prepared)


@pytest.mark.usefixtures("ed25519_for_dkimpy")
async def test_a_key_that_was_replaced_signs_no_more(office: Office, preparer: Preparer) -> None:
    old, new = quick_key(), quick_key()
    domain = await office.add_domain("signed.test", keys=old)
    (waiting,) = await jobs_of(office, from_signed(PLAIN), sender="app@signed.test")
    assert verdicts(whole(await preparer.prepare(waiting[0], given(waiting[1]), MODERN)), old) == [True]
    await office.database.write(lambda c: domains.remove(c, domain.id, office.clock()))
    await office.add_domain("signed.test", keys=new)
    (later,) = await jobs_of(office, from_signed(PLAIN), sender="app@signed.test")
    for mine in (waiting, later):  # a retry of the first too: what DNS says now is what its host will ask
        assert verdicts(whole(await preparer.prepare(mine[0], given(mine[1]), MODERN)), new) == [True]


async def test_a_domain_that_is_gone_for_a_while_is_asked_for_again(
    office: Office, preparer: Preparer, clock: Clock
) -> None:
    (mine,) = await jobs_of(office, PLAIN)
    await office.change_domain(deleted_at=1)
    answer = await preparer.prepare(mine[0], given(mine[1]), MODERN)
    assert isinstance(answer, Answer) and answer.enhanced == "4.3.5"
    await office.change_domain(deleted_at=0)
    assert isinstance(await preparer.prepare(mine[0], given(mine[1]), MODERN), Prepared)
