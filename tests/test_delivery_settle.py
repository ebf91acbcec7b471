"""The way out: every change of a recipient's state, each whole or not at all."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError

from mailferry.delivery import queue as queues
from mailferry.delivery.claim import Room
from mailferry.delivery.job import LEASE_MS
from mailferry.delivery.settle import Change, PutBack, apply
from mailferry.intake.submission import Publishing
from mailferry.journal.events import ForbiddenWay, Kind, State
from mailferry.mail.reply import SUPPRESSED, Answer
from mailferry.store.schema import attempts, events, recipients, suppressions
from tests import delivery_support
from tests.conftest import Clock
from tests.delivery_support import (
    DOMAIN,
    EXPIRE_MS,
    FIRST_RETRY_MS,
    GREYLISTED,
    POSTGRES,
    SPAM,
    TAKEN,
    UNKNOWN,
    Office,
)

office, engines = delivery_support.office, delivery_support.engines

Q, H, S, D, B, R, C = (
    State.QUEUED,
    State.HELD,
    State.SENT,
    State.DELIVERED,
    State.BOUNCED,
    State.REJECTED,
    State.CANCELLED,
)
#: The design's own list, and held mail that turns out to have arrived, or not: it passes through the queue.
ALLOWED = [
    (Q, H),
    (Q, S),
    (Q, D),
    (Q, B),
    (Q, R),
    (Q, C),
    (H, Q),
    (H, R),
    (H, C),
    (S, D),
    (S, B),
    (D, B),
    (H, D),
    (H, B),
]
FORBIDDEN = [(b, a) for b in State for a in State if a is not b and (b, a) not in ALLOWED]
KINDS = {H: Kind.THROTTLED, D: Kind.DELIVERY, B: Kind.BOUNCE, R: Kind.REJECT, C: Kind.CANCELLED}


async def standing(office: Office, state: State, address: str = "a@dest.test") -> str:
    """A recipient that stands there, with the queue row that belongs to it."""
    (recipient,) = await office.accept(address)
    await office.database.write(
        lambda c: c.execute(update(recipients).where(recipients.c.id == recipient).values(state=state))
    )
    if state is H:
        held = {
            "recipient_id": recipient, "due": None, "tries": 0, "counted": False, "expires_at": None, "released": False
        }  # fmt: skip
        await office.database.write(lambda c: queues.put_back(c, [held]))
    elif state is not Q:
        await office.database.write(lambda c: queues.drop(c, [recipient]))
    return recipient


async def change(office: Office, recipient: str, before: State, after: State) -> Change:
    row = await office.recipient(recipient)
    due = office.clock() + 5 if after is Q else None
    put_back = PutBack(due, 3, True) if after in (Q, H) else None
    lane = (await office.lane("dest.test")).id
    return Change(
        recipient, row.message_id, row.account_id, office.clock(), before, after, "why", KINDS.get(after),
        put_back=put_back, lane_id=lane,
    )  # fmt: skip


# --- the ways ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), ALLOWED, ids=lambda state: str(state))
async def test_way(office: Office, before: State, after: State) -> None:
    recipient = await standing(office, before)
    wanted = await change(office, recipient, before, after)
    await office.database.write(lambda c: apply(c, [wanted]))
    row = await office.recipient(recipient)
    assert (row.state, row.reason, row.attempts) == (after, "why", 0)
    assert await office.story(recipient) == ["accepted", *([KINDS[after]] if after in KINDS else [])]
    queued = await office.queued(recipient)
    if after in (Q, H):
        assert queued is not None
        assert (queued.due, queued.tries, queued.counted) == (wanted.put_back.due, 3, True)  # type: ignore[union-attr]  # it waits
    else:
        assert queued is None


async def test_any_other_way_is_a_bug_and_writes_nothing(office: Office) -> None:
    good = await standing(office, Q, "good@dest.test")
    by_state = {state: await standing(office, state) for state in State}
    for before, after in FORBIDDEN:
        both = [await change(office, good, Q, D), await change(office, by_state[before], before, after)]
        with pytest.raises(ForbiddenWay, match=f"from {before} to {after}"):
            await office.database.write(lambda c, both=both: apply(c, both))  # type: ignore[misc]  # a default binds it
    assert await office.state(good) == Q and await office.story(good) == ["accepted"]
    assert {state: await office.state(recipient) for state, recipient in by_state.items()} == {s: s for s in State}


# --- what an attempt heard -----------------------------------------------------------------------------------------


async def test_250_is_delivered(office: Office) -> None:
    (recipient,) = await office.accept("a@dest.test")
    (job,) = await office.claim()
    done = await office.settle(job, TAKEN)
    row = await office.recipient(recipient)
    assert done.after == row.state == D
    assert (row.attempts, row.code, row.response) == (1, 250, "taken")
    assert await office.story(recipient) == ["accepted", "delivery"]
    facts = {
        "code": 250,
        "enhanced": "2.0.0",
        "response": "taken",
        "host": "mx.dest.test",
        "ip": "127.0.0.1",
        "provider": "Other",
    }
    assert await office.facts(recipient) == facts | {"transport": "mx"}
    (attempt,) = await office.attempts(recipient)
    assert (attempt.number, attempt.code, attempt.stage, attempt.ms) == (1, 250, "dot", 3)
    assert await office.queued(recipient) is None


async def test_4xx_is_tried_again_later(office: Office, clock: Clock) -> None:
    (recipient,) = await office.accept("a@dest.test")
    (job,) = await office.claim()
    await office.settle(job, GREYLISTED)
    row, queued = await office.recipient(recipient), await office.queued(recipient)
    assert (row.state, row.attempts, row.code, row.response) == (Q, 1, 451, "greylisted, come again")
    assert await office.story(recipient) == ["accepted", "soft_bounce"]
    assert queued is not None and (queued.owner, queued.tries) == (0, 1)
    assert FIRST_RETRY_MS * 0.75 <= queued.due - clock.now <= FIRST_RETRY_MS * 1.25
    due = await office.next_due()
    assert due is not None and due <= queued.due, "the lane is looked at in time"
    clock.now = queued.due
    (again,) = await office.claim()
    assert (again.recipient_id, again.tries, again.fence) == (recipient, 1, 2)
    await office.settle(again, TAKEN)
    assert [attempt.number for attempt in await office.attempts(recipient)] == [1, 2]
    assert (await office.recipient(recipient)).attempts == 2


async def test_5xx_bounces(office: Office) -> None:
    (recipient,) = await office.accept("a@dest.test")
    (job,) = await office.claim()
    await office.settle(job, SPAM)
    assert await office.state(recipient) == B
    assert await office.story(recipient) == ["accepted", "bounce"]
    assert (await office.facts(recipient))["category"] == "spam"
    assert await office.queued(recipient) is None


async def test_an_address_on_a_suppression_list_is_rejected_and_did_not_bounce(office: Office) -> None:
    (recipient,) = await office.accept("a@dest.test")
    (job,) = await office.claim()
    text = "Recipient in suppression list. Reason: hard bounce"
    await office.settle(job, replace(UNKNOWN, stage=SUPPRESSED, text=text))
    assert (await office.state(recipient), await office.story(recipient)) == ("rejected", ["accepted", "reject"])
    assert (await office.facts(recipient))["reason"] == text
    assert await office.queued(recipient) is None and not await office.rows(suppressions)


async def test_a_message_that_is_too_old_bounces_as_expired(office: Office, clock: Clock) -> None:
    (recipient,) = await office.accept("a@dest.test")
    (job,) = await office.claim()
    clock.now += EXPIRE_MS - 1
    await office.settle(job, GREYLISTED)
    queued = await office.queued(recipient)
    assert queued is not None, "a last try is made at the last moment"
    clock.now = queued.due
    assert clock.now >= job.expires_at
    (last,) = await office.claim()
    await office.settle(last, GREYLISTED)
    row = await office.recipient(recipient)
    assert (row.state, row.reason, row.response) == (B, "expired", "greylisted, come again")
    assert (await office.facts(recipient))["reason"] == "expired"
    assert await office.queued(recipient) is None
    assert await office.suppressions() == []


# --- fences --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [GREYLISTED, UNKNOWN], ids=["4xx", "5xx"])
async def test_a_refusal_under_an_old_fence_is_recorded_and_changes_nothing(
    office: Office, clock: Clock, answer: Answer
) -> None:
    (recipient,) = await office.accept("a@dest.test")
    (old,) = await office.claim()
    clock.now += LEASE_MS
    (new,) = await office.claim()
    held_now = await office.queued(recipient)
    await office.settle(old, answer)
    assert [attempt.code for attempt in await office.attempts(recipient)] == [answer.code]
    assert (await office.state(recipient), await office.story(recipient)) == (Q, ["accepted"])
    assert await office.queued(recipient) == held_now
    assert await office.suppressions() == []
    await office.settle(new, TAKEN)
    assert await office.state(recipient) == D


@POSTGRES
@pytest.mark.parametrize("answer", [GREYLISTED, UNKNOWN, TAKEN], ids=["4xx", "5xx", "250"])
@pytest.mark.parametrize("state", ["compliant", "suspended"], ids=["taken", "held"])
async def test_an_answer_that_comes_while_another_node_takes_it_over(
    office: Office, clock: Clock, answer: Answer, state: str
) -> None:
    """The other one's claim is not committed yet: whoever does not wait for it sees our old lease still standing."""
    (recipient,) = await office.accept("a@dest.test")
    (old,) = await office.claim()
    await office.change_domain(state=state)
    clock.now += LEASE_MS
    with office.database.reader_engine.connect() as theirs, theirs.begin():
        (jobs,) = office.node(boot=2).claimer(theirs, [Room(10)])
        settling = office.settler.settle(old, answer)
        await office.until_somebody_waits(settling)
    await settling
    assert [attempt.code for attempt in await office.attempts(recipient)] == [answer.code]
    queued = await office.queued(recipient)
    if answer is TAKEN:
        assert await office.state(recipient) == D and queued is None
        return
    assert queued is not None
    if jobs:
        assert (queued.owner, queued.fence, queued.due) == (2, 2, clock.now + LEASE_MS), "their lease stands"
        assert (await office.settle(jobs[0], TAKEN)).after == D
        assert await office.story(recipient) == ["accepted", "delivery"]
    else:
        assert (await office.state(recipient), queued.due) == (H, None)
        assert await office.story(recipient) == ["accepted", "suspension"]


