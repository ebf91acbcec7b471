"""Which addresses Mailferry may connect to, by the special-purpose registries of RFC 6890.

A recipient's domain decides where our connections go, and a webhook's URL will too: whoever owns those names must not
point us at our own listeners (a loop, or mail that passes for local) or into the network behind us.
"""

import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

# Written out instead of asking `ipaddress.is_global`: its answers changed between patch releases of Python 3.11 and
# 3.12. IANA special-purpose address registries, https://www.iana.org/assignments/iana-ipv4-special-registry.
_SPECIAL_4 = tuple(
    (IPv4Network(network), word)
    for network, word in (
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared (carrier-grade NAT)"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_SPECIAL_6 = tuple(
    (IPv6Network(network), word)
    for network, word in (
        ("::1/128", "loopback"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "documentation"),
        ("3fff::/20", "documentation"),
    )
)
_UNSPECIFIED_4 = IPv4Network("0.0.0.0/8")
_GLOBAL_6 = IPv6Network("2000::/3")  # RFC 4291 2.4: all of IPv6 that is handed out as global unicast
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 2.1
# Never on the public Internet, and taken apart by translators of the operator's own: RFC 8215, RFC 7915.
_TRANSLATED = (IPv6Network("64:ff9b:1::/48"), IPv6Network("::ffff:0:0:0/96"))
_LOW_96 = IPv6Network("::/96")  # IPv4-compatible (RFC 4291 2.5.5.1), long deprecated, still routed by some stacks


def is_local(ip: str) -> bool:
    """Whether this machine has the address, asked of the kernel: only a local address can be bound.

    Asking at the moment of use finds addresses that came after the start; a list taken then would not.
    """
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((ip, 0))
    except OSError:
        return False
    return True


class Guard:
    """Says of an address and port whether an outgoing connection may go there.

    `own` are our listeners as they are bound, wildcards (`0.0.0.0`, `::`) included; they are refused whatever
    `allow_private` says.
    """

    def __init__(
        self, allow_private: bool, own: Iterable[tuple[str, int]], *, is_local: Callable[[str], bool] = is_local
    ) -> None:
        listeners = [(_without_zone(ip_address(ip)), port) for ip, port in own]
        self._allow_private = allow_private
        self._is_local = is_local
        self._own = frozenset(listeners)
        # One wildcard listener counts for both families: "::" may be bound for both, and we cannot see which it was.
        self._own_ports = frozenset(port for ip, port in listeners if ip.is_unspecified)

    def check(self, ip: str, port: int) -> str | None:
        """Why a connection to `ip` and `port` is refused, as one sentence without a stop; None when it may be made."""
        try:
            address = _without_zone(ip_address(ip))
        except ValueError:
            return f"{ip} is not an IP address"
        for seen in _addresses(address):
            if reason := self._refusal(seen, port):
                return f"{ip} {reason}" if seen == address else f"{ip} carries {seen}, which {reason}"
        return None

    def _refusal(self, address: Address, port: int) -> str | None:
        # To connect to 0.0.0.0 or :: reaches this machine on Linux: our listeners by another name, so never allowed.
        if address.is_unspecified:
            return "is the unspecified address"
        if (address, port) in self._own:
            return f"port {port} is a listener of our own"
        if port in self._own_ports and self._is_local(str(address)):
            return f"port {port} is a listener of our own"
        word = None if self._allow_private else _special(address)
        return f"is a {word} address" if word else None


def _without_zone(address: Address) -> Address:
    """``::1%lo`` is ``::1``: the zone (RFC 4007 11) chooses an interface, and makes no other address of it."""
    return address if isinstance(address, IPv4Address) else IPv6Address(int(address))


def _addresses(address: Address) -> tuple[Address, ...]:
    """The address, and the IPv4 addresses that a router on the way may take out of it."""
    if isinstance(address, IPv4Address):
        return (address,)
    found: list[Address] = [address]
    if address.ipv4_mapped:
        found.append(address.ipv4_mapped)
    translated = address in _NAT64 or any(address in network for network in _TRANSLATED)
    if translated or (address in _LOW_96 and int(address) > 1):
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    if address.sixtofour:
        found.append(address.sixtofour)
    if address.teredo:
        found.extend(address.teredo)  # RFC 4380 4: the server's and the client's address
    return tuple(found)


def _special(address: Address) -> str | None:
    """The registry's word for an address that is not on the public Internet, None for one that is."""
    if isinstance(address, IPv4Address):
        if address in _UNSPECIFIED_4:
            return "reserved"
        return next((word for network, word in _SPECIAL_4 if address in network), None)
    if address.ipv4_mapped or address in _NAT64 or address.teredo or address.sixtofour:
        return None  # judged by what it carries
    special = next((word for network, word in _SPECIAL_6 if address in network), None)
    return special or (None if address in _GLOBAL_6 else "reserved")
