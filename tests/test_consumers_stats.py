"""Statistics out of the journal: what counts, once, in whose hour, and counted anew."""

import json
from typing import Any

import pytest
from sqlalchemy import Connection, select

from mailferry.consumers.stats import reading
from mailferry.consumers.stats.counter import CountedElsewhere, Counter
from mailferry.consumers.stats.reading import Counts, Query
from mailferry.journal.events import Kind, State
from mailferry.journal.ids import Ids
from mailferry.store.database import Database
from mailferry.store.given import insert_rows
from mailferry.store.schema import events, messages, recipients, stats
from tests.conftest import Clock

DAY_MS = 86_400_000
DELIVERED_BY_GOOGLE = {"host": "mx.google.com", "provider": "Google"}


class Journal:
    """Writes what others would have written; each event in a transaction of its own."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock, self._ids = database, clock, Ids(clock)

    async def accept(self, *, account_id: int = 1, **changes: Any) -> str:
        """A message to one recipient, whose id it returns."""
        message, recipient = self._ids.new(), self._ids.new()
        row = {"id": message, "account_id": account_id, "domain_id": 5, "stream": "transactional", "category": ""}
        row |= {"template_id": 0, "created_at": self._clock(), **changes}
        person = {"id": recipient, "message_id": message, "account_id": account_id, "state": State.QUEUED}

        def write(connection: Connection) -> None:
            insert_rows(connection, messages, [row])
            insert_rows(connection, recipients, [person])

        await self._database.write(write)
        return recipient

    async def tell(self, recipient: str, kind: Kind, **facts: Any) -> None:
        def write(connection: Connection) -> None:
            found = connection.execute(
                select(recipients.c.message_id, recipients.c.account_id).where(recipients.c.id == recipient)
            ).one()
            row = {"at": self._clock(), "kind": kind, "account_id": found.account_id, "message_id": found.message_id}
            insert_rows(connection, events, [{**row, "recipient_id": recipient, "facts": json.dumps(facts)}])

        await self._database.write(write)


@pytest.fixture
def journal(database: Database, clock: Clock) -> Journal:
    return Journal(database, clock)


async def count_all(counter: Counter) -> None:
    while await counter.step():
        pass


def whole(clock: Clock, **changes: Any) -> Query:
    return Query(1, 0, clock() // DAY_MS + 1, **changes)


async def total(database: Database, clock: Clock, **changes: Any) -> Counts:
    return await database.read(lambda connection: reading.total(connection, whole(clock, **changes)))


async def by(database: Database, clock: Clock, what: str, **changes: Any) -> dict[Any, Counts]:
    return dict(await database.read(lambda connection: reading.listed(connection, whole(clock, **changes), what)))


async def test_a_recipient_is_counted_once_in_each_counter(database: Database, clock: Clock, journal: Journal) -> None:
    who = await journal.accept()
    await journal.tell(who, Kind.ACCEPTED)
    await journal.tell(who, Kind.SOFT_BOUNCE, code=451)
    await journal.tell(who, Kind.DELIVERY, **DELIVERED_BY_GOOGLE)
    counter = Counter(database, clock)
    for _ in range(3):
        await journal.tell(who, Kind.OPEN, ip="192.0.2.1")
        await journal.tell(who, Kind.CLICK, url="https://shop.test/")
        await journal.tell(who, Kind.OPEN, machine="apple_mpp")
        await count_all(counter)
    expected = Counts(sent=1, delivered=1, opened=1, machine_opened=1, clicked=1)
    assert await total(database, clock) == expected
    assert (expected.delivery_rate, expected.open_rate, expected.bounce_rate) == (1.0, 1.0, 0.0)


async def test_a_bounce_after_the_delivery_is_no_second_message(
    database: Database, clock: Clock, journal: Journal
) -> None:
    late, never = await journal.accept(), await journal.accept()
    await journal.tell(late, Kind.DELIVERY, **DELIVERED_BY_GOOGLE)
    counter = Counter(database, clock)
    await count_all(counter)
    await journal.tell(late, Kind.BOUNCE, code=550, provider="Google")
    await journal.tell(never, Kind.BOUNCE, code=550, provider="Yahoo")
    await count_all(counter)
    assert await total(database, clock) == Counts(sent=2, delivered=1, bounced=2)
    assert await by(database, clock, "provider") == {
        "Google": Counts(sent=1, delivered=1, bounced=1),
        "Yahoo": Counts(sent=1, bounced=1),
    }


async def test_all_of_a_message_belongs_to_the_hour_of_its_acceptance(
    database: Database, clock: Clock, journal: Journal
) -> None:
    day = clock() // DAY_MS
    who = await journal.accept()
    await journal.tell(who, Kind.DELIVERY, **DELIVERED_BY_GOOGLE)
    clock.forward(hours=72)
    await journal.tell(who, Kind.OPEN)
    other = await journal.accept()
    await journal.tell(other, Kind.DELIVERY, **DELIVERED_BY_GOOGLE)
    await count_all(Counter(database, clock))
    assert await by(database, clock, "day") == {
        day: Counts(sent=1, delivered=1, opened=1),
        day + 3: Counts(sent=1, delivered=1),
    }


async def test_dimensions_and_choices(database: Database, clock: Clock, journal: Journal) -> None:
    for place in (
        {"domain_id": 5, "category": "welcome", "template_id": 9},
        {"domain_id": 5, "category": "news", "stream": "bulk"},
        {"domain_id": 6, "category": "news", "stream": "bulk"},
        {"account_id": 2, "category": "news"},
    ):
        who = await journal.accept(**place)
        await journal.tell(who, Kind.DELIVERY, provider="Google" if place.get("domain_id") == 6 else "Yahoo")
    await count_all(Counter(database, clock))
    one, two = Counts(sent=1, delivered=1), Counts(sent=2, delivered=2)
    assert await by(database, clock, "domain") == {5: two, 6: one}
    assert await by(database, clock, "category") == {"news": two, "welcome": one}
    assert await by(database, clock, "stream") == {"bulk": two, "transactional": one}
    assert await by(database, clock, "template") == {0: two, 9: one}
    assert await by(database, clock, "category", domain_ids=(6,)) == {"news": one}
    assert await by(database, clock, "domain", categories=("news",), providers=("Yahoo",)) == {5: one}
    assert await by(database, clock, "domain", streams=("bulk",), domains=frozenset({6})) == {6: one}
    assert await total(database, clock, domains=frozenset()) == Counts()


async def test_two_nodes_count_every_event_once(database: Database, clock: Clock, journal: Journal) -> None:
    here, there = Counter(database, clock), Counter(database, clock)
    for _ in range(4):
        who = await journal.accept()
        await journal.tell(who, Kind.DELIVERY, **DELIVERED_BY_GOOGLE)
        await here.step()
        assert not await there.step()  # the lease is the other's
    clock.forward(seconds=60)  # the first one died
    who = await journal.accept()
    await journal.tell(who, Kind.DELIVERY, **DELIVERED_BY_GOOGLE)
    await count_all(there)
    assert not await here.step()
    assert await total(database, clock) == Counts(sent=5, delivered=5)


async def test_counted_anew_what_the_journal_still_knows_whole(
    database: Database, clock: Clock, journal: Journal
) -> None:
    counter = Counter(database, clock)
    for hours in (24 * 40, 5, 0):
        who = await journal.accept()
        await journal.tell(who, Kind.DELIVERY, **DELIVERED_BY_GOOGLE)
        await journal.tell(who, Kind.OPEN)
        await count_all(counter)
        clock.forward(hours=hours)
    expected = await total(database, clock)

    def spoil(connection: Connection) -> None:
        connection.execute(stats.update().values(delivered=100, opened=0, provider="Nobody"))

    await database.write(spoil)
    assert await counter.recount(30) > 0
    # The hour of long ago is frozen as it was, wrong as it is; the others are right again.
    again = await by(database, clock, "provider")
    assert again == {"Nobody": Counts(sent=1, delivered=100), "Google": Counts(sent=2, delivered=2, opened=2)}
    assert expected == Counts(sent=3, delivered=3, opened=3)
    assert not await counter.step()
    with pytest.raises(CountedElsewhere):
        await Counter(database, clock).recount(30)