async def test_a_250_under_an_old_fence_is_delivered(office: Office, clock: Clock) -> None:
    (recipient,) = await office.accept("a@dest.test")
    (old,) = await office.claim()
    clock.now += LEASE_MS
    (new,) = await office.claim()
    await office.settle(old, TAKEN)
    assert await office.state(recipient) == D and await office.queued(recipient) is None
    # The other one, told too late, adds what it heard and nothing else.
    await office.settle(new, UNKNOWN)
    assert await office.state(recipient) == D
    assert await office.story(recipient) == ["accepted", "delivery"]
    assert [attempt.code for attempt in await office.attempts(recipient)] == [250, 550]
    assert await office.suppressions() == []


async def test_held_mail_that_was_taken_after_all_is_delivered(office: Office, clock: Clock) -> None:
    (recipient,) = await office.accept("a@dest.test")
    (old,) = await office.claim()
    await office.change_domain(state="suspended")
    clock.now += LEASE_MS
    assert await office.claim() == []
    assert await office.state(recipient) == H
    held_since = clock.now
    clock.forward(seconds=300)
    await office.settle(old, UNKNOWN)
    assert await office.state(recipient) == H, "a late refusal changes nothing"
    assert (await office.recipient(recipient)).updated_at == held_since, "nor for how long it was held"
    await office.settle(old, TAKEN)
    assert await office.state(recipient) == D
    assert await office.story(recipient) == ["accepted", "suspension", "delivery"]
    assert await office.queued(recipient) is None


