"""Tenants: kept, read back, tied to resources. Mail that names one is sent as any other, its name stands in the tags."""

import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from mailferry.endpoints.ses import names, paging, tags
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError, not_found
from mailferry.resources import audit, documents
from mailferry.resources.documents import Document, Kind

_KINDS = {"identity": "EMAIL_IDENTITY", "configuration-set": "CONFIGURATION_SET", "template": "EMAIL_TEMPLATE"}
#: Tenants that are looked at for one answer; more are told on further pages.
_SCAN = 1000


async def create(call: Call, params: Params) -> Result:
    name, now = names.checked(params["TenantName"], "A tenant's name"), call.now()
    identity = secrets.token_hex(12)
    body: dict[str, Any] = {
        "TenantId": identity,
        "TenantArn": call.arn("ses", f"tenant/{name}/{identity}"),
        tags.MEMBER: tags.read(params),
        "SuppressionAttributes": params.get("SuppressionAttributes"),
        "Resources": {},
    }

    def write(connection: Connection) -> bool:
        made = documents.add(connection, call.account_id, Kind.TENANT, name, body, now)
        if made:
            audit.note(connection, call.account_id, call.actor, "tenant.created", ("tenant", identity, name), now)
        return made

    if not await call.write(write):
        raise SesError("AlreadyExists", f"Tenant <{name}> already exists.")
    return _shown(Document(call.account_id, name, body, now, now))


async def get(call: Call, params: Params) -> Result:
    return {"Tenant": _shown(await _tenant(call, params["TenantName"]))}


async def list_all(call: Call, params: Params) -> Result:
    most, after = paging.size(params, 100, 1000), paging.after(params)
    found = await call.read(lambda c: documents.page(c, call.account_id, Kind.TENANT, after=after, most=most + 1))
    shown, following = paging.page(found, most, lambda each: each.name)
    return {"Tenants": [_shown(each) for each in shown], "NextToken": following}


async def delete(call: Call, params: Params) -> Result:
    found = await _tenant(call, params["TenantName"])

    def write(connection: Connection) -> None:
        if documents.remove(connection, call.account_id, Kind.TENANT, found.name):
            resource = ("tenant", found.body["TenantId"], found.name)
            audit.note(connection, call.account_id, call.actor, "tenant.deleted", resource, call.now())

    await call.write(write)
    return None


async def put_suppression(call: Call, params: Params) -> Result:
    wanted = {name: params[name] for name in ("SuppressedReasons", "SuppressionScope") if name in params}
    await _change(call, params["TenantName"], lambda body: {**body, "SuppressionAttributes": wanted})
    return None


async def associate(call: Call, params: Params) -> Result:
    arn = params["ResourceArn"]

    def tied(body: Mapping[str, Any]) -> Mapping[str, Any]:
        if arn in body["Resources"]:
            raise SesError(
                "AlreadyExists", f"Resource <{arn}> is associated with tenant <{params['TenantName']}> already."
            )
        return {**body, "Resources": {**body["Resources"], arn: call.now()}}

    _kind(arn)
    await _change(call, params["TenantName"], tied)
    return None


async def dissociate(call: Call, params: Params) -> Result:
    arn = params["ResourceArn"]

    def untied(body: Mapping[str, Any]) -> Mapping[str, Any]:
        if arn not in body["Resources"]:
            raise not_found(f"Resource <{arn}> is not associated with tenant <{params['TenantName']}>.")
        return {**body, "Resources": {each: at for each, at in body["Resources"].items() if each != arn}}

    await _change(call, params["TenantName"], untied)
    return None


async def list_resources(call: Call, params: Params) -> Result:
    most, after = paging.size(params, 100, 1000), paging.after(params)
    wanted = params.get("Filter", {}).get("RESOURCE_TYPE")
    tied = sorted((await _tenant(call, params["TenantName"])).body["Resources"])
    found = [arn for arn in tied if arn > after and wanted in (None, _kind(arn))]
    shown, following = paging.page(found, most, lambda arn: arn)
    return {
        "TenantResources": [{"ResourceType": _kind(arn), "ResourceArn": arn} for arn in shown],
        "NextToken": following,
    }


async def list_of_resource(call: Call, params: Params) -> Result:
    arn, after = params["ResourceArn"], paging.after(params)
    most = paging.size(params, 100, 1000)
    found = await call.read(lambda c: documents.page(c, call.account_id, Kind.TENANT, after=after, most=_SCAN + 1))
    scanned, following = paging.page(found, _SCAN, lambda each: each.name)
    tied = [each for each in scanned if arn in each.body["Resources"]]
    if len(tied) > most:
        tied, following = tied[:most], paging.token(tied[most - 1].name)
    shown = [
        {
            "TenantName": each.name,
            "TenantId": each.body["TenantId"],
            "ResourceArn": arn,
            "AssociatedTimestamp": each.body["Resources"][arn],
        }
        for each in tied
    ]
    return {"ResourceTenants": shown, "NextToken": following}


async def _tenant(call: Call, name: str) -> Document:
    found = await call.read(lambda c: documents.get(c, call.account_id, Kind.TENANT, name))
    if found is None:
        raise _none(name)
    return found


async def _change(call: Call, name: str, changed: Any) -> None:
    now = call.now()
    if not await call.write(lambda c: documents.change(c, call.account_id, Kind.TENANT, name, changed, now)):
        raise _none(name)


def _shown(found: Document) -> dict[str, Any]:
    kept = {name: found.body.get(name) for name in ("TenantId", "TenantArn", tags.MEMBER, "SuppressionAttributes")}
    return {"TenantName": found.name, "CreatedTimestamp": found.created_at, "SendingStatus": "ENABLED", **kept}


def _kind(arn: str) -> str:
    resource = arn.split(":", 5)[-1].partition("/")[0]
    if not arn.startswith("arn:") or resource not in _KINDS:
        raise SesError("InvalidParameterValue", f"<{arn}> is no ARN of an identity, a configuration set or a template.")
    return _KINDS[resource]


def _none(name: str) -> SesError:
    return not_found(f"Tenant <{name}> does not exist.")
