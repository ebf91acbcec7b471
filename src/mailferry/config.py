"""Every setting once: section, name, default, one sentence. Read from one TOML file and the environment, then frozen.

The command line wins over the environment, that over the file, the file over the default; ``MAILFERRY_HTTP_LISTEN`` is
``[http] listen``. A list is written with commas there. ``docs/settings.md`` is held against this file by a test.
"""

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mailferry.config_forms import FORMS, BadSetting, parse_host_port, parse_listen

__all__ = ["BadSetting", "Config", "Setting", "load", "parse_host_port", "parse_listen"]


@dataclass(frozen=True, slots=True)
class Setting:
    """``kind`` is one of str, int, bool, list, path. ``bounds`` are the least and the largest number that make sense."""

    section: str
    name: str
    kind: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    bounds: tuple[int, int] = (1, 2**53)
    #: Never shown.
    secret: bool = False

    @property
    def variable(self) -> str:
        return f"MAILFERRY_{self.section}_{self.name}".upper()

    @property
    def key(self) -> str:
        return f"{self.section}.{self.name}"


#: In the data folder, where no [database] url is set (see store/database.py).
SQLITE_FILE = "mailferry.db"

ROLES = ("api", "smtp", "delivery", "consumers", "housekeeping")

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "server", "data_dir", "path", "data", "Folder of the database, message bytes, keys, lock and control socket."
    ),
    Setting("server", "public_url", "str", "", "How clients reach the HTTP API from outside; its host is allowed."),
    Setting(
        "server", "hostname", "str", "", "Our name in EHLO, greetings and DNS records; empty takes the machine's name."
    ),
    Setting(
        "server", "roles", "list", list(ROLES), f"Which parts this process runs: {', '.join(ROLES)}.", choices=ROLES
    ),
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
    Setting(
        "smtp",
        "cram_md5",
        "bool",
        False,
        "Offer AUTH CRAM-MD5 beside PLAIN and LOGIN, and not only without TLS; users of sandbox inboxes alone can use it.",
    ),
    Setting(
        "smtp",
        "max_message_size",
        "int",
        40 * 1024 * 1024,
        "Octets of the largest message that SMTP takes: Amazon's 40 MiB.",
    ),
    Setting("smtp", "max_connections", "int", 1000, "Submission connections at once."),
    Setting("smtp", "max_connections_per_ip", "int", 100, "Submission connections at once from one address."),
    Setting(
        "smtp", "max_messages_per_connection", "int", 10_000, "Messages taken on one connection before it is closed."
    ),
    Setting(
        "pop3",
        "listen",
        "list",
        [],
        "Listeners by which mail programs read inboxes; `tls://ADDRESS:PORT` is implicit TLS. Mailtrap's ports are 1100 and 9950.",
    ),
    Setting("pop3", "plain_auth", "bool", False, "Passwords without TLS, on loopback listeners only."),
    Setting("pop3", "max_connections", "int", 200, "POP3 connections at once."),
    Setting("pop3", "max_connections_per_ip", "int", 50, "POP3 connections at once from one address."),
    Setting("database", "url", "str", "", "`postgresql://user@host/name`; empty is SQLite in the data folder."),
    Setting("database", "pool", "int", 4, "Connections for reading, a process."),
    Setting("dns", "nameservers", "list", [], "Resolvers as `ip:port`; empty takes the system's."),
    Setting("dns", "zone", "str", "", "The operator's own zone: records are then shown as CNAMEs into it."),
    Setting(
        "tracking",
        "url",
        "str",
        "",
        "Where readers reach us, such as `https://t.example.com`; empty takes public_url, and without it no mail is tracked.",
    ),
    Setting(
        "tracking",
        "custom_hosts",
        "str",
        "auto",
        "Links under a domain's own `mt-link` name: `auto` (by HTTPS, where our certificate has it), `https`, `http`, `off`.",
        choices=("auto", "https", "http", "off"),
    ),
    Setting(
        "delivery",
        "transport",
        "str",
        "mx",
        "How mail leaves: `mx` (to the recipient's hosts) or `relay` (over one smarthost).",
        choices=("mx", "relay"),
    ),
    Setting("delivery", "smtp_port", "int", 25, "Port of the recipient's MX hosts.", bounds=(1, 65535)),
    Setting(
        "delivery",
        "local_address",
        "str",
        "",
        "Source IP address of outgoing connections; empty leaves it to the system.",
    ),
    Setting(
        "delivery", "connections", "int", 20, "Connections at once to one destination, once it is known to answer."
    ),
    Setting(
        "delivery",
        "attempts",
        "int",
        500,
        "Attempts under way at once, a process; the more there are, the fewer each destination may have.",
    ),
    Setting(
        "delivery",
        "expire_hours",
        "int",
        72,
        "A message not delivered by then is bounced; time in which it is held does not count.",
    ),
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
        bounds=(0, 2**31),
    ),
    Setting(
        "delivery",
        "handoff_memory",
        "int",
        128 * 1024 * 1024,
        "Octets of those messages; more wait in the queue.",
        bounds=(0, 2**53),
    ),
    Setting(
        "delivery",
        "signers",
        "int",
        -1,
        "Processes that do RSA; -1 is one a processor core, 0 signs in a thread.",
        bounds=(-1, 1024),
    ),
    Setting("relay", "host", "str", "", "The smarthost as `host:port`."),
    Setting("relay", "username", "str", "", "SASL user at the smarthost; empty does not authenticate."),
    Setting("relay", "password", "str", "", "SASL password at the smarthost.", secret=True),
    Setting(
        "relay",
        "tls",
        "str",
        "required",
        "`required` (STARTTLS, certificate checked), `implicit`, `opportunistic` or `none`.",
        choices=("required", "implicit", "opportunistic", "none"),
    ),
    Setting(
        "relay", "ca_file", "path", "", "PEM file of the authority that the smarthost's certificate is checked with."
    ),
    Setting(
        "net",
        "allow_private",
        "bool",
        False,
        "Outgoing connections to private and loopback addresses, and webhooks on any port.",
    ),
    Setting(
        "sandbox",
        "spamd",
        "str",
        "",
        "SpamAssassin's spamd as `host:port`, which spam reports are asked of; without it and rspamd rules of our own judge.",
    ),
    Setting(
        "sandbox",
        "blocklists",
        "list",
        [],
        "DNS blocklists that senders of caught mail are looked for on; `domain:ZONE` for lists of names. Empty asks none.",
    ),
    Setting(
        "sandbox", "rspamd", "str", "", "URL of an rspamd worker (`http://127.0.0.1:11333`), asked instead of spamd."
    ),
    Setting(
        "sendmail",
        "url",
        "str",
        "",
        "Where `mailferry sendmail` sends: `smtp://USER:PASSWORD@HOST:PORT` or `smtps://`; empty is the first run's inbox.",
        secret=True,
    ),
    Setting(
        "limits",
        "new_domain_hourly",
        "int",
        50,
        "Recipients an hour of a domain that is under review.",
        bounds=(0, 2**31),
    ),
    Setting("limits", "api_rate", "int", 1, "Multiplies the API's rate limits; 0 lifts them.", bounds=(0, 1_000_000)),
    Setting("limits", "templates", "int", 200, "Templates that an account may have.", bounds=(0, 1_000_000)),
    Setting(
        "retention", "logs_days", "int", 30, "Days that messages, recipients and events are kept.", bounds=(1, 36_500)
    ),
    Setting("retention", "content_days", "int", 15, "Days that the bytes of messages are kept.", bounds=(1, 36_500)),
    Setting(
        "secrets", "key_file", "path", "", "Key that seals stored secrets; empty is `secret.key` in the data folder."
    ),
    Setting("metrics", "listen", "str", "127.0.0.1:9025", "Loopback listener of /metrics; empty turns it off."),
    Setting(
        "log",
        "format",
        "str",
        "auto",
        "`json`, `console`, or `auto`: console on a terminal, JSON elsewhere.",
        choices=("auto", "json", "console"),
    ),
    Setting(
        "log",
        "level",
        "str",
        "info",
        "`debug`, `info`, `warning` or `error`.",
        choices=("debug", "info", "warning", "error"),
    ),
)

