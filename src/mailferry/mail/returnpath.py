"""Return paths that name their recipient and cannot be forged: the local part of MAIL FROM (RFC 5321 4.1.1.2).

A bounce report may come back redacted, translated or without the original message; the address it is sent to is the one
thing that survives. Each recipient gets one of its own, so a report settles exactly one row, and it carries a MAC, so
that nobody can suppress a stranger's address by sending reports (VERP, signed).

Layout, 30 octets, big endian, written as 48 characters of lower-case base32 (RFC 4648 6; 30 octets need no padding and
leave no spare bits, so an address has exactly one spelling):

    0   2   number of the key, so that keys can be replaced while old mail is still on its way
    2  16   recipient id (the UUID's octets)
    18  2   day of issue, counted from 1970-01-01 (UTC)
    20 10   first 80 bits of HMAC-SHA256 over the 20 octets before, with a label in front

Letters and digits only: some receivers mangle "=" and "+", and some fold case (RFC 5321 2.4 lets local parts matter by
case, base32 does not mind).
"""

import base64
import binascii
import hmac
import struct
import uuid
from collections.abc import Mapping

LENGTH = 48
# A host that took a message goes on for 4 or 5 days (RFC 5321 4.5.4.1), and so does each one behind it that it is
# forwarded to; people who are away report later still.
VALID_DAYS = 30
LEAST_KEY = 16

_DAY_MS = 86_400_000
_MAC = 10
# The label keeps a MAC made for a return path from being one for anything else that is signed with the same key.
_LABEL = b"mailferry return path 1\0"
_HEAD = struct.Struct(">H16sH")


def make(recipient_id: str, now_ms: int, key_id: int, key: bytes) -> str:
    """The local part for one recipient: `key_id` 0 to 65535, `key` at least 16 octets (ValueError otherwise)."""
    if len(key) < LEAST_KEY:
        raise ValueError(f"a key for return paths has at least {LEAST_KEY} octets, not {len(key)}")
    if not 0 <= key_id <= 0xFFFF:
        raise ValueError(f"a key's number lies between 0 and 65535: {key_id}")
    head = _HEAD.pack(key_id, bytes.fromhex(recipient_id.replace("-", "")), now_ms // _DAY_MS)
    return base64.b32encode(head + _mac(key, head)).decode("ascii").lower()


def read(local: str, now_ms: int, keys: Mapping[int, bytes]) -> str | None:
    """The recipient id in a local part; None when it is no return path of ours, is forged, or is older than 30 days.

    For what takes bounce reports in: `make` is used long before there is one, so the two are tested together.
    """
    # Upper-casing some letters outside ASCII gives ASCII ones ("ı" gives "I"): a second spelling, so not ours.
    if len(local) != LENGTH or not local.isascii():
        return None
    try:
        octets = base64.b32decode(local.upper())
    except binascii.Error:
        return None
    head, mac = octets[:-_MAC], octets[-_MAC:]
    key_id, recipient, day = _HEAD.unpack(head)
    key = keys.get(key_id)
    if key is None or not hmac.compare_digest(mac, _mac(key, head)):
        return None
    # One day ahead is a node whose clock runs before ours, around midnight.
    if not -1 <= now_ms // _DAY_MS - day <= VALID_DAYS:
        return None
    return str(uuid.UUID(bytes=recipient))


def _mac(key: bytes, head: bytes) -> bytes:
    return hmac.digest(key, _LABEL + head, "sha256")[:_MAC]
