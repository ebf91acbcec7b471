"""How each operation of the table is brought to each of its answers, with objects that were made through the API."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mailferry.consumers.stats.counter import Counter
from mailferry.resources.permissions import ADMIN, Grant, Resource
from tests.mailtrap_domains import COMPANY
from tests.working_house import WorkingHouse, mail


@dataclass(frozen=True)
class Request:
    """``ids`` stand in the path in this order, behind the account's."""

    ids: tuple[Any, ...] = ()
    body: Any = None
    query: str = ""


@dataclass(frozen=True)
class Case:
    #: Each is answered with the status of success; together they have every member that the contract knows.
    right: Sequence[Request]
    #: By status: 400, 403 of what is sent, 409, 422.
    wrong: dict[int, Request] = field(default_factory=dict)
    #: Of the last id in the path.
    unknown: Any = 10**9


Preparing = Callable[[WorkingHouse, bool], Awaitable[Case]]
CASES: dict[str, Preparing] = {}


def case(name: str, cases: dict[str, Preparing] = CASES) -> Callable[[Preparing], Preparing]:
    def keep(function: Preparing) -> Preparing:
        cases[name] = function
        return function

    return keep


# --- sending

_FILE = {"content": "aGVsbG8=", "filename": "a.txt", "type": "text/plain", "disposition": "inline", "content_id": "a"}
_BOX = {"email": "bob@dest.test", "name": "Bob"}
_FULL = {
    "from": {"email": "app@a.test", "name": "App"},
    "to": [_BOX],
    "cc": [_BOX],
    "bcc": [_BOX],
    "reply_to": {"email": "re@a.test", "name": "Re"},
    "attachments": [_FILE],
    "headers": {"X-Order": "7"},
    "custom_variables": {"order": "7"},
}


async def _template(house: WorkingHouse) -> str:
    return str((await house.made("POST", "email_templates", {"email_template": template()}))["uuid"])


@case("POST send")
async def send(house: WorkingHouse, legacy: bool) -> Case:
    plain = _FULL | {"subject": "Hello", "category": "orders"}
    filled = _FULL | {"template_uuid": await _template(house), "template_variables": {"name": "Bob"}}
    right = [plain | {"text": "Hi"}, plain | {"html": "<p>Hi</p>"}, plain | {"text": "Hi", "html": "<p>Hi</p>"}, filled]
    demo = mail(**{"from": {"email": "app@demo.test"}})
    return Case([Request(body=body) for body in right], {400: Request(body={"subject": ""}), 403: Request(body=demo)})


@case("POST batch")
async def batch(house: WorkingHouse, legacy: bool) -> Case:
    to = {name: _FULL[name] for name in ("to", "cc", "bcc")}
    base = {name: value for name, value in _FULL.items() if name not in to} | {"subject": "Hello", "category": "orders"}
    base |= {"text": "Hi", "html": "<p>Hi</p>"}
    filled = {"template_uuid": await _template(house), "template_variables": {"name": "Bob"}}
    shared = {name: value for name, value in base.items() if name not in ("subject", "text", "html", "category")}
    right = [
        {"base": base, "requests": [to, {"to": []}]},
        {"base": {}, "requests": [base | to, {}]},
        {"base": shared | filled, "requests": [to, {}]},
        {"base": {}, "requests": [shared | filled | to, {}]},
    ]
    return Case([Request(body=body) for body in right], {400: Request(body={"requests": []})})


# --- accounts


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

_UNKNOWN_ID = "00000000-0000-7000-8000-000000000000"


def _suppression(house: WorkingHouse, address: str) -> dict[str, Any]:
    return {"email": address, "domain_id": house.domain, "sending_stream": "transactional", "type": "spam complaint"}


async def _suppressed(house: WorkingHouse, address: str) -> str:
    made = await house.made("POST", "suppressions", _suppression(house, address), legacy=False)
    return str(made["data"]["id"])


@case("GET suppressions")
async def suppressions(house: WorkingHouse, legacy: bool) -> Case:
    await _suppressed(house, "eve@dest.test")
    later = await _suppressed(house, "eva@dest.test")
    query = "email=eve@dest.test&start_time=2027-01-01&end_time=2027-12-31T00:00:00Z"
    right = [Request(), Request(query=f"{query}&last_id={later}")]
    return Case(right, {400: Request(query="start_time=yesterday")})


@case("POST suppressions")
async def suppression_made(house: WorkingHouse, legacy: bool) -> Case:
    right = _suppression(house, "eve@dest.test")
    return Case([Request(body=right)], {422: Request(body=right | {"email": "eve"})})


@case("DELETE suppressions/{suppression_id}")
async def suppression_deleted(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request((await _suppressed(house, "eve@dest.test"),))], unknown=_UNKNOWN_ID)


# --- statistics

_DATES = "start_date=2027-01-01&end_date=2027-01-31"


