"""Signed links: what a reader's click, a pixel or an unsubscription tells us, in a URL that nobody else can make.

A link says everything itself, so that it works as long as somebody holds the mail, whatever the log has forgotten.
Octets, big endian, in base64url without padding (RFC 4648 5):

    0   1   version, 1
    1   2   number of the key, so that keys can be replaced while old mail is read
    3   4   sending domain
    7  16   recipient id (the UUID's octets)
   23   n   OPEN: nothing. CLICK: the target URL in ASCII; behind a NUL its tags, if it has any.
            CHOICE: t or b for the stream, then the address in UTF-8.
            TOPIC: eight octets of its number (0: the whole contact list), then the address in UTF-8
    -  10   first 80 bits of HMAC-SHA256 over the octets before, with a label in front that names the kind

A target that was not signed is no target: a changed URL, or the link of one kind under the path of another, fails.
"""

import base64
import binascii
import hmac
import struct
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

LEAST_KEY = 16

_VERSION = 1
_MAC = 10
_HEAD = struct.Struct(">BHI16s")
_TOPIC = struct.Struct(">Q")
_STREAMS = {"transactional": b"t", "bulk": b"b"}
_NAMES = {octet: stream for stream, octet in _STREAMS.items()}


class Kind(Enum):
    """The value is the label of the MAC."""

    OPEN = b"mailferry link open 1\0"
    CLICK = b"mailferry link click 1\0"
    #: To unsubscribe, and to say what else one wants or not.
    CHOICE = b"mailferry link choice 1\0"
    #: To say no to a topic of a contact list.
    TOPIC = b"mailferry link topic 1\0"


@dataclass(frozen=True, slots=True)
class Key:
    """``number`` lies between 0 and 65535, ``secret`` has at least 16 octets (ValueError otherwise)."""

    number: int
    secret: bytes

    def __post_init__(self) -> None:
        if len(self.secret) < LEAST_KEY:
            raise ValueError(f"a key for links has at least {LEAST_KEY} octets, not {len(self.secret)}")
        if not 0 <= self.number <= 0xFFFF:
            raise ValueError(f"a key's number lies between 0 and 65535: {self.number}")


@dataclass(frozen=True, slots=True)
class Link:
    """What a link says."""

    domain_id: int
    recipient_id: str
    #: Of a CLICK.
    url: str = ""
    #: Of a CLICK, in printable ASCII: what it is told apart by (mail/tracking.link_tags).
    tags: str = ""
    #: Of a CHOICE.
    stream: str = ""
    #: Of a CHOICE or a TOPIC: whose it is.
    address: str = ""
    #: Of a TOPIC: the list of contacts that it is, 0 = all of the contact list.
    topic_id: int = 0


def make(kind: Kind, link: Link, key: Key) -> str:
    """The token of a link, of letters, digits, ``-`` and ``_``."""
    head = _HEAD.pack(_VERSION, key.number, link.domain_id, bytes.fromhex(link.recipient_id.replace("-", "")))
    signed = head + _payload(kind, link)
    return base64.urlsafe_b64encode(signed + _mac(kind, key.secret, signed)).decode("ascii").rstrip("=")


def read(kind: Kind, token: str, keys: Mapping[int, bytes]) -> Link | None:
    """None when it is no link of that kind, or not ours."""
    try:
        octets = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):  # not ASCII is a plain ValueError
        return None
    if len(octets) < _HEAD.size + _MAC:
        return None
    signed, mac = octets[:-_MAC], octets[-_MAC:]
    version, number, domain_id, recipient = _HEAD.unpack_from(signed)
    key = keys.get(number)
    if version != _VERSION or key is None or not hmac.compare_digest(mac, _mac(kind, key, signed)):
        return None
    link = Link(domain_id, str(uuid.UUID(bytes=recipient)))
    # Decoding cannot fail: we signed it.
    rest = signed[_HEAD.size :]
    if kind is Kind.CLICK:
        url, _, tags = rest.decode("ascii").partition("\0")
        return Link(link.domain_id, link.recipient_id, url=url, tags=tags)
    if kind is Kind.CHOICE:
        return Link(link.domain_id, link.recipient_id, stream=_NAMES[rest[:1]], address=rest[1:].decode())
    if kind is Kind.TOPIC:
        (topic_id,) = _TOPIC.unpack_from(rest)
        return Link(link.domain_id, link.recipient_id, address=rest[_TOPIC.size :].decode(), topic_id=topic_id)
    return link


def _payload(kind: Kind, link: Link) -> bytes:
    if kind is Kind.CLICK:
        return f"{link.url}\0{link.tags}".encode("ascii") if link.tags else link.url.encode("ascii")
    if kind is Kind.CHOICE:
        return _STREAMS[link.stream] + link.address.encode()
    if kind is Kind.TOPIC:
        return _TOPIC.pack(link.topic_id) + link.address.encode()
    return b""


def _mac(kind: Kind, secret: bytes, signed: bytes) -> bytes:
    return hmac.digest(secret, kind.value + signed, "sha256")[:_MAC]
