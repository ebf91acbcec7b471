"""What the functions behind the paths are handed, and nothing else reaches them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from mailferry.endpoints.hosts import CLIENT
from mailferry.endpoints.mailtrap.body import BodyBudget, BodyRules
from mailferry.endpoints.mailtrap.errors import Problem, Shape, problem
from mailferry.intake.checks import Limits
from mailferry.intake.submission import Accepted, KeyReused, Once, Refused, Replayed, Submission
from mailferry.resources.tokens import Token

T = TypeVar("T")


class Intake(Protocol):
    """See intake/accept.py."""

    async def accept(
        self, submissions: Sequence[Submission], once: Once | None = None
    ) -> list[Accepted | Refused] | Replayed | KeyReused: ...


class TokenBook(Protocol):
    """See resources/tokens.py."""

    async def token(self, secret: str) -> Token | None: ...


class Reader(Protocol):
    """See store/database.py."""

    async def read(self, query: Callable[[Connection], T]) -> T: ...


class Log(Protocol):
    """The part of a structlog logger that is used here."""

    def info(self, event: str, **facts: Any) -> Any: ...
    def exception(self, event: str, **facts: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Deps:
    """Made once, by roles.py."""

    intake: Intake
    credentials: TokenBook
    db: Reader
    #: Unix milliseconds.
    clock: Callable[[], int]
    log: Log
    #: The budget is shared by all requests of the process.
    budget: BodyBudget
    limits: Limits = field(default_factory=Limits)
    body: BodyRules = field(default_factory=BodyRules)


@dataclass(frozen=True, slots=True)
class Call:
    """One request whose token was found right."""

    request: Request
    token: Token
    deps: Deps
    shape: Shape
    #: transactional or bulk; what the host or the path said.
    stream: str
    request_id: str

    @property
    def client_ip(self) -> str:
        """Behind a trusted proxy the client's, not the proxy's."""
        peer = self.request.client.host if self.request.client else ""
        known: str = self.request.scope.get(CLIENT, peer)
        return known

    def problem(self, found: Problem) -> Response:
        return problem(self.shape, found)
