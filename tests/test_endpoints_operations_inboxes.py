"""Projects and inboxes by an operator: made, listed without passwords, and what they caught."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from mailferry.cli import app as cli
from mailferry.cli import inboxes as cli_inboxes
from mailferry.endpoints.operations.tools import Mistake
from mailferry.journal.ids import Ids
from mailferry.sandbox.capture import Capture, Sandbox
from mailferry.store.database import Database
from mailferry.store.schema import audit_log
from tests.conftest import Clock
from tests.fakes.captured import MemoryContent
from tests.operator_tools import FIRST, SECOND, Operator, two_accounts


@pytest.fixture
async def operator(database: Database, clock: Clock) -> AsyncIterator[Operator]:
    async with two_accounts(database, clock) as tools:
        yield Operator(tools)


async def test_an_inbox_is_made_in_a_project_of_its_account(operator: Operator) -> None:
    with pytest.raises(Mistake, match=f"account {SECOND} has no project"):
        await operator.ask("inboxes.add", name="Staging", account=SECOND)
    project = await operator.ask("projects.add", name="Shop", account=SECOND)
    made = await operator.ask("inboxes.add", name="Staging", account=SECOND)
    assert (made["project_id"], made["messages"]) == (project["id"], 0)
    with pytest.raises(Mistake, match=f"account {FIRST} has no project {project['id']}"):
        await operator.ask("inboxes.add", name="Staging", project=project["id"], account=FIRST)
    for name in ("x", "x" * 101, "two\nlines"):
        with pytest.raises(Mistake):
            await operator.ask("projects.add", name=name)
    assert await operator.ask("projects.list", account=SECOND) == [project | {"inboxes": [made["id"]]}]
    password = made.pop("password")
    assert await operator.ask("inboxes.list", account=SECOND) == [made]
    assert await operator.ask("inboxes.show", inbox=made["id"]) == made | {"password": password}
    with pytest.raises(Mistake, match=f"there is no inbox {made['id']} of account {FIRST}"):
        await operator.ask("inboxes.show", inbox=made["id"], account=FIRST)
    events = await operator.tools.database.read(lambda c: c.execute(select(audit_log.c.event)).scalars().all())
    assert events[-2:] == ["project.created", "inbox.created"]


async def test_what_was_caught_is_listed_searched_and_paged(
    operator: Operator, database: Database, clock: Clock
) -> None:
    await operator.ask("projects.add", name="Shop", account=SECOND)
    inbox = (await operator.ask("inboxes.add", name="Staging", account=SECOND))["id"]
    sandbox = Sandbox(database, MemoryContent(), Ids(clock), clock)
    texts = [f"From: a@b.test\r\nTo: c@d.test\r\nSubject: No. {n}\r\n\r\nHi\r\n".encode() for n in range(3)]
    ids = await sandbox.capture([Capture(inbox, text, "smtp", "a@b.test", ("c@d.test", "e@f.test")) for text in texts])
    listed = await operator.ask("inboxes.messages", inbox=inbox)
    assert [each["id"] for each in listed] == ids[::-1]
    assert (listed[0]["subject"], listed[0]["recipients"]) == ("No. 2", ["c@d.test", "e@f.test"])
    assert [each["id"] for each in await operator.ask("inboxes.messages", inbox=inbox, search="no. 1")] == [ids[1]]
    assert [each["id"] for each in await operator.ask("inboxes.messages", inbox=inbox, before=ids[1])] == [ids[0]]


def test_the_command_line_shows_them(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    inbox = {
        "id": 7,
        "account_id": 1,
        "project_id": 2,
        "name": "Sta\x1bging",
        "username": "u" * 14,
        "password": "p" * 14,
    }
    told = inbox | {"messages": 3, "unread": 1, "max_size": 10, "last_message_at": None}
    message = {
        "id": 9,
        "caught_at": "2026-11-25T00:00:00Z",
        "from": "a@b.test",
        "to": "c@d.test",
        "subject": "Hi\x1b[2J",
    }
    answers: dict[str, Any] = {
        "inboxes.add": told,
        "inboxes.list": [told],
        "inboxes.messages": [message | {"size": 5, "is_read": False}],
        "projects.list": [{"id": 2, "account_id": 1, "name": "Shop", "inboxes": [7]}],
    }
    monkeypatch.setattr(cli_inboxes, "call", lambda config, verb, **given: answers[verb])
    for words in ("inboxes add Staging", "inboxes list", "inboxes messages 7", "projects list"):
        assert cli.run(words.split()) == 0
    out = capsys.readouterr().out
    assert "u" * 14 in out and "p" * 14 in out and "/api/send/7" in out and "3 of 10" in out and "Shop" in out
    assert "\x1b" not in out
