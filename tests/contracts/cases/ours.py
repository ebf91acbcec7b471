"""Cases of the paths that no contract of Mailtrap's has."""

from functools import partial
from typing import Any

from tests.contracts.cases import CASES
from tests.contracts.cases import case as kept
from tests.contracts.cases.case import Case, Preparing, Request
from tests.contracts.cases.domains import UNKNOWN_ID
from tests.contracts.cases.logs import logged
from tests.contracts.cases.sandbox import caught
from tests.contracts.cases.templates import template
from tests.working_house import WorkingHouse

OURS: dict[str, Preparing] = {}
case = partial(kept.case, cases=OURS)


async def _template(house: WorkingHouse) -> int:
    made = await house.made("POST", "email_templates", {"email_template": template()})
    return int(made["id"])


# --- the experimental templates


@case("GET templates")
async def page(house: WorkingHouse, legacy: bool) -> Case:
    await _template(house)
    return Case([Request(query="per_page=1&token=1")], {400: Request(query="token=x")})


@case("POST templates")
async def made(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(body=template())], {422: Request(body={})})


async def _changed(house: WorkingHouse, legacy: bool) -> Case:
    at = (await _template(house),)
    return Case([Request(at, template(name="New"))], {422: Request(at, {"name": ""})})


OURS["PATCH templates/{template_id}"] = OURS["PUT templates/{template_id}"] = _changed


async def _one(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request((await _template(house),))])


OURS["GET templates/{template_id}"] = OURS["DELETE templates/{template_id}"] = _one

# --- versions of a template

_ONE = "email_templates/{email_template_id}"
OURS[f"GET {_ONE}/versions"] = OURS[f"GET {_ONE}/test_data"] = _one


@case(f"GET {_ONE}/versions/{{version}}")
async def version(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request((await _template(house), 1))])


@case(f"POST {_ONE}/versions/{{version}}/restore")
async def restored(house: WorkingHouse, legacy: bool) -> Case:
    at = await _template(house)
    await house.made("PATCH", f"email_templates/{at}", {"email_template": {"subject": "Second"}})
    return Case([Request((at, 1))])


@case(f"PUT {_ONE}/test_data")
async def data_for_tests(house: WorkingHouse, legacy: bool) -> Case:
    at = (await _template(house),)
    return Case([Request(at, {"template_variables": {"name": "Bob"}})], {422: Request(at, {"template_variables": 7})})


@case(f"POST {_ONE}/preview")
async def preview(house: WorkingHouse, legacy: bool) -> Case:
    at = (await _template(house),)
    right = {"template_variables": {"name": "Bob"}, "version": 1, "subject": "Hi"}
    return Case([Request(at, right)], {422: Request(at, {"subject": "{{#if}}"})})


# --- the review of a domain


async def _domain(house: WorkingHouse) -> tuple[int, ...]:
    return ((await house.made("POST", "sending_domains", {"sending_domain": {"domain_name": "new.test"}}))["id"],)


@case("GET domains/{domain_id}/review")
async def review(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(await _domain(house))])


@case("POST domains/{domain_id}/review")
async def reviewed(house: WorkingHouse, legacy: bool) -> Case:
    at = await _domain(house)
    return Case([Request(at, {"message": "We sell shoes."})], {422: Request(at, {})})


# --- environment rules

_TO_ONE = {"mode": "redirect", "redirect_to": "qa@dest.test", "allow": ["@a.test"]}


@case("GET environment")
@case("DELETE environment")
async def environment(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request()])


@case("PUT environment")
async def environment_replaced(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request((), _TO_ONE)], {422: Request((), {"mode": "capture"})})


@case("GET domains/{domain_id}/environment")
@case("DELETE domains/{domain_id}/environment")
async def environment_of_domain(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request((house.domain,))])


@case("PUT domains/{domain_id}/environment")
async def environment_of_domain_replaced(house: WorkingHouse, legacy: bool) -> Case:
    at = (house.domain,)
    return Case(
        [Request(at, _TO_ONE), Request(at, {"mode": "capture", "inbox_id": house.inbox})], {422: Request(at, {})}
    )


# --- faults on purpose of an inbox