BY_KEY = {setting.key: setting for setting in SETTINGS}


@dataclass(frozen=True)
class Config:
    """All settings with their values, and where each came from (`default`, a file's path, a variable's name)."""

    values: Mapping[str, Any]
    origins: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    @property
    def data_dir(self) -> Path:
        return Path(self["server.data_dir"]).absolute()

    @property
    def key_file(self) -> Path:
        return Path(self["secrets.key_file"] or self.data_dir / "secret.key")

    def but(self, values: Mapping[str, Any]) -> "Config":
        """With these values in place of its own."""
        return replace(self, values={**self.values, **values})

    def wrong(self, key: str, problem: str) -> BadSetting:
        """The error for a value that turned out to be useless; it names the setting and where the value came from."""
        return BadSetting(_about(BY_KEY[key], self.origins.get(key, "default"), problem))


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
            _check(setting, values[setting.key])
        except ValueError as error:
            problems.append(_about(setting, origin, str(error)))

    for section, name, raw in _from_file(file, problems):
        setting = BY_KEY.get(f"{section}.{name}")
        if setting is None:
            problems.append(f"[{section}] {name} from {file}: there is no such setting{_nearest(f'{section}.{name}')}")
        else:
            take(setting, raw, str(file))
    for setting in SETTINGS:
        if setting.variable in environ:
            take(setting, environ[setting.variable], setting.variable)
    problems += _misspelled(environ)
    for key, raw in (overrides or {}).items():
        take(BY_KEY[key], raw, "command line")
    config = Config(values, origins, file)
    if not problems:
        problems = _together(config)
    if problems:
        raise BadSetting("\n".join(problems))
    return config


