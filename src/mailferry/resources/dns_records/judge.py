"""What an SPF record (RFC 7208) says of our server, and whether a DMARC record (RFC 9989) is a policy. Pure."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

SpfResult = Literal["pass", "softfail", "fail", "neutral", "everyone"]

_TERM = re.compile(r"([+?~-]?)([a-z][a-z0-9]*)(?:[:=]([^/]*))?(?:/.*)?", re.IGNORECASE)


def spf_records(texts: Sequence[str]) -> list[str]:
    """RFC 7208 4.5: the version is a word of its own; other TXT records at the name do not matter."""
    return [text for text in texts if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")]


def spf_result(
    record: str, hostname: str, *, mail_hosts: Sequence[str] = (), addresses: Sequence[str] = ()
) -> SpfResult:
    """What a receiver would find for mail from ``hostname``, whose addresses are given.

    ``mail_hosts`` are the MX hosts of the name that the record stands at. ``include:`` and ``redirect=`` are not
    followed: the name is ours alone, so naming the host in it is the simpler advice.
    """
    hostname, networks = hostname.lower(), []
    for term in record.split()[1:]:
        found = _TERM.fullmatch(term)
        if found is None:
            continue
        qualifier, mechanism, argument = found[1] or "+", found[2].lower(), (found[3] or "").lower().removesuffix(".")
        if mechanism == "all":
            return _rest(qualifier)
        if qualifier != "+":
            continue
        if (mechanism == "a" and argument == hostname) or (
            mechanism == "mx" and not argument and hostname in mail_hosts
        ):
            return "pass"
        if mechanism in ("ip4", "ip6") and (network := _network(term)) is not None:
            networks.append(network)
            # All of them: which family a connection leaves by depends on the receiver.
            if addresses and all(any(ipaddress.ip_address(ip) in net for net in networks) for ip in addresses):
                return "pass"
    return "neutral"  # RFC 7208 4.7


def _rest(qualifier: str) -> SpfResult:
    results: dict[str, SpfResult] = {"-": "fail", "~": "softfail", "?": "neutral", "+": "everyone"}
    return results[qualifier]


def _network(term: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(term.partition(":")[2], strict=False)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Dmarc:
    """``problem`` says why receivers ignore the record, empty for one that holds; ``remark``, what could be better."""

    policy: str = ""
    problem: str = ""
    remark: str = ""
    #: y: a registry's record; n: this is the organization's domain and nothing above it counts; u: not said.
    psd: str = "u"


def dmarc_records(texts: Sequence[str]) -> list[str]:
    """RFC 9989 4.10: records that do not start with the version are discarded, whatever else they say."""
    return [text for text in texts if re.match(r"v[ \t]*=[ \t]*DMARC1[ \t]*(;|$)", text)]


def read_dmarc(record: str) -> Dmarc:
    """Reads one record that :func:`dmarc_records` let through."""
    tags: dict[str, str] = {}
    for part in record.split(";")[1:]:
        name, equals, value = part.partition("=")
        if equals:
            tags.setdefault(name.strip().lower(), value.strip())
    policy = tags.get("p", "").lower()
    psd = tags.get("psd", "u").lower()
    wrong = [f"{name}={tags[name]}" for name in ("p", "sp", "np") if name in tags and not _is_policy(tags[name])]
    if policy and not wrong:
        return Dmarc(policy, psd=psd)
    # RFC 9989 4.10.1: without a valid p, or with an sp or np that is none, the record counts as p=none where somebody
    # asks for reports, and as no record otherwise.
    complaint = f"{', '.join(wrong)} is none of none, quarantine, reject" if wrong else "it has no p="
    if any(_is_report_uri(uri) for uri in tags.get("rua", "").split(",")):
        return Dmarc("none", remark=f"{complaint}, so it counts as p=none", psd=psd)
    return Dmarc(problem=complaint)


def _is_policy(value: str) -> bool:
    return value.lower() in ("none", "quarantine", "reject")


def _is_report_uri(uri: str) -> bool:
    """RFC 9989 4.8: a URI with an obsolete size limit tolerated behind it."""
    scheme, colon, rest = uri.strip().partition("!")[0].partition(":")
    if not colon or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme) or not re.fullmatch(r"\S+", rest):
        return False
    return scheme.lower() != "mailto" or bool(re.fullmatch(r"[^@]+@[^@]+", rest))


def dmarc_parents(domain: str) -> list[str]:
    """Where a policy is looked for when the domain has none of its own (RFC 9989 4.10), from the longest name down.

    Top-level domains are left out: a registry's record says nothing about what this domain's owner has set up.
    """
    labels = domain.split(".")
    first = 1 if len(labels) < 8 else len(labels) - 7
    return [".".join(labels[start:]) for start in range(first, len(labels) - 1)]
