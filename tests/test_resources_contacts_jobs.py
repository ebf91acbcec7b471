"""Imports and exports as jobs: leased, taken over, retried, failed; and what a file holds. On both databases."""

import asyncio
import csv
import gzip
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from mailferry.resources import suppressions
from mailferry.resources.contacts import contacts, exports, imports, jobs, lists, purge
from mailferry.resources.contacts.contacts import Change
from mailferry.resources.contacts.exports import Running
from mailferry.resources.contacts.jobs import LEASE_MS, PAUSE_MS, TRIES, Job, Kind, Status
from mailferry.resources.contacts.rules import InLists, Rule, Subscribed
from mailferry.resources.contacts.work import TURN, Workshop
from mailferry.store.database import Database
from mailferry.store.schema import contact_job_pieces, contact_jobs
from mailferry.store.schema import contacts as table
from tests.conftest import Clock
from tests.contact_house import ContactHouse


@pytest.fixture
async def house(database: Database, clock: Clock) -> AsyncIterator[ContactHouse]:
    yield await ContactHouse(database, clock).furnish()


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailferry.resources.contacts.imports.PIECE_CONTACTS", 3)
    monkeypatch.setattr("mailferry.resources.contacts.exports.PIECE", 3)


async def begin(house: ContactHouse, *changes: Change, account: int = 0) -> int:
    def keep(connection: Any) -> int:
        job_id = imports.begin(connection, account or house.account, house.clock())
        imports.keep(job_id, 0, list(imports.pieces(changes)), connection)
        imports.ready(connection, job_id, house.clock())
        return job_id

    return int(await house.run(keep))


def people(number: int, **held: Any) -> list[Change]:
    return [Change(f"p{place:03}@one.test", held) for place in range(number)]


async def job(house: ContactHouse, job_id: int, kind: Kind = Kind.IMPORT, account: int = 0) -> Job:
    found = await house.run(lambda c: jobs.by_id(c, account or house.account, kind, job_id))
    assert found is not None
    return found


async def claim(house: ContactHouse) -> Job | None:
    found: Job | None = await house.run(lambda c: jobs.claim(c, house.clock()))
    return found


# --- imports


def test_pieces_hold_all_and_no_more_than_they_may() -> None:
    wide = [Change(f"w{n}@one.test", dict.fromkeys(range(40), 1), frozenset(range(50))) for n in range(100)]
    flat = [Change(f"f{n}@one.test", {}) for n in range(2500)]
    found = [imports._unpacked(piece) for piece in imports.pieces([*wide, *flat])]
    assert [change for piece in found for change in piece] == [*wide, *flat]
    for piece in found:
        assert len(piece) <= imports.PIECE_CONTACTS and sum(change.rows for change in piece) <= imports.PIECE_ROWS
    assert list(imports.pieces([])) == []
    octets = [b"x" * 400_000] * 10
    groups = list(imports.groups(octets))
    assert [piece for _, some in groups for piece in some] == octets
    assert [first for first, _ in groups] == [0, 3, 6, 9] and list(imports.groups([])) == [(0, [])]


async def test_an_import_is_created_started_and_finished_with_its_counts(
    house: ContactHouse, clock: Clock, small_pieces: None
) -> None:
    first = await begin(house, *people(4))
    assert (await job(house, first)).status is Status.CREATED
    await house.workshop.run_due()
    clock.forward(seconds=1)
    second = await begin(house, *people(10))
    held = await claim(house)
    assert held and (await job(house, second)).status is Status.STARTED
    for _ in range(4):
        assert await house.run(lambda c: imports.work(c, held, clock()))
    assert not await house.run(lambda c: imports.work(c, held, clock()))
    found = await job(house, second)
    assert (found.status, found.created_count, found.updated_count) == (Status.FINISHED, 6, 4)
    assert await house.count(table) == 10 and await house.count(contact_job_pieces) == 0
    assert await claim(house) is None