@case("GET sandboxes/{sandbox_id}/faults")
@case("DELETE sandboxes/{sandbox_id}/faults")
async def faults(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request((house.inbox,))])


@case("PUT sandboxes/{sandbox_id}/faults")
async def faults_replaced(house: WorkingHouse, legacy: bool) -> Case:
    at, rule = (house.inbox,), {"stage": "data", "action": "delay", "seconds": 0.5}
    return Case([Request(at, {"rules": [rule]})], {422: Request(at, {"rules": [rule | {"seconds": -1}]})})


# --- invitations


def _invitation(house: WorkingHouse, email: str = "ann@dest.test") -> dict[str, Any]:
    permission = {"resource_type": "account", "resource_id": house.account, "access_level": "viewer"}
    return {"email": email, "permissions": [permission]}


async def _invited(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(((await house.made("POST", "invitations", _invitation(house)))["id"],))])


OURS["DELETE invitations/{invitation_id}"] = OURS["POST invitations/{invitation_id}/resend"] = _invited


@case("GET invitations")
async def invitations(house: WorkingHouse, legacy: bool) -> Case:
    await house.made("POST", "invitations", _invitation(house))
    return Case([Request()])


@case("POST invitations")
async def invitation_made(house: WorkingHouse, legacy: bool) -> Case:
    wrong = _invitation(house, "ann") | {"permissions": []}
    return Case([Request(body=_invitation(house))], {422: Request(body=wrong)})


# --- share links


def _sharing(path: str, of: str) -> None:
    """Of ``of``: the attribute of the house that has the number."""

    async def made(house: WorkingHouse) -> tuple[int, int]:
        number = getattr(house, of)
        older = path.replace("sandboxes", "inboxes").replace("{}", str(number))
        link = await house.made("POST", older, {"share_link": {"level": "viewer"}})
        return number, link["id"]

    async def listed(house: WorkingHouse, legacy: bool) -> Case:
        return Case([Request((await made(house))[:1])])

    async def shared(house: WorkingHouse, legacy: bool) -> Case:
        at = (getattr(house, of),)
        right = [Request(at, {}), Request(at, {"share_link": {"level": "viewer"}})]
        if of == "inbox":
            right.append(Request(at, {"share_link": {"message_id": await caught(house)}}))
        return Case(right, {422: Request(at, {"share_link": {"level": "admin"}})})

    async def revoked(house: WorkingHouse, legacy: bool) -> Case:
        return Case([Request(await made(house))])

    named = path.replace("{}", "{project_id}" if of == "project" else "{sandbox_id}")
    OURS[f"GET {named}"], OURS[f"POST {named}"] = listed, shared
    OURS[f"DELETE {named}/{{share_link_id}}"] = revoked


_sharing("projects/{}/share_links", "project")
_sharing("sandboxes/{}/share_links", "inbox")


# --- segments


def _segment(name: str = "Grown") -> dict[str, Any]:
    return {"name": name, "conditions": [{"field": "age", "operator": "greater_than", "value": 17}]}


async def _segmented(house: WorkingHouse) -> tuple[int, ...]:
    await house.contact("ann@dest.test", age=30)
    return ((await house.made("POST", "contacts/segments", _segment()))["id"],)


@case("GET contacts/segments")
async def segments(house: WorkingHouse, legacy: bool) -> Case:
    await _segmented(house)
    return Case([Request()])


@case("POST contacts/segments")
async def segment_made(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(body=_segment())], {422: Request(body={})})


@case("PATCH contacts/segments/{segment_id}")
async def segment_changed(house: WorkingHouse, legacy: bool) -> Case:
    at = await _segmented(house)
    return Case([Request(at, _segment("Older"))], {422: Request(at, {"name": ""})})


async def _segment_shown(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(await _segmented(house))])


for _name in ("GET contacts/segments/{}", "DELETE contacts/segments/{}", "GET contacts/segments/{}/contacts"):
    OURS[_name.format("{segment_id}")] = _segment_shown

# --- the sandbox


@case("GET sandboxes/{sandbox_id}/messages/{message_id}/checks")
async def _checks(house: WorkingHouse, legacy: bool) -> Case:
    at = (house.inbox, await caught(house))
    return Case([Request(at, query="names[]=html&names[]=headers")], {400: Request(at, query="names[]=all")})


