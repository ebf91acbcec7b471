"""The bytes of one recipient: stored bytes are what came, and only the edits listed here are made, DKIM last.

- Bcc and the control headers (X-MT-...) go: the first names people who must not be seen, the second are for us.
- Date, Message-ID and, for mail that came by SMTP, Received are added where they are missing (RFC 5321 4.4, 5322 3.6).
- For a peer without 8BITMIME the text is downgraded; what is signed or encrypted bounces with 5.6.3 instead.
- UTF-8 in headers or addresses needs a peer with SMTPUTF8, or bounces with 5.6.7 (RFC 6531 3.7.1).

Recipients whose bytes are equal share one prepared body and its signatures.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from email.utils import formatdate

from mailferry.delivery.job import Job
from mailferry.delivery.signing import Signers
from mailferry.delivery.transports.transport import Peer, Prepared
from mailferry.mail import address, dkim, structure
from mailferry.mail.header import Field, Head, read_head
from mailferry.mail.reply import Answer
from mailferry.resources.domains import DomainBook, DomainKey
from mailferry.store.secrets import Sealer

#: Removed before a message leaves: who must not be seen (RFC 5322 3.6.3, 3.6.6), and what the final host adds (RFC 5321 4.4).
REMOVED = frozenset({b"bcc", b"resent-bcc", b"return-path"})
#: Control headers are for us (Mailtrap, docs, custom-variables).
CONTROL = b"x-mt-"

#: Prepared messages kept for the other recipients of the same message.
SHARED = 64
SHARED_OCTETS = 64 * 1024 * 1024

#: Recipients for whom this is the same get the same bytes: message, whether eight bits may pass, public keys.
_Alike = tuple[str, bool, tuple[str, ...]]


class Preparer:
    def __init__(
        self, book: DomainBook, sealer: Sealer, signers: Signers, clock: Callable[[], int], *, hostname: str
    ) -> None:
        self._book = book
        self._sealer = sealer
        self._signers = signers
        self._clock = clock
        self._hostname = hostname
        self._shared: OrderedDict[_Alike, tuple[asyncio.Task[Prepared | Answer], int]] = OrderedDict()
        self._octets = 0
        #: A number of ours and the PEM, by the sealed key: SQLite gives the id of a deleted key to the next one.
        self._private: dict[bytes, tuple[int, bytes]] = {}

    async def prepare(self, job: Job, body: bytes, peer: Peer) -> Prepared | Answer:
        """Never raises for anything that is in the message: what cannot be sent is an Answer."""
        domain = await self._book.by_id(job.domain_id)
        if domain is None:
            return refusal("4.3.5", "the sending domain is gone")
        keys = tuple(key for key in domain.keys if key.published)
        # A message that waited for its next try must not leave under a key that has gone from DNS meanwhile.
        alike = (job.message_id, peer.eight_bit, tuple(key.public for key in keys))
        task, _ = self._shared.get(alike, (None, 0))
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = asyncio.create_task(self._make(domain.name, keys, job, body, peer))
            self._share(alike, task, len(body))
        # Another recipient may wait for the same task: our being cancelled must not cancel it.
        prepared = await asyncio.shield(task)
        if isinstance(prepared, Prepared):
            return _fits(prepared, job, peer)
        return prepared

    def _share(self, alike: _Alike, task: "asyncio.Task[Prepared | Answer]", octets: int) -> None:
        if alike in self._shared:
            self._octets -= self._shared[alike][1]
        self._shared[alike] = (task, octets)
        self._octets += octets
        while len(self._shared) > 1 and (len(self._shared) > SHARED or self._octets > SHARED_OCTETS):
            _, (_, dropped) = self._shared.popitem(last=False)
            self._octets -= dropped

    async def _make(
        self, domain: str, keys: Sequence[DomainKey], job: Job, body: bytes, peer: Peer
    ) -> Prepared | Answer:
        needs = structure.needs(body)
        if needs.eight_bit and not peer.eight_bit:
            try:
                body = structure.downgrade(body)
            except structure.CannotDowngrade as reason:
                return refusal(
                    "5.6.3", f"the receiving host takes no 8-bit content, and this message must not be edited: {reason}"
                )
        head = self._edit(job, read_head(body))
        signatures = await self._sign(domain, keys, head, body)
        fields = b"".join(field.raw for field in head.fields)
        return Prepared(
            (signatures + fields + b"\r\n", body[head.body_at :]),
            eight_bit=needs.eight_bit and peer.eight_bit,
            utf8=needs.utf8_headers,
        )

    def _edit(self, job: Job, head: Head) -> Head:
        fields = [f for f in head.fields if f.lower not in REMOVED and not f.lower.startswith(CONTROL)]
        there = {field.lower for field in fields}
        date = formatdate(job.created_at / 1000)
        added = []
        if job.endpoint == "smtp":
            # RFC 5321 4.4 asks for the client's address; like other senders for many customers we do not tell it to the world.
            trace = f"by {self._hostname} with ESMTPSA id {job.message_id};\r\n\t{date}"
            added.append(_field("Received", trace))
        if b"date" not in there:
            added.append(_field("Date", date))
        if b"message-id" not in there:
            added.append(_field("Message-ID", job.rfc_message_id))
        return Head((*added, *fields), head.body_at)

    async def _sign(self, domain: str, keys: Sequence[DomainKey], head: Head, body: bytes) -> bytes:
        if not keys:
            return b""
        names = [dkim.Key(domain, key.selector, key.algorithm) for key in keys]
        # The fields as edited, over the body as it lies behind the old ones: nothing is copied.
        unsigned = dkim.digest(head, body, names, timestamp=self._clock() // 1000)
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


def _field(name: str, value: str) -> Field:
    return Field(name.encode(), f"{name}: {value}\r\n".encode())


def _fits(prepared: Prepared, job: Job, peer: Peer) -> Prepared | Answer:
    utf8 = prepared.utf8 or not address.is_ascii(job.address)
    if utf8 and not peer.utf8:
        return refusal("5.6.7", "the message or an address needs SMTPUTF8, which the receiving host does not offer")
    return prepared if utf8 == prepared.utf8 else Prepared(prepared.chunks, eight_bit=prepared.eight_bit, utf8=True)
