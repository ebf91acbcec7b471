"""Which host names are served, and what a request's Host says about it (RFC 9110 section 7.2, RFC 3986 section 3.2).

A browser on an operator's desk can be made to call 127.0.0.1 under an attacker's name (DNS rebinding), and a client
that cannot choose paths can choose a name. So a request is served only under a name that was allowed, and the first
label of that name may choose the role. Everything here is pure; a changed list of names is a new :class:`HostRules`.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast
from urllib.parse import urlsplit

import idna

from mailferry.config import parse_listen

Role = Literal["general", "send", "bulk", "sandbox", "tracking"]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: First labels that choose a role. Each is also allowed in front of any allowed name: allowing ``mail.example.com`` is
#: enough for ``send.mail.example.com``, and nothing but these three comes with it.
ROLE_LABELS = ("send", "bulk", "sandbox")
#: What a sending domain's tracking host is called: it serves links in mail and nothing else, also where it was allowed.
TRACKING_LABEL = "mt-link"
#: Served always: what a first try on one's own machine uses.
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
#: RFC 1035 2.3.4 says 255 octets on the wire, which is 253 characters.
MAX_NAME = 253

# Underscores are no host name (RFC 952), but Docker Compose and Windows networks make such names, and they harm nobody.
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+))(?::([0-9]{0,5}))?")


class BadHost(ValueError):
    """A host name in the settings or on the command line that cannot be one; the text names it."""


@dataclass(frozen=True, slots=True)
class Host:
    """``name`` is lower case without a final dot; an IPv6 address has no brackets. ``port``: None when not given."""

    name: str
    port: int | None = None
    is_address: bool = False


@dataclass(frozen=True, slots=True)
class HostMatch:
    """An allowed host and the role that its first label chose."""

    name: str
    port: int | None
    role: Role


def parse_host(value: str) -> Host | None:
    """Read a Host header's value; None when it is malformed (RFC 9110 7.2 wants 400 then)."""
    found = _HOST.fullmatch(value)
    if found is None:
        return None
    literal, name, digits = found.groups()
    port = int(digits) if digits else None  # RFC 3986 3.2.3: "host:" with nothing after the colon is well-formed
    if port is not None and port > 65535:
        return None
    if literal is not None:
        address = _address(literal)
        return Host(str(address), port, True) if isinstance(address, ipaddress.IPv6Address) else None
    name = name.lower().removesuffix(".")
    if len(name) > MAX_NAME or not _NAME.fullmatch(name):
        return None
    return Host(name, port, name[-1].isdigit() and _address(name) is not None)


