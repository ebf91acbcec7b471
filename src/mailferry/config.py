"""Every setting once: section, name, default, one sentence. Read from one TOML file and the environment, then frozen.

The environment wins over the file, the file over the default; ``MAILFERRY_HTTP_LISTEN`` is ``[http] listen``. A list is
written with commas there. ``docs/settings.md`` is held against this file by a test.
"""

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class BadSetting(ValueError):
    """A setting that cannot be used; the text names it, says where it came from and what would be right."""


@dataclass(frozen=True, slots=True)
class Setting:
    """``kind`` is one of str, int, bool, list, path."""

    section: str
    name: str
    kind: str
    default: Any
    help: str

    @property
    def variable(self) -> str:
        return f"MAILFERRY_{self.section}_{self.name}".upper()

    @property
    def key(self) -> str:
        return f"{self.section}.{self.name}"


ROLES = ("api", "smtp", "delivery", "housekeeping")

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "server", "data_dir", "path", "data", "Folder of the database, message bytes, keys, lock and control socket."
    ),
    Setting("server", "public_url", "str", "", "How clients reach the HTTP API from outside; its host is allowed."),
    Setting(
        "server", "hostname", "str", "", "Our name in EHLO, greetings and DNS records; empty takes the machine's name."
    ),
    Setting("server", "roles", "list", list(ROLES), f"Which parts this process runs: {', '.join(ROLES)}."),
    Setting("server", "trusted_proxies", "list", [], "Networks whose X-Forwarded-For, -Host and -Proto are believed."),
    Setting("http", "listen", "list", ["127.0.0.1:8025"], "Addresses of the plain HTTP listener; empty turns it off."),
    Setting("http", "tls_listen", "list", ["127.0.0.1:8443"], "Addresses of the HTTPS listener; empty turns it off."),
    Setting(
        "http",
        "hosts",
        "list",
        [],
        "Further host names that are served; `*.example.com` stands for one label, as in a certificate.",
    ),
    Setting(
        "http",
        "body_memory",
        "int",
        256 * 1024 * 1024,
        "Octets of request bodies held in memory at once, over all requests.",
    ),
    Setting(
        "tls", "certificate", "path", "", "PEM file of the server certificate and its chain; empty issues one locally."
    ),
    Setting("tls", "key", "path", "", "PEM file of its private key."),
    Setting(
        "smtp", "listen", "list", ["127.0.0.1:2525"], "Submission listeners; `tls://ADDRESS:PORT` is implicit TLS."
    ),
    Setting("smtp", "plain_auth", "bool", False, "AUTH without TLS, on loopback listeners only."),
    Setting("smtp", "max_message_size", "int", 30 * 1024 * 1024, "Octets of the largest message that SMTP takes."),
    Setting("smtp", "max_connections", "int", 1000, "Submission connections at once."),
    Setting("smtp", "max_connections_per_ip", "int", 100, "Submission connections at once from one address."),
    Setting(
        "smtp", "max_messages_per_connection", "int", 10_000, "Messages taken on one connection before it is closed."
    ),
    Setting("database", "url", "str", "", "`postgresql://user@host/name`; empty is SQLite in the data folder."),
    Setting("database", "pool", "int", 4, "Connections for reading, a process."),
    Setting("dns", "nameservers", "list", [], "Resolvers as `ip:port`; empty takes the system's."),
    Setting("dns", "zone", "str", "", "The operator's own zone: records are then shown as CNAMEs into it."),
    Setting(
        "delivery",
        "transport",
        "str",
        "mx",
        "How mail leaves: `mx` (to the recipient's hosts) or `relay` (over one smarthost).",
    ),
    Setting("delivery", "smtp_port", "int", 25, "Port of the recipient's MX hosts."),
    Setting(
        "delivery",
        "local_address",
        "str",
        "",
        "Source IP address of outgoing connections; empty leaves it to the system.",
    ),
    Setting("delivery", "connections", "int", 20, "Connections at once to one destination."),
    Setting("delivery", "attempts", "int", 500, "Attempts under way at once, a process."),
    Setting("delivery", "expire_hours", "int", 72, "A message not delivered by then is bounced."),
    Setting(
        "delivery",
        "retry_seconds",
        "int",
        300,
        "Wait before the first retry; it doubles, with jitter, up to four hours.",
    ),
    Setting(
        "delivery",
        "handoff_messages",
        "int",
        10_000,
        "Accepted recipients handed to delivery from memory at once; more wait in the queue.",
    ),
    Setting(
        "delivery", "handoff_memory", "int", 128 * 1024 * 1024, "Octets of those messages; more wait in the queue."
    ),
    Setting(
        "delivery", "signers", "int", -1, "Processes that do RSA; -1 is one a processor core, 0 signs in a thread."
    ),
    Setting("relay", "host", "str", "", "The smarthost as `host:port`."),
    Setting("relay", "username", "str", "", "SASL user at the smarthost; empty does not authenticate."),
    Setting("relay", "password", "str", "", "SASL password at the smarthost."),
    Setting(
        "relay",
        "tls",
        "str",
        "required",
        "`required` (STARTTLS, certificate checked), `implicit`, `opportunistic` or `none`.",
    ),
    Setting(
        "relay", "ca_file", "path", "", "PEM file of the authority that the smarthost's certificate is checked with."
    ),
    Setting("net", "allow_private", "bool", False, "Outgoing connections to private and loopback addresses."),
    Setting("limits", "new_domain_hourly", "int", 50, "Recipients an hour of a domain that is under review."),
    Setting("retention", "logs_days", "int", 30, "Days that messages, recipients and events are kept."),
    Setting("retention", "content_days", "int", 15, "Days that the bytes of messages are kept."),
    Setting(
        "secrets", "key_file", "path", "", "Key that seals stored secrets; empty is `secret.key` in the data folder."
    ),
    Setting("metrics", "listen", "str", "127.0.0.1:9025", "Loopback listener of /metrics; empty turns it off."),
    Setting("log", "format", "str", "auto", "`json`, `console`, or `auto`: console on a terminal, JSON elsewhere."),
    Setting("log", "level", "str", "info", "`debug`, `info`, `warning` or `error`."),
)

