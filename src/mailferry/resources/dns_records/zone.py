"""Records as text of a zone file (RFC 1035 section 5), and the operator's own zone whole."""

import ipaddress
from collections.abc import Iterable, Sequence

from mailferry.resources.dns_records.wanted import MX_PREFERENCE, Operator, Record, SendingDomain, signing_keys, spf

TTL = 3600
#: RFC 1035 3.3.14: a TXT record is made of strings of at most 255 octets; an RSA-2048 key needs two.
MAX_STRING = 255


def zone_line(record: Record) -> str:
    """One record as a line with its absolute name, TXT in quoted strings."""
    if record.type == "TXT":
        return _line(record.domain, "TXT", quoted(record.value))
    return _line(record.domain, record.type, f"{record.value}.")


def quoted(text: str) -> str:
    """``"..." "..."``: strings of at most 255 octets; readers join them without a gap (RFC 7208 3.3)."""
    octets = text.encode("utf-8")
    chunks = [octets[at : at + MAX_STRING] for at in range(0, len(octets), MAX_STRING)] or [b""]
    return " ".join(f'"{"".join(map(_escaped, chunk))}"' for chunk in chunks)


def export_zone(
    operator: Operator,
    domains: Iterable[SendingDomain],
    *,
    serial: int,
    addresses: Sequence[str] = (),
    nameservers: Sequence[str] = (),
) -> str:
    """The zone that the CNAMEs of all ``domains`` point into, for BIND and for what imports zone files.

    ``serial`` must grow from export to export (Unix seconds do). ``addresses`` are the hostname's own; they are
    written only where the hostname lies in the zone. Without ``nameservers`` the hostname stands in: DNS hosts replace
    SOA and NS by their own anyway.
    """
    zone, host = operator.zone, operator.hostname
    servers = nameservers or (host,)
    lines = [
        f"; {zone}: what the CNAMEs of sending domains point to. Written by: mailferry dns export",
        f"$ORIGIN {zone}.",
        f"$TTL {TTL}",
        _line(zone, "SOA", f"{servers[0]}. hostmaster.{zone}. {serial} 7200 900 1209600 300"),
        *(_line(zone, "NS", f"{server}.") for server in servers),
        "; bounces and SPF",
        _line(operator.bounce_alias, "MX", f"{MX_PREFERENCE} {host}."),
        _line(operator.bounce_alias, "TXT", quoted(spf(host))),
    ]
    if host == zone or host.endswith(f".{zone}"):
        lines += ["; this server", *(_address_line(host, ip) for ip in addresses)]
    if operator.link_target != host:
        lines += ["; tracked links", _line(operator.link_target, "CNAME", f"{host}.")]
    for domain in domains:
        lines.append(f"; DKIM keys of {domain.name}")
        lines += [
            _line(operator.key_alias(domain.id, key.selector), "TXT", quoted(key.text)) for key in signing_keys(domain)
        ]
    return "\n".join(lines) + "\n"


def _address_line(host: str, ip: str) -> str:
    return _line(host, "A" if ipaddress.ip_address(ip).version == 4 else "AAAA", ip)


def _line(name: str, rtype: str, rdata: str) -> str:
    return f"{name}. {TTL} IN {rtype} {rdata}"


def _escaped(octet: int) -> str:
    """RFC 1035 5.1: quote and backslash are escaped, what is no printable ASCII is written as a number."""
    character = chr(octet)
    if character in '"\\':
        return f"\\{character}"
    return character if 0x20 <= octet < 0x7F else f"\\{octet:03d}"