def normalise(text: str) -> str:
    """A name that an operator wrote, as :class:`HostRules` and certificates want it: lower case, A-labels, no brackets.

    ``*.`` in front is kept. Raises :class:`BadHost`. A port or URL is refused rather than cut off: whoever wrote it
    meant something by it.
    """
    text = text.strip()
    bare = text.removeprefix("*.")
    if (address := _address(bare.removeprefix("[").removesuffix("]"))) is not None and bare == text:
        return str(address)
    try:
        name = bare if bare.isascii() else idna.encode(bare, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise BadHost(f"{text!r} is no host name: {error}") from None
    host = parse_host(name)
    if host is None or host.port is not None or ":" in name or host.is_address:
        raise BadHost(f"{text!r} is no host name (a name, *.NAME or an IP address, without port or scheme)")
    return text[: len(text) - len(bare)] + host.name


def host_name(text: str) -> str:
    """A name that is one host's, as in EHLO and in DNS: :func:`normalise`, no pattern, no address. Raises :class:`BadHost`."""
    name = normalise(text)
    if name.startswith("*.") or _address(name) is not None:
        raise BadHost(f"{text!r} is no host name (a name in DNS, such as mail.example.com)")
    return name


def url_host(url: str) -> str:
    """The host of ``[server] public_url``, normalised; empty for an empty URL. Raises :class:`BadHost`."""
    if not url:
        return ""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if not host:
        raise BadHost(f"{url!r} is no URL with a host, e.g. https://mail.example.com")
    return normalise(host)


def listener_url(scheme: str, listen: Sequence[str]) -> str | None:
    """Of the first of these listeners, for a client on this machine; None where there is none."""
    if not listen:
        return None
    host, port, _ = parse_listen(listen[0])
    host = from_here(host)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def from_here(host: str) -> str:
    """Where a client on this machine finds a listener: a wildcard is reached over loopback."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not bound


def certificate_names(names: Iterable[str]) -> tuple[str, ...]:
    """Every name that a certificate must carry for ``names`` to be served in all roles, loopback first; empty ones are
    settings that were not made.

    The role names are written out because a wildcard would not do: clients refuse ``*.localhost`` (too few labels).
    """
    wanted: dict[str, None] = {}
    for name in (*LOOPBACK_NAMES, *map(normalise, filter(None, names))):
        wanted[name] = None
        if _address(name) is None and not name.startswith("*.") and name.partition(".")[0] not in ROLE_LABELS:
            wanted |= dict.fromkeys(f"{label}.{name}" for label in ROLE_LABELS)
    return tuple(wanted)


class HostRules:
    """The names under which HTTP is served: loopback, public_url's host and ``names``, which are those of
    ``[http] hosts`` and those issued by certificates.

    A pattern ``*.example.com`` stands for one label, as in a certificate. Raises :class:`BadHost` for what is no name.
    """

    __slots__ = ("_addresses", "_names", "_parents", "_tracking")

    def __init__(self, names: Iterable[str] = (), public_url: str = "", tracking_url: str = "") -> None:
        usual = {*LOOPBACK_NAMES, url_host(public_url)}
        #: Has a name of its own for links, which serves nothing else, also where it was allowed or has a certificate.
        self._tracking = frozenset({url_host(tracking_url)} - usual - {""})
        allowed = (usual | set(map(normalise, names))) - self._tracking - {""}
        self._parents = frozenset(name[2:] for name in allowed if name.startswith("*."))
        self._addresses = frozenset(name for name in allowed if _address(name) is not None)
        self._names = frozenset(allowed) - self._addresses

    def match(self, header: str) -> HostMatch | None:
        """The allowed host that a Host header names, or None (malformed or not allowed: 421 Misdirected Request)."""
        host = parse_host(header)
        if host is None:
            return None
        if host.is_address:
            if host.name in self._tracking:
                return HostMatch(host.name, host.port, "tracking")
            return HostMatch(host.name, host.port, "general") if host.name in self._addresses else None
        label, _, rest = host.name.partition(".")
        if host.name in self._tracking or (label == TRACKING_LABEL and self._allows(host.name)):
            return HostMatch(host.name, host.port, "tracking")
        role = cast(Role, label) if label in ROLE_LABELS else "general"
        of_role = label in ROLE_LABELS and not rest.startswith(f"{TRACKING_LABEL}.")
        if self._allows(host.name) or (of_role and self._allows(rest)):
            return HostMatch(host.name, host.port, role)
        return None

    def _allows(self, name: str) -> bool:
        # Addresses are apart, so that "send.127.0.0.1" does not pass as a role of one.
        return name in self._names or name.partition(".")[2] in self._parents


class ClientAddress(NamedTuple):
    """Who called. ``host`` and ``scheme`` are None where no trusted proxy said them: the request's own ones hold."""

    ip: str
    host: str | None
    scheme: str | None


def trusted_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """``[server] trusted_proxies`` as networks; a single address is a network of one. Raises :class:`BadHost`."""
    networks = []
    for text in texts:
        try:
            networks.append(ipaddress.ip_network(text.strip(), strict=False))
        except ValueError:
            raise BadHost(f"{text!r} is neither an IP address nor a network such as 10.0.0.0/8") from None
    return tuple(networks)


def client_address(
    peer_ip: str,
    forwarded_for: str | None,
    forwarded_host: str | None,
    forwarded_proto: str | None,
    trusted: Sequence[Network],
) -> ClientAddress:
    """Believe X-Forwarded-* as far as trusted proxies wrote it.

    Every proxy appends the address it was called from, so the list is read from the right: the first address that is no
    trusted proxy is the client, and whatever stands left of it was the client's own claim. Of -Host and -Proto the last
    value counts, which is the one that the proxy beside us wrote.
    """
    if not trusted:
        return ClientAddress(peer_ip.removeprefix("::ffff:"), None, None)
    peer = _address(peer_ip)
    if peer is None or not _within(peer, trusted):
        return ClientAddress(str(peer) if peer else peer_ip, None, None)
    client = peer
    for entry in reversed((forwarded_for or "").split(",")):
        address = _forwarded_address(entry.strip())
        if address is None:
            break  # "unknown" or garbage: who wrote it is the last one that is known
        client = address
        if not _within(address, trusted):
            break
    scheme = _last(forwarded_proto).lower()
    return ClientAddress(str(client), _last(forwarded_host) or None, scheme if scheme in ("http", "https") else None)


def _last(value: str | None) -> str:
    return (value or "").rpartition(",")[2].strip()


def _forwarded_address(entry: str) -> Address | None:
    """Some proxies add the port: ``192.0.2.1:4711``, ``[2001:db8::1]:4711``."""
    if entry.startswith("["):
        return _address(entry[1:].partition("]")[0])
    return _address(entry.partition(":")[0] if entry.count(":") == 1 else entry)


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _address(text: str) -> Address | None:
    """An IPv4-mapped IPv6 address counts as the IPv4 one: a dual-stack listener sees every IPv4 client so."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
