"""Which addresses of a host a connection may be made to: names resolved here, and each address asked of the guard.

Whoever connects goes to one of these very addresses: an answer of the DNS that changes in between (rebinding) gains nothing.
"""

from ipaddress import ip_address

from mailferry.net.dns import Resolver
from mailferry.net.guard import Guard


async def reachable(resolver: Resolver, guard: Guard, host: str, port: int) -> tuple[list[str], str]:
    """In the order to try them; and why there are none, or which was left out, as a sentence without a stop."""
    addresses, problem = await _addresses(resolver, host)
    allowed = []
    for ip in addresses:
        if refusal := guard.check(ip, port):
            problem = problem or (refusal if ip == host else f"{host} is not connected to: {refusal}")
        else:
            allowed.append(ip)
    return allowed, problem


async def _addresses(resolver: Resolver, host: str) -> tuple[tuple[str, ...], str]:
    try:
        return (str(ip_address(host)),), ""
    except ValueError:
        pass
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761 6.3: never asked of the DNS
        return ("127.0.0.1", "::1"), ""
    status, found = await resolver.addresses(host)
    return found, "" if found else _UNRESOLVED[status].format(host=host)


_UNRESOLVED = {
    "nxdomain": "there is no host {host}",
    "nodata": "{host} has no address",
    "servfail": "the address of {host} cannot be found out now",
    "timeout": "the DNS did not answer for {host}",
    "ok": "{host} has no address",
}
