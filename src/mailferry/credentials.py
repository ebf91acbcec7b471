"""What the first run made, read back from ``DATA/first-run.json``, and where clients find the server.

Apart from :mod:`mailferry.first_run`, which makes it: reading a file needs no database.
"""

from pathlib import Path
from typing import Any

import msgspec

from mailferry.config import Config, parse_listen
from mailferry.net.hosts import from_here, listener_url
from mailferry.resources.aws_regions import smtp_password

#: The account that the first start made: what the operator adds is its, where no other is named.
ACCOUNT = 1
FILE = "first-run.json"
REGION = "us-east-1"
DEMO_DOMAIN = "demo.mailferry.test"
SIMULATOR_DOMAIN = f"simulator.{DEMO_DOMAIN}"


class BadFile(ValueError):
    """``first-run.json`` is damaged; the text names it."""


def forget(data_dir: Path) -> bool:
    """True when there was something to forget."""
    path = data_dir / FILE
    there = path.exists()
    path.unlink(missing_ok=True)
    return there


def recall(data_dir: Path) -> dict[str, Any]:
    """What was remembered; nothing once it was forgotten. Raises :class:`BadFile`."""
    path = data_dir / FILE
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
    password = smtp_password(pair["secret_access_key"], REGION)
    return {**pair, "region": REGION, "smtp_username": pair["access_key_id"], "smtp_password": password}


def smtp_listener(config: Config) -> tuple[str, int, bool]:
    """Host, port and whether TLS is implicit of the listener to tell clients of: one with STARTTLS, if there is one."""
    listeners = sorted(map(parse_listen, config["smtp.listen"]), key=lambda listener: listener[2])
    if not listeners:
        return "", 0, False
    host, port, tls = listeners[0]
    return from_here(host), port, tls
