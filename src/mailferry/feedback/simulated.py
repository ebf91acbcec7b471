"""What the simulator's recipients do with the mail they got: open it, click, unsubscribe, complain.

They use what stands in the message, as a reader would: a message without a pixel is not opened, one without a link of
ours not clicked. So these events also show whether a domain's settings do what they say.
"""

import asyncio
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from sqlalchemy import Connection, select

from mailferry.delivery.transports.simulator import AMAZON
from mailferry.delivery.transports.transport import Parcel, Prepared
from mailferry.feedback import subscriptions
from mailferry.feedback.hits import Hit, Hits
from mailferry.journal.events import WAITING, Kind
from mailferry.mail import links, parts, returnpath, tracking
from mailferry.mail.links import Link
from mailferry.store.database import Database
from mailferry.store.schema import messages, recipients

log = structlog.get_logger(__name__)

#: Seconds until the delivery is settled, which must be seen first.
SETTLED_SECONDS = 30.0
POLL = 0.05

FACTS: Mapping[str, str] = {"ip": "127.0.0.1", "user_agent": "Mailferry simulator"}
_LINK = re.compile(rb"/t/([oclu])/([A-Za-z0-9_-]+)")
_KINDS = {b"o": links.Kind.OPEN, b"c": links.Kind.CLICK, b"l": links.Kind.TOPIC, b"u": links.Kind.CHOICE}


class Simulated:
    """``return_path_key`` as the carrier has it: the return path says whose mail it is, as a complaint's would."""

    def __init__(
        self,
        hits: Hits,
        database: Database,
        clock: Callable[[], int],
        *,
        link_keys: Mapping[int, bytes],
        return_path_key: tuple[int, bytes],
    ) -> None:
        self._hits = hits
        self._database = database
        self._clock = clock
        self._link_keys = link_keys
        self._return_path_keys = dict([return_path_key])
        self._playing: set[asyncio.Task[None]] = set()

    def react(self, fate: str, parcel: Parcel, prepared: Prepared) -> None:
        recipient_id = returnpath.read(parcel.sender.partition("@")[0], self._clock(), self._return_path_keys)
        if recipient_id is None:
            return
        task = asyncio.create_task(self._play(fate, recipient_id, prepared))
        self._playing.add(task)
        task.add_done_callback(self._played)

    async def close(self) -> None:
        for task in self._playing:
            task.cancel()
        await asyncio.gather(*self._playing, return_exceptions=True)

    def _played(self, task: "asyncio.Task[None]") -> None:
        self._playing.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("simulation_failed", error=repr(error))

    async def _play(self, fate: str, recipient_id: str, prepared: Prepared) -> None:
        row = await self._settled(recipient_id)
        if row is None:
            return
        if fate == "complaint":
            facts = {"feedback_type": "abuse"}
            await self._hits.record(
                Hit(
                    Kind.SPAM,
                    row.domain_id,
                    recipient_id,
                    self._clock(),
                    facts,
                    stream=row.stream,
                    address=row.address,
                    # As at Amazon's own, so that a program may be tried again and again.
                    lasting=not row.address.lower().endswith(f"@{AMAZON}"),
                )
            )
            return
        for letter, link in self._found(fate, b"".join(prepared.chunks)):
            if letter == b"l":
                await self._unsubscribe(link)
            else:
                await self._hits.record(self._hit(letter, link))

    async def _unsubscribe(self, link: Link) -> None:
        """By one click, from what the mail is of."""
        answer, now = subscriptions.no_to(link.topic_id), self._clock()
        await self._database.write(lambda connection: subscriptions.say(connection, link, answer, FACTS, now))

    async def _settled(self, recipient_id: str) -> Any:
        """Once its delivery is in the journal. None: it did not come to that."""

        def read(connection: Connection) -> Any:
            columns = (recipients.c.state, recipients.c.address, messages.c.domain_id, messages.c.stream)
            joined = select(*columns).join(messages, messages.c.id == recipients.c.message_id)
            return connection.execute(joined.where(recipients.c.id == recipient_id)).one_or_none()

        for _ in range(round(SETTLED_SECONDS / POLL)):
            row = await self._database.read(read)
            if row is None or row.state not in WAITING:
                return row
            await asyncio.sleep(POLL)
        return None

    def _found(self, fate: str, message: bytes) -> list[tuple[bytes, Link]]:
        """Whoever clicks has opened first. Mail to a contact list has links of the list."""
        wanted = {"open": (b"o",), "click": (b"o", b"c"), "unsubscribe": (b"u", b"l")}[fate]
        found: dict[bytes, Link] = {}
        for letter, token in _LINK.findall(_readable(message)):
            link = links.read(_KINDS[letter], token.decode(), self._link_keys)
            if link is not None:
                found.setdefault(letter, link)
        return [(letter, found[letter]) for letter in wanted if letter in found]

    def _hit(self, letter: bytes, link: Link) -> Hit:
        kind = {b"o": Kind.OPEN, b"c": Kind.CLICK, b"u": Kind.UNSUBSCRIBE}[letter]
        facts = {**FACTS, "url": link.url, "tags": tracking.link_tags(link.tags)}
        return Hit(
            kind,
            link.domain_id,
            link.recipient_id,
            self._clock(),
            facts,
            person=True,
            stream=link.stream,
            address=link.address,
        )


def _readable(message: bytes) -> bytes:
    """Header and texts, decoded."""
    tree = parts.read(message)
    out = [message[: tree.body_at]]
    for part in tree.walk():
        if not part.children and part.media.startswith("text/"):
            body = message[part.body_at : part.end]
            if part.encoding == "base64":
                body = binascii.a2b_base64(body)
            elif part.encoding == "quoted-printable":
                body = binascii.a2b_qp(body)
            out.append(body)
    return b"\n".join(out)
