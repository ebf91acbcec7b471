"""Reputation entities (v2): healthy unless the customer paused one, whose mail is refused then (conditions.py)."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from mailferry.endpoints.ses import account, paging
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError
from mailferry.resources import documents
from mailferry.resources.documents import Kind

#: Characters of an ARN: an identity's is the longest, and an index of PostgreSQL has its end.
_LONGEST = 500


async def get_entity(call: Call, params: Params) -> Result:
    reference = _reference(params)
    found = await call.read(lambda c: documents.get(c, call.account_id, Kind.REPUTATION, reference))
    return {"ReputationEntity": _shown(reference, found.body if found else {})}


async def list_entities(call: Call, params: Params) -> Result:
    """Those of which something was set."""
    most, after = paging.size(params, 100, 1000), paging.after(params)
    found = await call.read(lambda c: documents.page(c, call.account_id, Kind.REPUTATION, after=after, most=most + 1))
    shown, following = paging.page(found, most, lambda each: each.name)
    return {"ReputationEntities": [_shown(each.name, each.body) for each in shown], "NextToken": following}


async def update_status(call: Call, params: Params) -> Result:
    status, resource = params["SendingStatus"], _reference(params).split(":", 5)[-1]

    def paused(body: Mapping[str, Any]) -> dict[str, Any]:
        others = [each for each in body.get(account.PAUSED, []) if each != resource]
        return {**body, account.PAUSED: [*others, resource] if status == "DISABLED" else others}

    await _put(call, params, Status=status, at=call.now())
    # In the account's settings, which are looked at with every message: where nothing is paused it costs nothing more.
    await account.change_by(call, paused)
    return None


async def update_policy(call: Call, params: Params) -> Result:
    await _put(call, params, Policy=params["ReputationEntityPolicy"])
    return None


async def _put(call: Call, params: Params, **members: Any) -> None:
    reference, now = _reference(params), call.now()
    await call.write(
        lambda connection: documents.change(
            connection, call.account_id, Kind.REPUTATION, reference, lambda body: {**body, **members}, now, made=True
        )
    )


def _reference(params: Params) -> str:
    found = unquote(params["ReputationEntityReference"])
    if not found.startswith("arn:") or len(found) > _LONGEST:
        raise SesError("InvalidParameterValue", f"<{found[:200]}> is no ARN.")
    return found


def _shown(reference: str, body: Mapping[str, Any]) -> dict[str, Any]:
    status = body.get("Status", "ENABLED")
    return {
        "ReputationEntityReference": reference,
        "ReputationEntityType": "RESOURCE",
        "ReputationManagementPolicy": body.get("Policy"),
        "CustomerManagedStatus": {"Status": status, "LastUpdatedTimestamp": body.get("at")},
        "AwsSesManagedStatus": {"Status": "ENABLED"},
        "SendingStatusAggregate": status,
    }