async def test_what_nobody_was_told_of_is_no_job_and_is_cleared_away(house: ContactHouse, clock: Clock) -> None:
    job_id = await house.run(lambda c: imports.begin(c, house.account, clock()))
    await house.run(lambda c: imports.keep(job_id, 0, list(imports.pieces(people(3))), c))
    assert await house.run(lambda c: jobs.by_id(c, house.account, Kind.IMPORT, job_id)) is None
    assert await claim(house) is None
    assert await house.run(lambda c: purge.piece(c, clock())) == 0
    clock.forward(hours=2)
    assert await house.run(lambda c: purge.piece(c, clock())) == 1
    assert await house.count(contact_jobs) == await house.count(contact_job_pieces) == 0


async def test_a_lease_that_ended_is_another_s_and_its_holder_writes_nothing(
    house: ContactHouse, clock: Clock, small_pieces: None
) -> None:
    job_id = await begin(house, *people(9))
    dead = await claim(house)
    assert dead and await house.run(lambda c: imports.work(c, dead, clock()))
    clock.now += LEASE_MS - 1
    assert await claim(house) is None
    clock.now += 1
    heir = await claim(house)
    assert heir and heir.id == job_id and heir.lease != dead.lease
    assert not await house.run(lambda c: imports.work(c, dead, clock()))
    assert await house.run(lambda c: jobs.hold(c, dead, clock())) is None
    await house.run(lambda c: jobs.finish(c, dead, clock()))
    await house.run(lambda c: jobs.release(c, dead, clock()))
    assert not await house.run(lambda c: jobs.fail(c, dead, "late", clock()))
    assert await house.count(table) == 3
    while await house.run(lambda c: imports.work(c, heir, clock())):
        pass
    found = await job(house, job_id)
    assert (found.status, found.created_count, found.tries) == (Status.FINISHED, 9, 0)


async def test_a_started_process_takes_up_at_once_what_its_predecessor_held(house: ContactHouse, clock: Clock) -> None:
    await begin(house, *people(3))
    assert await claim(house)
    assert not await house.run(lambda c: jobs.due(c, clock()))
    await house.run(jobs.free_leases)
    assert await house.run(lambda c: jobs.due(c, clock()))


async def test_imports_of_an_account_follow_one_another_and_accounts_do_not_wait_for_each_other(
    house: ContactHouse, clock: Clock, small_pieces: None
) -> None:
    name = house.fields["name"].id
    first = await begin(house, *people(9, **{}))
    second = await begin(house, *(Change(f"p{n:03}@one.test", {name: "later"}) for n in range(9)))
    foreign = await begin(house, *people(3), account=house.foreign)
    one, two = await claim(house), await claim(house)
    assert one and two and {one.id, two.id} == {first, foreign}
    assert await claim(house) is None
    while await house.run(lambda c: imports.work(c, one, clock())):
        pass
    three = await claim(house)
    assert three and three.id == second


async def test_many_workers_do_each_piece_once(house: ContactHouse, small_pieces: None) -> None:
    ids = [await begin(house, *people(30)) for _ in range(3)]
    ids_of_others = [await begin(house, *people(30), account=house.foreign) for _ in range(2)]
    await asyncio.gather(*(Workshop(house.database, house.clock).run_due() for _ in range(4)))
    counts = [((j := await job(house, each)).created_count, j.updated_count, j.status) for each in ids]
    assert counts == [(30, 0, Status.FINISHED), (0, 30, Status.FINISHED), (0, 30, Status.FINISHED)]
    for each in ids_of_others:
        assert (await job(house, each, account=house.foreign)).status is Status.FINISHED
    assert await house.count(table) == 60


async def test_a_long_import_gives_others_their_turn(house: ContactHouse, clock: Clock, small_pieces: None) -> None:
    long = await begin(house, *people(3 * TURN + 3))
    short = await begin(house, *people(3), account=house.foreign)
    order: list[int] = []

    class Watched(Workshop):
        async def _work(self, job: Job) -> None:
            order.append(job.id)
            await super()._work(job)
            clock.forward(seconds=1)

    await Watched(house.database, clock).run_due()
    assert order == [long, short, long]


