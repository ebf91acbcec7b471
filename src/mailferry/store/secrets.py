"""Seals what must be used again (private keys, inbox passwords) with a key that lies outside the database.

AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce; the purpose is authenticated with it, so that a sealed value
cannot be moved from one column to another.
"""

import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mailferry.store.segments import sync_folder

_NONCE = 12


class WrongKey(ValueError):
    """The key file is not the one that the value was sealed with."""


class Sealer:
    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, plain: bytes, purpose: str) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, plain, purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """Raises :class:`WrongKey`."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], purpose.encode())
        except InvalidTag:
            raise WrongKey(
                f"the key file does not open what is stored for {purpose}; every node needs the same file"
            ) from None


def load_or_create_key(path: Path, *, create: bool = True) -> bytes:
    """32 octets, readable by us alone. Raises FileNotFoundError, PermissionError (others may read it), ValueError."""
    if create and not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, os.urandom(32))
    if path.stat().st_mode & 0o077:
        raise PermissionError(f"{path} can be read by others; run: chmod 600 {path}")
    key = path.read_bytes()
    if len(key) != 32:
        raise ValueError(f"{path} holds {len(key)} octets, a key has 32")
    return key


def write_private(path: Path, content: bytes) -> None:
    """Whole or not at all, 0600 from the first moment, durable on return."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, content)
        os.fsync(handle)
    finally:
        os.close(handle)
    draft.rename(path)
    sync_folder(path.parent)