async def test_what_was_taken_back_stays_so(office: Office) -> None:
    (recipient,) = await office.accept("a@dest.test")
    (job,) = await office.claim()
    cancelled = await change(office, recipient, Q, C)
    await office.database.write(lambda c: apply(c, [cancelled]))
    await office.settle(job, TAKEN)
    assert await office.state(recipient) == C
    assert [attempt.code for attempt in await office.attempts(recipient)] == [250]


@pytest.mark.parametrize("order", [[TAKEN, GREYLISTED], [GREYLISTED, TAKEN]], ids=["250 first", "250 last"])
async def test_two_nodes_are_answered_in_one_group(office: Office, clock: Clock, order: list[Answer]) -> None:
    (recipient,) = await office.accept("a@dest.test")
    (old,) = await office.claim()
    clock.now += LEASE_MS
    (new,) = await office.claim()
    async with office.one_group():
        futures = [office.settler.settle(job, answer) for job, answer in zip((new, old), order, strict=True)]
    await asyncio.gather(*futures)
    row = await office.recipient(recipient)
    assert (row.state, row.attempts) == (D, 2)
    assert sorted(attempt.code for attempt in await office.attempts(recipient)) == [250, 451]
    assert (await office.story(recipient)).count("delivery") == 1
    assert await office.queued(recipient) is None


