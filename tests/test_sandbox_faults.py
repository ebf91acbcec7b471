"""Faults on purpose: which messages they meet, what they are over SMTP and over the API, and how they are set."""

import asyncio
import smtplib
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest

from mailferry.endpoints.smtp.dialects import Dialects
from mailferry.endpoints.smtp.faults import SmtpFaults
from mailferry.endpoints.smtp.replies import HANG_UP
from mailferry.endpoints.smtp.sandbox import SandboxBackend
from mailferry.endpoints.smtp.server import Listener, Server
from mailferry.resources import inboxes
from mailferry.resources.inboxes import InboxBook
from mailferry.resources.permissions import VIEWER, Grant, Resource
from mailferry.sandbox import inbox as caught
from mailferry.sandbox.faults import NONE, Action, FaultPlayer, Faults, Rule, Seen, Stage, Verdict, packed
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.endpoints_smtp_support import MemoryBackend, serving
from tests.mailtrap_house import SEALER, MailtrapHouse

T = TypeVar("T")
REJECT = {"stage": "rcpt", "action": "reject", "code": 550}


def rule(stage: Stage = Stage.DATA, action: Action = Action.REJECT, **more: Any) -> Rule:
    return Rule(stage, action, 550, **more)


def played(*rules: Rule, times: int = 1, seed: int = 0, **seen: Any) -> list[Verdict]:
    player, text = FaultPlayer(), packed(Faults(rules, seed))
    return [player.play(1, text, Seen(Stage.DATA, **seen)) for _ in range(times)]


@pytest.mark.parametrize(
    ("patterns", "seen", "met"),
    [
        ({}, {}, True),
        ({"sender": "*@a.test"}, {"sender": "App@A.test"}, True),
        ({"sender": "*@a.test"}, {"sender": "app@sub.a.test"}, False),
        ({"recipient": "bob@*"}, {"recipients": ["eve@b.test", "bob@b.test"]}, True),
        ({"recipient": "bob@*"}, {"recipients": []}, False),
        ({"subject": "*[SPAM]*"}, {"subject": "it is [spam] again"}, True),
        ({"subject": "*[SPAM]*"}, {"subject": "S"}, False),
        ({"subject": "?"}, {"subject": "\n"}, True),
        ({"sender": "*", "subject": "no"}, {"subject": "yes"}, False),
    ],
)
def test_patterns(patterns: dict[str, str], seen: dict[str, Any], met: bool) -> None:
    (verdict,) = played(rule(**patterns), **seen)
    assert (verdict.rule is not None) is met


@pytest.mark.parametrize(
    ("counts", "met"),
    [({"first": 2}, "xx----"), ({"nth": 3}, "--x---"), ({"every": 2}, "-x-x-x"), ({"first": 4, "every": 2}, "-x-x--")],
)
def test_counts(counts: dict[str, int], met: str) -> None:
    assert "".join("x" if each.rule else "-" for each in played(rule(**counts), times=6)) == met


def test_what_does_not_match_is_not_counted_and_another_stage_is_another() -> None:
    player, text = FaultPlayer(), packed(Faults((rule(nth=2, sender="a@*"), rule(Stage.MAIL))))
    assert [player.play(1, text, Seen(Stage.DATA, each)).rule is not None for each in ("b@b", "a@a", "b@b", "a@a")] == [
        *(False, False, False, True)
    ]
    assert player.play(2, text, Seen(Stage.DATA, "a@a")) == NONE, "another inbox counts for itself"
    player.begin_anew(1)
    assert player.play(1, text, Seen(Stage.DATA, "a@a")) == NONE


def test_chance_is_drawn_from_the_seed() -> None:
    def drawn(seed: int, chance: float = 0.3) -> str:
        return "".join("x" if each.rule else "-" for each in played(rule(chance=chance), times=400, seed=seed))

    assert drawn(1) == drawn(1) != drawn(2)
    assert 80 < drawn(1).count("x") < 160
    assert drawn(1, 0.0).count("x") == 0


def test_delays_add_up_until_a_refusal() -> None:
    slow = Rule(Stage.DATA, Action.DELAY, seconds=70)
    last = rule()
    assert played(slow, last, slow) == [Verdict(70, last)]
    assert played(slow, slow) == [Verdict(120)], "no longer than the longest"


