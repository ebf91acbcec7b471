"""Hits become events and suppressions, in one transaction, on both databases."""

from typing import Any

import pytest
from sqlalchemy import update

from mailferry.feedback import hits
from mailferry.feedback.hits import MOST, Hit, Hits
from mailferry.journal.events import Kind, State
from mailferry.journal.ids import Ids
from mailferry.mail.agents import Machine
from mailferry.resources import tracking_opt_outs
from mailferry.resources.suppressions import Target, add, matching, stopping
from mailferry.resources.suppressions import entry as list_entry
from mailferry.store.schema import domains, events, recipients, suppression_history, suppressions
from tests import delivery_support
from tests.delivery_support import TAKEN, Office

office, engines = delivery_support.office, delivery_support.engines
NOBODY = "01920000-0000-7000-8000-00000000dead"


@pytest.fixture
def recorder(office: Office) -> Hits:
    return Hits(office.database, Ids(office.clock), office.clock)


async def delivered(office: Office, address: str = "a@dest.test", stream: str = "transactional") -> str:
    (recipient_id,) = await office.accept(address, stream=stream)
    (job,) = await office.claim()
    await office.settle(job, TAKEN)
    return recipient_id


def hit(office: Office, kind: Kind, recipient_id: str, **changes: Any) -> Hit:
    values: dict[str, Any] = {"facts": {"ip": "192.0.2.9", "user_agent": "Browser", "url": ""}}
    return Hit(kind, office.domain, recipient_id, office.clock(), **(values | changes))


def wants_no_more(office: Office, recipient_id: str, kind: Kind = Kind.UNSUBSCRIBE, **changes: Any) -> Hit:
    return hit(office, kind, recipient_id, **({"stream": "transactional", "address": "A@dest.test"} | changes))


async def stopped(office: Office, address: str = "a@dest.test", stream: str = "transactional") -> str | None:
    target = Target(office.account, address, office.domain, stream)
    return stopping((await office.database.read(lambda c: matching(c, [target]))).get(target, ())) or None


async def test_an_open_is_an_event_with_its_facts(office: Office, recorder: Hits) -> None:
    recipient_id = await delivered(office)
    office.clock.forward(seconds=5)
    assert await recorder.record(hit(office, Kind.OPEN, recipient_id))
    assert await office.story(recipient_id) == ["accepted", "delivery", "open"]
    assert await office.facts(recipient_id) == {"ip": "192.0.2.9", "user_agent": "Browser"}
    (event,) = await office.rows(events, recipient_id=recipient_id, kind="open")
    row = await office.recipient(recipient_id)
    assert (event.at, event.account_id, event.message_id) == (office.clock(), office.account, row.message_id)


async def test_a_machine_keeps_its_reason(office: Office, recorder: Hits) -> None:
    recipient_id = await delivered(office)
    office.clock.forward(seconds=5)
    await recorder.record(hit(office, Kind.CLICK, recipient_id, machine=Machine("gmail_proxy", "because")))
    facts = await office.facts(recipient_id)
    assert (facts["machine"], facts["why"]) == ("gmail_proxy", "because")


@pytest.mark.parametrize(("seconds", "machine"), [(0, "scanner"), (1.9, "scanner"), (2.0, None), (-3, None)])
async def test_nobody_reads_within_two_seconds(
    office: Office, recorder: Hits, seconds: float, machine: str | None
) -> None:
    recipient_id = await delivered(office)
    office.clock.forward(seconds=seconds)
    await recorder.record(hit(office, Kind.OPEN, recipient_id))
    assert (await office.facts(recipient_id)).get("machine") == machine


async def test_who_follows_a_link_before_delivery_is_a_scanner_on_the_way(office: Office, recorder: Hits) -> None:
    (recipient_id,) = await office.accept("a@dest.test")
    office.clock.forward(seconds=9)
    await recorder.record(hit(office, Kind.CLICK, recipient_id))
    assert (await office.facts(recipient_id))["machine"] == "scanner"


async def test_of_one_recipient_so_many_are_kept(office: Office, recorder: Hits) -> None:
    recipient_id = await delivered(office)
    futures = [recorder.record(hit(office, Kind.OPEN, recipient_id)) for _ in range(MOST + 20)]
    assert sum([await future for future in futures]) == MOST
    assert not await recorder.record(hit(office, Kind.OPEN, recipient_id))
    assert await recorder.record(hit(office, Kind.CLICK, recipient_id))


async def test_nothing_is_recorded_of_who_opted_out_or_is_forgotten(office: Office, recorder: Hits) -> None:
    recipient_id = await delivered(office, "Reader@Dest.test")
    await office.database.write(lambda c: tracking_opt_outs.add(c, office.domain, "reader@dest.test", 1))
    assert not await recorder.record(hit(office, Kind.OPEN, recipient_id))
    await office.database.write(lambda c: tracking_opt_outs.remove(c, office.domain, "READER@dest.test"))
    assert await recorder.record(hit(office, Kind.OPEN, recipient_id))
    assert not await recorder.record(hit(office, Kind.OPEN, NOBODY))


