"""Sending domains looked up, each with its keys."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from mailferry.resources.domains.domain import COMPLIANT, SETTINGS, Domain
from mailferry.resources.domains.keys import DomainKey
from mailferry.store.schema import domain_keys, domains

_STATE = ("id", "account_id", "name", "state", "dns_verified", "verified_at", "suspicious", "return_path_label")
_COLUMNS = [domains.c[name] for name in (*_STATE, *SETTINGS, "dns_statuses")]


def by_id(connection: Connection, domain_id: int) -> Domain | None:
    return next(iter(_standing(connection, domains.c.id == domain_id)), None)


def name_of(connection: Connection, domain_id: int) -> str:
    """Also of a deleted one; empty where there never was one."""
    return connection.execute(select(domains.c.name).where(domains.c.id == domain_id)).scalar() or ""


def by_name(connection: Connection, account_id: int, name: str) -> Domain | None:
    return next(iter(_standing(connection, domains.c.account_id == account_id, domains.c.name == name)), None)


def named(connection: Connection, name: str) -> list[Domain]:
    """Of every account: two of them may have added the same name."""
    return _standing(connection, domains.c.name == name)


def of_account(connection: Connection, account_id: int) -> list[Domain]:
    return sorted(_standing(connection, domains.c.account_id == account_id), key=lambda domain: domain.name)


def all_domains(connection: Connection) -> list[Domain]:
    return _standing(connection)


def first_compliant(connection: Connection, account_id: int) -> Domain | None:
    """The oldest that may send whatever it likes: what the account itself has to say goes out from there."""
    ready = (domains.c.account_id == account_id, domains.c.state == COMPLIANT, domains.c.dns_verified)
    return next(iter(_standing(connection, *ready)), None)


def _standing(connection: Connection, *wanted: Any) -> list[Domain]:
    """Those that are not deleted, in the order of their ids; their keys in one query for all."""
    rows = connection.execute(select(*_COLUMNS).where(domains.c.deleted_at == 0, *wanted).order_by(domains.c.id)).all()
    keys = _keys(connection, [row.id for row in rows])
    return [Domain(**row._mapping, keys=tuple(keys.get(row.id, ()))) for row in rows]


def _keys(connection: Connection, domain_ids: Sequence[int]) -> Mapping[int, Iterable[DomainKey]]:
    columns = [domain_keys.c[n] for n in ("id", "selector", "algorithm", "public", "published", "private_sealed")]
    found: dict[int, list[DomainKey]] = {}
    for some in (domain_ids[start : start + 500] for start in range(0, len(domain_ids), 500)):
        chosen = select(domain_keys.c.domain_id, *columns).where(domain_keys.c.domain_id.in_(some))
        for domain_id, *key in connection.execute(chosen.order_by(domain_keys.c.id)):
            found.setdefault(domain_id, []).append(DomainKey(*key))
    return found
