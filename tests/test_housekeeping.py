"""What is done now and then, by a clock that the test moves: held mail let go or ended, DNS looked up again, old things
forgotten. On both databases."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, insert, update
from structlog.testing import capture_logs

from mailferry import metrics
from mailferry.delivery import outages, release
from mailferry.endpoints.operations.tools import Tools
from mailferry.housekeeping import Housekeeping
from mailferry.journal import follow
from mailferry.journal.follow import Position
from mailferry.net.dns import Resolver
from mailferry.resources import custom_hosts, dns_records, domains
from mailferry.resources.custom_hosts import LINKS, RETURN_PATH
from mailferry.resources.documents import Kind
from mailferry.resources.domains import fresh_keys
from mailferry.store.content import DAY_MS, ContentGone, Place
from mailferry.store.schema import (
    attempts,
    boots,
    domain_hours,
    events,
    idempotency_keys,
    lanes,
    messages,
    queue,
    recipients,
)
from tests import delivery_support
from tests.conftest import Clock, eventually
from tests.delivery_support import TAKEN, Office
from tests.fakes.dns import FakeDNS
from tests.operator_tools import make_tools

office, engines = delivery_support.office, delivery_support.engines


class Woken:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


def tools(
    office: Office, *, resolver: Resolver | None = None, wake: Callable[[], None] = lambda: None, **settings: Any
) -> Tools:
    names = {name.replace("__", "."): str(value) for name, value in settings.items()}
    asked = resolver or Resolver(["127.0.0.1:9"], clock=office.clock, timeout=0.1)
    ours = {"content": office.content, "sealer": office.sealer, "book": office.book, "wake": wake}
    return make_tools(office.database, office.clock, asked, settings=names, **ours)


def keeper(office: Office, **options: Any) -> Housekeeping:
    return Housekeeping(tools(office, **options), office.content)


async def states(office: Office, ids: list[str]) -> list[str]:
    return [await office.state(each) for each in ids]


async def deliver_all(office: Office) -> None:
    for job in await office.claim():
        await office.settle(job, TAKEN)


# --- held mail --------------------------------------------------------------------------------------------------------


async def test_each_hour_a_domain_under_review_may_send_its_number(office: Office, clock: Clock) -> None:
    office = office.node(hourly=2)
    await office.change_domain(state=domains.UNDER_REVIEW)
    accepted = [(await office.accept(f"r{number}@one.test"))[0] for number in range(5)]
    await deliver_all(office)
    assert await states(office, accepted) == ["delivered"] * 2 + ["held"] * 3

    woken = Woken()
    house = keeper(office, wake=woken, limits__new_domain_hourly=2)
    await house.release_held()
    assert woken.times == 0 and await states(office, accepted) == ["delivered"] * 2 + ["held"] * 3
    for hour in (1, 2):
        clock.forward(hours=1)
        await house.release_held()
        assert woken.times == hour
        await deliver_all(office)
    assert await states(office, accepted) == ["delivered"] * 5
    await house.release_held()
    assert woken.times == 2


async def test_held_mail_waits_as_long_as_its_domain_may_not_send(office: Office, clock: Clock) -> None:
    await office.change_domain(state=domains.SUSPENDED)
    accepted = await office.accept("a@one.test", "b@two.test")
    clock.now += 3 * delivery_support.EXPIRE_MS
    await keeper(office).release_held()
    assert await states(office, accepted) == ["held", "held"]
    assert [await office.story(each) for each in accepted] == [["accepted", "suspension"]] * 2


async def test_what_the_verb_did_not_let_go_leaves_within_the_minute(
    office: Office, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process died between the change of state and the release, or an accept had read the state of before."""
    monkeypatch.setattr(release, "SOME", 2)
    await office.change_domain(state=domains.SUSPENDED)
    accepted = await office.accept(*(f"r{number}@one.test" for number in range(5)))
    other = await office.add_domain("other.test", state=domains.SUSPENDED)
    (theirs,) = await office.accept("a@one.test", sender="app@other.test")
    await office.change_domain(state=domains.COMPLIANT)
    clock.now += 2 * delivery_support.EXPIRE_MS
    woken = Woken()
    await keeper(office, wake=woken).release_held()
    assert woken.times == 1 and await states(office, accepted) == ["queued"] * 5
    assert await office.state(theirs) == "held" and await office.count(queue, domain_id=other.id) == 1
    await deliver_all(office)
    assert await states(office, accepted) == ["delivered"] * 5


