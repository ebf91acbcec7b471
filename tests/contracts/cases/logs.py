"""What became of mail: statistics, email logs, webhooks."""

from typing import Any

from tests.contracts.cases.case import CASES, Case, Request, case
from tests.contracts.cases.domains import UNKNOWN_ID, suppressed
from tests.contracts.cases.templates import kept_uuid
from tests.working_house import WorkingHouse

# --- statistics
_DATES = "start_date=2027-01-01&end_date=2027-01-31"


async def _statistics(house: WorkingHouse, legacy: bool) -> Case:
    await house.send("bob@dest.test", category="orders")
    await house.deliver()
    while await house.counter.step():
        pass
    chosen = f"domain_ids[]={house.domain}&sending_streams[]=transactional&categories[]=orders"
    if legacy:
        chosen = f"sending_{chosen}"
    queries = [_DATES, f"{_DATES}&{chosen}", f"{_DATES}&email_service_providers[]=Other"]
    right = [Request(query=query) for query in queries]
    return Case(right, {400: Request(query="end_date=2027-01-31")})


for _name in ("stats", "stats/domains", "stats/categories", "stats/email_service_providers", "stats/date"):
    CASES[f"GET {_name}"] = _statistics


# --- email logs
async def logged(house: WorkingHouse) -> list[str]:
    """Of which one was delivered and one was rejected."""
    await suppressed(house, "eve@dest.test")
    filled = {
        "template_uuid": await kept_uuid(house),
        "template_variables": {"name": "Bob"},
        "subject": None,
        "text": None,
    }
    made = await house.send("bob@dest.test", **filled, custom_variables={"order": "7"})
    await house.deliver()
    return [*made, *await house.send("eve@dest.test", custom_variables={"order": "7"})]


@case("GET email_logs")
async def logs(house: WorkingHouse, legacy: bool) -> Case:
    await logged(house)
    page = "filters[to][operator]=ci_equal&filters[to][value]=bob@dest.test"
    return Case(
        [Request(query=page), Request(query=f"{page}&search_after={_LATEST}")], {400: Request(query="search_after=x")}
    )


_LATEST = "ffffffff-ffff-7fff-bfff-ffffffffffff"


@case("GET email_logs/{message_id}")
async def log(house: WorkingHouse, legacy: bool) -> Case:
    first, _ = await logged(house)
    return Case([Request((first,))], unknown=UNKNOWN_ID)


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
