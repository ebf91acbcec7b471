"""Templates that the command line puts: on both databases, and beside those of other accounts."""

import pytest

from mailferry.endpoints.operations.templates import templates_list, templates_put, templates_show
from mailferry.endpoints.operations.tools import Mistake, Tools
from mailferry.net.dns import Resolver
from mailferry.resources import accounts, templates
from mailferry.resources.audit import Actor
from mailferry.resources.templates import Facts, Texts
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.operator_tools import make_tools

UUID = "be5ed4dd-b374-4856-928d-f0957304123d"


@pytest.fixture
async def tools(database: Database, clock: Clock) -> Tools:
    for name in ("Shop", "Foreign"):
        await database.write(lambda c, name=name: accounts.create_account(c, name, clock()))
    resolver = Resolver(["127.0.0.1:9"], clock=clock)
    return make_tools(database, clock, resolver)


async def test_put_makes_changes_and_leaves_alone(tools: Tools, clock: Clock) -> None:
    given = {"name": " Welcome ", "category": "c", "subject": "Hi {{name}}", "body_text": "x"}
    deeds = []
    for changes in ({}, {}, {"body_text": "y"}, {"strict": True}, {"uuid": UUID}, {"uuid": UUID, "name": "Other"}):
        clock.forward(seconds=1)
        deeds.append((await templates_put(tools, **(given | changes)))["deed"])
    assert deeds == ["created", "unchanged", "updated", "updated", "created", "updated"]
    assert [(each["name"], each["version"], each["strict"]) for each in await templates_list(tools)] == [
        ("Other", 1, False),
        ("Welcome", 3, True),
    ]
    shown = await templates_show(tools, UUID.upper())
    assert (shown["uuid"], shown["reads"], shown["body_text"]) == (UUID, ["name"], "x")


async def test_what_another_account_has_is_neither_seen_nor_taken(tools: Tools) -> None:
    actor, facts = Actor("user", 1, "Eve"), Facts("Theirs", "c")
    made = await tools.database.write(lambda c: templates.create(c, 2, facts, Texts("s"), actor, 1, most=10, uuid=UUID))
    assert made is not None and await templates_list(tools) == []
    (listed,) = await templates_list(tools, account=2)
    assert (await templates_show(tools, "Theirs", account=2))["uuid"] == listed["uuid"] == UUID
    same = await templates_put(tools, "Theirs", "c", "s", uuid=UUID, account=2)
    assert (same["id"], same["deed"]) == (made.head.id, "unchanged")
    with pytest.raises(Mistake, match="there is no account 9; there are: 1, 2"):
        await templates_list(tools, account=9)
    for wanted in (UUID, "Theirs", str(made.head.id)):
        with pytest.raises(Mistake, match="there is no template"):
            await templates_show(tools, wanted)
    with pytest.raises(Mistake, match=f"a template of another account has the UUID {UUID}"):
        await templates_put(tools, "Mine", "c", "s", uuid=UUID)