async def test_a_domain_under_review_lets_its_number_go_and_no_more(office: Office, clock: Clock) -> None:
    office = office.node(hourly=2)
    await office.change_domain(state=domains.UNDER_REVIEW)
    accepted = await office.accept(*(f"r{number}@one.test" for number in range(6)))
    await deliver_all(office)
    clock.forward(hours=1)
    house = keeper(office, limits__new_domain_hourly=2)
    for _ in range(3):  # minutes in which no worker comes
        await house.release_held()
    assert await states(office, accepted) == ["delivered"] * 2 + ["queued"] * 2 + ["held"] * 2
    await deliver_all(office)
    assert [await office.story(each) for each in accepted[2:4]] == [["accepted", "throttled", "delivery"]] * 2


async def test_what_waits_behind_a_dead_destination_ends_by_the_time_by_which_it_grows_old(
    office: Office, clock: Clock
) -> None:
    (recipient,) = await office.accept("a@dead.test")
    lane, until = await office.lane("dead.test"), clock.now + 2 * delivery_support.EXPIRE_MS
    await office.database.write(lambda c: outages.hold(c, [lane.id], until, "no answer"))
    clock.now += delivery_support.EXPIRE_MS
    await Housekeeping(tools(office), office.content, lambda: clock.now - 1).mend_lanes()
    assert await office.state(recipient) == "queued"
    await keeper(office).mend_lanes()
    assert await office.state(recipient) == "bounced"


async def test_the_number_of_one_domain_does_not_end_a_round(office: Office, clock: Clock) -> None:
    """Rows of a version that did not know the domain, a removed domain and one that may send, in one round."""
    await office.change_domain(state=domains.SUSPENDED)
    old = await office.accept("a@one.test")
    await office.database.write(lambda c: c.execute(update(queue).values(domain_id=0)))
    await office.change_domain(state=domains.COMPLIANT)
    removed = await office.add_domain("removed.test", state=domains.SUSPENDED)
    theirs = await office.accept("a@one.test", sender="app@removed.test")
    now = clock()
    await office.database.write(lambda c: domains.remove(c, removed.id, now))
    await keeper(office).release_held()
    assert await states(office, [*old, *theirs]) == ["queued", "rejected"]
    assert await office.story(theirs[0]) == ["accepted", "suspension", "reject"]


async def test_a_lane_that_lost_its_time_is_mended(office: Office) -> None:
    accepted = await office.accept("a@one.test")
    await office.database.write(lambda c: c.execute(update(lanes).values(next_due=None)))
    assert await office.claim() == []
    woken = Woken()
    with capture_logs() as logged:
        await keeper(office, wake=woken).mend_lanes()
    assert woken.times == 1 and [(e["event"], e["lanes"]) for e in logged] == [("lanes_repaired", 1)]
    assert [job.recipient_id for job in await office.claim()] == accepted


# --- domains ----------------------------------------------------------------------------------------------------------


async def test_a_domain_whose_records_went_is_held_and_let_go_when_they_are_back(office: Office, clock: Clock) -> None:
    async with FakeDNS({"mail.mailferry.test": {"A": "127.0.0.1"}}) as dns:
        resolver = Resolver([dns.address], clock=clock)
        woken = Woken()
        house = tools(office, resolver=resolver, wake=woken)
        domain = await office.add_domain("own.test", keys=fresh_keys())
        zone: dict[str, dict[str, str]] = {}
        for record in dns_records.records(domain, dns_records.Operator(house.hostname, "")):
            zone.setdefault(record.domain, {})[record.type] = record.value
        dns.zone |= zone
        await Housekeeping(house, office.content).check_domains()
        (sent,) = await office.accept("a@one.test", sender="app@own.test")
        assert await office.state(sent) == "queued"

        for name in zone:
            del dns.zone[name]
        clock.forward(hours=1)
        await Housekeeping(house, office.content).check_domains()
        (held,) = await office.accept("b@one.test", sender="app@own.test")
        assert await office.state(held) == "held"

        # A name server that is away changes nothing in either direction.
        dns.trouble |= dict.fromkeys(zone, "servfail")
        clock.forward(hours=1)
        await Housekeeping(house, office.content).check_domains()
        assert await office.state(held) == "held"

        dns.trouble.clear()
        dns.zone |= zone
        clock.forward(hours=1)
        before = woken.times
        await Housekeeping(house, office.content).check_domains()
        assert await states(office, [sent, held]) == ["queued", "queued"] and woken.times > before
        await resolver.close()