def test_a_pattern_of_stars_takes_no_time() -> None:
    (verdict,) = played(rule(subject="*a" * 90 + "b"), subject="a" * 1000)
    assert verdict == NONE


# --- over the wires ------------------------------------------------------------------------------------------------------


class FaultyHouse(MailtrapHouse):
    """Its inbox is sent to by SMTP as well."""

    async def open(self) -> None:
        player: FaultPlayer = self.deps.faults
        self.book = InboxBook(self.database, SEALER, self.clock)
        backend = SandboxBackend(self.deps.sandbox, self.book, "mail.test", SmtpFaults(player))
        self.server = Server(
            Dialects(MemoryBackend(), MemoryBackend(), backend), [Listener("127.0.0.1", 0, plain_auth=True)]
        )
        await self.server.start()
        row = await self.database.read(lambda c: inboxes.by_id(c, SEALER, self.account, self.inbox))
        assert row is not None
        self.user, self.password = row.username, row.password

    async def rules(self, *rules: dict[str, Any], **more: Any) -> Any:
        answer = await self.ask("PUT", f"inboxes/{self.inbox}/faults", {"rules": rules} | more)
        self.book.forget()
        return answer

    async def smtp(self, deed: Callable[[smtplib.SMTP], T]) -> T:
        """``deed`` in a thread, logged in."""

        def run() -> T:
            with smtplib.SMTP("127.0.0.1", self.server.addresses[0][1], timeout=20) as client:
                client.login(self.user, self.password)
                return deed(client)

        return await asyncio.to_thread(run)

    async def subjects(self) -> list[str]:
        return [each.subject for each in await self.database.read(lambda c: caught.page(c, self.inbox))]


@pytest.fixture
async def house(database: Database, clock: Clock) -> AsyncIterator[FaultyHouse]:
    made = FaultyHouse(database, clock)
    await made.furnish()
    await made.open()
    yield made
    await made.server.close(0)


async def test_smtp_fails_as_it_was_told(house: FaultyHouse) -> None:
    answer = await house.rules(
        {"stage": "mail", "action": "reject", "code": 451, "sender": "slow@*"},
        {
            "stage": "rcpt",
            "action": "reject",
            "code": 550,
            "enhanced": "5.1.1",
            "text": "No such user",
            "recipient": "gone@*",
        },
        {"stage": "data", "action": "reject", "code": 554, "enhanced": "5.7.1", "text": "Spam", "subject": "*buy*"},
        {"stage": "data", "action": "delay", "seconds": 0.01},
        {"stage": "data", "action": "disconnect", "recipient": "cut@*"},
    )
    assert answer.status == 200, answer.body

    def talk(client: smtplib.SMTP) -> None:
        with pytest.raises(smtplib.SMTPSenderRefused) as sender:
            client.sendmail("slow@a.test", "bob@b.test", "Subject: one\r\n\r\n")
        assert (sender.value.smtp_code, sender.value.smtp_error) == (451, b"4.0.0 Refused on purpose")
        refused = client.sendmail("a@a.test", ["gone@b.test", "bob@b.test"], "Subject: two\r\n\r\n")
        assert refused == {"gone@b.test": (550, b"5.1.1 No such user")}
        with pytest.raises(smtplib.SMTPDataError) as data:
            client.sendmail("a@a.test", "bob@b.test", "Subject: =?utf-8?q?Please_BUY?=\r\n\r\n")
        assert (data.value.smtp_code, data.value.smtp_error) == (554, b"5.7.1 Spam")
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.sendmail("a@a.test", ["bob@b.test", "cut@b.test"], "Subject: three\r\n\r\n")

    await house.smtp(talk)
    assert await house.subjects() == ["two"]
    assert (await house.ask("DELETE", f"inboxes/{house.inbox}/faults")).json == {"data": {"seed": 0, "rules": []}}
    house.book.forget()
    await house.smtp(lambda client: client.sendmail("slow@a.test", "gone@b.test", "Subject: four\r\n\r\n"))
    assert await house.subjects() == ["four", "two"]