async def test_an_unsubscription_is_an_event_and_a_suppression_once(office: Office, recorder: Hits) -> None:
    recipient_id = await delivered(office)
    twins = [recorder.record(wants_no_more(office, recipient_id)) for _ in range(3)]
    assert [await each for each in twins] == [True, False, False]
    assert await office.story(recipient_id) == ["accepted", "delivery", "unsubscribe"]
    (row,) = await office.rows(suppressions)
    assert (row.address, row.domain_id, row.stream, row.type, row.recipient_id) == (
        "a@dest.test", office.domain, "transactional", "unsubscription", recipient_id,
    )  # fmt: skip
    assert await stopped(office) == "unsubscription" and await stopped(office, stream="bulk") is None
    (rejected,) = await office.accept("a@dest.test")
    assert await office.state(rejected) == State.REJECTED


async def test_undo_takes_back_what_the_recipient_did_and_nothing_else(office: Office, recorder: Hits) -> None:
    recipient_id = await delivered(office)
    await recorder.record(wants_no_more(office, recipient_id))
    await recorder.record(wants_no_more(office, recipient_id, Kind.SPAM, stream="bulk"))

    def undo() -> Any:
        now = office.clock()
        return office.database.write(
            lambda c: hits.resubscribe(c, office.domain, "A@DEST.test", ["transactional", "bulk"], now)
        )

    assert await undo() == 1 and await undo() == 0
    assert await stopped(office) is None and await stopped(office, stream="bulk") == "spam complaint"
    history = await office.rows(suppression_history, stream="transactional")
    assert [(row.action, row.actor) for row in history] == [("created", "recipient"), ("deleted", "recipient")]


@pytest.mark.parametrize(
    ("stands", "then"),
    [("hard bounce", "unsubscription"), ("manual import", "unsubscription"), ("spam complaint", "spam complaint")],
)
async def test_who_unsubscribes_is_not_forgotten_when_the_sender_lifts_its_own_entry(
    office: Office, recorder: Hits, stands: str, then: str
) -> None:
    recipient_id = await delivered(office)
    entry = list_entry(
        office.account, "a@dest.test", office.clock(), domain_id=office.domain, stream="transactional", type=stands
    )
    await office.database.write(lambda c: add(c, [entry]))
    twins = [recorder.record(wants_no_more(office, recipient_id)) for _ in range(2)]
    assert [await each for each in twins] == [then == "unsubscription", False]
    assert await stopped(office) == then
    (row,) = await office.rows(suppressions)
    assert row.type == then


async def test_a_complaint_is_a_spam_event(office: Office, recorder: Hits) -> None:
    recipient_id = await delivered(office)
    await recorder.record(wants_no_more(office, recipient_id, Kind.SPAM, facts={"feedback_type": "abuse"}))
    assert await office.story(recipient_id) == ["accepted", "delivery", "spam"]
    assert await office.facts(recipient_id) == {"feedback_type": "abuse"}
    assert await stopped(office) == "spam complaint"


@pytest.mark.parametrize("forget", ["message", "domain"])
async def test_an_unsubscription_holds_whatever_was_forgotten(office: Office, recorder: Hits, forget: str) -> None:
    recipient_id = await delivered(office)

    def run(connection: Any) -> None:
        if forget == "message":
            connection.execute(recipients.delete())
        else:
            connection.execute(update(domains).where(domains.c.id == office.domain).values(deleted_at=1))

    await office.database.write(run)
    assert await recorder.record(wants_no_more(office, recipient_id))
    assert await stopped(office) == "unsubscription"


async def test_hits_of_many_kinds_in_one_group(office: Office, recorder: Hits) -> None:
    ids = [await delivered(office, f"r{number}@dest.test") for number in range(3)]
    office.clock.forward(seconds=5)
    group = [
        hit(office, Kind.OPEN, ids[0]),
        hit(office, Kind.OPEN, NOBODY),
        wants_no_more(office, ids[1], address="r1@dest.test", id=Ids(office.clock).new()),
        hit(office, Kind.CLICK, ids[2], facts={"url": "https://shop.test/"}),
    ]
    assert await office.database.write(lambda c: hits.write(c, group)) == [True, False, True, True]


async def test_a_database_that_is_away_holds_up_nobody(office: Office, recorder: Hits, monkeypatch: Any) -> None:
    recipient_id = await delivered(office)
    monkeypatch.setattr(hits, "WAITING_MOST", 2)
    for _ in range(5):
        recorder.offer(hit(office, Kind.OPEN, recipient_id))
    await office.database.write(lambda c: None)

    async def opens() -> int:
        return len(await office.rows(events, recipient_id=recipient_id, kind="open"))

    while await opens() < 2:
        pass
    assert await opens() == 2  # the others were not counted