# --- what test-suites ask of an inbox


async def _asked(house: WorkingHouse, legacy: bool) -> Case:
    await caught(house)
    return Case([Request((house.inbox,), query="to=bob@dest.test&timeout=0")], {400: _unknown_condition(house)})


async def _looked_for(house: WorkingHouse, legacy: bool) -> Case:
    await caught(house)
    return Case([Request((house.inbox,), query="to=bob@dest.test")], {400: _unknown_condition(house)})


def _unknown_condition(house: WorkingHouse) -> Request:
    return Request((house.inbox,), query="form=bob@dest.test")


_MESSAGES = "sandboxes/{sandbox_id}/messages"
OURS[f"GET {_MESSAGES}/events"] = _asked
OURS[f"GET {_MESSAGES}/latest"] = OURS[f"GET {_MESSAGES}/search"] = OURS[f"DELETE {_MESSAGES}"] = _looked_for


@case(f"GET {_MESSAGES}/wait")
async def awaited(house: WorkingHouse, legacy: bool) -> Case:
    found = await _asked(house, legacy)
    return Case(found.right, found.wrong | {422: Request((house.inbox,), query="subject=Other&timeout=0")})


@case(f"POST {_MESSAGES}/assert")
async def asserted(house: WorkingHouse, legacy: bool) -> Case:
    await caught(house)
    right = {"query": {"to": "bob@dest.test", "html": "<p>Hi"}, "count": {"at_least": 1}}
    wrong = {"query": {"subject": "Other", "text": "Other", "header": {"X-No": ""}}, "count": 2}
    return Case([Request((house.inbox,), right)], {422: Request((house.inbox,), wrong)})


# --- webhooks


async def _hooked(house: WorkingHouse) -> tuple[int, ...]:
    members = {"url": "https://hooks.dest.test/a", "webhook_type": "email_sending", "sending_stream": "transactional"}
    made = await house.made("POST", "webhooks", {"webhook": members | {"event_types": ["delivery", "reject"]}})
    return (made["data"]["id"],)


async def _webhook(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(await _hooked(house))])


for _name in ("POST test", "POST reset_secret", "GET replays", "GET events", "GET attempts"):
    OURS[_name.replace(" ", " webhooks/{webhook_id}/")] = _webhook


@case("POST webhooks/{webhook_id}/replays")
async def replayed(house: WorkingHouse, legacy: bool) -> Case:
    at = await _hooked(house)
    right = [Request(at, {"from": "2027-01-01T00:00:00Z", "to": "2027-01-02T00:00:00Z"}), Request(at, {"parked": True})]
    return Case(right, {422: Request(at, {"from": "yesterday"})})


# --- contacts

OURS["PUT contacts/{contact_identifier}"] = CASES["PATCH contacts/{contact_identifier}"]

# --- the log as a file


@case("GET email_logs/export")
async def export(house: WorkingHouse, legacy: bool) -> Case:
    await logged(house)
    one = "format=jsonl&filters[to][operator]=ci_equal&filters[to][value]=bob@dest.test"
    return Case([Request(query=one)], {400: Request(query="format=xml")})


# --- opting out of tracking


async def _opted_out(house: WorkingHouse) -> str:
    body = {"email": "shy@dest.test", "domain_id": house.domain}
    return str((await house.made("POST", "tracking_opt_outs", body))["data"]["id"])


@case("GET tracking_opt_outs")
async def opt_outs(house: WorkingHouse, legacy: bool) -> Case:
    last = await _opted_out(house)
    right = [Request(), Request(query=f"email=shy@dest.test&start_time=2027-01-01&last_id={last}")]
    return Case(right, {400: Request(query="start_time=yesterday")})


@case("POST tracking_opt_outs")
async def opt_out_made(house: WorkingHouse, legacy: bool) -> Case:
    right = {"email": "shy@dest.test", "domain_id": house.domain}
    return Case([Request(body=right)], {422: Request(body=right | {"email": "shy"})})


@case("DELETE tracking_opt_outs/{tracking_opt_out_id}")
async def opt_out_deleted(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request((await _opted_out(house),))], unknown=UNKNOWN_ID)
