"""What an inbox catches: kept, counted, made room for, found again, and nobody else's business."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, text, update

from mailferry.journal.ids import Ids
from mailferry.resources import accounts, inboxes, projects
from mailferry.resources.inboxes import Inbox
from mailferry.sandbox import inbox as caught
from mailferry.sandbox.capture import Capture, Keeper, Sandbox
from mailferry.sandbox.inbox import PAGE, Caught
from mailferry.store.captured import SMALL, CapturedContent, CapturedSegments, CapturedTable
from mailferry.store.database import Database
from mailferry.store.schema import inbox_messages, metadata
from mailferry.store.schema import inboxes as inboxes_table
from mailferry.store.secrets import Sealer
from tests.conftest import Clock

SEALER = Sealer(bytes(32))
MESSAGE = (
    b"From: =?utf-8?q?=C3=84nnie?= <ann@shop.test>\r\nTo: Bob <bob@dest.test>, carl@dest.test\r\n"
    b"Subject: Your =?utf-8?q?=C3=84pfel?=\r\nContent-Type: text/plain\r\n\r\nThey are on their way.\r\n"
)


class Box:
    """An inbox on a real database, and what is asked of it."""

    def __init__(self, database: Database, clock: Clock, content: CapturedContent) -> None:
        self.database, self.clock, self.content = database, clock, content
        self.sandbox = Sandbox(database, content, Ids(clock), clock)
        self.id = self.account = 0

    async def open(self, **more: Any) -> "Box":
        def make(connection: Connection) -> Inbox:
            self.account = accounts.create_account(connection, "Shop", 0)
            project = projects.create(connection, self.account, "Staging", 0)
            return inboxes.create(connection, SEALER, self.account, project.id, "Inbox", 0, **more)

        self.id = (await self.database.write(make)).id
        return self

    def capture(self, message: bytes = MESSAGE, **more: Any) -> Capture:
        return replace(Capture(self.id, message, "smtp", "ann@shop.test", ("bob@dest.test", "eve@dest.test")), **more)

    async def take(self, *subjects: str) -> list[int]:
        """All of it in one group, wherever the writer can."""
        messages = [MESSAGE.replace(b"Your =?utf-8?q?=C3=84pfel?=", subject.encode()) for subject in subjects]
        found = await asyncio.gather(*(self.sandbox.capture([self.capture(message)]) for message in messages))
        return [identity for (identity,) in found]

    async def shown(self) -> Inbox:
        found = await self.database.read(lambda c: inboxes.by_id(c, SEALER, self.account, self.id))
        assert found is not None
        return found

    async def counts(self) -> tuple[int, int, int]:
        """Messages, unread ones, and all that it ever caught; the first two as the rows have them."""
        held = await self.rows()
        found = await self.shown()
        assert (found.messages_count, found.unread_count) == (len(held), sum(not row.is_read for row in held))
        return found.messages_count, found.unread_count, found.caught_count

    async def rows(self) -> Sequence[Any]:
        wanted = select(inbox_messages).where(inbox_messages.c.inbox_id == self.id).order_by(inbox_messages.c.id)
        return await self.database.read(lambda c: c.execute(wanted).all())

    async def page(self, **how: Any) -> list[Caught]:
        return await self.database.read(lambda c: caught.page(c, self.id, **how))

    async def bytes_of(self, each: Caught) -> bytes:
        return await self.database.read(lambda c: self.content.read(c, each.where))


@pytest.fixture
async def box(database: Database, clock: Clock, tmp_path: Path) -> AsyncIterator[Box]:
    content: CapturedContent = CapturedSegments(tmp_path) if database.dialect == "sqlite" else CapturedTable()
    yield await Box(database, clock, content).open()
    if isinstance(content, CapturedSegments):
        content.close()


async def test_a_message_is_kept_as_it_came_and_shown_by_its_header(box: Box) -> None:
    (found,) = await box.sandbox.capture([box.capture()])
    (shown,) = await box.page()
    assert (shown.id, shown.subject, shown.from_name, shown.to_email) == (found, "Your Äpfel", "Ännie", "bob@dest.test")
    assert (shown.size, shown.text_size, shown.html_size) == (len(MESSAGE), 24, 0)
    assert shown.envelope_to == ("bob@dest.test", "eve@dest.test")
    assert await box.bytes_of(shown) == MESSAGE
    assert await box.counts() == (1, 1, 1)
    assert (await box.shown()).last_message_at == box.clock()


async def test_small_and_large_messages_of_a_group_are_kept_alike(box: Box) -> None:
    sizes = (10, SMALL - 100, SMALL, SMALL + 1, 100_000, 20)
    messages = [b"Subject: S\r\n\r\n".ljust(size, b"x") for size in sizes]
    await box.sandbox.capture([box.capture(message) for message in messages])
    assert [await box.bytes_of(each) for each in reversed(await box.page())] == messages
    await box.database.write(lambda c: caught.clean(c, box.content, box.id, 10**9))
    assert await box.database.read(lambda c: c.execute(text("SELECT count(*) FROM inbox_contents")).scalar()) == 0


async def test_a_search_finds_parts_of_subject_and_recipients_whatever_their_case(box: Box) -> None:
    await box.take("Welcome", "100% off_")
    await box.sandbox.capture([box.capture()])
    for search, subjects in {
        "äPFEL": ["Your Äpfel"],
        "WELC": ["Welcome"],
        "carl@": ["Your Äpfel", "100% off_", "Welcome"],
        "bob": ["Your Äpfel", "100% off_", "Welcome"],
        "0% o": ["100% off_"],
        "off%": [],
        "W_lcome": [],
        "ann@": [],
    }.items():
        assert [each.subject for each in await box.page(search=search)] == subjects, search


async def test_pages_are_of_the_newest(box: Box) -> None:
    ids = await box.take(*(f"No. {number}" for number in range(PAGE + 5)))
    newest = sorted(ids, reverse=True)
    assert [each.id for each in await box.page()] == newest[:PAGE]
    assert [each.id for each in await box.page(skip=PAGE)] == newest[PAGE:]
    assert [each.id for each in await box.page(before=newest[2])] == newest[3 : 3 + PAGE]
    assert await box.page(search="no. 7", before=ids[7]) == []


async def test_the_oldest_make_room(box: Box) -> None:
    await box.database.write(lambda c: inboxes.change(c, box.id, {"max_size": 3}))
    first = await box.take("a", "b", "c")
    await box.database.write(lambda c: caught.mark(c, box.id, first[0], True, 1))
    old = await box.page()
    assert await box.counts() == (3, 2, 3)
    await box.take("d")
    assert [each.subject for each in await box.page()] == ["d", "c", "b"]
    assert await box.counts() == (3, 3, 4)
    # A group of more than it holds: the last of them stay.
    ids = await box.take(*"efghi")
    assert [each.id for each in await box.page()] == sorted(ids, reverse=True)[:3]
    assert await box.counts() == (3, 3, 9)
    gone = [await box.database.read(lambda c, each=each: box.content.kept(c, each.where)) for each in old]  # type: ignore[misc]
    assert gone == [False] * 3
    assert await box.database.read(lambda c: c.execute(text("SELECT count(*) FROM inbox_contents")).scalar()) == 3


async def test_reading_deleting_and_cleaning_keep_the_counts(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caught, "SOME", 2)
    ids = await box.take(*"abcdefg")

    async def write(query: Any) -> Any:
        return await box.database.write(query)

    assert await write(lambda c: caught.mark(c, box.id, ids[0], True, 5))
    assert await write(lambda c: caught.mark(c, box.id, ids[0], True, 6))  # once more changes nothing
    assert await box.counts() == (7, 6, 7)
    assert await write(lambda c: caught.mark(c, box.id, ids[0], False, 7))
    assert not await write(lambda c: caught.mark(c, box.id, ids[-1] + 99, True, 7))
    assert await box.counts() == (7, 7, 7)
    after = 0
    while after := await write(lambda c, after=after: caught.mark_all(c, box.id, 8, after, ids[5])):
        pass
    assert await box.counts() == (7, 1, 7)  # one came after it was asked for
    assert await write(lambda c: caught.remove(c, box.content, box.id, [ids[6], ids[6] + 99])) == 1
    assert await box.counts() == (6, 0, 7)
    removed = [await write(lambda c: caught.shrink(c, box.content, box.id, 3)) for _ in range(3)]
    assert removed == [2, 1, 0]
    assert [await write(lambda c: caught.clean(c, box.content, box.id, ids[-1])) for _ in range(2)] == [2, 1]
    assert await box.counts() == (0, 0, 7)


async def test_an_inbox_that_is_gone_catches_nothing_and_its_neighbour_does(box: Box) -> None:
    other = await Box(box.database, box.clock, box.content).open()
    await box.database.write(lambda c: inboxes.remove(c, box.id))
    found = await box.sandbox.capture([box.capture(), other.capture()])
    assert found[0] == 0 and found[1]
    assert await other.counts() == (1, 1, 1)
    assert await box.sandbox.capture([box.capture()]) == [0]


async def test_a_group_whose_commit_was_not_heard_of_is_kept_once(box: Box) -> None:
    """The same units again, as the writer does it when a connection breaks during COMMIT."""
    units: list[Any] = []

    class Remembering(Keeper):
        def __call__(self, connection: Connection, given: Sequence[Any]) -> list[list[int]]:
            units.extend(given)
            return super().__call__(connection, given)

    box.sandbox._keeper = Remembering(box.content, box.clock)
    first = await box.sandbox.capture([box.capture(), box.capture()])
    again = await box.database.submit(box.sandbox._keeper, units[0])
    assert again == first
    assert await box.counts() == (2, 2, 2)
    # And where the transaction was rolled back, it is kept now.
    lost = units[0]
    await box.database.write(lambda c: caught.clean(c, box.content, box.id, first[-1]))
    assert await box.database.submit(box.sandbox._keeper, lost) != first
    assert await box.counts() == (2, 2, 4)


async def test_ids_are_never_given_twice(box: Box) -> None:
    first = await box.take("a", "b")
    await box.database.write(lambda c: caught.clean(c, box.content, box.id, max(first)))
    assert min(await box.take("c")) > max(first)


async def test_a_message_that_names_nobody_is_shown_by_its_envelope(box: Box) -> None:
    odd = [
        b"Hello",
        b"\r\n",
        b"",
        b"Subject: \xff\xfe\r\n\r\n",
        b"From: a@b, <, @\r\nTo: undisclosed-recipients:;\r\n\r\n\0",
    ]
    await box.sandbox.capture([box.capture(message) for message in odd])
    shown = await box.page()
    assert {each.to_email for each in shown} == {"bob@dest.test"}
    assert [await box.bytes_of(each) for each in reversed(shown)] == odd


async def test_nothing_that_delivery_reads_is_written(box: Box) -> None:
    """Rows of all tables before and after, but for the inbox's own."""

    def rest(connection: Connection) -> dict[str, list[Any]]:
        tables = [table for table in metadata.sorted_tables if table.name not in ("inboxes", "inbox_messages")]
        return {table.name: list(connection.execute(select(table)).all()) for table in tables}

    before = await box.database.read(rest)
    await box.take("a", "b")
    await box.database.write(lambda c: c.execute(update(inboxes_table).values(max_size=1)))
    await box.take("c")
    assert await box.database.read(rest) == before
