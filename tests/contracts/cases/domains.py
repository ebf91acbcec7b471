"""Sending domains and suppressions."""

from typing import Any

from tests.contracts.cases.case import Case, Request, case
from tests.mailtrap_domains import COMPANY
from tests.working_house import WorkingHouse


# --- domains
def _domain(legacy: bool, **members: Any) -> dict[str, Any]:
    return {"sending_domain" if legacy else "domain": members}


@case("GET domains")
async def domains(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request()])


async def _added(house: WorkingHouse) -> tuple[int, ...]:
    return ((await house.made("POST", "sending_domains", _domain(True, domain_name="new.test")))["id"],)


@case("POST domains")
async def domain_added(house: WorkingHouse, legacy: bool) -> Case:
    wrong = {422: Request(body=_domain(legacy, domain_name=""))}
    return Case([Request(body=_domain(legacy, domain_name="more.test"))], wrong)


@case("GET domains/{domain_id}")
async def domain(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(await _added(house))])


@case("PATCH domains/{domain_id}")
async def domain_changed(house: WorkingHouse, legacy: bool) -> Case:
    flags = dict.fromkeys(("open_tracking_enabled", "click_tracking_enabled", "auto_unsubscribe_link_enabled"), True)
    at = await _added(house)
    wrong = Request(at, _domain(legacy, open_tracking_enabled="perhaps"))
    return Case([Request(at, _domain(legacy, **flags))], {422: wrong})


@case("DELETE domains/{domain_id}")
async def domain_deleted(house: WorkingHouse, legacy: bool) -> Case:
    return await domain(house, legacy)


@case("POST domains/{domain_id}/send_setup_instructions")
async def instructions(house: WorkingHouse, legacy: bool) -> Case:
    at = await _added(house)
    return Case([Request(at, {"email": "admin@dest.test"})], {422: Request(at, {"email": "nobody"})})


_COMPANY = COMPANY | {
    "phone": "1",
    "privacy_policy_url": "https://shop.test/p",
    "terms_of_service_url": "https://shop.test/t",
    "info_level": "individual",
}


async def _described(house: WorkingHouse) -> tuple[int, ...]:
    at = await _added(house)
    await house.made("POST", f"sending_domains/{at[0]}/company_info", {"company_info": COMPANY})
    return at


@case("GET domains/{domain_id}/company_info")
async def company(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(await _described(house))])


@case("POST domains/{domain_id}/company_info")
async def company_given(house: WorkingHouse, legacy: bool) -> Case:
    at = await _added(house)
    return Case([Request(at, {"company_info": _COMPANY})], {422: Request(at, {"company_info": {"name": ""}})})


@case("PATCH domains/{domain_id}/company_info")
async def company_changed(house: WorkingHouse, legacy: bool) -> Case:
    at = await _described(house)
    return Case([Request(at, {"company_info": _COMPANY})], {422: Request(at, {"company_info": {"city": ""}})})


# --- suppressions
UNKNOWN_ID = "00000000-0000-7000-8000-000000000000"


def _suppression(house: WorkingHouse, address: str) -> dict[str, Any]:
    return {"email": address, "domain_id": house.domain, "sending_stream": "transactional", "type": "spam complaint"}


async def suppressed(house: WorkingHouse, address: str) -> str:
    made = await house.made("POST", "suppressions", _suppression(house, address), legacy=False)
    return str(made["data"]["id"])


@case("GET suppressions")
async def suppressions(house: WorkingHouse, legacy: bool) -> Case:
    await suppressed(house, "eve@dest.test")
    later = await suppressed(house, "eva@dest.test")
    query = "email=eve@dest.test&start_time=2027-01-01&end_time=2027-12-31T00:00:00Z"
    right = [Request(), Request(query=f"{query}&last_id={later}")]
    return Case(right, {400: Request(query="start_time=yesterday")})


@case("POST suppressions")
async def suppression_made(house: WorkingHouse, legacy: bool) -> Case:
    right = _suppression(house, "eve@dest.test")
    return Case([Request(body=right)], {422: Request(body=right | {"email": "eve"})})


@case("DELETE suppressions/{suppression_id}")
async def suppression_deleted(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request((await suppressed(house, "eve@dest.test"),))], unknown=UNKNOWN_ID)
