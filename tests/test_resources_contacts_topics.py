"""A contact list with topics over the account's contacts, and files that are handed in for it. On both databases."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from mailferry.resources import suppressions
from mailferry.resources.contacts import contacts, jobs, lists, locks, preferences, purge, topics, uploads
from mailferry.resources.contacts.contacts import Change, Identifier
from mailferry.resources.contacts.jobs import Job, Kind, Status
from mailferry.resources.contacts.preferences import Preferences, Wish
from mailferry.resources.contacts.topics import Board, Topic
from mailferry.resources.contacts.uploads import Cutter, LineTooLong
from mailferry.resources.suppressions import HARD_BOUNCE, UNSUBSCRIPTION
from mailferry.store.database import Database
from mailferry.store.schema import contact_job_pieces, contact_list_members, contact_opt_outs
from tests.conftest import Clock
from tests.contact_house import ContactHouse

ANN = "ann@dest.test"


@pytest.fixture
async def house(database: Database, clock: Clock) -> AsyncIterator[ContactHouse]:
    yield await ContactHouse(database, clock).furnish()


async def board(house: ContactHouse, *names: str) -> Board:
    made = Board("Readers", None, tuple(Topic(each, each, None, default=True) for each in names))

    def save(connection: Any) -> Board:
        locks.take(connection, house.account)
        return topics.save(connection, house.account, made, house.clock())

    found: Board = await house.run(save)
    return found


async def say(house: ContactHouse, on: Board, wish: Wish) -> Preferences:
    await house.run(lambda c: preferences.save(c, house.account, on, [wish], "test", house.clock()))
    (found,) = await house.run(lambda c: preferences.of_addresses(c, house.account, on, [wish.email]))
    assert isinstance(found, Preferences)
    return found


async def test_topics_keep_their_lists_and_take_those_that_there_are(house: ContactHouse) -> None:
    known = {each.name: each.id for each in await house.run(lambda c: lists.of_account(c, house.account))}
    first = await board(house, "List A", "Readers")
    assert first.topic("List A") and first.topics[0].list_id == known["List A"]
    # A topic that is called like the list it is of has a list of its own.
    assert first.list_id != first.topics[1].list_id
    again = await board(house, "Readers", "New")
    assert again.topics[0].list_id == first.topics[1].list_id
    names = {each.name for each in await house.run(lambda c: lists.of_account(c, house.account))}
    assert names == {"List B", "List C", "Readers", "Readers (2)", "New"}


async def test_a_no_is_not_overruled_by_membership_and_goes_with_its_list(house: ContactHouse, clock: Clock) -> None:
    on = await board(house, "Sports")
    sports = on.topics[0]
    found = await say(house, on, Wish(ANN))
    assert (found.said, found.wants(sports)) == ({}, True)
    found = await say(house, on, Wish(ANN, {"Sports": False}))
    assert (found.said, found.wants(sports)) == ({"Sports": False}, False)
    change = Change(ANN, {}, frozenset({sports.list_id}))
    await house.run(lambda c: contacts.save(c, house.account, [change], clock()))
    found = await say(house, on, Wish(ANN, attributes="kept"))
    assert (found.said, found.attributes) == ({"Sports": False}, "kept")
    assert (await say(house, on, Wish(ANN, whole=True))).said == {}

    await say(house, on, Wish(ANN, {"Sports": False}))
    await house.run(lambda c: topics.remove(c, house.account, on, clock()))
    clock.forward(seconds=3600)
    await house.run(lambda c: purge.piece(c, clock()))
    for table in (contact_opt_outs, contact_list_members):
        assert await house.count(table) == 0
    again = await board(house, "Sports")
    await say(house, again, Wish(ANN, {"Sports": False}))
    await house.run(lambda c: contacts.remove(c, house.account, Identifier(address=ANN)))
    assert await house.count(contact_opt_outs) == 0


async def test_an_unsubscription_is_recorded_where_a_bounce_stands_and_a_bounce_is_none(house: ContactHouse) -> None:
    on = await board(house)
    entry = suppressions.entry(house.account, ANN, house.clock(), stream="bulk", type=HARD_BOUNCE)
    await house.run(lambda c: suppressions.add(c, [entry]))
    assert not (await say(house, on, Wish(ANN))).unsubscribed
    assert (await say(house, on, Wish(ANN, unsubscribed=True))).unsubscribed
    assert (await say(house, on, Wish(ANN))).unsubscribed, "what is not said, stays"
    (standing,) = await house.run(lambda c: suppressions.of_addresses(c, house.account, [ANN]))
    assert (standing.type, standing.stream) == (UNSUBSCRIPTION, "bulk")
    assert not (await say(house, on, Wish(ANN, unsubscribed=False))).unsubscribed


@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=60), st.integers(1, 50))
def test_a_file_is_cut_between_its_lines(lines: list[bytes], step: int) -> None:
    content, cutter = b"\n".join(lines), Cutter()
    pieces = [piece for at in range(0, len(content), step) for piece in cutter.feed(content[at : at + step])]
    pieces += cutter.end()
    assert b"\n".join(pieces).rstrip(b"\n") == content.rstrip(b"\n")


def test_pieces_are_bounded_by_lines_and_octets() -> None:
    many = list(Cutter().feed(b"a\n" * (uploads.PIECE_LINES * 2)))
    assert [each.count(b"\n") + 1 for each in many] == [uploads.PIECE_LINES] * 2
    wide = list(Cutter().feed((b"a" * 1000 + b"\n") * 200))
    assert [len(each) < uploads.PIECE_OCTETS + 1001 for each in wide] == [True] * 3
    cutter = Cutter()
    with pytest.raises(LineTooLong):
        for _ in range(3):
            list(cutter.feed(b"a" * (uploads.LONGEST // 2)))


async def test_files_that_nobody_said_what_to_do_with_are_forgotten(house: ContactHouse, clock: Clock) -> None:
    def upload(connection: Any) -> int:
        number = uploads.begin(connection, house.account, clock())
        connection.execute(contact_job_pieces.insert().values(job_id=number, piece=0, content=b"a\n\nb\r", size=5))
        uploads.whole(connection, number, clock())
        return number

    first, second = await house.run(upload), await house.run(upload)
    assert await house.run(lambda c: jobs.by_id(c, house.account, Kind.FILE_IMPORT, first)) is None
    assert not await house.run(lambda c: uploads.start(c, house.account + 1, first, "{}", clock()))
    assert await house.run(lambda c: uploads.start(c, house.account, first, "{}", clock()))
    assert not await house.run(lambda c: uploads.start(c, house.account, first, "{}", clock()))
    claimed: Job = await house.run(lambda c: jobs.claim(c, clock()))
    piece = await house.run(lambda c: uploads.take(c, claimed))
    assert (claimed.id, piece.lines) == (first, ["a", "", "b"])
    clock.forward(seconds=8 * 86_400)
    await house.run(lambda c: purge.piece(c, clock()))
    left = await house.database.read(lambda c: c.execute(select(contact_job_pieces.c.job_id)).all())
    assert (left, second > first) == ([], True)
    assert await house.run(lambda c: jobs.by_id(c, house.account, Kind.FILE_IMPORT, first)) is not None


async def test_a_report_that_is_cancelled_writes_nothing_more(house: ContactHouse, clock: Clock) -> None:
    number = await house.run(lambda c: jobs.create(c, house.account, Kind.REPORT, clock()))
    claimed: Job = await house.run(lambda c: jobs.claim(c, clock()))
    assert await house.run(lambda c: jobs.cancel(c, claimed, clock()))
    assert await house.run(lambda c: jobs.hold(c, claimed, clock())) is None
    assert not await house.run(lambda c: jobs.cancel(c, claimed, clock()))
    found: Job = await house.run(lambda c: jobs.by_id(c, house.account, Kind.REPORT, number))
    assert found.status is Status.CANCELLED
