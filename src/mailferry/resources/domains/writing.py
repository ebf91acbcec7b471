"""Sending domains made, looked at, judged and removed. Who did it stands in the audit log: see resources/domain_changes."""

import secrets
from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection, select, update

from mailferry.resources.domains.domain import COMPLIANT, JUDGED, SETTINGS, UNDER_REVIEW, UNVERIFIED, Domain
from mailferry.resources.domains.keys import FreshKeys, keep, set_published
from mailferry.resources.domains.reading import by_id
from mailferry.store.given import insert_if_new
from mailferry.store.schema import domains
from mailferry.store.secrets import Sealer


def add(
    connection: Connection, sealer: Sealer, account_id: int, name: str, keys: FreshKeys, now: int
) -> tuple[Domain, bool]:
    """Make the domain, or bring a deleted one back; the second value says whether anything was made.

    A domain that was deleted while a review went on, or after it went badly, comes back as it was and is marked
    suspicious: deleting must not wipe a review away. Keys are generated anew unless it never left.
    """
    values = {
        "account_id": account_id,
        "name": name,
        # Short, and no word that a filter knows.
        "return_path_label": f"mf{secrets.token_hex(2)}",
        "created_at": now,
    }
    # Two who add the same name at once must not both find it missing: the row is written first, and then looked at.
    new = bool(insert_if_new(connection, domains, [values], returning=(domains.c.id,)))
    row = connection.execute(
        select(domains.c.id, domains.c.state, domains.c.deleted_at)
        .where(domains.c.account_id == account_id, domains.c.name == name)
        .with_for_update()
    ).one()
    if not new and row.deleted_at == 0:
        found = by_id(connection, row.id)
        assert found is not None
        return found, False
    if not new:
        _bring_back(connection, row.id, row.state, now)
    keep(connection, sealer, row.id, keys, now)
    made = by_id(connection, row.id)
    assert made is not None
    return made, True


def _bring_back(connection: Connection, domain_id: int, state: str, now: int) -> None:
    kept = state in JUDGED
    values = {
        **SETTINGS,
        "deleted_at": 0,
        "created_at": now,
        "dns_verified": False,
        "dns_statuses": "{}",
        **({"suspicious": True} if kept else {"state": UNVERIFIED, "verified_at": 0}),
    }
    connection.execute(update(domains).where(domains.c.id == domain_id).values(values))


def remove(connection: Connection, domain_id: int, now: int) -> None:
    connection.execute(update(domains).where(domains.c.id == domain_id).values(deleted_at=now))


def lock(connection: Connection, domain_id: int) -> Domain | None:
    """As it stands now, until this transaction ends. SQLite has one writer anyway."""
    connection.execute(select(domains.c.id).where(domains.c.id == domain_id).with_for_update())
    return by_id(connection, domain_id)


def replace_keys(connection: Connection, sealer: Sealer, domain_id: int, keys: FreshKeys, now: int) -> None:
    """Mail waits until they are seen in the DNS: it would leave unsigned, since the old ones are gone."""
    keep(connection, sealer, domain_id, keys, now)
    values = {"dns_verified": False, "dns_statuses": "{}"}
    connection.execute(update(domains).where(domains.c.id == domain_id).values(values))


def set_state(connection: Connection, domain_id: int, state: str) -> None:
    values = {"state": state, "suspicious": False} if state == COMPLIANT else {"state": state}
    connection.execute(update(domains).where(domains.c.id == domain_id).values(values))


def set_verified(
    connection: Connection,
    domain: Domain,
    verified: bool,
    published: set[str],
    now: int,
    statuses: Mapping[str, str] | None = None,
) -> None:
    """After DNS was asked; ``statuses`` are kept to be shown. The first time it is right, the domain goes under review."""
    found = lock(connection, domain.id)
    # Asking takes seconds: a domain that was deleted and added again has other keys now, which nobody has looked for.
    # Not by their ids, which SQLite gives away again.
    if found is None or [key.public for key in found.keys] != [key.public for key in domain.keys]:
        return
    values: dict[str, object] = {"dns_verified": verified}
    if statuses is not None:
        values["dns_statuses"] = msgspec.json.encode(statuses).decode()
    if verified and found.verified_at == 0:
        values["verified_at"] = now
    if verified and found.state == UNVERIFIED:
        values["state"] = UNDER_REVIEW
    connection.execute(update(domains).where(domains.c.id == domain.id).values(values))
    set_published(connection, found.keys, published)


def set_settings(connection: Connection, domain_id: int, values: Mapping[str, bool | str]) -> None:
    """Some of :data:`SETTINGS`."""
    if values:
        connection.execute(update(domains).where(domains.c.id == domain_id).values(dict(values)))
