"""The first start on an empty database: account 1, its owner, a token, a project with an inbox, and a demo domain.

What was made is written to ``DATA/first-run.json`` (0600) and stays there until ``mailferry credentials --forget``.
"""

import secrets
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from mailferry.config import Config, parse_listen
from mailferry.net.hosts import from_here, listener_url
from mailferry.resources import access_keys, accounts, domains, tokens, users
from mailferry.resources.domains import FreshKeys
from mailferry.resources.permissions import ADMIN, OWNER, Grant, Resource
from mailferry.store.schema import domain_keys
from mailferry.store.secrets import Sealer, write_private

DEMO_DOMAIN = "demo.mailferry.test"
SIMULATOR_DOMAIN = f"simulator.{DEMO_DOMAIN}"
OWNER_EMAIL = "owner@mailferry.test"
REGION = "us-east-1"


class BadFile(ValueError):
    """``first-run.json`` is damaged; the text names it."""


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
    project = accounts.create_project(connection, account, "My project", now)
    inbox, username, inbox_password = accounts.create_inbox(connection, sealer, account, project, "My inbox", now)
    demo, _ = domains.add(connection, sealer, account, DEMO_DOMAIN, keys, now)
    domains.set_state(connection, demo.id, domains.DEMO)
    # It is in no DNS; its mail is signed all the same, so that a first message shows what a real one looks like.
    connection.execute(domain_keys.update().where(domain_keys.c.domain_id == demo.id).values(published=True))
    return {
        "account_id": account,
        "api_token": token,
        "ses": {"access_key_id": key_id, "secret_access_key": secret},
        "sandbox": {"project_id": project, "inbox_id": inbox, "username": username, "password": inbox_password},
        "owner": {"email": OWNER_EMAIL, "password": password},
    }


def new_password() -> str:
    return secrets.token_urlsafe(12)


def remember(data_dir: Path, made: dict[str, Any]) -> None:
    write_private(data_dir / "first-run.json", msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")


def forget(data_dir: Path) -> bool:
    """True when there was something to forget."""
    path = data_dir / "first-run.json"
    there = path.exists()
    path.unlink(missing_ok=True)
    return there


def recall(data_dir: Path) -> dict[str, Any]:
    """What was remembered; nothing once it was forgotten. Raises :class:`BadFile`."""
    path = data_dir / "first-run.json"
    try:
        found: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except msgspec.MsgspecError as error:
        raise BadFile(f"{path} cannot be read: {error}; delete it: mailferry credentials --forget") from error
    return found


def credentials(config: Config, ca_file: Path) -> dict[str, Any]:
    """What ``mailferry credentials --json`` prints; null for what was forgotten or is not there yet."""
    made = recall(config.data_dir)
    token = made.get("api_token")
    host, port, _ = smtp_listener(config)
    smtp = {"host": host, "port": port, "username": "api", "password": token} if port else None
    return {
        "account_id": made.get("account_id"),
        "api_token": token,
        "http_url": listener_url("http", config["http.listen"]),
        "https_url": listener_url("https", config["http.tls_listen"]),
        "ca_file": str(ca_file) if not config["tls.certificate"] else None,
        "smtp": smtp,
        "bulk_smtp": {**smtp, "username": "bulk"} if smtp else None,
        "ses": _ses(made.get("ses")),
        "sandbox": made.get("sandbox"),
        "dashboard": None,
    }


def _ses(pair: dict[str, str] | None) -> dict[str, str] | None:
    """Any region will do; this is the one that most examples have."""
    if pair is None:
        return None
    password = access_keys.smtp_password(pair["secret_access_key"], REGION)
    return {**pair, "region": REGION, "smtp_username": pair["access_key_id"], "smtp_password": password}


def smtp_listener(config: Config) -> tuple[str, int, bool]:
    """Host, port and whether TLS is implicit of the listener to tell clients of: one with STARTTLS, if there is one."""
    listeners = sorted(map(parse_listen, config["smtp.listen"]), key=lambda listener: listener[2])
    if not listeners:
        return "", 0, False
    host, port, tls = listeners[0]
    return from_here(host), port, tls