async def test_a_message_may_ask_for_less_time_than_all_mail_has(office: Office, clock: Clock) -> None:
    def asks(expire_ms: int) -> Publishing:
        return Publishing(id_form=str, facts={}, expire_ms=expire_ms)

    node = office.node(handed_over=1)
    await node.accept("now@dest.test", publishing=asks(300_000))
    (handed_over,) = node.jobs
    (recipient,) = await office.accept("a@dest.test", publishing=asks(300_000))
    await office.accept("b@dest.test", publishing=asks(2 * EXPIRE_MS))
    short, long = await office.claim()
    assert [job.expires_at - clock.now for job in (handed_over, short, long)] == [300_000, 300_000, EXPIRE_MS]
    clock.now += 300_000
    await office.settle(short, GREYLISTED)
    assert (await office.recipient(recipient)).reason == "expired"


async def test_an_expiry_keeps_its_reason_beside_a_late_answer(office: Office, clock: Clock) -> None:
    (recipient,) = await office.accept("a@dest.test")
    (old,) = await office.claim()
    clock.now += EXPIRE_MS
    (new,) = await office.claim()
    async with office.one_group():
        futures = [office.settler.settle(job, GREYLISTED) for job in (new, old)]
    await asyncio.gather(*futures)
    row = await office.recipient(recipient)
    assert (row.state, row.reason, row.attempts) == (B, "expired", 2)


async def test_settlements_of_a_group_are_told_apart(office: Office) -> None:
    accepted = await office.accept(*(f"r{n}@dest.test" for n in range(4)))
    jobs = {job.recipient_id: job for job in await office.claim()}
    answers = [TAKEN, GREYLISTED, UNKNOWN, SPAM]
    async with office.one_group():
        futures = [office.settler.settle(jobs[r], answer) for r, answer in zip(accepted, answers, strict=True)]
    changes = await asyncio.gather(*futures)
    assert [change and change.after for change in changes] == [D, Q, B, B]
    assert [await office.state(recipient) for recipient in accepted] == [D, Q, B, B]
    assert await office.suppressions() == [("r2@dest.test", "transactional")]


# --- suppressions --------------------------------------------------------------------------------------------------

