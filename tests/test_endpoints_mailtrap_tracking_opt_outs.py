"""``tracking_opt_outs`` over Mailtrap's API: who opted out, one more, one less, who may see what; both databases."""

from collections.abc import AsyncIterator

import pytest
from mailtrap.models.tracking_opt_outs import TrackingOptOut as SdkOptOut
from sqlalchemy import select

from mailferry.resources import tracking_opt_outs
from mailferry.resources.permissions import ADMIN, VIEWER, Grant, Resource
from mailferry.store.database import Database
from mailferry.store.schema import audit_log
from tests.conftest import Clock
from tests.mailtrap_house import MailtrapHouse

FAMILIES = pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "current"])


@pytest.fixture
async def house(database: Database, clock: Clock) -> AsyncIterator[MailtrapHouse]:
    yield await MailtrapHouse(database, clock).furnish()


async def opt_out(house: MailtrapHouse, address: str, domain_id: int = 0) -> str:
    wanted = domain_id or house.domain
    return await house.database.write(lambda c: tracking_opt_outs.add(c, wanted, address, house.clock()))


async def listed(house: MailtrapHouse, query: str = "", token: str = "") -> list[str]:
    how = {"token": token} if token else {}
    found = await house.ask("GET", f"tracking_opt_outs?{query}", **how)
    assert found.status == 200, found.body
    return [each["email"].partition("@")[0] for each in found.json["data"]]


@FAMILIES
async def test_made_shown_and_taken_back(house: MailtrapHouse, clock: Clock, legacy: bool) -> None:
    clock.now += 250
    body = {"email": "Shy+a@x.test", "domain_id": house.domain}
    made = await house.ask("POST", "tracking_opt_outs", body, legacy=legacy)
    assert made.status == 201
    shown = made.json["data"]
    assert shown == {
        "id": shown["id"],
        "email": "shy+a@x.test",
        "created_at": "2027-01-15T08:00:00.250Z",
        "domain_name": "a.test",
    }
    SdkOptOut(**shown)
    stands = lambda: house.database.read(  # noqa: E731
        lambda c: tracking_opt_outs.stands(c, house.domain, "shy+a@x.test")
    )
    assert await stands()
    assert (await house.ask("GET", "tracking_opt_outs", legacy=legacy)).json == {"data": [shown], "last_id": None}
    again = await house.ask("POST", "tracking_opt_outs", body, legacy=legacy)
    assert (again.status, again.json["errors"]) == (422, {"email": ["has already been taken"]})
    gone = await house.ask("DELETE", f"tracking_opt_outs/{shown['id'].upper()}", legacy=legacy)
    assert (gone.status, gone.json) == (200, shown)
    assert not await stands()
    events = await house.database.read(lambda c: c.execute(select(audit_log.c.event)).scalars().all())
    assert events[-2:] == ["tracking_opt_out.created", "tracking_opt_out.deleted"]


@pytest.mark.parametrize("id_", ["missing", "00000000-0000-7000-8000-000000000000"])
async def test_one_that_does_not_exist(house: MailtrapHouse, id_: str) -> None:
    answer = await house.ask("DELETE", f"tracking_opt_outs/{id_}")
    assert (answer.status, answer.json) == (404, {"errors": {"base": ["Tracking opt-out not found"]}})


async def test_what_is_wrong_is_said_by_field(house: MailtrapHouse) -> None:
    answer = await house.ask("POST", "tracking_opt_outs", {"email": "shy"})
    assert answer.status == 422 and set(answer.json["errors"]) == {"email", "domain"}
    unknown = await house.ask("POST", "tracking_opt_outs", {"email": "shy@x.test", "domain_id": 999})
    assert (unknown.status, unknown.json["errors"]) == (422, {"domain": ["must be a domain of this account"]})
    assert (await house.ask("GET", "tracking_opt_outs?last_id=x")).status == 400
    assert (await house.ask("GET", "tracking_opt_outs?start_time=2027-02-01&end_time=2027-01-01")).status == 400


async def test_filters(house: MailtrapHouse, clock: Clock) -> None:
    for name in ("ann", "bob", "eve"):
        await opt_out(house, f"{name}@x.test")
        clock.forward(seconds=60)
    assert await listed(house) == ["eve", "bob", "ann"]
    assert await listed(house, "email=BOB@x.test") == ["bob"]
    assert await listed(house, "start_time=2027-01-15T08:01:00Z") == ["eve", "bob"]
    assert await listed(house, "end_time=2027-01-15T08:01:00.000Z") == ["bob", "ann"]


async def test_a_thousand_newest_first_and_the_rest_behind_the_cursor(house: MailtrapHouse, clock: Clock) -> None:
    for number in range(1003):
        await opt_out(house, f"r{number}@x.test")
        clock.now += 1
    first = (await house.ask("GET", "tracking_opt_outs")).json
    assert len(first["data"]) == 1000 and first["last_id"] == first["data"][-1]["id"]
    rest = (await house.ask("GET", f"tracking_opt_outs?last_id={first['last_id']}")).json
    assert rest["last_id"] is None
    assert [each["email"] for each in first["data"] + rest["data"]] == [f"r{n}@x.test" for n in range(1002, -1, -1)]


async def test_who_sees_and_changes_what(house: MailtrapHouse) -> None:
    ann, bob = await opt_out(house, "ann@x.test"), await opt_out(house, "bob@x.test", house.other_domain)
    viewer = await house.token(Grant(Resource.DOMAIN, house.domain, VIEWER))
    admin = await house.token(Grant(Resource.DOMAIN, house.domain, ADMIN))
    assert await listed(house, token=viewer) == await listed(house, token=admin) == ["ann"]
    assert (await house.ask("DELETE", f"tracking_opt_outs/{ann}", token=viewer)).status == 403
    assert (await house.ask("DELETE", f"tracking_opt_outs/{bob}", token=admin)).status == 404
    assert (await house.ask("DELETE", f"tracking_opt_outs/{ann}", token=admin)).status == 200
    assert await listed(house) == ["bob"]
