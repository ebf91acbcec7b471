"""The keys of a sending domain (RFC 6376, 8463): made in a pair, kept sealed, signed with once they are seen in the DNS."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, update

from mailferry.mail import dkim
from mailferry.store.schema import domain_keys
from mailferry.store.secrets import Sealer

_PURPOSE = "domain_keys.private"

#: (selector, algorithm, private PEM, public), not kept yet.
FreshKeys = Sequence[tuple[str, str, bytes, str]]


@dataclass(frozen=True, slots=True)
class DomainKey:
    id: int
    selector: str
    algorithm: dkim.Algorithm
    public: str
    #: Seen in DNS at the last check: only then is it signed with.
    published: bool
    private_sealed: bytes

    def private_pem(self, sealer: Sealer) -> bytes:
        return sealer.open(self.private_sealed, _PURPOSE)


def fresh_keys() -> FreshKeys:
    """(selector, algorithm, private PEM, public) for RSA-2048 and Ed25519. RSA takes a tenth of a second: not in the loop."""
    made: list[tuple[str, str, bytes, str]] = []
    wanted: tuple[tuple[str, dkim.Algorithm], ...] = (("mf1", "rsa-sha256"), ("mf2", "ed25519-sha256"))
    for selector, algorithm in wanted:
        private_pem, public = dkim.generate(algorithm)
        made.append((selector, algorithm, private_pem, public.decode()))
    return made


def imported(selector: str, der: bytes) -> FreshKeys:
    """An RSA key that was made elsewhere, in PKCS #1 or #8. ValueError: mail cannot be signed with it."""
    private_pem, public = dkim.from_der(der)
    return [(selector, "rsa-sha256", private_pem, public.decode())]


def keep(connection: Connection, sealer: Sealer, domain_id: int, keys: FreshKeys, now: int) -> None:
    """In place of those that the domain had."""
    connection.execute(delete(domain_keys).where(domain_keys.c.domain_id == domain_id))
    for selector, algorithm, private_pem, public in keys:
        connection.execute(
            insert(domain_keys).values(
                domain_id=domain_id,
                selector=selector,
                algorithm=algorithm,
                private_sealed=sealer.seal(private_pem, _PURPOSE),
                public=public,
                created_at=now,
            )
        )


def set_published(connection: Connection, keys: Sequence[DomainKey], selectors: set[str]) -> None:
    for key in keys:
        connection.execute(
            update(domain_keys).where(domain_keys.c.id == key.id).values(published=key.selector in selectors)
        )
