"""The claim: before work that waited is tried, everything that may have changed is looked at again."""

import json
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from mailferry.delivery.claim import Room
from mailferry.delivery.job import LEASE_MS
from mailferry.intake.submission import Publishing
from mailferry.mail.reply import Answer
from mailferry.store.schema import messages, recipients, suppressions
from tests import delivery_support
from tests.conftest import Clock
from tests.delivery_support import DOMAIN, EXPIRE_MS, GREYLISTED, Office

office, engines = delivery_support.office, delivery_support.engines


async def suppress(office: Office, address: str, **values: Any) -> None:
    row = {"id": address, "account_id": office.account, "address": address, "type": "manual import"} | values
    await office.database.write(lambda c: c.execute(insert(suppressions).values(row)))


async def test_a_job_has_all_that_an_attempt_needs(office: Office, clock: Clock) -> None:
    raw = f"From: app@{DOMAIN}\r\nTo: Ann@dest.test\r\nMessage-ID: <own@{DOMAIN}>\r\n\r\nhi\r\n".encode()
    (recipient,) = await office.accept("Ann@Dest.test", raw=raw, stream="bulk")
    accepted_at = clock.now
    clock.forward(seconds=100)
    (job,) = await office.claim()
    assert (job.recipient_id, job.account_id, job.domain_id) == (recipient, office.account, office.domain)
    assert (job.address, job.destination, job.stream, job.endpoint) == ("Ann@dest.test", "dest.test", "bulk", "smtp")
    assert (job.created_at, job.expires_at) == (accepted_at, accepted_at + EXPIRE_MS)
    assert (job.fence, job.tries, job.lease_until) == (1, 0, clock.now + LEASE_MS)
    assert job.rfc_message_id == f"<own@{DOMAIN}>"
    assert await office.database.read(lambda c: office.content.read(c, job.place)) == raw


async def test_who_was_suppressed_since_is_rejected(office: Office) -> None:
    addresses = ["All@dest.test", "stream@dest.test", "other-stream@dest.test", "other-domain@dest.test"]
    accepted = await office.accept(*addresses)
    await suppress(office, "all@dest.test")
    await suppress(office, "stream@dest.test", stream="transactional", domain_id=office.domain)
    await suppress(office, "other-stream@dest.test", stream="bulk")
    await suppress(office, "other-domain@dest.test", domain_id=office.domain + 1)
    await suppress(office, "nobody@dest.test")
    assert [job.address for job in await office.claim()] == addresses[2:]
    for recipient in accepted[:2]:
        row = await office.recipient(recipient)
        assert (row.state, row.attempts) == ("rejected", 0)
        assert row.reason == "Recipient in suppression list. Reason: manual import"
        assert await office.story(recipient) == ["accepted", "reject"]
        assert await office.facts(recipient) == {"reason": row.reason}
        assert await office.queued(recipient) is None


async def test_a_message_may_name_the_suppressions_that_stop_it(office: Office) -> None:
    """Asked again of what waited, and of what a bounce of it adds."""
    accepted = await office.accept("import@dest.test", "complained@dest.test", "unknown@dest.test")
    own = json.dumps({"id": "x", "needs_tls": True, "suppressing": ["spam complaint"]})
    await office.database.write(lambda c: c.execute(update(messages).values(publishing=own)))
    await suppress(office, "import@dest.test")
    await suppress(office, "complained@dest.test", type="spam complaint")
    kept, unknown = await office.claim()
    assert (kept.address, kept.terms.needs_tls, kept.terms.opens) == ("import@dest.test", True, False)
    assert (await office.recipient(accepted[1])).state == "rejected"
    change = await office.settle(unknown, Answer(550, "5.1.1", "user unknown", "rcpt", "mx"))
    assert (change.after, change.suppression) == ("bounced", None)


