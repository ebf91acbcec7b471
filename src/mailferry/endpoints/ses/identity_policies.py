"""Sending policies of identities: kept and read back. Who may send is decided by the rights of a key alone."""

from collections.abc import Mapping

import msgspec

from mailferry.endpoints.ses import identity
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError, invalid, not_found
from mailferry.endpoints.ses.identity import Identity

#: Of one identity, and octets of one (quotas).
MAX_POLICIES = 20
MAX_LENGTH = 4096


async def put_v1(call: Call, params: Params) -> Result:
    await _put(call, params["Identity"], params["PolicyName"], params["Policy"])
    return {}


async def get_v1(call: Call, params: Params) -> Result:
    asked = params["PolicyNames"]
    if len(asked) > MAX_POLICIES:
        raise invalid(f"At most {MAX_POLICIES} policies can be asked for at once.")
    kept = policies(await identity.look(call, params["Identity"]))
    return {"Policies": {name: kept[name] for name in asked if name in kept}}


async def list_v1(call: Call, params: Params) -> Result:
    return {"PolicyNames": sorted(policies(await identity.look(call, params["Identity"])))}


async def delete_v1(call: Call, params: Params) -> Result:
    """Silent where there is none."""
    found = await identity.look(call, params["Identity"])
    if params["PolicyName"] in policies(found):
        await _delete(call, params["Identity"], params["PolicyName"])
    return {}


async def create_v2(call: Call, params: Params) -> Result:
    await _put(call, params["EmailIdentity"], params["PolicyName"], params["Policy"], there=False)
    return {}


async def update_v2(call: Call, params: Params) -> Result:
    await _put(call, params["EmailIdentity"], params["PolicyName"], params["Policy"], there=True)
    return {}


async def get_v2(call: Call, params: Params) -> Result:
    return {"Policies": policies(await identity.existing(call, params["EmailIdentity"]))}


async def delete_v2(call: Call, params: Params) -> Result:
    """Also silent: only a missing identity is an error."""
    await identity.existing(call, params["EmailIdentity"])
    await _delete(call, params["EmailIdentity"], params["PolicyName"])
    return {}


def policies(found: Identity | None) -> Mapping[str, str]:
    kept: Mapping[str, str] = found.settings.get("policies", {}) if found else {}
    return kept


async def _put(call: Call, name: str, policy_name: str, policy: str, *, there: bool | None = None) -> None:
    """``there``: whether it must be there before; None: no matter."""
    await identity.existing(call, name)
    check(policy_name, policy)

    def edit(settings: dict[str, object]) -> None:
        kept = settings.get("policies")
        kept = dict(kept) if isinstance(kept, dict) else {}
        if there is True and policy_name not in kept:
            raise not_found(f"Policy {policy_name} does not exist for identity {name}.")
        if there is False and policy_name in kept:
            raise SesError("AlreadyExists", f"Policy {policy_name} already exists for identity {name}.")
        if policy_name not in kept and len(kept) >= MAX_POLICIES:
            raise SesError("LimitExceeded", f"An identity has at most {MAX_POLICIES} policies.")
        settings["policies"] = {**kept, policy_name: policy}

    await identity.change(call, name, edit)


async def _delete(call: Call, name: str, policy_name: str) -> None:
    def edit(settings: dict[str, object]) -> None:
        kept = settings.get("policies")
        if isinstance(kept, dict):
            settings["policies"] = {each: text for each, text in kept.items() if each != policy_name}

    await identity.change(call, name, edit)


def check(name: str, policy: str) -> None:
    """A JSON object with a statement; what the statement says is not judged. Raises `SesError`."""
    if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
        raise invalid("A policy's name can only have letters, digits, dashes and underscores.")
    if len(policy.encode()) > MAX_LENGTH:
        raise SesError("InvalidPolicy", f"A policy has at most {MAX_LENGTH} octets.")
    try:
        given = msgspec.json.decode(policy)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SesError("InvalidPolicy", "The policy is not well formed JSON.") from None
    if not isinstance(given, dict) or not isinstance(given.get("Statement"), dict | list) or not given["Statement"]:
        raise SesError("InvalidPolicy", "The policy must be a JSON object with a Statement.")
