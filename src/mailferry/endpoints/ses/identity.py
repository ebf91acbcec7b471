"""An identity: a sending domain, or one address. How it is named, found, judged and changed, for both versions.

A domain identity is a sending domain of the account. An address is kept as a document, and proven by the domain that it
lies in: without that domain's keys nothing can be signed, whoever answers at the address.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from mailferry.endpoints.ses.deps import Call
from mailferry.endpoints.ses.errors import SesError, invalid, not_found
from mailferry.mail import address
from mailferry.mail.address import BadAddress
from mailferry.resources import audit, custom_hosts, documents, domains, identities
from mailferry.resources.custom_hosts import RETURN_PATH
from mailferry.resources.documents import Document, Kind
from mailferry.resources.domains import Domain
from mailferry.resources.permissions import VIEWER, Resource

#: Alters settings in place.
Edit = Callable[[dict[str, Any]], None]

#: How v2 spells statuses.
V2_STATUS = {
    "Pending": "PENDING",
    "Success": "SUCCESS",
    "Failed": "FAILED",
    "TemporaryFailure": "TEMPORARY_FAILURE",
    "NotStarted": "NOT_STARTED",
}
#: That one call of v1 may ask about (quotas).
MAX_ASKED = 100


@dataclass(frozen=True, slots=True)
class Identity:
    name: str
    #: It itself, or of an address the one that it lies in.
    domain: Domain | None
    #: The nearest that proves it: its own, or one above.
    proof: Domain | None
    settings: Mapping[str, Any]
    #: Of its MAIL FROM domain, if it has one.
    return_path: Document | None = None

    @property
    def is_address(self) -> bool:
        return "@" in self.name

    @property
    def type(self) -> str:
        return "EMAIL_ADDRESS" if self.is_address else "DOMAIN"

    @property
    def status(self) -> str:
        """Of its verification, as v1 spells it."""
        if self.proof is None:
            return "Pending"
        if self.proof.state == domains.NON_COMPLIANT:
            return "Failed"
        return "Success" if self.proof.dns_verified or self.proof.state == domains.DEMO else "TemporaryFailure"

    @property
    def may_send(self) -> bool:
        """Whether its mail is accepted; that of a domain which lost its records is, and waits."""
        return self.proof is not None and self.proof.state != domains.NON_COMPLIANT


def spelled(text: str, *, new: bool = False) -> str:
    """Domains and the domains of addresses have one spelling. ``new``: it is to be added. Raises `SesError`."""
    is_address = "@" in text
    domain = domains.named_anew if new else domains.spelled
    try:
        found = address.parse(text.strip()) if is_address else domain(text)
    except BadAddress:
        raise invalid(f"Invalid {'email address' if is_address else 'domain name'} {text[:300]}.") from None
    if not address.is_ascii(found):
        raise invalid(f"Invalid email address {text[:300]}.")
    return found


def find(connection: Connection, account_id: int, name: str) -> Identity | None:
    kept = documents.get(connection, account_id, Kind.IDENTITY, name)

    def by_name(domain: str) -> Domain | None:
        return domains.by_name(connection, account_id, domain)

    found = _identity(name, kept.body if kept else {}, by_name)
    if not (kept if found.is_address else found.domain):
        return None
    if asked := found.settings.get("mail_from"):
        host = custom_hosts.named(RETURN_PATH, asked["domain"])
        return replace(found, return_path=documents.get(connection, account_id, Kind.CUSTOM_HOST, host))
    return found


def proof_of(connection: Connection, account_id: int, domain: str) -> Domain | None:
    """The verified domain of the account that this one is, or lies below."""
    return _identity(domain, {}, lambda name: domains.by_name(connection, account_id, name)).proof


def everything(connection: Connection, account_id: int) -> list[Identity]:
    """Of the account, by name; what was set for domains is left out."""
    known = {domain.name: domain for domain in domains.of_account(connection, account_id)}
    addresses = identities.addresses(connection, account_id)
    found = [_identity(name, {}, known.get) for name in known]
    found += [_identity(each.name, each.body, known.get) for each in addresses]
    return sorted(found, key=lambda each: each.name)


def _identity(name: str, settings: Mapping[str, Any], by_name: Callable[[str], Domain | None]) -> Identity:
    domain_name = name.rpartition("@")[2]
    own = by_name(domain_name)
    return Identity(name, own, own if own and _proves(own) else _above(domain_name, by_name), settings)


def _above(name: str, by_name: Callable[[str], Domain | None]) -> Domain | None:
    """As the intake finds whose keys sign (intake/accept.py)."""
    above = name.partition(".")[2]
    while "." in above:
        parent = by_name(above)
        if parent and parent.verified_at:
            return parent
        above = above.partition(".")[2]
    return None


def _proves(domain: Domain) -> bool:
    return bool(domain.verified_at) or domain.state == domains.DEMO


# --- what a call asks about ------------------------------------------------------------------------------------------


def visible(call: Call, found: Identity) -> bool:
    """A key that is confined to domains sees those, and addresses in them."""
    granted = call.rights.granted(Resource.DOMAIN, VIEWER)
    if granted is None:
        return True
    near = found.domain or found.proof
    return near is not None and near.id in granted


async def look(call: Call, text: str) -> Identity | None:
    """By the name as it was given. None: there is none, or none that the caller may see.

    Whoever waits for records to be seen asks again and again, so that DNS is looked up between the hours.
    """
    try:
        name = spelled(text)
    except SesError:
        return None
    found = await call.read(lambda connection: find(connection, call.account_id, name))
    if found is None or not visible(call, found):
        return None
    if found.domain and found.status != "Success":
        call.deps.look_up_domain(found.domain.id)
    if found.return_path and not custom_hosts.is_ours(found.return_path):
        call.deps.look_up_host(call.account_id, found.return_path.name)
    return found


async def look_all(call: Call, texts: Sequence[str]) -> list[tuple[str, Identity]]:
    """Those that are there, each under the name that it was asked by."""
    if len(texts) > MAX_ASKED:
        raise invalid(f"At most {MAX_ASKED} identities can be asked about at once, these are {len(texts)}.")
    return [(text, found) for text in texts if (found := await look(call, text))]


async def existing(call: Call, text: str) -> Identity:
    """Raises `SesError` in the words of the version that was called."""
    found = await look(call, text)
    if found is None:
        raise missing(call, text)
    return found


def missing(call: Call, text: str) -> SesError:
    if call.service == "sesv2":
        return not_found(f"Email identity {text[:300]} does not exist.")
    return invalid(f"Identity <{text[:300]}> does not exist.")


# --- changes ---------------------------------------------------------------------------------------------------------


async def change(call: Call, text: str, edit: Edit, *, also: Callable[[Connection], None] | None = None) -> None:
    """Settings of an identity that is there, and ``also`` in the same transaction. ``edit`` may raise `SesError`."""
    found = await existing(call, text)

    def write(connection: Connection) -> None:
        changed = identities.change(connection, call.account_id, found.name, edit, call.now())
        if changed is None:  # deleted meanwhile
            raise missing(call, text)
        before, after = changed
        changes = {name: (before.get(name), after.get(name)) for name in sorted(before.keys() | after.keys())}
        if before != after:
            note(connection, call, found, "identity.updated", changes)
        if also:
            also(connection)

    await call.write(write)
    call.deps.documents.forget()


def note(
    connection: Connection,
    call: Call,
    found: Identity,
    event: str,
    changes: Mapping[str, tuple[Any, Any]] | None = None,
) -> None:
    what: tuple[str, object, str] = ("identity", found.name, found.name)
    if found.domain and not found.is_address:
        what = (Resource.DOMAIN, found.domain.id, found.name)
    audit.note(connection, call.account_id, call.actor, event, what, call.now(), changes)