async def test_the_api_fails_as_it_was_told(house: FaultyHouse) -> None:
    body = {"from": {"email": "a@x.test"}, "to": [{"email": "bob@b.test"}], "subject": "Hello", "text": "x"}

    async def send(path: str, sent: Any) -> tuple[int, Any]:
        answer = await house.post_json("POST", f"/api/{path}/{house.inbox}", sent, {"Api-Token": house.admin})
        return answer.status, answer.json

    await house.rules(
        {"stage": "api", "action": "reject", "code": 429, "first": 1},
        {"stage": "api", "action": "reject", "code": 422, "text": "No", "subject": "bad*"},
    )
    assert await send("send", body) == (429, {"success": False, "errors": ["Rate limit exceeded"]})
    assert (await send("send", body))[0] == 200
    batch = {"base": body | {"to": None}, "requests": [{"to": body["to"]}, {"to": body["to"], "subject": "Bad one"}]}
    del batch["base"]["to"]
    assert await send("batch", batch) == (422, {"success": False, "errors": ["No"]})
    assert await house.subjects() == ["Hello"]


async def test_faults_are_kept_shown_and_noted(house: FaultyHouse) -> None:
    rules = [{"stage": "api", "action": "reject", "code": 500, "chance": 0.5}]
    path = f"inboxes/{house.inbox}/faults"
    shown = {"data": {"seed": 7, "rules": [{**rules[0], "text": "Internal server error"}]}}
    assert (await house.rules(*rules, seed=7)).json == shown
    assert (await house.ask("GET", path)).json == shown
    assert (await house.ask("GET", f"sandboxes/{house.inbox}/faults", legacy=False)).json == shown
    looker = await house.token(Grant(Resource.INBOX, house.inbox, VIEWER))
    assert (await house.ask("GET", path, token=looker)).status == 200
    assert (await house.ask("PUT", path, {"rules": []}, token=looker)).status == 403
    assert (await house.ask("PUT", f"inboxes/{house.inbox + 1}/faults", {"rules": []})).status == 404


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "can't be blank"),
    ({"rules": [{}]}, "0: stage can't be blank"),
    ({"rules": [REJECT | {"code": 250}]}, "0: code must be between 400 and 599"),
    ({"rules": [REJECT | {"enhanced": "4.1.1"}]}, "0: enhanced must be a code such as 5.7.1"),
    ({"rules": [REJECT | {"subject": "x"}]}, "0: subject is not known yet at rcpt"),
    ({"rules": [REJECT | {"chance": 1.5}]}, "0: chance must be a number between 0 and 1"),
    ({"rules": [REJECT | {"chance": True}]}, "0: chance must be a number"),
    ({"rules": [REJECT | {"nth": 0}]}, "0: nth must be between 1 and"),
    ({"rules": [REJECT | {"text": "a\r\nb"}]}, "0: text must not contain control characters"),
    ({"rules": [{"stage": "mail", "action": "delay"}]}, "0: seconds can't be blank"),
    (
        {"rules": [{"stage": "mail", "action": "delay", "seconds": 121}]},
        "0: seconds must be a number between 0 and 120",
    ),
    ({"rules": [{"stage": "api", "action": "disconnect"}]}, "0: action disconnect is for SMTP"),
    ({"rules": [REJECT] * 51}, "is too long (maximum is 50 items)"),
]


async def test_bad_rules_are_told(house: FaultyHouse) -> None:
    for given, told in BAD:
        answer = await house.ask("PUT", f"inboxes/{house.inbox}/faults", given)
        assert answer.status == 422, given
        assert told in str(answer.json["errors"]), given


async def test_a_connection_can_be_cut_at_every_command() -> None:
    for name in ("mail", "rcpt", "data"):
        backend = MemoryBackend()
        backend.answers[name] = HANG_UP
        async with serving(backend=backend) as running:
            client = await running.greeted()
            client.writer.write(b"MAIL FROM:<a@a.test>\r\nRCPT TO:<b@b.test>\r\nDATA\r\n")
            if name == "data":
                client.writer.write(b"x: y\r\n\r\nz\r\n.\r\nNOOP\r\n")
            heard = await client.rest()
            assert "421" not in heard
            await running.until_empty()
            await client.close()
