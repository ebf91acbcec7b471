"""Templates of Amazon's dialect and what is sent from them, in process: a real database, and an intake that only listens."""

from collections.abc import Sequence
from typing import Any

from mailferry.endpoints.bodies import BodyRules
from mailferry.endpoints.ses import bulk, templated
from mailferry.endpoints.ses.deps import Call
from mailferry.intake.refusal import Refusal
from mailferry.intake.submission import Accepted, Refused, Submission
from mailferry.resources import accounts, templates
from mailferry.resources.access_keys import AccessKey
from mailferry.resources.audit import Actor
from mailferry.resources.permissions import ADMIN, Grant, Resource, Rights
from mailferry.resources.templates import Facts, Texts
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.ses_calls import deps

SENDER = "app@shop.test"
UUID = "01900000-0000-7000-8000-{:012d}"


class Intake:
    """Accepts all but what it is told not to, or fails from some call on."""

    def __init__(self) -> None:
        self.calls: list[Sequence[Submission]] = []
        self.good_calls = 1000
        #: By the number of the message within its call.
        self.refused: dict[int, Refusal] = {}

    async def accept(self, submissions: Sequence[Submission], once: Any = None) -> list[Accepted | Refused]:
        if len(self.calls) == self.good_calls:
            raise RuntimeError("the disk is gone")
        self.calls.append(submissions)
        return [
            Refused((self.refused[number],)) if number in self.refused else Accepted(UUID.format(number), ("",))
            for number in range(len(submissions))
        ]

    @property
    def all(self) -> list[Submission]:
        return [submission for call in self.calls for submission in call]


class House:
    def __init__(self, database: Database, clock: Clock, account: int) -> None:
        self.database, self.clock, self.account, self.intake = database, clock, account, Intake()
        self.deps = deps(database, clock, intake=self.intake, body=BodyRules(patience=0.01))

    def call(self, operation: str) -> Call:
        rights = Rights.of(self.account, 0, [Grant(Resource.ACCOUNT, self.account, ADMIN)])
        key = AccessKey(1, self.account, "MFAKTEST", "deploy", "", False, 0, rights)
        return Call(self.deps, key, "us-east-1", "sesv2", operation, "request", "127.0.0.1")

    @classmethod
    async def furnished(cls, database: Database, clock: Clock) -> "House":
        account = await database.write(lambda c: accounts.create_account(c, "Shop", clock()))
        return cls(database, clock, account)

    async def keep(self, source: Texts, name: str = "Hello", **facts: Any) -> None:
        given = Facts(name, **{"escape": False, "strict": True, **facts})
        actor, now = Actor("access_key", 1, "deploy"), self.clock()
        await self.database.write(lambda c: templates.create(c, self.account, given, source, actor, now, most=200))
        self.deps.renderer.forget()

    async def bulk(self, entries: Sequence[str], **given: Any) -> list[tuple[str, str]]:
        """Status and error of each; ``entries`` are their data."""
        template = {"TemplateName": "Hello", "TemplateData": "{}", **given.pop("template", {})}
        params = {
            "FromEmailAddress": SENDER,
            "DefaultContent": {"Template": template},
            "BulkEmailEntries": [
                {
                    "Destination": {"ToAddresses": [f"n{number}@dest.test"]},
                    "ReplacementEmailContent": {"ReplacementTemplate": {"ReplacementTemplateData": each}},
                }
                for number, each in enumerate(entries)
            ],
            **given,
        }
        answer = await bulk.send_v2(self.call("SendBulkEmail"), params)
        assert answer is not None
        return [(each["Status"], each.get("Error", "")) for each in answer["BulkEmailEntryResults"]]

    async def one(self, template: dict[str, Any]) -> Submission:
        params = {
            "FromEmailAddress": SENDER,
            "Destination": {"ToAddresses": ["a@dest.test"]},
            "Content": {"Template": template},
        }
        await templated.send(self.call("SendEmail"), params)
        return self.intake.all[-1]


def texts(submission: Submission) -> tuple[str, str | None]:
    assert submission.content is not None
    return submission.content.subject, submission.content.text
