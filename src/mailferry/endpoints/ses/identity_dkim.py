"""DKIM of an identity: the tokens to publish, and keys of the customer's own.

Tokens are the selectors of the domain's keys. Where the operator has a zone, ``<token>.<SigningHostedZone>`` is what
``<token>._domainkey.<domain>`` is to be a CNAME to; without one the records are TXT (``mailferry domains records``).
"""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from mailferry.endpoints.ses import identity
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import invalid
from mailferry.endpoints.ses.identity import V2_STATUS, Identity
from mailferry.resources import domain_changes, domains
from mailferry.resources.dns_records import Operator
from mailferry.resources.domains import Domain, FreshKeys

EXTERNAL, OURS = "EXTERNAL", "AWS_SES"
#: Amazon has three keys of its own for a domain, and scripts count to three; nothing has to be published for the last.
RESERVED = "mf3"
#: Characters in base64 of a public RSA key: 1024 bits are 216, 2048 bits are 392.
_LONG_KEY = 300


async def get_attributes_v1(call: Call, params: Params) -> Result:
    found = await identity.look_all(call, params["Identities"])
    return {
        "DkimAttributes": {
            name: {
                "DkimEnabled": _enabled(each),
                "DkimVerificationStatus": status(each.domain),
                "DkimTokens": tokens(each),
            }
            for name, each in found
        }
    }


async def set_enabled_v1(call: Call, params: Params) -> Result:
    await _enable(call, params["Identity"], params["DkimEnabled"])
    return {}


async def put_attributes_v2(call: Call, params: Params) -> Result:
    await _enable(call, params["EmailIdentity"], params.get("SigningEnabled", False))
    return {}


async def put_signing_attributes_v2(call: Call, params: Params) -> Result:
    found = await identity.existing(call, params["EmailIdentity"])
    origin, given = params["SigningAttributesOrigin"], params.get("SigningAttributes", {})
    keys = await read_keys(found.name, origin, given)
    if keys is None and found.settings.get("dkim", {}).get("origin") == EXTERNAL:
        keys = await asyncio.to_thread(domains.fresh_keys)
    edit = _set(origin=origin, next_length=given.get("NextSigningKeyLength"))
    if keys:
        await _replace_keys(call, found, keys, edit)
    else:
        await identity.change(call, found.name, edit)
    shown = attributes(call, await identity.existing(call, found.name))
    return {
        "DkimStatus": shown["Status"],
        "DkimTokens": shown["Tokens"],
        "SigningHostedZone": shown["SigningHostedZone"],
    }


async def read_keys(name: str, origin: str, given: Mapping[str, Any]) -> FreshKeys | None:
    """Of the customer's own; None: ours are wanted. Raises `SesError`."""
    if "@" in name:
        raise invalid("DKIM signing attributes can only be set for a domain identity.")
    if origin not in (OURS, EXTERNAL):
        raise invalid(
            f"SigningAttributesOrigin {origin} is not supported: a region is no place here, so no key comes from one."
        )
    selector, key = given.get("DomainSigningSelector"), given.get("DomainSigningPrivateKey")
    if origin == OURS:
        if selector or key:
            raise invalid("DomainSigningSelector and DomainSigningPrivateKey go with the origin EXTERNAL.")
        return None
    if not selector or not key:
        raise invalid("DomainSigningSelector and DomainSigningPrivateKey must be given with the origin EXTERNAL.")
    try:
        der = base64.b64decode(key, validate=True)
        return await asyncio.to_thread(domains.imported, selector.lower(), der)
    except (ValueError, binascii.Error) as error:
        raise invalid(
            f"DomainSigningPrivateKey must be an RSA key of 1024 to 2048 bits in base64, without lines of PEM: {error}"
        ) from None


async def _replace_keys(call: Call, found: Identity, keys: FreshKeys, edit: identity.Edit) -> None:
    """And look for them at once: mail waits until they are seen."""
    domain = found.domain
    assert domain
    if domain.state == domains.DEMO:
        raise invalid(f"The demo domain {domain.name} publishes no keys.")

    def replace(connection: Connection) -> None:
        domain_changes.replace_keys(connection, call.deps.sealer, domain, keys, call.actor, call.now())

    await identity.change(call, found.name, edit, also=replace)
    call.deps.forget_domains()
    call.deps.look_up_anew(domain.id)


# --- what is shown ---------------------------------------------------------------------------------------------------


def attributes(call: Call, found: Identity) -> dict[str, Any]:
    """v2's DkimAttributes; an address has those of exactly its domain."""
    domain, kept = found.domain, found.settings.get("dkim", {})
    origin = kept.get("origin", OURS)
    external = origin == EXTERNAL
    return {
        "SigningEnabled": _enabled(found),
        "Status": V2_STATUS[status(domain)],
        "Tokens": tokens(found),
        "SigningHostedZone": _hosted_zone(call.deps.operator, found),
        "SigningAttributesOrigin": origin,
        "CurrentSigningKeyLength": _length(domain),
        "NextSigningKeyLength": None if external else kept.get("next_length") or "RSA_2048_BIT",
    }


def status(domain: Domain | None) -> str:
    """Of its keys, as v1 spells it."""
    if domain is None:
        return "NotStarted"
    if domain.state == domains.DEMO or (domain.keys and all(key.published for key in domain.keys)):
        return "Success"
    # Statuses are emptied when keys are replaced: nobody has looked for the new ones then.
    return "TemporaryFailure" if domain.verified_at and domain.statuses else "Pending"


def tokens(found: Identity) -> list[str] | None:
    """Nothing of an address, which has no records of its own."""
    if found.domain is None or found.is_address:
        return None
    selectors = [key.selector for key in found.domain.keys]
    return selectors if _external(found) else [*selectors, RESERVED]


def _hosted_zone(operator: Operator, found: Identity) -> str | None:
    if found.domain is None or found.is_address or _external(found) or not operator.zone:
        return None
    return operator.key_zone(found.domain.id)


def _external(found: Identity) -> bool:
    return bool(found.settings.get("dkim", {}).get("origin") == EXTERNAL)


def _length(domain: Domain | None) -> str | None:
    for key in domain.keys if domain else ():
        if key.algorithm == "rsa-sha256":
            return "RSA_2048_BIT" if len(key.public) > _LONG_KEY else "RSA_1024_BIT"
    return None


def _enabled(found: Identity) -> bool:
    return bool(found.settings.get("dkim", {}).get("enabled", True))


async def _enable(call: Call, name: str, enabled: bool) -> None:
    await identity.change(call, name, _set(enabled=enabled))


def _set(**members: Any) -> identity.Edit:
    def edit(settings: dict[str, Any]) -> None:
        settings["dkim"] = {**settings.get("dkim", {}), **members}

    return edit
