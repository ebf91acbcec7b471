"""Mailtrap's API in process with everything real behind it: a database, the intake, and delivery one attempt at a time."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from mailferry.consumers.stats.counter import Counter
from mailferry.mail.reply import Answer as Reply
from mailferry.resources import domains
from mailferry.sandbox.capture import Capture
from mailferry.store.captured import CapturedSegments, CapturedTable
from mailferry.store.content import TableContent
from mailferry.store.database import Database
from mailferry.store.migrations import migrate
from mailferry.store.segments import SegmentContent
from tests import delivery_support
from tests.asgi import Answer
from tests.conftest import Clock
from tests.contact_house import ContactHouse
from tests.delivery_support import TAKEN, Engines, Office

engines = delivery_support.engines

#: Its mail goes to a simulator alone; this one is in no DNS.
DEMO = "demo.test"
SMTP_MESSAGE = b"From: App <app@a.test>\r\nTo: Bob <bob@dest.test>\r\nSubject: Hello\r\n\r\nIt works.\r\n"


class WorkingHouse(ContactHouse):
    """Of its domains ``a.test`` sends, ``b.test`` is not verified yet and ``demo.test`` is a demo domain."""

    def __init__(self, office: Office, clock: Clock, **changes: Any) -> None:
        self.office = office
        given = {
            "content": office.content,
            "captured": office.captured,
            "intake": office.intake,
            "forget_domains": office.book.forget,
            "forget_documents": office.documents.forget,
            "smtp_ports": (2525,),
            "pop3_ports": (1100,),
        }
        super().__init__(office.database, clock, **(given | changes))
        self.demo = self.organization = 0
        self.counter = Counter(office.database, clock)

    async def furnish(self) -> "WorkingHouse":
        await super().furnish()
        self.office.account, self.office.domain = self.account, self.domain
        await self.run(self._approve)
        self.office.book.forget()
        return self

    def _approve(self, connection: Connection) -> None:
        now = self.clock()
        found = domains.by_id(connection, self.domain)
        assert found is not None
        domains.set_verified(connection, found, True, set(), now)
        domains.set_state(connection, self.domain, domains.COMPLIANT)
        self.demo = domains.add(connection, self.deps.sealer, self.account, DEMO, (), now)[0].id
        domains.set_state(connection, self.demo, domains.DEMO)

    async def made(self, method: str, path: str, body: Any = None, **how: Any) -> Any:
        """What an admin's request was answered, which must have been all right."""
        answer = await self.ask(method, path, body, **how)
        assert 200 <= answer.status < 300, (method, path, answer.status, answer.body)
        return answer.json if answer.body else None

    async def send(self, *to: str, path: str = "/api/send", token: str = "", **fields: Any) -> list[str]:
        """The recipients' ids."""
        answer = await self.post(path, mail(*to, **fields), {"Api-Token": token or self.admin})
        assert answer.status == 200, answer.body
        return list(answer.json["message_ids"])

    def by_smtp(self, message: bytes = SMTP_MESSAGE, *hidden: str) -> Capture:
        """For its inbox."""
        return Capture(self.inbox, message, "smtp", "app@a.test", ("bob@dest.test", *hidden), "192.0.2.7")

    def again(self, **changes: Any) -> "WorkingHouse":
        """The same house behind an application of its own."""
        other = WorkingHouse(self.office, self.clock, **changes)
        other.account, other.admin = self.account, self.admin
        return other

    async def call_json(self, method: str, target: str, body: Any, headers: dict[str, str], **how: Any) -> Answer:
        sent = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self.call(method, target, headers=headers, body=sent, **how)

    async def deliver(self, reply: Reply = TAKEN) -> None:
        """One attempt for each recipient that is due."""
        for job in await self.office.claim():
            await self.office.settle(job, reply)


def mail(*to: str, **fields: Any) -> dict[str, Any]:
    """A body for /api/send."""
    boxes = [{"email": address} for address in to or ("bob@dest.test",)]
    return {"from": {"email": "app@a.test"}, "to": boxes, "subject": "Hello", "text": "It works."} | fields


def names_in(answer: Answer) -> str:
    """All that an answer says, as text: headers and body, the body's escapes undone."""
    body = answer.body.decode("utf-8", "replace")
    with contextlib.suppress(msgspec.MsgspecError):
        body = str(msgspec.json.decode(answer.body))
    return f"{dict(answer.headers)} {body}"


@pytest.fixture
async def working(engines: Engines, clock: Clock, tmp_path: Path) -> AsyncIterator[WorkingHouse]:
    """On a database that is emptied for each test, which takes a tenth of the time that a new one does."""
    database = Database(*engines, delivery_support.POOL)
    content = SegmentContent(tmp_path / "segments") if database.dialect == "sqlite" else TableContent()
    captured = CapturedSegments(tmp_path) if database.dialect == "sqlite" else CapturedTable()
    try:
        await database.write(migrate)
        await database.write(delivery_support.empty)
        office = Office(database, clock, content)
        office.captured = captured
        yield await WorkingHouse(office, clock).furnish()
    finally:
        await database.close()
        for each in (content, captured):
            if isinstance(each, SegmentContent):
                each.close()