async def _statistics(house: WorkingHouse, legacy: bool) -> Case:
    await house.send("bob@dest.test", category="orders")
    await house.deliver()
    assert await Counter(house.database, house.clock).step()
    chosen = f"domain_ids[]={house.domain}&sending_streams[]=transactional&categories[]=orders"
    if legacy:
        chosen = f"sending_{chosen}"
    queries = [_DATES, f"{_DATES}&{chosen}", f"{_DATES}&email_service_providers[]=Other"]
    right = [Request(query=query) for query in queries]
    return Case(right, {400: Request(query="end_date=2027-01-31")})


for _name in ("stats", "stats/domains", "stats/categories", "stats/email_service_providers", "stats/date"):
    CASES[f"GET {_name}"] = _statistics


# --- email logs


async def _logged(house: WorkingHouse) -> list[str]:
    """Of which one was delivered and one was rejected."""
    await _suppressed(house, "eve@dest.test")
    filled = {
        "template_uuid": await _template(house),
        "template_variables": {"name": "Bob"},
        "subject": None,
        "text": None,
    }
    made = await house.send("bob@dest.test", **filled, custom_variables={"order": "7"})
    await house.deliver()
    return [*made, *await house.send("eve@dest.test", custom_variables={"order": "7"})]


@case("GET email_logs")
async def logs(house: WorkingHouse, legacy: bool) -> Case:
    await _logged(house)
    page = "filters[to][operator]=ci_equal&filters[to][value]=bob@dest.test"
    return Case(
        [Request(query=page), Request(query=f"{page}&search_after={_LATEST}")], {400: Request(query="search_after=x")}
    )


_LATEST = "ffffffff-ffff-7fff-bfff-ffffffffffff"


@case("GET email_logs/{message_id}")
async def log(house: WorkingHouse, legacy: bool) -> Case:
    first, _ = await _logged(house)
    return Case([Request((first,))], unknown=_UNKNOWN_ID)


# --- webhooks

_EVENTS = [
    "delivery",
    "soft_bounce",
    "bounce",
    "suspension",
    "unsubscribe",
    "open",
    "spam_complaint",
    "click",
    "reject",
]


def _webhook(house: WorkingHouse, **changes: Any) -> dict[str, Any]:
    members = {"url": "https://hooks.dest.test/a", "webhook_type": "email_sending", "active": True}
    members |= {"payload_format": "json", "sending_stream": "transactional", "event_types": _EVENTS}
    return {"webhook": members | {"domain_id": house.domain} | changes}


async def _hooked(house: WorkingHouse) -> tuple[int, ...]:
    return ((await house.made("POST", "webhooks", _webhook(house)))["data"]["id"],)


@case("GET webhooks")
async def webhooks(house: WorkingHouse, legacy: bool) -> Case:
    await _hooked(house)
    return Case([Request()])


@case("POST webhooks")
async def webhook_made(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(body=_webhook(house))], {422: Request(body=_webhook(house, url="", event_types=[]))})


@case("GET webhooks/{webhook_id}")
async def webhook(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(await _hooked(house))])


@case("PATCH webhooks/{webhook_id}")
async def webhook_changed(house: WorkingHouse, legacy: bool) -> Case:
    at = await _hooked(house)
    changes = {
        "url": "https://hooks.dest.test/b",
        "active": False,
        "payload_format": "jsonlines",
        "event_types": ["open"],
    }
    return Case([Request(at, {"webhook": changes})], {422: Request(at, {"webhook": {"url": ""}})})


@case("DELETE webhooks/{webhook_id}")
async def webhook_deleted(house: WorkingHouse, legacy: bool) -> Case:
    return await webhook(house, legacy)


# --- templates


def template(**changes: Any) -> dict[str, Any]:
    members = {"name": "Welcome", "category": "onboarding", "subject": "Hi {{name}}"}
    return members | {"body_text": "Hi {{name}}", "body_html": "<p>{{name}}</p>"} | changes


async def _kept(house: WorkingHouse) -> tuple[int, ...]:
    return ((await house.made("POST", "email_templates", {"email_template": template()}))["id"],)


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


# --- contacts


def _contact(house: WorkingHouse, email: str = "ann@dest.test") -> dict[str, Any]:
    fields = {"name": "Ann", "age": 7, "score": 1.5, "vip": True, "birthday": "2000-01-02"}
    return {"contact": {"email": email, "fields": fields, "list_ids": house.lists[:2]}}


async def _ann(house: WorkingHouse) -> tuple[str, ...]:
    await house.made("POST", "contacts", _contact(house))
    return ("ann@dest.test",)


@case("POST contacts")
async def contact_made(house: WorkingHouse, legacy: bool) -> Case:
    await house.made("POST", "contacts", _contact(house, "bob@dest.test"))
    wrong = {422: Request(body={"contact": {"email": "ann"}}), 409: Request(body=_contact(house, "bob@dest.test"))}
    return Case([Request(body=_contact(house))], wrong)


@case("GET contacts/{contact_identifier}")
async def contact(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(await _ann(house))], unknown="nobody@dest.test")


