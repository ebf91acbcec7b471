"""Accounts, accesses, tokens, usage, sub-accounts."""

from typing import Any

from mailferry.resources.permissions import ADMIN, Grant, Resource
from tests.contracts.cases.case import Case, Request, case
from tests.working_house import WorkingHouse


@case("GET accounts")
async def accounts(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request()])


async def _token(house: WorkingHouse, name: str) -> Any:
    return await house.made("POST", "api_tokens", {"name": name, "resources": [_grant(house)]})


def _grant(house: WorkingHouse) -> dict[str, Any]:
    return {"resource_type": "account", "resource_id": house.account, "access_level": 100}


async def _access(house: WorkingHouse) -> int:
    """Of a token that may change one domain."""
    resource = {"resource_type": "sending_domain", "resource_id": house.domain, "access_level": 100}
    await house.made("POST", "api_tokens", {"name": "Of A", "resources": [resource]})
    (found,) = await house.made("GET", f"account_accesses?domain_ids={house.domain}")
    return int(found["id"])


@case("GET account_accesses")
async def accesses(house: WorkingHouse, legacy: bool) -> Case:
    await _access(house)
    queries = [f"domain_ids={house.domain}", f"project_ids=0&domain_ids[]={house.domain}"]
    inboxes = "inbox_ids" if legacy else "sandbox_ids"
    return Case([Request(), *(Request(query=f"{query}&{inboxes}=0") for query in queries)])


@case("DELETE account_accesses/{account_access_id}")
async def access_removed(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request((await _access(house),))])


@case("PUT account_accesses/{account_access_id}/permissions/bulk")
async def permissions(house: WorkingHouse, legacy: bool) -> Case:
    kind = "sending_domain" if legacy else "domain"
    change = {"resource_id": str(house.domain), "resource_type": kind}
    changes = [change | {"access_level": "viewer"}, change | {"_destroy": True}]
    return Case([Request((await _access(house),), {"permissions": changes})])


@case("GET permissions/resources")
async def resources(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request()])


@case("GET api_tokens")
async def tokens(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request()])


@case("POST api_tokens")
async def token_made(house: WorkingHouse, legacy: bool) -> Case:
    kind = "sending_domain" if legacy else "domain"
    granted = [_grant(house), {"resource_type": kind, "resource_id": str(house.domain), "access_level": 10}]
    right = {"name": "CI", "resources": granted}
    return Case([Request(body=right)], {422: Request(body={"name": "CI", "resources": []})})


@case("GET api_tokens/{id}")
async def token(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(((await _token(house, "CI"))["id"],))])


@case("DELETE api_tokens/{id}")
async def token_deleted(house: WorkingHouse, legacy: bool) -> Case:
    return await token(house, legacy)


@case("POST api_tokens/{id}/reset")
async def token_reset(house: WorkingHouse, legacy: bool) -> Case:
    twice = (await _token(house, "Twice"))["id"]
    await house.made("POST", f"api_tokens/{twice}/reset")
    return Case([Request(((await _token(house, "CI"))["id"],))], {422: Request((twice,))})


@case("GET billing/usage")
async def usage(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request()])


async def _organized(house: WorkingHouse) -> int:
    """The token of the house is one of the organization's from now on."""
    organization = house.organization = house.organization or await house.organize()
    grants = (Grant(Resource.ORGANIZATION, organization, ADMIN), Grant(Resource.ACCOUNT, house.account, ADMIN))
    house.admin = await house.token(*grants, name="Group")
    return organization


@case("GET organizations/{organization_id}/sub_accounts")
async def sub_accounts(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request((await _organized(house),))])


@case("POST organizations/{organization_id}/sub_accounts")
async def sub_account_made(house: WorkingHouse, legacy: bool) -> Case:
    at = (await _organized(house),)
    wrong = {400: Request(at, {}), 422: Request(at, {"account": {"name": 7}})}
    return Case([Request(at, {"account": {"name": "Below"}})], wrong)