FAILURES = {
    "no such mailbox": (UNKNOWN, True),
    "mailbox full for good": (Answer(552, "5.2.2", "mailbox full", stage="rcpt", transport="mx"), True),
    "timed out behind its host": (Answer(550, "5.4.7", "message too old", stage="dot", transport="mx"), True),
    "timed out before it was named": (Answer(550, "5.4.7", "message too old", stage="mail", transport="mx"), False),
    "its host never answered": (Answer(0, "5.4.1", "no answer", stage="connect", transport="mx"), False),
    "spam": (SPAM, False),
    "simulated": (replace(UNKNOWN, transport="simulator", stage="simulator"), False),
    "simulated as at rcpt": (replace(UNKNOWN, transport="simulator"), False),
}


async def test_only_what_is_said_of_the_mailbox_suppresses_it(office: Office) -> None:
    accepted = await office.accept(*(f"r{n}@dest.test" for n in range(len(FAILURES))))
    jobs = {job.recipient_id: job for job in await office.claim()}
    for recipient, (answer, _) in zip(accepted, FAILURES.values(), strict=True):
        assert (await office.settle(jobs[recipient], answer)).after == B
    found = {address for address, _ in await office.suppressions()}
    assert {name: f"r{n}@dest.test" in found for n, name in enumerate(FAILURES)} == {
        name: suppresses for name, (_, suppresses) in FAILURES.items()
    }


async def test_a_suppression_is_of_one_address_domain_and_stream_and_keeps_its_first_reason(office: Office) -> None:
    other = await office.add_domain("other.test")
    first, second = await office.accept("Ann@Dest.test", "ann@dest.test", stream="bulk")
    jobs = {job.recipient_id: job for job in await office.claim()}
    await office.settle(jobs[first], UNKNOWN)
    await office.settle(jobs[second], replace(UNKNOWN, text="still unknown"))
    (row,) = await office.rows(suppressions)
    assert (row.address, row.stream, row.domain_id, row.account_id) == (
        "ann@dest.test",
        "bulk",
        office.domain,
        office.account,
    )
    assert (row.type, row.category, row.response) == ("hard bounce", "badrecipient", "User unknown")
    assert row.recipient_id == first
    # Elsewhere it may still be written to.
    again = [
        *await office.accept("ANN@dest.test", stream="bulk"),
        *await office.accept("ann@dest.test"),
        *await office.accept("ann@dest.test", stream="bulk", sender=f"app@{other.name}"),
    ]
    assert [await office.state(recipient) for recipient in again] == [R, Q, Q]


# --- one transaction -----------------------------------------------------------------------------------------------


async def test_a_settlement_that_fails_half_way_leaves_nothing(office: Office) -> None:
    (recipient,) = await office.accept("a@dest.test")
    (job,) = await office.claim()
    before = await office.recipient(recipient), await office.queued(recipient)
    async with office.without("suppressions"):  # the last table that it writes
        with pytest.raises(DBAPIError):
            await office.settle(job, UNKNOWN)
        assert (await office.recipient(recipient), await office.queued(recipient)) == before
        assert await office.count(attempts) == 0
        assert await office.count(events) == 1
    await office.settle(job, UNKNOWN)
    assert await office.state(recipient) == B and len(await office.suppressions()) == 1


async def test_what_is_heard_of_a_recipient_that_the_log_has_forgotten_leaves_the_others_alone(office: Office) -> None:
    (recipient,) = await office.accept(f"a@{DOMAIN}")
    (job,) = await office.claim()
    async with office.one_group():
        forgotten = [office.settler.settle(replace(job, recipient_id="nobody"), each) for each in (TAKEN, UNKNOWN)]
        good = office.settler.settle(job, TAKEN)
    assert [await each for each in forgotten] == [None, None]
    change = await good
    assert change is not None and change.after == D
    assert (await office.count(attempts), await office.suppressions()) == (1, [])
    assert await office.state(recipient) == D
