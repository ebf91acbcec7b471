"""The email log over the journal's tables, on both databases."""

from dataclasses import replace
from functools import partial
from itertools import product

import pytest

from mailferry.journal import search as search_module
from mailferry.journal.conditions import FIELDS, Condition, Match, Standing, standing
from mailferry.journal.events import Kind, State
from mailferry.journal.ids import Ids
from mailferry.journal.search import PAGE, Happening, Page, Query, find, search
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.fakes.journal import write_message, write_story


class Log:
    """Writes and asks; names what is found by the recipients' addresses."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self.ids = Ids(clock)

    async def message(self, *addresses: str, **columns: object) -> list[str]:
        self.clock.forward(seconds=1)
        return await self.database.write(
            lambda connection: write_message(connection, self.ids, self.clock(), addresses, **columns)
        )

    async def story(self, recipient_id: str, state: State, *kinds: Kind, **columns: object) -> None:
        happenings = [(kind, self.clock() + place, {}) for place, kind in enumerate(kinds)]
        await self.database.write(
            lambda connection: write_story(connection, recipient_id, state, happenings, **columns)
        )

    async def page(self, **query: object) -> Page:
        return await self.database.read(lambda connection: search(connection, Query(**{"account_id": 7, **query})))

    async def found(self, *conditions: Condition, **query: object) -> list[str]:
        page = await self.page(conditions=conditions, **query)
        assert page.total == len(page.entries)
        return [entry.recipient for entry in page.entries]


@pytest.fixture
def log(database: Database, clock: Clock) -> Log:
    return Log(database, clock)


async def test_an_empty_log(log: Log) -> None:
    assert await log.page() == Page((), 0, None)


async def test_one_entry_a_recipient_newest_first(log: Log) -> None:
    await log.message("a@x.example", "b@x.example")
    await log.message("c@x.example", account_id=8)
    ids = await log.message(
        "d@x.example", category="c", custom_variables='{"k":"v"}', client_ip="192.0.2.1", stream="bulk"
    )
    page = await log.page()
    assert [entry.recipient for entry in page.entries] == ["d@x.example", "b@x.example", "a@x.example"]
    entry = page.entries[0]
    assert (entry.recipient_id, entry.sent_at, entry.state) == (ids[0], log.clock(), State.QUEUED)
    assert (entry.category, entry.custom_variables, entry.client_ip, entry.stream) == (
        "c",
        '{"k":"v"}',
        "192.0.2.1",
        "bulk",
    )


async def test_pages_follow_each_other_without_gap_or_double(log: Log) -> None:
    for _ in range(3):
        await log.message(*(f"r{number}@x.example" for number in range(PAGE // 2)))
    seen: list[str] = []
    cursor, pages = "", 0
    while pages == 0 or cursor:
        page = await log.page(older_than=cursor)
        assert page.total == 3 * (PAGE // 2)
        seen += [entry.recipient_id for entry in page.entries]
        cursor, pages = page.cursor or "", pages + 1
    assert (len(seen), len(set(seen)), pages) == (150, 150, 2)
    assert seen == sorted(seen, reverse=True)


async def test_the_last_full_page_has_no_next(log: Log) -> None:
    await log.message(*(f"r{number}@x.example" for number in range(PAGE)))
    assert (await log.page()).cursor is None


async def test_a_walk_meets_everything_once_in_short_steps(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "STRETCH", 3)
    first = [(await log.message(f"{number}@x.example", account_id=7 + number % 2))[0] for number in range(10)]

    async def walked(**query: object) -> tuple[str, list[int]]:
        asked, found, steps = Query(**{"account_id": 7, **query}), "", []
        while True:
            stretch = await log.database.read(partial(search_module.walk, query=asked))
            found += "".join(entry.recipient[0] for entry in stretch.entries)
            steps.append(len(stretch.entries))
            if stretch.after is None:
                return found, steps
            asked = replace(asked, older_than=stretch.after)

    assert await walked() == ("86420", [3, 2])
    assert await walked(account_id=None) == ("9876543210", [3, 3, 3, 1])
    assert await walked(account_id=9) == ("", [0])
    assert await walked(account_id=None, older_than=first[3]) == ("210", [3, 0])
    rare = (Condition("recipient", Match.IS, ("0@x.example", "8@x.example")),)
    assert await walked(conditions=rare) == ("80", [1, 1])
    start = log.clock() - 9000
    assert await walked(account_id=None, sent_from=start + 2000, sent_until=start + 3000) == ("32", [0, 0, 2, 0])


async def test_a_domain_sees_only_its_own(log: Log) -> None:
    (mine,) = await log.message("a@x.example", domain_id=5)
    (other,) = await log.message("b@x.example", domain_id=6)
    assert await log.found(domain_ids=frozenset({5})) == ["a@x.example"]
    for wanted, expected in ((mine, True), (other, False), ("00000000-0000-7000-8000-000000000000", False)):
        found = await log.database.read(lambda connection, id=wanted: find(connection, Query(7, frozenset({5})), id))
        assert (found is not None) is expected
    foreign = await log.database.read(lambda connection: find(connection, Query(8), mine))
    assert foreign is None


async def test_times_are_bounds_that_belong_to_the_range(log: Log) -> None:
    times = []
    for name in "abc":
        await log.message(f"{name}@x.example")
        times.append(log.clock())
    assert await log.found(sent_from=times[1]) == ["c@x.example", "b@x.example"]
    assert await log.found(sent_until=times[1]) == ["b@x.example", "a@x.example"]
    assert await log.found(sent_from=times[1], sent_until=times[1]) == ["b@x.example"]
    assert await log.found(sent_from=-(10**15), sent_until=10**18) == ["c@x.example", "b@x.example", "a@x.example"]


async def test_texts_fold_case_where_asked(log: Log) -> None:
    await log.message("Bob@Example.NET", subject="Your Order 100%_/")
    await log.message("eve@example.net", subject="")
    bob, eve = "Bob@Example.NET", "eve@example.net"
    assert await log.found(Condition("recipient", Match.IS, ("bob@example.net",), fold=True)) == [bob]
    assert await log.found(Condition("recipient", Match.IS, ("bob@example.net",))) == []
    assert await log.found(Condition("recipient", Match.IS, ("bob@example.net", eve), fold=True)) == [eve, bob]
    assert await log.found(Condition("recipient", Match.IS_NOT, ("bob@example.net", eve), fold=True)) == []
    assert await log.found(Condition("recipient", Match.CONTAINS, ("BOB@",), fold=True)) == [bob]
    assert await log.found(Condition("recipient", Match.CONTAINS_NOT, ("bob@",), fold=True)) == [eve]
    assert await log.found(Condition("subject", Match.EMPTY)) == [eve]
    assert await log.found(Condition("subject", Match.NOT_EMPTY)) == [bob]


async def test_signs_of_like_stand_for_themselves(log: Log) -> None:
    await log.message("bob@example.net", subject="Your Order 100%_/")
    for part, hit in (("100%_/", True), ("%", True), ("0_", False), ("o%r", False), ("/", True), ("//", False)):
        found = await log.found(Condition("subject", Match.CONTAINS, (part,), fold=True))
        assert found == (["bob@example.net"] if hit else []), part


async def test_plain_fields(log: Log) -> None:
    await log.message(
        "a@x.example", category="c1", stream="bulk", domain_id=5, client_ip="192.0.2.1", sender="Ann@y.example"
    )
    await log.message("b@x.example", category="c2", domain_id=6)
    a, b = "a@x.example", "b@x.example"
    for field, value in (("category", "c1"), ("stream", "bulk"), ("domain", 5), ("client_ip", "192.0.2.1")):
        assert await log.found(Condition(field, Match.IS, (value,))) == [a]
        assert await log.found(Condition(field, Match.IS_NOT, (value,))) == [b]
    assert await log.found(Condition("sender", Match.CONTAINS, ("ann@Y",), fold=True)) == [a]
    assert await log.found(Condition("state", Match.IS, ("queued",))) == [b, a]
    assert await log.found(Condition("category", Match.IS, ("c1", "c2")), Condition("domain", Match.IS, (6,))) == [b]


async def test_events_and_counts(log: Log) -> None:
    a, b, c = await log.message("a@x.example", "b@x.example", "c@x.example")
    await log.story(a, State.DELIVERED, Kind.ACCEPTED, Kind.DELIVERY, Kind.OPEN, Kind.OPEN, Kind.CLICK)
    await log.story(b, State.BOUNCED, Kind.ACCEPTED, Kind.SOFT_BOUNCE, Kind.BOUNCE)
    await log.story(c, State.DELIVERED, Kind.ACCEPTED, Kind.DELIVERY, Kind.SPAM)
    assert await log.found(Condition("event", Match.IS, (Kind.OPEN,))) == ["a@x.example"]
    assert await log.found(Condition("event", Match.IS, (Kind.OPEN, Kind.BOUNCE))) == ["b@x.example", "a@x.example"]
    assert await log.found(Condition("event", Match.IS_NOT, (Kind.OPEN, Kind.BOUNCE))) == ["c@x.example"]
    assert await log.found(Condition("opens", Match.ABOVE, (1,))) == ["a@x.example"]
    assert await log.found(Condition("opens", Match.IS, (0,))) == ["c@x.example", "b@x.example"]
    assert await log.found(Condition("clicks", Match.BELOW, (1,))) == ["c@x.example", "b@x.example"]
    counted = {entry.recipient: (entry.opens, entry.clicks, entry.opted_out) for entry in (await log.page()).entries}
    assert counted == {"a@x.example": (2, 1, False), "b@x.example": (0, 0, False), "c@x.example": (0, 0, True)}


async def test_what_hosts_answered(log: Log) -> None:
    a, _ = await log.message("a@x.example", "b@x.example")
    await log.story(a, State.BOUNCED, host="MX1.x.example", local_ip="198.51.100.4", response="User unknown")
    assert await log.found(Condition("host", Match.IS, ("mx1.X.example",), fold=True)) == ["a@x.example"]
    assert await log.found(Condition("host", Match.CONTAINS_NOT, ("mx",), fold=True)) == ["b@x.example"]
    assert await log.found(Condition("source_ip", Match.CONTAINS, ("198.51",))) == ["a@x.example"]
    assert await log.found(Condition("response", Match.CONTAINS, ("user",), fold=True)) == ["a@x.example"]


async def test_the_provider_is_the_one_that_answered_last(log: Log) -> None:
    a, b, c, _ = await log.message("a@x.example", "b@x.example", "c@x.example", "d@x.example")
    told = {
        a: [(Kind.SOFT_BOUNCE, {"provider": "Other"}), (Kind.DELIVERY, {"provider": "Google Workspace"})],
        b: [(Kind.DELIVERY, {"provider": "Google"}), (Kind.OPEN, {"url": '"provider":"Yahoo"'})],
        c: [(Kind.BOUNCE, {"provider": "GMX.net", "response": 'x","provider":"Yahoo"'}), (Kind.BOUNCE, {})],
    }
    for identity, story in told.items():
        happenings = [(kind, place, facts) for place, (kind, facts) in enumerate(story)]
        await log.database.write(
            lambda connection, identity=identity, happenings=happenings: write_story(
                connection, identity, State.DELIVERED, happenings
            )
        )

    async def of(match: Match, *names: str) -> str:
        return "".join(address[0] for address in await log.found(Condition("provider", match, names)))

    assert await of(Match.IS, "Google") == "b"
    assert await of(Match.IS, "Google Workspace", "GMX.net") == "ca"
    assert await of(Match.IS_NOT, "Google", "GMX.net") == "da"
    assert [await of(Match.IS, name) for name in ("Other", "Yahoo", "google", "GMX_net", "%", "")] == [""] * 6
    assert await of(Match.IS_NOT, "%") == "dcba"


async def test_standing_is_the_same_in_sql_and_in_python(log: Log) -> None:
    for state, opted_out in product(State, (False, True)):
        (recipient_id,) = await log.message(f"{state}.{opted_out}@x.example")
        await log.story(recipient_id, state, *([Kind.UNSUBSCRIBE] if opted_out else []))
    for wanted in Standing:
        expected = {
            f"{state}.{opted_out}@x.example"
            for state, opted_out in product(State, (False, True))
            if standing(state, opted_out) is wanted
        }
        assert set(await log.found(Condition("standing", Match.IS, (wanted,)))) == expected
        assert {entry.recipient for entry in (await log.page()).entries if entry.standing is wanted} == expected
    several = await log.found(Condition("standing", Match.IS_NOT, (Standing.WAITING, Standing.FAILED)))
    assert {address.partition(".")[0] for address in several} == {"delivered", "sent"}


async def test_one_entry_with_its_events_oldest_first(log: Log) -> None:
    (recipient_id,) = await log.message("a@x.example")
    facts = {"host": "mx.x.example", "response": "ü"}

    def write(connection: object) -> None:
        write_story(connection, recipient_id, State.DELIVERED, [(Kind.OPEN, 9, {}), (Kind.DELIVERY, 5, facts)])

    await log.database.write(write)
    found = await log.database.read(lambda connection: find(connection, Query(7), recipient_id))
    assert found is not None
    assert found[0].opens == 1
    assert found[1] == (Happening(Kind.DELIVERY, 5, facts), Happening(Kind.OPEN, 9, {}))


async def test_no_value_breaks_out_of_a_condition(log: Log) -> None:
    await log.message("a@x.example")
    values = {"standing": ("delivered",), "domain": (10**18,), "opens": (10**18,), "clicks": (10**18,)}
    evil = ("' OR 1=1 --", "\\", "a%' ESCAPE '", "\U0001f600")
    for field in FIELDS:
        for match in (Match.IS, Match.CONTAINS) if field not in values and field != "event" else (Match.IS,):
            assert await log.found(Condition(field, match, values.get(field, evil))) == []