BY_KEY = {setting.key: setting for setting in SETTINGS}


@dataclass(frozen=True)
class Config:
    """All settings with their values, and where each came from (`default`, a file's path, a variable's name)."""

    values: Mapping[str, Any]
    origins: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    @property
    def data_dir(self) -> Path:
        return Path(self["server.data_dir"]).absolute()

    @property
    def key_file(self) -> Path:
        return Path(self["secrets.key_file"] or self.data_dir / "secret.key")


def load(
    file: Path | None = None, environ: Mapping[str, str] = os.environ, overrides: Mapping[str, Any] | None = None
) -> Config:
    """Read every source once. Raises :class:`BadSetting` with all that is wrong, a line each."""
    values: dict[str, Any] = {s.key: list(s.default) if s.kind == "list" else s.default for s in SETTINGS}
    origins = dict.fromkeys(values, "default")
    problems: list[str] = []

    def take(setting: Setting, raw: Any, origin: str) -> None:
        try:
            values[setting.key] = _convert(setting, raw)
            origins[setting.key] = origin
        except ValueError as error:
            problems.append(f"[{setting.section}] {setting.name} from {origin}: {error}")

    for section, name, raw in _from_file(file, problems):
        setting = BY_KEY.get(f"{section}.{name}")
        if setting is None:
            problems.append(f"[{section}] {name} from {file}: there is no such setting{_nearest(f'{section}.{name}')}")
        else:
            take(setting, raw, str(file))
    for setting in SETTINGS:
        if setting.variable in environ:
            take(setting, environ[setting.variable], setting.variable)
    for key, raw in (overrides or {}).items():
        take(BY_KEY[key], raw, "command line")
    _check_together(values, problems)
    if problems:
        raise BadSetting("\n".join(problems))
    return Config(values, origins)


def _from_file(file: Path | None, problems: list[str]) -> list[tuple[str, str, Any]]:
    if file is None:
        return []
    try:
        tree = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        problems.append(f"{file}: {error}")
        return []
    found = []
    for section, names in tree.items():
        if not isinstance(names, dict):
            problems.append(f"{section} from {file}: settings stand in sections, e.g. [server]")
            continue
        found += [(section, name, raw) for name, raw in names.items()]
    return found


def _convert(setting: Setting, raw: Any) -> Any:
    if setting.kind == "list":
        items = raw.split(",") if isinstance(raw, str) else raw
        if not isinstance(items, Sequence) or not all(isinstance(item, str) for item in items):
            raise ValueError(f"a list of strings is needed, not {raw!r}")
        return [item.strip() for item in items if item.strip()]
    if setting.kind == "bool":
        words = {
            "true": True,
            "yes": True,
            "on": True,
            "1": True,
            "false": False,
            "no": False,
            "off": False,
            "0": False,
        }
        known = raw if isinstance(raw, bool) else words.get(str(raw).lower())
        if known is None:
            raise ValueError(f"true or false is needed, not {raw!r}")
        return known
    if setting.kind == "int":
        if isinstance(raw, bool) or not str(raw).lstrip("-").isascii() or not str(raw).lstrip("-").isdigit():
            raise ValueError(f"a whole number is needed, not {raw!r}")
        return int(raw)
    if not isinstance(raw, str):
        raise ValueError(f"a string is needed, not {raw!r}")
    return raw


def _check_together(values: Mapping[str, Any], problems: list[str]) -> None:
    choices = {
        "delivery.transport": ("mx", "relay"),
        "relay.tls": ("required", "implicit", "opportunistic", "none"),
        "log.format": ("auto", "json", "console"),
        "log.level": ("debug", "info", "warning", "error"),
    }
    for key, allowed in choices.items():
        if values[key] not in allowed:
            problems.append(f"{key}: {values[key]!r} is none of {', '.join(allowed)}")
    unknown = [role for role in values["server.roles"] if role not in ROLES]
    problems += [f"server.roles: {role!r} is none of {', '.join(ROLES)}" for role in unknown]
    if values["delivery.transport"] == "relay" and not values["relay.host"]:
        problems.append("relay.host: needed when delivery.transport is relay")
    if bool(values["tls.certificate"]) != bool(values["tls.key"]):
        problems.append("tls.certificate and tls.key: both or neither")


def _nearest(key: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(key, BY_KEY, 1)
    return f"; did you mean [{BY_KEY[close[0]].section}] {BY_KEY[close[0]].name}?" if close else ""


def parse_listen(text: str) -> tuple[str, int, bool]:
    """``tls://127.0.0.1:465`` -> (``127.0.0.1``, 465, True). An IPv6 address stands in brackets. Raises :class:`BadSetting`."""
    tls = text.startswith("tls://")
    host, colon, port = text.removeprefix("tls://").rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise BadSetting(f"{text!r} is no ADDRESS:PORT (IPv6: [::1]:2525; implicit TLS: tls://ADDRESS:PORT)")
    return host.strip("[]"), int(port), tls
