"""What notifications of topics are signed with: an RSA key of the house, and the certificate that receivers fetch for it.

Kept sealed with the other shared keys, so that every node signs alike. A certificate stays there for as long as its key.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509.oid import NameOID

from mailferry.resources import shared_keys
from mailferry.store.database import Database
from mailferry.store.secrets import Sealer

_PURPOSE = "notifications"
#: Receivers look at the key alone; a certificate that ends would only be one more thing to go wrong.
_YEARS = 30
_END = b"-----END CERTIFICATE-----\n"

#: By the SignatureVersion that an envelope names.
HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303  # Amazon's default


@dataclass(frozen=True, slots=True)
class NotificationKey:
    id: int
    private: RSAPrivateKey
    #: PEM.
    certificate: bytes

    def sign(self, text: str, version: str) -> bytes:
        """RSASSA-PKCS1-v1_5 (RFC 8017 8.2)."""
        return self.private.sign(text.encode(), padding.PKCS1v15(), HASHES[version])


class NotificationKeys:
    def __init__(self, database: Database, sealer: Sealer, clock: Callable[[], int]) -> None:
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._known: dict[int, NotificationKey] = {}

    async def signing(self) -> NotificationKey:
        """The newest; made when it is first asked for. Raises WrongKey when the key file is another node's."""
        if not self._known:
            found = await self._database.read(lambda c: shared_keys.newest(c, self._sealer, _PURPOSE))
            if found is None:
                made, now = await asyncio.to_thread(_make, self._clock()), self._clock()
                found = await self._database.write(
                    lambda c: shared_keys.get_or_create(c, self._sealer, _PURPOSE, now, lambda: made)
                )
            self._keep(*found)
        return self._known[max(self._known)]

    async def certificate(self, key_id: int) -> bytes | None:
        """PEM, or None: there is no such key."""
        if key_id not in self._known:
            # Anybody may ask for any number: it costs one look, by the primary key.
            found = await self._database.read(lambda c: shared_keys.one(c, self._sealer, _PURPOSE, key_id))
            if found is not None:
                self._keep(key_id, found)
        key = self._known.get(key_id)
        return key.certificate if key else None

    def _keep(self, key_id: int, pems: bytes) -> None:
        certificate, end, private = pems.partition(_END)
        key = serialization.load_pem_private_key(private, None)
        assert isinstance(key, RSAPrivateKey)
        self._known[key_id] = NotificationKey(key_id, key, certificate + end)


def _make(now: int) -> bytes:
    """Certificate and private key, one PEM behind the other."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Mailferry notifications")])
    begins = datetime.fromtimestamp(now / 1000, UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=365 * _YEARS))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + private
