"""Sending domains: who may send as them, the keys they are signed with, and their way from unverified to compliant."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from mailferry.mail import dkim
from mailferry.store.database import Database
from mailferry.store.schema import domain_keys, domains
from mailferry.store.secrets import Sealer

DEMO = "demo"
UNVERIFIED = "unverified_dns"
UNDER_REVIEW = "under_review"
COMPLIANT = "compliant"
SUSPENDED = "suspended"

#: What another node did to a domain is seen this much later.
CACHE_MS = 1_000

_KEY_PURPOSE = "domain_keys.private"


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
        return sealer.open(self.private_sealed, _KEY_PURPOSE)


@dataclass(frozen=True, slots=True)
class Domain:
    id: int
    account_id: int
    name: str
    state: str
    dns_verified: bool
    verified_at: int
    suspicious: bool
    return_path_label: str
    keys: tuple[DomainKey, ...] = ()

    @property
    def return_path_host(self) -> str:
        return f"{self.return_path_label}.{self.name}"

    @property
    def hold_reason(self) -> str:
        return hold_reason(self.state, self.dns_verified, 0)


def hold_reason(state: str, dns_verified: bool, deleted_at: int) -> str:
    """Why a domain's mail waits now; empty = it may leave."""
    if deleted_at:
        return "domain_deleted"
    if state == SUSPENDED:
        return "domain_suspended"
    if state != DEMO and not dns_verified:
        return "dns_not_verified"
    return ""


_COLUMNS = [
    domains.c[name]
    for name in ("id", "account_id", "name", "state", "dns_verified", "verified_at", "suspicious", "return_path_label")
]


def add(
    connection: Connection, sealer: Sealer, account_id: int, name: str, keys: "FreshKeys", now: int
) -> tuple[Domain, bool]:
    """Make the domain, or bring a deleted one back; the second value says whether anything was made.

    A domain that was deleted while under review comes back under review and is marked suspicious: deleting must not
    wipe a review away. Keys are generated anew unless it never left.
    """
    row = connection.execute(
        select(domains.c.id, domains.c.state, domains.c.deleted_at).where(
            domains.c.account_id == account_id, domains.c.name == name
        )
    ).one_or_none()
    if row is not None and row.deleted_at == 0:
        found = by_id(connection, row.id)
        assert found is not None
        return found, False
    if row is None:
        values = {
            "account_id": account_id,
            "name": name,
            "state": UNVERIFIED,
            # Short, and no word that a filter knows.
            "return_path_label": f"mf{secrets.token_hex(2)}",
            "created_at": now,
        }
        domain_id = connection.execute(insert(domains).values(values).returning(domains.c.id)).scalar_one()
    else:
        domain_id = row.id
        kept = row.state in (UNDER_REVIEW, SUSPENDED)
        connection.execute(
            update(domains)
            .where(domains.c.id == domain_id)
            .values(
                deleted_at=0,
                dns_verified=False,
                created_at=now,
                **({"suspicious": True} if kept else {"state": UNVERIFIED, "verified_at": 0}),
            )
        )
        connection.execute(delete(domain_keys).where(domain_keys.c.domain_id == domain_id))
    for selector, algorithm, private_pem, public in keys:
        connection.execute(
            insert(domain_keys).values(
                domain_id=domain_id,
                selector=selector,
                algorithm=algorithm,
                private_sealed=sealer.seal(private_pem, _KEY_PURPOSE),
                public=public,
                created_at=now,
            )
        )
    made = by_id(connection, domain_id)
    assert made is not None
    return made, True


FreshKeys = Sequence[tuple[str, str, bytes, str]]


def fresh_keys() -> FreshKeys:
    """(selector, algorithm, private PEM, public) for RSA-2048 and Ed25519. RSA takes a tenth of a second: not in the loop."""
    made: list[tuple[str, str, bytes, str]] = []
    wanted: tuple[tuple[str, dkim.Algorithm], ...] = (("mf1", "rsa-sha256"), ("mf2", "ed25519-sha256"))
    for selector, algorithm in wanted:
        private_pem, public = dkim.generate(algorithm)
        made.append((selector, algorithm, private_pem, public.decode()))
    return made


def remove(connection: Connection, domain_id: int, now: int) -> None:
    connection.execute(update(domains).where(domains.c.id == domain_id).values(deleted_at=now))


def by_id(connection: Connection, domain_id: int) -> Domain | None:
    row = connection.execute(
        select(*_COLUMNS).where(domains.c.id == domain_id, domains.c.deleted_at == 0)
    ).one_or_none()
    return _domain(connection, row) if row else None


def by_name(connection: Connection, account_id: int, name: str) -> Domain | None:
    row = connection.execute(
        select(*_COLUMNS).where(domains.c.account_id == account_id, domains.c.name == name, domains.c.deleted_at == 0)
    ).one_or_none()
    return _domain(connection, row) if row else None


def of_account(connection: Connection, account_id: int) -> list[Domain]:
    found = connection.execute(
        select(*_COLUMNS).where(domains.c.account_id == account_id, domains.c.deleted_at == 0).order_by(domains.c.name)
    )
    return [_domain(connection, row) for row in found.all()]


def all_domains(connection: Connection) -> list[Domain]:
    found = connection.execute(select(*_COLUMNS).where(domains.c.deleted_at == 0).order_by(domains.c.id)).all()
    return [_domain(connection, row) for row in found]


def set_state(connection: Connection, domain_id: int, state: str) -> None:
    values = {"state": state, "suspicious": False} if state == COMPLIANT else {"state": state}
    connection.execute(update(domains).where(domains.c.id == domain_id).values(values))


def set_verified(connection: Connection, domain: Domain, verified: bool, published: set[str], now: int) -> None:
    """After DNS was asked. The first time it is right, the domain goes under review."""
    values: dict[str, object] = {"dns_verified": verified}
    if verified and domain.verified_at == 0:
        values["verified_at"] = now
    if verified and domain.state == UNVERIFIED:
        values["state"] = UNDER_REVIEW
    connection.execute(update(domains).where(domains.c.id == domain.id).values(values))
    for key in domain.keys:
        connection.execute(
            update(domain_keys).where(domain_keys.c.id == key.id).values(published=key.selector in published)
        )


def _domain(connection: Connection, row: Row[Any]) -> Domain:
    return Domain(**row._mapping, keys=_keys(connection, row.id))


def _keys(connection: Connection, domain_id: int) -> tuple[DomainKey, ...]:
    columns = [domain_keys.c[n] for n in ("id", "selector", "algorithm", "public", "published", "private_sealed")]
    found = connection.execute(select(*columns).where(domain_keys.c.domain_id == domain_id).order_by(domain_keys.c.id))
    return tuple(DomainKey(*row) for row in found)


class DomainBook:
    """Domains as this node last saw them. Decisions that must be exact read the row again in their transaction."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[tuple[int, str | int], tuple[int, Domain | None]] = {}

    async def by_name(self, account_id: int, name: str) -> Domain | None:
        return await self._look_up((account_id, name), lambda c: by_name(c, account_id, name))

    async def by_id(self, domain_id: int) -> Domain | None:
        return await self._look_up((0, domain_id), lambda c: by_id(c, domain_id))

    def forget(self) -> None:
        """After any change of domains on this node."""
        self._known.clear()

    async def _look_up(self, key: tuple[int, str | int], query: Callable[[Connection], Domain | None]) -> Domain | None:
        now = self._clock()
        until, domain = self._known.get(key, (0, None))
        if until <= now:
            domain = await self._database.read(query)
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[key] = (now + CACHE_MS, domain)
        return domain
