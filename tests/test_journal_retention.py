"""What is old is forgotten, whole, and never what somebody still waits for."""

import contextlib
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, select, text

from mailferry.delivery import queue as queues
from mailferry.journal import retention
from mailferry.journal.ids import Ids
from mailferry.journal.retention import forget_boots, forget_content, forget_hours, forget_keys, forget_logs, needed
from mailferry.store import segments
from mailferry.store.content import ContentGone, Place
from mailferry.store.given import insert_rows
from mailferry.store.schema import (
    attempts,
    boots,
    domain_hours,
    events,
    idempotency_keys,
    messages,
    queue,
    recipients,
    suppressions,
)
from mailferry.store.segments import SegmentContent
from tests import delivery_support
from tests.conftest import Clock
from tests.delivery_support import DOMAIN, SPAM, SQLITE, TAKEN, UNKNOWN, Office

office, engines = delivery_support.office, delivery_support.engines

CONTENT_DAYS, LOGS_DAYS = 15, 30


def raw(number: int) -> bytes:
    return f"From: app@{DOMAIN}\r\nSubject: {number}\r\n\r\n".encode() + bytes(range(1, 256)) * number


async def forget(office: Office) -> list[str]:
    now, wanted = office.clock(), await needed_now(office)
    return sorted(await office.database.write(lambda c: forget_content(c, office.content, now, CONTENT_DAYS, wanted)))


async def needed_now(office: Office) -> frozenset[str]:
    now, after, found = office.clock(), "", frozenset[str]()
    while True:
        some, after = await office.database.read(partial(needed, now=now, days=CONTENT_DAYS, after=after))
        found |= some
        if not after:
            return found


async def place_of(office: Office, recipient: str) -> Place:
    chosen = (
        select(messages.c.segment, messages.c.place, messages.c.size, messages.c.id)
        .join(recipients, recipients.c.message_id == messages.c.id)
        .where(recipients.c.id == recipient)
    )
    return Place(*await office.database.read(lambda c: tuple(c.execute(chosen).one())))


async def read(office: Office, place: Place) -> bytes:
    return await office.database.read(lambda c: office.content.read(c, place))


async def stored_days(office: Office, folder: Path) -> list[str]:
    """As the file system or PostgreSQL itself sees them."""
    if office.database.dialect == "sqlite":
        return sorted(path.name[:10] for path in folder.glob("segments/*"))
    found = text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'content'::regclass")
    names = await office.database.read(lambda c: list(c.execute(found).scalars()))
    return sorted(name.removeprefix("content_").replace("_", "-") for name in names)


async def send(office: Office, *answers: object) -> list[str]:
    """One message to as many recipients as there are answers; None leaves one in the queue."""
    accepted = await office.accept(*(f"r{n}@dest.test" for n in range(len(answers))), raw=raw(len(answers)))
    jobs = {job.recipient_id: job for job in await office.claim()}
    for recipient, answer in zip(accepted, answers, strict=True):
        if answer:
            await office.settle(jobs[recipient], answer)  # type: ignore[arg-type]  # an Answer
    return accepted


# --- bytes ---------------------------------------------------------------------------------------------------------


async def test_bytes_that_somebody_waits_for_are_kept_and_the_rest_goes(
    office: Office, clock: Clock, tmp_path: Path
) -> None:
    stories = []
    for answers in ([TAKEN, SPAM], [TAKEN, None], [SPAM]):  # a day each
        (first, *_) = await send(office, *answers)
        stories.append(await place_of(office, first))
        clock.forward(hours=24)
    await office.change_domain(state="suspended")
    (held,) = await office.accept("held@dest.test", raw=raw(7))
    stories.append(await place_of(office, held))
    done, waited, also_done, kept = stories
    clock.forward(hours=24 * (CONTENT_DAYS + 1))
    await office.accept("young@dest.test")

    assert await forget(office) == [done.segment, also_done.segment]
    for gone in (done, also_done):
        with pytest.raises(ContentGone):
            await read(office, gone)
    assert (await read(office, waited), await read(office, kept)) == (raw(2), raw(7))
    today = (await office.rows(messages))[-1].segment
    assert await stored_days(office, tmp_path) == [place.segment[:10] for place in (waited, kept)] + [today[:10]]
    assert await forget(office) == []
    # The stories themselves are told for longer.
    assert await office.count(messages) == 5 and await office.count(events, kind="delivery") == 2


async def test_bytes_go_when_nobody_waits_any_more(office: Office, clock: Clock, tmp_path: Path) -> None:
    (recipient,) = await send(office, None)
    clock.forward(hours=24 * (CONTENT_DAYS + 2))
    await office.accept("young@dest.test")
    assert await forget(office) == []
    (job, *_) = [job for job in await office.claim() if job.recipient_id == recipient]
    assert await read(office, job.place) == raw(1)
    await office.settle(job, TAKEN)
    assert await forget(office) == [job.place.segment]
    assert len(await stored_days(office, tmp_path)) == 1


