"""Held mail is let go when its reason is gone, and rejected when its domain is removed. Age does not end it."""

import asyncio

import pytest
from sqlalchemy import Connection, Update, select, update

from mailferry.delivery import outages, release
from mailferry.delivery import queue as queues
from mailferry.resources import domains
from mailferry.store.schema import queue, recipients
from tests import delivery_support
from tests.conftest import Clock
from tests.delivery_support import EXPIRE_MS, GREYLISTED, POSTGRES, TAKEN, Office

office, engines = delivery_support.office, delivery_support.engines


async def hold(office: Office, *addresses: str) -> list[str]:
    """Accepted while the domain is suspended."""
    await office.change_domain(state="suspended")
    accepted = await office.accept(*addresses)
    await office.change_domain(state="compliant")
    return accepted


async def let_go(office: Office, limit: int = release.SOME) -> int:
    now = office.clock()
    return await office.database.write(lambda c: release.release_domain(c, office.domain, now, limit))


async def let_go_hourly(office: Office, hourly: int) -> int:
    now = office.clock()
    return await office.database.write(lambda c: release.release_hourly(c, office.domain, now, hourly))


async def reject(office: Office) -> int:
    now = office.clock()
    return await office.database.write(lambda c: release.reject_removed(c, office.domain, now))


async def waiting_domains(office: Office) -> list[int]:
    return await office.database.read(release.domains_with_held)


# --- a domain may send again ---------------------------------------------------------------------------------------


async def test_held_mail_is_queued_again_and_leaves(office: Office, clock: Clock) -> None:
    accepted = await hold(office, "a@one.test", "b@two.test")
    clock.forward(hours=3)
    assert await office.claim() == [] and await office.next_due() is None, "nothing waits for time"
    assert await let_go(office) == 2
    for recipient in accepted:
        row = await office.recipient(recipient)
        assert (row.state, row.reason) == ("queued", "")
    assert sorted(job.recipient_id for job in await office.claim()) == sorted(accepted)
    assert await let_go(office) == 0


async def test_the_oldest_is_let_go_first(office: Office, clock: Clock) -> None:
    old = await hold(office, "a@one.test")
    clock.forward(seconds=1)
    new = await hold(office, "b@one.test")
    assert await let_go(office, limit=1) == 1
    assert [await office.state(recipient) for recipient in (*old, *new)] == ["queued", "held"]


async def test_mail_of_another_domain_stays_held(office: Office) -> None:
    await office.add_domain("other.test", state="suspended")
    (theirs,) = await office.accept("a@one.test", sender="app@other.test")
    (ours,) = await hold(office, "a@one.test")
    assert await let_go(office) == 1
    assert (await office.state(ours), await office.state(theirs)) == ("queued", "held")


@pytest.mark.parametrize("changed", [{"state": "suspended"}, {"dns_verified": False}, {"deleted_at": 5}], ids=str)
async def test_mail_of_a_domain_that_may_not_send_stays_held(office: Office, changed: dict[str, object]) -> None:
    (recipient,) = await hold(office, "a@one.test")
    await office.change_domain(**changed)
    assert await let_go(office) == 0
    assert await office.state(recipient) == "held"


async def test_tries_and_the_hourly_count_are_kept(office: Office, clock: Clock) -> None:
    await office.change_domain(state="under_review")
    node = office.node(hourly=1)
    (recipient,) = await node.accept("a@one.test")
    (job,) = await node.claim()
    await node.settle(job, GREYLISTED)
    await node.change_domain(dns_verified=False)
    clock.now += 4 * delivery_support.FIRST_RETRY_MS  # the same hour
    assert await node.claim() == []
    await node.change_domain(dns_verified=True)
    assert await let_go(node) == 1
    (again,) = await node.claim()
    assert (again.recipient_id, again.tries) == (recipient, 1)


async def test_of_a_domain_under_review_only_what_was_counted_is_let_go_at_once(office: Office, clock: Clock) -> None:
    await office.change_domain(state="under_review")
    node = office.node(hourly=1)
    (counted,) = await node.accept("a@one.test")
    (job,) = await node.claim()
    await node.settle(job, GREYLISTED)
    await node.change_domain(dns_verified=False)
    clock.forward(hours=1)
    assert await node.claim() == []
    (fresh,) = await node.accept("b@one.test")
    await node.change_domain(dns_verified=True)
    assert await let_go(node) == 1
    assert [await node.state(recipient) for recipient in (counted, fresh)] == ["queued", "held"]
    assert await let_go_hourly(node, 1) == 1


async def test_domains_of_whose_held_mail_nothing_can_be_done_are_left_alone(office: Office) -> None:
    assert await waiting_domains(office) == []
    await hold(office, "a@one.test")
    other = await office.add_domain("other.test", state="suspended")
    await office.accept("a@one.test", sender="app@other.test")
    await office.add_domain("nothing.held.test")
    assert await waiting_domains(office) == [office.domain]
    await office.change_domain(dns_verified=False)
    assert await waiting_domains(office) == []
    await office.change_domain(deleted_at=5)
    assert await waiting_domains(office) == [office.domain]
    assert other.id not in await waiting_domains(office)


