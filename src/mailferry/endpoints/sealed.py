"""Links that need no token: sealed with the key that all nodes have, so that nobody can make one up, and good for a while.

What a link opens is said by a structure with ``ends_at``; a purpose of its own keeps a link from opening another door.
"""

import base64
import binascii
from typing import Protocol, TypeVar

import msgspec

from mailferry.store.secrets import Sealer, WrongKey


class Ending(Protocol):
    """What a sealed structure must have."""

    @property
    def ends_at(self) -> int:
        """Unix milliseconds."""


T = TypeVar("T", bound=Ending)


def seal(sealer: Sealer, purpose: str, opens: Ending) -> str:
    """As it stands in a path."""
    return _spelt(sealer.seal(msgspec.json.encode(opens), purpose))


def unseal(sealer: Sealer, purpose: str, sealed: str, kind: type[T]) -> T | None:
    """What the link opens, whether it has ended or not; None: we did not make it."""
    try:
        octets = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
        if _spelt(octets) != sealed:  # the last character may hold bits that count for nothing
            return None
        return msgspec.json.decode(sealer.open(octets, purpose), type=kind)
    except (binascii.Error, ValueError, WrongKey, msgspec.MsgspecError):
        return None


def _spelt(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")
