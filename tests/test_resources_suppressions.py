"""The suppression list: whom it stops, how it grows and shrinks, what its history says; on both databases."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection, event, select

from mailferry.journal.events import State
from mailferry.journal.ids import Ids, first_at
from mailferry.mail.reply import Answer
from mailferry.resources import domains, suppressions
from mailferry.resources.suppressions import (
    ALL_DOMAINS,
    ANY,
    DRIFT_MS,
    HARD_BOUNCE,
    SPAM_COMPLAINT,
    UNSUBSCRIPTION,
    Query,
    Suppression,
    Target,
    entry,
    scope,
)
from mailferry.store.database import Database
from mailferry.store.schema import suppression_history
from mailferry.store.secrets import Sealer
from tests import delivery_support
from tests.conftest import Clock
from tests.delivery_support import Office
from tests.fakes.journal import write_message, write_story

NOW = 1_800_000_000_000


async def add(database: Database, *entries: dict[str, Any], **how: Any) -> frozenset[str]:
    return await database.write(lambda connection: suppressions.add(connection, entries, **how))


async def history(database: Database) -> list[tuple[Any, ...]]:
    names = ("action", "address", "domain_id", "stream", "type", "actor", "at")
    statement = select(*(suppression_history.c[name] for name in names)).order_by(suppression_history.c.id)
    return [tuple(row) for row in await database.read(lambda connection: connection.execute(statement).all())]


async def page(database: Database, **query: Any) -> list[Suppression]:
    return await database.read(lambda connection: suppressions.page(connection, Query(**({"account_id": 1} | query))))


async def addresses(database: Database, **query: Any) -> list[str]:
    return [each.address.partition("@")[0] for each in await page(database, **query)]


async def test_a_scope_stops_what_is_within_it(database: Database) -> None:
    await add(
        database,
        entry(1, "everywhere@X.test", NOW),
        entry(1, "one@x.test", NOW, domain_id=5, stream="bulk", type=UNSUBSCRIPTION),
        entry(1, "domain@x.test", NOW, domain_id=5, type=SPAM_COMPLAINT),
        entry(1, "stream@x.test", NOW, stream="transactional", type=HARD_BOUNCE),
        entry(2, "foreign@x.test", NOW),
    )
    names = ("everywhere", "one", "domain", "stream", "foreign", "nobody")
    targets = [
        Target(1, f"{name}@x.test", domain, stream)
        for name in names
        for domain in (5, 6)
        for stream in ("transactional", "bulk")
    ]
    found = await database.read(
        lambda connection: suppressions.matching(connection, [*targets, Target(1, "", 5, "bulk")])
    )
    stopped = {(target.address.partition("@")[0], target.domain_id, target.stream) for target in found}
    assert stopped == {
        *(("everywhere", domain, stream) for domain in (5, 6) for stream in ("transactional", "bulk")),
        ("one", 5, "bulk"),
        ("domain", 5, "transactional"),
        ("domain", 5, "bulk"),
        ("stream", 5, "transactional"),
        ("stream", 6, "transactional"),
    }
    assert found[Target(1, "one@x.test", 5, "bulk")] == {UNSUBSCRIPTION}
    assert await database.read(lambda connection: suppressions.matching(connection, [])) == {}


async def test_the_first_reason_stays_and_only_what_is_new_is_history(database: Database) -> None:
    first = entry(1, "A@x.test", NOW - 5000, type=HARD_BOUNCE)
    again = entry(1, "a@X.test", NOW, type=SPAM_COMPLAINT)
    other = entry(1, "b@x.test", NOW - 7000, domain_id=5, stream="bulk")
    assert await add(database, first) == {first["id"]}
    assert await add(database, again, other, actor="operator: list.csv", at=NOW) == {other["id"]}
    assert await add(database, again, other, actor="operator: list.csv", at=NOW) == frozenset()
    assert await add(database) == frozenset()
    assert await history(database) == [
        ("created", "a@x.test", 0, "any", HARD_BOUNCE, "delivery", NOW - 5000),
        ("created", "b@x.test", 5, "bulk", "manual import", "operator: list.csv", NOW),
    ]
    (standing,) = await page(database, address="a@x.test")
    assert (standing.type, standing.created_at) == (HARD_BOUNCE, NOW - 5000)


async def test_the_same_line_twice_in_one_piece_counts_once(database: Database) -> None:
    twins = [entry(1, "a@x.test", NOW), entry(1, "A@x.test", NOW)]
    assert len(await add(database, *twins)) == 1
    assert len(await history(database)) == 1


async def test_what_is_lifted_is_gone_once_and_noted_once(database: Database) -> None:
    await add(database, entry(1, "a@x.test", NOW), entry(1, "a@x.test", NOW, stream="bulk"), entry(1, "b@x.test", NOW))
    found = await page(database, address="a@x.test")

    async def lift(*wanted: Suppression) -> list[Suppression]:
        return await database.write(lambda connection: suppressions.remove(connection, wanted, "token 7", NOW + 9))

    assert await lift(found[0]) == [found[0]]
    assert await lift(*found) == [found[1]]
    assert await lift(*found) == [] and await lift() == []
    assert await addresses(database) == ["b"]
    lifted = [row for row in await history(database) if row[0] == "deleted"]
    assert [(row[1], row[3], row[5], row[6]) for row in lifted] == [
        ("a@x.test", each.stream, "token 7", NOW + 9) for each in found
    ]
    # And it may come back.
    assert len(await add(database, entry(1, "a@x.test", NOW))) == 1


async def test_a_page_is_newest_first_and_goes_on_behind_its_last(database: Database) -> None:
    # Drawn in another order than that of their times, as an import does.
    order = (3, 0, 4, 1, 2)
    await add(database, *(entry(1, f"r{n}@x.test", NOW - n * 1000) for n in order), entry(2, "foreign@x.test", NOW))
    assert await addresses(database) == ["r0", "r1", "r2", "r3", "r4"]
    first = await page(database, limit=2)
    second = await page(database, limit=2, older_than=first[-1].id)
    assert [each.address[:2] for each in first + second] == ["r0", "r1", "r2", "r3"]
    assert await addresses(database, older_than=second[-1].id) == ["r4"]


async def test_what_can_be_asked_for(database: Database) -> None:
    domain = await database.write(lambda c: domains.add(c, Sealer(bytes(32)), 1, "shop.test", (), NOW)[0].id)
    await add(
        database,
        entry(1, "a@x.test", NOW, domain_id=domain, stream="bulk", type=HARD_BOUNCE),
        entry(1, "b@x.test", NOW - 1000, domain_id=domain + 1),
        entry(1, "c@x.test", NOW - 2000),
    )
    for query, expected in (
        ({"since": NOW}, "a"),
        ({"since": NOW - 1000}, "ab"),
        ({"since": NOW + 1}, ""),
        ({"until": NOW - 1000}, "bc"),
        ({"until": NOW - 2001}, ""),
        ({"since": NOW - 1999, "until": NOW - 1}, "b"),
        ({"since": -(10**15), "until": 10**17}, "abc"),
        ({"domain_ids": frozenset({domain})}, "a"),
        ({"domain_ids": frozenset()}, ""),
        ({"domain_id": ALL_DOMAINS}, "c"),
        ({"stream": ANY}, "bc"),
        ({"type": HARD_BOUNCE}, "a"),
        ({"address": "b@x.test"}, "b"),
        ({"address": "B@x.test"}, ""),
        ({"account_id": 2}, ""),
    ):
        assert "".join(await addresses(database, **query)) == expected, query  # type: ignore[arg-type]  # by name
    assert [each.domain_name for each in await page(database)] == ["shop.test", "", ""]


async def test_a_clock_that_is_set_back_hides_nothing(database: Database) -> None:
    drawn_before = entry(1, "a@x.test", NOW + DRIFT_MS) | {"created_at": NOW}
    drawn_after = entry(1, "b@x.test", NOW - DRIFT_MS) | {"created_at": NOW}
    await add(database, drawn_before, drawn_after)
    assert await addresses(database, since=NOW, until=NOW) == ["a", "b"]


async def test_a_walk_meets_each_once(database: Database) -> None:
    entries = [
        entry(1, f"r{n}@x.test", NOW + n, domain_id=domain, stream=stream)
        for n in range(5)
        for domain in (0, 5)
        for stream in ("any", "bulk")
    ]
    await add(database, *entries, entry(2, "foreign@x.test", NOW))
    met: list[Suppression] = []
    after: tuple[Any, ...] = ()
    while piece := await database.read(
        lambda c, after=after: suppressions.walk(c, Query(1, stream="bulk", limit=3), after)  # type: ignore[misc]  # a default binds the loop variable
    ):
        assert len(piece) <= 3
        met += piece
        after = scope(piece[-1])
    assert [scope(each) for each in met] == [(f"r{n}@x.test", domain, "bulk") for n in range(5) for domain in (0, 5)]


def test_ids_stand_for_their_moment() -> None:
    ids = [entry(1, "a@x.test", NOW)["id"] for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(each.startswith(first_at(NOW)) and each[14] == "7" and each[19] in "89ab" for each in ids)
    assert entry(1, "a@x.test", NOW - 1)["id"] < min(ids) < entry(1, "a@x.test", NOW + 1)["id"]


# --- stories -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def bounced(database: Database, clock: Clock) -> Suppression:
    """Suppressed by the second of three attempts; the third was heard of later."""
    ids = Ids(clock)

    def write(connection: Connection) -> str:
        first, second = write_message(
            connection, ids, NOW, ["a@x.test", "b@x.test"], category="orders", client_ip="192.0.2.1", account_id=1
        )
        for number, host in enumerate(("one.x.test", "two.x.test", "three.x.test")):
            write_story(connection, first, State.BOUNCED, host=host, local_ip="192.0.2.9", at=NOW + number * 1000)
        del second
        return first

    recipient = await database.write(write)
    row = entry(1, "a@x.test", NOW + 1000, type=HARD_BOUNCE, category="badrecipient", response="550 no")
    await add(database, row | {"recipient_id": recipient}, entry(1, "b@x.test", NOW))
    return (await page(database, address="a@x.test"))[0]


async def test_a_story_is_that_of_the_message_that_caused_it(database: Database, bounced: Suppression) -> None:
    everything = await page(database)
    stories = await database.read(lambda connection: suppressions.stories(connection, everything))
    assert set(stories) == {bounced.id}
    story = stories[bounced.id]
    assert (story.sender, story.subject, story.category) == ("ann@shop.example", "Hi", "orders")
    assert (story.client_ip, story.sent_at, story.host, story.local_ip) == ("192.0.2.1", NOW, "two.x.test", "192.0.2.9")
    assert (bounced.category, bounced.response) == ("badrecipient", "550 no")


async def test_a_story_that_is_forgotten_leaves_the_suppression(database: Database, bounced: Suppression) -> None:
    for table in ("attempts", "messages"):
        await database.write(lambda connection, table=table: connection.exec_driver_sql(f"DELETE FROM {table}"))  # type: ignore[misc]  # a default binds the loop variable
        stories = await database.read(lambda connection: suppressions.stories(connection, [bounced]))
        if table == "attempts":
            assert (stories[bounced.id].host, stories[bounced.id].subject) == ("", "Hi")
    assert stories == {} and len(await page(database)) == 2


# --- what delivery writes --------------------------------------------------------------------------------------------

office, engines = delivery_support.office, delivery_support.engines


async def test_hard_bounces_of_one_group_are_history_in_one_statement(office: Office) -> None:
    await office.accept("A@dest.test", "b@dest.test", "c@dest.test")
    jobs = await office.claim()
    unknown = Answer(550, "5.1.1", "User unknown", stage="rcpt", transport="mx", host="mx.dest.test", local_ip="::1")
    statements: list[str] = []

    def listen(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(office.database.writer_engine, "before_cursor_execute", listen)
    async with office.one_group():
        futures = [office.settler.settle(job, unknown) for job in jobs]
    await asyncio.gather(*futures)
    assert sum("suppression_history" in statement for statement in statements) == 1
    found = await page(office.database, account_id=office.account)
    stories = await office.database.read(lambda connection: suppressions.stories(connection, found))
    assert {(stories[each.id].host, stories[each.id].local_ip) for each in found} == {("mx.dest.test", "::1")}
    noted = await history(office.database)
    assert {row[:6] for row in noted} == {
        ("created", f"{name}@dest.test", office.domain, "transactional", HARD_BOUNCE, "delivery") for name in "abc"
    }
    assert {row[6] for row in noted} == {each.created_at for each in found}


async def test_an_address_is_put_once_and_lifted_wherever_it_stands(database: Database) -> None:
    await add(
        database,
        entry(1, "a@x.test", NOW - 9, type=SPAM_COMPLAINT),
        entry(1, "a@x.test", NOW - 8, domain_id=5, stream="bulk", type=HARD_BOUNCE),
        entry(1, "a@x.test", NOW - 7, domain_id=5, stream=ANY, type=UNSUBSCRIPTION),
        entry(2, "a@x.test", NOW, type=HARD_BOUNCE),
    )

    async def newest(**query: Any) -> list[tuple[str, int]]:
        asked = Query(**({"account_id": 1} | query))
        found = await database.read(lambda c: suppressions.newest(c, asked, suppressions.LISTED))
        return [(each.type, each.domain_id) for each in found]

    assert await newest() == [(HARD_BOUNCE, 5)]
    assert await newest(domain_ids=frozenset({6})) == []
    await database.write(lambda c: suppressions.put(c, 1, {"A@x.test": HARD_BOUNCE}, "key", NOW))
    assert await newest() == [(HARD_BOUNCE, ALL_DOMAINS)]
    changed = [(row[0], row[4]) for row in await history(database)][-2:]
    assert changed == [("deleted", SPAM_COMPLAINT), ("created", HARD_BOUNCE)]

    async def lift() -> Any:
        return await database.write(lambda c: suppressions.lift(c, 1, ["a@X.test"], "key", NOW))

    assert (await lift(), await lift()) == (["a@x.test"], [])
    assert [each.type for each in await page(database)] == [UNSUBSCRIPTION]


async def test_an_unsubscription_outlives_what_is_put_in_its_place(database: Database) -> None:
    await add(
        database,
        entry(1, "a@x.test", NOW - 9, type=UNSUBSCRIPTION),
        entry(1, "a@x.test", NOW - 8, stream="bulk", type=HARD_BOUNCE),
    )
    await database.write(lambda c: suppressions.put(c, 1, {"a@x.test": HARD_BOUNCE}, "key", NOW))
    await database.write(lambda c: suppressions.lift(c, 1, ["a@x.test"], "key", NOW))
    left = sorted((each.stream, each.type, each.created_at) for each in await page(database))
    assert left == [("bulk", UNSUBSCRIPTION, NOW - 9), ("transactional", UNSUBSCRIPTION, NOW - 9)]


async def test_of_several_that_stand_each_can_be_the_one_that_counts(database: Database) -> None:
    await add(
        database,
        entry(1, "a@x.test", NOW, type=HARD_BOUNCE),
        entry(1, "a@x.test", NOW, domain_id=5, type=SPAM_COMPLAINT),
    )
    target = Target(1, "a@x.test", 5, "bulk")
    found = (await database.read(lambda c: suppressions.matching(c, [target])))[target]
    for counting, expected in ((None, HARD_BOUNCE), ({SPAM_COMPLAINT}, SPAM_COMPLAINT), ({UNSUBSCRIPTION}, "")):
        assert suppressions.stopping(found, counting) == expected