def _about(setting: Setting, origin: str, problem: str) -> str:
    return f"[{setting.section}] {setting.name} from {origin}: {problem}"


def _from_file(file: Path | None, problems: list[str]) -> list[tuple[str, str, Any]]:
    if file is None:
        return []
    try:
        tree = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        problems.append(f"{file} cannot be read: {error.strerror}")
        return []
    except ValueError as error:
        problems.append(f"{file} is no TOML: {error}")
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
        known = raw if isinstance(raw, bool) else _WORDS.get(str(raw).lower())
        if known is None:
            raise ValueError(f"true or false is needed, not {raw!r}")
        return known
    if setting.kind == "int":
        if isinstance(raw, bool) or not re.fullmatch(r"-?[0-9]{1,18}", str(raw)):
            raise ValueError(f"a whole number is needed, not {raw!r}")
        return int(raw)
    if not isinstance(raw, str):
        raise ValueError(f"a string is needed, not {raw!r}")
    return raw


_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _check(setting: Setting, value: Any) -> None:
    """Raises ValueError for what cannot be right whatever the other settings are."""
    if setting.kind == "int" and not setting.bounds[0] <= value <= setting.bounds[1]:
        raise ValueError(f"{value} is out of range; it goes from {setting.bounds[0]} to {setting.bounds[1]}")
    items = value if setting.kind == "list" else [value]
    for item in items:
        if setting.choices and item not in setting.choices:
            raise ValueError(f"{item!r} is none of {', '.join(setting.choices)}")
        if item and (check := FORMS.get(setting.key)):
            check(item)


def _together(config: Config) -> list[str]:
    """What is wrong about values that are right each for itself."""
    problems = []
    if config["delivery.transport"] == "relay" and not config["relay.host"]:
        problems.append("[relay] host: needed when [delivery] transport is relay")
    if bool(config["tls.certificate"]) != bool(config["tls.key"]):
        problems.append("[tls] certificate and key: both or neither")
    if config["sandbox.spamd"] and config["sandbox.rspamd"]:
        problems.append("[sandbox] spamd and rspamd: one of them")
    if not config["server.roles"]:
        problems.append(f"[server] roles: at least one of {', '.join(ROLES)}")
    for section in ("smtp", "pop3"):
        addresses = [parse_listen(text)[0] for text in config[f"{section}.listen"]]
        problems += [
            f"[{section}] plain_auth: passwords in clear are for loopback listeners, not for {address}"
            for address in addresses
            if config[f"{section}.plain_auth"] and not ipaddress.ip_address(address).is_loopback
        ]
    return problems


#: What Kubernetes tells every container of a service that is called mailferry, or mailferry-smtp.
_KUBERNETES = re.compile(r"\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
#: How like a section's name another word must be to be meant for it: DELIVRY, LOGS, HTTPS are; API, URL, HOST are not.
_LIKE = 0.8


def _misspelled(environ: Mapping[str, str]) -> list[str]:
    """Of our sections, and of words like them. Others put variables with our name there too: applications their token."""
    from difflib import get_close_matches

    known = {setting.variable for setting in SETTINGS}
    sections = {setting.section.upper() for setting in SETTINGS}
    problems = []
    for variable in sorted(set(environ) - known):
        prefix, _, rest = variable.partition("_")
        section, _, name = rest.partition("_")
        if prefix != "MAILFERRY" or not name or not get_close_matches(section, sections, 1, _LIKE):
            continue
        if _KUBERNETES.fullmatch(variable) or (name == "PORT" and "://" in environ[variable]):
            continue
        near = _nearest(f"{section}.{name.lstrip('_')}".lower())
        problems.append(f"{variable} from the environment: there is no such setting{near}")
    return problems


def _nearest(key: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(key, BY_KEY, 1)
    return f"; did you mean [{BY_KEY[close[0]].section}] {BY_KEY[close[0]].name}?" if close else ""
