"""Templates."""

from typing import Any

from tests.contracts.cases.case import Case, Request, case
from tests.working_house import WorkingHouse


def template(**changes: Any) -> dict[str, Any]:
    members = {"name": "Welcome", "category": "onboarding", "subject": "Hi {{name}}"}
    return members | {"body_text": "Hi {{name}}", "body_html": "<p>{{name}}</p>"} | changes


async def _kept(house: WorkingHouse) -> tuple[int, ...]:
    return ((await house.made("POST", "email_templates", {"email_template": template()}))["id"],)


async def kept_uuid(house: WorkingHouse) -> str:
    return str((await house.made("POST", "email_templates", {"email_template": template()}))["uuid"])


@case("GET email_templates")
async def templates(house: WorkingHouse, legacy: bool) -> Case:
    await _kept(house)
    return Case([Request()])


@case("POST email_templates")
async def template_made(house: WorkingHouse, legacy: bool) -> Case:
    wrong = {422: Request(body={"email_template": template(subject="")})}
    return Case([Request(body={"email_template": template()})], wrong)


@case("GET email_templates/{email_template_id}")
async def template_shown(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(await _kept(house))])


@case("PATCH email_templates/{email_template_id}")
async def template_changed(house: WorkingHouse, legacy: bool) -> Case:
    at = await _kept(house)
    wrong = {422: Request(at, {"email_template": {"body_html": "{{#if}}"}})}
    return Case([Request(at, {"email_template": template(name="New")})], wrong)


@case("DELETE email_templates/{email_template_id}")
async def template_deleted(house: WorkingHouse, legacy: bool) -> Case:
    return await template_shown(house, legacy)