async def test_bytes_are_kept_for_all_of_their_days(office: Office, clock: Clock) -> None:
    (recipient,) = await send(office, TAKEN)
    place = await place_of(office, recipient)
    clock.forward(hours=24 * CONTENT_DAYS)
    await office.accept("young@dest.test")
    assert await forget(office) == []
    clock.forward(hours=24)
    assert await forget(office) == [place.segment]


# --- stories -------------------------------------------------------------------------------------------------------


async def forget_stories(office: Office) -> int:
    now = office.clock()
    return await office.database.write(lambda c: forget_logs(c, now, LOGS_DAYS))


async def test_a_story_is_forgotten_whole(office: Office, clock: Clock) -> None:
    old = await send(office, TAKEN, UNKNOWN)
    clock.forward(hours=24 * LOGS_DAYS)
    (young,) = await send(office, SPAM)
    assert await forget_stories(office) == 0
    clock.forward(seconds=1)
    assert await forget_stories(office) == 1
    for table in (recipients, messages):
        assert await office.count(table) == 1
    for table in (attempts, events):
        found = {row.recipient_id for row in await office.rows(table)}
        assert found == {young} and not found & set(old)
    assert await office.count(suppressions) == 1, "an address stays suppressed when its story is forgotten"


async def test_a_story_is_kept_while_somebody_waits(office: Office, clock: Clock) -> None:
    delivered, waiting = await send(office, TAKEN, None)
    clock.forward(hours=24 * (LOGS_DAYS + 1))
    assert await forget_stories(office) == 0
    assert await office.story(delivered) == ["accepted", "delivery"]
    (job,) = await office.claim()
    assert job.recipient_id == waiting
    await office.settle(job, TAKEN)
    assert await forget_stories(office) == 1
    assert await office.count(recipients) == await office.count(events) == 0


async def test_much_is_forgotten_in_pieces_oldest_first(
    office: Office, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "SOME", 2)
    stories = []
    for _ in range(5):
        stories += await send(office, SPAM)
        clock.forward(seconds=1)
    clock.forward(hours=24 * LOGS_DAYS)
    assert await forget_stories(office) == 2
    assert [row.id for row in await office.rows(recipients)] == stories[2:]
    assert [await forget_stories(office) for _ in range(3)] == [2, 1, 0]


async def test_answers_of_idempotency_keys_are_kept_for_a_day(office: Office, clock: Clock) -> None:
    ages = {"old": retention.KEY_MS + 1, "young": retention.KEY_MS}
    keys = [
        {"account_id": 1, "endpoint": "send", "key": key, "created_at": clock.now - age} for key, age in ages.items()
    ]
    await office.database.write(lambda c: insert_rows(c, idempotency_keys, keys))
    await office.database.write(lambda c: forget_keys(c, clock.now))
    assert [row.key for row in await office.rows(idempotency_keys)] == ["young"]


async def test_keys_are_forgotten_in_pieces(office: Office, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SOME", 3)
    old = clock.now - retention.KEY_MS - 1
    keys = [{"account_id": n, "endpoint": "send", "key": f"k{n}", "created_at": old} for n in range(7)]
    await office.database.write(lambda c: insert_rows(c, idempotency_keys, keys))
    assert [await office.database.write(lambda c: forget_keys(c, clock.now)) for _ in range(4)] == [3, 3, 1, 0]
    assert not await office.rows(idempotency_keys)


async def test_of_a_hundred_thousand_keys_and_waiting_rows_only_those_of_a_piece_are_read(
    office: Office, clock: Clock
) -> None:
    """No statement of a piece goes through a whole table: PostgreSQL ends it after ten seconds."""
    young, old = clock.now, clock.now - 40 * retention.DAY_MS
    keys = [
        {"account_id": 1, "endpoint": "send", "key": f"k{n}", "created_at": old if n < 2_000 else young}
        for n in range(100_000)
    ]
    ids = Ids(lambda: young)
    rows = [{"recipient_id": ids.new(), "lane_id": 1, "due": young} for _ in range(100_000)]

    def fill(connection: Connection) -> None:
        insert_rows(connection, idempotency_keys, keys)
        insert_rows(connection, queue, rows)
        connection.execute(text("ANALYZE"))

    await office.database.write(fill)
    told: list[str] = []
    with explained(office, told):
        await office.database.write(lambda c: forget_keys(c, clock.now))
        await office.database.read(lambda c: needed(c, clock.now, CONTENT_DAYS))
    assert told
    # Of PostgreSQL "Seq Scan on", of SQLite "SCAN" without an index.
    whole = [
        line for line in told if re.search(r"Seq Scan on (idempotency_keys|queue)|SCAN (?!.*INDEX).*(queue|idem)", line)
    ]
    assert not whole, whole


@contextlib.contextmanager
def explained(office: Office, told: list[str]) -> Iterator[None]:
    """What the databases are about to do for each statement meanwhile."""
    how = "EXPLAIN QUERY PLAN " if office.database.dialect == "sqlite" else "EXPLAIN "
    engines = {office.database.writer_engine, office.database.reader_engine}

    def explain(_c: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "DELETE")):
            cursor.execute(how + statement, parameters)
            told.extend(" ".join(map(str, row)) for row in cursor.fetchall())

    for engine in engines:
        event.listen(engine, "before_cursor_execute", explain)
    try:
        yield
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", explain)


