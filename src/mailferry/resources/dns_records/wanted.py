"""The records of a sending domain: return path (RFC 5321, 7208), DKIM keys (RFC 6376, 8463), DMARC (RFC 9989), links.

Two forms say the same. *Anywhere*: MX and TXT records with the things themselves; they need nothing but the domain's
own DNS. *In a zone*: CNAMEs into the operator's zone, as Mailtrap shows them; keys and hosts can then change without
asking the domain's owner again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, cast

from mailferry.mail import dkim

RecordType = Literal["MX", "TXT", "CNAME"]

MX_PREFERENCE = 10
#: Collects nothing and changes no receiver's handling, yet meets what Gmail and Yahoo ask of senders. Whoever has a
#: mailbox for reports adds rua=.
DMARC_ADVICE = "v=DMARC1; p=none"


class DomainKey(Protocol):
    """``public`` is the base64 text of the p= tag."""

    @property
    def selector(self) -> str: ...
    @property
    def algorithm(self) -> str: ...
    @property
    def public(self) -> str: ...


class SendingDomain(Protocol):
    """What of a sending domain matters here. The return path label is the name under it that takes bounces."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def return_path_label(self) -> str: ...
    @property
    def keys(self) -> Sequence[DomainKey]: ...


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The public side of a domain's key."""

    selector: str
    algorithm: dkim.Algorithm
    public: str

    @property
    def text(self) -> str:
        """The key record as one string (RFC 6376 3.6.1)."""
        return dkim.record(self.algorithm, self.public.encode("ascii"))


def signing_keys(domain: SendingDomain) -> list[SigningKey]:
    return [SigningKey(key.selector, cast(dkim.Algorithm, key.algorithm), key.public) for key in domain.keys]


@dataclass(frozen=True, slots=True)
class Operator:
    """``[server] hostname``, which takes bounces and whose addresses send, and ``[dns] zone`` (empty without one)."""

    hostname: str
    zone: str = ""

    def __post_init__(self) -> None:
        # As answers come from the DNS, so that they compare however the settings are written.
        for name in ("hostname", "zone"):
            object.__setattr__(self, name, getattr(self, name).lower().removesuffix("."))

    @property
    def bounce_alias(self) -> str:
        return f"smtp.{self.zone}"

    @property
    def link_target(self) -> str:
        return f"t.{self.zone}" if self.zone else self.hostname

    def key_alias(self, domain_id: int, selector: str) -> str:
        return f"{selector}.{self.key_zone(domain_id)}"

    def key_zone(self, domain_id: int) -> str:
        """Each domain has keys of its own, so unlike Mailtrap's ``rwmt1.dkim.smtp...`` the target names the domain.

        By its id, not its name: a name could be too long for one, and two accounts may hold the same name.
        """
        return f"{domain_id}.dkim.smtp.{self.zone}"


# What must be true of a record's name, whichever form was published.


@dataclass(frozen=True, slots=True)
class BouncesReachUs:
    hostname: str


@dataclass(frozen=True, slots=True)
class SpfAllowsUs:
    hostname: str


@dataclass(frozen=True, slots=True)
class ReturnPathIsOurs:
    """Both of the above, either by the CNAME or by records of one's own."""

    hostname: str
    alias: str


@dataclass(frozen=True, slots=True)
class KeyIsPublished:
    key: SigningKey


@dataclass(frozen=True, slots=True)
class PolicyIsPublished:
    domain: str


@dataclass(frozen=True, slots=True)
class LinksReachUs:
    target: str


Proof = BouncesReachUs | SpfAllowsUs | ReturnPathIsOurs | KeyIsPublished | PolicyIsPublished | LinksReachUs


@dataclass(frozen=True, slots=True)
class Record:
    """One record to publish.

    ``name`` is the label under the sending domain and ``domain`` the whole name, as in Mailtrap's ``dns_records``.
    ``value`` is one string without quotes, however long: DNS hosts' forms want it so (a zone file: :func:`zone_line`).
    """

    key: str
    type: RecordType
    name: str
    domain: str
    value: str
    required: bool
    purpose: str
    proof: Proof


