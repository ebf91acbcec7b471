"""Templates, their versions and what they leave in the audit log, on both databases."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from mailferry.resources import accounts, audit, templates
from mailferry.resources.audit import Actor
from mailferry.resources.templates import Facts, Template, Texts
from mailferry.store.database import Database
from tests.conftest import Clock

ANN = Actor("api_token", 7, "Ann")
FACTS = Facts("Welcome", "onboarding")
TEXTS = Texts("Hi {{name}}", "<p>Hi {{name}}</p>", "Hi {{name}}")


@pytest.fixture
async def account(database: Database, clock: Clock) -> int:
    return await database.write(lambda c: accounts.create_account(c, "Shop", clock()))


async def create(database: Database, account: int, now: int = 1000, **changes: Any) -> Template:
    facts = replace(FACTS, **{name: value for name, value in changes.items() if name in ("name", "category")})
    made = await database.write(
        lambda c: templates.create(c, account, facts, TEXTS, ANN, now, most=200, uuid=changes.get("uuid", ""))
    )
    assert made is not None
    return made


async def change(database: Database, template: Template, now: int = 2000, **changes: Any) -> Template:
    head = template.head
    changed = await database.write(lambda c: templates.change(c, head.account_id, head.id, changes, ANN, now))
    assert changed is not None
    return changed


async def told(database: Database, account: int) -> list[tuple[str, Any]]:
    rows = await database.read(lambda c: audit.page(c, account))
    return [(row.event, msgspec.json.decode(row.changes)) for row in reversed(rows)]


async def test_a_template_is_made_found_and_removed(database: Database, account: int) -> None:
    made = await create(database, account)
    head = made.head
    assert (head.facts, made.texts, head.version, head.created_at, head.updated_at) == (FACTS, TEXTS, 1, 1000, 1000)
    assert head.size == sum(len(text) for text in ("Hi {{name}}", "<p>Hi {{name}}</p>", "Hi {{name}}"))
    assert head.facts.escape and not head.facts.strict
    other = await create(database, account)
    assert other.head.id > head.id and other.head.uuid != head.uuid, "one name for several is no mistake"

    def read(connection: Connection) -> list[Any]:
        return [
            templates.by_id(connection, account, head.id),
            templates.by_id(connection, account + 1, head.id),
            [each.id for each in templates.heads(connection, account)],
            [each.id for each in templates.heads(connection, account, limit=1, offset=1)],
            [each.id for each in templates.named(connection, account, "Welcome")],
            templates.of_uuids(connection, account, [head.uuid, "no"]),
            templates.of_uuids(connection, account + 1, [head.uuid]),
            templates.count(connection, account),
        ]

    ids = [other.head.id, head.id]
    assert await database.read(read) == [made, None, ids, [head.id], ids[::-1], {head.uuid: head}, {}, 2]

    assert not await database.write(lambda c: templates.remove(c, account + 1, head.id, ANN, 3000))
    assert await database.write(lambda c: templates.remove(c, account, head.id, ANN, 3000))
    assert not await database.write(lambda c: templates.remove(c, account, head.id, ANN, 3000))
    assert await database.read(lambda c: templates.versions(c, head.id)) == []
    assert [event for event, _ in await told(database, account)] == [
        *["email_template.created"] * 2,
        "email_template.deleted",
    ]


async def test_an_id_never_comes_twice(database: Database, account: int) -> None:
    """The log says which template a message came from, longer than that is there."""
    made = await create(database, account)
    await database.write(lambda c: templates.remove(c, account, made.head.id, ANN, 3000))
    assert (await create(database, account)).head.id > made.head.id


async def test_other_texts_are_a_new_version_and_other_facts_are_none(database: Database, account: int) -> None:
    made = await create(database, account)
    renamed = await change(database, made, name="Hello", category="onboarding")
    assert (renamed.head.facts.name, renamed.head.version, renamed.head.updated_at) == ("Hello", 1, 2000)
    second = await change(database, renamed, 3000, body_html="", subject=TEXTS.subject)
    assert (second.head.version, second.texts) == (2, replace(TEXTS, body_html=""))
    assert await change(database, second, 4000, name="Hello", body_html="") == second, "nothing was changed"

    listed = await database.read(lambda c: templates.versions(c, made.head.id))
    assert [(each.number, each.created_by, each.created_at) for each in listed] == [(2, "Ann", 3000), (1, "Ann", 1000)]
    old = await database.read(lambda c: templates.version(c, made.head.id, 1))
    assert old is not None and old[1] == TEXTS
    assert await database.read(lambda c: templates.version(c, made.head.id, 9)) is None
    assert await told(database, account) == [
        ("email_template.created", {}),
        ("email_template.updated", {"name": {"from": "Welcome", "to": "Hello"}}),
        ("email_template.updated", {"version": {"from": 1, "to": 2}}),
    ]


async def test_an_old_version_comes_back_as_a_new_one(database: Database, account: int) -> None:
    made = await create(database, account)
    await change(database, made, body_text="Bye")
    restored = await database.write(lambda c: templates.restore(c, account, made.head.id, 1, ANN, 5000))
    assert restored is not None and (restored.head.version, restored.texts) == (3, TEXTS)
    again = await database.write(lambda c: templates.restore(c, account, made.head.id, 3, ANN, 6000))
    assert again == restored
    assert await database.write(lambda c: templates.restore(c, account, made.head.id, 7, ANN, 6000)) is None
    assert await database.write(lambda c: templates.restore(c, account + 1, made.head.id, 1, ANN, 6000)) is None


async def test_versions_are_kept_by_number_and_by_size(
    database: Database, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "KEPT_VERSIONS", 3)
    monkeypatch.setattr(templates, "KEPT_OCTETS", 1000)

    async def numbers() -> list[int]:
        return [each.number for each in await database.read(lambda c: templates.versions(c, made.head.id))]

    made = await create(database, account)
    for number in range(4):
        await change(database, made, body_text=f"text {number}")
    assert await numbers() == [5, 4, 3]
    await change(database, made, body_text="x" * 930)
    assert await numbers() == [6, 5]
    await change(database, made, body_text="ü" * 900)
    assert await numbers() == [7], "the one that is sent always stays"


async def test_an_account_has_so_many_and_no_more(database: Database, account: int) -> None:
    other = await database.write(lambda c: accounts.create_account(c, "Other", 1))

    def two(connection: Connection, owner: int) -> Template | None:
        return templates.create(connection, owner, FACTS, TEXTS, ANN, 1, most=2)

    assert [bool(await database.write(lambda c: two(c, account))) for _ in range(3)] == [True, True, False]
    assert await database.write(lambda c: two(c, other))
    assert len(await told(database, account)) == 2


async def test_a_template_that_moves_in_keeps_its_uuid(database: Database, account: int) -> None:
    uuid = "be5ed4dd-b374-4856-928d-f0957304123d"
    assert (await create(database, account, uuid=uuid)).head.uuid == uuid
    with pytest.raises(IntegrityError):
        await create(database, account, uuid=uuid)
