"""The five endpoints of statistics, in both path families."""

from typing import Any

import pytest
from sqlalchemy import Connection

from mailferry.resources.permissions import VIEWER, Grant, Resource
from mailferry.store.database import Database
from mailferry.store.given import insert_rows
from mailferry.store.schema import stats
from tests.conftest import Clock
from tests.mailtrap_domains import FAMILIES, furnished
from tests.mailtrap_house import MailtrapHouse

DAY = 20_000  # 2024-10-04
PERIOD = "start_date=2024-10-04&end_date=2024-10-05"
MEMBERS = ("delivery", "bounce", "open", "click", "spam")


@pytest.fixture
async def house(database: Database, clock: Clock) -> MailtrapHouse:
    made = await furnished(database, clock)
    base = {"account_id": made.account, "stream": "transactional", "provider": "Google", "template_id": 0}

    def write(connection: Connection) -> None:
        counted = [
            {
                "hour": DAY * 24,
                "domain_id": made.domain,
                "category": "welcome",
                "sent": 10,
                "delivered": 8,
                "opened": 4,
            },
            {
                "hour": DAY * 24 + 23,
                "domain_id": made.domain,
                "category": "news",
                "sent": 3,
                "delivered": 3,
                "opened": 0,
            },
            {
                "hour": DAY * 24 + 24,
                "domain_id": made.other_domain,
                "category": "",
                "sent": 7,
                "delivered": 0,
                "opened": 0,
            },
            {"hour": DAY * 24 - 1, "domain_id": made.domain, "category": "", "sent": 100, "delivered": 0, "opened": 0},
            {"hour": DAY * 24 + 48, "domain_id": made.domain, "category": "", "sent": 100, "delivered": 0, "opened": 0},
        ]
        insert_rows(
            connection, stats, [{**base, **each, "bounced": each["sent"] - each["delivered"]} for each in counted]
        )

    await database.write(write)
    return made


def short(shown: dict[str, Any]) -> tuple[int, float, int, float, int, float]:
    return tuple(shown[f"{name}_{kind}"] for name in ("delivery", "bounce", "open") for kind in ("count", "rate"))  # type: ignore[return-value]


@FAMILIES
async def test_all_five(house: MailtrapHouse, legacy: bool) -> None:
    async def ask(rest: str, more: str = "") -> Any:
        answer = await house.ask("GET", f"stats{rest}?{PERIOD}{more}", legacy=legacy)
        assert answer.status == 200, answer.body
        return answer.json

    whole = await ask("")
    assert short(whole) == (11, 0.55, 9, 0.45, 4, 0.3636)
    assert all(f"{name}_{kind}" in whole for name in MEMBERS for kind in ("count", "rate"))
    key = "sending_domain_id" if legacy else "domain_id"
    assert [(each[key], each["stats"]["delivery_count"]) for each in await ask("/domains")] == [
        (house.domain, 11),
        (house.other_domain, 0),
    ]
    assert [each["category"] for each in await ask("/categories")] == ["", "news", "welcome"]
    assert [each["email_service_provider"] for each in await ask("/email_service_providers")] == ["Google"]
    assert [(each["date"], each["stats"]["sent_count"]) for each in await ask("/date")] == [
        ("2024-10-04", 13),
        ("2024-10-05", 7),
    ]
    # All forms of arrays, both names.
    for form in ("sending_domain_ids[]", "sending_domain_ids", "domain_ids%5B%5D", "domain_ids[0]"):
        chosen = await ask("/domains", f"&{form}={house.other_domain}")
        assert [each[key] for each in chosen] == [house.other_domain]
    assert (await ask("", "&categories[]=news&categories[]=welcome"))["sent_count"] == 13
    assert (await ask("", "&sending_streams[]=bulk"))["sent_count"] == 0
    assert (await ask("", "&email_service_providers[]=Yahoo"))["delivery_rate"] == 0.0
    assert (await ask("", f"&domain_ids[]={'9' * 60}"))["sent_count"] == 0
    assert (await ask("", "&unknown[]=1"))["sent_count"] == 20


@FAMILIES
async def test_what_is_wrong_is_said(house: MailtrapHouse, legacy: bool) -> None:
    async def ask(query: str) -> tuple[int, Any]:
        answer = await house.ask("GET", f"stats/date?{query}", legacy=legacy)
        return answer.status, answer.json

    assert await ask("") == (400, {"error": "Missing required parameter: start_date"})
    assert await ask("start_date=2024-10-04") == (400, {"error": "Missing required parameter: end_date"})
    for wrong in ("yesterday", "2024-13-01", "2024", "04.10.2024"):
        status, body = await ask(f"start_date={wrong}&end_date=2024-10-05")
        assert (status, body) == (400, {"error": "'start_date' must be a date such as 2026-01-31"}), wrong
    status, body = await ask("start_date=2024-10-05&end_date=2024-10-04")
    assert status == 400 and "must not be after" in body["error"]
    status, body = await ask(f"{PERIOD}&domain_ids[]=a")
    assert (status, body) == (400, {"error": "'domain_ids' must be numbers of domains"})
    assert (await ask("start_date=0001-01-01&end_date=9999-12-31"))[0] == 200


@FAMILIES
async def test_who_sees_what(house: MailtrapHouse, legacy: bool) -> None:
    of_one = await house.token(Grant(Resource.DOMAIN, house.other_domain, VIEWER))
    answer = await house.ask("GET", f"stats?{PERIOD}", token=of_one, legacy=legacy)
    assert answer.json["sent_count"] == 7
    chosen = await house.ask("GET", f"stats?{PERIOD}&domain_ids[]={house.domain}", token=of_one, legacy=legacy)
    assert chosen.json["sent_count"] == 0
    none = await house.token(Grant(Resource.PROJECT, house.project, VIEWER))
    assert (await house.ask("GET", f"stats?{PERIOD}", token=none, legacy=legacy)).status == 403
    foreign = await house.token(Grant(Resource.ACCOUNT, house.foreign, VIEWER), account=house.foreign)
    answer = await house.ask("GET", f"stats?{PERIOD}", token=foreign, legacy=legacy, account=house.foreign)
    assert answer.json["sent_count"] == 0