@pytest.mark.parametrize(
    ("purpose", "records"),
    [
        (RETURN_PATH, {"MX": "10 mail.mailferry.test", "TXT": "v=spf1 a:mail.mailferry.test ~all"}),
        (LINKS, {"CNAME": "mail.mailferry.test"}),
    ],
)
async def test_a_name_that_mail_is_to_use_is_looked_up_and_one_that_cannot_be_asked_for_stays(
    office: Office, clock: Clock, purpose: str, records: dict[str, str]
) -> None:
    name = custom_hosts.named(purpose, "own.sender.test")
    await office.database.write(lambda c: custom_hosts.want(c, office.account, purpose, "own.sender.test", clock()))

    async def is_ours() -> bool:
        await Housekeeping(house, office.content).check_domains()
        return custom_hosts.is_ours(await office.documents.get(office.account, Kind.CUSTOM_HOST, name))

    async with FakeDNS({"mail.mailferry.test": {"A": "127.0.0.1"}}) as dns:
        resolver = Resolver([dns.address], clock=clock)
        house = replace(tools(office, resolver=resolver), forget_documents=office.documents.forget)
        assert not await is_ours()
        dns.zone["own.sender.test"] = records
        assert await is_ours()
        dns.trouble["own.sender.test"] = "servfail"
        assert await is_ours()
        dns.trouble.clear()
        del dns.zone["own.sender.test"]
        assert not await is_ours()
        await resolver.close()


# --- what is old ------------------------------------------------------------------------------------------------------


async def test_bytes_and_stories_are_forgotten_when_their_days_are_over(office: Office, clock: Clock) -> None:
    (delivered,) = await office.accept("a@one.test")
    await deliver_all(office)
    await office.change_domain(state=domains.SUSPENDED)
    (held,) = await office.accept("held@one.test")
    await office.database.write(lambda c: c.execute(insert(idempotency_keys), [_key("old", clock())]))
    house = keeper(office, retention__content_days=2, retention__logs_days=3)

    clock.forward(hours=23)
    await house.forget()
    assert await office.count(idempotency_keys) == 1
    clock.forward(hours=25)
    await office.database.write(lambda c: c.execute(insert(idempotency_keys), [_key("new", clock())]))
    await house.forget()
    assert [row.key for row in await office.rows(idempotency_keys)] == ["new"]
    assert await readable(office, delivered) and await readable(office, held)

    # The segment is needed while somebody of it waits; the story is not.
    clock.forward(hours=2 * 24)
    await house.forget()
    assert await readable(office, held)
    assert [row.id for row in await office.rows(recipients)] == [held]
    assert {row.recipient_id for row in await office.rows(events)} == {held}
    assert await office.count(attempts) == 0 and await office.count(messages) == 1

    await office.change_domain(state=domains.COMPLIANT)
    await let_go(office)
    await deliver_all(office)
    await office.accept("new@one.test")  # the day's segment is another
    row = await message_of(office, held)
    clock.forward(hours=24)
    await house.forget()
    assert not await readable_at(office, row)
    assert {each.address for each in await office.rows(recipients)} == {"new@one.test"}


async def let_go(office: Office) -> None:
    now = office.clock()
    await office.database.write(lambda c: release.release_domain(c, office.domain, now))


def _key(key: str, now: int) -> dict[str, Any]:
    return {"account_id": 1, "endpoint": "e", "key": key, "body_hash": "h", "answer": "{}", "created_at": now}


async def message_of(office: Office, recipient: str) -> Any:
    (found,) = await office.rows(recipients, id=recipient)
    (row,) = await office.rows(messages, id=found.message_id)
    return row


async def readable(office: Office, recipient: str) -> bool:
    return await readable_at(office, await message_of(office, recipient))


async def readable_at(office: Office, row: Any) -> bool:
    place = Place(row.segment, row.place, row.size, row.id)
    try:
        return len(await office.database.read(lambda c: office.content.read(c, place))) == row.size
    except ContentGone:
        return False