async def test_what_waits_needs_its_bytes_however_many_looks_it_takes(
    office: Office, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "LOOKS", 2)
    waiting = [(await send(office, None))[0] for _ in range(5)]
    clock.forward(hours=24)
    later = (await send(office, None))[0]
    clock.forward(hours=24 * (CONTENT_DAYS + 1))
    segments = {(await place_of(office, each)).segment for each in [*waiting, later]}
    assert len(segments) == 2 and await needed_now(office) >= segments
    assert await forget(office) == []


# --- what the house wrote down for itself --------------------------------------------------------------------------


async def test_hours_of_past_days_are_forgotten_in_pieces(
    office: Office, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "SOME", 50)
    hour = clock.now // retention.HOUR_MS
    found = [{"domain_id": domain, "hour": hour - ago, "used": 3} for domain in (1, 2) for ago in range(72)]
    await office.database.write(lambda c: insert_rows(c, domain_hours, found))
    before = await office.count(domain_hours)
    gone = [await office.database.write(lambda c: forget_hours(c, clock.now)) for _ in range(3)]
    assert gone[0] == 50 and gone[2] == 0
    kept = {row.hour for row in await office.rows(domain_hours)}
    # Today and yesterday, whole.
    assert kept == set(range(hour - hour % 24 - 24, hour + 1)) and sum(gone) == before - 2 * len(kept)


async def test_old_boots_are_forgotten_unless_they_hold_a_lease_or_are_the_newest(office: Office, clock: Clock) -> None:
    await office.accept("a@one.test", "b@two.test")
    await office.take(room=1, owner=2)

    async def boot(number: int, age: int) -> None:
        row = {"id": number, "host": "h", "pid": number, "started_at": clock.now - age}
        await office.database.write(lambda c: insert_rows(c, boots, [row]))

    for number in (1, 2):
        await boot(number, retention.BOOT_MS + 1)
    await boot(3, retention.BOOT_MS)
    await boot(4, retention.BOOT_MS + 1)
    assert await office.database.write(lambda c: forget_boots(c, clock.now)) == 1
    assert [row.id for row in await office.rows(boots)] == [2, 3, 4]
    await office.database.write(lambda c: queues.free_leases(c, clock.now))
    assert await office.database.write(lambda c: forget_boots(c, clock.now)) == 1
    assert [row.id for row in await office.rows(boots)] == [3, 4]


# --- sealed segments -----------------------------------------------------------------------------------------------


@SQLITE
async def test_sealed_mail_is_read_and_forgotten_like_any_other(office: Office, clock: Clock, tmp_path: Path) -> None:
    assert isinstance(office.content, SegmentContent)
    stories = [(await office.accept("a@dest.test", raw=raw(n)))[0] for n in (1, 900, 2)]
    assert office.content.seal() == [], "today's segment is still written to"
    clock.forward(hours=24)
    await office.accept("b@dest.test")
    (sealed,) = office.content.seal()
    assert sorted(path.name for path in tmp_path.glob(f"segments/{sealed}*")) == [f"{sealed}.zseg"]
    for recipient, number in zip(stories, (1, 900, 2), strict=True):
        assert await read(office, await place_of(office, recipient)) == raw(number)
    clock.forward(hours=24 * CONTENT_DAYS)
    for job in await office.claim():
        await office.settle(job, TAKEN)
    assert await forget(office) == [sealed]
    assert list(tmp_path.glob(f"segments/{sealed}*")) == []


@settings(max_examples=25)
@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=12), block=st.sampled_from([1, 7, 64, 100, 10_000]))
def test_sealed_bytes_come_back_however_they_lie(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], block: int
) -> None:
    bodies = [(str(n), bytes((n + m) % 256 for m in range(size))) for n, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "BLOCK", block)
        content = SegmentContent(tmp_path_factory.mktemp("sealed"))
        places = content.keep(None, bodies, 0)  # type: ignore[arg-type]  # segments need no connection
        content.keep(None, [("next", b"day")], 86_400_000)  # type: ignore[arg-type]
        assert len(content.seal()) == 1
        for place, (_, body) in zip(places, bodies, strict=True):
            assert content.read(None, place) == body  # type: ignore[arg-type]
        content.close()


def test_a_seal_that_was_cut_off_is_made_again(tmp_path: Path) -> None:
    content = SegmentContent(tmp_path)
    (place,) = content.keep(None, [("m", b"x" * 5000)], 0)  # type: ignore[arg-type]
    content.keep(None, [("next", b"day")], 86_400_000)  # type: ignore[arg-type]
    plain = tmp_path / f"{place.segment}.seg"
    octets = plain.read_bytes()
    content.seal()
    plain.write_bytes(octets)  # renamed, but not unlinked yet ...
    plain.with_suffix(".tmp").write_bytes(b"half")  # ... and another one that did not get so far
    assert content.read(None, place) == b"x" * 5000  # type: ignore[arg-type]
    assert content.seal() == [place.segment]
    assert not plain.exists() and content.read(None, place) == b"x" * 5000  # type: ignore[arg-type]
    content.close()
