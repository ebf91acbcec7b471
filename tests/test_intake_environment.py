"""What an environment rule makes of mail: caught, redirected, let through for a few; and what nothing notices of it."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from mailferry.intake.environment import ORIGINAL_TO
from mailferry.intake.keep import Keeper, Kept, Unit
from mailferry.intake.refusal import Reason
from mailferry.intake.submission import Accepted, Once, Publishing, Rcpt, Refused, Replayed, Submission
from mailferry.mail.address import Mailbox
from mailferry.mail.compose import Content
from mailferry.mail.header import read_head, values
from mailferry.resources import domain_changes, domains, environments, inboxes, projects
from mailferry.resources.audit import Actor
from mailferry.resources.environments import Mode, Rule
from mailferry.resources.system_mail import ENDPOINT
from mailferry.sandbox import inbox as caught
from mailferry.store.schema import events, idempotency_keys, messages, queue, recipients
from mailferry.store.schema import suppressions as suppressions_table
from tests import delivery_support
from tests.delivery_support import DOMAIN, Office

office, engines = delivery_support.office, delivery_support.engines
ANN, BOB, QA = "ann@dest.test", "bob@other.test", "qa@house.test"
ACTOR = Actor("operator", 0, "test")


class Staging:
    def __init__(self, office: Office) -> None:
        self.office = office
        self.inbox = 0

    async def furnish(self) -> "Staging":
        office, now = self.office, self.office.clock()

        def make(connection: Connection) -> int:
            project = projects.create(connection, office.account, "Project", now).id
            return inboxes.create(connection, office.sealer, office.account, project, "Staging", now).id

        self.inbox = await office.database.write(make)
        return self

    async def rule(self, mode: Mode | None, domain: int = 0, **members: Any) -> None:
        office = self.office
        rule = None if mode is None else Rule(mode, **members)
        await office.database.write(
            lambda c: environments.change(c, office.account, domain, "", rule, ACTOR, office.clock())
        )
        office.documents.forget()

    async def capture(self, *allow: str, domain: int = 0) -> None:
        await self.rule(Mode.CAPTURE, domain, inbox_id=self.inbox, allow=allow)

    async def caught(self) -> list[tuple[str, ...]]:
        """The envelopes, the oldest first."""
        found = await self.office.database.read(lambda c: caught.page(c, self.inbox))
        return [each.envelope_to for each in reversed(found)]

    async def told(self) -> list[bytes]:
        """The field that redirecting writes, in what waits; the rest of the message is as it was."""
        office, found = self.office, set()
        for job in await office.claim():
            body = await office.database.read(lambda c, job=job: office.content.read(c, job.place))  # type: ignore[misc]
            head = read_head(body)
            found.update(values(head, ORIGINAL_TO.lower().encode()))
            assert values(head, b"to") in ([ANN.encode()], [BOB.encode()]), (
                "the header that people see is the sender's own"
            )
        return sorted(found)

    async def counts(self) -> list[int]:
        """All that mail leaves behind."""
        return [await self.office.count(table) for table in (messages, recipients, queue, events, suppressions_table)]


@pytest.fixture
async def staging(office: Office) -> AsyncIterator[Staging]:
    yield await Staging(office).furnish()


async def test_without_a_rule_and_with_delivery_mail_goes(staging: Staging) -> None:
    (first,) = await staging.office.accept(ANN)
    await staging.rule(Mode.DELIVER)
    (second,) = await staging.office.accept(ANN)
    assert [await staging.office.state(each) for each in (first, second)] == ["queued", "queued"]
    assert await staging.caught() == []


@pytest.mark.parametrize("raw", [None, f"From: app@{DOMAIN}\r\nSubject: Hi\r\n\r\nx\r\n".encode()])
async def test_what_is_caught_leaves_nothing_behind(staging: Staging, raw: bytes | None) -> None:
    await staging.capture()
    before = await staging.counts()
    ids = await staging.office.accept(ANN, BOB, raw=raw)
    assert len(set(ids)) == 2, "one id a recipient, as ever"
    assert await staging.counts() == before
    assert await staging.office.claim() == [] and staging.office.jobs == []
    assert await staging.caught() == [(ANN, BOB)]
    (found,) = await staging.office.database.read(lambda c: caught.page(c, staging.inbox))
    assert (found.from_email, found.endpoint) == (f"app@{DOMAIN}", "smtp" if raw else "mailtrap")


async def test_those_who_are_allowed_get_it_and_the_others_are_caught(staging: Staging) -> None:
    await staging.capture("@dest.test", QA)
    one, two, three = await staging.office.accept("Ann@Dest.test", BOB, QA)
    assert [row.id for row in await staging.office.rows(recipients)] == [one, three]
    assert two not in (one, three)
    assert await staging.caught() == [(BOB,)]
    await staging.office.accept(QA)
    assert await staging.caught() == [(BOB,)], "nothing of it was left to catch"


async def test_a_domain_s_rule_wins_and_goes_with_the_domain(staging: Staging) -> None:
    office = staging.office
    await staging.capture()
    await staging.rule(Mode.DELIVER, office.domain)
    await office.accept(ANN)
    other = await office.add_domain("other-sender.test")
    await office.accept(BOB, sender="app@other-sender.test")
    assert await staging.caught() == [(BOB,)]

    def remove(connection: Connection) -> None:
        found = domains.by_id(connection, office.domain)
        assert found is not None
        domain_changes.remove(connection, found, ACTOR, office.clock())

    await office.database.write(remove)
    left = await office.database.read(lambda c: environments.of_account(c, office.account))
    assert left.account is not None and left.domains == {}
    assert other.id


async def test_one_mail_goes_to_one_address_and_says_for_whom_it_was(staging: Staging) -> None:
    office = staging.office
    await staging.rule(Mode.REDIRECT, redirect_to=QA, allow=("ann@dest.test",))
    one, two, three = await office.accept(ANN, BOB, "eve@other.test")
    assert two == three != one, "each of them finds the mail that was sent for it"
    rows = {row.id: row.address for row in await office.rows(recipients)}
    assert rows == {one: ANN, two: QA}
    assert await staging.told() == [b"bob@other.test, eve@other.test"]
    (again,) = await office.accept(QA)
    assert (await office.recipient(again)).address == QA


async def test_who_was_a_bcc_is_told_to_the_one_address_alone(staging: Staging) -> None:
    raw = f"From: app@{DOMAIN}\r\nTo: {BOB}\r\nSubject: Hi\r\n\r\nx\r\n".encode()
    submission = Submission(
        staging.office.account,
        1,
        None,
        "smtp",
        "transactional",
        (Rcpt(ANN), Rcpt("eve@b.test", "bcc"), Rcpt(BOB)),
        raw=raw,
    )
    await staging.rule(Mode.REDIRECT, redirect_to=QA)
    await staging.office.intake.accept([submission])
    assert await staging.told() == [b"ann@dest.test, eve@b.test, bob@other.test"]
    await staging.rule(Mode.REDIRECT, redirect_to=QA, allow=(ANN,))
    await staging.office.intake.accept([submission])
    assert await staging.told() == [b"bob@other.test"]


async def test_whoever_is_allowed_and_redirected_to_gets_one_copy(staging: Staging) -> None:
    await staging.rule(Mode.REDIRECT, redirect_to=QA, allow=(QA,))
    ids = await staging.office.accept(BOB, QA)
    assert ids[0] == ids[1]
    assert [row.address for row in await staging.office.rows(recipients)] == [QA]


async def test_a_key_answers_the_second_time_though_all_was_caught(staging: Staging) -> None:
    office = staging.office
    await staging.capture()

    def answer(results: Any) -> str:
        return msgspec.json.encode([each.recipient_ids for each in results]).decode()

    once = Once(office.account, "send", "key", "hash", answer)
    ids = await office.accept(ANN, once=once)
    assert await office.count(idempotency_keys) == 1
    submission = Submission(office.account, 1, None, "mailtrap", "transactional", (Rcpt(ANN),))
    assert await office.intake.accept([submission], once) == Replayed(f'[["{ids[0]}"]]')
    assert await staging.caught() == [(ANN,)]


async def test_a_key_of_what_was_caught_stands_when_its_commit_was_not_heard_of(staging: Staging) -> None:
    office = staging.office
    keeper = Keeper(office.content, office.clock, boot=1, budget=None, hourly=1000, expire_ms=1)
    unit = Unit((), Once(office.account, "send", "key", "hash", lambda results: ""), "told")
    assert await office.database.write(lambda c: keeper(c, [unit])) == [Kept()]
    assert await office.database.write(lambda c: keeper(c, [unit])) == [Replayed("told")]


async def test_an_inbox_that_is_gone_refuses_and_never_delivers(staging: Staging) -> None:
    office = staging.office
    await staging.capture(QA)
    await office.database.write(lambda c: inboxes.remove(c, staging.inbox))
    before = await staging.counts()
    content = Content(Mailbox(f"app@{DOMAIN}"), (Mailbox(ANN),), subject="Hello", text="x")
    submission = Submission(
        office.account, 1, None, "mailtrap", "transactional", (Rcpt(ANN), Rcpt(QA)), content=content
    )
    (result,) = await office.intake.accept([submission])  # type: ignore[misc]
    assert isinstance(result, Refused)
    assert [(each.reason, each.detail) for each in result.refusals] == [
        (Reason.ENVIRONMENT_INBOX_GONE, str(staging.inbox))
    ]
    assert await staging.counts() == before


async def test_a_demo_domain_is_redirected_to_its_simulator_alone(staging: Staging) -> None:
    office = staging.office
    await office.change_domain(state=domains.DEMO)
    inside = "success@simulator.demo.test"

    async def sent() -> Accepted | Refused:
        content = Content(Mailbox(f"app@{DOMAIN}"), (Mailbox(inside),), subject="Hello", text="x")
        submission = Submission(office.account, 1, None, "mailtrap", "transactional", (Rcpt(inside),), content=content)
        (result,) = await office.intake.accept([submission])  # type: ignore[misc]
        return result

    await staging.rule(Mode.REDIRECT, redirect_to=QA)
    result = await sent()
    assert isinstance(result, Refused) and result.refusals[0].reason is Reason.DEMO_RECIPIENT
    await staging.rule(Mode.REDIRECT, redirect_to="other@simulator.demo.test")
    assert isinstance(await sent(), Accepted)


async def test_what_mailferry_says_itself_and_what_cannot_be_rendered_are_told_as_ever(staging: Staging) -> None:
    office = staging.office
    await staging.capture()
    content = Content(Mailbox(f"mailer@{DOMAIN}"), (Mailbox(ANN),), subject="Hello", text="x")
    submission = Submission(office.account, 0, None, ENDPOINT, "transactional", (Rcpt(ANN),), content=content)
    (result,) = await office.intake.accept([submission])  # type: ignore[misc]
    assert isinstance(result, Accepted) and await office.state(result.recipient_ids[0]) == "queued"
    failing = Publishing(id_form=str, facts={}, failure="rendering_failure: x")
    (failed,) = await office.accept(BOB, publishing=failing)
    assert await office.state(failed) == "rejected"
    assert await staging.caught() == []


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ((Mode.CAPTURE, 0, "", []), {"inbox_id"}),
        ((Mode.CAPTURE, 1, QA, []), {"redirect_to"}),
        ((Mode.REDIRECT, 1, "", []), {"inbox_id", "redirect_to"}),
        ((Mode.REDIRECT, 0, "nobody", []), {"redirect_to"}),
        ((Mode.DELIVER, 0, "", [QA]), {"allow"}),
        ((Mode.CAPTURE, 1, "", ["*"]), {"allow"}),
        ((Mode.CAPTURE, 1, "", [QA] * 201), {"allow"}),
    ],
)
def test_rules_that_are_none(given: tuple[Mode, int, str, list[str]], wrong: set[str]) -> None:
    found = environments.rule_of(*given)
    assert isinstance(found, dict) and set(found) == wrong


def test_who_is_allowed_is_kept_as_suppressions_are() -> None:
    rule = environments.rule_of(Mode.CAPTURE, 1, "", ["Ann@DEST.test", "@Bücher.Example", "ann@dest.test"])
    assert rule == Rule(Mode.CAPTURE, 1, "", ("ann@dest.test", "@xn--bcher-kva.example"))
    assert rule.allows("eve@xn--bcher-kva.example") and not rule.allows("eve@sub.xn--bcher-kva.example")
