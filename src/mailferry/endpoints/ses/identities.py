"""Identities added, shown, listed and deleted, in both versions: one state, two spellings."""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from mailferry.endpoints.ses import identity, identity_dkim, identity_settings, paging, tags
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError, invalid
from mailferry.endpoints.ses.identity import V2_STATUS, Identity
from mailferry.endpoints.ses.identity_policies import policies
from mailferry.resources import documents, domain_changes, domains, identities
from mailferry.resources.documents import Kind
from mailferry.resources.domains import FreshKeys

PAGE = 25
MOST = 1000
_TYPES = {"Domain": "DOMAIN", "EmailAddress": "EMAIL_ADDRESS"}


# --- added -----------------------------------------------------------------------------------------------------------


async def verify_domain_v1(call: Call, params: Params) -> Result:
    """As often as somebody likes."""
    return {"VerificationToken": _token(await _verify(call, params["Domain"]))}


async def verify_domain_dkim_v1(call: Call, params: Params) -> Result:
    return {"DkimTokens": identity_dkim.tokens(await _verify(call, params["Domain"]))}


async def verify_address_v1(call: Call, params: Params) -> Result:
    """Of VerifyEmailIdentity, and of VerifyEmailAddress, which is older."""
    text = params["EmailAddress"]
    if "@" not in text:
        raise invalid(f"Invalid email address {text[:300]}.")
    await _verify(call, text)
    return {}


async def create_v2(call: Call, params: Params) -> Result:
    text = params["EmailIdentity"]
    name = identity.spelled(text, new=True)
    taken = SesError("AlreadyExists", f"Email identity {text[:300]} already exist.")
    if await call.read(lambda connection: identity.find(connection, call.account_id, name)):
        raise taken
    labels = tags.read(params)
    settings, keys = await _read_settings(call, name, params)
    if labels:
        settings[tags.MEMBER] = labels
    found, new = await _add(call, name, settings, keys)
    if not new:
        raise taken
    return {
        "IdentityType": found.type,
        "VerifiedForSendingStatus": found.may_send,
        "DkimAttributes": identity_dkim.attributes(call, found),
    }


async def _read_settings(call: Call, name: str, params: Params) -> tuple[dict[str, Any], FreshKeys | None]:
    settings: dict[str, Any] = {}
    keys = None
    if set_name := params.get("ConfigurationSetName"):
        await call.read(lambda c: identity_settings.check_configuration_set(c, call.account_id, set_name))
        identity_settings.set_configuration_set(set_name)(settings)
    if signing := params.get("DkimSigningAttributes"):
        own = "DomainSigningSelector" in signing or "DomainSigningPrivateKey" in signing
        origin = signing.get("DomainSigningAttributesOrigin") or (identity_dkim.EXTERNAL if own else identity_dkim.OURS)
        keys = await identity_dkim.read_keys(name, origin, signing)
        settings["dkim"] = {"origin": origin, "next_length": signing.get("NextSigningKeyLength")}
    return settings, keys


async def _verify(call: Call, text: str) -> Identity:
    name = identity.spelled(text, new=True)
    found = await identity.look(call, name)
    return found or (await _add(call, name, {}, None))[0]


async def _add(call: Call, name: str, settings: Mapping[str, Any], keys: FreshKeys | None) -> tuple[Identity, bool]:
    """All of it or nothing; the second value says whether it is new."""
    is_address = "@" in name
    if not keys:
        keys = () if is_address else await asyncio.to_thread(domains.fresh_keys)

    def write(connection: Connection) -> tuple[Identity, bool]:
        if is_address:
            new = documents.add(connection, call.account_id, Kind.IDENTITY, name, settings, call.now())
        else:
            now = call.now()
            _, new = domain_changes.add(connection, call.deps.sealer, call.account_id, name, keys, call.actor, now)
            if new and settings:
                documents.put(connection, call.account_id, Kind.IDENTITY, name, settings, now)
        found = identity.find(connection, call.account_id, name)
        assert found
        if new and is_address:
            identity.note(connection, call, found, "identity.created")
        return found, new

    found, new = await call.write(write)
    _forget(call)
    if found.domain and not found.is_address:
        call.deps.look_up_domain(found.domain.id)
    return found, new


def _token(found: Identity) -> str:
    """Stable, and of no use but to be shown: whose a domain is, its other records prove."""
    assert found.domain
    text = f"{found.domain.account_id}:{found.domain.id}:{found.name}"
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


# --- shown -----------------------------------------------------------------------------------------------------------


async def get_verification_v1(call: Call, params: Params) -> Result:
    found = await identity.look_all(call, params["Identities"])
    return {
        "VerificationAttributes": {
            name: {
                "VerificationStatus": each.status,
                "VerificationToken": None if each.is_address else _token(each),
            }
            for name, each in found
        }
    }