@case("PATCH contacts/{contact_identifier}")
async def contact_changed(house: WorkingHouse, legacy: bool) -> Case:
    at = await _ann(house)
    await house.made("POST", "contacts", _contact(house, "bob@dest.test"))
    members = {"email": "ann@dest.test", "fields": {"name": "Anna"}, "unsubscribed": True}
    members |= {"list_ids_included": house.lists[2:], "list_ids_excluded": house.lists[:1]}
    wrong = {
        422: Request(at, {"contact": {"fields": {"age": "old"}}}),
        409: Request(at, {"contact": {"email": "bob@dest.test"}}),
    }
    return Case([Request(at, {"contact": members})], wrong, unknown=None)


@case("DELETE contacts/{contact_identifier}")
async def contact_deleted(house: WorkingHouse, legacy: bool) -> Case:
    return await contact(house, legacy)


@case("POST contacts/{contact_identifier}/events")
async def contact_event(house: WorkingHouse, legacy: bool) -> Case:
    at = await _ann(house)
    body = {"name": "bought", "params": {"a": "b", "c": 1, "d": 1.5, "e": True, "f": None}}
    return Case([Request(at, body)], {422: Request(at, {"name": ""})}, unknown="nobody@dest.test")


_FILTERS = {"name": "list_id", "operator": "equal"}, {"name": "subscription_status", "operator": "equal"}


def _filters(house: WorkingHouse) -> dict[str, Any]:
    return {"filters": [_FILTERS[0] | {"value": house.lists}, _FILTERS[1] | {"value": "subscribed"}]}


@case("POST contacts/exports")
async def export_made(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(body=_filters(house))], {422: Request(body={"filters": [{}]})})


@case("GET contacts/exports/{export_id}")
async def export(house: WorkingHouse, legacy: bool) -> Case:
    await _ann(house)
    made = await house.made("POST", "contacts/exports", _filters(house))
    await house.workshop.run_due()
    return Case([Request((made["id"],))])


def _imported(house: WorkingHouse) -> dict[str, Any]:
    moves = {"list_ids_included": house.lists[:1], "list_ids_excluded": house.lists[1:]}
    return {"contacts": [{"email": "ann@dest.test", "fields": {"name": "Ann"}} | moves]}


@case("POST contacts/imports")
async def import_made(house: WorkingHouse, legacy: bool) -> Case:
    field = {"name": "Named as in the contract", "data_type": "integer", "merge_tag": "field_merge_tag"}
    await house.made("POST", "contacts/fields", field)
    wrong = {"email": "ann", "fields": {"nothing": 1, "field_merge_tag": "old"}, "list_ids_included": house.lists}
    wrong |= {"list_ids_excluded": house.lists}
    return Case([Request(body=_imported(house))], {422: Request(body={"contacts": [wrong]})})


@case("GET contacts/imports/{import_id}")
async def import_shown(house: WorkingHouse, legacy: bool) -> Case:
    made = await house.made("POST", "contacts/imports", _imported(house))
    await house.workshop.run_due()
    return Case([Request((made["id"],))])


@case("GET contacts/lists")
async def lists(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(), Request(query="search=list")])


@case("POST contacts/lists")
async def list_made(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(body={"name": "New"})])


async def _list(house: WorkingHouse) -> tuple[int, ...]:
    return ((await house.made("POST", "contacts/lists", {"name": "More"}))["id"],)


@case("GET contacts/lists/{list_id}")
async def list_shown(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(await _list(house))])


@case("PATCH contacts/lists/{list_id}")
async def list_changed(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(await _list(house), {"name": "Other"})])


@case("DELETE contacts/lists/{list_id}")
async def list_deleted(house: WorkingHouse, legacy: bool) -> Case:
    return await list_shown(house, legacy)


_FIELD = {"name": "Colour", "data_type": "text", "merge_tag": "colour"}


async def _field(house: WorkingHouse) -> tuple[int, ...]:
    return ((await house.made("POST", "contacts/fields", _FIELD))["id"],)


@case("GET contacts/fields")
async def fields(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request()])


@case("POST contacts/fields")
async def field_made(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(body=_FIELD)], {422: Request(body=_FIELD | {"data_type": "planet"})})


@case("GET contacts/fields/{field_id}")
async def field_shown(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(await _field(house))])


@case("PATCH contacts/fields/{field_id}")
async def field_changed(house: WorkingHouse, legacy: bool) -> Case:
    at = await _field(house)
    return Case([Request(at, {"name": "Color", "merge_tag": "color"})], {422: Request(at, {"merge_tag": "a b"})})


@case("DELETE contacts/fields/{field_id}")
async def field_deleted(house: WorkingHouse, legacy: bool) -> Case:
    used = house.fields["age"].id
    asks = [{"field": "age", "operator": "greater_than", "value": 7}]
    await house.made("POST", "contacts/segments", {"name": "Old", "conditions": asks})
    return Case([Request(await _field(house))], {422: Request((used,))})
