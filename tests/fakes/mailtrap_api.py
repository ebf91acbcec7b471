"""Mailtrap's API in process, with an intake that keeps nothing: what the endpoint makes of requests and of results."""

import dataclasses
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any, TypeVar, cast

import msgspec
from sqlalchemy import Connection
from starlette.applications import Starlette

from mailferry.consumers.webhooks.post import USUAL_PORTS
from mailferry.endpoints.bodies import BodyBudget, BodyRules
from mailferry.endpoints.mailtrap.app import routes
from mailferry.endpoints.mailtrap.deps import Deps
from mailferry.endpoints.mailtrap.rates import Rates
from mailferry.intake.checks import Limits, check, sender_domain
from mailferry.intake.refusal import Reason, Refusal
from mailferry.intake.render import Renderer
from mailferry.intake.submission import Accepted, KeyReused, Once, Refused, Replayed, Submission
from mailferry.net.http_call import Reply
from mailferry.resources.dns_records import Operator
from mailferry.resources.permissions import ADMIN, Resource, Rights
from mailferry.resources.tokens import Token
from mailferry.resources.webhooks import Webhook
from mailferry.sandbox.capture import Capture
from mailferry.sandbox.listed import Listed
from mailferry.sandbox.report import Checker, Report
from mailferry.store.content import TableContent
from mailferry.store.secrets import Sealer
from mailferry.store.threads import Threads
from tests.asgi import Answer, call
from tests.fakes.captured import MemoryContent

T = TypeVar("T")

SECRET = "0123456789abcdef0123456789abcdef"
RIGHTS = Rights(7, 0, {(Resource.ACCOUNT, 7): ADMIN})
TOKEN = Token(id=3, account_id=7, name="test", expires_at=0, last_used_at=0, rights=RIGHTS)
DOMAIN = "shop.example"
MESSAGE: dict[str, Any] = {
    "from": {"email": f"ann@{DOMAIN}", "name": "Ann"},
    "to": [{"email": "bob@example.net", "name": "Bob"}],
    "subject": "Your order",
    "text": "It left.",
}


class FakeIntake:
    """Checks as the real one does, lets one domain send, and numbers what it accepts."""

    def __init__(self) -> None:
        self.accepted: list[Submission] = []
        self.calls: list[int] = []
        self.fail_at_call = 0
        self.limits = Limits()
        self._kept: dict[tuple[int, str, str], tuple[str, str]] = {}

    async def accept(
        self, submissions: Sequence[Submission], once: Once | None = None
    ) -> list[Accepted | Refused] | Replayed | KeyReused:
        self.calls.append(len(submissions))
        if len(self.calls) == self.fail_at_call:
            raise RuntimeError("the disk is full")
        key = (once.account_id, once.endpoint, once.key) if once else None
        if once and (known := await self.known(once)):
            return known
        results = [self._one(submission) for submission in submissions]
        if once and key and any(isinstance(result, Accepted) for result in results):
            self._kept[key] = (once.body_hash, once.answer(results))
        return results

    async def known(self, once: Once) -> Replayed | KeyReused | None:
        body_hash, answer = self._kept.get((once.account_id, once.endpoint, once.key), ("", ""))
        if not answer:
            return None
        return Replayed(answer) if body_hash == once.body_hash else KeyReused()

    def _one(self, submission: Submission) -> Accepted | Refused:
        if refusals := check(submission, self.limits):
            return Refused(refusals)
        if (domain := sender_domain(submission)) != DOMAIN:
            detail = f"{domain} is not a sending domain of this account"
            return Refused((Refusal(Reason.SENDER_NOT_ALLOWED, "from", detail=detail),))
        self.accepted.append(submission)
        number = len(self.accepted)
        return Accepted(f"m{number}", tuple(f"m{number}r{place}" for place, _ in enumerate(submission.recipients)))


class FakeCredentials:
    def __init__(self, token: Token) -> None:
        self.token_of_secret = token

    async def token(self, secret: str) -> Token | None:
        return self.token_of_secret if secret == SECRET else None

    def forget(self) -> None:
        pass


class FakePoster:
    """Takes what is sent to webhooks, or answers as it is told; ports are the usual ones."""

    def __init__(self) -> None:
        self.reply = Reply(200)
        self.sent: list[tuple[str, list[str]]] = []
        self.any_port = False

    async def post(self, webhook: Webhook, identity: str, payloads: Sequence[str]) -> Reply:
        self.sent.append((webhook.url, list(payloads)))
        return self.reply

    def may_have(self, port: int) -> bool:
        return self.any_port or port in USUAL_PORTS


class NoDatabase:
    async def read(self, query: Callable[[Connection], T]) -> T:
        raise RuntimeError("no database in this test")

    write = read


class Lines:
    """What was logged: name and facts."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **facts: Any) -> None:
        self.told.append((event, facts))

    debug = warning = exception = info


class NoDNS:
    """Whoever asks it has asked too much."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} is asked of no DNS")


class OfflineChecker:
    """The checks that ask nobody: html, spam, headers, accessibility. It has threads for as long as it checks."""

    async def check(self, raw: bytes, names: Collection[str]) -> Report:
        threads, nobody = Threads(1, "check"), cast(Any, NoDNS())
        checker = Checker(
            filter=None, links=nobody, resolver=nobody, zones=(), now=lambda: datetime.now(UTC), threads=threads
        )
        try:
            return await checker.check(raw, names)
        finally:
            threads.close()


class NoSandbox:
    async def capture(self, captures: Sequence[Capture]) -> list[int]:
        raise AssertionError("there is no database behind it")


class Api:
    """``await api.post("/api/send", {...})``: with the right token unless ``headers`` say otherwise."""

    def __init__(self, **changes: Any) -> None:
        self.intake = FakeIntake()
        self.log = Lines()
        given = {
            "intake": self.intake,
            "clock": lambda: 1_800_000_000_000,
            "credentials": FakeCredentials(TOKEN),
            "db": NoDatabase(),
            "content": TableContent(),
            "sandbox": NoSandbox(),
            "captured": MemoryContent(),
            "checker": OfflineChecker(),
            "listed": Listed((), NoDNS(), lambda: 0),
            "new_id": iter(map(str, count(1))).__next__,
            "budget": BodyBudget(1 << 28),
            "rates": Rates(lambda: 1_800_000_000_000, 0),
            "sealer": Sealer(bytes(32)),
            "operator": Operator("mail.mailferry.test", ""),
            "forget_domains": lambda: None,
            "renderer": Renderer(changes.get("db", NoDatabase()), changes.get("clock", lambda: 1_800_000_000_000)),
            "poster": FakePoster(),
            "body": BodyRules(),
        }
        self.deps = Deps(log=self.log, **(given | changes))
        self.app = Starlette(routes=routes(self.deps))

    async def post(self, target: str, body: Any, headers: dict[str, str] | None = None, **how: Any) -> Answer:
        sent = body if isinstance(body, (bytes, list)) else msgspec.json.encode(body)
        return await self.call("POST", target, body=sent, headers=headers, **how)

    async def call(self, method: str, target: str, headers: dict[str, str] | None = None, **how: Any) -> Answer:
        given = {"Api-Token": SECRET} if headers is None or "Idempotency-Key" in headers else {}
        return await call(self.app, method, target, headers=given | (headers or {}), **how)

    def only(self) -> Submission:
        (submission,) = self.intake.accepted
        return submission


def with_token(token: Token = TOKEN, **changes: Any) -> FakeCredentials:
    return FakeCredentials(dataclasses.replace(token, **changes))