def records(domain: SendingDomain, operator: Operator) -> tuple[Record, ...]:
    """What to show: CNAMEs where the operator has a zone, else the form that works anywhere."""
    return _records_in_zone(domain, operator) if operator.zone else records_anywhere(domain, operator)


def records_anywhere(domain: SendingDomain, operator: Operator) -> tuple[Record, ...]:
    """MX and TXT records that need no zone of the operator's."""
    host, path = operator.hostname, domain.return_path_label
    keys = [
        _record(domain, f"dkim{number}", "TXT", _key_name(key), key.text, KeyIsPublished(key))
        for number, key in enumerate(signing_keys(domain), 1)
    ]
    return (
        _record(domain, "verification", "MX", path, f"{MX_PREFERENCE} {host}", BouncesReachUs(host)),
        _record(domain, "spf", "TXT", path, spf(host), SpfAllowsUs(host)),
        *keys,
        *_common(domain, operator),
    )


def _records_in_zone(domain: SendingDomain, operator: Operator) -> tuple[Record, ...]:
    proof = ReturnPathIsOurs(operator.hostname, operator.bounce_alias)
    return (
        _record(domain, "verification", "CNAME", domain.return_path_label, operator.bounce_alias, proof),
        *(_key_alias(domain, operator, number, key) for number, key in enumerate(signing_keys(domain), 1)),
        *_common(domain, operator),
    )


def _key_alias(domain: SendingDomain, operator: Operator, number: int, key: SigningKey) -> Record:
    target = operator.key_alias(domain.id, key.selector)
    return _record(domain, f"dkim{number}", "CNAME", _key_name(key), target, KeyIsPublished(key))


def _common(domain: SendingDomain, operator: Operator) -> tuple[Record, ...]:
    target = operator.link_target
    return (
        _record(domain, "dmarc", "TXT", "_dmarc", DMARC_ADVICE, PolicyIsPublished(domain.name)),
        _record(domain, "link_verification", "CNAME", "mt-link", target, LinksReachUs(target)),
    )


def return_path_at(host: str, operator: Operator) -> Record:
    """What another name for return paths must have."""
    proof = ReturnPathIsOurs(operator.hostname, operator.bounce_alias)
    return Record("return_path", "MX", host, host, f"{MX_PREFERENCE} {operator.hostname}", True, _purpose(proof), proof)


def links_at(host: str, operator: Operator) -> Record:
    """What another name for links must have."""
    proof = LinksReachUs(operator.link_target)
    return Record("links", "CNAME", host, host, operator.link_target, True, _purpose(proof), proof)


def spf(hostname: str) -> str:
    """The hostname's A and AAAA records name the addresses that send, so they stand in one place (RFC 7208 5.3)."""
    return f"v=spf1 a:{hostname} ~all"


def _key_name(key: SigningKey) -> str:
    return f"{key.selector}._domainkey"  # RFC 6376 3.6.2.1


def _record(domain: SendingDomain, key: str, type_: RecordType, name: str, value: str, proof: Proof) -> Record:
    required = not isinstance(proof, LinksReachUs)
    return Record(key, type_, name, f"{name}.{domain.name}", value, required, _purpose(proof), proof)


def _purpose(proof: Proof) -> str:
    match proof:
        case BouncesReachUs():
            return "Return path: bounces come back to this server."
        case SpfAllowsUs():
            return "SPF: this server may send with the return path."
        case ReturnPathIsOurs():
            return "Return path: bounces come back to this server, and SPF allows it to send."
        case KeyIsPublished(key):
            return f"DKIM: the key of the {key.algorithm} signature."
        case PolicyIsPublished():
            return "DMARC: any valid policy will do, also that of a parent domain."
        case LinksReachUs():
            return "Tracked links under the domain's own name; only needed for click tracking."
