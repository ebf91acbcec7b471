"""What somebody does to a sending domain: added, changed, deleted; each in the audit log. Its review is domain_reviews."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from mailferry.resources import accesses, audit, domain_alerts, domains, environments, identities, tokens
from mailferry.resources.audit import Actor
from mailferry.resources.domains import Domain, FreshKeys
from mailferry.resources.permissions import ADMIN, Grant, Resource
from mailferry.store.secrets import Sealer


def add(
    connection: Connection, sealer: Sealer, account_id: int, name: str, keys: FreshKeys, actor: Actor, now: int
) -> tuple[Domain, bool]:
    """As :func:`domains.add`. What was made gets a token of its own that may do everything with it, and nothing else."""
    domain, new = domains.add(connection, sealer, account_id, name, keys, now)
    if not new:
        return domain, False
    granted = [Grant(Resource.DOMAIN, domain.id, ADMIN)]
    # Its secret is not kept and nobody has seen it: who wants to use the token resets it.
    token_id, _ = tokens.create(connection, account_id, f"{name} token", granted, now, created_by=actor.name)
    token_name = f"{name} token {token_id}"
    tokens.rename(connection, token_id, token_name)
    _note(connection, domain, actor, "domain.created", now)
    audit.note(connection, account_id, actor, "api_token.created", ("api_token", token_id, token_name), now)
    return domain, True


def change(
    connection: Connection, domain: Domain, settings: Mapping[str, bool | str], actor: Actor, now: int
) -> Domain | None:
    """Some of :data:`domains.SETTINGS`; returns the domain as it is then, None when it was deleted meanwhile."""
    domains.set_settings(connection, domain.id, settings)
    changes = {name: (getattr(domain, name), value) for name, value in settings.items()}
    if any(old != new for old, new in changes.values()):
        _note(connection, domain, actor, "domain.updated", now, changes)
    return domains.by_id(connection, domain.id)


def replace_keys(
    connection: Connection, sealer: Sealer, domain: Domain, keys: FreshKeys, actor: Actor, now: int
) -> Domain | None:
    """Others to sign with; those that it has already are left alone. None: the domain was deleted meanwhile.

    Its mail waits until the new ones are seen in the DNS.
    """
    found = domains.lock(connection, domain.id)
    if found is None or [(key.selector, key.public) for key in found.keys] == [(each[0], each[3]) for each in keys]:
        return found
    domains.replace_keys(connection, sealer, found.id, keys, now)
    selectors = ", ".join(key.selector for key in found.keys), ", ".join(each[0] for each in keys)
    changed = {"selectors": selectors, "public_keys": (_publics(found), [each[3] for each in keys])}
    _note(connection, found, actor, "domain.updated", now, changed)
    return domains.by_id(connection, found.id)


def remove(connection: Connection, domain: Domain, actor: Actor, now: int) -> None:
    """Its mail is held from now on, and nobody has rights on it any more, should it be added again."""
    domains.remove(connection, domain.id, now)
    environments.forget(connection, domain.account_id, domain.id, now)
    identities.forget(connection, domain.account_id, domain.name)
    accesses.forget_resource(connection, Resource.DOMAIN, domain.id)
    domain_alerts.forget(connection, domain.id)
    _note(connection, domain, actor, "domain.deleted", now)


def _publics(domain: Domain) -> list[str]:
    return [key.public for key in domain.keys]


def _note(
    connection: Connection,
    domain: Domain,
    actor: Actor,
    event: str,
    now: int,
    changes: Mapping[str, tuple[Any, Any]] | None = None,
) -> None:
    audit.note(connection, domain.account_id, actor, event, (Resource.DOMAIN, domain.id, domain.name), now, changes)