async def test_what_a_message_is_not_stopped_by_when_it_comes_does_not_stop_it_later(office: Office) -> None:
    """A configuration set without reasons: each try asked the whole list again."""
    for counting, stopped in ((frozenset[str](), False), (frozenset({"spam complaint"}), True)):
        published = Publishing(lambda message_id: message_id, {}, suppressing=counting)
        (recipient,) = await office.accept("a@dest.test", publishing=published)
        await office.database.write(lambda c: c.execute(delete(suppressions)))
        await suppress(office, "a@dest.test", type="hard bounce")
        await suppress(office, "a@dest.test", id="another", type="spam complaint", domain_id=office.domain)
        assert [job.terms.suppressing for job in await office.claim()] == ([] if stopped else [counting])
        row = await office.recipient(recipient)
        assert row.reason == ("Recipient in suppression list. Reason: spam complaint" if stopped else "")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"state": "suspended"}, "domain_suspended"),
        ({"state": "non_compliant"}, "domain_rejected"),
        ({"dns_verified": False}, "dns_not_verified"),
        ({"deleted_at": 1}, "domain_deleted"),
    ],
    ids=["suspended", "rejected", "dns lost", "deleted"],
)
async def test_mail_of_a_domain_that_may_not_send_any_more_is_held(
    office: Office, clock: Clock, changed: dict[str, Any], reason: str
) -> None:
    (recipient,) = await office.accept("a@dest.test")
    await office.claim()
    clock.now += LEASE_MS
    await office.change_domain(**changed)
    assert await office.claim() == []
    row, queued = await office.recipient(recipient), await office.queued(recipient)
    assert (row.state, row.reason) == ("held", reason)
    assert await office.story(recipient) == ["accepted", "suspension"]
    assert queued is not None and (queued.due, queued.owner) == (None, 0)
    clock.forward(hours=100)
    assert await office.claim() == []


async def test_tries_are_not_forgotten_while_mail_is_held(office: Office, clock: Clock) -> None:
    (recipient,) = await office.accept("a@dest.test")
    (job,) = await office.claim()
    await office.settle(job, GREYLISTED)
    clock.forward(hours=1)
    await office.change_domain(state="suspended")
    await office.claim()
    queued = await office.queued(recipient)
    assert queued is not None and (queued.due, queued.tries) == (None, 1)


async def test_what_is_done_already_leaves_the_queue(office: Office) -> None:
    cancelled, gone, there = await office.accept("a@dest.test", "b@dest.test", "c@dest.test")
    await office.database.write(
        lambda c: c.execute(update(recipients).where(recipients.c.id == cancelled).values(state="cancelled"))
    )
    await office.database.write(lambda c: c.execute(delete(recipients).where(recipients.c.id == gone)))
    assert [job.recipient_id for job in await office.claim()] == [there]
    assert await office.state(cancelled) == "cancelled" and await office.story(cancelled) == ["accepted"]
    assert await office.queued(cancelled) is None and await office.queued(gone) is None


async def test_held_mail_that_came_due_stays_in_the_queue(office: Office) -> None:
    (recipient,) = await office.accept("a@dest.test")
    await office.database.write(
        lambda c: c.execute(update(recipients).where(recipients.c.id == recipient).values(state="held"))
    )
    assert await office.claim() == []
    queued = await office.queued(recipient)
    assert queued is not None and (queued.due, queued.owner) == (None, 0), "it can still be let go"
    assert await office.state(recipient) == "held" and await office.story(recipient) == ["accepted"]


async def test_claims_of_one_group_share_what_is_there(office: Office) -> None:
    accepted = await office.accept(*(f"r{n}@d{n}.test" for n in range(5)))
    async with office.one_group():
        futures = [office.database.submit(office.claimer, Room(room)) for room in (2, 2, 2)]
    jobs = [await future for future in futures]
    assert [len(some) for some in jobs] == [2, 2, 1]
    assert sorted(job.recipient_id for some in jobs for job in some) == sorted(accepted)
