"""What somebody does to a sending domain: added, changed, deleted; each in the audit log. Its review is domain_reviews."""

from collections.abc import Mapping

from sqlalchemy import Connection

from mailferry.resources import accesses, audit, domain_alerts, domains, tokens
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


def remove(connection: Connection, domain: Domain, actor: Actor, now: int) -> None:
    """Its mail is held from now on, and nobody has rights on it any more, should it be added again."""
    domains.remove(connection, domain.id, now)
    accesses.forget_resource(connection, Resource.DOMAIN, domain.id)
    domain_alerts.forget(connection, domain.id)
    _note(connection, domain, actor, "domain.deleted", now)


def _note(
    connection: Connection,
    domain: Domain,
    actor: Actor,
    event: str,
    now: int,
    changes: Mapping[str, tuple[bool | str, bool | str]] | None = None,
) -> None:
    audit.note(connection, domain.account_id, actor, event, (Resource.DOMAIN, domain.id, domain.name), now, changes)