async def test_a_row_without_held_mail_is_in_nobodys_way(office: Office) -> None:
    """What a bug might leave behind: of mail that has ended the row goes, mail that waits is let go."""
    ended, waits, other = await hold(office, "a@one.test", "b@one.test", "c@one.test")

    def set_state(recipient: str, state: str) -> Update:
        return update(recipients).where(recipients.c.id == recipient).values(state=state)

    await office.database.write(lambda c: c.execute(set_state(ended, "delivered")))
    await office.database.write(lambda c: c.execute(set_state(waits, "queued")))
    assert [await let_go(office, limit=1) for _ in range(4)] == [0, 1, 1, 0]
    assert await office.state(ended) == "delivered" and await office.queued(ended) is None
    assert sorted(job.recipient_id for job in await office.claim()) == sorted([waits, other])
    assert await waiting_domains(office) == []


# --- the clock stands still ----------------------------------------------------------------------------------------


async def test_held_mail_does_not_grow_old(office: Office, clock: Clock) -> None:
    (recipient,) = await hold(office, "a@one.test")
    accepted_at = clock.now
    clock.now += 3 * EXPIRE_MS
    assert await let_go(office) == 1
    (job,) = await office.claim()
    assert (job.recipient_id, job.expires_at) == (recipient, accepted_at + 4 * EXPIRE_MS)
    await office.settle(job, GREYLISTED)
    assert await office.state(recipient) == "queued"


async def test_only_the_time_that_it_was_held_is_given_back(office: Office, clock: Clock) -> None:
    (recipient,) = await office.accept("a@one.test")
    accepted_at, held = clock.now, 0
    for waits, stands in ((2, 10), (3, 100)):
        clock.forward(hours=waits)
        await office.change_domain(state="suspended")
        assert await office.claim() == [], "the claim holds it"
        clock.forward(hours=stands)
        held += stands * 3_600_000
        await office.change_domain(state="compliant")
        assert await let_go(office) == 1
        row = await office.queued(recipient)
        assert row is not None and row.expires_at == accepted_at + EXPIRE_MS + held


async def test_the_hour_gives_the_time_back_as_well(office: Office, clock: Clock) -> None:
    node = await throttled(office, 2, 1)
    accepted_at = clock.now
    clock.now += 2 * EXPIRE_MS
    assert await let_go_hourly(node, 1) == 1
    (job,) = await node.claim()
    assert job.expires_at == accepted_at + 3 * EXPIRE_MS


# --- the hourly number ---------------------------------------------------------------------------------------------


async def throttled(office: Office, number: int, hourly: int, state: str = "under_review") -> Office:
    """A new domain that has sent its number; the rest is held."""
    await office.change_domain(state=state)
    node = office.node(hourly=hourly)
    await node.accept(*(f"r{n}@dest.test" for n in range(number)))
    assert await sent(node) == hourly
    return node


async def sent(node: Office) -> int:
    jobs = await node.claim()
    await asyncio.gather(*(node.settle(job, TAKEN) for job in jobs))
    return len(jobs)


@pytest.mark.parametrize("state", domains.IN_REVIEW)
async def test_each_hour_lets_its_number_go(office: Office, clock: Clock, state: str) -> None:
    node = await throttled(office, 7, 3, state)
    assert await let_go_hourly(node, 3) == 0, "this hour is used up"
    for number in (3, 1):
        clock.forward(hours=1)
        assert await let_go_hourly(node, 3) == number
        assert await sent(node) == number
    assert await node.count(recipients, state="held") == 0


async def test_what_is_let_go_and_not_claimed_yet_is_not_let_go_again(office: Office, clock: Clock) -> None:
    node = await throttled(office, 9, 3)
    clock.forward(hours=1)
    assert [await let_go_hourly(node, 3) for _ in range(3)] == [3, 0, 0]
    clock.forward(hours=1)
    assert await let_go_hourly(node, 3) == 0, "they have not left in the hour before either"
    assert await sent(node) == 3 and await let_go_hourly(node, 3) == 0
    clock.forward(hours=1)
    assert await let_go_hourly(node, 3) == 3


async def test_what_was_let_go_and_held_again_is_let_go_again(office: Office, clock: Clock) -> None:
    node = await throttled(office, 3, 1)
    clock.forward(hours=1)
    assert await let_go_hourly(node, 1) == 1
    await node.change_domain(dns_verified=False)
    assert await node.claim() == []
    await node.change_domain(dns_verified=True)
    assert await let_go_hourly(node, 1) == 1
    assert await sent(node) == 1