async def test_more_than_one_piece_is_forgotten(office: Office, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailferry.journal.retention.SOME", 3)
    for number in range(7):
        await office.accept(f"r{number}@one.test")
    await deliver_all(office)
    clock.forward(hours=31 * 24)
    await asyncio.gather(keeper(office).forget(), keeper(office).forget())  # two nodes at once
    assert await office.count(messages) == await office.count(recipients) == await office.count(events) == 0


async def test_what_the_house_wrote_down_for_itself_is_forgotten(office: Office, clock: Clock) -> None:
    old = {"host": "h", "pid": 1, "started_at": clock() - 31 * DAY_MS}
    now = {**old, "started_at": clock()}
    hours = [{"domain_id": domain, "hour": clock() // 3_600_000 - ago} for domain in (1, 2) for ago in (0, 72)]

    def write(connection: Connection) -> None:
        connection.execute(insert(boots), [{"id": 1, **old}, {"id": 2, **old}, {"id": 3, **now}])
        connection.execute(insert(domain_hours), hours)

    await office.database.write(write)
    await office.accept("a@one.test", "b@two.test")
    await deliver_all(office)
    await office.accept("a@two.test")
    await office.node(boot=2).claim()
    clock.forward(seconds=60)
    await office.database.write(
        lambda c: c.execute(update(lanes).where(lanes.c.destination == "one.test").values(next_due=None))
    )
    await keeper(office).forget()
    assert [row.id for row in await office.rows(boots)] == [2, 3], "the second one holds a lease"
    assert [row.destination for row in await office.rows(lanes)] == ["two.test"]
    assert await office.count(domain_hours) == 2


# --- the round itself -------------------------------------------------------------------------------------------------


async def test_what_waits_is_measured(office: Office, clock: Clock) -> None:
    await office.accept("a@one.test", "b@one.test")
    await office.change_domain(state=domains.SUSPENDED)
    await office.accept("c@one.test")
    clock.forward(seconds=90)
    await keeper(office).measure()
    assert metrics.QUEUE.labels("queued")._value.get() == 2
    assert metrics.QUEUE.labels("held")._value.get() == 1
    assert metrics.OLDEST._value.get() == 90
    await deliver_all(office)
    await office.change_domain(state=domains.COMPLIANT)
    await let_go(office)
    await deliver_all(office)
    await keeper(office).measure()
    assert metrics.QUEUE.labels("queued")._value.get() == metrics.OLDEST._value.get() == 0


async def test_a_task_that_fails_is_logged_and_the_others_go_on(office: Office) -> None:
    house = keeper(office)
    await office.accept("a@one.test")
    await office.database.write(lambda c: c.execute(update(lanes).values(next_due=None)))
    async with office.without("domains"):
        with capture_logs() as logged:
            running = asyncio.create_task(house.run())
            await eventually(lambda: len([e for e in logged if e["event"] == "housekeeping_failed"]) >= 2)
            await eventually(lambda: "lanes_repaired" in {entry["event"] for entry in logged})
            assert not running.done()
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
    assert {entry["task"] for entry in logged if entry["event"] == "housekeeping_failed"} >= {
        "release_held",
        "check_domains",
    }
    assert "measure" not in {entry.get("task") for entry in logged}


# --- followers of the journal ----------------------------------------------------------------------------------------


async def test_a_follower_that_is_behind_or_gone_is_seen(office: Office) -> None:
    await office.database.write(lambda c: follow.begin(c, "webhooks", Position(0, 0), office.clock()))
    await office.accept("a@dest.test")
    office.clock.forward(seconds=90)
    housekeeping = keeper(office)
    await housekeeping.measure()
    assert lag_of("webhooks") == 90 and dead("webhooks") == 0
    office.clock.forward(hours=8 * 24)
    await housekeeping.measure()
    assert dead("webhooks") == 1
    with capture_logs() as logged:
        await housekeeping.forget()
    assert [entry["cursor"] for entry in logged if entry["event"] == "cursor_dead"] == ["webhooks"]


def lag_of(cursor: str) -> float:
    return float(metrics.CURSOR_LAG.labels(cursor)._value.get())


def dead(cursor: str) -> float:
    return float(metrics.CURSOR_DEAD.labels(cursor)._value.get())
