"""Contacts beside any API: saved one and a thousand at a time, found by rules, cleared away. On both databases."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable
from random import Random
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from mailferry.mail import address as addresses
from mailferry.resources import suppressions
from mailferry.resources.contacts import contacts, fields, lists, purge, rules, segments, values
from mailferry.resources.contacts.contacts import Change, Identifier, Saved
from mailferry.resources.contacts.rules import InLists, OfField, Operator, Rule, Subscribed
from mailferry.resources.contacts.values import DataType
from mailferry.store.database import Database
from mailferry.store.schema import (
    contact_events,
    contact_fields,
    contact_list_members,
    contact_lists,
    contact_values,
)
from mailferry.store.schema import contacts as table
from tests.conftest import Clock
from tests.contact_house import TAGS, ContactHouse


@pytest.fixture
async def house(database: Database, clock: Clock) -> AsyncIterator[ContactHouse]:
    yield await ContactHouse(database, clock).furnish()


def change(house: ContactHouse, email: str, *moved: frozenset[int], **held: Any) -> Change:
    return Change(email, {house.fields[tag].id: value for tag, value in held.items()}, *moved)


async def save(house: ContactHouse, *changes: Change) -> Saved:
    saved: Saved = await house.run(lambda c: contacts.save(c, house.account, changes, house.clock()))
    return saved


async def read(house: ContactHouse, *emails: str) -> list[contacts.Contact]:
    def find(connection: Any) -> list[contacts.Contact]:
        found = [contacts.find(connection, house.account, Identifier(address=email)) for email in emails]
        return contacts.read(connection, house.account, [each.id for each in found if each])

    found: list[contacts.Contact] = await house.run(find)
    return sorted(found, key=lambda each: addresses.key(each.email))


# --- saving


async def test_saved_are_new_ones_and_those_that_are_there(house: ContactHouse, clock: Clock) -> None:
    first, second, third = house.lists
    saved = await save(
        house,
        change(house, "Ann@one.test", frozenset({first, second}), name="Ann", age=30, score=0.5),
        change(house, "bob@two.test"),
    )
    assert set(saved.created) == {"ann@one.test", "bob@two.test"} and not saved.updated
    made_at = clock()
    clock.forward(seconds=5)
    saved = await save(
        house,
        change(house, "ann@ONE.test", frozenset({third}), frozenset({first}), age=31, name=None, vip=True),
        change(house, "eve@two.test", birthday="2000-02-29"),
    )
    assert set(saved.created) == {"eve@two.test"} and set(saved.updated) == {"ann@one.test"}
    ann, bob, eve = await read(house, "ann@one.test", "BOB@two.test", "eve@two.test")
    assert (ann.email, ann.fields, ann.list_ids) == (
        "Ann@one.test",
        {"age": 31, "score": 0.5, "vip": True},
        [second, third],
    )
    assert (ann.created_at, ann.updated_at) == (made_at, clock())
    assert (bob.fields, bob.list_ids, bob.updated_at, bob.subscribed) == ({}, [], made_at, True)
    assert eve.fields == {"birthday": "2000-02-29"}


async def test_of_several_changes_of_one_contact_the_later_one_wins(house: ContactHouse) -> None:
    first, second, _ = house.lists
    saved = await save(
        house,
        change(house, "Ann@one.test", frozenset({first}), frozenset({second}), name="A", age=1),
        change(house, "ann@one.test", frozenset({second}), frozenset({first}), name="B"),
    )
    assert list(saved.created) == ["ann@one.test"]
    (ann,) = await read(house, "ann@one.test")
    assert (ann.fields, ann.list_ids, ann.email) == ({"name": "B", "age": 1}, [second], "Ann@one.test")


async def test_every_value_comes_back_as_it_was(house: ContactHouse) -> None:
    rng = Random(7)
    numbers = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, *(rng.uniform(-1e9, 1e9) for _ in range(200))]
    texts = ["", "'; DROP TABLE contacts; --", '"\\\n\t', "日本語 🎉", "x" * 255, "İß"]
    whole = [0, 2**63 - 1, -(2**63) + 1, 2**53 + 1]
    given = list(itertools.zip_longest(numbers, texts, whole, [True, False], ["0001-01-01", "9999-12-31"]))
    held = [
        {
            tag: value
            for tag, value in zip(("score", "name", "age", "vip", "birthday"), row, strict=True)
            if value is not None
        }
        for row in given
    ]
    await save(house, *(change(house, f"p{place:03}@one.test", **each) for place, each in enumerate(held)))
    found = await read(house, *(f"p{place:03}@one.test" for place in range(len(held))))
    assert [each.fields for each in found] == held
    # And each is found by it.
    for place, number in enumerate(numbers):
        rule = Rule((OfField(house.fields["score"].id, DataType.FLOAT, Operator.EQUAL, number),))
        assert found[place].id in await matched(house, rule)
    rule = Rule((OfField(house.fields["age"].id, DataType.INTEGER, Operator.EQUAL, 2**53 + 1),))
    assert await matched(house, rule) == {found[3].id}


async def test_contacts_of_another_account_are_others(house: ContactHouse) -> None:
    await save(house, change(house, "ann@one.test", frozenset(house.lists), name="Ann"))
    # Neither its fields nor its lists are known there.
    foreign = change(house, "ann@one.test", frozenset(house.lists), name="Eve")
    saved = await house.run(lambda c: contacts.save(c, house.foreign, [foreign], house.clock()))
    (identity,) = saved.created.values()
    (other,) = await house.run(lambda c: contacts.read(c, house.foreign, [identity]))
    assert (other.fields, other.list_ids) == ({}, [])
    assert await house.run(lambda c: contacts.read(c, house.account, [identity])) == []
    assert await house.run(lambda c: contacts.find(c, house.account, Identifier(id=identity))) is None
    assert await house.run(lambda c: contacts.remove(c, house.account, Identifier(id=identity))) is None
    (ann,) = await read(house, "ann@one.test")
    assert ann.fields == {"name": "Ann"} and ann.list_ids == house.lists


async def test_the_same_contacts_saved_by_many_at_once_are_there_once(house: ContactHouse) -> None:
    """And deleted meanwhile: nobody fails, and nothing is left of what is gone."""
    emails = [f"p{number}@one.test" for number in range(40)]

    async def some(seed: int) -> int:
        rng = Random(seed)
        made = 0
        for _ in range(5):
            chosen = rng.sample(emails, 20)
            saved = await save(house, *(change(house, each, frozenset(house.lists), name=str(seed)) for each in chosen))
            made += len(saved.created)
            await house.run(lambda c, who=chosen[0]: contacts.remove(c, house.account, Identifier(address=who)))
        return made

    made = sum(await asyncio.gather(*(some(seed) for seed in range(6))))
    there = await house.count(table)
    assert made >= there > 0
    ids = select(table.c.id)
    for each in (contact_values, contact_list_members):
        orphans = select(each.c.contact_id).where(each.c.contact_id.not_in(ids))
        assert await house.run(lambda c, orphans=orphans: c.execute(orphans).all()) == []
    assert await house.count(contact_values) == there and await house.count(contact_list_members) == 3 * there


# --- lists and fields that go


async def test_a_deleted_list_or_field_is_gone_at_once_and_its_number_is_never_used_again(
    house: ContactHouse, clock: Clock
) -> None:
    await save(
        house, *(change(house, f"p{n}@one.test", frozenset(house.lists), score=float(n), name="x") for n in range(30))
    )
    last, score = house.lists[-1], house.fields["score"]
    assert await house.run(lambda c: lists.delete(c, house.account, last, clock())) is not None
    assert await house.run(lambda c: fields.delete(c, score, clock()))
    (shown,) = await read(house, "p1@one.test")
    assert (shown.fields, shown.list_ids) == ({"name": "x"}, house.lists[:2])
    # Their names are free, and what is made now is empty.
    again = await house.run(lambda c: lists.create(c, house.account, "List C", clock()))
    tag = await house.run(lambda c: fields.create(c, house.account, "Score", DataType.FLOAT, "score", clock()))
    assert again.id > last and tag.id > max(each.id for each in house.fields.values())
    assert await matched(house, Rule((InLists((again.id,)),))) == set()
    assert await matched(house, Rule((InLists((last,)),))) == set()
    # Whoever still names them in an import is not refused for it.
    await save(house, change(house, "p1@one.test", frozenset({last}), score=5.0))
    (shown,) = await read(house, "p1@one.test")
    assert (shown.fields, shown.list_ids) == ({"name": "x"}, house.lists[:2])

    assert await house.run(lambda c: purge.piece(c, clock())) == 0  # a moment later, not now
    clock.forward(hours=1)
    assert await house.run(lambda c: purge.piece(c, clock())) == 60
    assert await house.run(lambda c: purge.piece(c, clock())) == 0
    assert await house.count(contact_lists) == 3 and await house.count(contact_fields) == len(TAGS)
    assert await house.count(contact_values) == 30 and await house.count(contact_list_members) == 60
    gone = await house.run(lambda c: lists.create(c, house.account, "List D", clock()))
    assert gone.id > again.id


async def test_much_is_cleared_away_in_pieces(
    house: ContactHouse, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailferry.resources.contacts.purge.SOME", 7)
    await save(house, *(change(house, f"p{n}@one.test", frozenset(house.lists), age=n) for n in range(10)))
    for each in house.lists:
        await house.run(lambda c, each=each: lists.delete(c, house.account, each, clock()))
    await house.run(lambda c: fields.delete(c, house.fields["age"], clock()))
    clock.forward(hours=1)
    done = []
    while not done or done[-1] == 7:
        done.append(await house.run(lambda c: purge.piece(c, clock())))
    assert sum(done) == 40 and max(done) == 7
    assert await house.count(contact_lists) == await house.count(contact_values) == 0


async def test_a_removed_contact_leaves_nothing(house: ContactHouse, clock: Clock) -> None:
    saved = await save(house, change(house, "ann@one.test", frozenset(house.lists), name="Ann"))
    (identity,) = saved.created.values()
    event = {"account_id": house.account, "contact_id": identity, "name": "e", "created_at": clock()}
    await house.run(lambda c: c.execute(insert(contact_events).values(event)))
    await house.run(lambda c: contacts.remove(c, house.account, Identifier(id=identity)))
    for each in (table, contact_values, contact_list_members, contact_events):
        assert await house.count(each) == 0


# --- rules


async def matched(house: ContactHouse, rule: Rule) -> set[str]:
    found = await house.database.read(
        lambda c: c.execute(rules.matching(house.account, rule)).scalars().all(),
    )
    assert len(found) == len(set(found))
    assert await house.database.read(lambda c: segments.count(c, house.account, rule)) == len(found)
    return set(found)


class Oracle:
    """The same question, asked of plain objects."""

    def __init__(self, house: ContactHouse, people: Iterable[contacts.Contact]) -> None:
        self.tags = {field.id: tag for tag, field in house.fields.items()}
        self.people = list(people)

    def matched(self, rule: Rule) -> set[str]:
        test = all if rule.all_of else any
        return {each.id for each in self.people if test(self.meets(each, one) for one in rule.conditions)}

    def meets(self, person: contacts.Contact, condition: rules.Condition) -> bool:
        match condition:
            case InLists(wanted):
                return bool(set(wanted) & set(person.list_ids))
            case Subscribed(value):
                return person.subscribed is value
        held: Any = person.fields.get(self.tags[condition.field_id])
        wanted: Any = condition.value
        if condition.data_type is DataType.TEXT:
            held, wanted = (each and each.casefold() for each in (held, wanted))
        there = held is not None
        match condition.operator:
            case Operator.EQUAL:
                return there and held == wanted
            case Operator.NOT_EQUAL:
                return not (there and held == wanted)
            case Operator.CONTAIN:
                return there and wanted in held
            case Operator.NOT_CONTAIN:
                return not (there and wanted in held)
            case Operator.STARTS_WITH:
                return there and held.startswith(wanted)
            case Operator.GREATER_THAN:
                return there and held > wanted
            case Operator.LESS_THAN:
                return there and held < wanted
            case Operator.EMPTY:
                return held in (None, "")
            case Operator.NOT_EMPTY:
                return held not in (None, "")


CHOICES: dict[str, list[Any]] = {
    "name": ["", "Ann", "ANN", "annabel", "100%", "1000", "a_c", "abc", "Straße", "STRASSE", "\\"],
    "age": [-5, 0, 7, 30, 2**62],
    "score": [-1.5, 0.0, 0.1, 0.30000000000000004],
    "vip": [True, False],
    "birthday": ["1969-12-31", "1970-01-01", "2024-02-29"],
}


async def test_rules_are_the_same_in_sql_and_in_words(house: ContactHouse) -> None:
    rng = Random(11)
    people = []
    for number in range(60):
        held = {tag: rng.choice(each) for tag, each in CHOICES.items() if rng.random() < 0.7}
        member = frozenset(each for each in house.lists if rng.random() < 0.3)
        people.append(change(house, f"p{number}@one.test", member, **held))
    await save(house, *people)
    for number in range(0, 60, 7):
        row = suppressions.entry(
            house.account, f"P{number}@one.test", house.clock(), stream=rng.choice(suppressions.STREAMS)
        )
        await house.run(lambda c, row=row: suppressions.add(c, [row]))
    await house.run(lambda c: contacts.save(c, house.foreign, [Change("p0@one.test", {})], house.clock()))
    oracle = Oracle(house, await read(house, *(f"p{number}@one.test" for number in range(60))))
    assert 0 < sum(not each.subscribed for each in oracle.people) < 9
    for rule in random_rules(house, rng, 150):
        assert rules.read(rules.written(rule)) == rule
        assert await matched(house, rule) == oracle.matched(rule), rule
    assert await matched(house, Rule()) == {each.id for each in oracle.people}


def random_rules(house: ContactHouse, rng: Random, number: int) -> Iterable[Rule]:
    for _ in range(number):
        conditions: list[rules.Condition] = []
        for _ in range(rng.choice((1, 1, 2, 3))):
            if (kind := rng.random()) < 0.1:
                conditions.append(Subscribed(rng.random() < 0.5))
            elif kind < 0.2:
                conditions.append(InLists(tuple(rng.sample(house.lists, rng.choice((1, 2))))))
            else:
                tag = rng.choice(list(TAGS))
                operator = rng.choice(rules.OPERATORS[TAGS[tag]])
                value = rng.choice([each for each in CHOICES[tag] if each != ""])
                asked = None if operator in rules.PRESENCE else value
                conditions.append(OfField(house.fields[tag].id, TAGS[tag], operator, asked))
        yield Rule(tuple(conditions), rng.random() < 0.6)


async def test_a_segment_s_pages_hold_everybody_once(house: ContactHouse) -> None:
    await save(house, *(change(house, f"p{n}@one.test", age=n) for n in range(25)))
    rule = Rule((OfField(house.fields["age"].id, DataType.INTEGER, Operator.LESS_THAN, 20),))
    seen: list[str] = []

    def read(connection: Any) -> list[contacts.Contact]:
        return segments.page(connection, house.account, rule, seen[-1] if seen else "", 6)

    while page := await house.database.read(read):
        assert len(page) <= 6
        seen += [each.id for each in page]
    assert len(seen) == len(set(seen)) == 20 and seen == sorted(seen)


async def test_a_value_without_a_key_of_its_type_is_found_by_none(house: ContactHouse) -> None:
    """The three keys are apart: a number in text is no number."""
    await save(house, change(house, "ann@one.test", name="5", age=5))
    row = values.row(DataType.TEXT, "5")
    assert (row["text_key"], row["integer_key"], row["float_key"]) == ("5", None, None)
    await house.run(lambda c: c.execute(update(table).values(updated_at=1)))
    rule = Rule((OfField(house.fields["name"].id, DataType.INTEGER, Operator.EQUAL, 5),))
    assert await matched(house, rule) == set()
