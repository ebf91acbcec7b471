"""Pools of dedicated addresses: kept and read back. The pool ``bulk`` in a configuration set chooses the bulk stream.

Addresses of one's own are the operator's here, so there are none to warm up or to move.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from mailferry.endpoints.ses import account, names, paging, tags
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError, invalid, not_found
from mailferry.resources import audit, documents
from mailferry.resources.documents import Document, Kind

_POOL = Kind.DEDICATED_IP_POOL


async def create_pool(call: Call, params: Params) -> Result:
    name = names.checked(params["PoolName"], "A pool's name")
    body = {"ScalingMode": params.get("ScalingMode", "STANDARD"), tags.MEMBER: tags.read(params)}

    def write(connection: Connection) -> bool:
        made = documents.add(connection, call.account_id, _POOL, name, body, call.now())
        if made:
            resource = ("dedicated_ip_pool", name, name)
            audit.note(connection, call.account_id, call.actor, "dedicated_ip_pool.created", resource, call.now())
        return made

    if not await call.write(write):
        raise SesError("AlreadyExists", f"Dedicated IP pool <{name}> already exists.")
    return None


async def delete_pool(call: Call, params: Params) -> Result:
    name = params["PoolName"]

    def write(connection: Connection) -> bool:
        gone = documents.remove(connection, call.account_id, _POOL, name)
        if gone:
            resource = ("dedicated_ip_pool", name, name)
            audit.note(connection, call.account_id, call.actor, "dedicated_ip_pool.deleted", resource, call.now())
        return gone

    if not await call.write(write):
        raise _no_pool(name)
    return None


async def get_pool(call: Call, params: Params) -> Result:
    found = await _pool(call, params["PoolName"])
    return {"DedicatedIpPool": {"PoolName": found.name, "ScalingMode": found.body["ScalingMode"]}}


async def put_scaling(call: Call, params: Params) -> Result:
    name, mode, now = params["PoolName"], params["ScalingMode"], call.now()

    def edit(body: Mapping[str, Any]) -> Mapping[str, Any]:
        if body["ScalingMode"] == "MANAGED" and mode == "STANDARD":
            raise invalid("A managed pool cannot become a standard one.")
        return {**body, "ScalingMode": mode}

    if not await call.write(lambda c: documents.change(c, call.account_id, _POOL, name, edit, now)):
        raise _no_pool(name)
    return None


async def list_pools(call: Call, params: Params) -> Result:
    most, after = paging.size(params, 100, 1000), paging.after(params)
    found = await call.read(lambda c: documents.page(c, call.account_id, _POOL, after=after, most=most + 1))
    shown, following = paging.page(found, most, lambda each: each.name)
    return {"DedicatedIpPools": [each.name for each in shown], "NextToken": following}


async def get_ips(call: Call, params: Params) -> Result:
    if name := params.get("PoolName"):
        await _pool(call, name)
    return {"DedicatedIps": []}


async def get_ip(call: Call, params: Params) -> Result:
    raise _no_ip(params)


async def put_ip_in_pool(call: Call, params: Params) -> Result:
    raise _no_ip(params)


async def put_ip_warmup(call: Call, params: Params) -> Result:
    raise _no_ip(params)


async def put_auto_warmup(call: Call, params: Params) -> Result:
    await account.change(call, warmup=params.get("AutoWarmupEnabled", False))
    return None


async def _pool(call: Call, name: str) -> Document:
    found = await call.read(lambda c: documents.get(c, call.account_id, _POOL, name))
    if found is None:
        raise _no_pool(name)
    return found


def _no_pool(name: str) -> SesError:
    return not_found(f"Dedicated IP pool <{name}> does not exist.")


def _no_ip(params: Params) -> SesError:
    which: Any = params["Ip"]
    return not_found(f"Dedicated IP <{which}> does not exist: this account has none.")
