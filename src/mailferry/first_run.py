"""The first start on an empty database: account 1, its owner, a token, a project with an inbox, and a demo domain.

What was made is written to ``DATA/first-run.json`` (0600) and stays there until ``mailferry credentials --forget``;
:mod:`mailferry.credentials` reads it.
"""

import secrets
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from mailferry.credentials import DEMO_DOMAIN, FILE
from mailferry.resources import access_keys, accounts, domains, inboxes, projects, tokens, users
from mailferry.resources.domains import FreshKeys
from mailferry.resources.permissions import ADMIN, OWNER, Grant, Resource
from mailferry.store.schema import domain_keys
from mailferry.store.secrets import Sealer, write_private

OWNER_EMAIL = "owner@mailferry.test"


def furnish(
    connection: Connection, sealer: Sealer, keys: FreshKeys, password: str, password_hash: str, now: int
) -> dict[str, Any] | None:
    """Make all of it in one transaction; None when an account exists already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('mailferry first run'))"))
    if accounts.any_account(connection):
        return None
    account = accounts.create_account(connection, "Mailferry", now)
    users.create(connection, account, OWNER_EMAIL, password_hash, OWNER, now, name="Owner")
    everything = [Grant(Resource.ACCOUNT, account, ADMIN)]
    _, token = tokens.create(connection, account, "First token", everything, now, created_by=OWNER_EMAIL)
    _, key_id, secret = access_keys.create(
        connection, sealer, account, "first-key", everything, now, created_by=OWNER_EMAIL
    )
    project = projects.create(connection, account, "My project", now)
    inbox = inboxes.create(connection, sealer, account, project.id, "My inbox", now)
    demo, _ = domains.add(connection, sealer, account, DEMO_DOMAIN, keys, now)
    domains.set_state(connection, demo.id, domains.DEMO)
    # It is in no DNS; its mail is signed all the same, so that a first message shows what a real one looks like.
    connection.execute(domain_keys.update().where(domain_keys.c.domain_id == demo.id).values(published=True))
    return {
        "account_id": account,
        "api_token": token,
        "ses": {"access_key_id": key_id, "secret_access_key": secret},
        "sandbox": {
            "project_id": project.id,
            "inbox_id": inbox.id,
            "username": inbox.username,
            "password": inbox.password,
        },
        "owner": {"email": OWNER_EMAIL, "password": password},
    }


def new_password() -> str:
    return secrets.token_urlsafe(12)


def remember(data_dir: Path, made: dict[str, Any]) -> None:
    write_private(data_dir / FILE, msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