async def test_who_waits_for_a_destination_that_is_out_does_not_take_the_place_of_others(
    office: Office, clock: Clock
) -> None:
    await office.change_domain(state="under_review")
    node = office.node(hourly=1)
    await node.accept("a@dead.test", "b@dead.test", "c@quick.test")
    assert await sent(node) == 1
    clock.forward(hours=1)
    assert await let_go_hourly(node, 1) == 1
    lane = await node.lane("dead.test")
    await node.database.write(lambda c: outages.hold(c, [lane.id], clock.now + 10**9, "no answer"))
    assert await let_go_hourly(node, 1) == 1
    (job,) = await node.claim()
    assert job.address == "c@quick.test"


async def test_by_the_hour_the_oldest_go_first_whatever_they_were_held_for(office: Office, clock: Clock) -> None:
    await office.change_domain(dns_verified=False, state="under_review")
    (oldest,) = await office.accept("a@one.test")
    await office.change_domain(dns_verified=True)
    clock.forward(seconds=1)
    node = office.node(hourly=1)
    (younger,) = await node.accept("b@one.test")
    assert [await node.state(recipient) for recipient in (oldest, younger)] == ["held", "held"]
    assert await let_go_hourly(node, 1) == 1
    (job,) = await node.claim()
    assert job.recipient_id == oldest


@pytest.mark.parametrize("changed", [{"state": "suspended"}, {"dns_verified": False}, {"deleted_at": 5}], ids=str)
async def test_a_domain_that_may_not_send_lets_nothing_go(
    office: Office, clock: Clock, changed: dict[str, object]
) -> None:
    node = await throttled(office, 3, 1)
    clock.forward(hours=1)
    await node.change_domain(**changed)
    assert await let_go_hourly(node, 10) == 0


# --- the end of held mail ------------------------------------------------------------------------------------------


async def test_held_mail_of_a_removed_domain_is_rejected(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "SOME", 2)
    recipients_held = await hold(office, "a@one.test", "b@two.test", "c@two.test")
    assert await reject(office) == 0
    now = office.clock()
    await office.database.write(lambda c: domains.remove(c, office.domain, now))
    assert [await reject(office) for _ in range(3)] == [2, 1, 0]
    for recipient in recipients_held:
        row = await office.recipient(recipient)
        assert (row.state, row.reason) == ("rejected", "domain_deleted")
        assert await office.story(recipient) == ["accepted", "suspension", "reject"]
        assert await office.facts(recipient) == {"reason": "domain_deleted"}
        assert await office.queued(recipient) is None


async def test_mail_of_a_removed_domain_that_was_queued_is_rejected_too(office: Office) -> None:
    (recipient,) = await office.accept("a@one.test")
    now = office.clock()
    await office.database.write(lambda c: domains.remove(c, office.domain, now))
    assert await office.claim() == [] and await reject(office) == 1
    assert await office.story(recipient) == ["accepted", "suspension", "reject"]


# --- an upgrade ----------------------------------------------------------------------------------------------------


async def test_held_rows_of_a_version_that_did_not_know_the_domain_get_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "SOME", 2)
    accepted = await hold(office, "a@one.test", "b@two.test", "c@two.test")
    (queued,) = await office.accept("d@one.test")
    await office.database.write(lambda c: c.execute(update(queue).values(domain_id=0)))
    assert await let_go(office) == 0
    assert [await office.database.write(release.adopt) for _ in range(3)] == [2, 1, 0]
    assert {row.recipient_id for row in await office.rows(queue, domain_id=office.domain)} == set(accepted)
    assert (await let_go(office, limit=5), await office.state(queued)) == (3, "queued")


# --- two nodes -----------------------------------------------------------------------------------------------------


@POSTGRES
async def test_two_nodes_do_not_let_the_same_mail_go(office: Office, clock: Clock) -> None:
    await hold(office, "a@one.test", "b@two.test")

    def both(first: Connection) -> tuple[int, int]:
        ours = release.release_domain(first, office.domain, clock.now)
        with office.database.reader_engine.connect() as second, second.begin():
            return ours, release.release_domain(second, office.domain, clock.now)

    assert await office.database.write(both) == (2, 0)


@POSTGRES
async def test_two_nodes_let_the_number_of_an_hour_go_once(office: Office, clock: Clock) -> None:
    node = await throttled(office, 9, 2)
    clock.forward(hours=1)
    begun = await asyncio.gather(*(let_go_hourly(node, 2) for _ in range(4)))
    assert sum(begun) == 2


@POSTGRES
async def test_mail_that_is_being_settled_is_not_let_go(office: Office, clock: Clock) -> None:
    """A late 250 settles held mail: it has the recipient already, and will want the row of the queue."""
    (recipient,) = await hold(office, "a@one.test")

    def settle_slowly(first: Connection) -> int:
        first.execute(select(recipients.c.id).where(recipients.c.id == recipient).with_for_update()).one()
        with office.database.reader_engine.connect() as second, second.begin():
            released = release.release_domain(second, office.domain, clock.now)
        queues.drop(first, [recipient])
        return released

    assert await office.database.write(settle_slowly) == 0
