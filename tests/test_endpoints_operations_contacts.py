"""Contacts by an operator, on both databases; what the command does with files is in test_cli_contacts.py."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from mailferry.endpoints.operations import contacts as verbs
from mailferry.endpoints.operations.tools import Mistake, Tools
from mailferry.resources import suppressions
from mailferry.store.database import Database
from mailferry.store.schema import audit_log
from tests.conftest import Clock
from tests.operator_tools import two_accounts

SECOND = 2


@pytest.fixture
async def tools(database: Database, clock: Clock) -> AsyncIterator[Tools]:
    async with two_accounts(database, clock) as made:
        yield made


async def take(tools: Tools, *rows: Any, **how: Any) -> dict[str, int]:
    return await verbs.contacts_import(tools, rows, "people.csv", True, **how)


async def test_a_piece_is_saved_and_what_it_ends_is_suppressed(tools: Tools) -> None:
    list_id = (await verbs.contacts_add_list(tools, " News "))["id"]
    field_id = str((await verbs.contacts_add_field(tools, "age", type="integer"))["id"])
    rows = (["Ann@x.test", {field_id: 30}, [list_id], False], ["bob@x.test", {}, [], True])
    assert await take(tools, *rows) == {"created": 2, "updated": 0}
    assert await take(tools, *rows) == {"created": 0, "updated": 2}
    found = {
        each["email"]: each for each in await verbs.contacts_list(tools)
    }  # ids of one millisecond stand in no order
    ann, bob = found["Ann@x.test"], found["bob@x.test"]
    assert (ann["fields"], ann["list_ids"], ann["status"]) == ({"age": 30}, [list_id], "subscribed")
    assert (bob["email"], bob["status"]) == ("bob@x.test", "unsubscribed")
    standing = await tools.database.read(lambda c: suppressions.page(c, suppressions.Query(1)))
    assert [(each.address, each.type, each.stream) for each in standing] == [("bob@x.test", "unsubscription", "bulk")]
    events = await tools.database.read(lambda c: c.execute(select(audit_log.c.event)).scalars().all())
    assert events == ["contact_list.created", "contact_field.created", "contact.imported", "contact.imported"]


async def test_accounts_are_apart(tools: Tools) -> None:
    await take(tools, ["ann@x.test", {}, [], False])
    assert await verbs.contacts_list(tools, account=SECOND) == []
    for verb in (verbs.contacts_show, verbs.contacts_delete):
        with pytest.raises(Mistake, match="there is no contact"):
            await verb(tools, "ann@x.test", account=SECOND)
    with pytest.raises(Mistake):
        await take(tools, ["ann@x.test", {}, [], False], account=99)


async def test_an_export_walks_through_all_in_pieces(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "EXPORTED", 3)
    await take(tools, *([f"u{n}@x.test", {}, [], False] for n in range(7)))
    after, found = "", []
    while True:
        piece = await verbs.contacts_export(tools, after)
        found += [each["email"] for each in piece["rows"]]
        if not (after := piece["after"]):
            break
    assert sorted(found) == [f"u{n}@x.test" for n in range(7)]


async def test_one_is_shown_by_id_and_deleted_with_its_values(tools: Tools) -> None:
    field_id = str((await verbs.contacts_add_field(tools, "name"))["id"])
    await take(tools, ["ann@x.test", {field_id: "Ann"}, [], False])
    shown = await verbs.contacts_show(tools, "ANN@x.test")
    assert await verbs.contacts_show(tools, shown["id"]) == shown and shown["fields"] == {"name": "Ann"}
    assert await verbs.contacts_delete(tools, shown["id"]) == {"id": shown["id"], "email": "ann@x.test"}
    await take(tools, ["ann@x.test", {}, [], False])
    assert (await verbs.contacts_show(tools, "ann@x.test"))["fields"] == {}
