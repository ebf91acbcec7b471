"""The bytes of one recipient: stored bytes are what came, and only the edits listed here are made, DKIM last.

- Bcc and the control headers (X-MT-...) go: the first names people who must not be seen, the second are for us.
- Date, Message-ID and, for mail that came by SMTP, Received are added where they are missing (RFC 5321 4.4, 5322 3.6).
  Amazon's dialect has the first two replaced.
- Vertical tabs and form feeds in header fields become spaces: verifiers of DKIM differ on what they are.
- UTF-8 in headers or addresses needs a peer with SMTPUTF8, or bounces with 5.6.7 (RFC 6531 3.7.1).
- For a peer without 8BITMIME the text is downgraded; what is signed or encrypted bounces with 5.6.3 instead.
- Parts with lines of more than 998 octets are encoded likewise; what is signed or encrypted leaves as it is, since many
  hosts do take it.
- Where a domain follows opens and clicks, or offers to unsubscribe, its texts get links that name the recipient, and the
  header its List-Unsubscribe fields (delivery/tracking.py): then each recipient's message is its own.

The Received field has no `from`, as Gmail's first one has none: what RFC 5321 4.4 wants there is the address and often
the name of somebody's own machine, which the world need not read (RFC 5322 3.6.7 does without; the log has it). It says
ESMTP, which is true of every submission. Whether there was TLS (ESMTPSA, RFC 3848) is not kept with a message, and a
trace must not claim more than is known.

Recipients whose bytes are equal share one prepared body and its signatures.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import TypeVar

from mailferry.delivery.job import Job
from mailferry.delivery.signing import Signers
from mailferry.delivery.tracking import Outline, Plan, Tracker, outline
from mailferry.delivery.transports.transport import Peer, Prepared
from mailferry.mail import address, dkim, structure
from mailferry.mail.header import LARGE, Field, Head, is_large, plain_blanks, read_head
from mailferry.mail.reply import Answer
from mailferry.resources.domains import DomainBook, DomainKey
from mailferry.resources.tracking_opt_outs import OptOutBook
from mailferry.store.secrets import Sealer

T = TypeVar("T")

#: Removed before a message leaves: who must not be seen (RFC 5322 3.6.3, 3.6.6), and what the final host adds (RFC 5321 4.4).
REMOVED = frozenset({b"bcc", b"resent-bcc", b"return-path"})
#: Control headers are for us (Mailtrap, docs, custom-variables).
CONTROL = b"x-mt-"
#: Endpoints of Amazon's dialect. It gives every message a Date and a Message-ID of its own, and has control headers too.
IDENTITIES = frozenset({"ses", "ses_smtp"})
REPLACED = REMOVED | {b"date", b"message-id"}
CONTROLS = (CONTROL, b"x-ses-")
#: Ours alone in mail to a contact list: one click must say no to it (RFC 8058 3.1).
LISTED = frozenset({b"list-unsubscribe", b"list-unsubscribe-post"})
#: Came by SMTP, so a trace is owed (RFC 5321 4.4).
SUBMITTED = frozenset({"smtp", "ses_smtp"})

#: Prepared messages kept for the other recipients of the same message.
SHARED = 64
SHARED_OCTETS = 64 * 1024 * 1024

#: Gives the stored bytes; asked once for all recipients that are alike.
Read = Callable[[], Awaitable[bytes]]
#: Recipients for whom this is the same get the same bytes, or the same outline of them: message, whether eight bits may
#: pass, public keys, what is tracked.
_Alike = tuple[str, bool, tuple[str, ...], Plan | None]
#: One that all share, why there is none, or what each recipient's own is made from.
_Made = Prepared | Answer | Outline


class Preparer:
    def __init__(
        self,
        book: DomainBook,
        sealer: Sealer,
        signers: Signers,
        clock: Callable[[], int],
        *,
        hostname: str,
        tracker: Tracker | None = None,
        opt_outs: OptOutBook | None = None,
    ) -> None:
        self._book = book
        self._sealer = sealer
        self._signers = signers
        self._clock = clock
        self._hostname = hostname
        self._tracker = tracker
        self._opt_outs = opt_outs
        self._shared: OrderedDict[_Alike, tuple[asyncio.Task[_Made], int]] = OrderedDict()
        self._octets = 0
        #: Large messages are made one after the other: together they would be no faster, and need more memory.
        self._aside = asyncio.Lock()
        #: A number of ours and the PEM, by the sealed key: SQLite gives the id of a deleted key to the next one.
        self._private: dict[bytes, tuple[int, bytes]] = {}

    async def prepare(self, job: Job, read: Read, peer: Peer) -> Prepared | Answer:
        """Raises only what ``read`` does, never for anything that is in the message: what cannot be sent is an Answer."""
        domain = await self._book.by_id(job.domain_id)
        if domain is None:
            return refusal("4.3.5", "the sending domain is gone")
        if not peer.utf8 and not address.is_ascii(job.address):
            return _NEEDS_UTF8  # whatever else may be in its way
        keys = tuple(key for key in domain.keys if key.published)
        plan = self._tracker.plan(domain, job) if self._tracker else None
        # A message that waited for its next try must not leave under a key that has gone from DNS meanwhile.
        alike = (job.message_id, peer.eight_bit, tuple(key.public for key in keys), plan)
        task, _ = self._shared.get(alike, (None, 0))
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = asyncio.create_task(self._make(domain.name, keys, job, read, peer, plan))
            self._share(alike, task, job.place.size)
        # Another recipient may wait for the same task: our being cancelled must not cancel it.
        made = await asyncio.shield(task)
        if isinstance(made, Outline):
            made = await self._make_own(domain.name, keys, job, made, peer)
        if isinstance(made, Prepared):
            return _fits(made, job, peer)
        return made

    def _share(self, alike: _Alike, task: "asyncio.Task[_Made]", octets: int) -> None:
        if alike in self._shared:
            self._octets -= self._shared[alike][1]
        self._shared[alike] = (task, octets)
        self._octets += octets
        while len(self._shared) > 1 and (len(self._shared) > SHARED or self._octets > SHARED_OCTETS):
            _, (_, dropped) = self._shared.popitem(last=False)
            self._octets -= dropped

    async def _make(
        self, domain: str, keys: Sequence[DomainKey], job: Job, read: Read, peer: Peer, plan: Plan | None
    ) -> _Made:
        body = await read()
        if plan is not None and (found := await self._apart(is_large(body), lambda: outline(body, plan))):
            return found
        return await self._finish(domain, keys, job, body, peer, ())

    async def _make_own(
        self, domain: str, keys: Sequence[DomainKey], job: Job, found: Outline, peer: Peer
    ) -> Prepared | Answer:
        """Of one recipient, for whom it is not kept: another try is rare."""
        assert self._tracker is not None
        key, follow = self._tracker.key, found.plan.follows
        if follow and self._opt_outs is not None:
            follow = not await self._opt_outs.stands(job.domain_id, job.address)
        large = job.place.size > LARGE
        body, fields = await self._apart(large, lambda: found.write(job, key, follow=follow))
        return await self._finish(domain, keys, job, body, peer, fields)

    async def _finish(
        self, domain: str, keys: Sequence[DomainKey], job: Job, body: bytes, peer: Peer, offered: Sequence[Field]
    ) -> Prepared | Answer:
        dressed = await self._apart(is_large(body), lambda: self._dress(domain, keys, job, body, peer, offered))
        if isinstance(dressed, Answer):
            return dressed
        signatures = await self._sign(keys, dressed.unsigned)
        return Prepared((signatures + dressed.head, dressed.body), eight_bit=dressed.eight_bit, utf8=dressed.utf8)

    async def _apart(self, large: bool, work: Callable[[], T]) -> T:
        """In a thread for a large message."""
        if not large:
            return work()
        async with self._aside:
            return await asyncio.to_thread(work)

    def _dress(
        self, domain: str, keys: Sequence[DomainKey], job: Job, body: bytes, peer: Peer, offered: Sequence[Field]
    ) -> "_Dressed | Answer":
        """All that does not wait; in a thread for a large message, so nothing of ours is changed here."""
        needs = structure.needs(body)
        head = self._edit(job, read_head(body), offered)
        # Of the fields that leave: one that is removed needs nothing.
        utf8 = needs.utf8_headers and not all(field.raw.isascii() for field in head.fields)
        if utf8 and not peer.eight_bit:
            # Asked first: changing the text would help nobody. RFC 6531 3.1: SMTPUTF8 is never there without 8BITMIME.
            return _NEEDS_UTF8
        eight_bit = needs.eight_bit
        if needs.long_lines or (eight_bit and not peer.eight_bit):
            changed = _downgraded(_message(head, body), must=eight_bit and not peer.eight_bit)
            if isinstance(changed, Answer):
                return changed
            if changed is not None:
                body, head, eight_bit = changed, read_head(changed), False
        names = [dkim.Key(domain, key.selector, key.algorithm) for key in keys]
        # The fields as edited, over the body as it lies behind the old ones: nothing is copied.
        unsigned = dkim.digest(head, body, names, timestamp=self._clock() // 1000) if keys else []
        return _Dressed(_block(head), body[head.body_at :], unsigned, eight_bit, utf8)

    def _edit(self, job: Job, head: Head, offered: Sequence[Field]) -> Head:
        """``offered``: fields of ours, where the sender has written none of that name."""
        removed, control = (REPLACED, CONTROLS) if job.endpoint in IDENTITIES else (REMOVED, CONTROL)
        if offered and job.terms.topic_id is not None:
            removed |= LISTED
        kept = [f for f in head.fields if f.lower not in removed and not f.lower.startswith(control)]
        fields = [plain_blanks(field) for field in kept]
        there = {field.lower for field in fields}
        date = formatdate(job.created_at / 1000)
        added = []
        if job.endpoint in SUBMITTED:
            trace = f"by {self._hostname} with ESMTP id {job.message_id};\r\n\t{date}"
            added.append(_field("Received", trace))
        if b"date" not in there:
            added.append(_field("Date", date))
        if b"message-id" not in there:
            added.append(_field("Message-ID", job.rfc_message_id))
        if b"list-unsubscribe" in there:
            there.add(b"list-unsubscribe-post")  # RFC 8058 3.1: one click is what our link can do, not the sender's own
        added += [field for field in offered if field.lower not in there]
        return Head((*added, *fields), head.body_at)

    async def _sign(self, keys: Sequence[DomainKey], unsigned: Sequence[dkim.Unsigned]) -> bytes:
        if not keys:
            return b""
        work = [(*self._private_key(key), each.digest) for key, each in zip(keys, unsigned, strict=True)]
        signed = await self._signers.sign(work)
        return b"".join(dkim.finish(each, signature) for each, signature in zip(unsigned, signed, strict=True))

    def _private_key(self, key: DomainKey) -> tuple[int, bytes]:
        known = self._private.get(key.private_sealed)
        if known is None:
            known = self._private[key.private_sealed] = (len(self._private), key.private_pem(self._sealer))
        return known


def refusal(enhanced: str, text: str) -> Answer:
    return Answer(0, enhanced, text, stage="prepare")


_NEEDS_UTF8 = refusal("5.6.7", "the message or an address needs SMTPUTF8, which the receiving host does not offer")


@dataclass(frozen=True, slots=True)
class _Dressed:
    """A message but for its signatures, and what it needs of the host."""

    head: bytes
    body: bytes
    unsigned: Sequence[dkim.Unsigned]
    eight_bit: bool
    utf8: bool


def _downgraded(message: bytes, *, must: bool) -> bytes | Answer | None:
    """In seven bits and short lines. Where it may not be changed: None if it may leave as it is."""
    try:
        return structure.downgrade(message)
    except structure.HeaderNotAscii:  # that of a part
        return _NEEDS_UTF8 if must else None
    except structure.CannotDowngrade as reason:
        text = f"the receiving host takes no 8-bit content, and this message must not be edited: {reason}"
        return refusal("5.6.3", text) if must else None


def _block(head: Head) -> bytes:
    return b"".join([*[field.raw for field in head.fields], b"\r\n"])


def _message(head: Head, body: bytes) -> bytes:
    return _block(head) + body[head.body_at :]


def _field(name: str, value: str) -> Field:
    return Field(name.encode(), f"{name}: {value}\r\n".encode())


def _fits(prepared: Prepared, job: Job, peer: Peer) -> Prepared | Answer:
    if prepared.utf8 and not peer.utf8:
        return _NEEDS_UTF8
    if prepared.utf8 or address.is_ascii(job.address):
        return prepared
    return Prepared(prepared.chunks, eight_bit=prepared.eight_bit, utf8=True)
