"""What the account, the sender's identity and a configuration set ask of a message, found before it is made."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mailferry.endpoints.ses import addresses
from mailferry.endpoints.ses.account import DOCUMENT as ACCOUNT
from mailferry.endpoints.ses.account import PAUSED
from mailferry.endpoints.ses.deps import Call
from mailferry.endpoints.ses.errors import SesError, not_found
from mailferry.resources import custom_hosts, domains
from mailferry.resources.custom_hosts import LINKS, RETURN_PATH
from mailferry.resources.documents import Document, Kind
from mailferry.resources.permissions import ADMIN, Resource

#: A configuration set whose mail goes by this pool is of the bulk stream.
BULK_POOL = "bulk"
#: Reasons of the account's suppression list, and the types of suppressions that they are.
SUPPRESSING = {"BOUNCE": frozenset({"hard bounce", "manual import"}), "COMPLAINT": frozenset({"spam complaint"})}
#: Stops mail whatever a configuration set says: the recipient asked for it.
_ALWAYS = frozenset({"unsubscription"})


@dataclass(frozen=True, slots=True)
class Conditions:
    #: The configuration set's name, empty where there is none.
    set_name: str
    stream: str
    #: Types of suppressions that stop it; None: all do.
    suppressing: frozenset[str] | None
    #: 0: as long as all mail.
    expire_ms: int
    #: For delivery (delivery/job.Terms) and for events.
    facts: Mapping[str, Any]


async def conditions(call: Call, source: str, set_name: str) -> Conditions:
    """``source``: the sender; ``set_name``: the set that the call names, if any. Raises `SesError`."""
    identities = _identities(source)
    name = set_name or str(await _set_by_identity(call, identities, "configuration_set") or "")
    chosen = await _configuration_set(call, name)
    await check_pauses(call, f"configuration-set/{name}", *(f"identity/{each}" for each in identities))
    delivery = chosen.body.get("DeliveryOptions", {}) if chosen else {}
    return Conditions(
        name,
        "bulk" if delivery.get("SendingPoolName") == BULK_POOL else "transactional",
        _suppressing(chosen, await _settings(call)),
        delivery.get("MaxDeliverySeconds", 0) * 1000,
        {**_of_set(chosen), **await _links(call, chosen), **await _return_path(call, identities)},
    )


async def check_account(call: Call) -> None:
    """Raises `SesError`: the key may send nothing, or nobody may."""
    if call.rights.granted(Resource.DOMAIN, ADMIN) == frozenset():
        raise call.denied(call.arn("ses", "identity/*"))
    if not (await _settings(call)).get("sending", True):
        raise SesError(
            "AccountSendingPausedException",
            "Sending paused for this account. For more information, please check the inbox of the email address "
            "associated with your AWS account.",
        )


async def check_pauses(call: Call, *resources: str) -> None:
    """Raises `SesError`: the customer paused one of these (UpdateReputationEntityCustomerManagedStatus)."""
    for paused in (await _settings(call)).get(PAUSED, ()):
        if paused in resources:
            raise SesError("AccountSendingPausedException", f"Sending is paused for resource <{paused}>")


async def check_tenant(call: Call, name: str) -> None:
    """Raises `SesError`: there is none, or the customer paused it."""
    if not name:
        return
    found = await call.deps.documents.get(call.account_id, Kind.TENANT, name)
    if found is None:
        raise not_found(f"Tenant <{name}> does not exist.")
    await check_pauses(call, f"tenant/{name}/{found.body['TenantId']}")


async def _settings(call: Call) -> Mapping[str, Any]:
    found = await call.deps.documents.get(call.account_id, Kind.ACCOUNT, ACCOUNT)
    return found.body if found else {}


# --- the identity ----------------------------------------------------------------------------------------------------


def _identities(source: str) -> list[str]:
    """The names that settings for it may stand under, the most specific first: the address, then its domains."""
    try:
        address = addresses.mailbox(source).address
    except SesError:  # the intake will say what is wrong
        return []
    return [address, *_and_above(address.rpartition("@")[2])]


def _and_above(domain: str) -> Iterator[str]:
    labels = domain.split(".")
    return (".".join(labels[number:]) for number in range(len(labels) - 1))


async def _set_by_identity(call: Call, identities: list[str], member: str) -> Any:
    """By the most specific that says anything."""
    for name in identities:
        found = await call.deps.documents.get(call.account_id, Kind.IDENTITY, name)
        if found and (value := found.body.get(member)):
            return value
    return None


async def _return_path(call: Call, identities: list[str]) -> Mapping[str, Any]:
    """The MAIL FROM domain, where its records were seen. Raises `SesError`: they were not, and it asks for that."""
    asked = await _set_by_identity(call, identities, "mail_from")
    if asked is None:
        return {}
    host = asked["domain"]
    name = custom_hosts.named(RETURN_PATH, host)
    if custom_hosts.is_ours(await call.deps.documents.get(call.account_id, Kind.CUSTOM_HOST, name)):
        return {"return_path": host}
    if asked["on_mx_failure"] == "RejectMessage":
        raise SesError(
            "MailFromDomainNotVerifiedException",
            f"Could not find the records that are required to use the MAIL FROM domain <{host}>.",
        )
    return {}


# --- the configuration set -------------------------------------------------------------------------------------------


async def _configuration_set(call: Call, name: str) -> Document | None:
    """Raises `SesError`: there is none, or it is paused."""
    if not name:
        return None
    found = await call.deps.documents.get(call.account_id, Kind.CONFIGURATION_SET, name)
    if found is None:
        text = f"Configuration set <{name}> does not exist."
        raise SesError("ConfigurationSetDoesNotExist", text, members={"ConfigurationSetName": name})
    if not found.body.get("SendingOptions", {}).get("SendingEnabled", True):
        text = f"Sending is paused for configuration set <{name}>"
        raise SesError("ConfigurationSetSendingPausedException", text, members={"ConfigurationSetName": name})
    return found


def _of_set(chosen: Document | None) -> dict[str, Any]:
    """What the configuration set asks of delivery. Whoever wants to be told of opens and clicks has mail followed."""
    if chosen is None:
        return {}
    destinations = [each for each in chosen.body.get("EventDestinations", []) if each.get("Enabled")]
    wanted = {type_ for each in destinations for type_ in each.get("MatchingEventTypes", [])}
    delivery = chosen.body.get("DeliveryOptions", {})
    asked = {
        "needs_tls": delivery.get("TlsPolicy") == "REQUIRE",
        "opens": "OPEN" in wanted,
        "clicks": "CLICK" in wanted,
        "max_delivery_seconds": delivery.get("MaxDeliverySeconds"),
    }
    return {name: value for name, value in asked.items() if value}


async def _links(call: Call, chosen: Document | None) -> Mapping[str, Any]:
    """The set's own name for links, where the DNS brings it to us."""
    options = chosen.body.get("TrackingOptions", {}) if chosen else {}
    if not options.get("CustomRedirectDomain"):
        return {}
    host = domains.spelled(options["CustomRedirectDomain"])  # which it was asked for by, or it would not stand there
    name = custom_hosts.named(LINKS, host)
    if not custom_hosts.is_ours(await call.deps.documents.get(call.account_id, Kind.CUSTOM_HOST, name)):
        return {}
    return {"links_host": host, "links_https": options.get("HttpsPolicy", "OPTIONAL") != "OPTIONAL"}


def _suppressing(chosen: Document | None, account: Mapping[str, Any]) -> frozenset[str] | None:
    """A configuration set without an opinion has the account's; an empty list means none."""
    options = chosen.body.get("SuppressionOptions") if chosen else None
    reasons = account.get("suppressed") if options is None else options.get("SuppressedReasons", [])
    if reasons is None:
        return None
    return _ALWAYS.union(*(SUPPRESSING.get(reason, frozenset()) for reason in reasons))