async def test_a_piece_that_fails_is_tried_again_and_then_the_import_has_failed(
    house: ContactHouse, clock: Clock, small_pieces: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await begin(house, *people(7))
    worked = imports.work
    monkeypatch.setattr(imports, "work", broken_at(worked, "p003@one.test"))
    await house.workshop.run_due()
    found = await job(house, job_id)
    assert (found.status, found.created_count, found.tries) == (Status.STARTED, 3, 1)
    await house.workshop.run_due()
    assert (await job(house, job_id)).tries == 1  # not so soon
    # It gets over a passing trouble, and forgets it.
    monkeypatch.setattr(imports, "work", worked)
    clock.now += PAUSE_MS
    await house.workshop.run_due()
    found = await job(house, job_id)
    assert (found.status, found.created_count, found.tries) == (Status.FINISHED, 7, 0)

    again = await begin(house, *people(7))
    monkeypatch.setattr(imports, "work", broken_at(worked, "p006@one.test"))
    for tries in range(1, TRIES + 1):
        await house.workshop.run_due()
        clock.now += PAUSE_MS * tries
    found = await job(house, again)
    assert (found.status, found.updated_count, found.tries) == (Status.FAILED, 6, TRIES)
    error = await house.run(
        lambda c: c.execute(select(contact_jobs.c.error).where(contact_jobs.c.id == again)).scalar()
    )
    assert "broken" in error
    # What it did not come to is kept for a while.
    assert await house.run(lambda c: purge.piece(c, clock())) == 0 and await house.count(contact_job_pieces) == 1
    clock.forward(hours=31 * 24)
    assert await house.run(lambda c: purge.piece(c, clock())) == 1 and await house.count(contact_job_pieces) == 0
    assert (await job(house, again)).status is Status.FAILED


def broken_at(worked: Any, email: str) -> Any:
    def work(connection: Any, job: Job, now: int) -> bool:
        row = connection.execute(
            select(contact_job_pieces.c.content)
            .where(contact_job_pieces.c.job_id == job.id)
            .order_by(contact_job_pieces.c.piece)
            .limit(1)
        ).scalar()
        if row and imports._unpacked(row)[0].email == email:
            worked(connection, job, now)  # what it wrote is undone with it
            raise RuntimeError("broken")
        return bool(worked(connection, job, now))

    return work


# --- exports


async def export(house: ContactHouse, rule: Rule | None = None) -> int:
    return int(await house.run(lambda c: exports.create(c, house.account, rule or Rule(), house.clock())))


async def file_of(house: ContactHouse, job_id: int) -> list[list[str]]:
    sizes = await house.run(lambda c: exports.sizes(c, job_id))
    pieces = [await house.run(lambda c, n=n: exports.content(job_id, n, c)) for n in range(len(sizes))]
    assert [len(piece) for piece in pieces] == sizes
    text = gzip.decompress(b"".join(pieces)).decode()
    assert text.endswith("\r\n")
    return list(csv.reader(io.StringIO(text, newline="")))


async def test_a_file_holds_everybody_with_fields_lists_and_status(
    house: ContactHouse, clock: Clock, small_pieces: None
) -> None:
    by_tag = {tag: field.id for tag, field in house.fields.items()}
    nasty = 'a "quoted", cell\nof two lines; =1+1'
    held = {by_tag["name"]: nasty, by_tag["age"]: 2**53 + 1, by_tag["score"]: 0.1, by_tag["vip"]: False}
    ann = Change("ann@one.test", {**held, by_tag["birthday"]: "1990-01-02"}, frozenset(house.lists[:2]))
    await house.run(lambda c: contacts.save(c, house.account, [ann, *people(6)], clock()))
    await house.run(lambda c: contacts.save(c, house.foreign, people(2), clock()))
    row = suppressions.entry(house.account, "p001@one.test", clock(), stream="bulk")
    await house.run(lambda c: suppressions.add(c, [row]))
    job_id = await export(house)
    await house.workshop.run_due()
    found = await job(house, job_id, Kind.EXPORT)
    assert (found.status, found.created_count) == (Status.FINISHED, 7)
    head, *rows = await file_of(house, job_id)
    assert head == [
        "id",
        "email",
        "status",
        "list_ids",
        "created_at",
        "updated_at",
        "name",
        "age",
        "score",
        "vip",
        "birthday",
    ]
    assert len(rows) == 7 and [row[0] for row in rows] == sorted(row[0] for row in rows)
    shown = {row[1]: row[2:] for row in rows}
    at = "2027-01-15T08:00:00.000Z"
    first, second, _ = house.lists
    assert shown["ann@one.test"] == [
        *("subscribed", f"{first};{second}", at, at),
        *(nasty, "9007199254740993", "0.1", "false", "1990-01-02"),
    ]
    assert shown["p001@one.test"] == ["unsubscribed", "", at, at, "", "", "", "", ""]


async def test_a_file_of_nobody_has_its_head(house: ContactHouse) -> None:
    job_id = await export(house, Rule((Subscribed(False), InLists(tuple(house.lists)))))
    await house.workshop.run_due()
    assert len(await file_of(house, job_id)) == 1


async def test_an_account_has_one_export_at_a_time(house: ContactHouse) -> None:
    made = await asyncio.gather(*(export(house) for _ in range(5)), return_exceptions=True)
    assert sorted(isinstance(each, Running) for each in made) == [False, True, True, True, True]
    await house.workshop.run_due()
    await export(house)


async def test_an_export_is_taken_over_where_it_was_left(house: ContactHouse, clock: Clock, small_pieces: None) -> None:
    await house.run(lambda c: contacts.save(c, house.account, people(10), clock()))
    job_id = await export(house)
    dead = await claim(house)
    assert dead
    piece = await house.run(lambda c: exports.read(c, dead))
    goes_on = await house.run(lambda c: exports.keep(c, dead, piece, clock()))
    assert goes_on and goes_on.cursor == piece.cursor
    late = await house.run(lambda c: exports.read(c, goes_on))
    # Columns are those of the beginning, whatever is done to the fields meanwhile.
    await house.run(lambda c: lists.delete(c, house.account, house.lists[0], clock()))
    clock.now += LEASE_MS
    await house.workshop.run_due()
    assert await house.run(lambda c: exports.keep(c, goes_on, late, clock())) is None
    assert (await job(house, job_id, Kind.EXPORT)).created_count == 10
    rows = await file_of(house, job_id)
    assert [row[1] for row in rows[1:]].count("p000@one.test") == 1 and len({row[0] for row in rows}) == 11


async def test_a_file_is_forgotten_after_a_week(house: ContactHouse, clock: Clock) -> None:
    job_id = await export(house)
    await house.workshop.run_due()
    assert exports.available(await job(house, job_id, Kind.EXPORT), clock())
    clock.now += exports.KEPT_MS - 1
    assert await house.run(lambda c: purge.piece(c, clock())) == 0
    clock.now += 1
    assert not exports.available(await job(house, job_id, Kind.EXPORT), clock())
    assert await house.run(lambda c: purge.piece(c, clock())) == 1
    assert await house.run(lambda c: exports.sizes(c, job_id)) == []
    assert (await job(house, job_id, Kind.EXPORT)).status is Status.FINISHED


async def test_a_column_of_ours_is_not_taken_for_a_field(house: ContactHouse, clock: Clock) -> None:
    for tag in ("status", "id"):
        body = {"name": tag, "data_type": "text", "merge_tag": tag}
        assert (await house.ask("POST", "contacts/fields", body)).status == 201
    await house.contact("ann@one.test", status="gold", id="7")
    job_id = await export(house)
    await house.workshop.run_due()
    head, row = await file_of(house, job_id)
    told = dict(zip(head, row, strict=True))
    assert len(set(head)) == len(head) and (told["status"], told["status (field)"], told["id (field)"]) == (
        "subscribed",
        "gold",
        "7",
    )