async def get_v2(call: Call, params: Params) -> Result:
    found = await identity.existing(call, params["EmailIdentity"])
    return {
        "IdentityType": found.type,
        "VerifiedForSendingStatus": found.may_send,
        "VerificationStatus": V2_STATUS[found.status],
        "FeedbackForwardingStatus": identity_settings.forwarding(found),
        "DkimAttributes": identity_dkim.attributes(call, found),
        "MailFromAttributes": identity_settings.mail_from_v2(found),
        "Policies": policies(found),
        "Tags": found.settings.get(tags.MEMBER, []),
        "ConfigurationSetName": found.settings.get("configuration_set"),
    }


async def list_v1(call: Call, params: Params) -> Result:
    most = params.get("MaxItems", MOST)
    found = await _visible(call)
    if wanted := params.get("IdentityType"):
        found = [each for each in found if each.type == _TYPES[wanted]]
    some, token = _page(call, found, most if 1 <= most <= MOST else MOST, params.get("NextToken", ""))
    return {"Identities": [each.name for each in some], "NextToken": token}


async def list_verified_addresses_v1(call: Call, params: Params) -> Result:
    found = await _visible(call)
    return {"VerifiedEmailAddresses": [each.name for each in found if each.is_address and each.status == "Success"]}


async def list_v2(call: Call, params: Params) -> Result:
    most = paging.size(params, PAGE, MOST)
    found = _filtered(await _visible(call), params.get("Filter", {}))
    some, token = _page(call, found, most, params.get("NextToken", ""))
    return {
        "EmailIdentities": [
            {
                "IdentityType": each.type,
                "IdentityName": each.name,
                "SendingEnabled": each.may_send,
                "VerificationStatus": V2_STATUS[each.status],
            }
            for each in some
        ],
        "NextToken": token,
    }


async def _visible(call: Call) -> list[Identity]:
    found = await call.read(lambda connection: identity.everything(connection, call.account_id))
    return [each for each in found if identity.visible(call, each)]


#: What v2 lists by, and what an identity says to it.
_FILTERS: Mapping[str, Callable[[Identity, str], bool]] = {
    "IDENTITY_NAME_CONTAINS": lambda each, value: value.lower() in each.name.lower(),
    "IDENTITY_TYPE": lambda each, value: each.type == value,
    "VERIFICATION_STATUS": lambda each, value: V2_STATUS[each.status] == value,
}


def _filtered(found: list[Identity], wanted: Mapping[str, str]) -> list[Identity]:
    for key, value in wanted.items():
        if key not in _FILTERS:
            raise invalid(f"Filter {key[:100]} is invalid. It must be one of {', '.join(_FILTERS)}.")
        found = [each for each in found if _FILTERS[key](each, value)]
    return found


def _page(call: Call, found: list[Identity], most: int, token: str) -> tuple[list[Identity], str | None]:
    """A token is the last name of the page before, and of one region; both versions read it. None: that was the last."""
    if token:
        after = _after(call, token)
        found = [each for each in found if each.name > after]
    if len(found) <= most:
        return found, None
    last = f"{call.region} {found[most - 1].name}"
    return found[:most], base64.urlsafe_b64encode(last.encode()).decode()


def _after(call: Call, token: str) -> str:
    try:
        region, _, name = base64.b64decode(token, altchars=b"-_", validate=True).decode().partition(" ")
    except (binascii.Error, ValueError):
        region = name = ""
    if not name or region != call.region:
        raise invalid(f"Invalid NextToken <{token[:300]}>.")
    return name


# --- deleted ---------------------------------------------------------------------------------------------------------


async def delete_v1(call: Call, params: Params) -> Result:
    """Silent where there is none."""
    await _delete(call, params["Identity"])
    return {}


async def delete_address_v1(call: Call, params: Params) -> Result:
    if "@" in params["EmailAddress"]:
        await _delete(call, params["EmailAddress"])
    return None


async def delete_v2(call: Call, params: Params) -> Result:
    if not await _delete(call, params["EmailIdentity"]):
        raise identity.missing(call, params["EmailIdentity"])
    return {}


async def _delete(call: Call, text: str) -> bool:
    """A domain's mail is held from now on, and rejected in the end."""
    found = await identity.look(call, text)
    if found is None:
        return False

    def write(connection: Connection) -> None:
        if found.domain and not found.is_address:
            domain_changes.remove(connection, found.domain, call.actor, call.now())
            return
        identities.forget(connection, call.account_id, found.name)
        identity.note(connection, call, found, "identity.deleted")

    await call.write(write)
    _forget(call)
    return True


def _forget(call: Call) -> None:
    call.deps.documents.forget()
    call.deps.forget_domains()
