"""What single settings must look like: addresses, networks, URLs."""

import ipaddress
import re
from collections.abc import Callable, Mapping


class BadSetting(ValueError):
    """A setting that cannot be used; the text names it, says where it came from and what would be right."""


def parse_listen(text: str) -> tuple[str, int, bool]:
    """``tls://127.0.0.1:465`` -> (``127.0.0.1``, 465, True). An IPv6 address stands in brackets. Raises :class:`BadSetting`."""
    tls = text.startswith("tls://")
    host, port = _host_port(text.removeprefix("tls://")) or ("", 0)
    try:
        # A name could stand for several addresses, and the guard must know which of them are ours.
        return str(ipaddress.ip_address(host)), port, tls
    except ValueError:
        raise BadSetting(
            f"{text!r} is no ADDRESS:PORT with an IP address (all: 0.0.0.0:2525, IPv6: [::1]:2525)"
        ) from None


def parse_host_port(text: str) -> tuple[str, int]:
    """``smtp.example.com:587``; the host is a name or an address. Raises :class:`BadSetting`."""
    found = _host_port(text)
    if found is None:
        raise BadSetting(f"{text!r} is no HOST:PORT, e.g. smtp.example.com:587")
    return found


def _host_port(text: str) -> tuple[str, int] | None:
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^][:/\s]+):([0-9]{1,5})", text)
    if found is None or not 0 < int(found[2]) < 65536:
        return None
    return found[1].strip("[]"), int(found[2])


def _no_tls(text: str) -> None:
    if parse_listen(text)[2]:
        raise ValueError(f"tls:// is for [smtp] listen alone, not {text!r}; HTTPS has [http] tls_listen")


def _network(text: str) -> None:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is neither an IP address nor a network such as 10.0.0.0/8") from None


def _address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"{text!r} is no IP address") from None


def _name_server(text: str) -> None:
    host = text.strip("[]") if text.count(":") != 1 and "]:" not in text else (_host_port(text) or ("", 0))[0]
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{text!r} is no name server as IP:PORT, e.g. 127.0.0.1:53 or [::1]:53") from None


def _url(text: str) -> None:
    if not re.fullmatch(r"https?://[^/?#\s]+(/[^?#\s]*)?", text):
        raise ValueError(f"{text!r} is no URL of a host, e.g. https://mail.example.com")


def _database(text: str) -> None:
    if not re.match(r"postgres(ql)?(\+psycopg)?://", text):
        # Not repeated in the text: a URL may hold a password.
        raise ValueError("it begins with postgresql://; leave it empty for SQLite in the data folder")


def _blocklist(text: str) -> None:
    if not re.fullmatch(r"(domain:)?[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+", text.lower()):
        raise ValueError(f"{text!r} is no zone of a blocklist, e.g. bl.spamcop.net or domain:dbl.spamhaus.org")


#: By setting; each raises ValueError that says what would be right.
FORMS: Mapping[str, Callable[[str], object]] = {
    "server.public_url": _url,
    "tracking.url": _url,
    "server.trusted_proxies": _network,
    "http.listen": _no_tls,
    "http.tls_listen": _no_tls,
    "smtp.listen": parse_listen,
    "pop3.listen": parse_listen,
    "metrics.listen": _no_tls,
    "database.url": _database,
    "dns.nameservers": _name_server,
    "delivery.local_address": _address,
    "relay.host": parse_host_port,
    "sandbox.spamd": parse_host_port,
    "sandbox.rspamd": _url,
    "sandbox.blocklists": _blocklist,
}
